"""Where an ELF file keeps its call frame information, and the entries in it.

Format: Linux Standard Base Core 5.0, section 10.6 (.eh_frame, .eh_frame_hdr); DWARF 5, section 6.4.1 (.debug_frame).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from aperture_tui.symbolize.elf import Elf, ElfError
from aperture_tui.symbolize.unwind_encoding import (
    ABSOLUTE_8,
    DAMAGE,
    PCREL_S4,
    Addresses,
    MalformedError,
    length,
    sleb,
    uleb,
)
from aperture_tui.symbolize.unwind_program import RETURN_ADDRESS, Rulebook

_PT_GNU_EH_FRAME: Final = 0x6474E550
_MAX_HDR: Final = 32  # the bytes before the search table
_EXTENDED: Final = 0xFFFFFFFF  # a 64-bit length follows
_DEBUG_COMMON, _DEBUG_COMMON_64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF  # the id of common entries in .debug_frame
_HEAD: Final = struct.Struct("<II")
_VERSIONS: Final = (1, 3, 4)
_PLAIN: Final = struct.Struct("<iI")
_MAX_AUGMENTATION: Final = 8


Entry = tuple[int, int, int, int | None]
"""(start, body, end, common) of a common entry (CIE) or a function's (FDE): where it begins, what follows its id, and
where the common entry of a function begins, None for a common entry. A plain tuple: there are many."""


class CutError(Exception):
    """The bytes end where the limit was, not where the section ends."""


@dataclass(frozen=True, slots=True)
class CallFrames:
    """The bytes of a section. address: virtual, of data[0]. hdr: virtual address of .eh_frame_hdr.

    debug: it is .debug_frame. cut: more follows than was read. segment: it was found by .eh_frame_hdr, and what
    follows its terminator is something else.
    """

    data: bytes
    address: int
    hdr: int | None = None
    debug: bool = False
    cut: bool = False
    segment: bool = False

    def entries(self) -> Iterator[Entry]:
        """The entries as they lie in the file.

        Raises MalformedError at a length that leads beyond the end, CutError where more should have been read.
        """
        data, size, common_link = self.data, len(self.data), _DEBUG_COMMON if self.debug else 0
        start = 0
        while start + 8 <= size:
            count, link = _HEAD.unpack_from(data, start)
            if not count:  # a terminator; some linkers leave others inside the section
                if self.segment:
                    return
                start += 4
                continue
            at, body = start + 4, start + 8
            if count == _EXTENDED:
                at, body, count, link = self._wide(start)
            end = at + count
            if not body <= end <= size:
                break
            yield start, body, end, None if link == common_link else link if self.debug else at - link
            start = end
        if self.cut:
            raise CutError
        if any(data[start:]):
            raise MalformedError("an entry beyond the end")

    def _wide(self, start: int) -> tuple[int, int, int, int]:
        """(where the count starts from, body, count, link) of an entry with a 64-bit length.

        The id of .eh_frame stays at 32 bits (LSB), that of .debug_frame does not.
        """
        at = start + 12
        body = at + (8 if self.debug else 4)
        count, link = (int.from_bytes(part, "little") for part in (self.data[start + 4 : at], self.data[at:body]))
        return at, body, count, _DEBUG_COMMON if self.debug and link == _DEBUG_COMMON_64 else link


def call_frames(elf: Elf, max_bytes: int) -> CallFrames | None:
    """.eh_frame, by name or by its header's address; else .debug_frame; None if there is neither.

    At most max_bytes are read. Raises ElfError for a section that is compressed, not in the file or beyond its end.
    """
    header = elf.segments[elf.segments["type"] == _PT_GNU_EH_FRAME]
    hdr = int(header[0]["address"]) if len(header) else None
    section = elf.section(b".eh_frame")
    if hdr is not None and (section is None or not section.size):
        return _by_header(elf, hdr, int(header[0]["offset"]), int(header[0]["file_size"]), max_bytes)
    debug = section is None or not section.size
    section = elf.section(b".debug_frame") if debug else section
    if section is None:
        return None
    elf.check(section)
    data = elf.source.read(section.offset, min(section.size, max_bytes))
    return CallFrames(data, section.address, hdr, debug, cut=section.size > max_bytes)


def _by_header(elf: Elf, hdr: int, offset: int, size: int, max_bytes: int) -> CallFrames:
    """The section that .eh_frame_hdr points to, up to the end of its segment. Raises ElfError."""
    data = elf.source.read(offset, min(size, _MAX_HDR))
    try:
        if data[0] != 1:
            raise MalformedError("unknown version")
        address, _ = Addresses(data[1], hdr, hdr).read(data, 4)
    except DAMAGE as error:
        raise ElfError(f".eh_frame_hdr is malformed: {error}") from error
    for segment in elf.load_segments:
        start, held = int(segment["address"]), int(segment["file_size"])
        if start <= address < start + held:
            left = start + held - address
            data = elf.source.read(int(segment["offset"]) + address - start, min(left, max_bytes))
            return CallFrames(data, address, hdr, cut=left > max_bytes, segment=True)
    raise ElfError(".eh_frame_hdr is malformed: it points into no segment")


def rulebook(frames: CallFrames, entry: Entry, base: int) -> Rulebook:
    """What a common entry says. base: the address that rows count from.

    Raises one of DAMAGE.
    """
    data, (_, body, end, _) = frames.data, entry
    version, at = data[body], body + 1
    stop = data.find(b"\0", at, at + _MAX_AUGMENTATION + 1)
    if version not in _VERSIONS or stop < 0:
        raise MalformedError("unknown version or augmentation")
    augmentation, at = data[at:stop], stop + 1
    if version == 4:
        if data[at : at + 2] != b"\x08\0":
            raise MalformedError("addresses that are not 8 bytes without a segment")
        at += 2
    code_align, at = uleb(data, at)
    data_align, at = sleb(data, at)
    column, at = (data[at], at + 1) if version == 1 else uleb(data, at)
    if column != RETURN_ADDRESS:
        raise MalformedError("the return address is not in rip's column")
    encoding = ABSOLUTE_8
    if augmentation:
        encoding, at = _augmented(data, augmentation, at)
    if at > end:
        raise MalformedError("the entry is cut short")
    addresses = Addresses(encoding, frames.address, frames.hdr, base)
    plain = bool(augmentation) and encoding == PCREL_S4
    book = Rulebook(code_align, data_align, addresses, bool(augmentation), b"S" in augmentation, plain)
    return book.started(data, at, end)


def _augmented(data: bytes, augmentation: bytes, at: int) -> tuple[int, int]:
    """The encoding of addresses, and where the augmentation data ends."""
    encoding = ABSOLUTE_8
    size, at = uleb(data, at)
    end = at + size
    for index, letter in enumerate(augmentation.decode("latin-1")):
        if letter == "R":
            encoding = data[at]
            at += 1
        elif letter == "L":
            at += 1
        elif letter == "P":  # the personality routine: only its size matters
            _, at = length(data, at + 1, data[at])
        elif letter != ("S" if index else "z"):  # "eh" is of gcc 2, "B" and "G" are of AArch64
            raise MalformedError("unknown augmentation")
    if at > end:
        raise MalformedError("the augmentation data is cut short")
    return encoding, end


def extent(frames: CallFrames, entry: Entry, book: Rulebook) -> tuple[int, int, int]:
    """(address less the base, size, where the program begins) of a function's entry. Raises one of DAMAGE."""
    data, (_, at, end, _) = frames.data, entry
    if book.plain and data[at + 8] < 0x80:  # nearly every function: as below, but quicker
        address, size = _PLAIN.unpack_from(data, at)
        address += at + frames.address - book.addresses.base
        at += 9 + data[at + 8]
    else:
        address, at = book.addresses.read(data, at)
        size, at = length(data, at, book.addresses.encoding)
        if book.augmented:
            skipped, at = uleb(data, at)
            at += skipped
    if at > end:
        raise MalformedError("the entry is cut short")
    return address, size, at
