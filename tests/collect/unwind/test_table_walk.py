"""The walk outside of the kernel: each rule of a row, and each reason to end."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui import resources
from aperture_tui.collect.unwind.kernel_maps import ANONYMOUS, PENDING
from aperture_tui.collect.unwind.table_walk import EXACT, MAX_FRAMES, Code, Walked, walk
from aperture_tui.profile.kinds import STOP_SHIFT, Flag, Stop
from aperture_tui.symbolize import unwind_layout as rows
from aperture_tui.symbolize.runtime_frames import OBJECT

SP = 0x7FFF_0000_1000
LEAF, CALLER, OUTERMOST = 0x40_1000, 0x40_4000, 0x40_8000


def row(cfa: int, offset: int = 0, rbp: int = rows.RBP_SAME, rbp_offset: int = 0) -> int:
    """A row's rules. offset: as it is stored; rbp_offset in bytes."""
    return (
        (offset & 0xFFFF) << rows.CFA_OFFSET_SHIFT
        | rbp << rows.RBP_RULE_SHIFT
        | cfa << rows.CFA_RULE_SHIFT
        | (rbp_offset // 8 & 0xFF)
    )


END = row(rows.CFA_END)
SIMPLE = row(rows.CFA_RSP, 8)


def walked(
    code: dict[int, int | Code], memory: dict[int, int], pc: int = LEAF + 4, sp: int = SP
) -> tuple[list[int], int]:
    """By rows that hold for a page each."""

    def found(address: int) -> Code | None:
        one = code.get(address & ~0xFFF)
        return Code(0, one) if isinstance(one, int) else one

    result = walk(found, memory.get, pc, sp)
    return list(result.addresses), result.flags


def stop(why: Stop) -> int:
    return why << STOP_SHIFT


def test_the_limit_and_the_mark_are_those_of_the_c_header() -> None:
    header = (resources.folder("bpf") / "walk.h").read_text()
    assert f"#define MAX_USER {MAX_FRAMES}\n" in header
    bits = dict(re.findall(r"#define (\w+) \(1ULL << (\d+)\)", header))
    assert (1 << int(bits["EXACT"]), 1 << int(bits["OBJECT"])) == (EXACT, OBJECT)


@pytest.mark.parametrize(
    ("leaf", "memory"),
    [
        (row(rows.CFA_RSP, 24), {SP + 16: OUTERMOST + 5}),
        (row(rows.CFA_RSP_WIDE, 5000), {SP + 40_000 - 8: OUTERMOST + 5}),
        (row(rows.CFA_DEREF_RSP, 32), {SP + 32: SP + 56, SP + 56: OUTERMOST + 5}),
        (row(rows.CFA_PLT, 11), {SP: OUTERMOST + 5}),
        (row(rows.CFA_PLT, 4), {SP + 8: OUTERMOST + 5}),
    ],
    ids=["rsp", "wide", "saved rsp", "plt, before it pushes", "plt, after it has pushed"],
)
def test_frames_by_the_stack_pointer(leaf: int, memory: dict[int, int]) -> None:
    addresses, flags = walked({LEAF: leaf, OUTERMOST: END}, memory)
    assert addresses == [(LEAF + 4) | EXACT, OUTERMOST + 5]
    assert flags == Flag.WHOLE


@pytest.mark.parametrize(
    ("caller", "memory"),
    [
        (row(rows.CFA_RBP, 16), {SP + 248: OUTERMOST + 5}),
        (row(rows.CFA_DEREF_RBP, -8 & 0xFFFF), {SP + 232: SP + 512, SP + 504: OUTERMOST + 5}),
        (
            row(rows.CFA_RBP, 16, rows.RBP_SAVED_RBP, -16),
            {SP + 248: OUTERMOST + 5, SP + 224: 7},
        ),
    ],
    ids=["rbp", "realigned", "saved by rbp"],
)
def test_frames_by_rbp_once_a_callee_has_saved_it(caller: int, memory: dict[int, int]) -> None:
    leaf = row(rows.CFA_RSP, 24, rows.RBP_SAVED, -16)
    saved = {SP + 8: SP + 240, SP + 16: CALLER + 9}
    addresses, flags = walked({LEAF: leaf, CALLER: caller, OUTERMOST: END}, saved | memory)
    assert addresses == [(LEAF + 4) | EXACT, CALLER + 9, OUTERMOST + 5]
    assert flags == Flag.WHOLE


@pytest.mark.parametrize(
    "code",
    [
        row(rows.CFA_RBP, 16),
        row(rows.CFA_DEREF_RBP, 8),
        row(rows.CFA_NONE),
        Code(ANONYMOUS, 0),
    ],
    ids=["rbp", "realigned", "no row", "code of a JIT"],
)
def test_without_rbp_the_walk_ends_and_nothing_is_guessed(code: int | Code) -> None:
    memory = dict.fromkeys(range(SP, SP + 512, 8), OUTERMOST + 5)
    assert walked({LEAF: code, OUTERMOST: END}, memory) == ([(LEAF + 4) | EXACT], stop(Stop.NO_ROW))


@pytest.mark.parametrize("rule", [rows.RBP_UNDEFINED, rows.RBP_SAVED_RBP])
def test_rbp_stays_unknown_where_a_row_does_not_say_more(rule: int) -> None:
    memory = {SP: CALLER + 9, **dict.fromkeys(range(SP + 8, SP + 512, 8), OUTERMOST + 5)}
    addresses, flags = walked({LEAF: row(rows.CFA_RSP, 8, rule), CALLER: row(rows.CFA_RBP, 16)}, memory)
    assert addresses == [(LEAF + 4) | EXACT, CALLER + 9]
    assert flags == stop(Stop.NO_ROW)


def test_an_interpreted_frame_has_its_method_for_its_address_and_says_where_its_caller_ends() -> None:
    """Of Java: rbp points at the caller's rbp; below it lie the caller's rsp and, two words on, the method."""
    method, bp = 0x7F12_3456_7890, SP + 240
    leaf = row(rows.CFA_RSP, 24, rows.RBP_SAVED, -16)
    memory = {SP + 8: bp, SP + 16: CALLER + 9, bp + 8: OUTERMOST + 5, bp: 7, bp - 8: bp + 64, bp - 24: method}
    code: dict[int, int | Code | None] = {LEAF: leaf, CALLER: row(rows.CFA_INTERPRETED), OUTERMOST: END}
    assert walked(code, memory) == ([(LEAF + 4) | EXACT, method | OBJECT, OUTERMOST + 5], Flag.WHOLE)
    assert walked(code, memory | {bp - 8: SP}) == ([(LEAF + 4) | EXACT, method | OBJECT], stop(Stop.STUCK))
    del memory[bp - 24]
    assert walked(code, memory) == ([(LEAF + 4) | EXACT, CALLER + 9], stop(Stop.FAULT))


def test_callers_that_lie_in_the_heap_are_not_looked_for_on_the_stack() -> None:
    addresses, flags = walked({LEAF: SIMPLE, CALLER: row(rows.CFA_FROZEN), OUTERMOST: END}, {SP: CALLER + 9})
    assert addresses == [(LEAF + 4) | EXACT, CALLER + 9]
    assert flags == stop(Stop.FROZEN)


@pytest.mark.parametrize(("rule", "flags"), [(rows.CFA_SWITCH, Flag.WHOLE), (rows.CFA_RBP, stop(Stop.STUCK))])
def test_only_a_function_that_changes_stacks_leads_to_a_lower_one(rule: int, flags: int) -> None:
    below = SP - 0x10_0000
    memory = {SP: below, SP + 8: CALLER + 9, below: 0, below + 8: OUTERMOST + 5}
    leaf = row(rows.CFA_RSP, 16, rows.RBP_SAVED, -16)
    addresses, found = walked({LEAF: leaf, CALLER: row(rule, 16), OUTERMOST: END}, memory)
    assert addresses[:2] == [(LEAF + 4) | EXACT, CALLER + 9]
    assert found == flags
    assert (OUTERMOST + 5 in addresses) == (rule == rows.CFA_SWITCH)


def test_a_signal_frame_has_all_registers_and_an_exact_address() -> None:
    memory = {SP: CALLER, SP + 8 + 168: LEAF, SP + 8 + 160: SP + 0x2000, SP + 8 + 120: SP + 0x3000}
    code = {LEAF: row(rows.CFA_RBP, 16), CALLER - 0x1000: row(rows.CFA_SIGNAL), OUTERMOST: END}
    memory |= {SP + 0x3008: OUTERMOST + 5}
    code |= {0x40_A000: SIMPLE}
    addresses, flags = walked(code, memory, pc=0x40_A004)
    # a function that begins where it was interrupted is looked up there, and not before
    assert addresses == [0x40_A004 | EXACT, CALLER, LEAF | EXACT, OUTERMOST + 5]
    assert flags == Flag.WHOLE


def test_a_return_address_is_looked_up_where_the_call_is() -> None:
    addresses, flags = walked({LEAF: SIMPLE, CALLER: END}, {SP: CALLER + 0x1000})
    assert addresses == [(LEAF + 4) | EXACT, CALLER + 0x1000]
    assert flags == Flag.WHOLE


def test_code_without_a_row_is_guessed_by_an_rbp_that_is_known() -> None:
    leaf = row(rows.CFA_RSP, 24, rows.RBP_SAVED, -16)
    saved = {SP + 8: SP + 240, SP + 16: CALLER + 9}
    chained = {SP + 240: 0, SP + 248: OUTERMOST + 5}
    code: dict[int, int | Code] = {LEAF: leaf, CALLER: Code(ANONYMOUS, 0), OUTERMOST: END}
    assert walked(code, saved | chained)[1] == Flag.WHOLE | Flag.GUESSED
    assert walked(code, saved) == ([(LEAF + 4) | EXACT, CALLER + 9], Flag.GUESSED | stop(Stop.NO_ROW))
    for odd in (SP - 64, SP + 241):
        assert walked(code, saved | chained | {SP + 8: odd})[1] == Flag.GUESSED | stop(Stop.NO_ROW)
    # the outermost frame has an rbp of 0
    assert walked(code | {CALLER: Code(5, 0)}, saved | {SP + 8: 0})[1] == Flag.GUESSED | Flag.WHOLE
    assert walked(code | {CALLER: Code(PENDING, 0)}, saved | chained)[1] == stop(Stop.NO_TABLES)


def test_why_a_walk_ends_early() -> None:
    leaf = (LEAF + 4) | EXACT
    assert walked({}, {}, pc=0) == ([], stop(Stop.NO_ROW) | Flag.NO_USER_STACK)
    assert walked({}, {}) == ([leaf], stop(Stop.NO_MAPPING))
    assert walked({LEAF: SIMPLE}, {}) == ([leaf], stop(Stop.FAULT))
    assert walked({LEAF: SIMPLE}, {SP: 0}) == ([leaf], stop(Stop.NO_ROW))
    assert walked({LEAF: row(rows.CFA_RSP, 0)}, {SP - 8: CALLER}) == ([leaf], stop(Stop.STUCK))
    assert walked({LEAF: row(rows.CFA_RSP, 8, rows.RBP_SAVED, -64)}, {SP: CALLER})[1] == stop(Stop.FAULT)


def test_a_stack_without_end_is_cut() -> None:
    memory = dict.fromkeys(range(SP, SP + 8 * 1000, 8), LEAF + 9)
    addresses, flags = walked({LEAF: SIMPLE}, memory)
    assert len(addresses) == MAX_FRAMES
    assert flags == stop(Stop.TOO_DEEP) | Flag.TRUNCATED


@given(
    st.lists(st.integers(0, (1 << 32) - 1), min_size=1, max_size=8),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, (1 << 64) - 1),
    st.randoms(use_true_random=False),
)
def test_no_rows_and_no_memory_lead_to_more_than_an_end(rules: list[int], pc: int, sp: int, random: object) -> None:
    def code(address: int) -> Code | None:
        choice = address * 2654435761 % (len(rules) + 2)
        return Code(ANONYMOUS, rules[choice]) if choice < len(rules) else Code(0, 0) if choice == len(rules) else None

    def word(address: int) -> int | None:
        assert 0 <= address < 1 << 64
        return random.choice([None, 0, address + 8, sp, pc, random.getrandbits(64)])  # type: ignore[attr-defined]  # a Random

    found = walk(code, word, pc, sp)
    assert isinstance(found, Walked)
    assert len(found.addresses) <= MAX_FRAMES
    assert all(0 <= address < 1 << 64 for address in found.addresses)
    assert bool(found.flags & Flag.WHOLE) == (found.flags >> STOP_SHIFT & 15 == Stop.NONE)
