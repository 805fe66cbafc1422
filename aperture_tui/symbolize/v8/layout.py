"""Where V8 keeps what names a function, and what of it the walk in the kernel is told.

The metadata are V8's own (`binary`); what they leave out is from V8's sources: src/objects/{scope-info,string,script,
shared-function-info}.tq and src/execution/frame-constants.h, and holds for Node.js 18, 20, 22 and 24.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

# what the readers take for granted: tags of words and strings (src/objects/instance-type.h), 64-bit words on the heap,
# and the standard frame
GRANTED: Final = {
    "SmiTagMask": 1,
    "SmiTag": 0,
    "HeapObjectTag": 1,
    "HeapObjectTagMask": 3,
    "StringRepresentationMask": 7,
    "StringEncodingMask": 8,
    "OneByteStringTag": 8,
    "SeqStringTag": 0,
    "ConsStringTag": 1,
    "ExternalStringTag": 2,
    "SlicedStringTag": 3,
    "ThinStringTag": 5,
    "off_fp_context": -8,
    "off_fp_function": -16,
}
_UNCOMPRESSED: Final = {"SmiShiftSize": 31, "TaggedSize": 8, "SystemPointerSize": 8}
_MAX_OFFSET: Final = 256
_POSITIONS_FIRST: Final = 5
"""Where a ScopeInfo has its variables if it has its positions before them; 3 if behind them."""


class V8Error(ValueError):
    """The process is a V8 whose functions cannot be read; the message is one line that says why."""


class Span(NamedTuple):
    """Addresses of a file [start, start + size), none if the size is 0: virtual ones, less the page of the lowest that
    is loaded, as its unwind rows have them. Below 4 GB."""

    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Walk:
    """What the walk in the kernel has to know of one process.

    The walk: where a frame is taken for one with rbp, *(rbp - 8) is its context, or if bit 0 is clear, the type of a
    frame that is no function's. function = *(rbp - 16), info = *(function - 1 + shared), both with bit 0 set and bit 1
    clear. info stands for code in anonymous memory; and unless *(info - 1 + 8) has bit 0 clear, which makes it a
    builtin, for code of the file that has called another or is in `handlers`.

    shared: of SharedFunctionInfo in JSFunction. handlers: the builtins that run a bytecode each, in the file. The order
    is that of struct v8 in bpf/unwind_processes.h.
    """

    shared: int
    handlers: Span


@dataclass(frozen=True, slots=True)
class Layout:
    """One build of V8. Offsets in bytes.

    name, script: in SharedFunctionInfo, of its name or ScopeInfo, and of its Script. script_name, script_source: in
    Script. instance_type: in Map. *_type: instance types; those of strings are below `nonstring`. variables: the words
    of a ScopeInfo before its first variable, without the map.
    """

    walk: Walk
    name: int
    script: int
    script_name: int
    script_source: int
    instance_type: int
    shared_type: int
    script_type: int
    scope_type: int
    nonstring: int
    variables: int

    @property
    def shared_bytes(self) -> int:
        """How many bytes of a SharedFunctionInfo hold all that is read of it."""
        return max(self.name, self.script) + 8

    @property
    def positions_first(self) -> bool:
        """Whether a ScopeInfo has its positions before its variables."""
        return self.variables == _POSITIONS_FIRST


def layout_of(constants: Mapping[str, int], handlers: Span) -> Layout:
    """The layout that the metadata of a build tell, by name without the prefix. Raises V8Error."""
    if not constants:
        raise V8Error("it has no metadata of V8 for debuggers (v8dbg_*)")
    if any(constants.get(name, value) != value for name, value in _UNCOMPRESSED.items()):
        raise V8Error("its V8 compresses pointers")
    for name, value in GRANTED.items():
        if constants.get(name) != value:
            raise V8Error(f"another V8 than is known: v8dbg_{name} is {constants.get(name)}, not {value}")

    def number(name: str) -> int:
        value = constants.get(name)
        if value is None:
            raise V8Error(f"another V8 than is known: it has no v8dbg_{name}")
        return value

    def offset(start: str, *others: str) -> int:
        """Of a member of one of these names; the type is a part of it, which changes."""
        for prefix in (start, *others):
            for name, value in constants.items():
                if name.startswith(f"class_{prefix}__") and value % 8 == 0 and 0 < value < _MAX_OFFSET:
                    return value
        raise V8Error(f"another V8 than is known: it has no v8dbg_class_{start}")

    variables = number("scopeinfo_idx_first_vars")
    if variables not in (3, _POSITIONS_FIRST):
        raise V8Error(f"another V8 than is known: v8dbg_scopeinfo_idx_first_vars is {variables}")
    return Layout(
        walk=Walk(offset("JSFunction__shared"), handlers),
        name=offset("SharedFunctionInfo__name_or_scope_info"),
        script=offset("SharedFunctionInfo__script", "SharedFunctionInfo__script_or_debug_info"),
        script_name=offset("Script__name"),
        script_source=offset("Script__source"),
        instance_type=number("class_Map__instance_type__uint16_t") & _MAX_OFFSET - 1,
        shared_type=number("type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE"),
        script_type=number("type_Script__SCRIPT_TYPE"),
        scope_type=number("type_ScopeInfo__SCOPE_INFO_TYPE"),
        nonstring=number("FirstNonstringType"),
        variables=variables,
    )
