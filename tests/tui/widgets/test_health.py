from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from aperture_tui.profile.completeness import Completeness
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostSample
from aperture_tui.profile.kinds import STOPS, Stop
from aperture_tui.store.base import Span
from aperture_tui.tui.palette import Spans
from aperture_tui.tui.screens.panel import health_rows
from aperture_tui.tui.widgets.health import health_row

OWN = HostSample(0, own_cpu=0.004, own_memory_bytes=62 << 20)
FINE = Completeness(1000, 990, 20, 0, {Stop.NO_TABLES: 10})
BAD = Completeness(1000, 612, 50, 0, {Stop.NO_TABLES: 300, Stop.TOO_DEEP: 88})
NONE = Completeness(unknown=1000)
WELL = Health("cpu", State.RUNNING, "", 100, {"ring full": 0}, lag_ns=12_000_000)


def _text(spans: Spans) -> str:
    return "".join(text for text, _ in spans)


def _keys(spans: Spans, word: str) -> list[str]:
    return [key for text, key in spans if word in text]


def test_all_well() -> None:
    row = health_row([WELL, Health("recording", State.RUNNING)], OWN, Span(), FINE, 100)
    assert _text(row).strip() == "cpu lost 0 lag 12 ms │ recording ok │ own CPU 0.4 % memory 62 MB │ stacks 99.0 %"
    assert not [key for _, key in row if "error" in key]


@pytest.mark.parametrize(("partial", "key"), [(0, "muted"), (3, "warning")])
def test_only_what_is_partial_is_a_warning(partial: int, key: str) -> None:
    row = health_row([replace(WELL, degraded={"no stack": partial})], OWN, Span(), FINE, 100)
    assert _keys(row, f"partial {partial}") == [key]


def test_a_loss_is_marked_red_and_stands_first() -> None:
    bad = Health("offcpu", State.RUNNING, "", 5, {"ring full": 37}, lag_ns=1)
    row = health_row([WELL, bad], OWN, Span(), FINE, 100)
    assert _text(row).startswith(" ! offcpu lost 37")
    assert _keys(row, "lost 37") == ["*error"]


def test_a_failure_says_why() -> None:
    row = health_row([WELL, Health("gpu", State.FAILED, "no driver: modprobe nvidia")], OWN, Span(), FINE, 100)
    assert _text(row).startswith(" ! gpu failed: no driver: modprobe nvidia")


def test_unknown_is_not_zero() -> None:
    row = health_row([Health("cpu", State.RUNNING, lag_ns=5)], None, Span(), FINE, 100)
    assert "lost ?" in _text(row)
    assert "own CPU ? memory ?" in _text(row)


@pytest.mark.parametrize(
    ("stacks", "said", "key"),
    [
        (Completeness(1000, 1000), "stacks 100.0 %", "text"),
        (Completeness(10_000, 9999, stops={Stop.FAULT: 1}), "stacks 99.9 %", "text"),
        (Completeness(1000, 950, stops={Stop.FAULT: 50}), "stacks 95.0 %", "text"),
        (Completeness(1000, 949, stops={Stop.FAULT: 51}), "stacks 94.9 %", "*warning"),
        (Completeness(1000, 0, stops={Stop.FAULT: 1000}), "stacks 0.0 %", "*warning"),
        (Completeness(1000, 1000, unknown=1000), "stacks 100.0 %?", "text"),
        (NONE, "stacks ?", "text"),
    ],
)
def test_the_share_of_whole_stacks(stacks: Completeness, said: str, key: str) -> None:
    row = health_row([WELL], OWN, Span(), stacks, 100)
    assert said in [part.strip() for part in _text(row).split("│")]
    assert _keys(row, said.removeprefix("stacks ")) == [key]


def test_no_samples_have_no_share() -> None:
    assert "stacks" not in _text(health_row([WELL], OWN, Span(), Completeness(), 100))


def test_without_room_only_bad_stacks_are_said_and_never_before_a_loss() -> None:
    for stacks in (FINE, NONE):
        row = _text(health_row([WELL], OWN, Span(), stacks, 60))
        assert "memory 62 MB" in row
        assert "stacks" not in row
    lost = Health("offcpu", State.RUNNING, "", 5, {"ring full": 37}, lag_ns=1)
    assert _text(health_row([WELL, lost], OWN, Span(), BAD, 60)).startswith(" ! offcpu lost 37")
    assert "stacks 61.2 %" in _text(health_row([WELL], OWN, Span(), BAD, 40))


def test_the_panel_says_why_stacks_are_not_whole() -> None:
    text = "\n".join(_text(row).rstrip() for row in health_rows([WELL], BAD, 78))
    assert "61.2 % whole, of 1,000 samples" in text
    assert text.index(f"30.0 % end early: {STOPS[Stop.NO_TABLES]}") < text.index(
        f"8.8 % end early: {STOPS[Stop.TOO_DEEP]}"
    )
    assert "5.0 % with callers found by the frame pointer alone" in text
    assert "not known" not in text
    assert "not known whether whole: 1,000 samples" in "".join(_text(row) for row in health_rows([WELL], NONE, 78))
    assert "Stacks in view" not in "".join(_text(row) for row in health_rows([WELL], Completeness(), 78))


@pytest.mark.parametrize("width", [1, 7, 20, 38, 78])
def test_reasons_are_wrapped_and_not_cut(width: int) -> None:
    every = Completeness(80, 0, 7, 9, dict.fromkeys(list(Stop)[1:], 10))
    rows = [_text(row) for row in health_rows([], every, width)]
    assert {cell_len(row) for row in rows} == {width}
    if width >= 38:
        said = " ".join(" ".join(rows).split())
        assert all(words in said for words in STOPS.values())


def test_what_the_store_let_go_is_said() -> None:
    row = health_row([WELL], OWN, Span(dropped_events=1200, limit="64 MB"), FINE, 120)
    assert "kept 64 MB, older let go (1,200)" in _text(row)


@pytest.mark.parametrize("width", range(1, 90, 7))
def test_it_is_one_row_of_any_width(width: int) -> None:
    hostile = Health("视频\x1b[2J", State.FAILED, "x\ny" * 50)
    assert (
        cell_len(_text(health_row([WELL, hostile], OWN, Span(limit="64 MB"), BAD, width, "the store\nfailed"))) == width
    )


def test_the_panel_has_every_cause() -> None:
    rows = [
        _text(row) for row in health_rows([Health("cpu", State.RUNNING, "", 9, {"ring full": 3}, {"cut": 2})], FINE, 60)
    ]
    assert any("lost 3: ring full" in row for row in rows)
    assert any("partial 2: cut" in row for row in rows)
    assert any("CPU in user space ?" in row for row in rows)
    assert {cell_len(row) for row in rows} == {60}


def test_of_a_recording_it_is_the_word_of_the_session_that_made_it() -> None:
    stopped = replace(WELL, state=State.STOPPED)
    unknown = Health("gpu", State.RUNNING, lag_ns=5)
    writer, reader = Health("recording", State.RUNNING), Health("recording", State.STOPPED)
    row = _text(health_row([stopped, unknown, writer, reader], OWN, Span(), FINE, 120, recorded=True))
    assert row.strip() == ("cpu lost 0 │ gpu lost ? │ recording ok │ recorder CPU 0.4 % memory 62 MB │ stacks 99.0 %")


def test_what_a_recording_lacks_stands_first() -> None:
    cut = Health("recording", State.STOPPED, "the end is cut off (37 bytes)", degraded={"odd": 2})
    row = health_row([WELL, cut], OWN, Span(), FINE, 120, recorded=True)
    assert _text(row).startswith(" ! recording partial 2 the end is cut off (37 bytes) │ cpu")
    assert "warning" in _keys(row, "cut off")
