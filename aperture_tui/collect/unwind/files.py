"""The files whose rows are in the kernel's map, or are on their way there."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.collect.unwind.builder import Builder
from aperture_tui.collect.unwind.kernel_maps import ANONYMOUS, PENDING, ROWS_APART, KernelMaps
from aperture_tui.collect.unwind.table import FileTable, NotCachedError, file_table, without_rows
from aperture_tui.symbolize.address_space import Mapping, mapped_facts, open_mapping
from aperture_tui.symbolize.awaited import Awaited
from aperture_tui.symbolize.elf import BytesSource, FileSource
from aperture_tui.symbolize.images import ImageKey
from aperture_tui.symbolize.served import NotAnsweringError
from aperture_tui.symbolize.unwind_cache import UnwindCache
from aperture_tui.symbolize.vdso import vdso_key, vdso_memory

_MAX_FILES: Final = 4096
_GUESSED: Final = 0
"""`Placed.word` of a file that has no rows: each step is guessed, and marked so."""
_NO_ROWS: Final = np.zeros(0, np.uint64)


class Extent(NamedTuple):
    """Rows in the kernel's map. every: of `KernelMaps.row`."""

    first: int
    rows: int
    every: NDArray[np.uint64]

    @classmethod
    def of(cls, first: int, rows: NDArray[np.uint64]) -> Extent:
        """Of rows that begin there."""
        return cls(first, len(rows), rows[::ROWS_APART].copy())


_NOWHERE: Final = Extent(0, 0, np.zeros(0, np.uint64))


@dataclass(slots=True, eq=False)
class Placed:
    """A file, or a process's code that has none. found: None while its table is being made. extent: where its rows are;
    replaced as a whole, for other threads look.

    made_of: what the table is to be made of, `UnwindSource.key`. frame_pointers: until then callers are guessed by
    them. slices: those that refer to the file, by their first mapping. used: when it was last asked for,
    time.monotonic.
    """

    key: ImageKey
    found: FileTable | None = None
    made_of: bytes = b""
    frame_pointers: bool = False
    extent: Extent = _NOWHERE
    slices: set[int] = field(default_factory=set)
    used: float = 0.0

    @property
    def word(self) -> int:
        """`table` of a mapping of this file."""
        if self.found is None:
            return _GUESSED if self.frame_pointers else PENDING
        return self.extent.first | self.extent.rows << 32 if self.found.elf else ANONYMOUS


class Files:
    """Owned by the supply's thread. Raises nothing for what files do: see `degraded`."""

    def __init__(self, maps: KernelMaps, cache: UnwindCache | None = None) -> None:
        self.builder = Builder()
        self._counts: Counter[str] = Counter()
        self._maps = maps
        self._cache = UnwindCache() if cache is None else cache
        self._files: dict[ImageKey, Placed] = {}
        self._awaited: Awaited[int] = Awaited()
        self._alike: dict[bytes, list[tuple[Placed, int]]] = {}
        """What tables are being made of -> other files and their descriptors that wait for the same."""

    def __len__(self) -> int:
        return len(self._files)

    @property
    def degraded(self) -> dict[str, int]:
        """Cause -> files that have no rows, or not all of them."""
        return {**self._counts, **({"files whose builder ended": self.builder.died} if self.builder.died else {})}

    @property
    def pending(self) -> int:
        """Files whose tables are being made."""
        return self.builder.waiting + sum(map(len, self._alike.values()))

    def of(self, pid: int, mapping: Mapping) -> Placed | None:
        """The file behind a mapping; None where there is none, or where it cannot be opened."""
        if mapping.path == "[vdso]":
            return self._vdso(pid, mapping)
        if not mapping.has_file:
            return None
        try:
            placed = self.known(ImageKey.of(mapped_facts(pid, mapping)))
            if placed is None and mapping in self._awaited:
                return self._await(pid, mapping)
            return self._new(open_mapping(pid, mapping)) if placed is None else placed
        except NotAnsweringError:
            return self._await(pid, mapping)
        except OSError:
            self._counts["files that cannot be opened"] += 1
            return None

    def _await(self, pid: int, mapping: Mapping) -> Placed | None:
        """A file that does not answer, known by its number until it does; None if it is one too many."""
        if not self._awaited.add(pid, mapping):
            return None
        key = _number(mapping)
        return self._files.setdefault(key, Placed(key, used=time.monotonic()))

    def _take_awaited(self) -> Iterator[Placed]:
        """Ask again for what did not answer -> files whose rows came with it."""
        for pid, mapping in self._awaited.take():
            try:
                source = open_mapping(pid, mapping)
            except NotAnsweringError:
                self._awaited.add(pid, mapping)
                continue
            except OSError:  # its process has ended; another that maps it asks anew
                self._files.pop(_number(mapping), None)
                continue
            placed = self._files.pop(_number(mapping), None)
            if placed is not None:
                placed.key = ImageKey.of(source.stat())
                self._files[placed.key] = placed
                self._find(placed, os.dup(source.fileno()))
                if placed.found is not None:
                    yield placed
            source.close()

    def known(self, key: ImageKey) -> Placed | None:
        """A file that has been met before. Any thread may ask."""
        placed = self._files.get(key)
        if placed is not None:
            placed.used = time.monotonic()
        return placed

    def _new(self, source: FileSource) -> Placed:
        """A file that has not been met before. Closes it."""
        key = ImageKey.of(source.stat())
        placed = self._files[key] = Placed(key, used=time.monotonic())
        self._find(placed, os.dup(source.fileno()))
        source.close()
        return placed

    def _find(self, placed: Placed, fd: int) -> None:
        """A file's rows, out of the cache or built later. Takes fd over."""
        source = FileSource(os.dup(fd))
        try:
            self._place(placed, file_table(source, self._cache, build=False))
        except NotCachedError as missing:
            self._have_built(placed, fd, missing)
            return
        finally:
            source.close()
        os.close(fd)

    def _have_built(self, placed: Placed, fd: int, missing: NotCachedError) -> None:
        placed.made_of, placed.frame_pointers = missing.key, missing.frame_pointers
        alike = self._alike.get(missing.key)
        if alike is not None and len(alike) < _MAX_FILES:  # each container has its own copy of the C library
            alike.append((placed, fd))
        elif self.builder.submit(placed.key, fd, missing.size, lambda: len(placed.slices)):
            self._alike.setdefault(missing.key, [])
        else:
            del self._files[placed.key]  # asked for again with the next process
            self._counts["files passed over, because too many others were waiting"] += 1

    def _vdso(self, pid: int, mapping: Mapping) -> Placed | None:
        key = vdso_key(mapping)
        placed = self.known(key)
        if placed is None and (data := vdso_memory(pid, mapping)):
            placed = self._files[key] = Placed(key, used=time.monotonic())
            self._place(placed, file_table(BytesSource(data), self._cache, build=True))
        return placed

    def advance(self) -> list[Placed]:
        """Take in what was built since the last time: the files whose mappings are to be written anew."""
        done = list(self._take_awaited())
        for key, found in self.builder.advance():
            placed = self._files.get(key)
            if placed is None:
                continue
            self._place(placed, self._believed(placed, found))
            done.append(placed)
            for other, fd in self._alike.pop(placed.made_of, []):
                self._find(other, fd)
                if other.found is not None:
                    done.append(other)
        return done

    def _believed(self, placed: Placed, found: FileTable) -> FileTable:
        """What the child has made, kept on disk if it is of what we have read ourselves."""
        if found.problem:
            return found
        if found.key != placed.made_of:  # on disk it would be taken for that of others, the C library's perhaps
            return without_rows("it was changed while its table was made")
        self._cache.keep(found.key, found.table)
        return found

    def _place(self, placed: Placed, found: FileTable) -> None:
        """Write a file's rows into the kernel's map."""
        rows = found.table.rows
        first = self.room(len(rows)) if len(rows) else 0
        if first is None:
            self._counts["files whose rows found no room"] += 1
            first, rows = 0, rows[:0]
            del self._files[placed.key]  # the next process that maps it tries again
        elif found.elf and found.problem:
            self._counts["files without an unwind table"] += 1
        self._maps.write_rows(first, rows)
        table = found.table
        placed.extent = Extent.of(first, rows)
        # last: other threads take it for found from here on. Its rows are in the kernel's map now
        placed.found = replace(found, table=replace(table, rows=_NO_ROWS))
        if table.truncated:
            self._counts["files whose unwind table is cut at its limit"] += 1
        if table.malformed:
            self._counts["functions with malformed call frame information"] += table.malformed

    def room(self, n: int) -> int | None:
        """A place for n > 0 rows, where files make room that nobody uses; None where there is none."""
        first = self._maps.free_rows.take(n)
        while first is None and self._let_go():
            first = self._maps.free_rows.take(n)
        return first

    def _let_go(self) -> bool:
        """Free the file that nobody has used for longest; False if all are in use."""
        idle = [p for p in self._files.values() if p.found is not None and not p.slices]
        if not idle:
            return False
        oldest = min(idle, key=lambda placed: placed.used)
        self.give(oldest.extent)
        del self._files[oldest.key]
        return True

    def give(self, extent: Extent) -> None:
        """Free the place of rows that no mapping leads to any more."""
        if extent.rows:
            self._maps.free_rows.give(extent.first, extent.rows)

    def trim(self) -> None:
        """Keep the number of files within its limit."""
        while len(self._files) > _MAX_FILES and self._let_go():
            pass

    def close(self) -> None:
        """End the builder."""
        self.builder.close()
        for others in self._alike.values():
            for _placed, fd in others:
                os.close(fd)
        self._alike.clear()


def _number(mapping: Mapping) -> ImageKey:
    """What a file is known by of which nothing else is."""
    return ImageKey(mapping.device, mapping.inode, 0, 0)
