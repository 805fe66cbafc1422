"""Call frame programs of many functions at once, as columns: those of the usual opcodes, which nearly all are.

A large library has half a million programs of twenty opcodes. All of them are stepped together, one instruction at a
time, only to learn where the instructions begin; what an instruction sets is then carried forward to the rows below it,
and what was remembered to where it is restored, over all functions in one stroke. Whatever is unusual or damaged is not
looked at here but left to `unwind_program.run`, with which every row has to agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.symbolize.unwind_layout import (
    CFA_OFFSET_SHIFT,
    CFA_RBP,
    CFA_RSP,
    CFA_RSP_WIDE,
    CFA_RULE_SHIFT,
    PC_SHIFT,
    RBP_RULE_SHIFT,
    RBP_SAVED,
    RBP_UNDEFINED,
)
from aperture_tui.symbolize.unwind_program import MAX_DEPTH, MAX_OFFSET, RBP, RETURN_ADDRESS, RSP

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.symbolize.unwind_program import Rulebook

CODE_ALIGN: Final = 1
DATA_ALIGN: Final = -8
MAX_PROGRAM: Final = 2048
"""Bytes: each step costs a call or two, however few programs are still running."""
SLACK: Final = 8
"""Bytes that are looked at behind a program's end."""

_ADVANCE, _OFFSET, _RESTORE, _ADVANCE_1, _ADVANCE_2, _ADVANCE_4 = 0x40, 0x80, 0xC0, 0x02, 0x03, 0x04
_REMEMBER, _RESTORE_STATE, _DEF_CFA, _DEF_CFA_REGISTER, _DEF_CFA_OFFSET = 0x0A, 0x0B, 0x0C, 0x0D, 0x0E
_OFFSET_RBP, _RESTORE_RBP = _OFFSET | RBP, _RESTORE | RBP
_STRANGE: Final = 0xFF  # length of an instruction that is not known here
_MORE: Final = 0x80  # of a byte of a number: another follows
_LONGEST: Final = 4  # bytes of a number


def _opcodes() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """By opcode: the length without its number, and how many bytes before that number, 0 if it has none."""
    length, number = np.full(256, _STRANGE, np.uint8), np.zeros(256, np.uint8)
    length[[0x00, _REMEMBER, _RESTORE_STATE]] = 1
    length[_ADVANCE:_OFFSET] = length[_RESTORE:] = 1
    length[[_ADVANCE_1, _ADVANCE_2, _ADVANCE_4]] = 2, 3, 5
    length[_DEF_CFA_REGISTER] = 2
    length[[_DEF_CFA_OFFSET, 0x2E]], number[[_DEF_CFA_OFFSET, 0x2E]] = 1, 1  # 0x2e: DW_CFA_GNU_args_size
    length[_OFFSET:_RESTORE], number[_OFFSET:_RESTORE] = 1, 1
    length[_DEF_CFA], number[_DEF_CFA] = 2, 2
    # where the caller's rip is: in the initial program, and hardly anywhere else
    elsewhere = [_OFFSET | RETURN_ADDRESS, _RESTORE | RETURN_ADDRESS]
    length[elsewhere], number[elsewhere] = _STRANGE, 0
    return length, number


_LENGTH, _NUMBER = _opcodes()
_IS_ADVANCE = np.zeros(256, bool)
_IS_ADVANCE[_ADVANCE:_OFFSET] = _IS_ADVANCE[[_ADVANCE_1, _ADVANCE_2, _ADVANCE_4]] = True
_INLINE_DELTA = np.where((np.arange(256) >= _ADVANCE) & (np.arange(256) < _OFFSET), np.arange(256) & 0x3F, 0)
_RULE_OF = np.zeros(256, np.int64)
_RULE_OF[[RSP, RBP]] = CFA_RSP << CFA_RULE_SHIFT, CFA_RBP << CFA_RULE_SHIFT
_SETS = {
    "base": (_DEF_CFA, _DEF_CFA_REGISTER, _RESTORE_STATE),
    "offset": (_DEF_CFA, _DEF_CFA_OFFSET, _RESTORE_STATE),
    "rbp": (_OFFSET_RBP, _RESTORE_RBP, _RESTORE_STATE),
}
_SETTERS = {name: np.isin(np.arange(256), opcodes) for name, opcodes in _SETS.items()}


def is_usual(book: Rulebook) -> bool:
    """Whether programs that begin with these rules can be run here."""
    cfa, base, offset, _rbp, instead = book.initial
    usual = (book.code_align, book.data_align, instead) == (CODE_ALIGN, DATA_ALIGN, 0) and not book.signal
    return usual and bool(base) and 0 <= offset < MAX_OFFSET and cfa == offset << CFA_OFFSET_SHIFT | base


@dataclass(frozen=True, slots=True)
class Programs:
    """(n,) int64 each, in order of their bytes, which do not overlap. begin, end: of the program's bytes.

    start: the function's address less the base. base, offset, rbp: the rules at its start, as in `State`.
    """

    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    start: NDArray[np.int64]
    base: NDArray[np.int64]
    offset: NDArray[np.int64]
    rbp: NDArray[np.int64]


def run_all(data: NDArray[np.uint8], programs: Programs) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The rows of all, those of a program together, and how many each has: (n,). A program has at least one; one that
    has none has to be run by `unwind_program.run`.

    data: uint8, with at least SLACK bytes behind the last program.
    """
    if not len(programs.begin):
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    return _Instructions(data, programs).rows()


def _instructions(data: NDArray[np.uint8], programs: Programs) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Where the instructions of all programs begin, in order, and their lengths."""
    lengths = _lengths(data)
    begins = np.zeros(len(data), bool)
    short = programs.end - programs.begin <= MAX_PROGRAM
    at, end = programs.begin[short], programs.end[short]
    while len(at):
        going = at < end
        at, end = at[going], end[going]
        begins[at] = True
        at = at + lengths[at]
    where = np.flatnonzero(begins)
    return where, lengths[where]


def _lengths(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """How long an instruction would be that begins at each byte: (len(data),)."""
    more = data >= _MORE
    number = np.ones(len(data), np.uint8)  # bytes of the number that begins at each byte
    going = more.copy()
    for further in range(1, _LONGEST + 1):
        number += going
        going[:-further] &= more[further:]
    before, length = _NUMBER[data], _LENGTH[data]
    for skipped in (1, 2):
        length[:-skipped] += np.where(before[:-skipped] == skipped, number[skipped:], np.uint8(0))
    strange = (before == 1)[:-2] & (number[1:-1] > _LONGEST) | (before == 2)[:-2] & (number[2:] > _LONGEST)
    names_register = (data == _DEF_CFA) | (data == _DEF_CFA_REGISTER)
    strange |= names_register[:-2] & more[1:-1]  # of more than one byte
    length[:-2][strange] = _STRANGE
    return length


class _Instructions:
    """All instructions of all programs, (m,), and one behind them that is none. first, last: (n,), half open, those of
    each program. good: (n,), whether it can be run here.

    What a rule was last set by is the index of an instruction, or -1 for the rules at the start.
    """

    def __init__(self, data: NDArray[np.uint8], programs: Programs) -> None:
        at, sizes = _instructions(data, programs)
        self.data, self.programs, self.n = data, programs, len(programs.begin)
        self.first, self.last = np.searchsorted(at, programs.begin), np.searchsorted(at, programs.end)
        self.owner = np.repeat(np.arange(self.n), self.last - self.first)
        self.at = np.append(at, programs.end[-1])
        ends = self.at + np.append(sizes, np.uint16(0))
        self.good = np.where(self.last > self.first, ends[self.last - 1], programs.begin) == programs.end
        self.good[self.owner[sizes == _STRANGE]] = False
        self.op = data[self.at]
        self.op[-1] = 0
        self.matches = self._matches()

    def rows(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """See `run_all`."""
        advances = np.flatnonzero(_IS_ADVANCE[self.op])
        passed = np.searchsorted(advances, self.last)  # advances of a program and of those before it
        counts = np.diff(passed, prepend=0) + 1
        owner = np.repeat(np.arange(self.n), counts)
        # a row has the rules in front of an advance, or those at the end of its program
        asked = np.empty(len(owner), np.int64)
        final = passed + np.arange(self.n)
        asked[final] = self.last
        asked[np.arange(len(advances)) + self.owner[advances]] = advances
        pc = self._places(advances, owner, counts, final)
        base, offset, rbp = (self._set(name, asked, owner) for name in _SETTERS)
        rules = cfa_bits(base, offset) | rbp
        self.good &= pc[final] < 1 << PC_SHIFT
        rows = pc.astype(np.uint64) << np.uint64(PC_SHIFT) | rules.astype(np.uint64)
        return rows[self.good[owner]], np.where(self.good, counts, 0)

    def _places(
        self, advances: NDArray[np.int64], owner: NDArray[np.int64], counts: NDArray[np.int64], final: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Where each row holds from, less the base."""
        op, at, data = self.op[advances], self.at[advances], self.data
        deltas = _INLINE_DELTA[op]
        for opcode, size in ((_ADVANCE_1, 1), (_ADVANCE_2, 2), (_ADVANCE_4, 4)):
            chosen = np.flatnonzero(op == opcode)
            deltas[chosen] = sum(data[at[chosen] + 1 + i].astype(np.int64) << 8 * i for i in range(size))
        steps = np.zeros(len(owner), np.int64)  # an advance leads to the row behind its own
        steps[np.arange(1, len(advances) + 1) + self.owner[advances]] = deltas
        gone = np.cumsum(steps)
        before = final - counts + 1
        places: NDArray[np.int64] = gone + np.repeat(self.programs.start - gone[before], counts)
        return places

    def _matches(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of each instruction that restores what was remembered: its index, and that of the one that remembered it."""
        sign = (self.op == _REMEMBER).astype(np.int64) - (self.op == _RESTORE_STATE)
        events = np.flatnonzero(sign)
        sign, owner = sign[events], self.owner[events]
        depth = np.cumsum(sign)
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        depth -= np.repeat((depth - sign)[first], np.diff(np.append(first, len(owner))))
        level = np.where(sign > 0, depth, depth + 1)
        self.good[owner[(level < 1) | (level > MAX_DEPTH)]] = False
        # of the events at one level of a program every other remembers, and the next one restores that
        order = np.lexsort((level, owner))
        place = np.flatnonzero(sign[order] < 0)
        restoring, remembering = events[order[place]], events[order[np.maximum(place - 1, 0)]]
        return restoring, np.minimum(remembering, restoring)  # of damaged programs it may be any event: never go round

    def _set(self, name: str, asked: NDArray[np.int64], owner: NDArray[np.int64]) -> NDArray[np.int64]:
        """What a rule is in front of each asked instruction of these programs, or behind the last one."""
        sets = _SETTERS[name][self.op]
        setters = np.flatnonzero(sets)
        so_far = np.concatenate(([0], np.cumsum(sets)))  # setters in front of each instruction
        before = np.searchsorted(setters, self.first)  # setters in front of each program
        values: NDArray[np.int64] = np.append(self._given(name, setters), 0)
        same = np.arange(len(setters) + 1)  # the setter whose value is that of each one, -1 for that at the start
        same[-1] = -1
        same[:-1][self.op[setters] == _RESTORE_RBP] = -1
        restoring, remembering = self.matches
        if len(restoring):
            latest, restoring = so_far[remembering] - 1, so_far[restoring]
            same[restoring] = np.where(latest < before[self.owner[remembering]], -1, latest)
            while np.any((further := same[same[restoring]]) != same[restoring]):
                same[restoring] = further  # what was remembered had been restored itself
        latest = so_far[asked] - 1
        latest = np.where(latest < before[owner], -1, same[latest])
        found: NDArray[np.int64] = np.where(latest < 0, getattr(self.programs, name)[owner], values[latest])
        return found

    def _given(self, name: str, setters: NDArray[np.int64]) -> NDArray[np.int64]:
        """The value that each setter has itself; of those that have none, any."""
        if name == "base":
            rules: NDArray[np.int64] = _RULE_OF[self.data[self.at[setters] + 1]]
            return rules
        numbers = self._numbers(setters)
        return _saved(numbers) if name == "rbp" else numbers

    def _numbers(self, which: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of each of these instructions that has one."""
        return numbers(self.data, self.at[which] + _NUMBER[self.op[which]], _LONGEST)[0]


def numbers(
    data: NDArray[np.uint8], at: NDArray[np.int64], longest: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The number in groups of seven bits at each place, of at most so many bytes, and what is behind it: (n,) each."""
    value, going = np.zeros(len(at), np.int64), np.ones(len(at), bool)
    for i in range(longest):
        byte = data[at]
        value |= np.where(going, byte & 0x7F, 0).astype(np.int64) << 7 * i
        at = at + going
        going = going & (byte >= _MORE)
    return value, at


def cfa_bits(base: NDArray[np.int64], offset: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bits of each CFA, as `unwind_program` has them; 0 for one that a row has no room for. base: of its rule."""
    wide = (base == _RULE_OF[RSP]) & (offset < 8 * MAX_OFFSET) & (offset & 7 == 0)
    too_far = np.where(wide, offset >> 3 << CFA_OFFSET_SHIFT | CFA_RSP_WIDE << CFA_RULE_SHIFT, 0)
    return np.where((base > 0) & (offset < MAX_OFFSET), offset << CFA_OFFSET_SHIFT | base, too_far)


def _saved(offset: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bits of an rbp that is saved so many words below the CFA."""
    near = RBP_SAVED << RBP_RULE_SHIFT | -offset & 0xFF
    return np.where(offset <= 128, near, RBP_UNDEFINED << RBP_RULE_SHIFT)
