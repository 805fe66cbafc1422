"""Python frames in the place of the interpreter loop's, for each state that a thread can be seen in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.symbolize.cpython import Merged, is_eval_name, merge

LOOP = "E"
"""A native frame of the interpreter loop."""


def merged(
    native: str, python: str, *, shim: bool = False, whole: bool = True, ended: bool = True
) -> tuple[str, int, int]:
    """In letters. native: root first, E for the loop. python: leaf first; a capital letter or | is an entry frame, the
    latter a shim; ? is an unknown frame, ! an unknown entry frame, - a hidden one."""
    result = merge(
        np.array([ord(letter) for letter in native], np.uint32),
        np.array([letter == LOOP for letter in native], bool),
        np.array([0 if letter in "?!|-" else ord(letter) for letter in python], np.uint32),
        np.array([letter not in "?!|" for letter in python], bool),
        np.array([letter.isupper() or letter in "|!" for letter in python], bool),
        shim=shim,
        whole=whole,
        ended=ended,
    )
    return "".join(map(chr, result.frames.tolist())), result.unplaced, result.loops


def test_up_to_3_10_each_frame_is_a_loop() -> None:
    assert merged("mEvEvEc", "CBA") == ("mAvBvCc", 0, 0)


def test_from_3_11_inlined_calls_share_a_loop() -> None:
    assert merged("mEcEr", "zyXbA") == ("mAbcXyzr", 0, 0)


def test_from_3_12_the_entry_frame_is_a_shim_that_is_dropped() -> None:
    assert merged("mEcEr", "zyx|ba|", shim=True) == ("mabcxyzr", 0, 0)


def test_a_hidden_frame_is_dropped_without_a_trace() -> None:
    assert merged("mEr", "b-a|", shim=True) == ("mabr", 0, 0)


def test_no_python_frames_leave_the_native_stack_as_it_is() -> None:
    assert merged("mEcE", "") == ("mEcE", 0, 2)
    assert merged("main", "") == ("main", 0, 0)
    assert merged("", "") == ("", 0, 0)


def test_python_frames_without_any_loop_are_counted() -> None:
    assert merged("main", "cBA") == ("main", 3, 0)


def test_a_loop_that_has_just_been_entered_stays() -> None:
    assert merged("mEcE", "bA") == ("mAbcE", 0, 1)
    assert merged("mE", "") == ("mE", 0, 1)


def test_a_loop_that_is_about_to_return_has_its_shim_and_nothing_more() -> None:
    assert merged("mEcE", "|ba|", shim=True) == ("mabcE", 0, 1)


def test_frames_of_another_chain_below_leave_its_loops_alone() -> None:
    """A greenlet's own chain begins where it was started; the loops below are those of whoever started it."""
    assert merged("mEsEgEc", "YX") == ("mEsXgYc", 0, 1)
    assert merged("mEsEgEcEc", "YX") == ("mEsEgXcYc", 0, 2)


def test_a_loop_that_was_not_recognised_costs_the_innermost_segment() -> None:
    assert merged("mEcx", "zYbA") == ("mAbcx", 2, 0)


def test_a_stack_without_its_root_is_matched_from_the_leaf_and_goes_on_in_python() -> None:
    assert merged("cEr", "zYbA", whole=False) == ("AbcYzr", 0, 0)
    assert merged("cEr", "zYbADC", whole=False, ended=False) == ("CDAbcYzr", 0, 0)
    assert merged("cEcEr", "Y", whole=False) == ("cEcYr", 0, 1)


def test_a_stack_that_was_cut_before_any_loop_is_of_its_python_frames() -> None:
    """Its library has no table yet."""
    assert merged("r", "zYbA", whole=False) == ("AbYzr", 0, 0)
    assert merged("", "z?|ba|", shim=True, whole=False) == ("abz", 0, 0)


def test_a_chain_without_its_end_is_matched_from_the_leaf() -> None:
    assert merged("mEcEr", "zYb", ended=False) == ("mbcYzr", 0, 0)
    assert merged("mEcEr", "zY", ended=False) == ("mEcYzr", 0, 1)


def test_an_unknown_frame_keeps_its_loop_visible_before_what_is_known() -> None:
    assert merged("mEcEr", "z?yXbA") == ("mAbcEXyzr", 0, 1)
    assert merged("mEcEr", "z?|!", shim=False) == ("mEcEzr", 0, 2)
    assert merged("mEr", "?|", shim=True) == ("mEr", 0, 1)


def test_a_loop_of_two_native_frames_is_one_where_there_is_one_segment() -> None:
    """3.14 with tail calls: `_TAIL_CALL_*` on `_PyEval_EvalFrameDefault`."""
    assert merged("mEEcEEr", "zy|ba|", shim=True) == ("mabcyzr", 0, 0)
    assert merged("mEEcEE", "ba|", shim=True) == ("mabcEE", 0, 2)
    assert merged("mEEr", "BA") == ("mABr", 0, 0)


@given(
    st.lists(st.tuples(st.integers(1, 99), st.booleans()), max_size=20),
    st.lists(st.tuples(st.integers(0, 99), st.booleans(), st.booleans()), max_size=20),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_nothing_is_lost_or_invented(
    native: list[tuple[int, bool]], python: list[tuple[int, bool, bool]], shim: bool, whole: bool, ended: bool
) -> None:
    result = merge(
        np.array([n for n, _ in native], np.uint32),
        np.array([e for _, e in native], bool),
        np.array([1000 + p if p else 0 for p, _, _ in python], np.uint32),
        np.array([k for _, k, _ in python], bool),
        np.array([e for _, _, e in python], bool),
        shim=shim,
        whole=whole,
        ended=ended,
    )
    assert isinstance(result, Merged)
    out = result.frames.tolist()
    shown = [1000 + p for p, known, entry in reversed(python) if p and known and not (shim and entry)]
    placed = [i for i in out if i >= 1000]
    assert len(placed) + result.unplaced == len(shown)
    assert placed == (shown[: len(placed)] if shown[: len(placed)] == placed else shown[len(shown) - len(placed) :])
    loops = sum(e for _, e in native)
    assert len(out) - len(placed) == len(native) - loops + result.loops


@pytest.mark.parametrize(
    ("name", "is_loop"),
    [
        ("_PyEval_EvalFrameDefault", True),
        ("_PyEval_EvalFrameDefault.cold", True),
        ("_PyEval_EvalFrameDefault.constprop.0.isra.0.part.3", True),
        ("_PyEval_EvalFrameDefault.cold/1", True),
        ("_PyEval_EvalFrameDefault.lto_priv.0", True),
        ("_TAIL_CALL_CALL_PY_EXACT_ARGS", True),
        ("_TAIL_CALL_BINARY_OP.llvm.123", True),
        ("_PyEval_EvalFrameDefault2", False),
        ("_PyEval_Vector", False),
        ("my_PyEval_EvalFrameDefault", False),
        ("_PyEval_EvalFrameDefault ", False),
        ("", False),
    ],
)
def test_names_of_the_interpreter_loop(name: str, is_loop: bool) -> None:
    assert is_eval_name(name) is is_loop
