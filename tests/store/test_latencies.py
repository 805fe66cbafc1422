"""Sums by process, name and value where there are many of them; tests/store/conformance.py has all else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.latency import Latency
from aperture_tui.profile.query import Group, Query
from aperture_tui.profile.symbols import Process, Symbols
from aperture_tui.store import groups
from aperture_tui.store import latencies as summing
from aperture_tui.store.memory import MemoryStore
from tests.store.facts import T0, Fact, Reference, batch_of


def waits(n: int) -> list[Fact]:
    """Of some hundred processes for thousands of locks, whose addresses lie near each other."""
    rng = np.random.default_rng(7)
    columns = [rng.integers(0, high, n).tolist() for high in (150, 3, 40, 8, 1 << 30, 5)]
    return [
        Fact(
            T0 + i,
            Process(1 + pid, T0 - start, f"p{pid}"),
            tid=1 + tid,
            kind=Kind.LOCK,
            duration_ns=ns,
            weight=1 + failed,
            name="mutex" if lock % 2 else "futex",
            value=0x7F00_0000_0000 + 8 * lock,
            aux=110 if failed == 4 else 0,
        )
        for i, (pid, start, lock, tid, ns, failed) in enumerate(zip(*columns, strict=True))
    ]


def by_key(rows: list[Latency], threads: bool) -> dict[tuple[int | str, ...], Latency]:
    return {
        (row.pid, row.start_ns, row.name, row.value, *[row.tid] * threads): replace(row, process="") for row in rows
    }


@pytest.mark.parametrize("group", [Group.PROCESS, Group.THREAD])
@pytest.mark.parametrize("chunk", [7, 1 << 15])
def test_thousands_of_groups_are_told_apart(group: Group, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summing, "_CHUNK", chunk)
    events, query = waits(4000), Query(kind=Kind.LOCK, group=group)
    store = MemoryStore()
    store.append(batch_of(events, Symbols()))
    got = store.latencies(query)
    expected = Reference(events).latencies(query)
    assert len(got) == len(expected) > 3000
    assert by_key(got, group is Group.THREAD) == {key: rest for key, (_, rest) in expected.items()}


def test_locks_chosen_to_fall_into_one_place_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program chooses the addresses of its locks; here the worst choice: all that is hashed is the same."""
    monkeypatch.setattr(groups, "_ODD", np.uint64(0))
    events, query = waits(1000), Query(kind=Kind.LOCK)
    store = MemoryStore()
    store.append(batch_of(events, Symbols()))
    assert by_key(store.latencies(query), False) == {
        key: rest for key, (_, rest) in Reference(events).latencies(query).items()
    }
