"""Which process uses which mappings, and which mappings have which rows.

A slice of the mappings' map is never changed but for the rows of files that were still being built, so that a program
that reads it meets either all of the old or all of the new. It is freed once the kernel's own table of processes has
not referred to it twice in a row.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect.unwind.code_tables import CodeTables
from aperture_tui.collect.unwind.files import Files, Placed
from aperture_tui.collect.unwind.interpreters import Interpreters, may_be_one
from aperture_tui.collect.unwind.kernel_maps import ANONYMOUS, MAPPING, MAX_MAPPINGS, KernelMaps
from aperture_tui.profile.kinds import Stop
from aperture_tui.symbolize.address_space import Mapping as Mapped
from aperture_tui.symbolize.address_space import executable_mappings

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PATIENCE_S: Final = 0.05
_LONGEST_S: Final = 16.0
"""A process whose mappings held nothing new is asked for again after twice as long as before, up to this."""


@dataclass(slots=True)
class _Slice:
    """Mappings of one process, and of those that were forked from it. missed: sweeps that found no process."""

    first: int
    mappings: tuple[Mapped, ...]
    entries: list[tuple[Mapped, Placed | None]]
    is_interpreter: bool
    missed: int = 0


class Coverage:
    """Owned by the supply's thread; `covers` and `has_read` may be asked by any."""

    def __init__(self, maps: KernelMaps, files: Files) -> None:
        self.installed = 0
        """How often a process was given its tables."""
        self._maps = maps
        self._files = files
        self.interpreters = Interpreters(maps)
        self.code = CodeTables(maps, files)
        self._counts: Counter[str] = Counter()
        self._slices: dict[int, _Slice] = {}
        self._processes: dict[int, _Slice] = {}
        self._read_ns: dict[int, int] = {}
        self._patience: dict[int, float] = {}

    def covers(self, pid: int) -> bool:
        """Whether a process was given tables; its forked children may use them as well, and are not counted here."""
        return pid in self._processes

    def has_read(self, pid: int, since_ns: int) -> bool:
        """Whether the mappings of such a process were read later than that, CLOCK_MONOTONIC."""
        return self._read_ns.get(pid, 0) > since_ns

    @property
    def degraded(self) -> dict[str, int]:
        """Cause -> processes or files that could not be covered, or not whole."""
        return {**self._counts, **self._files.degraded, **self.interpreters.counts, **self.code.counts}

    def pass_over(self, n: int) -> None:
        """Count requests that there was no time for; the kernel asks again."""
        if n:
            self._counts["requests for tables that there was no time for"] += n

    def cover(self, pid: int, stop: int) -> None:
        """Give a process its tables, or look whether they are still right."""
        now_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        try:
            mappings = tuple(executable_mappings(pid))
        except OSError:  # it has ended; its samples say so by themselves
            return
        if len(mappings) > MAX_MAPPINGS:
            self._counts["processes with more mappings than are looked at"] += 1
            mappings = mappings[:MAX_MAPPINGS]
        self._read_ns[pid] = now_ns
        current = self._processes.get(pid)
        if current is not None and current.mappings == mappings and self._is_there(current):
            if stop == Stop.NO_TABLES:
                self._point(pid, current)
                self.interpreters.look(pid, mappings)
            elif stop == Stop.NO_ROW and self.code.rests_s(pid) is not None:
                self._look_at_code(pid)
            elif stop in (Stop.NO_MAPPING, Stop.NO_ROW):
                self._put_off(pid)
            return
        self._patience.pop(pid, None)
        if self.code.rests_s(pid) is not None:  # it has more code, most likely
            self._look_at_code(pid)
        self.code.look(pid, mappings)
        if self._renew(pid, mappings):
            self.interpreters.look(pid, mappings)

    def _renew(self, pid: int, mappings: Sequence[Mapped]) -> bool:
        """Give a process mappings with the tables that there are now; False where that cannot be."""
        new = self._new_slice(pid, mappings)
        if new is not None:
            self._point(pid, new)
        return new is not None

    def mappings_of(self, pid: int) -> tuple[NDArray[np.void], list[Placed | None]] | None:
        """The mappings of a process as the kernel has them, in order: (n,) of MAPPING, and the files behind them; None
        if it is not covered.
        """
        found = self._processes.get(pid)
        if found is None or not self._is_there(found):
            return None
        mappings = self._maps.mappings[found.first : found.first + len(found.entries)].copy()
        return mappings, [placed for _mapping, placed in found.entries]

    def _is_there(self, one: _Slice) -> bool:
        """Whether a slice has not been freed; its place may have been given to another one since."""
        return self._slices.get(one.first) is one

    def _put_off(self, pid: int) -> None:
        """Nothing new was found: the next look is further away each time."""
        patience = self._patience[pid] = min(_LONGEST_S, 2 * self._patience.get(pid, _PATIENCE_S / 2))
        self._put_off_for(pid, patience)

    def _look_at_code(self, pid: int) -> None:
        """Give the code its rows that a runtime has made since."""
        if (placed := self.code.refresh(pid, missed=True)) is not None:
            self._write_rows(placed)
        self._put_off_for(pid, self.code.rests_s(pid) or 0.0, code=True)

    def _put_off_for(self, pid: int, seconds: float, code: bool = False) -> None:
        self._maps.put_off(pid, time.clock_gettime_ns(time.CLOCK_MONOTONIC) + int(seconds * 1e9), code)

    def _point(self, pid: int, to: _Slice) -> None:
        if not self._maps.point(pid, to.first, len(to.entries)):
            self._counts["processes that found no room"] += 1
            return
        to.missed = 0
        self._processes[pid] = to
        self.installed += 1

    def _new_slice(self, pid: int, mappings: Sequence[Mapped]) -> _Slice | None:
        searched = [m for m in mappings if m.path != "[vsyscall]"]
        if not searched:
            return None  # it has ended: a zombie's maps are empty
        first = self._maps.free_mappings.take(len(searched))
        if first is None:
            self._counts["processes whose mappings found no room"] += 1
            return None
        entries = []
        for mapping in searched:
            placed = self._files.of(pid, mapping) or self.code.of(pid, mapping)
            if placed is not None:
                placed.slices.add(first)  # at once: or it would make room for the next one
            entries.append((mapping, placed))
        new = self._slices[first] = _Slice(first, tuple(mappings), entries, any(map(may_be_one, mappings)))
        self._maps.mappings[first : first + len(entries)] = _rows_of(entries)
        return new

    def advance(self) -> None:
        """Take in the tables that were built since the last time, and interpreters that have started."""
        if self.interpreters.again():
            self._look_at_forked(self._maps.slices())
        for placed in self._files.advance():
            self._write_rows(placed)
        for pid in self.code.waiting():
            with contextlib.suppress(OSError):  # it has ended
                mappings = tuple(executable_mappings(pid))
                if self.code.look(pid, mappings):
                    self._renew(pid, mappings)

    @property
    def due(self) -> float:
        """When `advance` has something to do, on the monotonic clock."""
        return min(self.interpreters.due, self.code.due)

    def _write_rows(self, placed: Placed) -> None:
        """A file has its rows now: complete the mappings that waited for them, the bias before the rows."""
        for first in placed.slices:
            for i, (mapping, file) in enumerate(self._slices[first].entries):
                if file is placed:
                    (row,) = _rows_of([(mapping, placed)])
                    self._maps.mappings["bias"][first + i] = row["bias"]
                    self._maps.mappings["table"][first + i] = row["table"]

    def sweep(self) -> None:
        """Free what no process refers to any more."""
        alive = self._maps.slices()
        used = set(alive.values())
        for first, one in list(self._slices.items()):
            one.missed = 0 if first in used else one.missed + 1
            if one.missed >= 2:
                del self._slices[first]
                self._maps.free_mappings.give(first, len(one.entries))
                for _mapping, placed in one.entries:
                    if placed is not None:
                        placed.slices.discard(first)
        for pid in [pid for pid in self._processes if pid not in alive]:
            del self._processes[pid]
            self._patience.pop(pid, None)
        for pid in self._read_ns.keys() - self._processes.keys():
            del self._read_ns[pid]
        self.interpreters.keep(alive)
        self._look_at_forked(alive)
        for placed in self.code.keep(alive):
            self._write_rows(placed)
        self._files.trim()

    def _look_at_forked(self, alive: Mapping[int, int]) -> None:
        """An interpreter that forks before its frames are read has children with its mappings, but without that.

        They have tables, so the kernel never asks for them. alive: as of `KernelMaps.slices`.
        """
        forked: list[tuple[int, tuple[Mapped, ...]]] = []
        for pid in alive.keys() - self._processes.keys():
            one = self._slices.get(alive[pid])
            if one is not None and one.is_interpreter and not self.interpreters.waits(pid):
                forked.append((pid, one.mappings))
        if forked:
            read = self._maps.interpreters()
            for pid, mappings in forked:
                if pid not in read:
                    self.interpreters.look(pid, mappings)


def _rows_of(entries: Sequence[tuple[Mapped, Placed | None]]) -> NDArray[np.void]:
    """The mappings as the kernel has them: (n,) of MAPPING."""
    rows = []
    for mapping, placed in entries:
        word = (0 if mapping.has_file else ANONYMOUS) if placed is None else placed.word
        found = placed.found if placed is not None else None
        bias = found.bias(mapping.start, mapping.offset) if found is not None else 0
        rows.append((mapping.start, min(mapping.end, (1 << 63) - 1), bias, word))
    return np.array(rows, MAPPING)
