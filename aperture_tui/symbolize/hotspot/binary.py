"""What libjvm.so says: where the tables are in which HotSpot describes its own structs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aperture_tui.symbolize.binary_cache import BinaryCache
from aperture_tui.symbolize.elf import MACHINE_X86_64, SHT_DYNSYM, Elf, ElfError, Loads, Source
from aperture_tui.symbolize.hotspot.errors import HotSpotError
from aperture_tui.symbolize.named_symbols import named_symbols

LIBRARY: Final = "libjvm.so"
_STRUCT: Final = "gHotSpotVMStructEntry"
_TYPE: Final = "gHotSpotVMTypeEntry"
SYMBOLS: Final = (
    "gHotSpotVMStructs",
    f"{_STRUCT}ArrayStride",
    f"{_STRUCT}TypeNameOffset",
    f"{_STRUCT}FieldNameOffset",
    f"{_STRUCT}TypeStringOffset",
    f"{_STRUCT}IsStaticOffset",
    f"{_STRUCT}OffsetOffset",
    f"{_STRUCT}AddressOffset",
    "gHotSpotVMTypes",
    f"{_TYPE}ArrayStride",
    f"{_TYPE}TypeNameOffset",
    f"{_TYPE}SizeOffset",
)
"""The words that describe the tables, in this order: src/hotspot/share/runtime/vmStructs.hpp of OpenJDK, since 7."""


@dataclass(frozen=True, slots=True)
class Binary:
    """One version of a file. symbols: virtual addresses of SYMBOLS, in their order. loads: its segments with code."""

    symbols: tuple[int, ...]
    loads: Loads


def read_binary(source: Source) -> Binary:
    """What a file says. Raises ElfError if it is no HotSpot of x86-64."""
    elf = Elf.read(source)
    if elf.bits != 64 or elf.machine != MACHINE_X86_64:
        raise ElfError("not an ELF file of x86-64")
    section = next((s for s in elf.sections if s.type == SHT_DYNSYM and s.size), None)
    symbols = named_symbols(elf, section, SYMBOLS) if section is not None else {}
    missing = [name for name in SYMBOLS if name not in symbols]
    if missing:
        raise ElfError(f"no symbol {missing[0]}")
    return Binary(tuple(symbols[name] for name in SYMBOLS), elf.loads)


def binary_cache() -> BinaryCache[Binary]:
    """What files say, for the processes of one thread. Raises HotSpotError."""
    return BinaryCache(read_binary, HotSpotError)
