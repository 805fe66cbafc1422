"""The frame of a recording: a header, then blocks that can be checked one by one (docs/recording.md)."""

from __future__ import annotations

import enum
import json
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import zstandard
from numpy.typing import NDArray

from aperture_tui.profile.packed.words import MAX_JSON, parsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

FORMAT: Final = 2
"""The version that this code writes and reads. 1 was before the first release."""
_LAST_FORMAT: Final = 1000
"""A higher number is damage, and not the future."""

MAGIC: Final = b"\x89APERTUR"  # not text, so that no text file is taken for a recording
MAX_BLOCK: Final = 64 << 20
"""Bytes in a block, packed or unpacked; a larger one is not believed."""

_FILE: Final = struct.Struct("<8sIII")  # magic, format, length of the JSON that follows, its CRC-32
_BLOCK: Final = struct.Struct("<4sBBHIII")  # marker, type, flags, 0, stored bytes, plain bytes, CRC-32 of the stored
HEADER: Final = _BLOCK.size + 4
"""Bytes before a payload: with the CRC-32 of the fields, so that a length can be trusted."""
MARKER: Final = b"ApBk"
"""The first bytes of a block; its type follows."""
_PACKED: Final = 1  # flag: the payload is a zstd frame
_LEVEL: Final = 3  # of zstd: 5 MB of events in 10 ms; level 9 takes six times as long for a tenth less
_MOST_CUTS: Final = 1 << 12
"""Gaps between blocks after which the rest of a file is one: no disk has so many bad places."""
_FIRST_READ: Final = 1 << 12
_MOST_READ: Final = 1 << 20
"""Bytes in which the next block is looked for: most gaps are short."""
_DAMAGED: Final = "the header of this recording is damaged"
_CUT: Final = "this recording was cut short within its header: nothing of it can be read"


class RecordingError(Exception):
    """A file that is no readable recording: one clear line that names it."""


class BlockType(enum.IntEnum):
    """What a block holds. Readers skip types that they do not know."""

    SYMBOLS = 1
    EVENTS = 2
    HEALTH = 3
    GAUGES = 4
    HOSTS = 5
    INDEX = 6
    END = 7
    TAGS = 8


class Block(NamedTuple):
    """One block as it was found. payload: unpacked; None if it is damaged. kind: a BlockType, or one unknown.

    end: where the next one begins.
    """

    offset: int
    kind: int
    payload: bytes | None
    end: int


_OF_WORDS: Final = (BlockType.HEALTH, BlockType.GAUGES, BlockType.HOSTS, BlockType.TAGS)


class Cut(NamedTuple):
    """Bytes that are no block. end: they reach to the end of the file, as after a crash or a full disk."""

    offset: int
    length: int
    end: bool


def file_header(facts: Mapping[str, Any]) -> bytes:
    """The first bytes of a file. facts: JSON types."""
    text = json.dumps(facts).encode()
    return _FILE.pack(MAGIC, FORMAT, len(text), zlib.crc32(text)) + text


def pack(kind: BlockType, payload: bytes) -> bytes:
    """One block. Raises ValueError for a payload that no reader would take."""
    if len(payload) > MAX_BLOCK:
        raise ValueError(f"a block of {len(payload):,} bytes is too large")
    packed = zstandard.ZstdCompressor(level=_LEVEL).compress(payload)
    flags = _PACKED if len(packed) < len(payload) else 0
    stored = packed if flags else payload
    fields = _BLOCK.pack(MARKER, kind, flags, 0, len(stored), len(payload), zlib.crc32(stored))
    return fields + struct.pack("<I", zlib.crc32(fields)) + stored


def read_header(file: BinaryIO, name: str) -> dict[str, Any]:
    """The facts of a file that stands at its start; leaves it at the first block. Raises RecordingError."""
    fields = file.read(_FILE.size)
    if not fields.startswith(MAGIC):
        raise RecordingError(f"{name}: not a recording of aperture")
    if len(fields) < _FILE.size:
        raise RecordingError(f"{name}: {_CUT}")
    _, version, length, crc = _FILE.unpack(fields)
    if not 0 < version <= _LAST_FORMAT:
        raise RecordingError(f"{name}: {_DAMAGED}")
    if version != FORMAT:
        age, mend = ("newer", "upgrade, or export") if version > FORMAT else ("older", "export")
        raise RecordingError(
            f"{name}: made by a{'n' * (age == 'older')} {age} aperture (format {version}, this one reads {FORMAT}): "
            f"{mend} it with the version that made it"
        )
    text = file.read(length) if length <= MAX_JSON else b""
    if length <= MAX_JSON and len(text) < length:
        raise RecordingError(f"{name}: {_CUT}")
    facts = parsed(text) if zlib.crc32(text) == crc and len(text) == length else None
    if not isinstance(facts, dict):
        raise RecordingError(f"{name}: {_DAMAGED}")
    return facts


def block_at(file: BinaryIO, offset: int) -> Block | None:
    """The block at a place that was told; None if there is none whose header can be trusted, or if it is cut."""
    file.seek(offset)
    lengths = _lengths(file.read(HEADER))
    if lengths is None:
        return None
    kind, flags, stored_bytes, plain_bytes, crc = lengths
    stored = file.read(stored_bytes)
    if len(stored) < stored_bytes:
        return None
    return _block(offset, kind, flags, stored, plain_bytes, crc)


def _block(offset: int, kind: int, flags: int, stored: bytes, plain_bytes: int, crc: int) -> Block:
    whole = zlib.crc32(stored) == crc and (plain_bytes <= MAX_JSON or kind not in _OF_WORDS)
    return Block(offset, kind, _unpacked(stored, flags, plain_bytes) if whole else None, offset + HEADER + len(stored))


def scan(file: BinaryIO, end: int | None = None) -> Iterator[Block | Cut]:
    """All blocks from where the file stands to its last whole one, and the bytes between that are none.

    end: where the file ended when it was opened; one that is being written grows. A damaged payload costs its block; a
    damaged length costs the bytes up to the next block that can be trusted.
    """
    offset, cuts = file.tell(), 0
    while (end is None or offset < end) and (fields := file.read(HEADER)):
        lengths = _lengths(fields)
        if lengths is None:
            cuts += 1
            found = _next_block(file, offset + 1) if cuts < _MOST_CUTS else None
            after = file.seek(0, 2) if found is None else found
            yield Cut(offset, after - offset, found is None and cuts < _MOST_CUTS)
            offset = file.seek(after)
            continue
        kind, flags, stored_bytes, plain_bytes, crc = lengths
        stored = file.read(stored_bytes)
        if len(stored) < stored_bytes:
            yield Cut(offset, HEADER + len(stored), True)
            return
        block = _block(offset, kind, flags, stored, plain_bytes, crc)
        yield block
        offset = file.seek(block.end)  # whoever was given the block may have read elsewhere


def _lengths(fields: bytes) -> tuple[int, int, int, int, int] | None:
    """Type, flags, stored bytes, plain bytes and CRC of a block whose header can be trusted."""
    if len(fields) < HEADER or zlib.crc32(fields[:-4]) != int.from_bytes(fields[-4:], "little"):
        return None
    marker, kind, flags, _, stored, plain, crc = _BLOCK.unpack(fields[:-4])
    if marker != MARKER or stored > MAX_BLOCK or plain > MAX_BLOCK:
        return None
    return kind, flags, stored, plain, crc


def headers(window: bytes, mark: bytes = MARKER) -> NDArray[np.int64]:
    """(n,): where in these bytes block headers begin that can be trusted. mark: their first bytes.

    All at once: a file from a stranger may be millions of marks and nothing else.
    """
    near = np.frombuffer(window, np.uint8)
    if len(near) < HEADER:
        return np.zeros(0, np.int64)
    starts = len(near) - HEADER + 1
    marked = near[:starts] == mark[0]
    for n, byte in enumerate(mark[1:], 1):
        marked &= near[n : n + starts] == byte
    at: NDArray[np.int64] = np.flatnonzero(marked)
    for field in _LENGTHS_AT:
        at = at[_numbers(near, at + field) <= MAX_BLOCK]
    crc = np.full(len(at), _ONES)
    for n in range(_BLOCK.size):
        crc = _CRC_OF_BYTE[(crc ^ near[at + n]) & 0xFF] ^ (crc >> 8)
    trusted: NDArray[np.int64] = at[(crc ^ _ONES) == _numbers(near, at + _BLOCK.size)]
    return trusted


_LENGTHS_AT: Final = (8, 12)
"""Where the stored and the plain bytes stand in a header."""
_ONES: Final = np.uint32(0xFFFFFFFF)


def _numbers(near: NDArray[np.uint8], at: NDArray[np.int64]) -> NDArray[np.uint32]:
    """(n,): the little-endian words of four bytes at these places."""
    words: NDArray[np.uint32] = near[at[:, None] + np.arange(4)].view("<u4")[:, 0]
    return words


def _crc_of_byte() -> NDArray[np.uint32]:
    """(256,): what one byte does to a CRC-32, by the polynomial of zlib (RFC 1952, section 8)."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0xEDB88320), table >> 1)
    return table


_CRC_OF_BYTE: Final = _crc_of_byte()


def _next_block(file: BinaryIO, offset: int) -> int | None:
    """Where the next block that can be trusted begins; reads a little, then a megabyte at a time."""
    file.seek(offset)
    window, some = b"", _FIRST_READ
    while chunk := file.read(some):
        window += chunk
        found = headers(window)
        if len(found):
            return offset + int(found[0])
        keep = min(len(window), HEADER - 1)
        offset += len(window) - keep
        window = window[len(window) - keep :]
        some = min(2 * some, _MOST_READ)
    return None


def _unpacked(stored: bytes, flags: int, plain_bytes: int) -> bytes | None:
    if not flags & _PACKED:
        return stored if len(stored) == plain_bytes else None
    try:
        # the size is checked first: zstandard would reserve whatever the frame itself claims
        if zstandard.frame_content_size(stored) != plain_bytes:
            return None
        return zstandard.ZstdDecompressor(max_window_size=MAX_BLOCK).decompress(stored)
    except zstandard.ZstdError:
        return None
