"""The same forms over a recording and over an aggregator."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from textual.pilot import Pilot

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.query import Group
from aperture_tui.store.remote.link import Focus
from aperture_tui.tui.forms.crumbs import Crumbs
from aperture_tui.tui.forms.model import Which
from aperture_tui.tui.icicle.navigate import Place
from aperture_tui.tui.model import Baseline
from aperture_tui.wire import fleet_pb2 as wire
from tests.tui import test_remote
from tests.tui.forms.driving import app_of, icicle_of, view_of
from tests.tui.screen import assert_golden, running, settled, text_of
from tests.tui.test_remote import Served, remote, still

aggregator, address, clocks = test_remote.aggregator, test_remote.address, test_remote.clocks
SIZES = pytest.mark.parametrize("size", [(120, 40), (80, 24), (40, 10)], ids=lambda size: f"{size[0]}x{size[1]}")


async def _press(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await (still(pilot) if app_of(pilot).remote is not None else settled(pilot))


async def _every_form(pilot: Pilot[Any]) -> None:
    """Each form once, as it should be."""
    total = icicle_of(pilot).total
    await _press(pilot, "v")
    callers = icicle_of(pilot)
    assert callers.total == total
    assert FrameKind.PROCESS not in {box.label.kind for box in callers.rows[1].boxes}
    await _press(pilot, "v")
    table = view_of(pilot).functions
    assert table.display
    assert table.selected is not None
    assert table.selected.total <= total
    label = table.selected.label
    await _press(pilot, "enter")
    sides = icicle_of(pilot)
    assert sides.rows[sides.flip].boxes[0].label == label
    await _press(pilot, "escape", "v", "K", "r", "percent_sign")
    said = text_of(app_of(pilot))[view_of(pilot).query_one(Crumbs).region.y]
    assert "hidden" in said or "-K" in said or "-kernel" in said
    assert icicle_of(pilot).total == total
    assert FrameKind.KERNEL not in {box.label.kind for row in icicle_of(pilot).rows for box in row.boxes}


@SIZES
async def test_over_a_recording(size: tuple[int, int]) -> None:
    async with running(size, recording="busy.aperture") as pilot:
        await _press(pilot, "2")
        await _every_form(pilot)


@SIZES
async def test_over_an_aggregator(address: str, size: tuple[int, int]) -> None:
    async with remote(address, size, Focus(("db-1",))) as pilot:
        await _press(pilot, "2")
        await _every_form(pilot)


async def test_a_form_asks_an_aggregator_for_nothing_more(address: str, aggregator: Served) -> None:
    async with remote(address, focus=Focus(("db-1",))) as pilot:
        await _press(pilot, "2")
        for _ in range(2):  # the first words may still have been on their way
            del aggregator.asked[:]
            for _ in range(10):
                await pilot.pause(0.03)
        await _press(pilot, "v", "v", "down", "enter", "escape", "v", "K", "i", "percent_sign")
        assert [name for name, _ in aggregator.asked] == []
        assert app_of(pilot).looking.form.which is Which.TREE


async def test_groups_are_asked_of_an_aggregator(address: str, aggregator: Served) -> None:
    async with remote(address, focus=Focus(("db-1",))) as pilot:
        await _press(pilot, "2", "t", "t")
        assert app_of(pilot).looking.group is Group.CGROUP
        asked = [request for name, request in aggregator.asked if name == "Query"]
        assert Group.CGROUP in {request.group for request in asked}  # type: ignore[attr-defined]
        assert {box.label.kind for box in icicle_of(pilot).rows[1].boxes} == {FrameKind.TAG}


@SIZES
async def test_another_host_is_the_baseline_at_the_same_time(
    aggregator: Served, address: str, size: tuple[int, int]
) -> None:
    asked: list[tuple[list[str], list[str]]] = []
    times: list[tuple[int, int]] = []
    plain = aggregator.Diff

    def diff(request: wire.DiffRequest, context: grpc.ServicerContext) -> wire.RowsReply:
        asked.append((list(request.base.hosts), list(request.after.hosts)))
        times.append((request.base.end_ns, request.after.end_ns))
        return plain(request, context)

    aggregator.Diff = diff  # type: ignore[method-assign]
    async with remote(address, size) as pilot:
        await _press(pilot, "down", "c")
        base = app_of(pilot).looking.base
        assert base == Baseline(0, 0, focus=Focus(("db-2",)))
        assert_golden(f"remote-baseline-{size[0]}x{size[1]}", text_of(app_of(pilot)))
        await _press(pilot, "up", "enter")
        assert asked[-1] == (["db-2"], ["db-1"])
        assert len(set(times[-1])) == 1
        assert icicle_of(pilot).base_total
        assert "db-2" in text_of(app_of(pilot))[0] or size[0] == 40
        await _press(pilot, "comma")
        assert len(set(times[-1])) == 1, "the same time, wherever one goes"
        await _press(pilot, "0", "down", "c")
        assert app_of(pilot).looking.base is None


async def test_a_service_is_a_baseline_too(aggregator: Served, address: str) -> None:
    async with remote(address) as pilot:
        await _press(pilot, "o", "down", "c")
        base = app_of(pilot).looking.base
        assert base is not None
        assert base.focus.service is not None
        assert not base.focus.hosts


async def test_zoom_and_place_stay_where_they_are_while_time_passes() -> None:
    async with running((120, 40)) as pilot:
        await _press(pilot, "2", "i", "up", "up")
        selection = view_of(pilot).icicle.selection
        view_of(pilot).icicle.show(icicle_of(pilot), None)
        assert view_of(pilot).icicle.selection == selection
        place = view_of(pilot).icicle._place
        assert isinstance(place, Place)
        assert place.row == len(icicle_of(pilot).rows) - 3
