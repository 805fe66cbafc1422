"""Names of kernels in as many cells as there are. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from aperture_tui.tui.cells import cut, plain, width_of

_NAMELESS: Final = "(anonymous namespace)"


@lru_cache(4096)
def _forms(name: str) -> tuple[str, ...]:
    """The longest first."""
    whole = plain(name) or "[unknown]"
    bare = whole.removeprefix("void ")
    return tuple(dict.fromkeys((whole, bare, _local(bare))))


def _local(name: str) -> str:
    """Without what is in front of its own name: its template's arguments and its own have `::` as well."""
    at = begin = 0
    while at < len(name):
        if name.startswith(_NAMELESS, at):
            at += len(_NAMELESS)
        elif name.startswith("::", at):
            at = begin = at + 2
        elif name[at] in "<({":
            break
        else:
            at += 1
    return name[begin:] or name


def shortened(name: str, width: int) -> str:
    """The longest form that fits into `width` cells, else the shortest, cut.

    Without its result and its namespace, but with its template's arguments: by these alone many kernels differ.
    """
    forms = _forms(name)
    return next((form for form in forms if width_of(form) <= width), cut(forms[-1], width))
