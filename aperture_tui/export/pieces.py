"""JSON in pieces: the same text as json.dumps gives, without the whole of it in memory, nor one long step to make it.

The encoder of CPython lets no other thread run until it is done, which of a large document takes a second or more:
too long where a screen is to answer keys meanwhile.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FEW: Final = 64
"""The items of a list that is not longer are looked into, one by one: one of them may be large."""
_SLICE: Final = 1000
"""Items of a longer list that are encoded in one step."""
_PIECE: Final = 1 << 16
"""Characters of a piece, about."""


def pieces(document: object) -> Iterator[bytes]:
    """A document of JSON types, one line in UTF-8. Raises ValueError and TypeError as json.dumps does."""
    text: list[str] = []
    length = 0
    for part in _parts(document):
        text.append(part)
        length += len(part)
        if length >= _PIECE:
            yield "".join(text).encode()
            text, length = [], 0
    yield ("".join(text) + "\n").encode()


def _parts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from _between("{", value.items(), "}")
    elif isinstance(value, list | tuple) and len(value) <= _FEW:
        yield from _between("[", ((None, item) for item in value), "]")
    elif isinstance(value, list | tuple):
        yield "["
        for i in range(0, len(value), _SLICE):
            yield f"{', ' if i else ''}{json.dumps(value[i : i + _SLICE])[1:-1]}"
        yield "]"
    else:
        yield json.dumps(value)


def _between(opening: str, items: Iterable[tuple[object, object]], closing: str) -> Iterator[str]:
    """Items with commas between them. A key that is None stands for none: those of JSON are strings here."""
    yield opening
    for i, (key, item) in enumerate(items):
        head = "" if key is None else f"{json.dumps(key)}: "
        yield f"{', ' if i else ''}{head}"
        yield from _parts(item)
    yield closing


__all__ = ["pieces"]
