"""What libjvm.so says: where the tables are in which HotSpot describes its own structs."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np

from aperture_tui.symbolize.address_space import Mapping, mapped_facts, open_mapping
from aperture_tui.symbolize.elf import MACHINE_X86_64, SHT_DYNSYM, Elf, ElfError, FileSource, Loads, Source
from aperture_tui.symbolize.hotspot.errors import HotSpotError
from aperture_tui.symbolize.images import ImageKey
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
_MAX_FILES: Final = 64


@dataclass(frozen=True, slots=True)
class Binary:
    """One version of a file. symbols: virtual addresses of SYMBOLS, in their order. loads: its segments with code."""

    symbols: tuple[int, ...]
    loads: Loads

    def bias(self, mapping: Mapping) -> int:
        """What to add to a virtual address of the file for its address in the process."""
        virtual = self.loads.virtual(np.array([mapping.offset], np.uint64))
        return mapping.start - int(virtual[0])


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


class Binaries:
    """Binaries by file version, those longest unused forgotten first. Owned by one thread."""

    def __init__(self) -> None:
        self._known: OrderedDict[ImageKey, Binary | str] = OrderedDict()

    def get(self, pid: int, mapping: Mapping) -> Binary:
        """What the file behind a mapping says. Raises HotSpotError if it cannot be opened or used."""
        try:
            key = ImageKey.of(mapped_facts(pid, mapping))
            if key not in self._known:
                key = self._add(open_mapping(pid, mapping))
        except OSError as error:
            raise HotSpotError(f"{mapping.path} of process {pid}: {error.strerror}") from error
        self._known.move_to_end(key)
        known = self._known[key]
        if isinstance(known, str):
            raise HotSpotError(f"{mapping.path}: {known}")
        return known

    def _add(self, source: FileSource) -> ImageKey:
        """Read a file. Closes it."""
        with contextlib.closing(source):
            key = ImageKey.of(source.stat())
            try:
                self._known[key] = read_binary(source)
            except ElfError as error:
                self._known[key] = str(error)
        if len(self._known) > _MAX_FILES:
            self._known.popitem(last=False)
        return key
