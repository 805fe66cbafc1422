from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import report
from bench.figures import Figure, Verdict, quantile, throughput_loss
from bench.procfs import tree
from bench.terminal import Output, VisibleText, visible

_FRAME = b"\x1b[?2026h\x1b[2;1H\x1b[1;38;2;1;2;3mmain\x1b[0m\r\n\x1b[3;1Hread\x1b[?2026l"


def test_a_verdict_that_one_round_contradicts_is_none() -> None:
    def verdict(*values: float) -> Verdict:
        return Figure("cost", "aperture", "%", values, budget=0.5).verdict

    assert verdict(0.3, 0.4, 0.5) is Verdict.MET
    assert verdict(0.6, 0.7, 0.51) is Verdict.MISSED
    assert verdict(0.4, 0.4, 0.6) is Verdict.UNDECIDED
    assert verdict() is Verdict.NOT_MEASURED
    assert Figure("cost", "perf", "%", (0.1,)).verdict is Verdict.NONE


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.floats(0, 1))
def test_a_quantile_is_a_value_that_so_many_do_not_exceed(values: list[float], q: float) -> None:
    found = quantile(values, q)
    assert found in values
    assert sum(value <= found for value in values) >= q * len(values)


def test_quantiles_at_the_ends() -> None:
    assert quantile([3, 1, 2], 0) == 1
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile(list(range(1, 101)), 0.99) == 99
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_loss_is_of_work_a_cpu_second() -> None:
    assert throughput_loss(99, 1, 100, 1) == pytest.approx(1)
    assert throughput_loss(100, 1, 200, 2) == pytest.approx(0)  # half the time, the same rate
    assert throughput_loss(101, 1, 100, 1) == pytest.approx(-1)


def test_visible_text_is_without_colours_and_keeps_rows_apart() -> None:
    assert visible(_FRAME).split() == ["main", "read"]
    assert visible(b"\x1b]0;title\x07\x1b[?1049h\x1b(B\x1b>").strip() == ""
    assert visible("\x1b[1m▏ma\x1b[7min".encode()) == "▏main"


@given(st.lists(st.integers(1, len(_FRAME) - 1), max_size=8))
def test_sequences_may_be_cut_anywhere(places: list[int]) -> None:
    ends = sorted({0, *places, len(_FRAME)})
    text = VisibleText()
    assert "".join(text.feed(_FRAME[a:b]) for a, b in pairwise(ends)) == visible(_FRAME)


def test_a_frame_has_the_times_of_its_first_and_last_byte() -> None:
    output = Output()
    output.add(10, b"before" + _FRAME[:5])
    output.add(20, _FRAME[5:30])
    output.add(30, _FRAME[30:] + b"after" + _FRAME[:9])
    (frame,) = output.frames()
    assert (frame.began_ns, frame.ended_ns, frame.data) == (10, 30, _FRAME)
    assert output.frames(at=7) == []
    assert output.since(6 + len(_FRAME)) == b"after" + _FRAME[:9]


def test_the_table_says_what_is_missed_what_is_missing_and_how_peers_compare() -> None:
    figures = [
        Figure("CPU", "aperture record -F 99", "%", (0.6, 0.8, 0.7), budget=0.5),
        Figure("CPU", "perf record -F 99 -a -g", "%", (0.35,)),
        Figure("CPU", "perf record -F 999 -a -g", "%", (3.5,)),
        Figure("CPU", "profile-bpfcc -F 99 -f", "%", why="no headers | none"),
    ]
    text = report.markdown(figures, {"kernel": "6.1"})
    rows = {line.split(" | ")[1]: line for line in text.splitlines() if line.startswith("|")}
    assert "- **missed**: CPU, aperture record -F 99: 0.70 %, budget 0.50 %" in text
    assert "| 2.00 × perf record -F 99 -a -g | ≤ 0.50 | missed |" in rows["aperture record -F 99"]
    assert "not measured | no headers \\| none" in rows["profile-bpfcc -F 99 -f"]
    assert json.loads(json.dumps(report.document(figures, {})))["figures"][0]["verdict"] == "missed"


def test_two_losses_around_zero_are_not_divided() -> None:
    figures = [
        Figure("lost", "aperture record", "%", (0.2,), comparable=False),
        Figure("lost", "perf record", "%", (0.1,), comparable=False),
    ]
    assert "×" not in report.markdown(figures, {})


@pytest.mark.parametrize(
    ("value", "words"),
    [(12345.6, "12,346"), (12.34, "12.3"), (0.5, "0.50"), (0.0123, "0.012"), (0, "0.00"), (-3, "-3.00")],
)
def test_numbers_have_three_figures(value: float, words: str) -> None:
    assert report.number(value) == words


def test_a_process_that_is_gone_has_no_descendants() -> None:
    assert tree(2**22 + 1) == [2**22 + 1]
