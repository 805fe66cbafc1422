"""The filter line on the screens: typed, completed, applied everywhere, said, and taken off again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.where import EVERYTHING, Key, parse
from aperture_tui.store.passed import Passed
from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.where_words import chip, completed, completions, known_of, said
from aperture_tui.tui.widgets.search import SearchLine
from aperture_tui.tui.widgets.where_line import WhereInput, WhereLine
from tests.tui.gpu.synthetic import synthetic
from tests.tui.screen import assert_golden, running, settled, text_of
from tests.tui.waiting import OFFCPU, SYSCALLS, filled, sampled

SIZES = pytest.mark.parametrize(
    "size", [(200, 50), (120, 40), (80, 24), (40, 10)], ids=lambda size: f"{size[0]}x{size[1]}"
)
LINE = "comm:postgres,gunicorn -fn:PQgetResult >5ms"


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No history but that of the test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "aperture" / "filter-lines"


def _app(pilot: Pilot[Any]) -> ApertureApp:
    assert isinstance(pilot.app, ApertureApp)
    return pilot.app


def _screen(pilot: Pilot[Any]) -> str:
    return "\n".join(text_of(_app(pilot)))


def _input(pilot: Pilot[Any]) -> WhereInput:
    return _app(pilot).screen.query_one(WhereInput)


async def _press(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
    await settled(pilot)


async def _type(pilot: Pilot[Any], text: str) -> None:
    for letter in text:
        await pilot.press({"-": "minus", ":": "colon", " ": "space", ">": "greater_than_sign"}.get(letter, letter))
    await settled(pilot)


def _passed(pilot: Pilot[Any]) -> Passed:
    snapshot = _app(pilot).snapshot
    assert snapshot is not None
    assert snapshot.passed is not None
    return snapshot.passed


@SIZES
@pytest.mark.parametrize(
    ("name", "keys"),
    [("overview", []), ("cpu", ["2"]), ("syscalls", ["3"]), ("locks", ["4"]), ("offcpu", ["5"])],
)
async def test_pictures(name: str, keys: list[str], size: tuple[int, int]) -> None:
    async with running(size, filled((*OFFCPU, *SYSCALLS, *sampled())), where=parse(LINE)) as pilot:
        await _press(pilot, *keys)
        assert_golden(f"where-{name}-{size[0]}x{size[1]}", text_of(_app(pilot)))


@SIZES
@pytest.mark.parametrize(
    ("name", "text"), [("completed", "comm:p"), ("wrong", "comm:postgres fn:/a(/"), ("nothing", "comm:absent")]
)
async def test_pictures_of_the_line(name: str, text: str, size: tuple[int, int]) -> None:
    async with running(size, filled()) as pilot:
        await _press(pilot, "backslash")
        _input(pilot).value = text
        _input(pilot).cursor_position = len(text)
        await settled(pilot)
        if name == "nothing":
            await _press(pilot, "enter")
        assert_golden(f"where-{name}-{size[0]}x{size[1]}", text_of(_app(pilot)))


@SIZES
async def test_pictures_of_gpus(size: tuple[int, int]) -> None:
    async with running(size, synthetic(), where=parse("name:*gemm* >20us")) as pilot:
        await _press(pilot, "7", "p")
        assert_golden(f"where-gpu-synthetic-{size[0]}x{size[1]}", text_of(_app(pilot)))


async def test_what_a_filter_leaves_out_is_not_taken_for_idleness() -> None:
    async with running((120, 40), synthetic(), where=parse("name:*gemm*")) as pilot:
        await _press(pilot, "7", "p", "p", "p")
        assert "when a GPU did nothing is not known" in _screen(pilot)
        snapshot = _app(pilot).snapshot
        assert snapshot is not None
        assert snapshot.gpu is not None
        assert not snapshot.gpu.gaps
        assert not snapshot.gpu.idle
        await _press(pilot, "escape")
        assert "is not known" not in _screen(pilot)


async def test_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with running((80, 24), filled(), where=parse(LINE)) as pilot:
        assert_golden("mono-where-80x24", text_of(_app(pilot)))


async def test_a_line_is_typed_applied_on_every_screen_and_taken_off_by_escape() -> None:
    async with running((120, 40), filled()) as pilot:
        app = _app(pilot)
        everybody = app.snapshot.processes if app.snapshot else ()
        await _press(pilot, "backslash")
        await _type(pilot, "comm:postgres")
        assert app.looking.where == EVERYTHING, "nothing is applied while it is typed"
        await _press(pilot, "enter")
        assert not app.screen.query(WhereLine)
        assert app.looking.where == parse("comm:postgres")
        assert app.snapshot is not None
        assert [line.key.name for line in app.snapshot.processes] == ["postgres"]
        told = _passed(pilot)
        assert 0 < told.shown < told.whole
        assert f"comm:postgres shows {told.percent} of {told.whole:,}" in text_of(app)[0]
        for key in "345":
            await _press(pilot, key)
            assert "comm:postgres shows" in text_of(app)[0]
            assert {line.told.process for line in app.snapshot.latencies.lines} <= {"postgres"}
        await _press(pilot, "1", "escape")
        assert app.looking.where == EVERYTHING
        assert app.snapshot.processes == everybody
        assert "shows" not in text_of(app)[0]


async def test_escape_goes_out_of_the_zoom_and_the_process_before_the_filter() -> None:
    async with running((120, 40), filled(), where=parse("comm:postgres")) as pilot:
        app = _app(pilot)
        await _press(pilot, "down", "enter")
        assert app.looking.zoom
        await _press(pilot, "escape")
        assert not app.looking.zoom
        assert app.looking.where
        await _press(pilot, "escape")
        assert not app.looking.where


async def test_what_is_wrong_is_said_while_it_is_typed_and_the_picture_stays() -> None:
    async with running((120, 40), filled()) as pilot:
        app = _app(pilot)
        before = text_of(app)[:30]
        await _press(pilot, "f4")
        await _type(pilot, "com:x")
        assert "! at 1: com: is not known; did you mean comm:?" in _screen(pilot)
        assert text_of(app)[:30] == before
        await _press(pilot, "enter")
        assert app.screen.query(WhereLine), "a wrong line is not applied"
        await _press(pilot, "escape")
        assert not app.screen.query(WhereLine)
        assert app.looking.where == EVERYTHING


async def test_tab_completes_keys_and_names_in_turn_and_right_does_at_the_end() -> None:
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, "backslash")
        await _type(pilot, "-co")
        await _press(pilot, "tab")
        assert _input(pilot).value == "-comm:"
        await _press(pilot, "tab")
        assert _input(pilot).value == "-container:"
        await _press(pilot, "shift+tab")
        assert _input(pilot).value == "-comm:"
        await _type(pilot, "post")
        await _press(pilot, "right")
        assert _input(pilot).value == "-comm:postgres"
        await _type(pilot, " ")
        await _press(pilot, "home", "right")
        assert _input(pilot).cursor_position == 1, "elsewhere it moves"


async def test_lines_that_were_used_come_back_also_in_the_next_session(state: Path) -> None:
    for text in ("comm:postgres", "-lib:libc"):
        async with running((120, 40), filled()) as pilot:
            await _press(pilot, "backslash")
            await _type(pilot, text)
            await _press(pilot, "enter")
    assert state.read_text() == "comm:postgres\n-lib:libc\n"
    assert state.stat().st_mode & 0o777 == 0o600
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, "backslash")
        await _type(pilot, "fn")
        told = []
        for key in ("up", "up", "up", "down", "down"):
            await _press(pilot, key)
            told.append(_input(pilot).value)
        assert told == ["-lib:libc", "comm:postgres", "comm:postgres", "-lib:libc", "fn"]


async def test_a_backslash_in_the_search_is_one_of_the_pattern() -> None:
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, "slash", "a", "backslash", "full_stop")
        assert _app(pilot).screen.query(SearchLine)
        assert not _app(pilot).screen.query(WhereLine)
        search = _app(pilot).looking.search
        assert search is not None
        assert search.text == r"a\."


async def test_the_other_side_of_waits_is_not_narrowed_by_what_holds_for_who_waits() -> None:
    async with running((120, 40), filled(in_flight=True)) as pilot:
        await _press(pilot, "4")
        snapshot = _app(pilot).snapshot
        assert snapshot is not None
        whole = {line.key: line for line in snapshot.latencies.lines}
        await _press(pilot, "backslash")
        await _type(pilot, "fn:LWLockAcquire")
        await _press(pilot, "enter")
        snapshot = _app(pilot).snapshot
        assert snapshot is not None
        lines = [line for line in snapshot.latencies.lines if line.told.count]
        assert lines
        for line in lines:
            assert (line.holders, line.wakers) == (whole[line.key].holders, whole[line.key].wakers)


async def test_what_is_on_the_screen_is_offered() -> None:
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, "5", "t")
        known = known_of(_app(pilot).snapshot)
        assert "postgres" in known[Key.COMM]
        assert "all" not in known[Key.COMM]
        assert set(known[Key.FN]).isdisjoint(known[Key.COMM])
        assert "libc.so.6" in known[Key.LIB]
        assert known[Key.TID]
        assert all(tid.isdecimal() for tid in known[Key.TID])
        await _press(pilot, "3")
        assert "epoll_wait" in known_of(_app(pilot).snapshot)[Key.NAME]


def test_what_the_header_says() -> None:
    where = parse("comm:nginx >5ms")
    assert chip(EVERYTHING, Kind.CPU, None, 120).full == ""
    assert chip(where, Kind.LOCK, Passed(5_785, 48_211), 120).full == "\\ comm:nginx >5ms shows 12 % of 48,211"
    assert chip(where, Kind.CPU, Passed(1, 10), 120).full.endswith("; >5ms: samples have none")
    assert chip(where, Kind.LOCK, None, 120).full == "\\ comm:nginx >5ms shows …"
    assert chip(where, Kind.LOCK, Passed(1, 3), 40).short == "\\ 33 %"
    assert chip(where, Kind.LOCK, Passed(0, 0), 40) == ("\\ comm:nginx >…", "\\ filter", "*background@accent")


@pytest.mark.parametrize(
    ("shown", "whole", "percent"),
    [(0, 9, "0 %"), (9, 9, "100 %"), (1, 10_000, "<0.1 %"), (12, 1000, "1.2 %"), (999, 1000, ">99 %"), (0, 0, "0 %")],
)
def test_shares(shown: int, whole: int, percent: str) -> None:
    assert Passed(shown, whole).percent == percent
    assert Passed(shown, whole, about=True).percent == f"~{percent}"


KNOWN = {
    Key.COMM: ["nginx", "Node", "my app"],
    Key.FN: ["std::sort", "parse", "Parse2"],
    Key.CGROUP: ["/a/b"],
    Key.WORD: ["nginx"],
}


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("", []),
        ("comm:x ", []),
        ("co", ["comm:", "container:"]),
        ("-com", ["-comm:"]),
        ("n", ["name:", "nginx"]),
        ("comm:n", ["comm:nginx", "comm:Node"]),
        ("comm:x,N", ["comm:x,nginx", "comm:x,Node"]),
        ("comm:app", ['comm:"my app"']),
        ('comm:"my a', ['comm:"my app"']),
        ("fn:par", ["fn:parse", "fn:Parse2"]),
        ("fn:parse", ["fn:Parse2"]),
        ("fn:/par", []),
        ("cgroup:/", ["cgroup:/a/b"]),
        (">5", []),
        ("zzz:x", []),
    ],
)
def test_completions(text: str, offered: list[str]) -> None:
    assert completions(text, KNOWN) == offered
    assert completed(f"-lib:libc {text}", KNOWN) == f"-lib:libc {offered[0] if offered else text}"
    for one in offered:
        if not one.endswith(":"):
            assert parse(one)


def test_what_is_said_while_it_is_typed() -> None:
    assert said("", [], None, is_on=False)[0].startswith("comm:nginx")
    assert said("comm:", ["comm:nginx"], None, is_on=False) == ("comm:nginx", "muted")
    assert said("comm:nginx", [], None, is_on=False)[0] == "enter applies  esc gives up"
    assert said("comm:nginx", [], Passed(1, 2), is_on=True)[0] == "shows 50 % of 2"
    assert said("pid:x", [], None, is_on=False) == ("! at 5: pid: takes numbers", "*error")
    assert known_of(None) == {}
