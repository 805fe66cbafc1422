from __future__ import annotations

import pytest

from aperture_tui.tui.playhead import Held
from aperture_tui.tui.widgets.time_prompt import answer, meant

SECOND = 10**9
END = 1_700_000_000 * SECOND  # 2023-11-14T22:13:20Z
HELD = Held(END - 1200 * SECOND, END)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "-20m before the end, 14:03"),
        ("now", "22:13:20 UTC, 0:00 before the end"),
        (" -90s ", "22:11:50 UTC, 1:30 before the end"),
        ("22:00", "22:00:00 UTC, 13:20 before the end"),
        ("2023-11-14T22:00:05Z", "22:00:05 UTC, 13:15 before the end"),
        ("-1h", "21:13:20 UTC is before the beginning, 21:53:20 UTC"),
        ("22:30", "22:30:00 UTC is after the end, 22:13:20 UTC"),
        ("soon", "! 'soon' is not a time: give now, -15m"),
        ("9" * 30, "! '9"),
    ],
)
def test_what_is_typed_is_said_in_full(text: str, said: str) -> None:
    assert answer(text, HELD, END)[0].startswith(said)


def test_nothing_typed_means_nothing() -> None:
    assert meant("  ", HELD) is None
    assert meant("-1m", HELD) == END - 60 * SECOND


def test_what_cannot_be_gone_to_has_a_style_of_its_own() -> None:
    styles = [answer(text, HELD, END)[1] for text in ("", "now", "-1h", "x")]
    assert styles == ["muted", "text", "warning", "*error"]


@pytest.mark.parametrize("text", ["", "-1m", "14:03", "now"])
def test_where_nothing_is_held_there_is_nowhere_to_go(text: str) -> None:
    assert answer(text, Held(), END)[0] == "there is no time to go to: nothing is held"


def test_a_recording_from_beyond_the_calendar_is_no_crash() -> None:
    odd = Held(0, (1 << 64) - 1)
    assert answer("14:03", odd, END)[0]
    assert answer("-1m", odd, END)[0]
