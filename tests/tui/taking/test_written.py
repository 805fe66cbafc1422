"""What is exported is what is looked at: on every view, of recordings, over an aggregator, of one and compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from aperture_tui.profile.query import Measure, Query
from aperture_tui.recording.replay import replay
from aperture_tui.recording.writer import Writer
from aperture_tui.store.base import Estimate
from aperture_tui.store.fleet_base import HostState
from aperture_tui.store.remote.link import Focus
from aperture_tui.tui.model import ViewSnapshot
from aperture_tui.tui.taking.job import Progress, State
from tests.export import others
from tests.store.served import Aggregator, serving
from tests.tui import test_remote
from tests.tui.gpu.synthetic import synthetic
from tests.tui.screen import running, settled
from tests.tui.synthetic import SECOND, START_NS
from tests.tui.taking import read_back
from tests.tui.taking.test_panel import app_of, choose, panel, press, screen, write
from tests.tui.waiting import LOCKS, Builder, filled

STACKS = ("svg", "speedscope", "pprof", "folded")
NOW_NS = START_NS + 16 * SECOND


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where files go."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUDO_UID", raising=False)
    return tmp_path


def shown(pilot: Pilot[Any]) -> ViewSnapshot:
    snapshot = app_of(pilot).snapshot
    assert snapshot is not None
    assert snapshot.icicle is not None
    return snapshot


def total(pilot: Pilot[Any]) -> int:
    """The weight of all that is on the screen: of system calls the table's, since few have stacks."""
    snapshot = shown(pilot)
    return snapshot.latencies.total_ns if snapshot.request.kind.name == "SYSCALL" else snapshot.icicle.total  # type: ignore[union-attr]


async def exported(pilot: Pilot[Any], form: str, folder: Path) -> Path:
    """Export in a format -> the file."""
    await press(pilot, "e")
    await choose(pilot, form)
    before = set(folder.iterdir())
    assert await write(pilot) is State.DONE, screen(pilot)
    (file,) = set(folder.iterdir()) - before
    await press(pilot, "enter")
    return file


def progress(pilot: Pilot[Any]) -> Progress:
    export = app_of(pilot).exports.job
    assert export is not None
    return export.progress


def weight_of(file: Path, form: str, pilot: Pilot[Any]) -> int:
    """The weight of a file in the measure of the screen."""
    query = shown(pilot).asked[0]
    timed = query.measure is Measure.TIME
    if form == "json" and timed:
        rows = json.loads(file.read_text())["latencies"][query.kind.name.lower()]
        return sum(row["time_ns"] for row in rows)
    return read_back.timed(file) if form == "pprof" and timed else read_back.weight(file, form)


async def all_equal(pilot: Pilot[Any], folder: Path, forms: Sequence[str] = (*STACKS, "json")) -> None:
    """Every one of these formats weighs what is on the screen."""
    wanted = total(pilot)
    assert wanted > 0
    found = {form: weight_of(await exported(pilot, form, folder), form, pilot) for form in forms}
    assert found == dict.fromkeys(forms, wanted)


@pytest.mark.parametrize("key", ["1", "2", "3", "4", "5"])
async def test_every_view_in_every_format(key: str, folder: Path) -> None:
    others.inferno()
    async with running((80, 24), store=filled()) as pilot:
        await press(pilot, key)
        await all_equal(pilot, folder)


@pytest.mark.parametrize("key", ["2", "3", "4", "5"])
async def test_reports_and_timelines(key: str, folder: Path) -> None:
    async with running((120, 40), store=filled()) as pilot:
        await press(pilot, key)
        text = (await exported(pilot, "text", folder)).read_text()
        words = {"2": "960 samples", "3": "pread64", "4": "table_lock", "5": "Off-CPU: blocked"}[key]
        assert words in text
        assert not any(
            other in text for other in {"Syscalls", "Locks", "Off-CPU"} - {words.partition(":")[0]} if key == "2"
        )
        events = json.loads((await exported(pilot, "perfetto", folder)).read_text())["traceEvents"]
        assert len(events) > 10


async def test_kernels_of_gpus(folder: Path) -> None:
    others.inferno()
    async with running((80, 24), store=synthetic()) as pilot:
        await press(pilot, "7")
        wanted = total(pilot)
        found = {
            form: read_back.weight(await exported(pilot, form, folder), form)
            for form in ("svg", "speedscope", "folded", "json")
        }
        assert found == dict.fromkeys(found, wanted)
        assert read_back.timed(await exported(pilot, "pprof", folder)) == wanted
        text = (await exported(pilot, "text", folder)).read_text()
        assert "GPU kernels" in text
        assert "GPU copies" in text
        events = json.loads((await exported(pilot, "perfetto", folder)).read_text())["traceEvents"]
        assert {event["name"] for event in events} >= {"gpu_kernel", "device to host, pinned"}, "copies as well"
        assert all(file.name.startswith("aperture-build-7-gpu-") for file in folder.iterdir())


async def test_one_process_one_lock_by_thread_in_a_window_of_the_past(folder: Path) -> None:
    """Whatever narrows the picture narrows the file."""
    others.inferno()
    async with running((80, 24), store=filled()) as pilot:
        await press(pilot, "4")
        whole = total(pilot)
        await press(pilot, "enter")
        of_lock = total(pilot)
        await press(pilot, "left_square_bracket", "comma", "comma", "t")
        process = shown(pilot).latencies.lines[0].process
        app_of(pilot).look(app_of(pilot).looking.only(process))
        await settled(pilot)
        assert 0 < total(pilot) < whole
        app_of(pilot).look(app_of(pilot).looking.of_lock(shown(pilot).latencies.lines[0].key))
        await settled(pilot)
        assert total(pilot) < of_lock < whole
        await all_equal(pilot, folder)
        (file,) = folder.glob("*.folded")
        stacks = [line.split(";") for line in file.read_text().splitlines()]
        assert {stack[0] for stack in stacks} == {"postgres"}
        assert all(stack[1].startswith("worker 21") for stack in stacks), "by thread, as on the screen"


async def test_wakers_are_what_is_counted(folder: Path) -> None:
    others.inferno()
    async with running((80, 24), store=filled()) as pilot:
        await press(pilot, "4", "w")
        assert total(pilot) == 12 * 72
        await all_equal(pilot, folder, STACKS)


async def test_who_woke_one_process_is_put_together(folder: Path) -> None:
    others.inferno()
    async with running((80, 24), store=filled()) as pilot:
        await press(pilot, "1")
        line = next(line for line in shown(pilot).processes if line.key.name == "postgres")
        app_of(pilot).look(app_of(pilot).looking.only(line.key))
        await press(pilot, "5")
        await press(pilot, "w")
        assert len(shown(pilot).asked) > 1
        assert total(pilot) == 12 * 50
        await all_equal(pilot, folder, ("svg", "folded"))


async def test_zoom_and_search_change_nothing_and_that_is_said(folder: Path) -> None:
    async with running((160, 40), store=filled()) as pilot:
        await press(pilot, "2", "down", "enter", "slash", *"read", "enter")
        await press(pilot, "e")
        assert "all of it, whatever the zoom and search" in screen(pilot)
        await press(pilot, "escape")
        assert read_back.weight(await exported(pilot, "folded", folder), "folded") == total(pilot)


# -- compared


async def test_where_two_are_compared_the_file_tells_what_changed(folder: Path) -> None:
    others.inferno()
    async with running((160, 40), store=filled()) as pilot:
        for keys in (("2", "left_square_bracket", "less_than_sign"), ("c",), ("greater_than_sign",)):
            await press(pilot, *keys)
        assert shown(pilot).icicle.base_total  # type: ignore[union-attr]
        await press(pilot, "e")
        assert "a flame graph of what changed" in screen(pilot)
        assert "compared with 22:13:20 to 22:13:21" in screen(pilot)
        await press(pilot, "escape")
        document = json.loads((await exported(pilot, "json", folder)).read_text())
        assert document["base"]["weight"] == shown(pilot).icicle.base_total  # type: ignore[union-attr]
        assert document["after"]["weight"] == total(pilot)
        assert document["per"] == "share"
        assert "Regressions" in (await exported(pilot, "text", folder)).read_text()
        drawing = await exported(pilot, "svg", folder)
        assert drawing.name == "aperture-build-7-cpu-diff-20231114-221331.svg"
        assert read_back.weight(drawing, "svg") == total(pilot)
        assert read_back.weight(await exported(pilot, "folded", folder), "folded") == total(pilot), "of now alone"
        await press(pilot, "C")
        assert json.loads((await _again(pilot, "json", folder)).read_text())["per"] == "run"


async def _again(pilot: Pilot[Any], form: str, folder: Path) -> Path:
    for file in folder.iterdir():
        file.unlink()
    return await exported(pilot, form, folder)


async def test_by_thread_and_of_locks_it_can_be_compared_as_well(folder: Path) -> None:
    async with running((160, 40), store=filled()) as pilot:
        await press(pilot, "4", "left_square_bracket", "less_than_sign", "c", "greater_than_sign", "t")
        document = json.loads((await exported(pilot, "json", folder)).read_text())
        assert (document["by"], document["after"]["weight"]) == ("total", total(pilot))


# -- recorded


@pytest.fixture
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "busy.aperture"
    writer, builder = Writer(path), Builder()
    for second in range(20):
        builder.cpu(second, 100)
        for load in LOCKS:
            builder.load(load, second)
        writer.append(builder.batch())
    writer.close()
    return path


async def test_of_a_recording_at_some_moment(recording: Path, folder: Path) -> None:
    others.inferno()
    async with running((80, 24), lambda: replay(recording), recording="busy.aperture", refresh_hz=20) as pilot:
        await press(pilot, "2", "left_square_bracket", "less_than_sign")
        await settled(pilot)
        assert total(pilot) < replay(recording).call_tree(Query()).weight
        await all_equal(pilot, folder)
        await press(pilot, "4")
        await all_equal(pilot, folder)


async def test_the_screen_may_ask_for_something_else_meanwhile(recording: Path, folder: Path) -> None:
    """Whoever leaves an answer for another one ends that alone, and no export out of the same store."""
    async with running((120, 40), lambda: replay(recording), recording="busy.aperture", refresh_hz=20) as pilot:
        await press(pilot, "2", "e")
        await choose(pilot, "json")
        wanted = total(pilot)
        await pilot.press("enter", "comma", "less_than_sign", "greater_than_sign", "full_stop")
        for _ in range(400):
            if progress(pilot).state is not State.WORKING:
                break
            await pilot.pause(0.01)
        assert progress(pilot).state is State.DONE, progress(pilot)
        assert read_back.weight(next(iter(folder.iterdir())), "json") == wanted


# -- over an aggregator


@pytest.fixture
def aggregator(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Aggregator, str]]:
    monkeypatch.setattr("aperture_tui.tui.remote_answer._LEAST_S", 0.05)
    hosts = [HostState(f"web-{i}", "shop", seen_ns=NOW_NS, events=1, interval_ms=10_000) for i in range(3)]
    served = Aggregator(filled(), hosts, now_ns=lambda: NOW_NS)
    with serving(served) as address:
        yield served, address


async def test_of_one_machine_of_an_aggregator(aggregator: tuple[Aggregator, str], folder: Path) -> None:
    others.inferno()
    served, address = aggregator
    async with test_remote.remote(address, (80, 24), Focus(("web-1",))) as pilot:
        for key in "24":
            await press(pilot, key)
            await settled(pilot)
            before = len(served.asked)
            await all_equal(pilot, folder)
            asked = [list(selection.hosts) for name, selection in served.asked[before:] if name == "Query"]  # type: ignore[attr-defined]
            assert asked
            assert all(hosts == ["web-1"] for hosts in asked), "of this machine alone"
        assert all(file.name.startswith("aperture-web-1-") for file in folder.iterdir())


async def test_an_estimate_is_said_with_the_file(aggregator: tuple[Aggregator, str], folder: Path) -> None:
    served, address = aggregator
    served.estimate = Estimate(25, 400_000, 0.008)
    async with test_remote.remote(address, focus=Focus()) as pilot:
        await press(pilot, "2")
        file = await exported(pilot, "folded", folder)
        assert file.name.startswith("aperture-fleet-cpu-")
        assert "an estimate out of one in 25 events" in progress(pilot).lacks[0]


async def test_an_aggregator_that_does_not_answer_is_one_line(aggregator: tuple[Aggregator, str], folder: Path) -> None:
    import grpc

    served, address = aggregator
    async with test_remote.remote(address, focus=Focus(("web-1",))) as pilot:
        await press(pilot, "2", "e")
        await choose(pilot, "folded")
        served.failing = (grpc.StatusCode.RESOURCE_EXHAUSTED, "too much\x1b[31m at once")
        assert await write(pilot) is State.FAILED
        assert "too much" in screen(pilot)
        assert list(folder.iterdir()) == []
        assert panel(pilot) is not None


async def test_of_the_list_of_hosts_there_are_pictures_alone(aggregator: tuple[Aggregator, str], folder: Path) -> None:
    _, address = aggregator
    async with test_remote.remote(address) as pilot:
        await press(pilot, "e")
        assert {one.form.name for one in panel(pilot)._list.choices if not one.problem} == {"picture", "screen"}
        await press(pilot, "escape")
        file = await exported(pilot, "screen", folder)
        assert "web-2" in file.read_text()
        assert file.name.startswith("aperture-fleet-hosts-")
