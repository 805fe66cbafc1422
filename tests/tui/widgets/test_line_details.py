from __future__ import annotations

import pytest
from rich.cells import cell_len

from aperture_tui.profile.latency import Latency
from aperture_tui.tui.model import LatencyKey, LatencyLine
from aperture_tui.tui.widgets.line_details import in_flight_words, line_rows

SECOND = 1_000_000_000
CALL = LatencyLine(
    LatencyKey(42, 1, "read"),
    Latency(42, 1, "postgres", "read", count=1200, time_ns=3 * SECOND, outcomes={4: 60}),
    Latency(42, 1, "postgres", "read", tid=4711, count=3, maximum_ns=40 * SECOND),
)
LOCK = LatencyLine(
    LatencyKey(42, 1, "mutex table_lock", 0x55D0C0DE1040),
    Latency(42, 1, "视频\x1b[31m", "mutex table_lock", 0x55D0C0DE1040, count=10, time_ns=SECOND),
    holders=((11, 400), (12, 7), (13, 2), (14, 1)),
    wakers=((15, 1500),),
)


def _texts(line: LatencyLine | None, width: int, height: int) -> list[str]:
    return ["".join(text for text, _ in row) for row in line_rows(line, width, height)]


def test_what_goes_on_comes_first() -> None:
    name, facts = _texts(CALL, 120, 2)
    assert name.split() == ["read", "postgres", "(42)"]
    assert facts.strip() == ("3 in flight, oldest 40 s (tid 4711)  │ 1,200 ended, mean 2.5 ms  │ 60 failed (5.0 %)")


def test_an_age_that_is_a_lower_bound_says_so() -> None:
    alone = Latency(1, 1, "", "poll", tid=7, count=1, maximum_ns=9 * SECOND, at_least=True)
    assert in_flight_words(alone) == "1 in flight, for ≥ 9.0 s (tid 7)"


def test_holder_and_wakers_of_a_lock() -> None:
    name, facts = _texts(LOCK, 120, 2)
    assert "mutex table_lock 0x55d0c0de1040" in name
    assert "held by tid 11 (400×), 12 (7×), 13 (2×) + 1 more  │ let go by tid 15 (1.5k×)" in facts


def test_a_holder_that_is_not_known_is_a_question_and_a_condition_has_none() -> None:
    assert "held by ?" in _texts(LOCK._replace(holders=()), 120, 2)[1]
    condition = LOCK._replace(holders=(), key=LOCK.key._replace(name="condition"))
    assert "held by" not in _texts(condition, 120, 2)[1]


def test_one_row_has_the_name_and_what_matters_most() -> None:
    (row,) = _texts(CALL, 44, 1)
    assert row.split()[:2] == ["read", "3"]
    assert "3 in flight, oldest 40 s" in row


@pytest.mark.parametrize("line", [CALL, LOCK, None])
@pytest.mark.parametrize("height", [1, 2, 3])
def test_rows_fill_every_size(line: LatencyLine | None, height: int) -> None:
    for width in (1, 7, 20, 40, 79, 120, 200):
        assert [cell_len(row) for row in _texts(line, width, height)] == [width] * height
