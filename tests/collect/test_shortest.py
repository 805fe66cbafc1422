from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.collect.shortest import with_shortest_alone
from aperture_tui.profile.event import EVENT

Durations = list[int]
KEYS = ("process", "name", "value")


def summed(key: tuple[int, int, int], aux: int, durations: Durations) -> np.ndarray:
    """A record as the kernel sums these."""
    record = np.zeros(1, EVENT)
    record[list(KEYS)] = [key]
    record["aux"], record["weight"] = aux, len(durations)
    record["duration_ns"], record["maximum_ns"] = sum(durations), max(durations)
    return record


small = st.integers(0, 2)
rows = st.lists(
    st.tuples(st.tuples(small, small, small), small, st.lists(st.integers(0, 1 << 40), min_size=1, max_size=5)),
    max_size=12,
)


@given(rows)
def test_sums_stay_and_the_shortest_of_each_is_alone(drawn: list[tuple[tuple[int, int, int], int, Durations]]) -> None:
    events = np.concatenate([np.zeros(0, EVENT), *(summed(*row) for row in drawn)])
    before = events.copy()
    found = with_shortest_alone(events, np.array([min(durations) for _, _, durations in drawn], np.uint64))
    assert (events == before).all(), "what was given is left alone"
    assert (found["weight"] > 0).all()
    everything: dict[tuple[int, int, int], Durations] = defaultdict(list)
    outcomes: Counter[tuple[tuple[int, int, int], int]] = Counter()
    for key, aux, durations in drawn:
        everything[key] += durations
        outcomes[key, aux] += len(durations)
    for key, durations in everything.items():
        mine = found[np.all([found[column] == part for column, part in zip(KEYS, key, strict=True)], axis=0)]
        assert (mine["weight"].sum(), mine["duration_ns"].sum()) == (len(durations), sum(durations))
        assert mine["maximum_ns"].max() == max(durations)
        alone = mine[(mine["weight"] == 1) & (mine["duration_ns"] == min(durations))]
        assert len(alone) >= 1
        assert (alone["maximum_ns"] == min(durations)).all(), "a record of one says how long that one took"
        one = mine[mine["weight"] == 1]
        assert (one["duration_ns"] <= one["maximum_ns"]).all()
        for aux in np.unique(mine["aux"]).tolist():
            assert mine["weight"][mine["aux"] == aux].sum() == outcomes[key, aux]
    assert len(found) <= len(events) + len(everything), "no more than one record each is new"


def test_nothing_of_nothing() -> None:
    assert len(with_shortest_alone(np.zeros(0, EVENT), np.zeros(0, np.uint64))) == 0
