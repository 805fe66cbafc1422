"""Regular expressions of strangers: the same answers as Python's, and never for ever."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
