"""Where an ELF file keeps its call frame information, and the entries in it.

Format: Linux Standard Base Core 5.0, section 10.6 (.eh_frame, .eh_frame_hdr); DWARF 5, section 6.4.1 (.debug_frame).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

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

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PT_GNU_EH_FRAME: Final = 0x6474E550
_MAX_HDR: Final = 32  # the bytes before the search table
_EXTENDED: Final = 0xFFFFFFFF  # a 64-bit length follows
_DEBUG_COMMON, _DEBUG_COMMON_64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF  # the id of common entries in .debug_frame
_COUNT: Final = struct.Struct("<I")
_BATCH_BYTES: Final = 1 << 20
_COMMON, _NO_COMMON = -1, -2
_VERSIONS: Final = (1, 3, 4)
_PLAIN_BYTES: Final = 9  # address, size, and one byte for the size of the augmentation data
_FAR: Final = 1 << 62
_MAX_AUGMENTATION: Final = 8


@dataclass(frozen=True, slots=True)
class Entries:
    """Some entries as they lie in the file, (n,) int64 each. start: where an entry begins. body: what follows its id.

    common: where the common entry (CIE) of a function (FDE) begins, -1 for a common entry, -2 where there can be none.
    """

    start: NDArray[np.int64]
    body: NDArray[np.int64]
    end: NDArray[np.int64]
    common: NDArray[np.int64]


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

    def batches(self) -> Iterator[Entries]:
        """The entries as they lie in the file, about a megabyte of them at a time.

        Raises MalformedError at a length that leads beyond the end, CutError where more should have been read.
        """
        data, size, unpack = self.data, len(self.data), _COUNT.unpack_from
        starts: list[int] = []
        wide: dict[int, tuple[int, int, int]] = {}
        start = 0
        while start + 8 <= size:  # half a million times in a large library: no more is done here than to go on
            (count,) = unpack(data, start)
            body, end = start + 8, start + 4 + count
            if not count:  # a terminator; some linkers leave others inside the section
                if self.segment:
                    break
                start += 4
                continue
            if count == _EXTENDED:
                body, end, common = self._wide(start)
                wide[len(starts)] = body, end, common
            if not body <= end <= size:
                break
            starts.append(start)
            start = end
            if start - starts[0] >= _BATCH_BYTES:
                yield self._columns(starts, wide)
                starts, wide = [], {}
        if starts:
            yield self._columns(starts, wide)
        self._check_end(start)

    def _check_end(self, start: int) -> None:
        """See `batches`. start: what has been read ends here."""
        if self.segment and self.data[start : start + 4] == bytes(4):
            return
        if self.cut:
            raise CutError
        if any(self.data[start:]):
            raise MalformedError("an entry beyond the end")

    def _columns(self, starts: list[int], wide: dict[int, tuple[int, int, int]]) -> Entries:
        """The entries that begin at these places. wide: those of them, by index, that `_wide` has read."""
        words = np.ndarray((len(self.data) - 3,), "<u4", self.data, strides=(1,))  # the word at each byte
        start = np.array(starts, np.int64)
        link = words[start + 4].astype(np.int64)
        common = link if self.debug else start + 4 - link
        common[common < 0] = _NO_COMMON
        common[link == (_DEBUG_COMMON if self.debug else 0)] = _COMMON
        found = Entries(start, start + 8, start + 4 + words[start], common)
        for i, (body, end, its_common) in wide.items():
            found.body[i], found.end[i], found.common[i] = body, end, its_common
        return found

    def _wide(self, start: int) -> tuple[int, int, int]:
        """(body, end, common) of an entry with a 64-bit length.

        The id of .eh_frame stays at 32 bits (LSB), that of .debug_frame does not.
        """
        at = start + 12
        body = at + (8 if self.debug else 4)
        count, link = (int.from_bytes(part, "little") for part in (self.data[start + 4 : at], self.data[at:body]))
        if link == (_DEBUG_COMMON_64 if self.debug else 0):
            return body, at + count, _COMMON
        common = link if self.debug else at - link
        return body, at + count, common if 0 <= common < len(self.data) else _NO_COMMON


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


def rulebook(frames: CallFrames, body: int, end: int, base: int) -> Rulebook:
    """What a common entry says: data[body:end]. base: the address that rows count from.

    Raises one of DAMAGE.
    """
    data = frames.data
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


def extent(frames: CallFrames, at: int, end: int, book: Rulebook) -> tuple[int, int, int]:
    """(address less the base, size, where the program begins) of the function data[at:end]. Raises one of DAMAGE."""
    data = frames.data
    address, at = book.addresses.read(data, at)
    size, at = length(data, at, book.addresses.encoding)
    if book.augmented:
        skipped, at = uleb(data, at)
        at += skipped
    if at > end:
        raise MalformedError("the entry is cut short")
    return address, size, at


def extents(
    frames: CallFrames, at: NDArray[np.int64], end: NDArray[np.int64], base: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """`extent` of many functions whose rulebook is `plain`: (n,) each; where the program would begin is -1 for those
    that have to be looked at one by one.
    """
    data = np.frombuffer(frames.data, np.uint8)
    offset = frames.address - base  # of the section; whatever a header says, it has to stay a number
    fits = (at + _PLAIN_BYTES <= end) & (abs(offset) < _FAR)
    at = np.where(fits, at, 0)
    if not np.any(fits):
        return at, at.copy(), np.full(len(at), -1)
    words = np.ndarray((len(data) - 3,), "<u4", frames.data, strides=(1,))
    address = words[at].view("<i4") + at + (offset if abs(offset) < _FAR else 0)
    augmentation = data[at + _PLAIN_BYTES - 1].astype(np.int64)
    program = at + _PLAIN_BYTES + augmentation
    usable = fits & (augmentation < 0x80) & (program <= end)
    return address, words[at + 4].astype(np.int64), np.where(usable, program, -1)
