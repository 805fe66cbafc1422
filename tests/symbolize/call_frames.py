"""Call frame information written by hand, in small ELF files."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aperture_tui.symbolize.elf import BytesSource, Elf, FileSource
from aperture_tui.symbolize.opening import open_regular
from aperture_tui.symbolize.unwind_layout import Rules, UnwindTable, rules_of
from aperture_tui.symbolize.unwind_table import UnwindSource

BASE = 0x400000
FRAMES_AT = 0x401000
CODE = 0x500000
"""Where the functions of hand-written files are: inside the loaded range."""
LOADED = 0x4000000

PT_LOAD, PT_GNU_EH_FRAME = 1, 0x6474E550


def u32(value: int) -> bytes:
    """Four bytes."""
    return struct.pack("<I", value)


def leb(value: int) -> bytes:
    """An unsigned LEB128 number."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def sleb(value: int) -> bytes:
    """A signed LEB128 number."""
    out = bytearray()
    while not -0x40 <= value < 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value & 0x7F))


USUAL = b"\x0c\x07\x08\x90\x01"  # def_cfa rsp 8; offset rip at cfa-8
ADDRESSES = b"\x1b"  # DW_EH_PE_pcrel | DW_EH_PE_sdata4


def cie(
    program: bytes = USUAL,
    augmentation: bytes = b"zR",
    data: bytes = ADDRESSES,
    version: int = 1,
    *,
    align: tuple[int, int] = (1, -8),
    column: int = 16,
    wide: bool = False,
    mark: bytes = bytes(4),
) -> bytes:
    """A common entry; `mark` is its id."""
    sizes = b"\x08\x00" if version == 4 else b""
    body = bytes((version,)) + augmentation + b"\0" + sizes + leb(align[0]) + sleb(align[1]) + leb(column)
    body += (leb(len(data)) + data if augmentation[:1] == b"z" else b"") + program
    return entry(mark, body, wide=wide)


def entry(mark: bytes, body: bytes, *, wide: bool = False) -> bytes:
    """An entry with its length."""
    size = len(mark) + len(body)
    return (b"\xff\xff\xff\xff" + struct.pack("<Q", size) if wide else u32(size)) + mark + body


@dataclass
class Frames:
    """Grows a .eh_frame at FRAMES_AT, starting with one common entry."""

    data: bytes

    def function(self, start: int, size: int, program: bytes = b"", *, wide: bool = False) -> None:
        """A function of the first common entry, with a pc-relative address."""
        link_at = len(self.data) + (12 if wide else 4)
        address = struct.pack("<iI", start - (FRAMES_AT + link_at + 4), size)
        self.data += entry(u32(link_at), address + b"\0" + program, wide=wide)

    def end(self) -> bytes:
        """The section with its terminator."""
        return self.data + bytes(4)


def elf_bytes(
    frames: bytes,
    name: bytes = b".eh_frame",
    *,
    entry_point: int = 0,
    machine: int = 62,
    flags: int = 2,
    kind: int = 1,
    headers: bool = True,
    hdr: bytes = b"",
    base: int = BASE,
) -> bytes:
    """An ELF file that is one segment, with a section of this name at FRAMES_AT (relative to BASE).

    headers: whether it has section headers. hdr: content of PT_GNU_EH_FRAME, which is at base + 0x200.
    """
    at = FRAMES_AT - BASE
    names = b"\0" + name + b"\0.shstrtab\0"
    names_at = at + len(frames)
    sections_at = names_at + len(names)
    section = struct.Struct("<IIQQQQIIQQ")
    table = section.pack(*(0,) * 10)
    table += section.pack(1, kind, flags, base + at, at, len(frames), 0, 0, 8, 0)
    table += section.pack(2 + len(name), 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    segment = struct.Struct("<IIQQQQQQ")
    size = sections_at + len(table)
    segments = [segment.pack(PT_LOAD, 5, 0, base, base, size, LOADED, 0x1000)]
    if hdr:
        segments.append(segment.pack(PT_GNU_EH_FRAME, 4, 0x200, base + 0x200, 0, len(hdr), len(hdr), 4))
    shown = (sections_at, 64, 3, 2) if headers else (0, 64, 0, 0)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHH", 3, machine, 1, entry_point, 64, shown[0], 0, 64, 56, len(segments))
    head += struct.pack("<HHH", *shown[1:])
    front = ((head + b"".join(segments)).ljust(0x200, b"\0") + hdr).ljust(at, b"\0")
    return front + frames + names + table


def elf_of(data: bytes) -> Elf:
    """The headers of a file in memory."""
    return Elf.read(BytesSource(data))


def elf_at(path: Path | str) -> Elf:
    """The headers of a file on disk."""
    return Elf.read(FileSource(open_regular(str(path))))


def unwind_rows(elf: Elf, **limits: int) -> UnwindTable:
    """The table of a file. limits: of `UnwindSource.read`."""
    return UnwindSource.read(elf, **limits).table()


def at(table: UnwindTable, *addresses: int) -> list[Rules]:
    """The rules at ELF addresses."""
    return [rules_of(int(row)) for row in table.find(np.array(addresses, np.uint64))]


def written(*functions: tuple[int, int, bytes], common: bytes = b"", **options: Any) -> UnwindTable:
    """The table of a file with these functions: (start, size, program). options: of `elf_bytes`."""
    frames = Frames(common or cie())
    for start, size, program in functions:
        frames.function(start, size, program)
    return unwind_rows(elf_of(elf_bytes(frames.end(), **options)))
