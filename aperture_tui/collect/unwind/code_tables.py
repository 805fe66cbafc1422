"""Code that a runtime makes while it runs: rows for it, made again as there is more of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect.unwind.files import Extent, Files, Placed
from aperture_tui.collect.unwind.table import FileTable
from aperture_tui.profile.text import clean
from aperture_tui.symbolize.elf import Loads
from aperture_tui.symbolize.hotspot import unwind_rows
from aperture_tui.symbolize.hotspot.binary import LIBRARY
from aperture_tui.symbolize.hotspot.reader import JavaReader
from aperture_tui.symbolize.hotspot.reader import opener as java_opener
from aperture_tui.symbolize.images import ImageKey
from aperture_tui.symbolize.runtime_frames import Opening, RuntimeFrames
from aperture_tui.symbolize.unwind_layout import UnwindTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.collect.unwind.kernel_maps import KernelMaps
    from aperture_tui.symbolize.address_space import Mapping

_JAVA: Final = "java"
_SHARE: Final = 20
"""Without its rows a stack is lost, while a name may come later: see `RuntimeFrames`."""
_NO_DEVICE: Final = -1
"""Of the keys of code that is in no file; their inode is the process's number."""
_MAX_REASONS: Final = 16


@dataclass(frozen=True)
class CodeTable(FileTable):
    """The rows of a process's code cache: of addresses less one base, in whatever mapping they lie."""

    def bias(self, start: int, offset: int) -> int:
        """The base."""
        del start, offset
        return self.table.base


@dataclass(slots=True)
class _Cache:
    """One process's, at [base, end). library: of the runtime; another one is another process in its place. rows:
    without those of gaps. old: what other CPUs may be looking into yet. lacks_room: for the newest rows, so the kernel
    has older ones or none.
    """

    opening: Opening = field(default_factory=Opening)
    library: Mapping | None = None
    placed: Placed | None = None
    base: int = 0
    end: int = 0
    rows: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    old: list[Extent] = field(default_factory=list)
    lacks_room: bool = False


class CodeTables:
    """Of all processes. Owned by the supply's thread; `known` may be asked by any. clock: seconds."""

    def __init__(self, maps: KernelMaps, files: Files, clock: Callable[[], float] = time.monotonic) -> None:
        self._maps = maps
        self._files = files
        self._clock = clock
        self._runtimes = RuntimeFrames({_JAVA: java_opener()}, clock, _SHARE)
        self._caches: dict[int, _Cache] = {}
        self._retired: list[_Cache] = []

    @property
    def counts(self) -> dict[str, int]:
        """Reason -> processes of now whose code has no rows."""
        caches = list(self._caches.values())  # a copy: other threads ask
        reasons = Counter(
            f"Java code not unwound: {clean(cache.opening.problem)}" for cache in caches if cache.opening.problem
        )
        known = dict(reasons.most_common(_MAX_REASONS))
        lacking = sum(cache.lacks_room for cache in caches)
        return {**known, "code caches whose rows found no room": lacking} if lacking else known

    def known(self, key: ImageKey) -> Placed | None:
        """A process's code, by the key of what `of` gave."""
        cache = self._caches.get(key.inode) if key.device == _NO_DEVICE else None
        return None if cache is None else cache.placed

    def of(self, pid: int, mapping: Mapping) -> Placed | None:
        """What a mapping without a file has of a process's code; None if that is nothing that is known."""
        cache = self._caches.get(pid)
        if cache is None or cache.placed is None or mapping.has_file:
            return None
        return cache.placed if mapping.start < cache.end and cache.base < mapping.end else None

    def look(self, pid: int, mappings: Sequence[Mapping]) -> bool:
        """A process has these mappings: read its code, if it is of a runtime whose code is read; to be tried again as
        long as that has not started -> whether there are rows for it now that there were not.
        """
        library = next((m for m in mappings if m.module == LIBRARY), None)
        cache = self._caches.get(pid)
        if cache is not None and cache.library != library:
            self._retire(pid)
        if library is None:
            return False
        cache = self._caches.setdefault(pid, _Cache(library=library))
        if cache.placed is not None or (cache.lacks_room and self._clock() < cache.opening.due):
            return False
        reader = self._runtimes.open(cache.opening, pid, mappings)
        return isinstance(reader, JavaReader) and self._make(pid, cache, reader, None)

    @property
    def due(self) -> float:
        """When `waiting` has one, on the clock; infinity if never."""
        return min((c.opening.due for c in self._caches.values() if c.placed is None), default=float("inf"))

    def waiting(self) -> list[int]:
        """Processes that are to be looked at again."""
        now = self._clock()
        return [pid for pid, cache in self._caches.items() if cache.placed is None and cache.opening.due <= now]

    def refresh(self, pid: int, missed: bool) -> Placed | None:
        """Look for new code, if it is time; `missed`: the kernel has met some -> what has other rows now."""
        cache = self._caches.get(pid)
        if cache is None or cache.placed is None:
            return None
        cache.opening.asked = True
        changed = self._runtimes.refresh(cache.opening, missed)
        reader = cache.opening.reader
        if not changed or not isinstance(reader, JavaReader) or not self._make(pid, cache, reader, changed):
            return None
        return cache.placed

    def rests_s(self, pid: int) -> float | None:
        """How long a process is left alone now, whatever the kernel meets in it; None if its code is not read."""
        cache = self._caches.get(pid)
        return None if cache is None or cache.placed is None else max(0.0, cache.opening.eager - self._clock())

    def keep(self, pids: Container[int]) -> list[Placed]:
        """All others are gone; -> what has other rows now, of those that were not looked at for long."""
        for pid in [pid for pid in self._caches if pid not in pids]:
            self._retire(pid)
        for cache in [cache for cache in self._retired if cache.placed is None or not cache.placed.slices]:
            self._retired.remove(cache)
            for extent in [*cache.old, cache.placed.extent] if cache.placed is not None else cache.old:
                self._files.give(extent)
        return [placed for pid in self._caches if (placed := self.refresh(pid, missed=False)) is not None]

    def _retire(self, pid: int) -> None:
        """A process is gone; mappings may lead to its rows yet."""
        self._retired.append(self._caches.pop(pid))

    def _make(self, pid: int, cache: _Cache, reader: JavaReader, changed: Sequence[tuple[int, int]] | None) -> bool:
        """Rows for the code that is new, all of it without `changed` -> whether the kernel has them."""
        code = reader.code_frames()
        low, cache.end = reader.bounds
        if changed is None:
            cache.base = low  # of all rows from now on: mappings have it
        base = cache.base
        if changed is None:
            rows = unwind_rows.rows_of(code, base, reader.read)
        else:
            fresh = unwind_rows.rows_of(code.of(code.within(changed)), base, reader.read)
            rows = np.sort(np.concatenate((unwind_rows.kept(cache.rows, base, changed), fresh)))
        cache.rows = rows
        return self._place(pid, cache, unwind_rows.with_gaps(rows, code, base, base))

    def _place(self, pid: int, cache: _Cache, rows: NDArray[np.uint64]) -> bool:
        """Put rows beside the old ones, which are freed the next time: no walk takes that long."""
        for extent in cache.old:
            self._files.give(extent)
        cache.old = []
        first = self._files.room(len(rows))
        cache.lacks_room = first is None
        if first is None:
            if cache.placed is None:
                self._runtimes.put_off(cache.opening)  # to make them again may take seconds
            return False
        self._maps.write_rows(first, rows)
        if cache.placed is None:
            none = np.zeros(0, np.uint64)
            table = CodeTable(UnwindTable(none, cache.base), Loads(none, none, none))
            cache.placed = Placed(ImageKey(_NO_DEVICE, pid, 0, 0), table)
        else:
            cache.old = [cache.placed.extent]
        cache.placed.extent = Extent.of(first, rows)
        return True
