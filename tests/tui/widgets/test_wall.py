from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App, ComposeResult

from aperture_tui.tui.look import look
from aperture_tui.tui.model import WallPart
from aperture_tui.tui.palette import Palette, Spans
from aperture_tui.tui.terminal import Colours
from aperture_tui.tui.widgets.wall import WallBar, stretch_at, stretches, wall_rows

S = 10**9
PARTS = (
    WallPart("on-CPU", 12 * S, 9),
    WallPart("runnable", 3 * S, 9),
    WallPart("futex", 20 * S, 3),
    WallPart("epoll_wait", 35 * S, 3),
    WallPart("read", 8 * S, 3),
    WallPart("page fault", S // 2, 3),
    WallPart("ext4 (disk)", 9 * S, 3),
    WallPart("nanosleep", S // 2, 3),
)
SIZES = [(w, h) for w in (1, 7, 20, 40, 60, 80, 120, 300) for h in (1, 2, 3, 6)]


def _texts(rows: list[Spans]) -> list[str]:
    return ["".join(text for text, _ in row) for row in rows]


def _shown(
    parts: tuple[WallPart, ...] | None, threads_ns: int | None, width: int, height: int, shapes: bool = False
) -> str:
    return "\n".join(text.rstrip() for text in _texts(wall_rows(parts, threads_ns, width, height, shapes)))


NAMES = st.one_of(st.sampled_from(["on-CPU", "runnable", "futex"]), st.text(max_size=12))


@given(
    st.one_of(st.none(), st.dictionaries(NAMES, st.integers(0, 2**63), max_size=40)),
    st.one_of(st.none(), st.integers(0, 2**63)),
    st.sampled_from(SIZES),
    st.booleans(),
)
def test_any_parts_fit_any_room(
    times: dict[str, int] | None, threads_ns: int | None, size: tuple[int, int], shapes: bool
) -> None:
    width, height = size
    parts = None if times is None else tuple(WallPart(name, ns, 1) for name, ns in times.items())
    rows = _texts(wall_rows(parts, threads_ns, width, height, shapes))
    assert 1 <= len(rows) <= height
    assert {cell_len(row) for row in rows} == {width}
    assert all(row.isprintable() for row in rows)


def test_the_bar_and_its_legend() -> None:
    assert _shown(PARTS, 100 * S, 120, 3, shapes=True).split("\n") == [
        "██████████████▒▒▒▒" + "e" * 42 + "f" * 24 + "x" * 11 + "r" * 9 + "+" * 2 + "·" * 14,
        " █ on-CPU 12 % 12 s  ▒ runnable 3.0 % 3.0 s  e epoll_wait 35 % 35 s  f futex 20 % 20 s"
        "  x ext4 (disk) 9.0 % 9.0 s",
        " r read 8.0 % 8.0 s  + other (2) 1.0 % 1.0 s  · not known 12 % 12 s",
    ]


def test_each_part_has_its_share_of_the_bar_and_a_colour_of_its_own() -> None:
    bar = wall_rows(PARTS, 100 * S, 100, 4)[0]
    assert [len(text) for text, _ in bar] == [12, 3, 35, 20, 9, 8, 1, 12]
    assert len({key for _, key in bar}) == len(bar)
    assert bar[0][1] == "user"
    for row in wall_rows(PARTS, 100 * S, 100, 4)[1:]:
        marks = [key for text, key in row if text in (" █", " ░")]
        assert set(marks) <= {key for _, key in bar}, "the legend has the bar's colours"


@pytest.mark.parametrize("name", ["aperture-dark", "aperture-light", "colour-blind-safe", "high-contrast"])
@pytest.mark.parametrize("colours", [Colours.RGB, Colours.NAMED])
def test_the_parts_differ_on_every_terminal(name: str, colours: Colours) -> None:
    palette = Palette(look(name), colours)
    styles = [palette.style(key) for _, key in wall_rows(PARTS, 100 * S, 100, 4)[0]]
    assert len(set(styles)) == len(styles)


def test_without_colours_each_part_has_a_sign_of_its_own() -> None:
    parts = tuple(WallPart(name, S, 1) for name in ("on-CPU", "runnable", "read", "readv", "recv", "rrr"))
    bar = _texts(wall_rows(parts, 7 * S, 70, 4, shapes=True))[0]
    assert sorted(Counter(bar).values()) == [10] * 7


def test_time_on_the_cpu_that_is_not_known_is_no_part_of_the_bar() -> None:
    text = _shown(PARTS[1:], None, 120, 3, shapes=True)
    assert "█ on-CPU ?" in text
    assert "█" not in text.split("\n")[0]
    assert text.endswith("of what was measured"), "the shares are not of the threads' time"


@pytest.mark.parametrize("parts", [None, (), PARTS[:1]])
def test_without_any_wait_nothing_is_known_of_them(parts: tuple[WallPart, ...] | None) -> None:
    text = _shown(parts, None, 120, 3)
    assert "runnable ?" in text
    assert "blocked ?" in text
    assert ("on-CPU ?" in text) == (not parts)


def test_nothing_known_draws_no_bar() -> None:
    assert set(_shown(None, None, 40, 3).split("\n")[0]) == {"·"}


def test_waits_that_began_before_the_view_do_not_overflow_the_bar() -> None:
    bar = wall_rows(PARTS, 10 * S, 88, 4)[0]
    assert sum(len(text) for text, _ in bar) == 88
    assert "track" not in {key for _, key in bar}


def test_a_cause_keeps_its_look_when_it_changes_places() -> None:
    before = {one.name: one for one in stretches(PARTS, 100 * S)}
    swapped = [part._replace(time_ns=40 * S) if part.name == "futex" else part for part in PARTS]
    after = {one.name: one for one in stretches(swapped, 110 * S)}
    assert [one.name for one in stretches(swapped, 110 * S)][2] == "futex", "the largest first"
    assert all(after[name][2:] == before[name][2:] for name in before)


def test_causes_below_a_hundredth_are_together() -> None:
    names = [one.name for one in stretches(PARTS, 100 * S)]
    assert names == ["on-CPU", "runnable", "epoll_wait", "futex", "ext4 (disk)", "read", "other (2)", "not known"]
    assert stretches(PARTS[:3], 100 * S)[2].name == "futex"


@pytest.mark.parametrize(("width", "height"), [(40, 3), (60, 3), (80, 1), (20, 3)])
def test_the_largest_cause_has_a_name_on_a_narrow_screen(width: int, height: int) -> None:
    assert "epoll_wait 35 %" in _shown(PARTS, 100 * S, width, height)


@pytest.mark.parametrize("size", SIZES)
def test_what_stands_at_a_cell_is_what_is_drawn_there(size: tuple[int, int]) -> None:
    """In the bar by its colour, in the legend by its name."""
    rows = wall_rows(PARTS, 100 * S, *size)
    bar = size[0] if size[1] > 1 else size[0] // 3
    colours = [key for text, key in rows[0] for _ in text][:bar]
    found = [stretch_at(PARTS, 100 * S, size, (x, 0)) for x in range(bar)]
    assert [one.colour if one is not None else "track" for one in found] == colours
    for y, row in enumerate(_texts(rows)):
        for name in ("runnable", "epoll_wait", "ext4 (disk)"):
            if name in row:
                one = stretch_at(PARTS, 100 * S, size, (row.index(name), y))
                assert one is not None
                assert one.name == name
    assert stretch_at(PARTS, 100 * S, size, (0, len(rows))) is None


def test_names_cannot_act_on_the_terminal() -> None:
    assert r"\x1b[2J" in _shown((WallPart("\x1b[2J", S, 1),), S, 80, 3)


async def test_the_widget_follows_its_size() -> None:
    class Host(App[None]):
        palette = Palette(look(None), Colours.RGB)

        def compose(self) -> ComposeResult:
            yield WallBar()

    host = Host()
    async with host.run_test(size=(80, 10)) as pilot:
        bar = host.query_one(WallBar)
        bar.show(PARTS, 100 * S)
        await pilot.pause()
        assert [cell_len(row) for row in _texts(list(bar.shown_rows))] == [80] * 3
        await pilot.resize_terminal(40, 10)
        for _ in range(200):
            if bar.size.width == 40 and cell_len(_texts(list(bar.shown_rows))[0]) == 40:  # it has heard of it
                break
            await pilot.pause(0.01)
        assert [cell_len(row) for row in _texts(list(bar.shown_rows))] == [40] * 3
        bar.show(None, None)
        assert "on-CPU ?" in _texts(list(bar.shown_rows))[1]
