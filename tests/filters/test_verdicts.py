"""Verdicts put to effect, beside a reference that goes event by event."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.filters.errors import FaultError
from aperture_tui.filters.tags import translated
from aperture_tui.filters.verdicts import applied
from aperture_tui.profile.tags import Tags
from tests.filters.wat import events

_rows = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 1, 2, 3, 65_535]),
        st.integers(0, (1 << 32) - 1) | st.sampled_from([0, 1, (1 << 32) - 1]),
        st.integers(0, (1 << 64) - 1) | st.sampled_from([0, 1, (1 << 63) - 1, 1 << 63]),
        st.integers(0, 7),
    ),
    max_size=30,
)


@given(_rows)
def test_events_are_dropped_multiplied_and_tagged_as_one_by_one(rows: list[tuple[int, int, int, int]]) -> None:
    given_events = events(len(rows))
    given_events["weight"] = [row[1] for row in rows]
    given_events["duration_ns"] = [row[2] for row in rows]
    given_events["tags"] = 8
    before = given_events.copy()
    verdicts = np.array([row[0] for row in rows], "<u4").tobytes()
    done = applied(given_events, verdicts, np.array([row[3] for row in rows], np.uint16))
    out = done.events
    wanted, cut = [], 0
    for verdict, weight, duration, tag in rows:
        if not verdict:
            continue
        many, long = min(weight * verdict, (1 << 32) - 1), min(duration * verdict, (1 << 63) - 1)
        if verdict == 1:
            long = duration
        else:
            long = max(long, duration)
            cut += many != weight * verdict or long != duration * verdict
        wanted.append((many, long, tag | 8))
    assert [tuple(row) for row in out[["weight", "duration_ns", "tags"]].tolist()] == wanted
    assert done.saturated == cut
    assert done.tagged == sum(bool(row[3]) for row in rows if row[0])
    assert done.weighed == sum(row[0] > 1 for row in rows)
    assert (given_events == before).all()
    kept = [i for i, row in enumerate(rows) if row[0]]
    assert (out["time_ns"] == before["time_ns"][kept]).all()
    assert (out["maximum_ns"] == before["maximum_ns"][kept]).all()


def test_what_nothing_changed_is_the_very_same_array() -> None:
    some = events(5)
    assert applied(some, np.ones(5, "<u4").tobytes(), None).events is some


@pytest.mark.parametrize("verdict", [65_536, 0xFFFFFFFF])
def test_a_verdict_that_is_none_is_a_fault(verdict: int) -> None:
    with pytest.raises(FaultError, match="verdict"):
        applied(events(2), np.array([1, verdict], "<u4").tobytes(), None)


@given(st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8), st.lists(st.integers(0, 0xFFFFFFFF), max_size=9))
def test_bits_of_a_program_become_those_of_the_chain(names: list[str], words: list[int]) -> None:
    tags = Tags()
    tags.table(["d", "x", "a"])
    table = tags.table(names)
    out = translated(np.array(words, "<u4").tobytes(), table)
    assert out is not None
    for word, bits in zip(words, out.tolist(), strict=True):
        wanted = {name for i, name in enumerate(names) if word >> i & 1}
        assert {name for i, name in enumerate(tags.names) if bits >> i & 1} == wanted
