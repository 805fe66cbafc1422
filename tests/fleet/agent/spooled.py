"""Intervals in a spool, of events that can be told apart by their value."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from aperture_tui.fleet.agent.spool import Spool
from aperture_tui.profile.health import Health
from aperture_tui.profile.host import HostSample
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.recording.writer import Writer
from tests.store.conformance import HOST, SH, STACK
from tests.store.facts import SECOND, T0, Fact, batch_of


def facts_of(values: Iterable[int], stack: str = "f") -> list[Fact]:
    """One event for each, none like another."""
    return [Fact(T0 + v * SECOND, SH, stack=(*STACK, Frame(f"{stack}{v % 7}")), value=v) for v in values]


def written(
    path: Path, facts: Sequence[Fact], gauges: int = 0, health: Sequence[Health] = (), close: bool = True
) -> None:
    """An interval with these."""
    writer = Writer(path, {})
    writer.set_hosts([HOST])
    writer.append(batch_of(facts, Symbols()))
    for i in range(gauges):
        writer.append_gauges(HostSample(T0 + i * SECOND, cpu_user=i / 100))
    writer.set_health(health)
    if close:
        writer.close()
    else:
        writer._flush()  # a kill leaves what was written


def put(spool: Spool, facts: Sequence[Fact], closed_s: float | None = None, gauges: int = 1) -> None:
    """An interval more in the spool. closed_s: when it ended, Unix seconds."""
    path = spool.next_path()
    written(path, facts, gauges)
    if closed_s is not None:
        os.utime(path, (closed_s, closed_s))
    spool.add(path)


def names(folder: Path) -> list[str]:
    """Of the files but the ledger."""
    return sorted(path.name for path in folder.iterdir() if path.name != "ledger")


def values(spool: Spool) -> list[int]:
    """Of the events that are being pushed."""
    return sorted(spool.contents().events["value"].tolist())


def fill(spool: Spool, n: int, first: int = 0) -> None:
    """So many intervals of ten events each, of different times."""
    for i in range(first, first + n):
        put(spool, facts_of(range(10 * i, 10 * i + 10)))
