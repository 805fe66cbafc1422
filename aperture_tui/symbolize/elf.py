"""ELF files: headers, segments, sections, notes. Little-endian, 32 and 64 bit.

Format: System V ABI, chapters 4 and 5; build-id and .gnu_debuglink as in the GDB manual ("Separate Debug Files").
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.source import BytesSource as BytesSource
from aperture_tui.symbolize.source import ElfError as ElfError
from aperture_tui.symbolize.source import FileSource as FileSource
from aperture_tui.symbolize.source import Source as Source

MACHINE_X86_64: Final = 62
SHT_SYMTAB: Final = 2
SHT_STRTAB: Final = 3
SHT_NOTE: Final = 7
SHT_NOBITS: Final = 8
SHT_DYNSYM: Final = 11
SHF_ALLOC: Final = 0x2
SHF_EXECINSTR: Final = 0x4
SHF_TLS: Final = 0x400
SHF_COMPRESSED: Final = 0x800
_PT_LOAD: Final = 1
_PF_X: Final = 1
_PAGE: Final = np.uint64(4096)
_MAX_SECTIONS: Final = 65_536
_MAX_SEGMENTS: Final = 65_536
_MAX_NOTES: Final = 65_536
_MAX_SECTION_NAMES: Final = 4 << 20

_SECTION_64: Final = np.dtype(
    [
        ("name", "<u4"),
        ("type", "<u4"),
        ("flags", "<u8"),
        ("address", "<u8"),
        ("offset", "<u8"),
        ("size", "<u8"),
        ("link", "<u4"),
        ("info", "<u4"),
        ("align", "<u8"),
        ("entry_size", "<u8"),
    ]
)
_SEGMENT_64: Final = np.dtype(
    [
        ("type", "<u4"),
        ("flags", "<u4"),
        ("offset", "<u8"),
        ("address", "<u8"),
        ("physical", "<u8"),
        ("file_size", "<u8"),
        ("memory_size", "<u8"),
        ("align", "<u8"),
    ]
)
_SEGMENT_32_FIELDS: Final = ("type", "offset", "address", "physical", "file_size", "memory_size", "flags", "align")
_SECTION: Final = {64: _SECTION_64, 32: np.dtype([(name, "<u4") for name in _SECTION_64.names or ()])}
_SEGMENT: Final = {64: _SEGMENT_64, 32: np.dtype([(name, "<u4") for name in _SEGMENT_32_FIELDS])}


@dataclass(frozen=True, slots=True)
class Section:
    """One section header. address is virtual; sizes and offsets are in bytes."""

    name: bytes
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    entry_size: int


@dataclass(frozen=True, slots=True)
class Loads:
    """The loadable segments that hold code (all of them if none is marked executable), by file offset.

    low, high: (n,) uint64, the page-rounded ranges of file offsets that the loader maps. bias: (n,) uint64, virtual
    address less file offset, modulo 2**64.
    """

    low: NDArray[np.uint64]
    high: NDArray[np.uint64]
    bias: NDArray[np.uint64]

    def virtual(self, offsets: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Virtual addresses of file offsets; an offset in no segment stays as it is."""
        if not len(self.low):
            return offsets
        segment = np.maximum(np.searchsorted(self.low, offsets, "right") - 1, 0)
        inside = (offsets >= self.low[segment]) & (offsets < self.high[segment])
        return np.where(inside, offsets + self.bias[segment], offsets)

    def load_bias(self, start: int, offset: int) -> int:
        """What the loader added to virtual addresses where it mapped a file offset at the address `start`."""
        return start - int(self.virtual(np.array([offset], np.uint64))[0])


@dataclass(frozen=True)
class Elf:
    """The headers of one file. Made by `Elf.read`; sections are read when asked for."""

    source: Source
    bits: int
    machine: int
    segments: NDArray[np.void]
    sections: tuple[Section, ...]

    @classmethod
    def read(cls, source: Source) -> Elf:
        """Read the headers. Raises ElfError."""
        header = source.read(0, min(64, source.size))
        if header[:4] != b"\x7fELF":
            raise ElfError("not an ELF file")
        bits = {1: 32, 2: 64}.get(header[4] if len(header) > 5 else 0, 0)
        layout = "<HHIIIIIHHHHHH" if bits == 32 else "<HHIQQQIHHHHHH"
        if not bits or header[5] != 1:
            raise ElfError("neither 32 nor 64 bit little-endian")
        if len(header) < 16 + struct.calcsize(layout):
            raise ElfError("the header is cut short")
        (kind, machine, _, _, phoff, shoff, _, _, phsize, phnum, shsize, shnum, names) = struct.unpack_from(
            layout, header, 16
        )
        if kind not in (2, 3):
            raise ElfError("neither an executable nor a shared object")
        if shoff and (not shnum or phnum == 0xFFFF or names == 0xFFFF):
            first = _table(source, _SECTION[bits], shoff, shsize, 1, 1)[0]
            shnum = shnum or int(first["size"])
            phnum = int(first["info"]) if phnum == 0xFFFF else phnum
            names = int(first["link"]) if names == 0xFFFF else names
        segments = _table(source, _SEGMENT[bits], phoff, phsize, phnum if phoff else 0, _MAX_SEGMENTS)
        rows = _table(source, _SECTION[bits], shoff, shsize, shnum if shoff else 0, _MAX_SECTIONS)
        return cls(source, bits, machine, segments, _named(source, rows, names))

    @property
    def load_segments(self) -> NDArray[np.void]:
        """The segments that are loaded, in the order of the file."""
        loads: NDArray[np.void] = self.segments[self.segments["type"] == _PT_LOAD]
        return loads

    @cached_property
    def loads(self) -> Loads:
        """The segments with code."""
        loads = self.load_segments
        code = loads[loads["flags"] & _PF_X != 0]
        loads = code if len(code) else loads
        loads = loads[np.argsort(loads["offset"], kind="stable")]
        offset, address = loads["offset"].astype(np.uint64), loads["address"].astype(np.uint64)
        high = offset + loads["file_size"].astype(np.uint64) + _PAGE - np.uint64(1)
        return Loads(offset // _PAGE * _PAGE, high // _PAGE * _PAGE, address - offset)

    @cached_property
    def build_id(self) -> bytes:
        """The GNU build-id; b"" if there is none."""
        for section in self.sections:
            if section.type == SHT_NOTE and section.size <= _MAX_NOTES:
                for name, kind, value in notes(self.content(section)):
                    if name == b"GNU\0" and kind == 3:
                        return value
        return b""

    @property
    def debug_link(self) -> tuple[str, int] | None:
        """Name and CRC-32 of the separate debug file, from .gnu_debuglink."""
        section = self.section(b".gnu_debuglink")
        if section is None:
            return None
        data = self.content(section, 4096)
        name = data.partition(b"\0")[0]
        crc = data[(len(name) + 4) // 4 * 4 :][:4]
        if len(crc) < 4 or not name or b"/" in name:
            raise ElfError(".gnu_debuglink is malformed")
        return os.fsdecode(name), int.from_bytes(crc, "little")

    def section(self, name: bytes) -> Section | None:
        """The first section of this name."""
        return next((section for section in self.sections if section.name == name), None)

    def check(self, section: Section) -> None:
        """Raises ElfError if the section's bytes do not lie in the file as they are."""
        if section.type == SHT_NOBITS or section.flags & SHF_COMPRESSED:
            name = section.name.decode("ascii", "backslashreplace")
            raise ElfError(f"section {name} is compressed or not in the file")

    def content(self, section: Section, limit: int = _MAX_NOTES) -> bytes:
        """The bytes of a section. Raises ElfError if they are not in the file, compressed or over the limit."""
        self.check(section)
        if section.size > limit:
            name = section.name.decode("ascii", "backslashreplace")
            raise ElfError(f"section {name} has {section.size} bytes, the limit is {limit}")
        return self.source.read(section.offset, section.size)


def notes(data: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """The (name, type, value) of a note section; stops where it is cut short."""
    at = 0
    while at + 12 <= len(data):
        name_size, value_size, kind = struct.unpack_from("<III", data, at)
        value_at = at + 12 + (name_size + 3) // 4 * 4
        end = value_at + value_size
        if end > len(data):
            return
        yield data[at + 12 : at + 12 + name_size], kind, data[value_at:end]
        at = (end + 3) // 4 * 4


def _table(
    source: Source, dtype: np.dtype[np.void], offset: int, entry_size: int, count: int, limit: int
) -> NDArray[np.void]:
    if not count:
        return np.zeros(0, dtype)
    if entry_size != dtype.itemsize:
        raise ElfError(f"header entries of {entry_size} bytes, not {dtype.itemsize}")
    if count > limit:
        raise ElfError(f"{count} header entries")
    return np.frombuffer(source.read(offset, count * dtype.itemsize), dtype)


def _named(source: Source, rows: NDArray[np.void], names: int) -> tuple[Section, ...]:
    text = b""
    if names < len(rows) and rows[names]["type"] != SHT_NOBITS and rows[names]["size"] <= _MAX_SECTION_NAMES:
        text = source.read(int(rows[names]["offset"]), int(rows[names]["size"]))
    out = []
    for name, kind, flags, address, offset, size, link, _, _, entry_size in rows.tolist():
        end = text.find(b"\0", name, name + 256)
        out.append(Section(text[name:end] if end >= 0 else b"", kind, flags, address, offset, size, link, entry_size))
    return tuple(out)
