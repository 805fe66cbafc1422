"""The functions of a section of call frames and their rows: most of them in columns, the unusual ones one by one."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.symbolize import unwind_columns
from aperture_tui.symbolize.elf import ElfError
from aperture_tui.symbolize.unwind_encoding import DAMAGE, MalformedError
from aperture_tui.symbolize.unwind_layout import CFA_RULE_SHIFT, CFA_SIGNAL, PC_SHIFT
from aperture_tui.symbolize.unwind_program import Rulebook, run
from aperture_tui.symbolize.unwind_section import CallFrames, CutError, Entries, extent, extents, rulebook

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.symbolize.go_unwind import GoFrames

_MOST_MERGED: Final = 2  # rows made for each one kept, at most
_MAX_PROGRAM: Final = 1 << 20  # bytes of one entry: each may make a row
_MAX_BOOKS: Final = 65_536  # common entries; linkers merge equal ones, to a handful
_MAX_MALFORMED: Final = 10_000
_MAX_UNUSUAL_BYTES: Final = 16 << 20
"""Of programs that are run one by one: some seconds."""
_SIGNAL: Final = CFA_SIGNAL << CFA_RULE_SHIFT
_RULES: Final = (1 << PC_SHIFT) - 1


@dataclass(slots=True)
class _Found:
    """Functions of one batch, (n,) int64 each. book: number of its rulebook. begin, end: of its program."""

    book: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    start: NDArray[np.int64]
    size: NDArray[np.int64]

    def chosen(self, which: NDArray[np.bool_]) -> _Found:
        """Some of them."""
        return _Found(self.book[which], self.begin[which], self.end[which], self.start[which], self.size[which])


@dataclass(slots=True)
class Functions:
    """All that were read of one file, in its order.

    base, span: the addresses that functions may have. rows: those of a function together. starts, ends: each
    function's addresses less the base. counts: how many rows each has.
    """

    base: int
    span: int
    max_rows: int
    rows: list[NDArray[np.uint64]] = field(default_factory=list)
    starts: list[NDArray[np.int64]] = field(default_factory=list)
    ends: list[NDArray[np.int64]] = field(default_factory=list)
    counts: list[NDArray[np.int64]] = field(default_factory=list)
    functions: int = 0
    malformed: int = 0
    truncated: bool = False
    _made: int = 0
    _unusual_bytes: int = 0
    _books: list[Rulebook] = field(default_factory=list)
    _numbers: dict[int, int] = field(default_factory=dict)

    def read(self, frames: CallFrames) -> None:
        """Add every function of a section until a limit is reached."""
        try:
            for batch in frames.batches():
                self._batch(frames, batch)
                full = self._made > _MOST_MERGED * self.max_rows or self._unusual_bytes > _MAX_UNUSUAL_BYTES
                if full or self.malformed > _MAX_MALFORMED:
                    self.truncated = True
                    return
        except CutError:
            self.truncated = True
        except MalformedError:
            self.malformed += 1

    def add(self, start: int, end: int, row: int) -> None:
        """A function of one row."""
        self._add(np.array([row], np.uint64), np.array([start]), np.array([end]), np.ones(1, np.int64))

    def add_go(self, frames: GoFrames) -> None:
        """Every function of Go, unless its table as a whole is damaged."""
        try:
            found = frames.rows(self.base, self.span)
        except ElfError:
            self.malformed += 1
            return
        self._add(found.rows, found.starts, found.ends, found.counts)
        self.functions += len(found.starts) - found.malformed
        self.malformed += found.malformed

    def _add(
        self,
        rows: NDArray[np.uint64],
        starts: NDArray[np.int64],
        ends: NDArray[np.int64],
        counts: NDArray[np.int64],
    ) -> None:
        for to, part in ((self.starts, starts), (self.ends, ends), (self.counts, counts)):
            to.append(part)
        self.rows.append(rows)
        self._made += len(rows)

    def _batch(self, frames: CallFrames, batch: Entries) -> None:
        long = batch.end - batch.body > _MAX_PROGRAM
        for i in np.flatnonzero((batch.common == -1) & ~long).tolist():
            self._common(frames, int(batch.start[i]), int(batch.body[i]), int(batch.end[i]))
        book = self._books_of(batch)
        known = (book >= 0) & ~long
        # what cannot be used is told from what it is damaged by: beyond the limit nothing is looked at any more
        bad = np.flatnonzero(~known & ((batch.common != -1) | long))
        room = max(0, _MAX_MALFORMED - self.malformed)
        if len(bad) > room:
            known[bad[room] :] = False
            bad = bad[: room + 1]
        self.malformed += len(bad)
        found = self._located(frames, book[known], batch.body[known], batch.end[known])
        self._run(frames, found)

    def _common(self, frames: CallFrames, start: int, body: int, end: int) -> None:
        if len(self._books) == _MAX_BOOKS:
            self.malformed += 1
            return
        try:
            self._books.append(rulebook(frames, body, end, self.base))
            self._numbers[start] = len(self._books) - 1
        except DAMAGE:
            self.malformed += 1

    def _books_of(self, batch: Entries) -> NDArray[np.int64]:
        """The number of each function's rulebook; -1 for a common entry, and where there is none in front of it."""
        commons, which = np.unique(batch.common, return_inverse=True)
        numbers = np.array([self._numbers.get(common, -1) for common in commons.tolist()], np.int64)
        return np.where(batch.common < batch.start, numbers[which], -1)

    def _located(
        self, frames: CallFrames, book: NDArray[np.int64], body: NDArray[np.int64], end: NDArray[np.int64]
    ) -> _Found:
        """The functions that have code, and have it where code can be."""
        start, size, begin = extents(frames, body, end, self.base)
        plain = np.array([book.plain for book in self._books], bool)
        alone = np.flatnonzero((begin < 0) | ~plain[book])
        for i in alone.tolist():
            try:
                at, length, program = extent(frames, int(body[i]), int(end[i]), self._books[book[i]])
            except DAMAGE:
                at, length, program = -1, 1, -1
            inside = 0 <= at < at + length <= self.span
            start[i], size[i], begin[i] = (at, length, program) if inside else (-1, min(length, 1), -1)
        outside = (size > 0) & ((start < 0) | (start + size > self.span))
        self.malformed += int(np.count_nonzero(outside))
        return _Found(book, begin, end, start, size).chosen((size > 0) & ~outside)

    def _run(self, frames: CallFrames, found: _Found) -> None:
        """Add the rows of these functions."""
        usual = np.array([unwind_columns.is_usual(book) for book in self._books], bool)
        together = usual[found.book]
        counts = np.zeros(len(together), np.int64)
        rows, counts[together] = self._together(frames, found.chosen(together))
        alone = np.flatnonzero(counts == 0)
        self.functions += len(counts) - len(alone)
        parts, gone = [], 0
        before = np.cumsum(counts)  # rows of all that were run together, up to and with each function
        for i in alone.tolist():
            parts.append(rows[gone : before[i]])
            gone = int(before[i])
            parts.append(self._alone(frames, found, i))
            counts[i] = len(parts[-1])
        parts.append(rows[gone:])
        self._add(np.concatenate(parts), found.start, found.start + found.size, counts)

    def _together(self, frames: CallFrames, found: _Found) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """See `unwind_columns.run_all`."""
        if not len(found.book):
            return np.zeros(0, np.uint64), np.zeros(0, np.int64)
        low, high = int(found.begin[0]), int(found.end[-1])
        data = np.zeros(high - low + unwind_columns.SLACK, np.uint8)
        data[: high - low] = np.frombuffer(frames.data, np.uint8, high - low, low)
        _cfa, base, offset, rbp, _instead = np.array([book.initial for book in self._books], np.int64).T
        book = found.book
        programs = unwind_columns.Programs(
            found.begin - low, found.end - low, found.start, base[book], offset[book], rbp[book]
        )
        return unwind_columns.run_all(data, programs)

    def _alone(self, frames: CallFrames, found: _Found, i: int) -> NDArray[np.uint64]:
        """The rows of a function that is unusual; one without a rule where it is damaged, or one too many."""
        start, begin, end = int(found.start[i]), int(found.begin[i]), int(found.end[i])
        book = self._books[found.book[i]]
        rows: array[int] = array("Q")
        self._unusual_bytes += end - begin
        try:
            if self.malformed > _MAX_MALFORMED or self._unusual_bytes > _MAX_UNUSUAL_BYTES:
                raise MalformedError("one too many")
            run(frames.data, begin, end, book, start, rows.append)
            self.functions += 1
        except DAMAGE:
            self.malformed += 1
            rows = array("Q", [start << PC_SHIFT])
        found_rows = np.array(rows, np.uint64)
        if book.signal:  # what is laid out in another way than the kernel's signal frames has no rule
            other = found_rows & np.uint64(_RULES) != _SIGNAL
            found_rows[other] &= np.uint64(~_RULES & (1 << 64) - 1)
        return found_rows
