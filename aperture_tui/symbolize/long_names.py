"""The beginning of a C++ name that is too long to be demangled, or was cut, as a name of its own.

__cxa_demangle of libstdc++ refuses what has more than 1,024 bytes, and half a name; names of templates that are made of
templates have more. Between two arguments of a template a name can be ended: what is open there is closed.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

WHOLE: Final = 1024
"""What __cxa_demangle takes (bytes)."""
TRIES: Final = 12
"""Beginnings that are tried."""
_READ: Final = 2 * WHOLE
_TOKEN: Final = re.compile(rb"\d+|[CD][0-9]|S[0-9A-Z]*_|S[a-z]|T[0-9A-Z]*_|L_Z|D[tT]|D.|[INJXLFZ]|E|.", re.DOTALL)
_OPEN: Final = {b"I", b"N", b"J", b"X", b"L", b"F", b"Z", b"L_Z", b"Dt", b"DT"}
_ARGUMENTS: Final = (b"I", b"J")


class Beginning(NamedTuple):
    """A name that can be demangled, perhaps, and how many `>` at its end stand for what was left out."""

    name: bytes
    closed: int


def beginnings(name: bytes) -> list[Beginning]:
    """Of a mangled name, the longest first; at most TRIES. Whether each is one, demangling tells."""
    found: list[Beginning] = []
    is_open: list[bytes] = []
    at = 2 if name.startswith(b"_Z") else len(name)
    while at < min(len(name), _READ):
        token = _TOKEN.match(name, at)
        if token is None:
            break
        at = token.end()
        word = token[0]
        if word.isdigit() and (not is_open or is_open[-1] != b"L"):
            at += int(word[:6])  # an identifier of so many bytes; of a literal it is the number itself
        elif word in _OPEN:
            is_open.append(word)
        elif word == b"E" and is_open:
            is_open.pop()
        if at + len(is_open) > min(len(name), WHOLE):
            break
        if is_open and is_open[-1] in _ARGUMENTS and word not in _OPEN:
            found.append(Beginning(name[:at] + b"E" * len(is_open), is_open.count(b"I")))
    return found[: -TRIES - 1 : -1]


def left_out(text: str, closed: int) -> str | None:
    """A beginning, demangled, without what ends it; None if it ends otherwise: in the ` const` of a method."""
    for _ in range(closed):
        text = text.rstrip(" ")
        if not text.endswith(">"):
            return None
        text = text[:-1]
    return text.rstrip(" ")
