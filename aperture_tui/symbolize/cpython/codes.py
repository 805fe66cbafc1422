"""Code objects of another process: names and line tables, read once and looked at again with every drain."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame
from aperture_tui.symbolize.cpython.errors import CPythonError
from aperture_tui.symbolize.cpython.layout import Layout
from aperture_tui.symbolize.cpython.lines import LineTable, parse_lines
from aperture_tui.symbolize.cpython.objects import read_objects
from aperture_tui.symbolize.process_memory import Memory

RECHECK_S: Final = 0.1
"""A code object that was last looked at longer ago is looked at again: its address may have been given to another. What
a module runs when it is imported is let go at once, and a function of the next one may lie where that was."""
MAX_CODES: Final = 8192
MAX_BYTES: Final = 16 << 20
"""Past either, all that is known of a process is forgotten together."""
HIDDEN: Final = Frame("", kind=FrameKind.PYTHON)
"""A frame that CPython makes for itself and leaves out of its own tracebacks: not to be shown."""
_CODE_BYTES: Final = 500  # of Python objects around a code object that is known
_FRAME_BYTES: Final = 250


class Types(NamedTuple):
    """Addresses of the type objects in the process."""

    code: int
    text: int
    bytes: int


class _Header(NamedTuple):
    """The fields of a code object that make it this one."""

    file: int
    name: int
    lines: int
    first_line: int


@dataclass(slots=True)
class _Code:
    """What is known of an address.

    due: when it is looked at again, on the clock. lines: None for what is no code object. frames: by the word at a
    frame's instruction field.
    """

    header: _Header | None
    due: float
    name: str = ""
    file: str = ""
    lines: LineTable | None = None
    frames: dict[int, Frame | None] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Memory held, about."""
        texts = 4 * (len(self.name) + len(self.file))
        table = self.lines.nbytes if self.lines is not None else 0
        return _CODE_BYTES + texts + table + _FRAME_BYTES * len(self.frames)


class Codes:
    """The code objects of one process. Owned by one thread. clock: seconds, only moves forward."""

    def __init__(self, memory: Memory, layout: Layout, types: Types, clock: Callable[[], float]) -> None:
        self._memory = memory
        self._layout = layout
        self._types = types
        self._clock = clock
        self._known: dict[int, _Code] = {}
        self.nbytes = 0
        """Memory held, about."""

    def __len__(self) -> int:
        return len(self._known)

    def frames(self, pairs: Iterable[tuple[int, int]]) -> list[Frame | None]:
        """The frame of each (address of a code object, word at the instruction field); None: no code object there.

        Of a process that is gone what was known last. Raises CPythonError if nothing was.
        """
        pairs = list(pairs)
        now = self._clock()
        known = self._known
        missing = {code for code, _ in pairs if (entry := known.get(code)) is None or entry.due < now}
        if self.nbytes > MAX_BYTES or len(known) + len(missing.difference(known)) > MAX_CODES:
            known.clear()
            self.nbytes = 0
            missing = {code for code, _ in pairs}
        if missing:
            try:
                self._load(sorted(missing), now)
            except CPythonError:
                if not known:
                    raise
        out = []
        for code, instruction in pairs:
            found = known.get(code)
            if found is None or instruction in found.frames:
                out.append(None if found is None else found.frames[instruction])
            else:
                out.append(self._frame(code, found, instruction))
        return out

    def _frame(self, code: int, entry: _Code, instruction: int) -> Frame | None:
        frame = None
        if entry.lines is not None:
            line = entry.lines.line_at(self._offset(code, instruction))
            frame = Frame(entry.name, "", entry.file, line, FrameKind.PYTHON)
            if not line and entry.file in ("<shim>", entry.name) and not entry.lines.lines.any():
                frame = HIDDEN  # 3.12's entry frames, and since 3.13 the __init__ behind a class that is called
        entry.frames[instruction] = frame
        self.nbytes += _FRAME_BYTES
        return frame

    def _offset(self, code: int, instruction: int) -> int:
        """Bytes into the bytecode of the instruction that runs, or ran last; negative before the first."""
        layout = self._layout
        if layout.code_start < 0:
            index = (instruction & 0xFFFF_FFFF ^ 0x8000_0000) - 0x8000_0000  # an int of 32 bits
            return index * 2 if layout.minor == 10 else index
        return instruction - code - layout.code_start

    def _load(self, addresses: list[int], now: float) -> None:
        """Look at code objects, and read those that are new or differ from what was known of their address."""
        size = self._layout.code_bytes
        new: dict[int, _Code] = {}
        for address, data in zip(addresses, self._memory.read_many(addresses, [size] * len(addresses)), strict=True):
            header = self._header(data) if data is not None else None
            known = self._known.get(address)
            if known is not None and known.header == header:
                known.due = now + RECHECK_S
                continue
            new[address] = _Code(header, now + RECHECK_S)
        self._read([(entry, entry.header) for entry in new.values() if entry.header is not None])
        replaced = [self._known[address] for address in new.keys() & self._known.keys()]
        self.nbytes += sum(entry.nbytes for entry in new.values()) - sum(entry.nbytes for entry in replaced)
        self._known |= new

    def _header(self, data: bytes) -> _Header | None:
        if struct.unpack_from("<Q", data, 8)[0] != self._types.code:
            return None
        layout = self._layout
        fields = (layout.code_file, layout.code_name, layout.code_lines)
        file, name, lines = (struct.unpack_from("<Q", data, at)[0] for at in fields)
        return _Header(file, name, lines, struct.unpack_from("<i", data, layout.code_first_line)[0])

    def _read(self, fresh: list[tuple[_Code, _Header]]) -> None:
        addresses = [address for _, header in fresh for address in header[:3]]
        objects = read_objects(self._memory, self._layout, self._types.text, self._types.bytes, addresses)
        for entry, header in fresh:
            file, name, table = (objects.get(address) for address in header[:3])
            if isinstance(name, str) and isinstance(file, str) and isinstance(table, bytes):
                entry.name, entry.file = name, file
                entry.lines = parse_lines(table, header.first_line, self._layout.minor)
            else:
                entry.header = None  # what is read in its stead next time will differ
