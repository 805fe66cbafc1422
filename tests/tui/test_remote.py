"""The screens over an aggregator, through gRPC: its hosts, the way to them and back, and what is said of a bad one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
from textual.pilot import Pilot

from aperture_tui.cli.remote import Remote
from aperture_tui.profile.kinds import Kind
from aperture_tui.store.base import Estimate
from aperture_tui.store.fleet_base import HostState
from aperture_tui.store.memory import MemoryStore
from aperture_tui.store.remote.link import Focus, LinkState, RemoteSettings
from aperture_tui.tui import remote_answer
from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.model import ViewRequest
from aperture_tui.tui.screens.hosts import HostsScreen
from aperture_tui.tui.widgets.hosts import HostTable
from aperture_tui.tui.widgets.keys import live_keys
from aperture_tui.tui.widgets.processes import ProcessTable
from aperture_tui.tui.widgets.search import SearchLine
from aperture_tui.wire import fleet_pb2 as wire
from tests.store.served import TOKEN, Aggregator, serving
from tests.tui.gpu.synthetic import synthetic
from tests.tui.screen import assert_golden, settled, text_of, until
from tests.tui.synthetic import SECOND, START_NS
from tests.tui.waiting import filled

SIZES = pytest.mark.parametrize("size", [(120, 36), (80, 24), (40, 10)], ids=lambda size: f"{size[0]}x{size[1]}")
END_NS = START_NS + 12 * SECOND
NOW_NS = END_NS + 4 * SECOND
"""The aggregator's clock, which stands still."""


def host(name: str, service: str, ago_s: float, **rest: Any) -> HostState:
    told = {"version": "0.9.1", "events": 1_234_567, "interval_ms": 10_000, "cpus": 8, "memory_bytes": 32 << 30}
    seen = NOW_NS - int(ago_s * SECOND)
    return HostState(name, service, first_ns=START_NS, seen_ns=seen, kernel="6.8.0", **{**told, **rest})


HOSTS = [
    *(host(f"web-{i}", "shop-web", i % 10) for i in range(1, 13)),
    host("db-1", "shop-db", 3, events=98_765_432, cpus=64, memory_bytes=512 << 30),
    host("db-2", "shop-db", 700, lost=4711),
    host("search-1", "search", 5, version="0.8.7", problem="cpu: needs CAP_PERFMON: run with sudo"),
    host("evil\x1b[31m\u202ehost", "", 2),
]


class Served(Aggregator):
    """An aggregator whose one store is every machine's; of several, processes are told by name."""

    def _query(self, name: str, selection: wire.Selection, context: grpc.ServicerContext) -> Any:
        query = super()._query(name, selection, context)
        self.many = len(selection.hosts) != 1
        self.estimate = Estimate(25, 400_000, 0.008) if self.many else Estimate()
        return query


@pytest.fixture
def aggregator(monkeypatch: pytest.MonkeyPatch) -> Served:
    monkeypatch.setattr(remote_answer, "_LEAST_S", 0.05)
    monkeypatch.setattr(remote_answer, "_FLEET_S", 0.05)
    return Served(filled(in_flight=True), HOSTS, now_ns=lambda: NOW_NS)


@pytest.fixture
def address(aggregator: Served) -> Iterator[str]:
    with serving(aggregator) as address:
        yield address


@contextlib.asynccontextmanager
async def remote(address: str, size: tuple[int, int] = (120, 36), focus: Focus | None = None) -> AsyncIterator[Any]:
    """The screens over it, with an answer on them; the clocks in them stand still."""
    told = Remote(RemoteSettings(address, TOKEN, tls=False), focus)
    told.name = "agg.example.net"
    app = ApertureApp(told.connect, remote=told, refresh_hz=20)
    try:
        async with app.run_test(size=size) as pilot:
            await settled(pilot)
            await until(pilot, lambda: told.link().now_ns > 0, "the first news")
            app.looking = replace(app.looking)
            await still(pilot)
            yield pilot
    finally:
        told.close()


async def still(pilot: Pilot[Any]) -> None:
    """Until everything that was asked for is there."""
    await settled(pilot)
    app = _app(pilot)
    if app._view is not None:
        app._view.show_heading()
    await pilot.pause()


def _app(pilot: Pilot[Any]) -> ApertureApp:
    assert isinstance(pilot.app, ApertureApp)
    return pilot.app


def _screen(pilot: Pilot[Any]) -> str:
    return "\n".join(text_of(_app(pilot)))


async def _press(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        if len(key) > 1 or key.isdigit():
            await still(pilot)
    await still(pilot)


@pytest.fixture(autouse=True)
def clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The day is that of the data, and no second passes in what is said of ages."""
    monkeypatch.setattr(ApertureApp, "now_ns", lambda self: NOW_NS)
    monkeypatch.setattr(
        "aperture_tui.store.remote.following.Following.now_ns", lambda self: NOW_NS if self._clocks else 0
    )
    monkeypatch.setattr(HostTable, "now_ns", property(lambda self: NOW_NS if self._fleet else 0))


# -- pictures


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("hosts", ["down", "down"]),
        ("services", ["o", "down", "right"]),
        ("search", ["slash", *"web-1"]),
        ("host-cpu", ["enter"]),
        ("host-overview", ["enter", "1"]),
        ("fleet-overview", ["f", "1"]),
        ("fleet-syscalls", ["f", "3"]),
        ("fleet-locks", ["f", "4"]),
        ("service-offcpu", ["o", "down", "enter", "5"]),
        ("past", ["enter", "comma", "comma"]),
    ],
)
@SIZES
async def test_pictures(name: str, keys: list[str], size: tuple[int, int], address: str) -> None:
    async with remote(address, size) as pilot:
        await _press(pilot, *keys)
        assert_golden(f"remote-{name}-{size[0]}x{size[1]}", text_of(_app(pilot)))


async def test_without_colours(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with remote(address, (80, 24)) as pilot:
        await _press(pilot, "o", "down", "right", "down")
        assert_golden("remote-mono-80x24", text_of(_app(pilot)))


# -- from the list to a machine, and back


async def test_it_begins_with_the_hosts_or_with_what_was_named(address: str) -> None:
    async with remote(address) as pilot:
        assert isinstance(_app(pilot).screen, HostsScreen)
    async with remote(address, focus=Focus(("web-3",))) as pilot:
        assert _app(pilot).current_mode == "cpu"
        assert "● web-3  live" in _screen(pilot)
    async with remote(address, focus=Focus(service="shop-db")) as pilot:
        assert "shop-db, " in _screen(pilot)


async def test_every_view_asks_about_what_was_chosen(address: str, aggregator: Served) -> None:
    async with remote(address) as pilot:
        await _press(pilot, "enter")
        del aggregator.asked[:]
        await _press(pilot, "1", "3", "4", "5")
    asked = [request for name, request in aggregator.asked if name in ("Query", "Aggregate")]
    assert {kind for request in asked for kind in [request.kind]} == set(Kind) - {
        Kind.GPU_KERNEL,
        Kind.GPU_COPY,
        Kind.GPU_CALL,
    }  # type: ignore[attr-defined]
    assert {tuple(request.hosts) for request in asked} == {("db-1",)}  # type: ignore[attr-defined]


async def test_the_ways_back_to_the_hosts(address: str) -> None:
    async with remote(address) as pilot:
        for keys in (["0"], ["escape"], ["down", "down", "enter", "escape", "escape", "escape"]):
            await _press(pilot, "enter", *keys)
            assert isinstance(_app(pilot).screen, HostsScreen), keys


async def test_the_view_that_was_looked_at_last_is_shown_of_the_next_host(address: str) -> None:
    async with remote(address) as pilot:
        await _press(pilot, "enter", "3", "0", "down", "enter")
        assert _app(pilot).current_mode == "syscalls"
        assert _app(pilot).looking.focus == Focus(("db-2",))


async def test_another_host_is_looked_at_at_the_same_time_but_with_nothing_of_the_one_before(address: str) -> None:
    async with remote(address) as pilot:
        await _press(pilot, "enter", "1", "tab", "down", "enter", "comma")
        before = _app(pilot).looking
        assert (before.process, before.past) != (None, False)
        await _press(pilot, "0", "down", "enter")
        after = _app(pilot).looking
        assert (after.process, after.zoom) == (None, ())
        assert after.time == before.time


async def test_nothing_of_one_host_is_shown_as_anothers(address: str, aggregator: Served) -> None:
    async with remote(address) as pilot:
        await _press(pilot, "enter", "1")
        assert "gunicorn" in _screen(pilot)
        await pilot.press("0")
        with aggregator.silent():
            await pilot.press("down", "enter")
            await until(pilot, lambda: _app(pilot).current_mode == "overview")
            await pilot.pause()
            assert "db-2" in _screen(pilot)
            assert "gunicorn" not in _screen(pilot), "that is db-1's"
        await until(pilot, lambda: "gunicorn" in _screen(pilot))


async def test_the_whole_fleet_from_anywhere(address: str) -> None:
    async with remote(address) as pilot:
        await _press(pilot, "enter", "f")
        assert "all 16 hosts" in _screen(pilot)
        assert "1/25 of events, ±0.8 points" in _screen(pilot)
        await _press(pilot, "0", "f")
        assert _app(pilot).current_mode == "cpu"


async def test_processes_of_several_hosts_have_names_and_no_numbers(address: str) -> None:
    async with remote(address) as pilot:
        await _press(pilot, "f", "1")
        rows = [row.split() for row in text_of(_app(pilot))]
        assert any(row[:2] == ["›", "gunicorn"] for row in rows)
        assert "PID" not in _screen(pilot)
        table = _app(pilot).screen.query_one(ProcessTable)
        table.focus()
        await _press(pilot, "down", "enter")
        assert "postgres" in text_of(_app(pilot))[0]
        assert "postgres (" not in text_of(_app(pilot))[0]
        snapshot = _app(pilot).snapshot
        assert snapshot is not None
        assert snapshot.icicle is not None
        assert [box.label.function for box in snapshot.icicle.rows[1].boxes] == ["postgres"]


async def test_calls_of_several_hosts_are_told_apart_by_the_process(address: str, aggregator: Served) -> None:
    async with remote(address, (160, 40)) as pilot:
        await _press(pilot, "f", "3")
        snapshot = _app(pilot).snapshot
        assert snapshot is not None
        futex = [line for line in snapshot.latencies.lines if line.key.name == "futex"]
        assert {line.told.process for line in futex} >= {"java", "gunicorn", "python3"}
        assert len({line.key for line in futex}) == len(futex)
        await _press(pilot, "enter")
        process = _app(pilot).looking.process
        assert process is not None
        narrowed = [request for name, request in aggregator.asked if name == "Query"][-1]
        assert narrowed.process == process.name  # type: ignore[attr-defined]
        assert not narrowed.pids  # type: ignore[attr-defined]


async def test_the_keys_of_a_fleet_are_there_only_over_one(address: str) -> None:
    async with remote(address) as pilot:
        await _press(pilot, "enter")
        does = {key.does for key in live_keys(_app(pilot).screen)}
        assert {"hosts", "whole fleet", "back 1 min", "freeze", "timeline", "live, or the end"} <= does
        assert "play or pause" not in does


# -- time


async def test_windows_reach_as_far_as_months(address: str) -> None:
    async with remote(address) as pilot:
        await _press(pilot, "enter", *["right_square_bracket"] * 5)
        assert _app(pilot).looking.window_s == 86400
        assert "last 1 d (has " in _screen(pilot)
        await _press(pilot, *["left_square_bracket"] * 3)
        assert _app(pilot).looking.window_s == 900


async def test_steps_are_those_of_one_machine(address: str, aggregator: Served) -> None:
    aggregator.store = filled(seconds=200)
    async with remote(address) as pilot:
        await _press(pilot, "enter")
        end = _app(pilot).held.end_ns
        for keys, seconds in ((["comma"], 1), (["less_than_sign"], 11), (["left_curly_bracket"], 71)):
            await _press(pilot, *keys)
            assert _app(pilot).looking.time.place(_app(pilot).held) == end - seconds * SECOND
        await _press(pilot, "L")
        assert not _app(pilot).looking.past


async def test_the_newest_of_several_hosts_ends_where_all_have_told(address: str, aggregator: Served) -> None:
    """They push every ten seconds, in turns: up to then, some are missing."""
    aggregator.store = filled(seconds=40)
    async with remote(address) as pilot:
        await _press(pilot, "enter")
        snapshot = _app(pilot).snapshot
        assert snapshot is not None
        newest = snapshot.end_ns
        await _press(pilot, "f")
        snapshot = _app(pilot).snapshot
        assert snapshot is not None
        assert snapshot.end_ns == newest - 10 * SECOND


async def test_it_follows_what_is_pushed(address: str, aggregator: Served) -> None:
    async with remote(address, focus=Focus(("db-1",))) as pilot:
        snapshot = _app(pilot).snapshot
        assert snapshot is not None
        assert snapshot.end_ns < START_NS + 13 * SECOND
        aggregator.store = filled(seconds=20)
        aggregator.tell()
        await until(pilot, lambda: _app(pilot).snapshot.end_ns > START_NS + 18 * SECOND, "what is new")  # type: ignore[union-attr]


async def test_while_nothing_is_pushed_nothing_is_asked_for(address: str, aggregator: Served) -> None:
    async with remote(address, focus=Focus(("db-1",))) as pilot:
        for _ in range(2):  # the first words may still have been on their way
            del aggregator.asked[:]
            for _ in range(20):
                await pilot.pause(0.03)
        await _press(pilot, "down", "down", "enter")
        assert [name for name, _ in aggregator.asked] == []


# -- what is said when something is missing, or bad


async def test_what_was_not_pushed_is_said_so(address: str, aggregator: Served) -> None:
    aggregator.store = filled(loads=(), cpu=50)
    async with remote(address) as pilot:
        await _press(pilot, "enter", "4")
        assert "agents collect it with --events lock" in _screen(pilot)


async def test_a_machine_that_was_mistyped_is_not_one_that_is_quiet(address: str, aggregator: Served) -> None:
    aggregator.store = MemoryStore(recorded=True)
    async with remote(address, focus=Focus(("db-l",))) as pilot:
        assert "Nothing of db-l" in _screen(pilot)
        assert "0 lists what there is" in _screen(pilot)
        await _press(pilot, "0")
        assert "db-1" in _screen(pilot)


async def test_nothing_in_a_window_is_not_nothing_at_all(address: str, aggregator: Served) -> None:
    aggregator.store = filled(seconds=12, in_flight=False)
    async with remote(address, focus=Focus(("db-1",))) as pilot:
        app = _app(pilot)
        app.look(replace(app.looking, process=replace_name(app), time=app.looking.time))
        await still(pilot)
        assert "Esc shows all processes" in _screen(pilot)


def replace_name(app: ApertureApp) -> Any:
    """A process that there is not."""
    snapshot = app.snapshot
    assert snapshot is not None
    from aperture_tui.tui.model import ProcessKey

    return ProcessKey(0, 0, "nobody")


async def test_an_empty_aggregator_says_how_to_fill_it(address: str, aggregator: Served) -> None:
    aggregator.hosts = []
    async with remote(address) as pilot:
        assert "aperture agent --remote agg.example.net" in _screen(pilot)
        await _press(pilot, "enter")
        assert isinstance(_app(pilot).screen, HostsScreen)


async def test_on_a_narrow_terminal_too_it_is_said_that_it_is_tried_again(aggregator: Served) -> None:
    with serving(aggregator) as address:
        pass
    told = Remote(RemoteSettings(address, TOKEN, tls=False), None)
    app = ApertureApp(told.connect, remote=told, refresh_hz=20)
    async with app.run_test(size=(60, 16)) as pilot:
        await until(pilot, lambda: "connection refused" in " ".join(text_of(app)[3:]), "why")
        assert "it is tried again" in " ".join(" ".join(text_of(app)).split())


async def test_nobody_there_is_said_and_tried_again(aggregator: Served) -> None:
    with serving(aggregator) as address:
        pass
    told = Remote(RemoteSettings(address, TOKEN, tls=False), None)
    app = ApertureApp(told.connect, remote=told, refresh_hz=20)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "connection refused" in _screen(pilot))
        assert "it is tried again" in _screen(pilot)
        assert told.link().state is LinkState.LOST
        with serving(aggregator, int(address.rpartition(":")[2])):
            await until(pilot, lambda: "web-12" in _screen(pilot), "the hosts")
            await until(pilot, lambda: "lost" not in text_of(app)[1])
            told.close()


async def test_a_wrong_token_is_one_clear_line(address: str) -> None:
    told = Remote(RemoteSettings(address, "wrong", tls=False), Focus(("db-1",)))
    app = ApertureApp(told.connect, remote=told, refresh_hz=20)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "the token was refused" in _screen(pilot))
        assert "No answer" in _screen(pilot)
        assert "Traceback" not in _screen(pilot)
    told.close()


async def test_a_lost_aggregator_leaves_its_last_picture_marked_as_old_and_mends_itself(aggregator: Served) -> None:
    aggregator.store = filled(in_flight=True)
    with serving(aggregator) as address:
        context = remote(address, focus=Focus(("db-1",)))
        pilot = await context.__aenter__()
    app = _app(pilot)
    try:
        await until(pilot, lambda: "! lost for" in text_of(app)[1])
        assert "as it was" in text_of(app)[1]
        assert "gunicorn" in _screen(pilot), "the last picture"
        await _press(pilot, "down", "down", "enter")
        await until(pilot, lambda: bool(app._view.icicle.view.zoom))  # type: ignore[union-attr]
        await pilot.press("3")
        await until(pilot, lambda: "No answer" in _screen(pilot))
        assert "IN FLIGHT" not in _screen(pilot), "that was never told of these calls"
        with serving(aggregator, int(address.rpartition(":")[2])):
            await until(pilot, lambda: "IN FLIGHT" in _screen(pilot), "an answer")
            await until(pilot, lambda: "lost" not in text_of(app)[1])
            await context.__aexit__(None, None, None)
    finally:
        app.exit()


async def test_a_slow_aggregator_does_not_hold_up_the_keys(address: str, aggregator: Served) -> None:
    async with remote(address, focus=Focus(("db-1",))) as pilot:
        with aggregator.silent():
            await pilot.press("3")
            await pilot.press("2", "down", "down", "right")
            assert len(_app(pilot)._view.icicle.selection) == 2  # type: ignore[union-attr]
            assert _app(pilot).remote.link().state is not LinkState.LOST, "nobody has given up waiting"  # type: ignore[union-attr]


async def test_a_long_question_says_so(address: str, aggregator: Served) -> None:
    async with remote(address, focus=Focus(("db-1",))) as pilot:
        with aggregator.silent():
            await pilot.press("4")
            await until(pilot, lambda: "asking" in text_of(_app(pilot))[0])
            await until(pilot, lambda: "~ slow" in text_of(_app(pilot))[1])


# -- searching


async def test_hosts_are_found_as_their_names_are_typed(address: str) -> None:
    async with remote(address) as pilot:
        await _press(pilot, "slash", *"SHOP-db")
        assert "0 of 16 hosts match" in _screen(pilot), "a capital letter makes it exact"
        await _press(pilot, *["backspace"] * 7, *"shop-db")
        assert "2 of 16 hosts match" in _screen(pilot)
        await _press(pilot, "enter")
        assert pilot.app.focused is _app(pilot).screen.query_one(HostTable)
        await _press(pilot, "down", "enter")
        assert _app(pilot).looking.focus == Focus(("db-2",))
        assert _app(pilot).looking.search is None, "it is a search for hosts, not for frames"
        await _press(pilot, "0")
        assert "2 of 16 hosts match" in _screen(pilot), "it stays"
        await _press(pilot, "escape")
        assert not _app(pilot).screen.query(SearchLine)
        assert "web-12" in _screen(pilot)


async def test_a_pattern_that_is_none_changes_nothing(address: str) -> None:
    async with remote(address) as pilot:
        await _press(pilot, "slash", *"db(")
        assert "not a pattern" in _screen(pilot)
        assert "db-1" in _screen(pilot)


def test_the_list_is_asked_for_whatever_is_looked_at() -> None:
    request = HostsScreen.request(HostsScreen.__new__(HostsScreen), None)  # type: ignore[arg-type]
    assert request == ViewRequest(width=0, processes=False, fleet=True)


# -- comparing


async def test_machines_are_compared_with_others_and_with_all(aggregator: Served, address: str) -> None:
    asked: list[tuple[list[str], list[str]]] = []
    plain = aggregator.Diff

    def diff(request: wire.DiffRequest, context: grpc.ServicerContext) -> wire.RowsReply:
        asked.append((list(request.base.hosts), list(request.after.hosts)))
        return plain(request, context)

    aggregator.Diff = diff  # type: ignore[method-assign]
    async with remote(address, (160, 36), Focus(("web-1",))) as pilot:
        app = _app(pilot)
        await _press(pilot, "2", "c")
        app.look(app.looking.of(Focus(("db-1",))))
        await _press(pilot, "down")
        assert asked[-1] == (["web-1"], ["db-1"])
        assert "against" in _screen(pilot)
        assert "web-1" in _screen(pilot).splitlines()[0]
        assert " points" in _screen(pilot)
        await _press(pilot, "c")
        app.look(app.looking.of(Focus()))
        await _press(pilot, "c")
        app.look(app.looking.of(Focus(("db-1",))))
        await still(pilot)
        assert asked[-1] == ([], ["db-1"]), "one machine against the fleet"


async def test_gpus_of_a_synthetic_host_have_tables_and_stacks_and_it_is_said_that_times_are_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote_answer, "_LEAST_S", 0.05)
    served = Served(synthetic(12), HOSTS, now_ns=lambda: NOW_NS)
    with serving(served) as address:
        async with remote(address, focus=Focus(("web-1",))) as pilot:
            await _press(pilot, "7")
            assert "7 GPU" in text_of(_app(pilot))[0]
            assert "An aggregator keeps sums" in _screen(pilot)
            await _press(pilot, "p")
            assert "shared memory" in _screen(pilot)
            assert "128x16" in _screen(pilot), "the shape comes with the stacks"
            await _press(pilot, "p")
            assert "pageable" in _screen(pilot)
            await _press(pilot, "p")
            assert "An aggregator keeps sums" in _screen(pilot)
            await _press(pilot, "p")
            assert "Synthetic H200" in _screen(pilot)
            await _press(pilot, "p")
            assert "train_step" in _screen(pilot)


async def test_without_gpu_events_the_view_says_how_agents_push_them(address: str) -> None:
    async with remote(address, focus=Focus(("web-1",))) as pilot:
        await _press(pilot, "7")
        assert "No GPU work was pushed" in _screen(pilot)
        assert "--events gpu" in _screen(pilot)
