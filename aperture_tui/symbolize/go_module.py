"""Where a Go program has what its table of functions refers to: go:func.*, by the description of the program.

Nothing names that description in a stripped program, but it begins with where the table is, and goes on with where the
parts of the table are; it is believed where all of that fits.

Format: src/runtime/symtab.go of Go, moduledata, 1.18 to 1.26. Counted in words of 8 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.elf import SHF_ALLOC, SHT_NOBITS, Elf, Section
from aperture_tui.symbolize.go_table import GoTable, relocations

_NAMES, _TABLES, _FUNCTIONS, _FIRST, _TEXT = 1, 10, 13, 16, 22
_FUNCTION_DATA_1_18, _FUNCTION_DATA = 38, 40
_WORDS: Final = 41
_SECTIONS: Final = (b".go.module", b".noptrdata", b".data", b".data.rel.ro")  # Go 1.26, before, of other linkers
_MAX_SEARCHED: Final = 64 << 20
_MAX_CANDIDATES: Final = 64


def function_data(elf: Elf, table: GoTable) -> tuple[int, int] | None:
    """Where go:func.* begins, and where the section ends that it lies in: offsets in the file. None if nothing tells.

    Raises ElfError.
    """
    moved = relocations(elf)
    for at in _candidates(elf, table, moved):
        words = _words(elf, at, moved)
        if _fits(words, table):
            address = words[_FUNCTION_DATA_1_18 if table.is_before_1_20 else _FUNCTION_DATA]
            section = _section_of(elf, address)
            if section is not None:
                return section.offset + address - section.address, section.offset + section.size
    return None


def _candidates(elf: Elf, table: GoTable, moved: NDArray[np.void]) -> Iterator[int]:
    """Where the address of the table stands, in the file or once it is loaded."""
    yield from moved["at"][moved["value"] == table.address][:_MAX_CANDIDATES].tolist()
    wanted, left = struct.pack("<Q", table.address), _MAX_CANDIDATES
    for section in (found for name in _SECTIONS if (found := elf.section(name)) is not None):
        if section.type == SHT_NOBITS or section.size > _MAX_SEARCHED:
            continue
        data, at = elf.content(section, _MAX_SEARCHED), -1
        while left and (at := data.find(wanted, at + 1)) >= 0:
            yield section.address + at
            left -= 1


def _words(elf: Elf, at: int, moved: NDArray[np.void]) -> list[int]:
    """What stands at a virtual address once it is loaded; [] if that lies nowhere in the file."""
    section = _section_of(elf, at)
    if section is None or at + 8 * _WORDS > section.address + section.size:
        return []
    words = np.frombuffer(elf.source.read(section.offset + at - section.address, 8 * _WORDS), "<u8").copy()
    place = moved["at"] - np.uint64(at)  # wraps to something large for what lies before it
    inside = (place < 8 * _WORDS) & (place % np.uint64(8) == 0)
    words[place[inside] // np.uint64(8)] = moved["value"][inside].astype(np.uint64)
    return [int(word) for word in words]


def _fits(words: list[int], table: GoTable) -> bool:
    """Whether these are of the program that this is the table of."""
    places = {_NAMES: table.names, _TABLES: table.tables, _FUNCTIONS: table.functions, _FIRST: table.functions}
    return (
        bool(words)
        and words[_TEXT] == table.text
        and all(words[at] == table.address + part[0] - table.header for at, part in places.items())
    )


def _section_of(elf: Elf, address: int) -> Section | None:
    """The section of the file in which a virtual address lies."""
    inside = (one for one in elf.sections if one.flags & SHF_ALLOC and one.type != SHT_NOBITS)
    return next((one for one in inside if one.address <= address < one.address + one.size), None)
