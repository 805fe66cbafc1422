"""The line of keys: what each does, in words that stand alone, and where a click finds it."""

from __future__ import annotations

import re

import pytest

from aperture_tui.tui.widgets.keys import Key, keys_row
from tests.tui.scenes import SCENES, press, shown
from tests.tui.screen import running, text_of


def _key(key: str, does: str) -> Key:
    return Key((key,), does, does, True, "everywhere", None)  # type: ignore[arg-type]


KEYS = (_key("?", "help"), _key("[", "shorter window"), _key("]", "longer window"), _key("s", "sort"))


@pytest.mark.parametrize(
    ("width", "row"),
    [
        (60, " ? help  [ shorter window  ] longer window  s sort"),
        (51, " ? help  [ shorter window  ] longer window  s sort"),
        (50, " ? help  [ ] window length  s sort"),
        (35, " ? help  [ ] window length  s sort"),
        (34, " ? help  [ ] window length"),
        (26, " ? help"),  # one of the two alone would say nothing
        (10, " ? help"),
    ],
)
def test_the_keys_of_the_window_name_it_in_as_many_words_as_there_is_room_for(width: int, row: str) -> None:
    spans, places = keys_row(KEYS, width)
    assert "".join(text for text, _ in spans).rstrip() == row
    told = "".join(text for text, _ in spans)
    for begin, end, key in places:
        assert told[begin:end].split()[0] == key.keys[0]
        assert end <= width


def test_each_of_two_keys_under_one_word_has_its_place() -> None:
    _, places = keys_row(KEYS, 40)
    assert [(begin, end, key.does) for begin, end, key in places] == [
        (0, 8, "help"),
        (8, 10, "shorter window"),
        (10, 27, "longer window"),
        (27, 35, "sort"),
    ]


def test_one_of_two_alone_keeps_its_own_words() -> None:
    spans, _ = keys_row([KEYS[0], KEYS[2], KEYS[3]], 30)
    assert "".join(text for text, _ in spans).rstrip() == " ? help  ] longer window"


async def test_a_click_at_either_bracket_changes_the_window() -> None:
    async with running((80, 24)) as pilot:
        row = text_of(pilot.app)[-1]  # type: ignore[arg-type]
        looking = lambda: pilot.app.looking.window_s  # type: ignore[attr-defined]  # noqa: E731
        await pilot.click("#keys", offset=(row.index("["), 0))
        assert looking() == 10.0
        await pilot.click("#keys", offset=(row.index("]"), 0))
        await pilot.click("#keys", offset=(row.index("window length") + 3, 0))
        assert looking() == 60.0


async def test_keys_that_go_through_several_things_say_which_is_next() -> None:
    async with shown(SCENES["locks"], (200, 50)) as pilot:
        seen = []
        for _ in range(4):
            seen.append(re.findall("t (by [a-z]+)", text_of(pilot.app)[-1]))  # type: ignore[arg-type]
            await press(pilot, "t")
        assert seen == [["by thread"], ["by cgroup"], ["by container"], ["by module"]]
        assert "t by process" in text_of(pilot.app)[-1]  # type: ignore[arg-type]


async def test_the_key_of_wakers_has_room_on_a_small_terminal_and_says_whose_stacks_come() -> None:
    async with shown(SCENES["locks"], (80, 24)) as pilot:
        assert "w wakers" in text_of(pilot.app)[-1]  # type: ignore[arg-type]
        await press(pilot, "w")
        assert "w waiters" in text_of(pilot.app)[-1]  # type: ignore[arg-type]


async def test_a_recording_that_plays_can_be_paused() -> None:
    async with running((80, 24), recording="busy.aperture", clock=lambda: 100.0) as pilot:
        assert "space play  , back 1 s" in text_of(pilot.app)[-1]  # type: ignore[arg-type]
        await pilot.press("b", "space")
        assert "space pause  , back 1 s" in text_of(pilot.app)[-1]  # type: ignore[arg-type]
