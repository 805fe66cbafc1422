from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from aperture_tui.collect.estimates import estimated
from aperture_tui.collect.waits import PART

Group = tuple[int, int, int]
Row = tuple[Group, int, list[int]]
"""(thread, reason, part), stack, the durations that it sums."""

groups = st.tuples(st.integers(1, 2), st.integers(0, 1), st.integers(0, 1))
durations = st.lists(st.one_of(st.integers(0, 3), st.integers(0, 1 << 50)), min_size=1, max_size=4)
rows = st.lists(st.tuples(groups, st.integers(0, 3), durations), max_size=12)


def parts(drawn: list[Row]) -> np.ndarray:
    out = np.zeros(len(drawn), PART)
    for record, ((tid, why, part), stack, took) in zip(out, drawn, strict=True):
        record["tid"], record["why"], record["part"] = tid, why, part
        record["stack"], record["n"], record["total_ns"], record["max_ns"] = stack, len(took), sum(took), max(took)
        record["pid"], record["flags"], record["comm"] = tid * 10, stack, b"t%d" % tid
    return out


def by_group(found: np.ndarray, column: str) -> Counter[Group]:
    out: Counter[Group] = Counter()
    for tid, why, part, value in found[["tid", "why", "part", column]].tolist():
        out[tid, why, part] += value
    return out


@given(rows)
@example([((1, 0, 0), 0, [5]), ((1, 0, 0), 7, [0])])
@example([((1, 0, 0), 0, [0, 0]), ((1, 0, 0), 7, [9])])
@example([((1, 0, 0), 0, [1]), ((1, 0, 0), 1, [1]), ((1, 0, 0), 2, [1]), ((1, 0, 0), 3, [1])])
@example([((1, 0, 0), 0, [(1 << 50) - 1] * 3), ((1, 0, 0), 1, [1]), ((1, 0, 0), 2, [2]), ((1, 0, 0), 3, [1 << 50])])
def test_time_and_counts_by_thread_reason_and_part_stay_exactly_what_they_were(drawn: list[Row]) -> None:
    given_rows = parts(drawn)
    before = given_rows.copy()
    found = estimated(given_rows)
    assert (given_rows == before).all(), "what was given is left alone"
    for column in ("total_ns", "n"):
        assert by_group(found, column) == by_group(before, column)
        assert (found[column] < 1 << 62).all(), "nothing negative"
    longest: dict[Group, int] = defaultdict(int)
    for group, _, took in drawn:
        longest[group] = max(longest[group], *took)
    for group, ns in longest.items():
        columns = zip(("tid", "why", "part"), group, strict=True)
        mine = found[np.all([found[name] == of for name, of in columns], axis=0)]
        assert mine["max_ns"].max() == ns, "the longest wait was as long, whosever stack it has"
    assert (found["pid"] == found["tid"] * 10).all()


@given(rows)
def test_what_was_taken_stays_and_what_was_not_is_called_an_estimate(drawn: list[Row]) -> None:
    before = parts(drawn)
    found = estimated(before)
    taken = before[before["stack"] != 0]
    plain = found[~found["estimated"]]
    assert sorted(plain[plain["stack"] != 0].tolist()) == sorted(taken.tolist())
    having = {group for group, stack, took in drawn if stack and sum(took)}
    without = plain[plain["stack"] == 0]
    assert not having & set(without[["tid", "why", "part"]].tolist()), "a thread with stacks has none without"
    assert (found["stack"][found["estimated"]] != 0).all()
    mine = {(tid, why, part, stack) for tid, why, part, stack in taken[["tid", "why", "part", "stack"]].tolist()}
    guesses = found[found["estimated"]]
    assert set(guesses[["tid", "why", "part", "stack"]].tolist()) <= mine, "nobody has another thread's stack"


def test_time_is_shared_as_that_of_the_stacks_that_were_taken() -> None:
    group = (1, 0, 0)
    found = estimated(parts([(group, 0, [100] * 40), (group, 5, [30] * 10), (group, 6, [100])]))
    guesses = {stack: (ns, n) for stack, ns, n in found[found["estimated"]][["stack", "total_ns", "n"]].tolist()}
    assert guesses[5][0] == 3000
    assert guesses[6][0] == 1000
    assert sum(n for _, n in guesses.values()) == 40
    assert abs(guesses[5][1] - 40 * 10 / 11) <= 1
