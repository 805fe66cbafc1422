"""A few symbols of an ELF file by name, without reading the names of all the others, and what lies where they point."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.elf import Elf, ElfError, Section
from aperture_tui.symbolize.symbol_index import MAX_SYMBOLS, SYMBOL

_MAX_STRINGS: Final = 64 << 20
_MAX_SPELLINGS: Final = 64  # places in a string table where a wanted name ends another name


def named_symbols(elf: Elf, section: Section, names: Sequence[str]) -> dict[str, int]:
    """Virtual addresses of those of the names that a symbol table of a 64-bit file defines. Raises ElfError."""
    text, rows = _table(elf, section)
    out: dict[str, int] = {}
    for name in names:
        places = _places(text, name.encode() + b"\0")
        found = rows[np.isin(rows["name"], places) & (rows["section"] != 0)] if len(places) else rows[:0]
        if len(found):
            out[name] = int(found["value"][0])
    return out


def matching_symbols(elf: Elf, section: Section, pattern: re.Pattern[bytes], most: int) -> dict[str, int]:
    """Likewise, of the names that a pattern of ASCII finds among the table's strings, each of which ends with a NUL.

    most: names that are looked for, the first ones. Linkers put what ends another name into that: a name that is not
    written out by itself is not found. Raises ElfError.
    """
    text, rows = _table(elf, section)
    names = {found.start(): found[0].decode() for found in islice(pattern.finditer(text), most)}
    rows = rows[np.isin(rows["name"], np.array(list(names), np.uint32)) & (rows["section"] != 0)]
    return {names[name]: value for name, value in zip(rows["name"].tolist(), rows["value"].tolist(), strict=True)}


def _table(elf: Elf, section: Section) -> tuple[bytes, NDArray[np.void]]:
    """The strings and the rows of a symbol table. Raises ElfError."""
    size = SYMBOL[64].itemsize
    if section.entry_size != size or section.size % size or section.size // size > MAX_SYMBOLS:
        raise ElfError("a symbol table of an unknown form")
    if section.link >= len(elf.sections):
        raise ElfError("a symbol table without strings")
    text = elf.content(elf.sections[section.link], _MAX_STRINGS)
    return text, np.frombuffer(elf.content(section, section.size), SYMBOL[64])


def content(elf: Elf, address: int, size: int) -> bytes:
    """What a file has for a range of virtual addresses. Raises ElfError."""
    for segment in elf.load_segments:
        into = address - int(segment["address"])
        if into >= 0 and into + size <= int(segment["file_size"]):
            return elf.source.read(int(segment["offset"]) + into, size)
    raise ElfError(f"nothing is in the file for address {address:#x}")


def _places(text: bytes, name: bytes) -> NDArray[np.uint32]:
    """Where a string table has a name. Linkers let it be the end of a longer one."""
    places: list[int] = []
    at = text.find(name)
    while at >= 0 and len(places) < _MAX_SPELLINGS:
        places.append(at)
        at = text.find(name, at + 1)
    return np.array(places, np.uint32)
