"""What nobody looks at in a large file."""

from __future__ import annotations

from typing import Final

from aperture_tui.symbolize.debug_files import is_debug
from aperture_tui.symbolize.elf import SHT_DYNSYM, SHT_NOBITS, SHT_STRTAB, SHT_SYMTAB, Elf, ElfError, Section, Source
from aperture_tui.symbolize.go_table import GO_SECTIONS

_KEPT_TYPES: Final = (SHT_SYMTAB, SHT_DYNSYM, SHT_STRTAB)
_KEPT_NAMES: Final = (b".eh_frame", b".gnu_debugdata", b".debug_frame", *GO_SECTIONS)


def left_out(source: Source, large: int) -> tuple[list[tuple[int, int]], bool]:
    """The ranges of sections of code and data that have more than so many bytes, and of all DWARF if that has more;
    -> and whether it has not. Nothing of what is no ELF file.
    """
    try:
        sections = [section for section in Elf.read(source).sections if section.type != SHT_NOBITS]
    except ElfError:
        return [], True
    debug = [section for section in sections if is_debug(section) and section.name not in _KEPT_NAMES]
    whole = sum(section.size for section in debug) <= large
    left = [section for section in sections if section.size > large and _is_code_or_data(section)]
    return [(s.offset, s.offset + s.size) for s in left + ([] if whole else debug)], whole


def _is_code_or_data(section: Section) -> bool:
    return not (section.type in _KEPT_TYPES or section.name in _KEPT_NAMES or is_debug(section))
