"""Addresses of data to names: the symbol of a static lock, or what kind of memory another lies in.

Bounds: 64 processes and 32 MB of their maps, 16 MB a process; 16 MB of answers; 16 MB and 128 files of symbols, of
which each may be as large as MAX_SYMBOLS allows while it is the only one. What is let go is read again when needed.
"""

from __future__ import annotations

import errno
import functools
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.text import clean
from aperture_tui.symbolize.address_space import REFRESH_S, Mapping, open_mapping, parse_maps
from aperture_tui.symbolize.counts import ResolverCounts
from aperture_tui.symbolize.debug_files import roots_of
from aperture_tui.symbolize.demangle import demangle
from aperture_tui.symbolize.elf import ElfError
from aperture_tui.symbolize.hex_columns import parse_hex
from aperture_tui.symbolize.images import NO_IMAGE, Image, ImageCache, ImageKey, read_objects
from aperture_tui.symbolize.kernel import KernelData
from aperture_tui.symbolize.served import NotAnsweringError

LONGEST_S: Final = 30.0
"""What was said of a process is checked against its maps after this time at the latest."""
MAX_PROCESSES: Final = 64
_SHARE: Final = 50  # reading the maps of a process that has very many takes at most one part in so many of the time
_MAX_MAPS: Final = 16 << 20
_MAX_ALL_MAPS: Final = 32 << 20
_MAX_ANSWERS: Final = 16 << 20
_ANSWER: Final = 200  # bytes of an answer besides its text
_NEAR: Final = 32  # mappings on either side among which the others of a loaded file are looked for
_SHM: Final = "/dev/shm/"  # noqa: S108 where shm_open puts what it makes
_NO_KEY: Final = ImageKey(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class WholeMaps:
    """A /proc/PID/maps, of which a line is only parsed when it is asked for.

    begin, start, last: (n,), of each line that was understood: place in `text`, first and last address.
    skipped: lines that were not understood.
    """

    text: bytes
    begin: NDArray[np.intp]
    start: NDArray[np.uint64]
    last: NDArray[np.uint64]
    skipped: int = 0

    @classmethod
    def parse(cls, text: bytes) -> WholeMaps:
        """Take the ranges of whole lines; a last one without an end is dropped."""
        text = text[: text.rfind(b"\n") + 1]
        buffer = np.frombuffer(text, np.uint8)
        ends = np.flatnonzero(buffer == ord("\n"))
        begin = np.concatenate([np.zeros(1, np.intp), ends[:-1] + 1])[: len(ends)]
        dash, blank = (
            np.append(found, len(text))[np.searchsorted(found, begin)]
            for found in (np.flatnonzero(buffer == ord(character)) for character in "- ")
        )
        start, good = parse_hex(buffer, begin, dash)
        end, also = parse_hex(buffer, dash + 1, blank)
        good &= also & (blank < ends) & (start < end)
        reach = np.maximum.accumulate(np.append(np.zeros(1, np.uint64), np.where(good, end, 0).astype(np.uint64)))
        good &= start >= reach[:-1]
        return cls(text, begin[good], start[good], end[good] - np.uint64(1), int((~good).sum()))

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return len(self.text) + self.begin.nbytes + self.start.nbytes + self.last.nbytes

    def find(self, address: int) -> int:
        """The row of an address, -1 where nothing is mapped."""
        if not 0 <= address < 1 << 64 or not len(self.start):
            return -1
        row = int(np.searchsorted(self.start, np.uint64(address), "right")) - 1
        return row if row >= 0 and address <= int(self.last[row]) else -1

    def at(self, row: int) -> tuple[Mapping, bool] | None:
        """The mapping of a row, and whether it is shared; None if its line is malformed."""
        begin = int(self.begin[row])
        line = self.text[begin : self.text.index(b"\n", begin)]
        rights = line.find(b" ") + 1
        # whether it is executable is all that parse_maps would leave it out for
        mappings, _ = parse_maps(line[: rights + 2] + b"x" + line[rights + 3 :])
        return (mappings[0], line[rights + 3 : rights + 4] == b"s") if mappings else None

    def near(self, row: int) -> list[Mapping]:
        """The private mappings around a row, itself among them."""
        rows = range(max(0, row - _NEAR), min(len(self.start), row + _NEAR + 1))
        return [found[0] for found in map(self.at, rows) if found is not None and not found[1]]

    def file_before(self, row: int) -> int:
        """The row of the nearest private file mapping below a row; -1 if there is none near it."""
        for before in range(row - 1, max(-1, row - _NEAR), -1):
            found = self.at(before)
            if found is not None and found[0].has_file and not found[1]:
                return before
        return -1


class _Placed(NamedTuple):
    """A mapped file. bias: see Image.load_bias; None also for what is no ELF file."""

    mapping: Mapping
    key: ImageKey
    bias: int | None


@dataclass(slots=True)
class _Known:
    """What is remembered of one process.

    layout: see `_layout`. names: by address, as long as the maps stay the same. vain: addresses without a name that
    may have one soon. held: bytes of both. placed: by row of the maps, None where a file could not be opened; before:
    see WholeMaps.file_before.
    """

    layout: tuple[int, ...]
    checked_at: float
    maps: WholeMaps = field(default_factory=lambda: WholeMaps.parse(b""))
    read_at: float = float("-inf")
    patience_s: float = REFRESH_S
    names: dict[int, str] = field(default_factory=dict)
    vain: set[int] = field(default_factory=set)
    held: int = 0
    placed: dict[int, _Placed | None] = field(default_factory=dict)
    before: dict[int, int] = field(default_factory=dict)


class DataNames:
    """Names data addresses of processes and of the kernel. Owned by one thread.

    clock: seconds, for the rate limits. kernel: the data symbols of the kernel, or None for this one's.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, kernel: KernelData | None = None) -> None:
        self.counts = ResolverCounts()
        """As a Resolver counts; `unknown_symbol`: addresses in the data of a file that no symbol covers."""
        self._clock = clock
        self._kernel = KernelData() if kernel is None else kernel
        self._images = ImageCache(16 << 20, 128, read_objects)
        self._known: OrderedDict[int, _Known] = OrderedDict()
        self._maps_bytes = 0
        self._held = 0
        self._error = ""

    @property
    def error(self) -> str:
        """The last thing that went wrong, in one line that is safe to show; "" if nothing did."""
        return clean(self._error or self._kernel.reason)

    @property
    def memory_bytes(self) -> int:
        """What is held of files, of maps and of answers; without the kernel's symbols."""
        return self._images.nbytes + self._maps_bytes + self._held

    def kernel_data_name(self, address: int) -> str:
        """The static object of the kernel at an address: "tasklist_lock", or "lock_table+0x40" inside one.

        "" for memory that was allocated, for variables of CPUs, and where the kernel does not tell: see `error`.
        """
        found = self._kernel.find(address)
        if found is None:
            self.counts.kernel_unreadable += bool(self._kernel.reason)
            return ""
        return clean(_inside(found[0].decode("utf-8", "backslashreplace"), found[1]))

    def name(self, pid: int, address: int) -> str:
        """What an address of a process is called; safe to show, and never with the address itself.

        "table_lock", or "table+0x18" inside a larger object; "[libx.so+0x4010]", as nm counts, for data of a file that
        no symbol covers; "heap", "stack", "anonymous", "shm /name" or "file /path" for other memory; "" if it is not
        known: nothing is mapped there, or the process or the file could not be read. A process that has ended is
        answered for out of what was known of it; that it has called exec is noticed within a second. Never raises for
        what a process or a file does: see `counts`.
        """
        now = self._clock()
        known = self._process(pid, now)
        name = known.names.get(address)
        if name is not None:
            return name
        if now - known.read_at >= known.patience_s:
            self._read(pid, known, now)
        if address in known.vain:
            return ""
        self.counts.addresses += 1
        name = self._find(pid, known, address)
        if name is None:
            known.vain.add(address)
        else:
            name = known.names[address] = clean(name)
        size = len(name or "") + _ANSWER
        known.held += size
        self._held += size
        if self._held > _MAX_ANSWERS:
            for other in self._known.values():
                self._forget(other)
        return name or ""

    # -- processes

    def _process(self, pid: int, now: float) -> _Known:
        known = self._known.get(pid)
        if known is not None:
            self._known.move_to_end(pid)
            if now - known.checked_at < REFRESH_S:
                return known
            known.checked_at = now
            layout = _layout(pid)
            # one that has ended has no memory any more, but while nobody else has its pid it is the one we know
            if not layout or layout == known.layout or layout[:2] == (*known.layout[:1], 0):
                if now - known.read_at >= LONGEST_S:
                    self._read(pid, known, now)
                return known
            self._drop(pid)
        known = self._known[pid] = _Known(_layout(pid), now)
        if len(self._known) > MAX_PROCESSES:
            self._drop(next(iter(self._known)))
        return known

    def _drop(self, pid: int) -> None:
        known = self._known.pop(pid)
        self._forget(known)
        self._maps_bytes -= known.maps.nbytes

    def _forget(self, known: _Known) -> None:
        self._held -= known.held
        known.held = 0
        known.names.clear()
        known.vain.clear()

    def _read(self, pid: int, known: _Known, now: float) -> None:
        """Read the maps again; what is known stays if they cannot be read."""
        known.read_at = now
        known.placed.clear()
        known.held -= _ANSWER * len(known.vain)
        self._held -= _ANSWER * len(known.vain)
        known.vain.clear()
        try:
            with open(f"/proc/{pid}/maps", "rb") as file:
                text = file.read(_MAX_MAPS)
        except OSError as error:
            self.counts.maps_unreadable += 1
            self._error = f"maps of process {pid}: {error.strerror}"
            return
        if not text or text == known.maps.text or _layout(pid) != known.layout:
            return  # it has ended, or nothing changed, or it is another program by now
        maps = WholeMaps.parse(text)
        self.counts.maps_malformed += maps.skipped + (not text.endswith(b"\n"))
        self._forget(known)
        known.before.clear()
        self._maps_bytes += maps.nbytes - known.maps.nbytes
        known.maps = maps
        known.patience_s = max(REFRESH_S, _SHARE * (self._clock() - now))
        while self._maps_bytes > _MAX_ALL_MAPS and len(self._known) > 1:
            self._drop(next(iter(self._known)))

    # -- addresses

    def _find(self, pid: int, known: _Known, address: int) -> str | None:
        """The name of an address; None if there is none now and may be one soon."""
        row = known.maps.find(address)
        there = known.maps.at(row) if row >= 0 else None
        if there is None:
            self.counts.unknown_module += 1
            return None
        mapping, shared = there
        if not shared:
            if not mapping.has_file:
                if row not in known.before:
                    known.before[row] = known.maps.file_before(row)
                row = known.before[row]
            placed = self._placed(pid, known, row) if row >= 0 else _Placed(mapping, _NO_KEY, None)
            if placed is None:
                return None if mapping.has_file or not mapping.path else _kind(mapping.path)
            if placed.bias is not None:
                name = self._static(pid, placed, placed.bias, mapping, address)
                if name != "":
                    return name
        return _kind(mapping.path)

    def _placed(self, pid: int, known: _Known, row: int) -> _Placed | None:
        """Where the file of a row of the maps is loaded; None if it cannot be opened."""
        found = known.maps.at(row)
        if found is None or row in known.placed:
            return known.placed.get(row)
        known.placed[row] = None
        opened = self._open(pid, found[0])
        if opened is not None:
            key, image = opened
            known.placed[row] = _Placed(found[0], key, image.load_bias(found[0], known.maps.near(row)))
        return known.placed[row]

    def _open(self, pid: int, mapping: Mapping) -> tuple[ImageKey, Image] | None:
        """The image of a mapped file, read now if need be; None if it cannot be opened."""
        try:
            opened = self._images.mapped(pid, mapping)
            if opened is None:
                opened = self._images.read(open_mapping(pid, mapping), mapping.path, roots_of(pid))
        except NotAnsweringError:
            return None
        except OSError as error:
            if error.errno == errno.EINVAL:  # a device, which has no symbols
                return _NO_KEY, NO_IMAGE
            self.counts.files_unreadable += 1
            self._error = f"{mapping.path} of process {pid}: {error.strerror}"
            return None
        if opened.fresh and opened.image.problems:
            self.counts.elf_errors += len(opened.image.problems)
            self._error = f"{mapping.path}: {opened.image.problems[0]}"
        return opened.key, opened.image

    def _static(self, pid: int, placed: _Placed, bias: int, mapping: Mapping, address: int) -> str | None:
        """What lies at an address in the memory of a loaded file; "" if that does not reach there; None: unreadable."""
        image = self._images.get(placed.key)
        if image is None:
            opened = self._open(pid, placed.mapping)
            if opened is None:
                return None
            image = opened[1]
        virtual = (address - bias) % 2**64
        segment = image.segment_of(virtual)
        if segment is None:
            return ""
        offset, start = segment
        if mapping.has_file and (mapping.start - mapping.offset - bias - start + offset) % 2**64:
            return ""  # the segment is not what is mapped there
        return self._symbol(image, virtual, placed.mapping.module) or f"[{placed.mapping.module}+{virtual:#x}]"

    def _symbol(self, image: Image, virtual: int, module: str) -> str:
        row = int(image.index.find(np.array([virtual], np.uint64))[0])
        if row < 0:
            self.counts.unknown_symbol += 1
            return ""
        try:
            name = demangle(image.index.name_at(row))
        except ElfError as error:
            self.counts.elf_errors += 1
            self._error = f"{module}: {error}"
            return ""
        return _inside(name, virtual - int(image.index.start[row]) + int(image.index.skipped[row]))


def _inside(name: str, offset: int) -> str:
    return f"{name}+{offset:#x}" if offset else name


def _layout(pid: int) -> tuple[int, ...]:
    """What a process is known by: when it started, and where its program, stack and arguments lie.

    The latter differ after an exec, and are 0 when it has ended: fields 22, 26 to 28 and 45 to 51 of /proc/PID/stat.
    () if it cannot be read. The first thread says the same, and the kernel adds nothing up over all threads.
    """
    try:
        with open(f"/proc/{pid}/task/{pid}/stat", "rb") as file:
            fields = file.read(4096).rpartition(b")")[2].split()
        return tuple(int(fields[number - 3]) for number in (22, 26, 27, 28, *range(45, 52)))
    except (OSError, ValueError, IndexError):
        return ()


@functools.lru_cache(maxsize=1_024)
def _kind(path: str) -> str:
    """What memory is called that holds no static data."""
    if path == "[heap]" or path.startswith("[anon: glibc: malloc"):
        return "heap"
    if path.startswith(("[stack", "[anon: glibc: pthread stack")):
        return "stack"
    if not path or path.startswith(("[anon", "//anon", "/dev/zero")):
        return "anonymous"
    if path.startswith((_SHM, "/memfd:", "/SYSV")):
        return f"shm {path.removeprefix(_SHM[:-1])}"
    return f"file {path}" if path.startswith("/") else path.strip("[]")
