"""Symbol names as their authors wrote them: C++ and Rust.

C++ (Itanium ABI) by __cxa_demangle of libstdc++ where that is installed, else the name stays as it is. Of a name that
it does not take because it is too long, or was cut on its way here, the beginning is shown (long_names.py).
"""

from __future__ import annotations

import ctypes
import functools
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Final

from aperture_tui.symbolize.long_names import WHOLE, beginnings, left_out
from aperture_tui.symbolize.rust_v0 import demangle_v0

MAX_MANGLED: Final = 2048
"""Of a longer name only the beginning is looked at, if it is C++'s; else it stays as it is (bytes)."""
MAX_NAME: Final = 2048
"""A longer result is cut (characters)."""

_REFERENCE: Final = re.compile(rb"[ST][0-9A-Z]*_")
_TOKEN: Final = re.compile(rb"[ST][0-9A-Z]*_|\d+")
_DIGITS: Final = re.compile(rb"\d+")
_PACK: Final = re.compile(rb"Dp|sp|f[lrLR]")
_EXPRESSION: Final = re.compile(rb"D[Tt]|X|DO|DQ")
_MAX_DOUBLINGS: Final = 24.0  # 16 MB; refuses a name in a thousand of those in LLVM and node

_HASH: Final = re.compile(r"17h[0-9a-f]{16}E")
_ESCAPE: Final = re.compile(r"\$(SP|BP|RF|LT|GT|LP|RP|C|u[0-9a-f]{1,6})\$|\.\.")
_ESCAPES: Final = {"SP": "@", "BP": "*", "RF": "&", "LT": "<", "GT": ">", "LP": "(", "RP": ")", "C": ","}


@functools.lru_cache(maxsize=8_192)
def demangle(raw: bytes) -> str:
    """The name to show for a raw symbol name. Symbol versions (`@@GLIBC_2.14`) are dropped, `@plt` stays.

    What cannot be demangled, or would become absurdly large, stays as it is. Not yet safe to show: see
    profile.text.clean.
    """
    name, at, version = raw.partition(b"@")
    suffix = "@plt" if at and version.endswith(b"plt") else ""
    text = name.decode("utf-8", "surrogateescape")
    if name.startswith(b"_Z"):
        short = len(name) <= MAX_MANGLED
        text = (short and (_legacy_rust(text) or _cpp(name))) or _beginning(name) or text
    elif name.startswith(b"_R") and len(name) <= MAX_MANGLED:
        text = demangle_v0(text) or text
    return _cut(text) + suffix


def _cut(text: str) -> str:
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"


def _beginning(name: bytes) -> str | None:
    """Of a long name as much as can be demangled, with an ellipsis and a number: names that begin alike are not one.

    None if that is nothing.
    """
    if len(name) <= WHOLE:
        return None
    for beginning in beginnings(name):
        text = left_out(_cpp(beginning.name) or "", beginning.closed)
        if text:
            mark = f", … #{zlib.crc32(name):08x}"
            return text[: MAX_NAME - len(mark)] + mark
    return None


def _cpp(name: bytes) -> str | None:
    if may_explode(name):
        return None
    functions = _cxa_demangle()
    if functions is None:
        return None
    call, free = functions
    status = ctypes.c_int(0)
    pointer = call(name, None, None, ctypes.byref(status))
    if not pointer:
        return None
    try:
        return ctypes.string_at(pointer).decode("utf-8", "surrogateescape")
    finally:
        free(pointer)


def may_explode(name: bytes) -> bool:
    """Whether a C++ name could demangle to something huge.

    Substitutions (`S0_`) repeat what stands before them, so a chain of n of them can grow to 2**n characters out of
    a short name, and __cxa_demangle knows no limit: a hostile file could hold up or exhaust a profiler with one
    symbol. It is refused if neither of two bounds of the length tells that it stays small.
    """
    room = _MAX_DOUBLINGS - _packs(name)
    return _by_number_of_uses(name) > room and _by_order_of_uses(name) > room


def doublings(name: bytes) -> float:
    """The lower of the bounds for the length of a C++ name once it is demangled: its logarithm to base 2."""
    return min(_by_number_of_uses(name), _by_order_of_uses(name)) + _packs(name)


def _packs(name: bytes) -> float:
    """What pack expansions add: each repeats what it holds at most as often as there are arguments."""
    expressions = _EXPRESSION.search(name) is not None
    packs: list[bytes] = _PACK.findall(name)
    return math.log2(len(name) / 8 + 2) * (len(packs) if expressions else packs.count(b"Dp"))


def _by_number_of_uses(name: bytes) -> float:
    """What `S0_` stands for is no longer than all before its first use: m uses grow the text by 1 + m at most."""
    return math.log2(16 * len(name) + 1) + sum(math.log2(1 + n) for n in Counter(_REFERENCE.findall(name)).values())


def _by_order_of_uses(name: bytes) -> float:
    """From left to right: what `S0_` stands for was complete before its first use, so it is no longer than all there
    was up to there, nor than that was for an `S1_` which was used earlier. What `T_` stands for may differ from use to
    use; in a conversion operator it comes only later. What looks like a reference may be a part of an identifier (a
    number, then so many characters): then it counts as one, but nothing is concluded from it.
    """
    length, at, identifier = 1.0, 0, 0
    longest: list[float] = []  # by number of substitution
    for found in _TOKEN.finditer(name):
        token = found[0]
        length += 16 * (found.start() - at)
        at = found.end()
        if token.isdigit():
            length += 16 * len(token)
            identifier = max(identifier, at + int(token[:9]))
        elif token.startswith(b"T"):
            length *= 4 if b"cv" in name else 2
        elif found.start() < identifier:
            length *= 2
            for digits in _DIGITS.finditer(token):
                identifier = max(identifier, found.start() + digits.end() + int(digits[0][:9]))
        else:
            number = min(int(token[1:-1], 36) + 1 if len(token) > 2 else 0, len(name))
            longest += [length] * (number + 1 - len(longest))
            length += longest[number]
    return math.log2(length + 16 * (len(name) - at))


@functools.cache
def _cxa_demangle() -> tuple[Callable[..., int | None], Callable[..., None]] | None:
    try:
        call = ctypes.CDLL("libstdc++.so.6").__cxa_demangle
        free = ctypes.CDLL(None).free
    except (OSError, AttributeError):
        return None
    call.restype = ctypes.c_void_p
    free.argtypes = (ctypes.c_void_p,)
    free.restype = None
    return call, free


def _legacy_rust(name: str) -> str | None:
    found = _HASH.search(name) if name.startswith("_ZN") else None
    if found is None:
        return None
    parts = []
    rest = name[3 : found.start()]
    while rest:
        digits = re.match(r"\d{1,4}", rest, re.ASCII)
        if digits is None or len(rest) < digits.end() + int(digits[0]):
            return None
        parts.append(_unescape(rest[digits.end() : digits.end() + int(digits[0])]))
        rest = rest[digits.end() + int(digits[0]) :]
    suffix = name[found.end() :]
    return "::".join(parts) + ("" if suffix.startswith(".llvm.") else suffix)


def _unescape(part: str) -> str:
    part = part[1:] if part.startswith("_$") else part
    return _ESCAPE.sub(_unescaped, part)


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1]
    if code is None:
        return "::"
    if code in _ESCAPES:
        return _ESCAPES[code]
    value = int(code[1:], 16)
    return chr(value) if value < 0x110000 else escape[0]
