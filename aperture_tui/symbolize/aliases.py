"""Several symbols at one address: which name is shown.

The rule, the same for ELF files and the kernel: a function before an untyped label; global or weak before local;
fewer leading underscores (`read`, not `__read`); the shorter name; then alphabetical order. So the answer depends on
the names alone, never on the order of the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

PREFIX_BYTES: Final = 48
"""Names are compared as far as this; beyond it the first in the table wins."""


def choose(
    start: NDArray[np.uint64],
    order: NDArray[np.intp],
    preference: NDArray[np.uint8],
    prefixes: Callable[[NDArray[np.intp]], NDArray[np.bytes_]],
) -> NDArray[np.intp]:
    """One row for each address, by ascending address.

    start: (n,) address of each row. order: (n,) rows by address. preference: (n,), lower is better, compared before
    the names. prefixes: gives the names of the rows it is asked for, cut to PREFIX_BYTES; only rows that share an
    address are asked for.
    """
    sorted_start = start[order]
    first = np.ones(len(order), bool)
    first[1:] = sorted_start[1:] != sorted_start[:-1]
    tied = ~first
    tied[:-1] |= ~first[1:]
    if not tied.any():
        return order
    rows = order[tied]
    names = prefixes(rows)
    underscores = np.strings.str_len(names) - np.strings.str_len(np.strings.lstrip(names, b"_"))
    ranked = np.lexsort((names, np.strings.str_len(names), underscores, preference[rows], start[rows]))
    out = order.copy()
    out[tied] = rows[ranked]
    return out[first]


def cut_names(text: NDArray[np.uint8], begin: NDArray[np.intp], size: NDArray[np.intp] | None) -> NDArray[np.bytes_]:
    """The names at these places of a text: (n,) of S48. They end after size bytes, or at a NUL where size is None."""
    columns = np.arange(PREFIX_BYTES)
    if not len(text):
        return np.zeros(len(begin), f"S{PREFIX_BYTES}")
    at = begin[:, None] + columns
    characters = np.where(at < len(text), text[np.minimum(at, len(text) - 1)], 0)
    if size is None:
        characters[np.maximum.accumulate(characters == 0, axis=1)] = 0
    else:
        characters[columns >= size[:, None]] = 0
    return np.ascontiguousarray(characters.astype(np.uint8)).view(f"S{PREFIX_BYTES}").reshape(-1)
