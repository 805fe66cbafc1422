"""Which methods are at an address of compiled code: the debug information that HotSpot keeps for deoptimization.

PcDescs lead from places in the code to scopes, and a scope to the one into which it is inlined
(src/hotspot/share/code/{pcDesc,scopeDesc,debugInfoRec}.cpp).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.hotspot.blobs import Blobs, column
from aperture_tui.symbolize.hotspot.compressed import read_scope
from aperture_tui.symbolize.hotspot.layout import Layout
from aperture_tui.symbolize.process_memory import Memory

MAX_DEPTH: Final = 256
"""Methods inlined into each other; HotSpot's own limits are far below."""
MAX_KNOWN_BYTES: Final = 32 << 20
"""Debug information that is kept of a process; past it, all is forgotten together."""
MAX_READ: Final = 32 << 20
"""Debug information that is read together (bytes); of code that comes after it, nothing is known."""
_OBJECT_BYTES: Final = 600


@dataclass(slots=True)
class _Code:
    """The debug information of one compiled method. at: offsets in the code, ascending. chains: by scope."""

    compile_id: int
    at: NDArray[np.int32]
    scope: NDArray[np.int32]
    scopes: bytes
    metadata: NDArray[np.uint64]
    method: int
    chains: dict[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        return self.at.nbytes + self.scope.nbytes + len(self.scopes) + self.metadata.nbytes + _OBJECT_BYTES


class Inlined:
    """The debug information of one process's code. Owned by one thread."""

    def __init__(self, memory: Memory, layout: Layout) -> None:
        self._memory = memory
        self._layout = layout
        self._known: dict[int, _Code] = {}
        self.nbytes = 0
        """Memory held, about."""

    @property
    def known(self) -> NDArray[np.uint64]:
        """The blobs of which something is known."""
        return np.fromiter(self._known, np.uint64, len(self._known))

    def forget(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Forget the blobs that begin in one of these ranges, ascending."""
        if not ranges:
            return
        known = self.known
        starts = np.array([low for low, _ in ranges], np.uint64)
        ends = np.array([high for _, high in ranges], np.uint64)
        row = np.searchsorted(starts, known, "right") - 1
        for blob in known[(row >= 0) & (known < ends[row])].tolist():
            self.nbytes -= self._known.pop(blob).nbytes

    def methods(
        self, blobs: Blobs, rows: NDArray[np.intp], offsets: NDArray[np.int64], exact: NDArray[np.bool_]
    ) -> list[tuple[int, ...]]:
        """The Methods at places in compiled code, innermost first, the compiled one last: those alone where no more
        is known.

        rows: of `blobs`, all COMPILED. offsets: in the code. exact: the offset is one that code returns to, so that it
        has a PcDesc of its own. Any other takes the first PcDesc behind it, as HotSpot's own samplers do
        (nmethod::pc_desc_near of pc + 1 in src/hotspot/share/prims/forte.cpp). PcDescs are where HotSpot may stop a
        thread, unless it runs with -XX:+DebugNonSafepoints: what runs between two of them may be of a method that is
        inlined there and has none itself, or of the one around. The compiled method is right in any case.
        """
        fresh = [row for row in dict.fromkeys(rows.tolist()) if int(blobs.blob[row]) not in self._known]
        if self.nbytes > MAX_KNOWN_BYTES:
            self._known.clear()
            self.nbytes = 0
            fresh = list(dict.fromkeys(rows.tolist()))
        self._load(blobs, fresh)
        out: list[tuple[int, ...]] = []
        for row, offset, is_exact in zip(rows.tolist(), offsets.tolist(), exact.tolist(), strict=True):
            code = self._known[int(blobs.blob[row])]
            at = int(np.searchsorted(code.at, offset, "left" if is_exact else "right"))
            out.append(self._chain(code, int(code.scope[at])) if at < len(code.at) else (code.method,))
        return out

    def _load(self, blobs: Blobs, rows: Sequence[int]) -> None:
        parts = [(name, f"{name}_end") for name in ("pcs", "scopes", "metadata")]
        left = MAX_READ
        for row in rows:
            begins = [int(getattr(blobs, begin)[row]) for begin, _ in parts]
            sizes = [int(getattr(blobs, end)[row]) - begin for (_, end), begin in zip(parts, begins, strict=True)]
            left -= sum(sizes)
            pcs, scopes, metadata = self._memory.read_many(begins, sizes) if left >= 0 else (None, None, None)
            stride = self._layout.pc_desc_bytes
            whole = np.frombuffer(pcs or b"", np.uint8)
            table = whole[: len(whole) // stride * stride].reshape(-1, stride)
            at = column(table, self._layout.pc_offset).astype(np.int32)
            order = np.argsort(at, kind="stable")
            code = _Code(
                int(blobs.compile_id[row]),
                at[order],
                column(table, self._layout.scope_offset).astype(np.int32)[order],
                scopes or b"",
                np.frombuffer((metadata or b"")[: len(metadata or b"") // 8 * 8], "<u8"),
                int(blobs.method[row]),
            )
            self._known[int(blobs.blob[row])] = code
            self.nbytes += code.nbytes

    def _chain(self, code: _Code, scope: int) -> tuple[int, ...]:
        """The Methods from a scope outwards. One that does not end in the compiled method is not believed."""
        known = code.chains.get(scope)
        if known is None:
            known = self._walk(code, scope)
            if not known or known[-1] != code.method:
                known = (code.method,)
            code.chains[scope] = known
        return known

    def _walk(self, code: _Code, scope: int) -> tuple[int, ...]:
        methods: list[int] = []
        while scope > 0 and len(methods) < MAX_DEPTH:
            found = read_scope(code.scopes, scope, self._layout.biased)
            if found is None or not 0 < found.method <= len(code.metadata) or found.sender >= scope:
                return ()  # a scope is written after those around it
            methods.append(int(code.metadata[found.method - 1]))
            scope = found.sender
        return tuple(methods)
