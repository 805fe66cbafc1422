"""What CPython 3.13 and later say of their own layout: `_Py_DebugOffsets`, at the start of `_PyRuntime`.

Format: Include/internal/pycore_debug_offsets.h of 3.13 and 3.14: eight bytes "xdebugpy", then 64-bit words. Which word
is which depends on the minor version, and only on that.
"""

from __future__ import annotations

import struct
from typing import Final

from aperture_tui.symbolize.cpython.errors import CPythonError
from aperture_tui.symbolize.cpython.layout import MAX_FRAME, Layout

_COOKIE: Final = b"xdebugpy"
_WORDS: Final = 80
SIZE: Final = len(_COOKIE) + 8 * _WORDS
"""Bytes of the table that are read."""
_OWNED_BY_C: Final = 3
"""FRAME_OWNED_BY_CSTACK of 3.13, FRAME_OWNED_BY_INTERPRETER of 3.14 (where CSTACK is 4): every entry frame."""
_MAX_STATE: Final = 16 << 20
_MAX_THREAD: Final = 64 << 10
_MAX_OBJECT: Final = 1024

# the struct, then the word with its size and the words of the offsets in it that are used
_PARTS: Final[dict[int, dict[str, tuple[int, dict[str, int]]]]] = {
    13: {
        "runtime": (2, {"interpreters_head": 4}),
        "interpreter": (5, {"interpreter_next": 7, "threads_head": 8}),
        "thread": (18, {"thread_next": 20, "thread_interpreter": 21, "thread_frame": 22, "thread_id": 23}),
        "frame": (27, {"frame_previous": 28, "frame_code": 29, "frame_instruction": 30, "frame_entry": 32}),
        "code": (33, {"code_file": 34, "code_name": 36, "code_lines": 37, "code_first_line": 38, "code_start": 42}),
    },
    14: {
        "runtime": (2, {"interpreters_head": 4}),
        "interpreter": (5, {"interpreter_next": 7, "threads_head": 8}),
        "thread": (21, {"thread_next": 23, "thread_interpreter": 24, "thread_frame": 25, "thread_id": 26}),
        "frame": (30, {"frame_previous": 31, "frame_code": 32, "frame_instruction": 33, "frame_entry": 35}),
        "code": (38, {"code_file": 39, "code_name": 41, "code_lines": 42, "code_first_line": 43, "code_start": 47}),
    },
}
_OB_TYPE: Final = {13: 44, 14: 50}
_UNICODE: Final = {13: 66, 14: 76}  # size, state, length, size of the ASCII header
_BYTES: Final = {13: 63, 14: 73}  # size, ob_size, ob_sval
_LIMITS: Final = {
    "runtime": _MAX_STATE,
    "interpreter": _MAX_STATE,
    "thread": _MAX_THREAD,
    "frame": MAX_FRAME,
    "code": _MAX_OBJECT,
}


def parse_debug_offsets(data: bytes, minor: int) -> Layout:
    """The layout of CPython 3.minor (13 or 14) from the SIZE bytes at its `_PyRuntime`.

    Raises CPythonError: not the table of this version, a free-threaded build, or offsets beyond their structs.
    """
    if data[:8] != _COOKIE or len(data) < SIZE:
        raise CPythonError(f"CPython 3.{minor} without its table of offsets at _PyRuntime")
    words = struct.unpack_from(f"<{_WORDS}Q", data, 8)
    if words[0] >> 16 != 3 << 8 | minor:
        raise CPythonError(f"_PyRuntime is of version {words[0]:#x}, not of CPython 3.{minor}")
    if words[1]:
        raise CPythonError(f"a free-threaded CPython 3.{minor}: its frames cannot be read")
    found: dict[str, int] = {}
    for name, (size_at, offsets) in _PARTS[minor].items():
        size = words[size_at]
        if size > _LIMITS[name]:
            raise CPythonError(f"CPython 3.{minor} with a {name} of {size} bytes")
        for field, at in offsets.items():
            if words[at] >= size:
                raise CPythonError(f"CPython 3.{minor} with {field} {words[at]} bytes into a {name} of {size}")
            found[field] = words[at]
    if found["frame_entry"] + 8 > MAX_FRAME or max(found["frame_code"], found["frame_instruction"]) + 8 > MAX_FRAME:
        raise CPythonError(f"CPython 3.{minor} with frames that are too large")
    _check_objects(words, minor)
    ascii_size = words[_UNICODE[minor] + 3]
    return Layout(
        minor=minor,
        cframe=-1,
        entry_from=_OWNED_BY_C,
        ascii_size=ascii_size,
        compact_size=ascii_size + 16,  # utf8_length, utf8
        **found,
    )


def _check_objects(words: tuple[int, ...], minor: int) -> None:
    """What has been the same in every version and is not read from the table must not differ."""
    unicode, sized = _UNICODE[minor], _BYTES[minor]
    same = (
        words[_OB_TYPE[minor]] == 8
        and words[unicode + 1 : unicode + 3] == (32, 16)
        and 24 <= words[unicode + 3] <= MAX_FRAME
        and words[sized + 1 : sized + 3] == (16, 32)
    )
    if not same:
        raise CPythonError(f"CPython 3.{minor} with objects of an unknown layout")
