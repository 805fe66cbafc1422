"""The views of system calls, locks and off-CPU time: pictures, keys, and what is said when something is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.query import Measure, Query
from aperture_tui.profile.symbols import Symbols
from aperture_tui.store.memory import MemoryStore
from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.icicle.widget import Icicle
from aperture_tui.tui.screens.panel import Panel
from aperture_tui.tui.screens.view import ViewScreen
from aperture_tui.tui.screens.words import is_running, nothing_yet
from aperture_tui.tui.widgets.histogram import HistogramView
from aperture_tui.tui.widgets.latencies import LatencyTable
from tests.store.conformance import SH, STACK
from tests.store.facts import Fact, batch_of
from tests.tui.screen import assert_golden, running, settled, text_of, until
from tests.tui.synthetic import START_NS, SyntheticStore
from tests.tui.waiting import OFFCPU, PIDS, RUNNING, SYSCALLS, TABLE, Builder, filled, sampled

SIZES = pytest.mark.parametrize("size", [(120, 40), (80, 24), (40, 10)], ids=lambda size: f"{size[0]}x{size[1]}")
STARTING = (RUNNING[0], Health("syscall", State.STARTING, "compiling BPF programs…"))
FAILED = (RUNNING[0], Health("lock", State.FAILED, "no tracepoint sys_enter_futex: needs a kernel of 5.8 or later"))


def _app(pilot: Pilot[Any]) -> ApertureApp:
    assert isinstance(pilot.app, ApertureApp)
    return pilot.app


def _view(pilot: Pilot[Any]) -> ViewScreen:
    view = _app(pilot)._view
    assert view is not None
    return view


def _icicle(pilot: Pilot[Any]) -> Icicle:
    return _view(pilot).icicle


def _table(pilot: Pilot[Any]) -> LatencyTable:
    return _view(pilot).query_one(LatencyTable)


def _text(pilot: Pilot[Any]) -> str:
    return "\n".join(text_of(_app(pilot)))


async def _press(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        if key.isdigit():
            await settled(pilot)  # the keys after it are for what is then there
    await settled(pilot)


# -- pictures

PICTURES: dict[str, tuple[list[str], Callable[[], MemoryStore]]] = {
    "syscalls": (["3", "down", "down"], filled),
    "syscalls-in-flight": (["3", *["down"] * 4], lambda: filled(in_flight=True)),
    "syscalls-starting": (["3"], lambda: filled((), health=STARTING)),
    "syscalls-stacks": (["3"], lambda: filled((*SYSCALLS, *sampled()))),
    "locks": (["4"], lambda: filled(in_flight=True)),
    "locks-wakers": (["4", "enter", "w"], filled),
    "locks-failed": (["4"], lambda: filled((), health=FAILED)),
    "offcpu": (["5", "down", "down"], filled),
    "offcpu-alone": (["5"], lambda: filled(OFFCPU, health=RUNNING[1:], cpu=0)),
    "offcpu-threads": (["5", "t"], filled),
}


@pytest.mark.parametrize("name", PICTURES)
@SIZES
async def test_pictures(name: str, size: tuple[int, int]) -> None:
    keys, store = PICTURES[name]
    async with running(size, store()) as pilot:
        await _press(pilot, *keys)
        rows = text_of(_app(pilot))
        if STARTING[1] in _app(pilot).snapshot.health:  # type: ignore[union-attr]
            rows[0] = "(the header counts the seconds)"
        assert_golden(f"{name}-{size[0]}x{size[1]}", rows)


@pytest.mark.parametrize(("name", "key"), [("syscalls", "3"), ("offcpu", "5")])
async def test_without_colours(name: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with running((80, 24), filled(in_flight=True)) as pilot:
        await _press(pilot, key, "down")
        assert_golden(f"mono-{name}-80x24", text_of(_app(pilot)))


# -- system calls


async def test_the_histogram_is_that_of_the_selected_row_and_follows_it() -> None:
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, "3", "down", "down")
        selected = _table(pilot).selected
        assert selected is not None
        title = "".join(text for text, _ in _view(pilot).query_one(HistogramView).shown_rows[0])
        assert f"{selected.key.name} · {selected.told.process} ({selected.key.pid})" in title
        assert "~" in "".join(text for text, _ in _view(pilot).query_one(HistogramView).shown_rows[-1])


async def test_enter_looks_at_one_process_and_escape_at_all_again() -> None:
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, "3")
        await _press(pilot, "enter")
        process = _app(pilot).looking.process
        assert process is not None
        assert f"java ({PIDS['java']})" in text_of(_app(pilot))[0]
        assert {line.key.pid for line in _app(pilot).snapshot.latencies.lines} == {PIDS["java"]}  # type: ignore[union-attr]
        await _press(pilot, "escape")
        assert _app(pilot).looking.process is None
        assert len(_app(pilot).snapshot.latencies.lines) == len(SYSCALLS)  # type: ignore[union-attr]


async def test_what_is_in_flight_is_said_with_its_age_and_thread() -> None:
    async with running((120, 40), filled(in_flight=True)) as pilot:
        await _press(pilot, "3", "slash", *"pread", "enter")
        assert "3 in flight, oldest 40 s (tid 2103)" in _text(pilot)
        await _press(pilot, "escape", "slash", *"sshd", "enter")
        assert "1 in flight, for ≥ 55 s (tid 2801)" in _text(pilot), "it began before anybody looked"
        await _press(pilot, "escape", "slash", *"perl", "enter")
        assert "none has ended in view" in _text(pilot)


async def test_search_narrows_the_table_and_says_how_many_rows_match() -> None:
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, "3", "slash", *"futex")
        await until(pilot, lambda: "3 of 16 rows match" in _text(pilot), "the rows that match")
        await _press(pilot, "enter")
        assert pilot.app.focused is _table(pilot)
        assert {line.key.name for line in _table(pilot)._lines} == {"futex"}
        await _press(pilot, "escape")
        assert len(_table(pilot)._lines) == len(SYSCALLS)
        await _press(pilot, "slash", *"nobody")
        await until(pilot, lambda: "no row matches: all are shown" in _text(pilot), "nothing that matches")


async def test_there_is_an_icicle_only_where_stacks_are_sampled() -> None:
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, "3")
        assert not _icicle(pilot).display
    async with running((120, 40), filled((*SYSCALLS, *sampled()))) as pilot:
        await _press(pilot, "3")
        await _press(pilot, "tab", "down")
        view = _icicle(pilot).view
        assert view is not None
        assert [box.label.function for box in view.rows[1].boxes] == ["gunicorn", "postgres"]
        assert view.total < _app(pilot).snapshot.latencies.total_ns  # type: ignore[union-attr]
        assert "in calls" in _text(pilot)
        await _press(pilot, "tab")
        assert "ended, mean" in _text(pilot), "the row again"


async def test_only_rows_that_changed_are_painted() -> None:
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, "3")
        table = _table(pilot)
        before = table.repainted
        await pilot.press("down")
        assert table.repainted - before == 2
        before = table.repainted
        _view(pilot).show(_app(pilot).snapshot)
        assert table.repainted == before


# -- locks


async def test_enter_shows_the_stacks_of_one_lock_and_escape_of_all() -> None:
    store = filled()
    async with running((120, 40), store) as pilot:
        await _press(pilot, "4")
        every = _icicle(pilot).view
        await _press(pilot, "enter")
        of_one = store.latencies(Query(Kind.LOCK, value=TABLE, measure=Measure.TIME))
        view = _icicle(pilot).view
        assert every is not None
        assert view is not None
        assert view.total == sum(one.time_ns for one in of_one) < every.total
        assert "Who waited for mutex table_lock 0x55d0c0de1040, by time" in _text(pilot)
        assert len(_table(pilot)._lines) == 6, "the table still has the others"
        await _press(pilot, "escape")
        assert _icicle(pilot).view.total == every.total  # type: ignore[union-attr]


async def test_w_turns_to_those_who_ended_the_waits_and_escape_back() -> None:
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, "4", "enter", "w")
        view = _icicle(pilot).view
        assert view is not None
        assert (view.unit.word, view.waits) == ("wakes", False)
        names = {box.label.function for row in view.rows for box in row.boxes}
        assert "LWLockRelease" in names
        assert "up_write" not in names, "it let go of another lock"
        await _press(pilot, "escape")
        assert _app(pilot).looking.lock is not None
        assert _icicle(pilot).view.unit.word == "waited"  # type: ignore[union-attr]
        await _press(pilot, "escape")
        assert _app(pilot).looking.lock is None


async def test_holder_and_wakers_of_a_lock_are_told() -> None:
    async with running((120, 40), filled(in_flight=True)) as pilot:
        await _press(pilot, "4")
        assert "2 in flight, oldest 41 s (tid 2103)  │ held by tid 2101 (240×), 2104 (240×)" in _text(pilot)
        assert "let go by tid 2104 (720×)" in _text(pilot)
        await _press(pilot, "down", "down")
        assert "held by ?" in _text(pilot)


# -- off-CPU


async def test_time_on_the_cpu_is_unknown_and_not_zero_where_nobody_samples_it() -> None:
    async with running((120, 40), filled(OFFCPU, health=RUNNING[1:], cpu=0)) as pilot:
        await _press(pilot, "5")
        assert "on-CPU ?" in _text(pilot)
    async with running((120, 40), filled(OFFCPU, cpu=0)) as pilot:
        await _press(pilot, "5")
        assert "on-CPU 0" in _text(pilot), "samples are taken, and there were none"


async def test_weights_are_times_in_the_header_and_the_details() -> None:
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, "5", "down")
        box = _icicle(pilot).selected_box
        assert box is not None
        header, details = text_of(_app(pilot))[0], text_of(_app(pilot))[-3]
        assert "46 s off-CPU" in header
        assert "16 s off-CPU" in details
        assert "samples" not in _text(pilot)
        await _press(pilot, "slash", *"recv")
        await until(pilot, lambda: "% of the time match" in _text(pilot), "the share")


async def test_who_woke_a_process_need_not_be_of_it() -> None:
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, "3", *["down"] * 2, "enter", "5", "w")
        assert _app(pilot).looking.process.name == "gunicorn"  # type: ignore[union-attr]
        view = _icicle(pilot).view
        assert view is not None
        assert [box.label.function for box in view.rows[1].boxes] == ["node"]
        assert view.total == 30 * 12


# -- all of them


@pytest.mark.parametrize("key", ["2", "4", "5"])
async def test_t_tells_threads_apart(key: str) -> None:
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, key)
        whole = _icicle(pilot).view.total  # type: ignore[union-attr]
        await _press(pilot, "t")
        view = _icicle(pilot).view
        assert view is not None
        assert {box.label.kind for box in view.rows[2].boxes} == {FrameKind.THREAD}
        assert view.total == whole
        await _press(pilot, "t")
        assert FrameKind.THREAD not in {box.label.kind for box in _icicle(pilot).view.rows[2].boxes}  # type: ignore[union-attr]


async def test_t_goes_on_to_tags_where_there_are_any() -> None:
    store = filled()
    batch = batch_of([Fact(START_NS + i, SH, stack=STACK, tags=frozenset({"slow"})) for i in range(900)], Symbols())
    store.append(batch)
    async with running((120, 40), store) as pilot:
        await _press(pilot, "2", "t", "t")
        rows = _icicle(pilot).view.rows  # type: ignore[union-attr]
        assert {box.label.function for box in rows[1].boxes} == {"tag: slow", "untagged"}
        assert {box.label.kind for box in rows[2].boxes} == {FrameKind.PROCESS}
        assert "by tag" in text_of(_app(pilot))[0]
        await _press(pilot, *["t"] * 4)
        assert {box.label.kind for box in _icicle(pilot).view.rows[1].boxes} == {FrameKind.PROCESS}  # type: ignore[union-attr]
        assert "by " not in text_of(_app(pilot))[0]


async def test_zoom_stays_within_a_view_and_the_process_goes_along() -> None:
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, "5", "down", "down", "enter")
        assert len(_app(pilot).looking.zoom) == 2
        await _press(pilot, "4")
        assert _app(pilot).looking.zoom == ()
        await _press(pilot, "3", "enter", "2")
        assert _app(pilot).looking.process is not None
        await _press(pilot, "tab", "down", "down", "enter", "1")
        assert len(_app(pilot).looking.zoom) == 2, "the overview shows the same tree"


async def test_frozen_every_view_is_of_the_same_moment() -> None:
    store = filled()
    async with running((120, 40), store, refresh_hz=20) as pilot:
        await _press(pilot, "3", "space")
        end = _app(pilot).snapshot.end_ns  # type: ignore[union-attr]
        store.append(_later(end))
        before = text_of(_app(pilot))
        await _press(pilot, "down", "up")
        now = text_of(_app(pilot))
        assert [before[0], *before[3:]] == [now[0], *now[3:]], "but for the timeline, where collecting goes on"
        for key in ("4", "enter", "w", "5", "t", "3"):
            await _press(pilot, key)
            assert _app(pilot).snapshot.end_ns == end  # type: ignore[union-attr]
        await _press(pilot, "space")
        await until(pilot, lambda: _app(pilot).snapshot.end_ns > end, "the present")  # type: ignore[union-attr]


def _later(end_ns: int) -> Any:
    builder = Builder()
    for second in range(13, 16):
        builder.load(SYSCALLS[0], second)
    batch = builder.batch()
    assert int(batch.events["time_ns"].min()) > end_ns
    return batch


async def test_what_a_view_needs_is_told_whenever_it_changes() -> None:
    told: list[frozenset[str]] = []
    async with running((80, 24), filled(), want=told.append) as pilot:
        for key in ("3", "4", "5", "2", "1"):
            await _press(pilot, key)
    assert set(told[:2]) == {frozenset({"cpu"})}, "at the start, and when the store was there"
    assert told[2:] == [
        frozenset({"cpu", "syscall"}),
        frozenset({"cpu", "lock"}),
        frozenset({"cpu", "offcpu"}),
        frozenset({"cpu"}),
        frozenset({"cpu"}),
    ]


async def test_which_collectors_are_attached_is_in_the_header() -> None:
    two = (RUNNING[0], RUNNING[1], replace(RUNNING[2], state=State.STOPPED))
    async with running((120, 40), filled(health=two)) as pilot:
        assert "● cpu sys" in text_of(_app(pilot))[0]
    async with running((160, 40), filled(health=(RUNNING[0], STARTING[1]))) as pilot:
        assert "● cpu ○ syscall" in text_of(_app(pilot))[0]


async def test_what_starts_and_what_failed_is_said_in_place_and_then_gone() -> None:
    store = filled((), health=STARTING)
    async with running((120, 40), store, refresh_hz=20) as pilot:
        await _press(pilot, "3")
        assert "No system calls yet" in _text(pilot)
        assert "compiling BPF programs…" in "\n".join(text_of(_app(pilot))[1:-2])
        store.set_health((RUNNING[0], Health("syscall", State.FAILED, "needs CAP_BPF: run with sudo")))
        await until(pilot, lambda: "needs CAP_BPF: run with sudo" in _text(pilot), "the reason")
        assert "the collector failed" in _text(pilot)
        store.set_health(RUNNING[:2])
        store.append(_later(_app(pilot).snapshot.end_ns))  # type: ignore[union-attr]
        await until(pilot, lambda: _table(pilot).display and "epoll_wait" in _text(pilot), "the table")
        await until(pilot, lambda: pilot.app.focused is _table(pilot), "its cursor")


async def test_the_mark_of_what_starts_moves_whenever_something_starts() -> None:
    store = filled()
    async with running((120, 40), store, refresh_hz=20) as pilot:
        _app(pilot)._began -= 100
        store.set_health(STARTING)
        await until(pilot, lambda: "compiling BPF programs…" in text_of(_app(pilot))[0], "the start")
        assert _app(pilot).waited_s < 60, "since this began, not since we did"
        seen = text_of(_app(pilot))[0]
        await until(pilot, lambda: text_of(_app(pilot))[0] != seen, "a move")


@pytest.mark.parametrize(("key", "name"), [("3", "syscall"), ("4", "lock"), ("5", "offcpu")])
async def test_what_is_not_collected_is_not_called_none(key: str, name: str) -> None:
    async with running((120, 40), SyntheticStore()) as pilot:
        await _press(pilot, key)
        assert f"The collector {name} is not attached." in _text(pilot)
        assert " ? " in text_of(_app(pilot))[0]
        await _press(pilot, "space", "w", "down", "enter", "tab", "t", "escape")
        assert pilot.app.is_running


async def test_nothing_of_one_process_is_said_so() -> None:
    async with running((80, 24), filled()) as pilot:
        await _press(pilot, "3", *["down"] * 4, "enter", "4")
        assert "sshd (1008) waited for no lock in this window" in _text(pilot)
        await _press(pilot, "escape")
        assert "Who waited for any lock" in _text(pilot)


async def test_help_has_the_keys_of_each_view() -> None:
    for key, focus, words in (
        ("3", (), ("only this process", "The table", "by thread", "system calls")),
        ("4", (), ("only this lock", "waiters or wakers", "by thread")),
        ("5", (), ("waiters or wakers", "The icicle", "zoom", "off-CPU time")),
    ):
        async with running((120, 40), filled()) as pilot:
            await _press(pilot, key, *focus)
            await pilot.press("question_mark")
            assert isinstance(pilot.app.screen, Panel)
            content = "\n".join("".join(text for text, _ in row) for row in pilot.app.screen._content)
            for word in words:
                assert word in content


@pytest.mark.parametrize("key", ["3", "4", "5"])
async def test_any_size_draws_something_and_every_key_is_harmless(key: str) -> None:
    async with running((80, 24), filled(in_flight=True)) as pilot:
        await _press(pilot, key)
        for width, height in [(19, 4), (1, 1), (20, 5), (21, 30), (300, 6), (200, 60), (79, 13), (140, 20), (80, 24)]:
            await pilot.resize_terminal(width, height)
            await until(pilot, lambda: tuple(pilot.app.screen._compositor.size) == (width, height), "the new size")  # noqa: B023
            await pilot.press("down", "tab", "up", "enter", "w", "t", "s", "escape", "escape", "escape", "tab")
            text_of(_app(pilot))
        await settled(pilot)


async def test_another_theme_repaints_the_tables() -> None:
    async with running((120, 40), filled()) as pilot:
        await _press(pilot, "3", "1")
        before = _app(pilot).palette.look.colours["background"]
        pilot.app.theme = "aperture-light"
        await _press(pilot, "3")
        strips = pilot.app.screen._compositor.render_strips()
        grounds = {
            s.style.bgcolor.get_truecolor().hex for strip in strips for s in strip if s.style and s.style.bgcolor
        }
        assert before not in grounds


@pytest.mark.parametrize(("view", "name"), [("3", "syscall"), ("4", "lock"), ("5", "offcpu")])
async def test_of_a_time_before_a_collector_began_it_is_not_said_that_there_was_nothing(view: str, name: str) -> None:
    """Somebody looks at a moment in the icicle, and then wants to know who waited then."""
    async with running((180, 40), filled((), health=RUNNING[:1])) as pilot:
        await _press(pilot, "2", "comma", view)
        store = _app(pilot).store
        assert isinstance(store, MemoryStore)
        store.set_health(RUNNING)
        await until(pilot, lambda: f"{name} was not attached, or had just begun. L looks at" in _text(pilot))
        assert "Nothing is known of" in _text(pilot)
        assert " here" not in _text(pilot)
        await until(pilot, lambda: RUNNING[-1] in _app(pilot).snapshot.health)  # type: ignore[union-attr]
        assert " ? " in text_of(_app(pilot))[0], "not 0 of them"


async def test_of_a_time_that_was_watched_it_is_said_that_there_was_nothing() -> None:
    async with running((120, 40), filled((), health=RUNNING)) as pilot:
        await _press(pilot, "4", "space")
        snapshot, looking = _app(pilot).snapshot, _app(pilot).looking
        assert snapshot is not None
        assert snapshot.density is not None
        assert not is_running(Kind.LOCK, snapshot)
        watched = snapshot.density._replace(weights=(0,) * snapshot.density.grid.columns)
        said = nothing_yet(replace(snapshot, density=watched), looking, Kind.LOCK)
        assert said[0][0] == "No waits for locks here"
        assert said[-1][0].startswith("None were collected up to ")
