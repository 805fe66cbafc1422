"""The line of an aggregator: nothing of it may be taken for better than it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from aperture_tui.store.base import Estimate
from aperture_tui.store.remote.link import Focus, Link, LinkState
from aperture_tui.tui.playhead import Held
from aperture_tui.tui.remote import focus_words
from aperture_tui.tui.widgets.remote_line import RemoteFacts, remote_row

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND
WELL = Link(LinkState.CONNECTED, now_ns=NOW, hosts=34)
LIVE = RemoteFacts(
    WELL, "agg.example.net", "shop, 34 hosts", NOW - 12 * SECOND, 60 * SECOND, Held(NOW - 86400 * SECOND, NOW),
    estimate=Estimate(25, 400_000, 0.0083), now_ns=NOW,
)  # fmt: skip


def text(facts: RemoteFacts, width: int = 160, ascii_only: bool = False) -> str:
    return "".join(text for text, _ in remote_row(facts, width, ascii_only)[0])


@pytest.mark.parametrize("width", [*range(1, 60), 80, 120, 200])
@pytest.mark.parametrize("state", list(LinkState))
@pytest.mark.parametrize("past", [False, True])
def test_it_is_one_row_of_any_width(width: int, state: LinkState, past: bool) -> None:
    link = replace(WELL, state=state, since_s=12.0, why="视频 " * 40)
    row, bar = remote_row(replace(LIVE, link=link, past=past, looked_at="视频" * 30), width)
    assert cell_len("".join(text for text, _ in row)) == width
    assert bar.stop <= width


def test_with_room_it_says_everything() -> None:
    said = text(LIVE)
    for part in ("●", "shop, 34 hosts", "live, 12 s ago", "1/25 of events, ±0.8 points", "├", "agg.example.net"):
        assert part in said


def test_what_is_exact_is_not_said_to_be_an_estimate() -> None:
    assert "1/" not in text(replace(LIVE, estimate=Estimate()))


def test_what_is_kept_no_more_is_said() -> None:
    older = replace(LIVE, estimate=Estimate(missing_ns=3 * 86400 * SECOND))
    assert "without 3 d kept no more" in text(older)
    assert "−3 d" in text(older, 40)


def test_each_state_has_a_sign_of_its_own() -> None:
    signs = {text(replace(LIVE, link=replace(WELL, state=state, since_s=12.0))).split()[0] for state in LinkState}
    assert signs == {"○", "●", "~", "?", "!"}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (LinkState.CONNECTING, "connecting 12 s"),
        (LinkState.SLOW, "slow: 12 s an answer"),
        (LinkState.STALE, "nothing new for 12 s"),
        (LinkState.LOST, "lost for 12 s: refused"),
    ],
)
def test_what_is_wrong_is_said_with_how_long(state: LinkState, words: str) -> None:
    assert words in text(replace(LIVE, link=replace(WELL, state=state, since_s=12.0, why="refused")))


def test_a_picture_of_a_lost_aggregator_is_not_called_live() -> None:
    lost = replace(LIVE, link=replace(WELL, state=LinkState.LOST, since_s=40.0, now_ns=NOW + 40 * SECOND))
    assert "live" not in text(lost)
    assert "as it was 52 s ago" in text(lost)
    narrow = text(lost, 44)
    assert narrow.startswith(" ! ")
    assert "52 s ago" in narrow


def test_the_past_has_its_date() -> None:
    past = replace(LIVE, past=True, at_ns=NOW - 3 * 86400 * SECOND)
    assert "past: 2023-11-11 22:13:20 UTC" in text(past)
    assert "live" not in text(past)


def test_without_a_clock_to_compare_with_no_age_is_told() -> None:
    assert "live " in text(replace(LIVE, link=replace(WELL, now_ns=0)))
    assert "ago" not in text(replace(LIVE, link=replace(WELL, now_ns=0)))
    assert "ago" not in text(replace(LIVE, at_ns=NOW + 9 * SECOND)), "of a host whose clock is ahead"


def test_what_gives_way_last_is_the_state_and_whose_machines_they_are() -> None:
    narrow = text(LIVE, 24)
    assert "shop, 34 hosts" in narrow
    assert "agg" not in narrow
    assert "≈1/25" in text(LIVE, 36)
    brief = replace(LIVE, looked_at="1,012 hosts in 34 services, 3 stale", briefly="1,012 hosts", at_ns=0)
    assert "1,012 hosts" in text(brief, 20)


def test_the_bar_is_ascii_where_that_is_all() -> None:
    row, bar = remote_row(LIVE, 160, ascii_only=True)
    assert "".join(text for text, _ in row)[bar.start : bar.stop].isascii()


@pytest.mark.parametrize(
    ("focus", "hosts", "words"),
    [
        (Focus(("web-7",)), 1, "web-7"),
        (Focus(("web-7",)), 0, "web-7"),
        (Focus(("a", "b")), 0, "2 hosts"),
        (Focus(service="shop"), 34, "shop, 34 hosts"),
        (Focus(service="shop"), 1, "shop, 1 host"),
        (Focus(service="shop"), 0, "shop"),
        (Focus(service=""), 3, "(no service), 3 hosts"),
        (Focus(), 1012, "all 1,012 hosts"),
        (Focus(), 0, "all hosts"),
    ],
)
def test_what_is_looked_at_in_words(focus: Focus, hosts: int, words: str) -> None:
    assert focus_words(focus, hosts) == words
