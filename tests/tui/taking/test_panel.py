"""The panel: what it lists, how it looks, what its keys do, and what it writes."""

from __future__ import annotations

import gc
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from aperture_tui.export import svg
from aperture_tui.profile.query import Query
from aperture_tui.store.base import Store
from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.taking.job import State
from aperture_tui.tui.taking.panel import ExportPanel
from tests.tui.scenes import SCENES, shown
from tests.tui.screen import assert_golden, running, settled, text_of, until
from tests.tui.synthetic import SyntheticStore
from tests.tui.waiting import filled

SIZES = [(40, 10), (80, 24), (120, 40), (200, 50)]
FORMATS = ("svg", "speedscope", "pprof", "folded", "json", "text", "perfetto", "picture", "screen")
WORKING = {None, State.WORKING}


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where files go; inferno is not installed unless a test says so."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(svg, "find", _none)
    monkeypatch.delenv("SUDO_UID", raising=False)
    return tmp_path


def _none(name: str) -> str:
    raise svg.MissingInfernoError(name)


def app_of(pilot: Pilot[Any]) -> ApertureApp:
    assert isinstance(pilot.app, ApertureApp)
    return pilot.app


def screen(pilot: Pilot[Any]) -> str:
    return "\n".join(text_of(app_of(pilot)))


def panel(pilot: Pilot[Any]) -> ExportPanel:
    found = app_of(pilot).exports.panel
    assert found is not None
    return found


async def press(pilot: Pilot[Any], *keys: str) -> None:
    await pilot.press(*keys)
    await settled(pilot)


async def choose(pilot: Pilot[Any], form: str) -> None:
    """Put the cursor on a format."""
    await press(pilot, "home", *["down"] * FORMATS.index(form))


async def write(pilot: Pilot[Any], *keys: str) -> State | None:
    """Press, and wait for the end of the export."""
    await pilot.press(*(keys or ("enter",)))
    await until(pilot, lambda: panel(pilot)._state not in WORKING, "the end of the export")
    await settled(pilot)
    return panel(pilot)._state


# -- pictures


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_pictures(size: tuple[int, int]) -> None:
    """Of a machine without inferno, which is said beside the format and not hidden."""
    async with running(size, store=SyntheticStore()) as pilot:
        await press(pilot, "2", "e")
        assert_golden(f"export-{size[0]}x{size[1]}", text_of(app_of(pilot)))


async def test_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with running((80, 24), store=SyntheticStore()) as pilot:
        await press(pilot, "2", "e", "down")
        assert_golden("mono-export-80x24", text_of(app_of(pilot)))


# -- what there is


async def test_the_first_format_that_there_is_is_chosen_and_the_last_one_next_time(folder: Path) -> None:
    async with running(store=filled()) as pilot:
        await press(pilot, "2", "e")
        assert panel(pilot)._list.selected.form.name == "speedscope", "there is no inferno"
        await choose(pilot, "folded")
        assert await write(pilot) is State.DONE
        await press(pilot, "enter", "e")
        assert panel(pilot)._list.selected.form.name == "folded"


async def test_a_format_that_there_is_none_of_says_what_mends_it_and_writes_nothing(folder: Path) -> None:
    async with running((80, 24), store=filled()) as pilot:
        await press(pilot, "2", "e")
        await choose(pilot, "svg")
        assert "! no inferno-flamegraph: make inferno" in screen(pilot)
        await press(pilot, "enter")
        assert app_of(pilot).exports.job is None
        assert list(folder.iterdir()) == []


async def test_of_a_view_without_stacks_there_are_pictures_alone(folder: Path) -> None:
    async with running(store=filled()) as pilot:
        await press(pilot, "F", "e")
        assert screen(pilot).count("this view has no stacks to export") == 7
        assert await write(pilot, "end", "enter") is State.DONE
        (file,) = folder.iterdir()
        assert re.fullmatch(r"aperture-build-7-filters-\d{8}-\d{6}\.screen\.txt", file.name)
        assert "Filters" in file.read_text()


async def test_of_wakers_there_are_stacks_alone() -> None:
    async with running(store=filled()) as pilot:
        await press(pilot, "4", "w")
        await press(pilot, "e")
        problems = {one.form.name: one.problem for one in panel(pilot)._list.choices if one.problem}
        assert set(problems) == {"svg", "json", "text", "perfetto"}
        assert panel(pilot)._title.shown_rows[0][0][0].startswith(" Export wakers of waits for locks")


async def test_of_those_who_woke_one_process_there_are_lines_of_stacks_alone() -> None:
    async with running(store=filled()) as pilot:
        await press(pilot, "1")
        await settled(pilot)
        process = app_of(pilot).snapshot.processes[1].key  # type: ignore[union-attr]
        app_of(pilot).look(app_of(pilot).looking.only(process))
        await settled(pilot)
        await press(pilot, "5", "w")
        await press(pilot, "e")
        able = {one.form.name for one in panel(pilot)._list.choices if not one.problem}
        assert able == {"folded", "picture", "screen"}
        assert process.name in screen(pilot)


# -- keys


async def test_the_view_goes_on_and_keeps_its_keys(folder: Path) -> None:
    """Nothing stops time, and what is exported is what is looked at when it is written."""
    now = [1_700_000_030_000_000_000]
    async with running(store=SyntheticStore(now=lambda: now[0]), refresh_hz=10) as pilot:
        await press(pilot, "2", "e")
        before = app_of(pilot).snapshot.end_ns  # type: ignore[union-attr]
        now[0] += 5_000_000_000
        await until(pilot, lambda: app_of(pilot).snapshot.end_ns > before, "time")  # type: ignore[union-attr]
        await until(pilot, lambda: "to 22:13:55" in screen(pilot), "the words of the panel")
        await press(pilot, "left_square_bracket")
        await until(pilot, lambda: "22:13:45 to 22:13:55, 10 s" in screen(pilot), "a shorter window")
        assert panel(pilot)._input.value.startswith("aperture-build-7-cpu-20231114-221355."), "the name goes with it"
        await choose(pilot, "folded")
        assert await write(pilot) is State.DONE
        (file,) = folder.iterdir()
        weights = [int(line.rpartition(" ")[2]) for line in file.read_text().splitlines()]
        assert sum(weights) == app_of(pilot).snapshot.icicle.total  # type: ignore[union-attr]


async def test_escape_leaves_everything_as_it_was(folder: Path) -> None:
    async with running(store=filled()) as pilot:
        await press(pilot, "2", "down", "down")
        before = text_of(app_of(pilot))
        await press(pilot, "e")
        assert panel(pilot) is not None
        await press(pilot, "e")
        assert len(app_of(pilot).screen.query(ExportPanel)) == 1, "a second e opens no second one"
        await press(pilot, "escape")
        assert app_of(pilot).exports.panel is None
        assert text_of(app_of(pilot)) == before
        assert app_of(pilot).focused is app_of(pilot)._view.icicle  # type: ignore[union-attr]
        assert list(folder.iterdir()) == []


async def test_the_name_is_typed_and_its_end_follows_the_format(folder: Path) -> None:
    async with running(store=filled()) as pilot:
        await press(pilot, "2", "e")
        await choose(pilot, "folded")
        assert panel(pilot)._input.value == "aperture-build-7-cpu-20231114-221331.folded"
        await choose(pilot, "text")
        assert panel(pilot)._input.value == "aperture-build-7-cpu-20231114-221331.txt"
        await press(pilot, "tab", *["backspace"] * 60, *"eqy2.log")
        assert panel(pilot)._input.value == "eqy2.log", "keys that are typed do nothing else"
        await press(pilot, "tab", "down", "up", "shift+tab")
        assert panel(pilot)._input.value == "eqy2.log"
        assert await write(pilot) is State.DONE
        assert "960 samples" in (folder / "eqy2.log").read_text()
        said = " ".join(screen(pilot).split())
        assert f"written: {folder}/eqy2.log; then: less eqy2.log" in said
        await press(pilot, "enter")
        assert app_of(pilot).exports.panel is None, "once it is written, enter closes"


async def test_a_name_that_is_none_is_refused_in_place(folder: Path) -> None:
    async with running(store=filled()) as pilot:
        await press(pilot, "2", "e", "tab", "slash", "enter")
        assert "is a folder: add a name" in " ".join(screen(pilot).split())
        await press(pilot, *["backspace"] * 60, "enter")
        assert "! type a name for the file" in screen(pilot)
        await press(pilot, "escape")
        assert app_of(pilot).exports.panel is None


async def test_a_file_that_is_there_is_replaced_only_when_asked_again(folder: Path) -> None:
    async with running(store=filled()) as pilot:
        await press(pilot, "2", "e")
        await choose(pilot, "folded")
        file = folder / panel(pilot)._input.value
        file.write_text("theirs")
        assert await write(pilot) is State.EXISTS
        assert "it exists: enter again replaces" in screen(pilot)
        await press(pilot, "down", "up")
        assert await write(pilot) is State.EXISTS, "after another choice it is asked anew"
        assert file.read_text() == "theirs"
        assert await write(pilot) is State.DONE
        assert "gunicorn;" in file.read_text()
        assert list(folder.iterdir()) == [file]


async def test_what_cannot_be_written_is_one_line(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "elsewhere")
    for name, words in (("none/a.svg", "No such file or directory"), ("link", "symbolic link"), ("/proc/a", "No such")):
        async with running(store=filled()) as pilot:
            await press(pilot, "2", "e")
            await choose(pilot, "folded")
            panel(pilot)._input.value = name
            await settled(pilot)
            assert await write(pilot) is State.FAILED
            assert words in " ".join(screen(pilot).split())
    assert [one.name for one in folder.iterdir()] == ["link"]


async def test_what_there_is_nothing_of_is_said(folder: Path) -> None:
    async with running(store=SyntheticStore(now=lambda: 1_700_000_000_000_000_000)) as pilot:
        await press(pilot, "2", "e")
        assert await write(pilot, "end", "enter") is State.DONE, "there is always a picture"


class _Slow:
    """A store whose answers take until somebody lets them, or has enough of them."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.free = threading.Event()
        self.watch: Any = lambda _: None
        self.asked = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def call_tree(self, query: Query) -> Any:
        if threading.current_thread().name == "export":
            self.asked.set()
            while not self.free.wait(0.01):
                self.watch(0.25)
        return self._inner.call_tree(query)


async def test_progress_is_shown_the_screen_lives_and_escape_cancels(folder: Path) -> None:
    store = _Slow(filled())
    async with running(store=store) as pilot:  # type: ignore[arg-type]
        await press(pilot, "2", "e")
        await choose(pilot, "folded")
        await pilot.press("enter")
        await until(pilot, lambda: "reading 25 %, 0 s; esc cancels" in screen(pilot), "progress")
        assert len(list(folder.iterdir())) == 1, "beside its place"
        began = time.monotonic()
        await press(pilot, "left_square_bracket")  # is answered meanwhile, out of the same store
        assert app_of(pilot).looking.window_s == 10.0
        assert time.monotonic() - began < 5
        await press(pilot, "enter")
        assert panel(pilot)._state is State.WORKING, "one at a time"
        await pilot.press("escape")
        await until(pilot, lambda: panel(pilot)._state is State.CANCELLED, "the end")
        await until(pilot, lambda: not app_of(pilot).exports.job.is_at_work, "that of its thread")  # type: ignore[union-attr]
        assert "cancelled: nothing was written" in screen(pilot)
        assert list(folder.iterdir()) == []
        store.free.set()
        assert await write(pilot, "enter") is State.DONE


async def test_a_step_that_cannot_be_ended_is_left_to_itself(folder: Path) -> None:
    """What it makes is thrown away; until it is over there is no other export."""
    store = _Slow(filled())
    async with running(store=store) as pilot:  # type: ignore[arg-type]
        await press(pilot, "2", "e")
        store.watch = lambda _: None
        await choose(pilot, "folded")
        await pilot.press("enter")
        await until(pilot, store.asked.is_set, "the export")
        await pilot.press("escape")
        await until(pilot, lambda: "cancelled: nothing was written" in screen(pilot), "that it is over at once")
        await press(pilot, "enter")
        assert "the last export still ends" in screen(pilot)
        store.free.set()
        await until(pilot, lambda: not app_of(pilot).exports.job.is_at_work, "its end")  # type: ignore[union-attr]
        assert list(folder.iterdir()) == []
        assert gc.isenabled()
        assert await write(pilot) is State.DONE


async def test_the_end_of_the_app_leaves_nothing_half_written(folder: Path) -> None:
    store = _Slow(filled())
    async with running(store=store) as pilot:  # type: ignore[arg-type]
        await press(pilot, "2", "e")
        await choose(pilot, "folded")
        await pilot.press("enter")
        await until(pilot, store.asked.is_set, "the export")
    assert list(folder.iterdir()) == []


async def test_inferno_is_ended_when_nobody_waits_any_more(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = folder / "inferno-flamegraph"
    tool.write_text("#!/bin/sh\necho $$ > pid\nexec sleep 60\n")
    tool.chmod(0o755)
    monkeypatch.setattr(svg, "find", lambda name: str(tool))
    async with running(store=filled()) as pilot:
        await press(pilot, "2", "e")
        await choose(pilot, "svg")
        await pilot.press("enter")
        await until(pilot, lambda: (folder / "pid").exists() and (folder / "pid").read_text() != "", "inferno")
        await pilot.press("escape")
        await until(pilot, lambda: panel(pilot)._state is State.CANCELLED, "the end")
        await until(pilot, lambda: not app_of(pilot).exports.job.is_at_work, "that of its thread")  # type: ignore[union-attr]
        pid = int((folder / "pid").read_text())
        assert not Path(f"/proc/{pid}").exists()
        assert sorted(one.name for one in folder.iterdir()) == ["inferno-flamegraph", "pid"]


# -- pictures of the screen


async def test_a_picture_is_of_the_view_without_the_panel(folder: Path) -> None:
    async with running((80, 24), store=filled()) as pilot:
        await press(pilot, "2")
        before = text_of(app_of(pilot))
        await press(pilot, "e")
        await choose(pilot, "screen")
        assert await write(pilot) is State.DONE
        assert (folder / panel(pilot)._input.value).read_text().splitlines() == [row.rstrip() for row in before]
        await choose(pilot, "picture")
        assert await write(pilot) is State.DONE
        drawn = (folder / panel(pilot)._input.value).read_text()
        assert drawn.startswith("<svg")
        assert "gunicorn" in drawn
        assert "speedscope" not in drawn
        assert "url(" not in drawn.replace("url(#", ""), "a browser asks nobody for fonts"


# -- help and palette


async def test_help_and_palette_have_the_keys() -> None:
    async with running((120, 90), store=filled()) as pilot:
        await press(pilot, "2")
        commands = {command.title: command.help for command in app_of(pilot).get_system_commands(app_of(pilot).screen)}
        assert commands["Export"].startswith("e,")
        assert commands["Copy"].startswith("y,")
        assert commands["Copy the stack"].startswith("Y,")
        await press(pilot, "question_mark")
        for line in ("e                   export", "y                   copy", "Y                   copy the stack"):
            assert re.search(re.sub(" +", " +", line), screen(pilot))
        await press(pilot, "e", "y")
        assert not isinstance(app_of(pilot).screen, ExportPanel)
        assert app_of(pilot).exports.job is None


async def test_keys_that_are_faster_than_the_screen_are_of_the_format_before_them(folder: Path) -> None:
    async with running((80, 24), store=filled()) as pilot:
        await press(pilot, "2", "e")
        for form in ("folded", "text", "pprof", "json"):
            await pilot.press("home", *["down"] * FORMATS.index(form), "enter")
            await until(pilot, lambda: panel(pilot)._state not in WORKING, "the end of the export")
            await settled(pilot)
            assert panel(pilot)._state is State.DONE, "it stays"
        assert sorted(one.suffix for one in folder.iterdir()) == [".folded", ".gz", ".json", ".txt"]
        first = {one.suffix: one.read_bytes()[:8] for one in folder.iterdir()}
        assert first[".txt"] == b"aperture"
        assert first[".gz"].startswith(b"\x1f\x8b")
        assert first[".json"] == b'{"schema'
        assert b";" not in first[".txt"] + first[".json"]


async def test_the_mouse(folder: Path) -> None:
    async with running((80, 24), store=filled()) as pilot:
        await press(pilot, "2", "e")
        row = FORMATS.index("folded")
        await pilot.click("FormatList", offset=(6, row))
        await settled(pilot)
        assert panel(pilot)._list.selected.form.name == "folded"
        assert app_of(pilot).exports.job is None
        await pilot.click("FormatList", offset=(6, row), times=2)
        await until(pilot, lambda: panel(pilot)._state is State.DONE, "the end of the export")
        await pilot.click("#icicle", offset=(5, 3))
        await settled(pilot)
        assert app_of(pilot).focused is app_of(pilot)._view.icicle  # type: ignore[union-attr]
        await press(pilot, "e")
        assert app_of(pilot).focused is panel(pilot)._list, "e leads back to it"
        await pilot.click("#icicle", offset=(5, 3))
        await press(pilot, "slash", "x", "escape")
        assert app_of(pilot).exports.panel is not None, "that was of the search"
        await press(pilot, "escape")
        assert app_of(pilot).exports.panel is None, "closed from where the keys are"
        assert app_of(pilot).focused is app_of(pilot)._view.icicle  # type: ignore[union-attr]


async def test_from_the_palette(folder: Path) -> None:
    async with running((80, 24), store=filled()) as pilot:
        await press(pilot, "2")
        await pilot.press("ctrl+p")
        await until(pilot, lambda: len(app_of(pilot).screen_stack) > 1, "the palette")
        await pilot.press(*"export")
        await until(pilot, lambda: "e, everywhere" in screen(pilot), "the command")
        await pilot.press("enter")
        await until(pilot, lambda: app_of(pilot).exports.panel is not None, "the panel")
        assert await write(pilot, "end", "enter") is State.DONE


async def test_the_formats_stay_while_the_palette_lies_over_the_panel() -> None:
    """They are of the view below; the palette has no stacks, nor has the help."""
    async with running((120, 40), store=filled()) as pilot:
        await press(pilot, "2", "e")
        before = [one.problem for one in panel(pilot)._list.choices]
        name = panel(pilot)._input.value
        await pilot.press("ctrl+p")
        await until(pilot, lambda: len(app_of(pilot).screen_stack) > 1, "the palette")
        panel(pilot)._show()
        assert [one.problem for one in panel(pilot)._list.choices] == before
        assert panel(pilot)._input.value == name
        assert "CPU samples" in panel(pilot)._title.shown_rows[0][0][0]
        await pilot.press("escape")
        await until(pilot, lambda: len(app_of(pilot).screen_stack) == 1, "the view again")
        assert panel(pilot)._list.has_focus


# the scene, and the part that is clicked at beside the panel
BESIDE = [("filters", "#filters"), ("hosts", "HostTable"), ("gpu-zoomed", "LanesView"), ("locks", "#latencies")]


@pytest.mark.parametrize(("name", "part"), BESIDE, ids=[name for name, _ in BESIDE])
async def test_escape_beside_the_panel_closes_it_and_nothing_else(name: str, part: str) -> None:
    async with shown(SCENES[name], (120, 40)) as pilot:
        view = app_of(pilot)._view
        assert view is not None
        await press(pilot, "e")
        await pilot.click(part, offset=(30, 1))
        await settled(pilot)
        assert app_of(pilot).focused is view.query_one(part)
        looking = app_of(pilot).looking
        await press(pilot, "escape")
        await until(pilot, lambda: app_of(pilot).exports.panel is None, "the view without the panel")
        assert app_of(pilot).looking == looking
        assert app_of(pilot).focused is view.query_one(part)


async def test_escape_of_the_search_for_hosts_leaves_the_panel() -> None:
    async with shown(SCENES["hosts"], (120, 40)) as pilot:
        await press(pilot, "e")
        await pilot.click("HostTable", offset=(30, 1))
        await press(pilot, "slash", "w", "escape")
        assert app_of(pilot).exports.panel is not None, "that was of the search"
        await press(pilot, "escape")
        await until(pilot, lambda: app_of(pilot).exports.panel is None, "the view without the panel")
