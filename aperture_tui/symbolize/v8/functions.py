"""Functions of a V8, from their SharedFunctionInfo: read once, and looked at again with every drain."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame
from aperture_tui.symbolize.process_memory import Memory
from aperture_tui.symbolize.v8.heap import Heap, is_object, small_integer
from aperture_tui.symbolize.v8.layout import Layout, V8Error
from aperture_tui.symbolize.v8.scripts import Scripts

RECHECK_S: Final = 0.1
"""A function that was last looked at longer ago is looked at again: the collector may have put another in its place."""
MAX_FUNCTIONS: Final = 16_384
"""Past it, all that is known of a process is forgotten together."""
_MODULE: Final = "[jit]"  # as of what a perf map names: a function is one frame, whoever names it
_MAX_VARIABLES: Final = 4096
_INLINED_NAMES: Final = 75  # kScopeInfoMaxInlinedLocalNamesSize
# of a ScopeInfo's flags (scope-info.tq)
_SCOPE_KIND, _CLASS_VARIABLE, _FUNCTION_VARIABLE, _INFERRED_NAME = 15, 1 << 10, 3 << 12, 1 << 14
_MODULE_SCOPES: Final = {False: 3, True: 5}
"""The kind of scope that a module is, by `Layout.positions_first`."""


class _Header(NamedTuple):
    """The words of a SharedFunctionInfo that make it this one."""

    map: int
    name: int
    script: int


class _Scope(NamedTuple):
    """What a ScopeInfo says: words of names, 0 for none, and where the function begins in its source."""

    name: int
    inferred: int
    start: int


@dataclass(slots=True)
class _Function:
    """What is known of an address. due: when it is looked at again, on the clock."""

    header: _Header | None
    due: float
    frame: Frame | None = None


class Functions:
    """The functions of one process. Owned by one thread. clock: seconds, only moves forward."""

    def __init__(self, memory: Memory, layout: Layout, clock: Callable[[], float]) -> None:
        self._memory = memory
        self._layout = layout
        self._clock = clock
        self._heap = Heap(memory, layout.instance_type, layout.nonstring)
        self._scripts = Scripts(self._heap, layout)
        self._known: dict[int, _Function] = {}

    def frames(self, words: Sequence[int]) -> list[Frame | None]:
        """The frame of each word that points at a SharedFunctionInfo; None where there is none (any more).

        Of a process that is gone what was known last.
        """
        now = self._clock()
        missing = {word for word in words if (one := self._known.get(word)) is None or one.due < now}
        if len(self._known) + len(missing) > MAX_FUNCTIONS:
            self._known.clear()
            missing = set(words)
        if missing:
            self._look(sorted(missing), now)
        return [None if (one := self._known.get(word)) is None else one.frame for word in words]

    def _look(self, words: list[int], now: float) -> None:
        size = self._layout.shared_bytes
        try:
            found = self._memory.read_many([word - 1 for word in words], [size] * len(words))
        except V8Error:
            return
        for word, data in zip(words, found, strict=True):
            header = self._header(word, data)
            known = self._known.get(word)
            if known is None or known.header != header:
                known = self._known[word] = _Function(header, now, self._frame(header))
            known.due = now + RECHECK_S

    def _header(self, word: int, data: bytes | None) -> _Header | None:
        if data is None or not is_object(word):
            return None
        at = (0, self._layout.name, self._layout.script)
        header = _Header(*(struct.unpack_from("<Q", data, offset)[0] for offset in at))
        return header if self._heap.type_by_map(header.map) == self._layout.shared_type else None

    def _frame(self, header: _Header | None) -> Frame | None:
        if header is None:
            return None
        scope = _Scope(header.name, 0, -1)
        if self._heap.type_of(header.name) == self._layout.scope_type:
            scope = self._scope(header.name) or _Scope(0, 0, -1)
        name = self._name(scope.name) or self._name(scope.inferred) or "(anonymous)"
        script = self._scripts.get(header.script)
        if script is None:
            return Frame(name, _MODULE, kind=FrameKind.JIT)
        line = script.line_at(scope.start) if scope.start >= 0 else 0
        return Frame(name, _MODULE, script.file, line, FrameKind.JIT)

    def _name(self, word: int) -> str:
        return (self._heap.text(word) or "") if is_object(word) else ""

    def _scope(self, word: int) -> _Scope | None:
        """What a ScopeInfo says; its words are those of `ScopeInfo` in scope-info.tq."""
        variables, first = self._layout.variables, self._layout.positions_first
        head = self._heap.words(word, 8, variables)
        count = small_integer(head[2]) if head is not None else None
        if head is None or count is None or not 0 <= count < _MAX_VARIABLES:
            return None
        flags = head[0] >> 32 or head[0] & 0xFFFF_FFFF  # a small integer, or 32 bits and padding
        skipped = count + (count if count < _INLINED_NAMES else 1)
        skipped += bool(flags & _CLASS_VARIABLE) + (flags & _SCOPE_KIND == _MODULE_SCOPES[first])
        named, inferred = 2 * bool(flags & _FUNCTION_VARIABLE), bool(flags & _INFERRED_NAME)
        tail = self._heap.words(word, 8 * (1 + variables + skipped), named + inferred + 2)
        if tail is None:
            return None
        start = small_integer(head[3] if first else tail[named + inferred])
        return _Scope(tail[0] if named else 0, tail[named] if inferred else 0, -1 if start is None else start)
