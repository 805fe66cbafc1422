"""Tags as bits with names, and as sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile import symbols as tables
from aperture_tui.profile.batch import empty
from aperture_tui.profile.symbols import OTHER_TAGS, Symbols
from aperture_tui.profile.tags import MAX_TAGS, Tags, TooManyTagsError, checked, in_bits, in_sets, names_of

NAMES = [f"tag{i}" for i in range(40)]
some_names = st.lists(st.sampled_from(NAMES), unique=True, max_size=MAX_TAGS)
words = st.lists(st.integers(0, (1 << MAX_TAGS) - 1), max_size=20)


def events_of(bits: list[int], names: int = MAX_TAGS) -> np.ndarray:
    out = empty(len(bits))
    out["tags"] = [one & (1 << names) - 1 for one in bits]
    out["pid"] = np.arange(len(bits))
    return out


@given(st.lists(st.tuples(some_names, words), max_size=4))
def test_other_bits_for_the_same_names(streams: list[tuple[list[str], list[int]]]) -> None:
    ours = Tags()
    for names, bits in streams:
        given_events = events_of(bits, len(names))
        before = given_events.copy()
        taken = ours.taken(given_events, names)
        assert (given_events == before).all(), "others hold them"
        assert (taken["pid"] == before["pid"]).all()
        for old, new in zip(before["tags"].tolist(), taken["tags"].tolist(), strict=True):
            assert set(names_of(new, ours.names)) == set(names_of(old, names)) - ours.left_out
    assert len(set(ours.names)) == len(ours.names) <= MAX_TAGS
    assert len(ours.names) == MAX_TAGS or not ours.left_out
    assert not ours.left_out.intersection(ours.names)


def test_a_name_keeps_its_bit() -> None:
    ours = Tags(("a",))
    events = events_of([1, 3])
    assert ours.taken(events, ("a", "b")) is events
    assert ours.names == ("a", "b")
    assert ours.taken(events, ("b", "c"))["tags"].tolist() == [2, 6]
    assert ours.names == ("a", "b", "c")


def test_of_too_many_names_none_is_taken() -> None:
    ours = Tags(NAMES[: MAX_TAGS - 1])
    with pytest.raises(TooManyTagsError, match="no bit is left for its tag tag17"):
        ours.table(["tag1", "tag16", "tag17"])
    assert ours.names == tuple(NAMES[: MAX_TAGS - 1])
    assert ours.table(["tag16"]).tolist() == [0, 1 << 15]


@given(some_names, words)
def test_bits_become_sets_and_bits_again(names: list[str], bits: list[int]) -> None:
    symbols, events = Symbols(), events_of(bits, len(names))
    symbols.tag_set(["another"])
    sets = in_sets(symbols, events, names)
    told = [set(names_of(one, names)) for one in events["tags"].tolist()]
    assert [set(symbols.tag_sets[row]) for row in sets["tags"].tolist()] == told
    again, known = in_bits(symbols, sets)
    assert [set(names_of(one, known)) for one in again["tags"].tolist()] == told


def test_a_bit_without_a_name_is_called_by_its_number() -> None:
    symbols = Symbols()
    sets = in_sets(symbols, events_of([0, 0b101]), ("slow",))
    assert [symbols.tag_sets[row] for row in sets["tags"].tolist()] == [(), ("#2", "slow")]


def test_sets_are_the_same_in_any_order_and_safe_to_show() -> None:
    symbols = Symbols()
    assert symbols.tag_set([]) == 0
    assert symbols.tag_set(["b", "a", "b"]) == symbols.tag_set(("a", "b")) == 1
    assert symbols.tag_sets[symbols.tag_set(["\x1b[2J"])] == ("\\x1b[2J",)


def test_sets_that_have_no_room_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_TAG_SETS", 4)
    symbols = Symbols()
    assert [symbols.tag_set([name]) for name in ("a", "b", "c", "d", "a", "c")] == [1, 2, 3, 3, 1, 3]
    assert list(symbols.tag_sets) == [(), ("a",), ("b",), OTHER_TAGS]


def test_a_stranger_s_names_are_checked() -> None:
    assert checked(["a", "é"]) == ("a", "é")
    for odd in ([""], ["a", "a"], ["x" * 41], ["\x1b" * 11], [f"t{i}" for i in range(17)]):
        with pytest.raises(ValueError, match="tags"):
            checked(odd)
