"""Hexadecimal numbers in columns of a large text, parsed all at once."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_BAD: Final = 16
_DIGIT: Final = np.full(256, _BAD, np.uint8)
_DIGIT[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_DIGIT[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16)


def parse_hex(
    text: NDArray[np.uint8], begin: NDArray[np.intp], end: NDArray[np.intp]
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The numbers written at text[begin:end], and which of them are numbers of 1 to 16 digits: (n,) each."""
    width = end - begin
    good = (width > 0) & (width <= 16)
    value = np.zeros(len(begin), np.uint64)
    if not good.any():
        return value, good
    for place in range(int(width[good].max())):
        at = end - 1 - place
        inside = good & (at >= begin)
        digit = _DIGIT[text[np.where(inside, at, 0)]]
        good &= ~inside | (digit < _BAD)
        value |= np.where(inside, digit, 0).astype(np.uint64) << np.uint64(4 * place)
    return value, good
