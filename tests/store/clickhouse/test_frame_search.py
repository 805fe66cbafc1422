"""Regular expressions of strangers: the same answers as Python's, and never for ever."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from aperture_tui.profile.where_patterns import problem, scoped
from aperture_tui.store.clickhouse.frame_search import LinearSearch
from aperture_tui.store.selection import FrameSearch

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'aperture-tui[aggregator]'")

PATTERNS = [
    "",
    "^main$",
    "r.*d|push_back",
    "libc",
    r"\.py",
    "(?i)STD",
    r"\bmain\b",
    r"[^a-z]+$",
    "é",
    "a{2,3}",
    "(a|b)*c",
]


@given(
    st.sampled_from(PATTERNS), st.lists(st.text("abcmain.py_std:é ", max_size=12) | st.sampled_from(["main", "read"]))
)
def test_it_finds_what_python_finds(pattern: str, texts: list[str]) -> None:
    assert LinearSearch().matching(pattern, texts).tolist() == FrameSearch().matching(pattern, texts).tolist()


PARTS = [
    *"ab[]^$()|*+?{},2-&:.A ", "[:", ":]", "[^", "(?:", "(?i:", "(?i)", "(?m)", "(?s)", "(?-i:", "(?P<n>", "(?#",
    "(?x)", "(?a:", "{2}", "{,2}", "{1,}", "{1000}", "&&", "--", r"\d", r"\b", r"\w", r"\S", r"\A", r"\Z", r"\n",
    r"\x41", r"\.", r"\u0041", r"\N{BULLET}", r"\0", r"\07", r"\t", r"\-", r"\]", r"\[", r"\\",
]  # fmt: skip
r"""No \B: of an empty text Python had its own opinion until 3.14. No great repeats, which multiply when they are nested
and which RE2 then refuses by itself."""


@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")
@given(
    st.lists(st.sampled_from(PARTS), max_size=7).map("".join),
    st.booleans(),
    st.lists(st.text("abAlph:[]{},2-& .$\\", max_size=5), max_size=6),
)
@example("[[:alpha:]]", False, ["x", "a]"])
@example("x{,2}y", False, ["y"])
@example("(?#b)a", False, ["a"])
@example(r"\u0041", False, ["A"])
def test_a_pattern_of_a_filter_line_finds_the_same_on_an_aggregator(
    pattern: str, ignoring_case: bool, texts: list[str]
) -> None:
    """Or it is refused on both."""
    assume(not problem(pattern)[0])
    source = f"(?s){scoped(pattern, ignoring_case)}"
    assert LinearSearch().matching(source, texts).tolist() == FrameSearch().matching(source, texts).tolist()


def test_no_pattern_takes_long() -> None:
    began = time.monotonic()
    for pattern in ("(a+)+$", "^(a|aa)*$", "(.*)*x", "a*a*a*a*a*a*a*a*a*c"):
        assert not LinearSearch().matching(pattern, ["a" * 10_000 + "b"]).any()
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("pattern", ["(", "*", "(?=a)", r"(a)\1", "[z-a]", "a{1,100000}"])
def test_what_cannot_be_searched_for_is_refused_in_one_line(pattern: str) -> None:
    with pytest.raises(re.error) as refused:
        LinearSearch().check(pattern)
    assert "\n" not in str(refused.value)
