"""The blobs of a code cache as columns: CodeBlobs, and the nmethods among them.

src/hotspot/share/code/{codeBlob,nmethod}.hpp of OpenJDK; where the same is kept differs by version, see `BlobLayout`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.hotspot.layout import BlobLayout
from aperture_tui.symbolize.hotspot.structs import Field

MAX_DEBUG: Final = 4 << 20
"""Bytes of each part of the debug information of one method."""
_TOP: Final = np.uint64(1 << 56)
_MAX_CODE: Final = np.uint64(1 << 30)
_MAX_FRAME: Final = 1 << 20  # words
_WORD: Final = 8


class BlobKind(enum.IntEnum):
    """What a blob is, by its name."""

    OTHER = 0
    COMPILED = 1
    """A Java method, by C1, C2 or JVMCI."""
    NATIVE = 2
    """The wrapper of a native method."""
    INTERPRETER = 3
    ADAPTER = 4
    """Between the calling conventions of the interpreter and of compiled code."""
    VTABLE = 5
    STUB = 6
    """A piece of the runtime with a frame: RuntimeStub, the deoptimization blob, and such."""
    ROUTINES = 7
    """StubRoutines: copying of arrays, cryptography, and the way into Java from C++."""
    CONTINUATIONS = 8
    """The StubRoutines of continuations, since JDK 21: where a virtual thread returns to when its callers have not been
    taken back to the stack yet (src/hotspot/share/runtime/continuationFreezeThaw.cpp, the return barrier)."""


_ROUTINES: Final = b"StubRoutines ("
_KINDS: Final = {
    b"nmethod": BlobKind.COMPILED,
    b"native nmethod": BlobKind.NATIVE,
    b"Interpreter": BlobKind.INTERPRETER,
    b"I2C/C2I adapters": BlobKind.ADAPTER,
    b"vtable chunks": BlobKind.VTABLE,
}


def kind_of(name: bytes) -> BlobKind:
    """What a blob of this name is."""
    if name.startswith(_ROUTINES):
        return BlobKind.CONTINUATIONS if name.startswith(_ROUTINES + b"continuation") else BlobKind.ROUTINES
    return _KINDS.get(name, BlobKind.OTHER)


@dataclass(frozen=True, slots=True)
class Blobs:
    """All blobs, sorted by `start`: (n,) each. Addresses are uint64, 0 where there is none.

    blob, block_end: where the CodeBlob is, and where the block that it is in ends. start, end: its code. frame_size:
    bytes from the stack pointer to behind the return address, 0 or less where it has no fixed frame. kind: BlobKind.
    name: address of its name. frame_complete: bytes from `start` to where the frame is there, -1 where that is not
    known. The rest is 0 but for COMPILED and NATIVE: entry: with the check of the receiver's class. verified: behind
    it. exception, deopt, stub: where the handlers and the stubs begin. method: the Method*. compile_id: another for
    each compilation. level: 1 to 3 of C1, 4 of C2. metadata, scopes, pcs: where the debug information is, each with its
    end; 0 and 0 where it is not, or not as it should be.
    """

    blob: NDArray[np.uint64]
    block_end: NDArray[np.uint64]
    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    frame_size: NDArray[np.int32]
    kind: NDArray[np.uint8]
    name: NDArray[np.uint64]
    frame_complete: NDArray[np.int32]
    entry: NDArray[np.uint64]
    verified: NDArray[np.uint64]
    exception: NDArray[np.uint64]
    deopt: NDArray[np.uint64]
    stub: NDArray[np.uint64]
    method: NDArray[np.uint64]
    compile_id: NDArray[np.int32]
    level: NDArray[np.int8]
    metadata: NDArray[np.uint64]
    metadata_end: NDArray[np.uint64]
    scopes: NDArray[np.uint64]
    scopes_end: NDArray[np.uint64]
    pcs: NDArray[np.uint64]
    pcs_end: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.start)

    def find(self, addresses: NDArray[np.uint64]) -> NDArray[np.intp]:
        """The row whose code has each address, -1 where none has: (n,)."""
        if not len(self.start):
            return np.full(len(addresses), -1, np.intp)
        row = np.searchsorted(self.start, addresses, "right") - 1
        return np.where((row >= 0) & (addresses < self.end[row]), row, -1)

    def rows_of(self, blobs: NDArray[np.uint64]) -> NDArray[np.intp]:
        """The rows of blobs, by where they are; those that are not there are left out."""
        if not len(self.blob):
            return np.zeros(0, np.intp)
        row = np.minimum(np.searchsorted(self.blob, blobs), len(self.blob) - 1)
        there: NDArray[np.intp] = row[self.blob[row] == blobs]
        return there

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Blobs:
        """Some of the rows."""
        return Blobs(*(getattr(self, f.name)[rows] for f in fields(self)))

    def merged(self, other: Blobs) -> Blobs:
        """These and the other's, sorted."""
        start = np.concatenate([self.start, other.start])
        order = np.argsort(start, kind="stable")
        return Blobs(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)])[order] for f in fields(self)))

    def same_as(self, other: Blobs) -> NDArray[np.bool_]:
        """Which rows are what the other's are: (n,), of as many."""
        same = np.ones(len(self), bool)
        for f in fields(self):
            same &= getattr(self, f.name) == getattr(other, f.name)
        return same


def no_blobs() -> Blobs:
    """None."""
    kinds = {"frame_size": "<i4", "frame_complete": "<i4", "compile_id": "<i4", "kind": "u1", "level": "i1"}
    return Blobs(*(np.zeros(0, kinds.get(f.name, "<u8")) for f in fields(Blobs)))


def column(rows: NDArray[np.uint8], field: Field) -> NDArray[Any]:
    """One field of structs: (n,). rows: (n, bytes). Zeros where the rows are too short for it."""
    if field.end > rows.shape[1]:
        return np.zeros(len(rows), field.kind)
    return np.ascontiguousarray(rows[:, field.offset : field.end]).view(field.kind)[:, 0]


def parse_blobs(
    rows: NDArray[np.uint8], blob: NDArray[np.uint64], block_end: NDArray[np.uint64], layout: BlobLayout
) -> Blobs:
    """The blobs in used blocks, those left out that are not sound: they are being made. rows: (n, layout.bytes).

    As if all were methods: `with_kinds` comes next.
    """
    start = _place(rows, layout.code_begin, blob)
    relative = layout.entry.kind != "<u8"  # 16 bits, from the code's start: since JDK 23
    blobs = Blobs(
        blob=blob,
        block_end=block_end,
        start=start,
        end=_place(rows, layout.code_end, blob),
        frame_size=(column(rows, layout.frame_size).astype(np.int32).clip(-1, _MAX_FRAME) * _WORD).astype(np.int32),
        kind=np.zeros(len(rows), np.uint8),
        name=column(rows, layout.name).astype(np.uint64),
        frame_complete=column(rows, layout.frame_complete).astype(np.int32),
        entry=_place(rows, layout.entry, start if relative else blob),
        verified=_place(rows, layout.verified, start if relative else blob),
        exception=_place(rows, layout.exception, blob),
        deopt=_place(rows, layout.deopt, blob),
        stub=_place(rows, layout.stub, blob),
        method=column(rows, layout.method).astype(np.uint64),
        compile_id=column(rows, layout.compile_id).astype(np.int32),
        level=column(rows, layout.level).astype(np.int8),
        **_debug(rows, blob, layout),
    )
    size = column(rows, layout.size).astype(np.int64)
    sound = (blobs.blob < blobs.start) & (blobs.start < blobs.end) & (blobs.end <= blobs.block_end)
    sound &= (blobs.name > 0) & (blobs.name < _TOP) & (size > 0)
    sound &= blobs.blob + size.astype(np.uint64) <= blobs.block_end
    rows_in_order = np.flatnonzero(sound)
    return blobs.take(rows_in_order[np.argsort(blobs.start[rows_in_order], kind="stable")])


def with_kinds(blobs: Blobs, kinds: NDArray[np.uint8]) -> Blobs:
    """The same, with kinds, and without what only methods have where there is none.

    Code of a method that is gone is left out: it waits to be freed.
    """
    kinds = np.where((kinds == BlobKind.OTHER) & (blobs.frame_size > 0), np.uint8(BlobKind.STUB), kinds)
    compiled = kinds == BlobKind.COMPILED
    method = compiled | (kinds == BlobKind.NATIVE)
    kept: dict[str, Any] = {}
    for name in ("entry", "verified", "exception", "deopt", "stub"):
        value = getattr(blobs, name)
        inside = method & (value >= blobs.start) & (value < blobs.block_end)
        kept[name] = np.where(inside, value, np.uint64(0))
    for name in ("method", "compile_id", "level"):
        value = getattr(blobs, name)
        kept[name] = np.where(method, value, value.dtype.type(0))
    good = compiled.copy()
    for name in ("metadata", "scopes", "pcs"):
        begin, end = getattr(blobs, name), getattr(blobs, f"{name}_end")
        good &= (begin > 0) & (begin <= end) & (end < _TOP) & (end - begin <= np.uint64(MAX_DEBUG))
    for name in ("metadata", "scopes", "pcs"):
        for part in (name, f"{name}_end"):
            kept[part] = np.where(good, getattr(blobs, part), np.uint64(0))
    return replace(blobs, kind=kinds, **kept).take(~method | (blobs.method > 0))


def _place(rows: NDArray[np.uint8], field: Field, base: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """An address, or base and an offset; 0 for a negative offset, which is none."""
    value = column(rows, field)
    if field.kind == "<u8":
        return value
    return np.where(value >= 0, base + value.astype(np.int64).astype(np.uint64), np.uint64(0))


def _debug(rows: NDArray[np.uint8], blob: NDArray[np.uint64], layout: BlobLayout) -> dict[str, NDArray[np.uint64]]:
    """Where the debug information of methods is."""
    if layout.immutable is None or layout.immutable_bytes is None:
        scopes, pcs = _place(rows, layout.scopes, blob), _place(rows, layout.pcs, blob)
        metadata = _place(rows, layout.metadata, blob) if layout.metadata is not None else np.zeros_like(blob)
        pcs_end = _place(rows, layout.pcs_end, blob) if layout.pcs_end is not None else pcs
        return {
            "metadata": metadata, "metadata_end": scopes,
            "scopes": scopes, "scopes_end": pcs,
            "pcs": pcs, "pcs_end": pcs_end,
        }  # fmt: skip
    immutable = column(rows, layout.immutable).astype(np.uint64)
    end = immutable + column(rows, layout.immutable_bytes).astype(np.uint32)
    scopes, pcs = _place(rows, layout.scopes, immutable), _place(rows, layout.pcs, immutable)
    if layout.mutable is not None and layout.mutable_bytes is not None and layout.relocation_bytes is not None:
        mutable = column(rows, layout.mutable).astype(np.uint64)
        metadata = _place(rows, layout.relocation_bytes, mutable)
        metadata_end = _place(rows, layout.mutable_bytes, mutable)
    else:
        data = _place(rows, layout.data_offset, blob)
        metadata = _place(rows, layout.metadata, data) if layout.metadata is not None else data
        metadata_end = blob + column(rows, layout.size).astype(np.uint32)
    return {
        "metadata": metadata, "metadata_end": metadata_end,
        "scopes": scopes, "scopes_end": end,
        "pcs": pcs, "pcs_end": scopes,
    }  # fmt: skip
