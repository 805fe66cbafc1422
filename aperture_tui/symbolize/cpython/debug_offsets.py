"""What CPython 3.13 and later say of their own layout: `_Py_DebugOffsets`, at the start of `_PyRuntime`.

Format: Include/internal/pycore_debug_offsets.h of 3.13 and 3.14: eight bytes "xdebugpy", then 64-bit words, for each
struct its size and the offsets of its fields. Which word a struct begins at depends on the minor version, and only on
that; the order of its fields has been the same.
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

# by minor version: the word with the size of each struct
_BEGINS: Final = {
    13: {"runtime": 2, "interpreter": 5, "thread": 18, "frame": 27, "code": 33, "object": 43, "bytes": 63, "text": 66},
    14: {"runtime": 2, "interpreter": 5, "thread": 21, "frame": 30, "code": 38, "object": 49, "bytes": 73, "text": 76},
}
# the struct, then how many bytes it may have, and which words after that of its size are the offsets that are used
_FIELDS: Final[dict[str, tuple[int, dict[str, int]]]] = {
    "runtime": (16 << 20, {"interpreters_head": 2}),
    "interpreter": (16 << 20, {"interpreter_next": 2, "threads_head": 3}),
    "thread": (64 << 10, {"thread_next": 2, "thread_interpreter": 3, "thread_frame": 4, "thread_id": 5}),
    "frame": (MAX_FRAME, {"frame_previous": 1, "frame_code": 2, "frame_instruction": 3, "frame_entry": 5}),
    "code": (1024, {"code_file": 1, "code_name": 3, "code_lines": 4, "code_first_line": 5, "code_start": 9}),
}
_MAX_ASCII_HEADER: Final = 128


def version_at(data: bytes) -> tuple[int, int]:
    """The version that the SIZE bytes at a `_PyRuntime` claim to be of. Raises CPythonError if they claim none."""
    if data[:8] != _COOKIE:
        raise CPythonError("a CPython of unknown version")
    return data[11], data[10]  # PY_VERSION_HEX comes first


def parse_debug_offsets(data: bytes, minor: int) -> Layout:
    """The layout of CPython 3.minor (13 or 14) from the SIZE bytes at its `_PyRuntime`.

    Raises CPythonError: not the table of this version, a version that has none, a free-threaded build, or offsets
    beyond their structs.
    """
    if minor not in _BEGINS or data[:8] != _COOKIE or len(data) < SIZE:
        raise CPythonError(f"CPython 3.{minor} without its table of offsets at _PyRuntime")
    words = struct.unpack_from(f"<{_WORDS}Q", data, 8)
    if words[0] >> 16 != 3 << 8 | minor:
        raise CPythonError(f"_PyRuntime is of version {words[0]:#x}, not of CPython 3.{minor}")
    if words[1]:
        raise CPythonError(f"a free-threaded CPython 3.{minor}: its frames cannot be read")
    found: dict[str, int] = {}
    for name, (limit, offsets) in _FIELDS.items():
        begin = _BEGINS[minor][name]
        size = words[begin]
        if size > limit:
            raise CPythonError(f"CPython 3.{minor} with a {name} of {size} bytes")
        for field, at in offsets.items():
            offset = found[field] = words[begin + at]
            if offset >= size:
                raise CPythonError(f"CPython 3.{minor} with {field} {offset} bytes into a {name} of {size}")
    if max(found[field] for field in _FIELDS["frame"][1]) + 8 > MAX_FRAME:
        raise CPythonError(f"CPython 3.{minor} with frames that are too large")
    ascii_size = _ascii_size(words, minor)
    return Layout(
        minor=minor,
        cframe=-1,
        entry_from=_OWNED_BY_C,
        ascii_size=ascii_size,
        compact_size=ascii_size + 16,  # utf8_length, utf8
        **found,
    )


def _ascii_size(words: tuple[int, ...], minor: int) -> int:
    """Bytes of an ASCII str before its characters. What has been the same in every version must not differ."""
    begins = _BEGINS[minor]
    text, sized = begins["text"], begins["bytes"]
    same = (
        words[begins["object"] + 1] == 8  # ob_type
        and words[text + 1 : text + 3] == (32, 16)  # state, length
        and 24 <= words[text + 3] <= _MAX_ASCII_HEADER
        and words[sized + 1 : sized + 3] == (16, 32)  # ob_size, ob_sval
    )
    if not same:
        raise CPythonError(f"CPython 3.{minor} with objects of an unknown layout")
    return words[text + 3]
