"""What is known of each mapped file: its symbols and its segments, kept for as long as memory allows."""

from __future__ import annotations

import mmap
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.address_space import Mapping, mapped_facts
from aperture_tui.symbolize.debug_files import DebugInfo, debug_file, debug_info, inline_sources, mini_debug_info
from aperture_tui.symbolize.elf import SHT_DYNSYM, SHT_SYMTAB, Elf, ElfError, FileSource, Loads, Section, Source
from aperture_tui.symbolize.frame_header import frame_header
from aperture_tui.symbolize.go_table import go_rows
from aperture_tui.symbolize.plt import plt_rows
from aperture_tui.symbolize.symbol_index import EMPTY, Rows, SymbolIndex, build, function_rows, object_rows

_NO_LOADS: Final = Loads(*(np.zeros(0, np.uint64) for _ in range(3)))
_NO_STARTS: Final = np.zeros(0, np.uint64)
_NO_SEGMENTS: Final = np.zeros((0, 4), np.uint64)
MAX_SEGMENTS: Final = 64
"""Loaded segments of a file whose data objects are looked at; linkers make up to ten."""
_OVERHEAD: Final = 2_000  # bytes of Python objects around an image


class ImageKey(NamedTuple):
    """A version of a file: what stat says of it. changed_ns is its ctime, which nobody can set."""

    device: int
    inode: int
    modified_ns: int
    size: int
    changed_ns: int = 0

    @classmethod
    def of(cls, facts: os.stat_result) -> ImageKey:
        """The version that these facts are of."""
        return cls(facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_size, facts.st_ctime_ns)


@dataclass(frozen=True, slots=True)
class Image:
    """Symbols and segments of one file.

    elf: False for what cannot be used as an ELF file: there are no symbols then, and addresses are file offsets.
    problems: what could not be read, one line each; the rest is still good. starts: (n,) uint64, ascending, the virtual
    addresses at which functions begin, of a file that is stripped; empty for others. segments: (n, 4) uint64, of an
    image of data objects: file offset, virtual address, bytes in the file and bytes in memory of what is loaded.
    """

    index: SymbolIndex
    loads: Loads
    elf: bool
    problems: tuple[str, ...] = ()
    starts: NDArray[np.uint64] = field(default_factory=lambda: _NO_STARTS)
    segments: NDArray[np.uint64] = field(default_factory=lambda: _NO_SEGMENTS)

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self.index.nbytes + self.starts.nbytes + self.segments.nbytes + _OVERHEAD

    def find(self, offsets: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
        """Rows of the index (-1 where there is none) and virtual addresses of file offsets: (n,) each."""
        addresses = self.loads.virtual(offsets)
        return self.index.find(addresses), addresses

    def segment_of(self, address: int) -> tuple[int, int] | None:
        """File offset and virtual address of the segment in which a virtual address lies, .bss included, or None."""
        for offset, start, _, size in self.segments.tolist():
            if start <= address < start + size:
                return offset, start
        return None

    def load_bias(self, mapping: Mapping, near: Sequence[Mapping]) -> int | None:
        """What the loader added to the virtual addresses of a mapping's segment, modulo 2**64.

        None if the file is not loaded there as a program is, but read as data. near: mappings around it, itself among
        them; of a loaded file two segments at least must agree, if it has two.
        """
        page, segments = mmap.PAGESIZE, self.segments.tolist()
        votes: dict[int, set[int]] = {}
        candidates: list[int] = []
        for other in near:
            if (other.device, other.inode, other.path) != (mapping.device, mapping.inode, mapping.path):
                continue
            for row, (offset, address, size, _) in enumerate(segments):
                if size and offset // page * page <= other.offset < offset + size:
                    bias = (other.start - other.offset + offset - address) % 2**64
                    votes.setdefault(bias, set()).add(row)
                    candidates += [bias] if other == mapping else []
        best = max(candidates, key=lambda bias: len(votes[bias]), default=None)
        filled = sum(size > 0 for _, _, size, _ in segments)
        return best if best is not None and len(votes[best]) >= min(2, filled) else None

    def function_starts(self, addresses: NDArray[np.uint64], unknown: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Where the functions begin in which virtual addresses lie, or `unknown` where that is not known: (n,)."""
        if not len(self.starts):
            return unknown
        row = np.searchsorted(self.starts, addresses, "right") - 1
        return np.where(row >= 0, self.starts[row], unknown)


NO_IMAGE: Final = Image(EMPTY, _NO_LOADS, False)
"""Of what is no ELF file."""


@dataclass
class _Tables:
    read: Callable[[Elf, Section], Rows] = function_rows
    rows: list[Rows] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def symbols(self) -> int:
        """How many symbols were read."""
        return sum(len(rows.start) for rows in self.rows)

    def add(self, elf: Elf, kind: int) -> bool:
        """Add what is wanted of the first table of this kind; False if there is nothing."""
        section = next((s for s in elf.sections if s.type == kind and s.size), None)
        if section is None:
            return False
        try:
            rows = self.read(elf, section)
        except ElfError as error:
            self.problems.append(str(error))
            return False
        # .dynsym is a part of a whole .symtab: only beside a partly stripped one has it something to add
        if kind != SHT_DYNSYM or len(rows.start) > self.symbols:
            self.rows.append(rows)
        return len(rows.start) > 0

    def add_go(self, elf: Elf) -> None:
        """Add the functions that a stripped program of Go knows by itself."""
        try:
            rows = go_rows(elf)
        except ElfError as error:
            self.problems.append(str(error))
        else:
            self.rows.extend([] if rows is None else [rows])

    def starts(self, elf: Elf) -> NDArray[np.uint64]:
        """Where functions begin, by the tables for unwinding."""
        try:
            return frame_header(elf).start.astype(np.uint64)
        except ElfError as error:
            self.problems.append(str(error))
            return _NO_STARTS

    def add_plt(self, elf: Elf) -> None:
        """Add the named entries of the procedure linkage table."""
        section = next((s for s in elf.sections if s.type == SHT_DYNSYM and s.size), None)
        try:
            self.rows.extend(plt_rows(elf, section) if section else ())
        except ElfError as error:
            self.problems.append(str(error))


def read_image(source: Source, path: str = "", roots: Sequence[str] = ()) -> Image:
    """The symbols of a file, without its debug information: see `read_file`."""
    return read_file(source, path, roots)[0]


def read_file(source: Source, path: str = "", roots: Sequence[str] = ()) -> tuple[Image, tuple[DebugInfo, ...]]:
    """Read the symbols of a file: .symtab, or its debug file's, or .gnu_debugdata's; .dynsym where it adds to them.

    -> and what tells which functions are inlined, itself unread, the best first. path, roots: see
    `debug_files.debug_file`. Never raises for what the file holds; `problems` says it.
    """
    try:
        if source.read(0, min(4, source.size)) != b"\x7fELF":
            return Image(EMPTY, _NO_LOADS, False), ()
        elf = Elf.read(source)
    except ElfError as error:
        return Image(EMPTY, _NO_LOADS, False, (str(error),)), ()
    tables = _Tables()
    debug = debug_info(elf)
    starts = _NO_STARTS
    if not tables.add(elf, SHT_SYMTAB):
        debug = _add_separate(tables, elf, path, roots) or debug
        tables.add_go(elf)
        starts = tables.starts(elf)
    tables.add(elf, SHT_DYNSYM)
    tables.add_plt(elf)
    try:
        index = build(tables.rows)
    except ElfError as error:
        index = EMPTY
        tables.problems.append(str(error))
    return Image(index, elf.loads, True, tuple(tables.problems), starts), inline_sources(elf, debug)


def read_objects(source: Source, path: str = "", roots: Sequence[str] = ()) -> tuple[Image, tuple[()]]:
    """Read the data objects of a file, from where `read_file` has its functions. Never raises for what it holds."""
    try:
        if source.read(0, min(4, source.size)) != b"\x7fELF":
            return NO_IMAGE, ()
        elf = Elf.read(source)
    except ElfError as error:
        return Image(EMPTY, _NO_LOADS, False, (str(error),)), ()
    tables = _Tables(object_rows)
    if not tables.add(elf, SHT_SYMTAB):
        _add_separate(tables, elf, path, roots)
    tables.add(elf, SHT_DYNSYM)
    try:
        index = build(tables.rows, skips=True)
    except ElfError as error:
        index = EMPTY
        tables.problems.append(str(error))
    loads = elf.load_segments
    if len(loads) > MAX_SEGMENTS:
        tables.problems.append(f"{len(loads)} loaded segments, the limit is {MAX_SEGMENTS}")
        loads = loads[:0]
    segments = np.stack([loads[name] for name in ("offset", "address", "file_size", "memory_size")], 1)
    return Image(index, elf.loads, True, tuple(tables.problems), segments=segments.astype(np.uint64)), ()


def _add_separate(tables: _Tables, elf: Elf, path: str, roots: Sequence[str]) -> DebugInfo | None:
    """Add the symbols that a stripped file keeps elsewhere; -> where its DWARF is."""
    debug = None
    try:
        separate = debug_file(elf, path, roots)
        if separate is not None:
            debug = debug_info(separate)
            if tables.add(separate, SHT_SYMTAB):
                return debug
    except ElfError as error:
        tables.problems.append(f"debug file: {error}")
    try:
        mini = mini_debug_info(elf)
        if mini is not None:
            tables.add(mini, SHT_SYMTAB)
    except ElfError as error:
        tables.problems.append(str(error))
    return debug


class Opened(NamedTuple):
    """What became of a file. fresh: it was read just now. debug: if it is, what tells which functions are inlined."""

    key: ImageKey
    image: Image
    fresh: bool
    debug: tuple[DebugInfo, ...]


class ImageCache:
    """Images by file version, the longest unused let go first. Owned by one thread.

    max_bytes: memory of all indexes together; max_files: how many are kept (a large one holds a descriptor).
    reader: `read_file` for functions, `read_objects` for data.
    """

    def __init__(
        self,
        max_bytes: int = 24 << 20,
        max_files: int = 512,
        reader: Callable[[Source, str, Sequence[str]], tuple[Image, tuple[DebugInfo, ...]]] = read_file,
    ) -> None:
        self._images: OrderedDict[ImageKey, Image] = OrderedDict()
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._reader = reader
        self.nbytes = 0
        """Memory held."""

    def __len__(self) -> int:
        return len(self._images)

    def clear(self) -> None:
        """Hold nothing any more: images whose names are read when they are asked for hold a descriptor."""
        self._images.clear()
        self.nbytes = 0

    def get(self, key: ImageKey) -> Image | None:
        """The image of a file version if it is held."""
        image = self._images.get(key)
        if image is not None:
            self._images.move_to_end(key)
        return image

    def mapped(self, pid: int, mapping: Mapping) -> Opened | None:
        """The image behind a process's mapping if it is held: one system call most times, not the six that open it."""
        try:
            key = ImageKey.of(mapped_facts(pid, mapping))
        except OSError:
            return None
        image = self.get(key)
        return None if image is None else Opened(key, image, False, ())

    def read(self, source: FileSource, path: str, roots: Sequence[str]) -> Opened:
        """The image of an open file. Takes it over."""
        key = ImageKey.of(source.stat())
        image = self.get(key)
        if image is not None:
            source.close()
            return Opened(key, image, False, ())
        image, debug = self._reader(source, path, roots)
        self._images[key] = image
        self.nbytes += image.nbytes
        self._trim()
        return Opened(key, image, True, debug)

    def _trim(self) -> None:
        """Always keeps the newest, however large: it is about to be used."""
        while len(self._images) > 1 and (self.nbytes > self._max_bytes or len(self._images) > self._max_files):
            _, image = self._images.popitem(last=False)
            self.nbytes -= image.nbytes
