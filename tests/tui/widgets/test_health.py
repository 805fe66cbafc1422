from __future__ import annotations

import pytest
from rich.cells import cell_len

from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostSample
from aperture_tui.store.base import Span
from aperture_tui.tui.palette import Spans
from aperture_tui.tui.screens.panel import health_rows
from aperture_tui.tui.widgets.health import health_row

OWN = HostSample(0, own_cpu=0.004, own_memory_bytes=62 << 20)
WELL = Health("cpu", State.RUNNING, "", 100, {"ring full": 0}, lag_ns=12_000_000)


def _text(spans: Spans) -> str:
    return "".join(text for text, _ in spans)


def _keys(spans: Spans, word: str) -> list[str]:
    return [key for text, key in spans if word in text]


def test_all_well() -> None:
    row = health_row([WELL, Health("recording", State.RUNNING)], OWN, Span(), 100)
    assert _text(row).strip() == "cpu lost 0 lag 12 ms │ recording ok │ own CPU 0.4 % memory 62 MB"
    assert not [key for _, key in row if "error" in key]


def test_a_loss_is_marked_red_and_stands_first() -> None:
    bad = Health("offcpu", State.RUNNING, "", 5, {"ring full": 37}, lag_ns=1)
    row = health_row([WELL, bad], OWN, Span(), 100)
    assert _text(row).startswith(" ! offcpu lost 37")
    assert _keys(row, "lost 37") == ["*error"]


def test_a_failure_says_why() -> None:
    row = health_row([WELL, Health("gpu", State.FAILED, "no driver: modprobe nvidia")], OWN, Span(), 100)
    assert _text(row).startswith(" ! gpu failed: no driver: modprobe nvidia")


def test_unknown_is_not_zero() -> None:
    row = health_row([Health("cpu", State.RUNNING, lag_ns=5)], None, Span(), 100)
    assert "lost ?" in _text(row)
    assert "own CPU ? memory ?" in _text(row)


def test_what_the_store_let_go_is_said() -> None:
    row = health_row([WELL], OWN, Span(dropped_events=1200, limit="64 MB"), 120)
    assert "kept 64 MB, older let go (1,200)" in _text(row)


@pytest.mark.parametrize("width", range(1, 90, 7))
def test_it_is_one_row_of_any_width(width: int) -> None:
    hostile = Health("视频\x1b[2J", State.FAILED, "x\ny" * 50)
    assert cell_len(_text(health_row([WELL, hostile], OWN, Span(limit="64 MB"), width, "the store\nfailed"))) == width


def test_the_panel_has_every_cause() -> None:
    rows = [_text(row) for row in health_rows([Health("cpu", State.RUNNING, "", 9, {"ring full": 3}, {"cut": 2})], 60)]
    assert any("lost 3: ring full" in row for row in rows)
    assert any("partial 2: cut" in row for row in rows)
    assert any("CPU in user space ?" in row for row in rows)
    assert {cell_len(row) for row in rows} == {60}
