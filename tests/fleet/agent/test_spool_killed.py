"""Whenever the agent is killed, its spool has what was closed, once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aperture_tui.fleet.agent.spool import MERGED, Spool
from tests.fleet.agent.spooled import facts_of, names, written

MINUTE = 1_700_000_040


class Killed(BaseException):
    """By a signal that nobody can catch."""


class _Store:
    """What an aggregator has, by its rules. Values by weight."""

    def __init__(self) -> None:
        self.last: dict[bytes, int] = {}
        self.values: list[int] = []

    def push(self, spool: Spool) -> None:
        head = spool.begin()
        assert head is not None
        last = self.last.get(spool.boot)
        if last is None or head.seq == last + 1:
            self.last[spool.boot] = head.seq
            events = spool.contents().events
            for value, weight in zip(events["value"].tolist(), events["weight"].tolist(), strict=True):
                self.values += [value] * weight
        else:
            assert head.seq == last, "neither a hole nor a seq of the past"


def _life(folder: Path, store: _Store, closed: list[int], limit: int) -> tuple[int, int]:
    """Everything that a spool does: how many files it merged, and how many events it has lost in all its lives."""
    spool = Spool(folder, limit)
    while len(closed) < 24:
        path, fresh = spool.next_path(), range(len(closed), len(closed) + 3)
        closed += fresh  # the first thing that can kill it is that it waits for the disk, when all is written
        written(path, facts_of(fresh), gauges=1)
        os.utime(path, (MINUTE + len(closed), MINUTE + len(closed)))
        spool.add(path)
        if len(closed) == 6:
            spool.begin()
            spool.halve(3)
        spool.trim()
        if len(closed) % 12 == 0:
            store.push(spool)
            spool.stored()
    while spool.begin():
        store.push(spool)
        spool.stored()
    assert names(folder) == []
    spool.close()
    return spool.degraded[MERGED], spool.lost


@pytest.fixture
def killing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, bool], None]]:
    """kill at the nth thing that is done to the disk from now on, before or after it."""
    left: list[int] = [-1]
    after: list[bool] = [False]

    def wrapped(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            left[0] -= 1
            if left[0] == 0 and not after[0]:
                raise Killed
            out = real(*arguments, **named)
            if left[0] == 0:
                raise Killed
            return out

        return call

    monkeypatch.setattr(os, "pwrite", wrapped(os.pwrite))
    monkeypatch.setattr(os, "fsync", wrapped(os.fsync))
    for name in ("rename", "unlink"):
        monkeypatch.setattr(Path, name, wrapped(getattr(Path, name)))

    def arm(n: int, then: bool) -> None:
        left[0], after[0] = n, then

    yield arm
    arm(-1, False)


@pytest.mark.parametrize("limit", [3400, 1500])
@pytest.mark.parametrize("after", [False, True])
def test_whenever_it_is_killed_nothing_that_was_closed_is_lost_or_stored_twice(
    tmp_path: Path, killing: Callable[[int, bool], None], after: bool, limit: int
) -> None:
    """Or it is counted as lost, where there was no room."""
    merges, lost = _life(tmp_path / "undisturbed", _Store(), [], limit)
    assert (merges > 3, lost > 0) == (True, limit < 3000)
    n, killed = 0, 1
    while killed:
        n, killed = n + 1, 0
        folder, store, closed = tmp_path / f"{n}", _Store(), list[int]()
        killing(n, after)
        for _ in range(3):
            try:
                lost = _life(folder, store, closed, limit)[1]
                break
            except Killed:
                killed += 1
                _unlock(folder)
        assert len(store.values) + lost == 24, f"killed at step {n}"
        assert len(set(store.values)) == len(store.values), f"killed at step {n}"
    assert n > 60, "there are many moments"


def _unlock(folder: Path) -> None:
    """What the kernel does for a process that was killed."""
    ledger = os.path.realpath(folder / "ledger")
    for file in os.listdir("/proc/self/fd"):
        if os.path.realpath(f"/proc/self/fd/{file}") == ledger:
            os.close(int(file))
