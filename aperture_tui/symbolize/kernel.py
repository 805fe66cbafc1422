"""Kernel symbols, from /proc/kallsyms."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.aliases import choose, cut_names
from aperture_tui.symbolize.hex_columns import parse_hex

if TYPE_CHECKING:
    from aperture_tui.symbolize.kernel_cache import KernelCache

KERNEL: Final = "kernel"
"""The module of what is in none."""
RELOAD_S: Final = 30.0
"""An address outside what is known makes the table be read again at most this often: a module loaded later."""
TEXT: Final = b"tTwW"
DATA: Final = b"dDbBrR"
_MAX_BYTES: Final = 256 << 20
_PIECE: Final = 1 << 20
_LONGEST_LINE: Final = 4096
_PAGE: Final = 4096
_LONGEST: Final = 1 << 18  # bytes; kallsyms has no sizes: a gap behind a symbol that is larger is not its code
_LONGEST_OBJECT: Final = np.uint64(64 << 10)
_HALF: Final = np.uint64(1 << 63)  # addresses of the kernel; those below are offsets of variables of CPUs
_NO_DATA: Final = "this kernel does not name its data (CONFIG_KALLSYMS_ALL)"
_NO_ADDRESSES: Final = (
    "kernel addresses are hidden (kernel.kptr_restrict): run as root, or sysctl kernel.kptr_restrict=0"
)


@dataclass(frozen=True, slots=True)
class KernelTable:
    """The symbols of a kernel, of its text or of its data, by address: (n,) each.

    start, end: addresses, half-open. name_at, name_size: bytes of `names`. module: row of `modules`; 0 is the kernel.
    """

    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    name_at: NDArray[np.uint32]
    name_size: NDArray[np.uint16]
    module: NDArray[np.uint16]
    modules: tuple[str, ...]
    names: bytes

    def find(self, addresses: NDArray[np.uint64]) -> NDArray[np.intp]:
        """The row of each address, -1 where there is none: (n,)."""
        if not len(self.start):
            return np.full(len(addresses), -1, np.intp)
        row = np.searchsorted(self.start, addresses, "right") - 1
        return np.where((row >= 0) & (addresses < self.end[row]), row, -1)


class _Columns(NamedTuple):
    """The symbols of some lines, in their order: (n,) each; names holds their names one behind the other."""

    address: NDArray[np.uint64]
    local: NDArray[np.uint8]
    name_size: NDArray[np.uint16]
    module: NDArray[np.uint16]
    names: bytes


def parse_kallsyms(pieces: Iterable[bytes], types: bytes = TEXT) -> KernelTable:
    """Parse lines of "ADDRESS TYPE NAME[<tab>[MODULE]]" with addresses of one width. Other lines are passed over.

    pieces: the text, cut anywhere; each is parsed by itself, so that the whole text is never in memory. A last line
    without an end is dropped. Symbols of address 0 are left out: that is what a kernel shows to whom it hides its
    addresses. types: TEXT or DATA.
    """
    modules = {KERNEL: 0}
    columns = [_columns(b"", modules, types)]
    rest = b""
    for piece in pieces:
        text, newline, rest = (rest + piece).rpartition(b"\n")
        columns.append(_columns(text + newline, modules, types))
        rest = rest[-_LONGEST_LINE:]
    address, local, name_size, module = (np.concatenate(column) for column in list(zip(*columns, strict=True))[:4])
    names = b"".join(column.names for column in columns)
    name_at = np.cumsum(name_size, dtype=np.int64) - name_size
    buffer = np.frombuffer(names, np.uint8)

    def prefixes(rows: NDArray[np.intp]) -> NDArray[np.bytes_]:
        return cut_names(buffer, name_at[rows], name_size[rows].astype(np.intp))

    rows = choose(address, np.argsort(address, kind="stable"), local, prefixes)
    start, module = address[rows], module[rows]
    end = _ends(start, module) if types == TEXT else _object_ends(start, module)
    return KernelTable(start, end, name_at[rows].astype(np.uint32), name_size[rows], module, tuple(modules), names)


def _columns(text: bytes, modules: dict[str, int], types: bytes) -> _Columns:
    """Parse whole lines; new modules are added to `modules`."""
    buffer = np.frombuffer(text, np.uint8)
    end = np.flatnonzero(buffer == ord("\n"))
    begin = np.concatenate([np.zeros(min(1, len(end)), np.intp), end[:-1] + 1])
    width = max(text.find(b" "), 1)
    long_enough = end - begin >= width + 4
    begin, end = begin[long_enough], end[long_enough]
    wanted = np.isin(buffer[begin + width + 1], np.frombuffer(types, np.uint8))
    begin, end = begin[wanted], end[wanted]
    address, good = parse_hex(buffer, begin, begin + width)
    good &= address != 0
    address, begin, end = address[good], begin[good], end[good]
    name_at = begin + width + 3
    tabs = np.append(np.flatnonzero(buffer == ord("\t")), len(buffer))
    tab = tabs[np.searchsorted(tabs, name_at)]
    module = _modules(text, np.where(tab < end, tab, -1), end, modules)
    name_end = np.minimum(np.minimum(tab, end), name_at + _LONGEST_LINE)
    edges = np.zeros(len(buffer) + 1, np.int8)
    edges[name_at] = 1
    edges[name_end] -= 1
    names = buffer[np.cumsum(edges[:-1], dtype=np.int8).astype(bool)].tobytes()
    local = (buffer[begin + width + 1] >= ord("a")).astype(np.uint8)
    return _Columns(address, local, (name_end - name_at).astype(np.uint16), module, names)


def _modules(text: bytes, tab: NDArray[np.intp], end: NDArray[np.intp], modules: dict[str, int]) -> NDArray[np.uint16]:
    """The module of each line as a row of the names; 0, the kernel, where there is no tab."""
    out = np.zeros(len(tab), np.uint16)
    for row in np.flatnonzero(tab >= 0).tolist():
        name = text[tab[row] + 1 : end[row]].strip().strip(b"[]").decode("utf-8", "backslashreplace")
        name = name.removeprefix(
            "__builtin__"
        )  # the kernel's own trampolines: [__builtin__ftrace], [__builtin__kprobes]
        out[row] = modules.setdefault(name, len(modules)) if len(modules) < 0xFFFF else modules.get(name, 0)
    return out


def _ends(start: NDArray[np.uint64], module: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """Where each symbol ends: at the next one, or with its page where that is another module's or far away."""
    if not len(start):
        return start
    following = np.append(start[1:], np.uint64(0xFFFFFFFFFFFFFFFF))
    page_end = (start // np.uint64(_PAGE) + np.uint64(1)) * np.uint64(_PAGE)
    apart = (following - start > np.uint64(_LONGEST)) | np.append(module[1:] != module[:-1], True)
    return np.where(apart, np.minimum(page_end, following), following)


def _object_ends(start: NDArray[np.uint64], module: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """Where each data symbol ends: at the next one, 64 KB at most; a module's last one with its page."""
    top = np.uint64(0xFFFFFFFFFFFFFFFF)
    following = np.append(start[1:], top)[: len(start)]
    page_end = np.minimum(start, top - np.uint64(_PAGE)) // np.uint64(_PAGE) * np.uint64(_PAGE) + np.uint64(_PAGE)
    last = np.append(module[1:] != module[:-1], True)[: len(start)] & (module > 0)
    reach = np.where(last, page_end, np.minimum(start, top - _LONGEST_OBJECT) + _LONGEST_OBJECT)
    return np.minimum(following, reach)


class KernelData:
    """The kernel's data symbols, read once, at the first use. Owned by one thread."""

    def __init__(self, path: str = "/proc/kallsyms") -> None:
        self._path = path
        self._table: KernelTable | None = None
        self.reason = ""
        """Why there are no symbols, in one line; "" while there are, and before the first use."""

    def find(self, address: int) -> tuple[bytes, int] | None:
        """The symbol that an address lies in, and how far inside.

        None where there is none: memory that was allocated, and variables of CPUs, which are copies.
        """
        if self._table is None:
            self._table = self._load()
        if not _HALF <= address < 1 << 64:
            return None
        row = int(self._table.find(np.array([address], np.uint64))[0])
        if row < 0:
            return None
        at, size = int(self._table.name_at[row]), int(self._table.name_size[row])
        return self._table.names[at : at + size], address - int(self._table.start[row])

    def _load(self) -> KernelTable:
        none = parse_kallsyms((), DATA)
        try:
            with open(self._path, "rb", buffering=0) as file:
                table = parse_kallsyms(_pieces(file.read), DATA)
        except OSError as error:
            self.reason = f"{self._path} cannot be read: {error.strerror}"
            return none
        # every kernel has it; without it there are only the labels of sections, and what lies behind is not theirs
        if b"init_task" in table.names:
            return table
        self.reason = KernelSymbols(self._path).reason or _NO_DATA
        return none


class KernelSymbols:
    """The kernel's symbols, read at the first use and again when an address is met that they do not cover.

    Owned by one thread. kallsyms has no sizes: a symbol reaches to the next one, or to the end of its page where the
    next one is another module's or far away. cache: what is known from before, and is believed of what it covers.
    """

    def __init__(
        self,
        path: str = "/proc/kallsyms",
        clock: Callable[[], float] = time.monotonic,
        cache: Callable[[], KernelCache] | None = None,
    ) -> None:
        self._path = path
        self._clock = clock
        self._cache = cache
        self._table = parse_kallsyms(())
        self._read_at: float | None = None
        self._is_kept = False
        """Whether the table is the cache's."""
        self._reason = ""
        self.reads = 0
        """How often the table was read; rows are good for one reading."""

    @property
    def reason(self) -> str:
        """Why there are no symbols, in one line; "" while there are."""
        if self._read_at is None:
            self._load()
        return self._reason

    def __len__(self) -> int:
        return len(self._table.start)

    def find(self, addresses: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Rows of the table, -1 where an address is in no symbol: (n,). May read the table again: see `reads`."""
        if self._read_at is None:
            self._load()
        rows = self._table.find(addresses)
        if (rows < 0).any() and (self._is_kept or self._clock() - (self._read_at or 0) >= RELOAD_S):
            self._load()
            rows = self._table.find(addresses)
        return rows

    def name_at(self, row: int) -> tuple[bytes, str]:
        """Name and module of a row; the kernel proper is the module "kernel"."""
        at, size = int(self._table.name_at[row]), int(self._table.name_size[row])
        return self._table.names[at : at + size], self._table.modules[int(self._table.module[row])]

    def _load(self) -> None:
        """From the cache the first time, if it has the table."""
        cache = None if self._cache is None else self._cache()
        kept = None if cache is None else cache.read()
        first, self._read_at = self._read_at is None, self._clock()
        self._is_kept = first and kept is not None
        if first and kept is not None:
            self._take(kept)
            return
        try:
            with open(self._path, "rb", buffering=0) as file:
                table = parse_kallsyms(_pieces(file.read))
        except OSError as error:
            self._reason = f"{self._path} cannot be read: {error.strerror}"
            return
        self._reason = "" if len(table.start) else _NO_ADDRESSES
        if len(table.start) or not len(self._table.start):
            self._take(table)
        if cache is not None and kept is None:
            cache.keep(table)

    def _take(self, table: KernelTable) -> None:
        self._table = table
        self.reads += 1


def _pieces(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """The file in pieces of about a megabyte, though the kernel gives a page at a time."""
    left = _MAX_BYTES
    parts: list[bytes] = []
    held = 0
    while left > 0 and (part := read(min(left, _PIECE))):
        parts.append(part)
        held += len(part)
        left -= len(part)
        if held >= _PIECE:
            yield b"".join(parts)
            parts, held = [], 0
    yield b"".join(parts)
