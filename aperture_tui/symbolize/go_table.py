"""What a Go program knows of its own functions: their names and, for each instruction, how far its frame reaches.

Go's linker writes neither .eh_frame nor, with -s, symbols; but its runtime walks stacks itself, and what it needs for
that is in every program, stripped or not: the section .gopclntab. It is read as Go 1.18 and later write it.

Format: src/runtime/symtab.go (pcHeader, moduledata), runtime2.go (_func) and internal/abi/symtab.go of Go. After the
header come, each at its offset from the header: the names; the tables of what holds from which instruction on
(`go_unwind`); and the functions, first a column of (entry, place of the rest), then the rest of each.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.elf import SHF_EXECINSTR, Elf, ElfError, FileSource, Section
from aperture_tui.symbolize.symbol_index import RESIDENT_STRINGS, Rows, Strings

TOP_FRAME, SP_WRITE, ASSEMBLY, SIGNAL_RETURN = 1, 2, 4, 128
"""Flags of a function: nothing called it; it sets the stack pointer to what no table tells; it is no compiled code; a
signal's handler returns to it. The last is ours.
"""

_NAMED: Final = (b".gopclntab", b".data.rel.ro.gopclntab")  # the second of position-independent programs
_MIXED: Final = b".data.rel.ro"
_MODULE, _RELOCATIONS = b".go.module", (b".rela.dyn", b".rela")
GO_SECTIONS: Final = (*_NAMED, _MIXED, _MODULE, *_RELOCATIONS)
"""All that is looked at in a file."""
_HEADER: Final = struct.Struct("<IBBBB8Q")
_MAGIC: Final = {0xFFFFFFF0: 36, 0xFFFFFFF1: 40}  # Go 1.18, 1.20 -> where a function has its kind and its flags
_FUNCTION_BYTES: Final = 44
_TEXT_START: Final = 24  # of the header; nobody writes it since Go 1.26
_MODULE_TEXT: Final = 176  # moduledata.text, since Go 1.26 in a section of its own
_RELATIVE: Final = 8  # R_X86_64_RELATIVE
_RELOCATION: Final = np.dtype([("at", "<u8"), ("kind", "<u4"), ("symbol", "<u4"), ("value", "<i8")])
_MAX_RELOCATIONS: Final = 4 << 20
_MAX_FUNCTIONS: Final = 1_000_000
_MAX_ADDRESS: Final = 1 << 62
_SIGNAL_RETURNS: Final = (b"runtime.sigreturn__sigaction", b"runtime.sigreturn")  # since Go 1.20, before
_MAX_SEARCHED: Final = 128 << 20


@dataclass(frozen=True)
class GoFunctions:
    """The functions of a Go program, ascending: (n,) each.

    start, end: virtual addresses. name: where the names have its own. depths: where the tables have that of its stack.
    rest: where the part of the functions has what does not stand in its column. flags: TOP_FRAME, SP_WRITE, ASSEMBLY,
    SIGNAL_RETURN. One with the last begins a byte early: nobody has called it, but it is looked for in front of its
    first instruction, as if somebody had.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    name: NDArray[np.int64]
    depths: NDArray[np.int64]
    rest: NDArray[np.int64]
    flags: NDArray[np.uint8]

    def chosen(self, which: NDArray[np.bool_]) -> GoFunctions:
        """Some of them."""
        start, end, name, depths, rest = (
            column[which] for column in (self.start, self.end, self.name, self.depths, self.rest)
        )
        return GoFunctions(start, end, name, depths, rest, self.flags[which])


@dataclass(frozen=True)
class GoTable:
    """The parts of the section, as offsets in the file, half-open. text: the virtual address that entries count from.

    address, header: where the header lies, virtual and in the file. flags_at: where each function has its flags.
    """

    address: int
    header: int
    count: int
    text: int
    names: tuple[int, int]
    tables: tuple[int, int]
    functions: tuple[int, int]
    flags_at: int

    @classmethod
    def find(cls, elf: Elf) -> GoTable | None:
        """Where they are; None in what is not of Go, or of one before 1.18. Raises ElfError."""
        section = go_section(elf)
        if section is not None and section.name == _MIXED:
            section = _within(elf, section)
        if section is None or section.size < _HEADER.size or elf.bits != 64:
            return None
        elf.check(section)
        magic, *small, count, _files, text, names, units, _, tables, functions = _HEADER.unpack(
            elf.source.read(section.offset, _HEADER.size)
        )
        if magic not in _MAGIC or small != [0, 0, 1, 8]:
            return None
        if not names <= units <= tables <= functions <= section.size or count > _MAX_FUNCTIONS:
            raise ElfError("the table of Go's functions is malformed")
        text = text or _relocated_text(elf, section)
        if not 0 <= text < _MAX_ADDRESS:
            raise ElfError("Go's functions begin nowhere")
        return cls(
            section.address,
            section.offset,
            count,
            text,
            (section.offset + names, section.offset + units),
            (section.offset + tables, section.offset + functions),
            (section.offset + functions, section.offset + section.size),
            _MAGIC[magic] + 1,
        )

    @property
    def is_before_1_20(self) -> bool:
        """Whether it is of Go 1.18 or 1.19, which describe functions otherwise."""
        return self.flags_at < 40

    def read(self, names: bytes, functions: bytes) -> GoFunctions:
        """The functions, of the bytes of these parts. What points beyond its part is left out. Raises ElfError."""
        if len(functions) < max(8 * self.count + 4, _FUNCTION_BYTES if self.count else 0):
            raise ElfError("the table of Go's functions is cut short")
        entries = np.frombuffer(functions, "<u4", 2 * self.count + 1).astype(np.int64)
        start, end, rest = entries[:-1:2], entries[2::2], entries[1::2]
        if np.any(end <= start):
            raise ElfError("Go's functions are not in order")
        good = rest + _FUNCTION_BYTES <= len(functions)
        rest = np.where(good, rest, 0)
        name, depths = (words(functions, rest + at) for at in (4, 16))
        flags = np.frombuffer(functions, np.uint8)[rest + self.flags_at]
        good &= (name < len(names)) & (depths < self.tables[1] - self.tables[0])
        returns = np.isin(name, places_of(names, _SIGNAL_RETURNS))
        flags |= np.where(returns, np.uint8(SIGNAL_RETURN), np.uint8(0))
        return GoFunctions(start + self.text - returns, end + self.text, name, depths, rest, flags).chosen(good)


def places_of(names: bytes, wanted: Sequence[bytes]) -> list[int]:
    """Where these are among the names; those that are not are left out."""
    found = (names.find(b"\0" + name + b"\0") for name in wanted)
    return [place + 1 for place in found if place >= 0]


def go_section(elf: Elf) -> Section | None:
    """The section with the table, which may have other things as well; None in what is not of Go."""
    section = next((one for name in _NAMED if (one := elf.section(name)) is not None), None)
    return elf.section(_MIXED) if section is None and elf.section(b".go.buildinfo") is not None else section


def _within(elf: Elf, section: Section) -> Section | None:
    """The table in a section with other things. Raises ElfError."""
    data = elf.content(section, _MAX_SEARCHED)
    places = (data.find(struct.pack("<IBBBB", magic, 0, 0, 1, 8)) for magic in _MAGIC)
    at = max(places)
    return (
        None
        if at < 0
        else replace(section, address=section.address + at, offset=section.offset + at, size=section.size - at)
    )


def go_rows(elf: Elf) -> Rows | None:
    """The functions with their names, in the order of their addresses; None in what is not of Go. Raises ElfError."""
    table = GoTable.find(elf)
    if table is None:
        return None
    found = table.read(part_of(elf, table.names), part_of(elf, table.functions))
    code = [(s.address, s.address + s.size) for s in elf.sections if s.flags & SHF_EXECINSTR]
    start = found.start.astype(np.uint64)
    limit = np.zeros(len(start), np.uint64)
    for low, high in code:
        limit[(start >= low) & (start < high)] = high
    inside = limit > 0
    start, limit = start[inside], limit[inside]
    size = np.minimum(found.end[inside].astype(np.uint64), limit) - start
    name = found.name[inside].astype(np.uint32)
    return Rows(start, size, limit, np.zeros(len(start), np.uint8), name, _strings(elf, table))


def _strings(elf: Elf, table: GoTable) -> Strings:
    low, high = table.names
    if high - low <= RESIDENT_STRINGS or not isinstance(elf.source, FileSource):
        return Strings(part_of(elf, table.names), high - low)
    return Strings(None, high - low, elf.source, low)


def part_of(elf: Elf, part: tuple[int, int]) -> bytes:
    """The bytes of one of the parts of a table. Raises ElfError."""
    return elf.source.read(part[0], part[1] - part[0])


def words(data: bytes, at: NDArray[np.int64]) -> NDArray[np.int64]:
    """The 32-bit words at these places, wherever they lie."""
    return np.ndarray((max(0, len(data) - 3),), "<u4", data, strides=(1,))[at].astype(np.int64)


def _relocated_text(elf: Elf, section: Section) -> int:
    """What the header does not say in the file: what the loader puts there, or into the module's description, or what
    that has. Raises ElfError.
    """
    module = elf.section(_MODULE)
    if module is not None:
        (text,) = struct.unpack("<Q", elf.source.read(module.offset + _MODULE_TEXT, 8))
        if text:
            return int(text)
    places = [section.address + _TEXT_START] + ([module.address + _MODULE_TEXT] if module is not None else [])
    rows = relocations(elf)
    found = rows["value"][np.isin(rows["at"], places)]
    if len(found):
        return int(found[0])
    raise ElfError("where Go's functions begin is not known")


def relocations(elf: Elf) -> NDArray[np.void]:
    """What the loader puts where, in a program that it may put anywhere: `at` and `value`, virtual addresses (n,).

    Raises ElfError.
    """
    section = next((one for name in _RELOCATIONS if (one := elf.section(name)) is not None), None)
    data = b"" if section is None else elf.content(section, _MAX_RELOCATIONS * _RELOCATION.itemsize)
    rows = np.frombuffer(data[: len(data) // _RELOCATION.itemsize * _RELOCATION.itemsize], _RELOCATION)
    relative: NDArray[np.void] = rows[rows["kind"] == _RELATIVE]
    return relative
