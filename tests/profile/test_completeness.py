"""How many stacks are whole: counted from flags, added, in words."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.completeness import Completeness, completeness, completeness_by_group, together
from aperture_tui.profile.kinds import STOP_SHIFT, STOPS, Flag, Stop, stop_of

Event = tuple[int, int, int]

events = st.lists(st.tuples(st.integers(0, 3), st.integers(0, (1 << 16) - 1), st.integers(0, 1 << 32)), max_size=30)
"""(group, flags, weight)"""


def _arrays(made: list[Event]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    columns = np.array(made, np.int64).reshape(-1, 3).T
    return columns[0], columns[1].astype(np.uint16), columns[2]


def _of(*flags: int) -> Completeness:
    return completeness(np.array(flags, np.uint16), np.ones(len(flags), np.uint32))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (Flag.WHOLE, Completeness(1, 1)),
        (Flag.WHOLE | Flag.GUESSED | Flag.KERNEL_MODE, Completeness(1, 1, 1)),
        (Flag.WHOLE | Flag.FRAME_POINTERS, Completeness(1, 1, 1)),
        (Flag.WHOLE | Stop.FAULT << STOP_SHIFT, Completeness(1, 1)),
        (Stop.FAULT << STOP_SHIFT, Completeness(1, 0, stops={Stop.FAULT: 1})),
        (Stop.STUCK << STOP_SHIFT | Flag.GUESSED, Completeness(1, 0, 1, stops={Stop.STUCK: 1})),
        (Flag.NONE, Completeness(unknown=1)),
        (Flag.WHOLE | Flag.ESTIMATED, Completeness(1, 1, estimated=1)),
        (Flag.NO_STACK, Completeness(unknown=1, missing=1)),
        (Flag.FRAME_POINTERS | Flag.TRUNCATED, Completeness(unknown=1)),
        (15 << STOP_SHIFT, Completeness(unknown=1)),
    ],
)
def test_what_the_flags_of_one_event_say(flags: int, expected: Completeness) -> None:
    assert _of(flags) == expected


def test_unknown_has_no_share_and_known_bad_has_zero() -> None:
    assert _of().share is None
    assert _of(0, 0).share is None
    assert _of(Stop.FAULT << STOP_SHIFT, 0).share == 0.0
    assert _of(Flag.WHOLE, Flag.WHOLE, 0).share == 1.0


@given(events)
def test_every_event_is_counted_once_with_its_weight(made: list[Event]) -> None:
    _, flags, weight = _arrays(made)
    got = completeness(flags, weight)
    assert got.known + got.unknown == got.weight == weight.sum()
    assert got.whole + sum(got.stops.values()) == got.known
    assert got.whole == sum(w for _, f, w in made if f & Flag.WHOLE)
    assert got.unknown == sum(w for _, f, w in made if not f & Flag.WHOLE and stop_of(f) is Stop.NONE)
    assert got.guessed <= got.known
    assert all(got.stops.values())
    assert Stop.NONE not in got.stops


@given(events)
def test_groups_are_counted_as_if_each_were_alone_and_add_up(made: list[Event]) -> None:
    group, flags, weight = _arrays(made)
    parts = completeness_by_group(group, 5, flags, weight)
    assert parts == [completeness(flags[group == i], weight[group == i]) for i in range(5)]
    assert together(parts) == completeness(flags, weight)
    assert parts[0] + parts[1] == together(parts[:2])


def test_reasons_come_in_words_the_most_frequent_first() -> None:
    told = Completeness(9, 0, stops={Stop.NO_TABLES: 2, Stop.FAULT: 5, Stop.NO_ROW: 2})
    assert told.reasons == [(STOPS[Stop.FAULT], 5), (STOPS[Stop.NO_TABLES], 2), (STOPS[Stop.NO_ROW], 2)]
    assert set(STOPS) == set(Stop) - {Stop.NONE}, "every stop has its words"


def test_json_says_null_for_unknown() -> None:
    told = json.loads(json.dumps(_of(0, 0).as_json()))
    assert told == {"known": 0, "whole": 0, "guessed": 0, "unknown": 2, "share": None, "stops": {}}
    bad = json.loads(json.dumps(_of(Flag.WHOLE, Stop.NO_ROW << STOP_SHIFT).as_json()))
    assert (bad["share"], bad["stops"]) == (0.5, {"no_row": 1})
    launched = _of(Flag.WHOLE | Flag.ESTIMATED, Flag.NO_STACK, Flag.WHOLE).as_json()
    assert (launched["estimated"], launched["missing"]) == (1, 1)
