"""Names of code that a runtime made: /tmp/perf-PID.map.

Format: linux/tools/perf/Documentation/jit-interface.txt; lines of "START SIZE name", both numbers hexadecimal.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame
from aperture_tui.symbolize.elf import ElfError, FileSource
from aperture_tui.symbolize.hex_columns import parse_hex
from aperture_tui.symbolize.served import open_below

RETRY_S: Final = 1.0
"""The file is looked at for new lines at most this often."""
_PLACE: Final = "/tmp/perf-{}.map"  # noqa: S108 the place that the format names
_LOOK_BACK: Final = 32  # entries by address that may overlap the nearest one
_MAX_NAME: Final = 4096

# V8 (src/logging/log.cc): what it is, how it was compiled, name, where it begins. Where that is not a path or a URL
# the name stays as it is written: it could not be told from the name of the function.
_V8: Final = re.compile(
    r"(?:JS|LazyCompile|Function|Script|Eval):[~*^+]?(?P<name>.*?) ?"
    r"(?<![^ :~*^+])(?P<file>(?:/|[a-z][a-z0-9+.-]*:)[^ ].*):(?P<line>\d{1,9}):\d{1,9}"
)


class Entries(NamedTuple):
    """Entries of a perf map in the order of the file: (n,) each. name_at, name_size: bytes of the text."""

    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    name_at: NDArray[np.intp]
    name_size: NDArray[np.intp]


_NONE: Final = Entries(np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.intp), np.zeros(0, np.intp))


def parse_perf_map(text: bytes) -> tuple[Entries, int]:
    """The entries of the whole lines of a text, and how many lines were malformed. Numbers may begin with 0x."""
    buffer = np.frombuffer(text, np.uint8)
    line_end = np.flatnonzero(buffer == ord("\n"))
    if not len(line_end):
        return _NONE, 0
    begin = np.concatenate([np.zeros(1, np.intp), line_end[:-1] + 1])
    space = np.append(np.flatnonzero(buffer == ord(" ")), [len(buffer), len(buffer)])
    first = np.searchsorted(space, begin)
    one, two = space[first], space[np.minimum(first + 1, len(space) - 1)]
    good = two + 1 < line_end
    begin, one, two, line_end = begin[good], one[good], two[good], line_end[good]
    start, start_good = parse_hex(buffer, _after_0x(buffer, begin, one), one)
    size, size_good = parse_hex(buffer, _after_0x(buffer, one + 1, two), two)
    good_rows = start_good & size_good & (size > 0) & (start + size > start)
    skipped = int((~good).sum() + (~good_rows).sum())
    name_size = np.minimum(line_end - two - 1, _MAX_NAME)
    name_at, end = two + 1, start + size
    return Entries(start[good_rows], end[good_rows], name_at[good_rows], name_size[good_rows]), skipped


def _after_0x(text: NDArray[np.uint8], begin: NDArray[np.intp], end: NDArray[np.intp]) -> NDArray[np.intp]:
    if not len(begin):
        return begin
    second = text[np.minimum(begin + 1, len(text) - 1)]
    prefixed = (end - begin > 2) & (text[begin] == ord("0")) & ((second == ord("x")) | (second == ord("X")))
    return np.where(prefixed, begin + 2, begin)


class PerfMap:
    """The perf map of one process; empty while there is none. Owned by one thread.

    Only a regular file of the process's own user or root is believed, found in the process's root under its pid in
    its innermost pid namespace. Only its first `max_bytes` are read.
    """

    def __init__(self, pid: int, max_bytes: int = 16 << 20) -> None:
        self._pid = pid
        self._max_bytes = max_bytes
        self._file: tuple[int, int] = (0, 0)
        self._text = b""
        self._entries = _NONE
        self._order = np.zeros(0, np.intp)
        self._start = np.zeros(0, np.uint64)
        self._looked_at: float | None = None
        self.malformed = 0
        """Lines that were passed over."""
        self.refused = ""
        """Why a file that is there is not believed, or not read to its end; "" otherwise."""

    def __len__(self) -> int:
        return len(self._entries.start)

    def refresh(self, now: float) -> bool:
        """Read what was added since; True if something was. now: seconds, any clock that only moves forward."""
        if self._looked_at is not None and now - self._looked_at < RETRY_S:
            return False
        self._looked_at = now
        try:
            pid, users = _identity(self._pid)
            source = open_below(f"/proc/{self._pid}/root", _PLACE.format(pid), follow=False)
        except (OSError, ValueError):
            return False  # no such file, or no such process: the usual case
        try:
            return self._append(source, users)
        except ElfError as error:
            self.refused = str(error)
            return False
        finally:
            source.close()

    def _append(self, source: FileSource, users: frozenset[int]) -> bool:
        status = source.stat()
        if status.st_uid not in users:
            self.refused = f"the perf map of {self._pid} belongs to user {status.st_uid}"
            return False
        file = (status.st_dev, status.st_ino)
        if file != self._file or source.size < len(self._text):
            self._file, self._text, self._entries = file, b"", _NONE
        size = min(source.size, self._max_bytes)
        self.refused = "" if size == source.size else f"only the first {size} bytes of the perf map are read"
        added = source.read(len(self._text), size - len(self._text)) if size > len(self._text) else b""
        added = added[: added.rfind(b"\n") + 1]
        if not added:
            return False
        entries, skipped = parse_perf_map(added)
        self.malformed += skipped
        moved = entries._replace(name_at=entries.name_at + len(self._text))
        self._text += added
        self._entries = Entries(*(np.concatenate(pair) for pair in zip(self._entries, moved, strict=True)))
        self._order = np.argsort(self._entries.start, kind="stable")
        self._start = self._entries.start[self._order]
        return len(entries.start) > 0

    def find(self, addresses: NDArray[np.uint64]) -> list[bytes | None]:
        """The name at each address, None where there is none. The newest of several entries holds."""
        if not len(self._entries.start):
            return [None] * len(addresses)
        newest = np.full(len(addresses), -1, np.intp)
        nearest = np.searchsorted(self._start, addresses, "right") - 1
        for back in range(min(_LOOK_BACK, len(self._start))):
            row = nearest - back
            entry = self._order[np.maximum(row, 0)]
            covers = (row >= 0) & (addresses < self._entries.end[entry])
            newest = np.where(covers, np.maximum(newest, entry), newest)
        return [self._name(entry) if entry >= 0 else None for entry in newest.tolist()]

    def _name(self, entry: int) -> bytes:
        at = int(self._entries.name_at[entry])
        return self._text[at : at + int(self._entries.name_size[entry])]


def jit_frame(name: bytes, module: str) -> Frame:
    """The frame of an entry. JavaScript functions get name, file and line, whichever compiler made the code."""
    text = name.decode("utf-8", "backslashreplace")
    found = _V8.fullmatch(text)
    if found is None:
        return Frame(text, module, kind=FrameKind.JIT)
    function = found["name"] or "(anonymous)"
    return Frame(function, module, found["file"].removeprefix("file://"), int(found["line"]), FrameKind.JIT)


def _identity(pid: int) -> tuple[int, frozenset[int]]:
    """A process's pid in its own pid namespace, and the users whose files it may be believed to have written.

    Raises OSError or ValueError.
    """
    with open(f"/proc/{pid}/status", "rb") as file:
        fields = dict(line.split(b":", 1) for line in file.read(1 << 16).splitlines() if b":" in line)
    inner = int(fields.get(b"NSpid", b"%d" % pid).split()[-1])
    return inner, frozenset({0, *map(int, fields[b"Uid"].split()[:2])}) if b"Uid" in fields else frozenset({0})
