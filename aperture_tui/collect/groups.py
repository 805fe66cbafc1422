"""Sorted rows in groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def edges(*columns: NDArray[np.integer]) -> NDArray[np.intp]:
    """Where a group begins among sorted rows, of which all columns together tell them apart. columns: (n,), n > 0."""
    first = np.zeros(len(columns[0]), bool)
    first[0] = True
    for column in columns:
        first[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(first)
