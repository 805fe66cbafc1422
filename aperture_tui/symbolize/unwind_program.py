"""Call frame programs: the byte code that says where the caller's registers are, run to unwind rows.

Format: DWARF 5, sections 6.4.2 and 7.24; GNU extensions as in the Linux Standard Base; registers as in the System V
ABI for AMD64, figure 3.36. Only the CFA, rbp and the return address are followed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from aperture_tui.symbolize.unwind_encoding import Addresses, MalformedError, sleb, uleb
from aperture_tui.symbolize.unwind_layout import (
    CFA_DEREF_RBP,
    CFA_DEREF_RSP,
    CFA_END,
    CFA_NONE,
    CFA_OFFSET_SHIFT,
    CFA_PLT,
    CFA_RBP,
    CFA_RSP,
    CFA_RSP_WIDE,
    CFA_RULE_SHIFT,
    CFA_SIGNAL,
    PC_SHIFT,
    RBP_RULE_SHIFT,
    RBP_SAVED,
    RBP_SAVED_RBP,
    RBP_UNDEFINED,
)

RBP: Final = 6
RSP: Final = 7
RETURN_ADDRESS: Final = 16

_ADVANCE, _OFFSET, _RESTORE = 0x40, 0x80, 0xC0  # the three whose operand is in the lower six bits
_NOP, _SET_LOC, _ADVANCE_1, _ADVANCE_2, _ADVANCE_4, _ADVANCE_8 = 0x00, 0x01, 0x02, 0x03, 0x04, 0x1D
_OFFSET_EXTENDED, _RESTORE_EXTENDED, _UNDEFINED, _SAME_VALUE, _REGISTER = 0x05, 0x06, 0x07, 0x08, 0x09
_REMEMBER, _RESTORE_STATE = 0x0A, 0x0B
_DEF_CFA, _DEF_CFA_REGISTER, _DEF_CFA_OFFSET, _DEF_CFA_EXPRESSION = 0x0C, 0x0D, 0x0E, 0x0F
_EXPRESSION, _OFFSET_EXTENDED_SF, _DEF_CFA_SF, _DEF_CFA_OFFSET_SF = 0x10, 0x11, 0x12, 0x13
_VAL_OFFSET, _VAL_OFFSET_SF, _VAL_EXPRESSION = 0x14, 0x15, 0x16
_ARGS_SIZE, _NEGATIVE_OFFSET_EXTENDED = 0x2E, 0x2F
_LONG_ADVANCES: Final = {_SET_LOC: 0, _ADVANCE_1: 1, _ADVANCE_2: 2, _ADVANCE_4: 4, _ADVANCE_8: 8}
"""-> bytes of the operand; that of _SET_LOC is an address."""
_DEFINITIONS: Final = frozenset((_DEF_CFA, _DEF_CFA_REGISTER))
_OFFSET_RBP, _OFFSET_RA = _OFFSET | RBP, _OFFSET | RETURN_ADDRESS

_BREG_RBP, _BREG_RSP, _DEREF, _PLUS, _LIT_0, _LIT_31 = 0x76, 0x77, 0x06, 0x23, 0x30, 0x4F  # DW_OP_
_PLT_BEFORE: Final = bytes.fromhex("770880003f1a")  # breg7 8; breg16 0; lit15; and; then litN
_PLT_AFTER: Final = bytes.fromhex("2a332422")  # ge; lit3; shl; plus
_SIGNAL_RSP: Final = bytes.fromhex("77a00106")  # breg7 160; deref
_SIGNAL_RBP: Final = bytes.fromhex("77f800")  # breg7 120
_SIGNAL_RA: Final = bytes.fromhex("77a801")  # breg7 168

MAX_DEPTH: Final = 64  # states remembered at once; compilers use one or two
_MAX_EXPRESSION: Final = 32
MAX_OFFSET: Final = 1 << 15
_RULE_OF: Final = {RSP: CFA_RSP << CFA_RULE_SHIFT, RBP: CFA_RBP << CFA_RULE_SHIFT}
_RA_OFFSET: Final = -8  # from the CFA
_RBP_UNDEFINED: Final = RBP_UNDEFINED << RBP_RULE_SHIFT
_RA_UNDEFINED: Final = CFA_END << CFA_RULE_SHIFT
_RA_ELSEWHERE: Final = CFA_NONE << CFA_RULE_SHIFT | _RBP_UNDEFINED  # not zero: it must stand in for the row
_SIGNAL: Final = CFA_SIGNAL << CFA_RULE_SHIFT


_Fields = tuple[int, int, int, int, int]


class State(NamedTuple):
    """The rules at one place, as bits of a row. cfa: the CFA's rule and offset.

    base: the CFA's rule without the offset, 0 while it is an expression or of another register. offset: of the CFA,
    kept while the base is 0 or the offset is too large for a row. rbp: its rule and offset. instead: stands in for
    the whole row while the return address is not at CFA - 8, else 0.
    """

    cfa: int
    base: int
    offset: int
    rbp: int
    instead: int


START: Final = State(0, 0, 0, 0, _RA_ELSEWHERE)


@dataclass(frozen=True, slots=True)
class Rulebook:
    """What the programs of several functions have in common.

    code_align, data_align: the factors of advances and of offsets. augmented: each function has augmentation data.
    signal: they are trampolines of signal handlers. plain: augmented, with addresses as nearly all linkers write them.
    initial: the rules at the start of each function.
    """

    code_align: int
    data_align: int
    addresses: Addresses
    augmented: bool
    signal: bool
    plain: bool = False
    initial: State = START

    def started(self, data: bytes, at: int, end: int) -> Rulebook:
        """With the state after the initial program data[at:end]. Raises what `run` does."""
        rows: list[int] = []
        state = State(*run(data, at, end, self, 0, rows.append))
        if len(rows) != 1:
            raise MalformedError("an advance in the initial program")
        return replace(self, initial=state)


def run(data: bytes, at: int, end: int, book: Rulebook, pc: int, append: Callable[[int], None]) -> _Fields:
    """Run data[at:end] for a function that starts at pc, appending a row at each advance and at the end.

    -> the last state. Raises one of DAMAGE; the rows appended until then are of no use.
    """
    code_align = book.code_align
    cfa, base, offset, rbp, instead = book.initial
    remembered: list[_Fields] = []
    while at < end:  # a file may have 16 MB of programs that are run here: the frequent opcodes are first, and inline
        op = data[at]
        at += 1
        if _ADVANCE <= op < _OFFSET:
            append(pc << PC_SHIFT | (instead or cfa | rbp))
            pc += (op & 0x3F) * code_align
        elif op == _DEF_CFA_OFFSET:
            offset = data[at]
            at += 1
            if offset & 0x80:
                offset, at = uleb(data, at - 1)
            if base:
                cfa = offset << CFA_OFFSET_SHIFT | base if offset < MAX_OFFSET else _cfa(base, offset)
        elif _OFFSET <= op < _RESTORE and op != _OFFSET_RA:
            value = data[at]
            at += 1
            if value & 0x80:
                value, at = uleb(data, at - 1)
            if op == _OFFSET_RBP:
                rbp = _saved_rbp(RBP_SAVED, value * book.data_align)
        elif op in _LONG_ADVANCES:
            append(pc << PC_SHIFT | (instead or cfa | rbp))
            pc, at = _advanced(op, data, at, pc, book)
        elif op == _REMEMBER:
            remembered.append((cfa, base, offset, rbp, instead))
            if len(remembered) > MAX_DEPTH:
                raise MalformedError("too many states are remembered")
        elif op == _RESTORE_STATE:
            cfa, base, offset, rbp, instead = remembered.pop()
        elif op in _DEFINITIONS:
            base, offset, at = _cfa_operands(op, data, at, offset)
            cfa = _cfa(base, offset)
        elif op != _NOP:
            at, (cfa, base, offset, rbp, instead) = _rare(op, data, at, State(cfa, base, offset, rbp, instead), book)
    if at != end:
        raise MalformedError("the program is cut short")
    append(pc << PC_SHIFT | (instead or cfa | rbp))
    return cfa, base, offset, rbp, instead


def _cfa_operands(op: int, data: bytes, at: int, offset: int) -> tuple[int, int, int]:
    """The new base and offset of the CFA, and where the operands end."""
    register, at = uleb(data, at)
    if op == _DEF_CFA:
        offset, at = uleb(data, at)
    return _RULE_OF.get(register, 0), offset, at


def _advanced(op: int, data: bytes, at: int, pc: int, book: Rulebook) -> tuple[int, int]:
    """The place after one of the long advances, and where its operand ends."""
    if op == _SET_LOC:
        return book.addresses.read(data, at)
    if op == _ADVANCE_1:
        return pc + data[at] * book.code_align, at + 1
    size = _LONG_ADVANCES[op]
    return pc + int.from_bytes(data[at : at + size], "little") * book.code_align, at + size


def _rare(op: int, data: bytes, at: int, state: State, book: Rulebook) -> tuple[int, State]:
    """Where the operands end, and the state after any opcode but those that `run` knows."""
    if op == _DEF_CFA_SF:
        register, at = uleb(data, at)
        offset, at = sleb(data, at)
        return at, _defined(state, _RULE_OF.get(register, 0), offset * book.data_align)
    if op == _DEF_CFA_OFFSET_SF:
        offset, at = sleb(data, at)
        offset *= book.data_align
        return at, (_defined(state, state.base, offset) if state.base else state._replace(offset=offset))
    if op == _DEF_CFA_EXPRESSION:
        expression, at = _block(data, at)
        return at, state._replace(cfa=_cfa_of(expression, book.signal), base=0)
    if op == _ARGS_SIZE:
        return uleb(data, at)[1], state
    if op == _OFFSET_RA:
        offset, at = uleb(data, at)
        return at, state._replace(instead=0 if offset * book.data_align == _RA_OFFSET else _RA_ELSEWHERE)
    if op >= _RESTORE:
        return at, _restored(op & 0x3F, state, book)
    return _register_rule(op, data, at, state, book)


def _restored(register: int, state: State, book: Rulebook) -> State:
    if register == RBP:
        return state._replace(rbp=book.initial.rbp)
    if register == RETURN_ADDRESS:
        return state._replace(instead=book.initial.instead)
    return state


def _defined(state: State, base: int, offset: int) -> State:
    return state._replace(cfa=_cfa(base, offset), base=base, offset=offset)


def _cfa(base: int, offset: int) -> int:
    """The bits of a CFA; 0, which is NONE, for one that a row has no room for."""
    if base and -MAX_OFFSET <= offset < MAX_OFFSET:
        return (offset & 0xFFFF) << CFA_OFFSET_SHIFT | base
    if base == _RULE_OF[RSP] and 0 < offset < 8 * MAX_OFFSET and not offset & 7:
        return offset >> 3 << CFA_OFFSET_SHIFT | CFA_RSP_WIDE << CFA_RULE_SHIFT
    return 0


def _saved_rbp(rule: int, offset: int) -> int:
    if offset & 7 or not -1024 <= offset < 1024:
        return _RBP_UNDEFINED
    return rule << RBP_RULE_SHIFT | offset >> 3 & 0xFF


def _register_rule(op: int, data: bytes, at: int, state: State, book: Rulebook) -> tuple[int, State]:
    """One register's new rule: at an offset from the CFA, by an expression, as at the start, or something else."""
    register, at = uleb(data, at)
    if op == _RESTORE_EXTENDED:
        return at, _restored(register, state, book)
    offset, expression = None, b""
    if op in (_OFFSET_EXTENDED, _VAL_OFFSET, _REGISTER, _NEGATIVE_OFFSET_EXTENDED):
        offset, at = uleb(data, at)
        offset *= -book.data_align if op == _NEGATIVE_OFFSET_EXTENDED else book.data_align
    elif op in (_OFFSET_EXTENDED_SF, _VAL_OFFSET_SF):
        offset, at = sleb(data, at)
        offset *= book.data_align
    elif op in (_EXPRESSION, _VAL_EXPRESSION):
        expression, at = _block(data, at)
    elif op not in (_UNDEFINED, _SAME_VALUE):
        raise MalformedError(f"opcode {op:#x}")
    if op in (_VAL_OFFSET, _VAL_OFFSET_SF, _REGISTER, _VAL_EXPRESSION):
        offset, expression = None, b""  # the value itself, or another register: rows have no rule for it
    if register == RBP:
        return at, state._replace(rbp=_rbp_rule(op, offset, expression, book))
    if register == RETURN_ADDRESS:
        return at, state._replace(instead=_return_address_rule(op, offset, expression, book))
    return at, state


def _rbp_rule(op: int, offset: int | None, expression: bytes, book: Rulebook) -> int:
    if op == _SAME_VALUE or (book.signal and expression == _SIGNAL_RBP):
        return 0
    if offset is not None:
        return _saved_rbp(RBP_SAVED, offset)
    if expression[:1] == bytes((_BREG_RBP,)):
        offset, used = sleb(expression, 1)
        if used == len(expression):
            return _saved_rbp(RBP_SAVED_RBP, offset)
    return _RBP_UNDEFINED


def _return_address_rule(op: int, offset: int | None, expression: bytes, book: Rulebook) -> int:
    if op == _UNDEFINED:
        return _RA_UNDEFINED
    return 0 if offset == _RA_OFFSET or (book.signal and expression == _SIGNAL_RA) else _RA_ELSEWHERE


def _block(data: bytes, at: int) -> tuple[bytes, int]:
    """An expression and where it ends; b"", which no rule is, for one too long to be of a kind that rows know."""
    size, at = uleb(data, at)
    return data[at : at + size] if size <= _MAX_EXPRESSION else b"", at + size


def _cfa_of(expression: bytes, signal: bool) -> int:
    """The bits of a CFA that is one of the expressions that occur; 0 for any other."""
    if signal:
        return _SIGNAL if expression == _SIGNAL_RSP else 0
    if len(expression) == 11 and expression.startswith(_PLT_BEFORE) and expression.endswith(_PLT_AFTER):
        literal = expression[6]
        return _cfa(CFA_PLT << CFA_RULE_SHIFT, literal - _LIT_0) if _LIT_0 <= literal <= _LIT_31 else 0
    if expression[:1] == bytes((_BREG_RBP,)):
        offset, used = sleb(expression, 1)
        return _cfa(CFA_DEREF_RBP << CFA_RULE_SHIFT, offset) if expression[used:] == bytes((_DEREF,)) else 0
    if expression[:1] == bytes((_BREG_RSP,)):
        offset, used = sleb(expression, 1)
        return _cfa(CFA_DEREF_RSP << CFA_RULE_SHIFT, offset) if expression[used:] == bytes((_DEREF, _PLUS, 8)) else 0
    return 0
