from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.tui.icicle.labels import make_label
from aperture_tui.tui.search import compile_search
from aperture_tui.tui.widgets.search import message_row


def test_small_letters_match_both_cases_and_a_capital_is_exact() -> None:
    label = make_label("ReadFile", "libx.so", "", 0, FrameKind.NATIVE)
    assert compile_search("readfile").hits(label)
    assert compile_search("Read").hits(label)
    assert not compile_search("READ").hits(label)
    assert compile_search(r"read\Sile").hits(label), "the capital of an escape is not one"


def test_module_and_file_match_too() -> None:
    label = make_label("f", "libx.so", "/srv/app.py", 3, FrameKind.PYTHON)
    assert compile_search("libx").hits(label)
    assert compile_search(r"app\.py$").hits(label)
    assert not compile_search("other").hits(label)


@given(st.text(max_size=40))
def test_whatever_is_typed_is_a_pattern_or_one_clear_line(text: str) -> None:
    with contextlib.suppress(re.error):
        re.compile(f"(?i){text}")
        re.compile(text)
        assert compile_search(text).text == text
        return
    with pytest.raises(ValueError, match=r"^(not a pattern|the pattern)[^\n]*$"):
        compile_search(text)


def test_how_to_get_out_of_a_search_is_said_whole_in_any_width() -> None:
    search = compile_search("read")
    for width in (60, 50, 40, 34):
        ((text, _),) = message_row("", search, ("92.0 % of samples match", "text"), width)
        assert len(text) == width
        assert text.rstrip().endswith("esc ends")


def test_a_pattern_is_bounded() -> None:
    with pytest.raises(ValueError, match="longer than"):
        compile_search("a" * 201)
