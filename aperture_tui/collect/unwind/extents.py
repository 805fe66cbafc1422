"""Which parts of an array, or of several, are free. Pure."""

from __future__ import annotations

import bisect
from collections.abc import Callable


class Extents:
    """The free ranges of [0, size), in order; neighbours are one range."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.free = size
        """How many elements are free, in ranges of any length."""
        self._starts = [0] if size else []
        self._lengths = [size] if size else []

    def take(self, n: int) -> int | None:
        """Take n > 0 elements in a row -> the first of them; None where no range is as long."""
        if n < 1:
            raise ValueError("nothing is taken")
        for i, length in enumerate(self._lengths):
            if length >= n:
                first = self._starts[i]
                if length == n:
                    del self._starts[i], self._lengths[i]
                else:
                    self._starts[i] += n
                    self._lengths[i] -= n
                self.free -= n
                return first
        return None

    def give(self, first: int, n: int) -> None:
        """Give back what was taken. Raises ValueError for what is not taken, or lies outside."""
        i = bisect.bisect_left(self._starts, first)
        before = self._starts[i - 1] + self._lengths[i - 1] if i else 0
        after = self._starts[i] if i < len(self._starts) else self.size
        if n < 1 or first < before or first + n > after:
            raise ValueError(f"{n} elements at {first} are not taken")
        self.free += n
        if i < len(self._starts) and first + n == after:
            n += self._lengths[i]
            del self._starts[i], self._lengths[i]
        if i and first == before:
            self._lengths[i - 1] += n
        else:
            self._starts.insert(i, first)
            self._lengths.insert(i, n)


class Banks:
    """The free ranges of arrays of one size, more of which are made when they are needed: element n of all of them is
    element n % size of array n // size.
    """

    def __init__(self, size: int, most: int, make: Callable[[], bool]) -> None:
        """most: of the arrays. make: the next one; False where that cannot be."""
        self.size = size
        self._most, self._make = most, make
        self._banks: list[Extents] = []

    @property
    def taken(self) -> int:
        """How many elements are taken."""
        return sum(bank.size - bank.free for bank in self._banks)

    def take(self, n: int) -> int | None:
        """Take n > 0 elements in a row, all of one array -> the first of them; None where there is no room."""
        for i, bank in enumerate(self._banks):
            if (first := bank.take(n)) is not None:
                return i * self.size + first
        if n > self.size or len(self._banks) == self._most or not self._make():
            return None
        self._banks.append(Extents(self.size))
        return self.take(n)

    def give(self, first: int, n: int) -> None:
        """Give back what was taken. Raises ValueError for what is not taken, or lies outside."""
        bank, first = divmod(first, self.size)
        if not 0 <= bank < len(self._banks):
            raise ValueError(f"there is no bank {bank}")
        self._banks[bank].give(first, n)
