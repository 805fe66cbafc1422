"""The filter line over an aggregator: on the list of hosts, in what is asked, and where it is too old for that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from aperture_tui.profile import kinds
from aperture_tui.profile.where import parse
from aperture_tui.store.remote.link import Focus
from aperture_tui.tui import remote_answer
from aperture_tui.tui.widgets.where_line import WhereInput
from aperture_tui.wire import fleet_pb2 as wire
from tests.store.served import serving
from tests.tui.screen import assert_golden, text_of, until
from tests.tui.test_remote import HOSTS, NOW_NS, Served, clocks, remote, still  # noqa: F401 (a fixture)
from tests.tui.waiting import filled

SIZES = pytest.mark.parametrize(
    "size", [(200, 50), (120, 40), (80, 24), (40, 10)], ids=lambda size: f"{size[0]}x{size[1]}"
)


class Older(Served):
    """As an aggregator whose version has no filter lines looks at a question."""

    def _query(self, name: str, selection: wire.Selection, context: grpc.ServicerContext) -> Any:
        try:
            kinds.Role(selection.role)
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not known here: {error}")
        return super()._query(name, selection, context)


@pytest.fixture(params=[Served])
def aggregator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Served:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(remote_answer, "_LEAST_S", 0.05)
    monkeypatch.setattr(remote_answer, "_FLEET_S", 0.05)
    told: Served = request.param(filled(in_flight=True), HOSTS, now_ns=lambda: NOW_NS)
    return told


@pytest.fixture
def address(aggregator: Served) -> Iterator[str]:
    with serving(aggregator) as address:
        yield address


async def _type(pilot: Any, text: str) -> None:
    await pilot.press("backslash")
    for letter in text:
        await pilot.press({"-": "minus", ":": "colon", " ": "space", "*": "asterisk"}.get(letter, letter))
    await pilot.press("enter")
    await still(pilot)


@SIZES
async def test_the_list_of_hosts_has_those_that_pass(size: tuple[int, int], address: str) -> None:
    async with remote(address, size) as pilot:
        await _type(pilot, "host:web-1* -service:x comm:a")
        assert_golden(f"remote-where-hosts-{size[0]}x{size[1]}", text_of(pilot.app))


async def test_on_the_list_of_hosts_escape_ends_the_search_and_then_takes_the_filter_off(address: str) -> None:
    async with remote(address, (120, 40)) as pilot:
        await _type(pilot, "host:absent")
        assert "no host passes the filter" in "\n".join(text_of(pilot.app))
        await pilot.press("backslash")
        assert pilot.app.screen.query_one(WhereInput).value == "host:absent"
        await pilot.press("escape", "slash", *"db", "enter", "escape")
        await still(pilot)
        assert pilot.app.looking.where == parse("host:absent")
        await pilot.press("escape")
        await still(pilot)
        assert not pilot.app.looking.where
        assert "web-12" in "\n".join(text_of(pilot.app))


async def test_what_is_asked_of_an_aggregator_has_the_line(address: str, aggregator: Served) -> None:
    async with remote(address, focus=Focus(("web-1",))) as pilot:
        await pilot.press("1")
        await still(pilot)
        aggregator.asked.clear()
        await _type(pilot, "comm:postgres")
        snapshot = pilot.app.snapshot
        assert [line.key.name for line in snapshot.processes] == ["postgres"]
        assert f"shows {snapshot.passed.percent} of {snapshot.passed.whole:,}" in text_of(pilot.app)[0]
        lines = {selection.where for _, request in aggregator.asked if (selection := _selection(request)).kind}
        assert lines == {"comm:postgres", ""}, "and what there is without it"
        await pilot.press("escape")
        await still(pilot)
        assert len(pilot.app.snapshot.processes) > 1


async def test_the_line_goes_along_to_other_machines(address: str) -> None:
    async with remote(address, focus=Focus(("web-1",))) as pilot:
        await pilot.press("1")
        await _type(pilot, "comm:postgres")
        await pilot.press("f")
        await still(pilot)
        assert pilot.app.looking.where == parse("comm:postgres")
        assert [line.key.name for line in pilot.app.snapshot.processes] == ["postgres"]


@pytest.mark.parametrize("aggregator", [Older], indirect=True)
async def test_an_older_aggregator_is_said_to_be_one_and_nothing_is_shown_as_filtered(address: str) -> None:
    async with remote(address, (120, 40), Focus(("web-1",))) as pilot:
        await pilot.press("backslash", *"sh", "enter")
        words = "it is of an older version, which has no filter lines"
        await until(pilot, lambda: words in "\n".join(text_of(pilot.app)), "why")
        assert pilot.app.snapshot.passed is None


def _selection(request: Any) -> wire.Selection:
    return request if isinstance(request, wire.Selection) else getattr(request, "selection", wire.Selection())
