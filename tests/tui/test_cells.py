from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from aperture_tui.tui.cells import fit, plain


@given(st.text(max_size=60), st.integers(0, 40))
def test_any_text_fills_exactly_its_cells(text: str, width: int) -> None:
    assert cell_len(fit(text, width)) == width


@given(st.text(max_size=60))
def test_nothing_in_a_row_moves_the_cursor(text: str) -> None:
    assert all(ord(c) >= 32 and not 0x7F <= ord(c) < 0xA0 for c in plain(text))
    assert plain(plain(text)) == plain(text)


@given(st.text(max_size=60))
def test_every_character_has_a_cell_of_its_own(text: str) -> None:
    assert all(cell_len(c) > 0 for c in plain(text))


def test_a_wide_character_is_never_cut_in_half() -> None:
    assert fit("视频转码", 6) == "视频… "
    assert fit("视频", 4) == "视频"


def test_marks_that_terminals_disagree_about_are_left_out() -> None:
    assert plain("e\u0301te\u0301") == "été"
    assert plain("a\u200bb\u0338c\ufe0f") == "abc"
    assert plain("\u0939\u093f\u0928\u0926\u0940") == "\u0939\u0928\u0926"
    assert plain("x\x1b[2Jy") == "x\\x1b[2Jy"
