"""The list of machines: what stands in its rows, their order, and what is found by typing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult

from aperture_tui.store.fleet_base import HostState
from aperture_tui.store.remote.link import Fleet, Focus
from aperture_tui.tui.look import look
from aperture_tui.tui.palette import Palette
from aperture_tui.tui.terminal import Colours
from aperture_tui.tui.widgets.host_columns import COLUMNS, Now, age
from aperture_tui.tui.widgets.host_lines import SORTS, HostLine, lines, natural
from aperture_tui.tui.widgets.hosts import HostTable, detail_rows
from aperture_tui.tui.widgets.placing import headings, place, table_row

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND


def host(name: str, service: str = "web", ago_s: float = 3, **rest: Any) -> HostState:
    told = {"version": "0.9.1", "events": 1000, "interval_ms": 10_000, "cpus": 8, "memory_bytes": 1 << 34, **rest}
    return HostState(name, service, seen_ns=NOW - int(ago_s * SECOND), first_ns=NOW - 3600 * SECOND, **told)


HOSTS = (
    host("web-10"),
    host("web-2", ago_s=95, lost=7),
    host("db-1", "db", version="0.8", problem="cpu: needs CAP_PERFMON"),
    host("old", "", ago_s=9000, events=5),
    host("视频\x1b[31m" + "x" * 300, "s" * 300, problem="y" * 900, cpus=0, memory_bytes=0, version=""),
)
FLEET = Fleet(HOSTS, NOW)


def names(found: list[HostLine]) -> list[str]:
    return [line.name[:6] for line in found]


# -- rows


@pytest.mark.parametrize("width", [20, 30, 40, 57, 60, 80, 120, 200])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_rows_and_headings_fill_every_width(width: int, grouped: bool, ascii_only: bool) -> None:
    placed = place(COLUMNS[grouped], width, "name")
    every = lines(FLEET, grouped=grouped, unfolded=frozenset({"web", ""}))
    rows = [table_row(line, placed, width, Now(NOW, ascii_only), True, True) for line in every]
    for row in (headings(placed, width, "name"), *rows):
        assert sum(cell_len(text) for text, _ in row) == width


@pytest.mark.parametrize("height", [0, 1, 2, 3])
@pytest.mark.parametrize("width", [20, 80, 200])
def test_details_fill_their_room(width: int, height: int) -> None:
    for line in (None, *lines(FLEET), *lines(FLEET, grouped=True)):
        rows = detail_rows(line, NOW, NOW, width, height)
        assert [sum(cell_len(text) for text, _ in row) for row in rows] == [width] * height


def text_of(line: HostLine, width: int = 120, grouped: bool = False) -> str:
    placed = place(COLUMNS[grouped], width, "name")
    return "".join(text for text, _ in table_row(line, placed, width, Now(NOW), False, False))


def test_a_machine_that_is_not_heard_of_has_a_sign_and_a_colour() -> None:
    fresh, stale = (next(one for one in lines(FLEET) if one.host == name) for name in ("web-10", "web-2"))
    assert "!" not in text_of(fresh)
    assert "! 95 s" in text_of(stale)
    placed = place(COLUMNS[False], 120, "name")
    keys = [key for text, key in table_row(stale, placed, 120, Now(NOW), False, False) if "95 s" in text]
    assert keys == ["*warning"]


def test_what_is_not_known_is_not_zero() -> None:
    odd = next(one for one in lines(FLEET) if one.host.startswith("视频"))
    cells = {column.title: column.cell(odd, Now(NOW), 20)[0][0] for column in COLUMNS[False]}
    assert (cells["CPUS"], cells["MEMORY"], cells["VERSION"]) == ("?", "?", "?")
    assert age(0, NOW) == "–"


def test_ages_are_whole_and_a_clock_that_is_ahead_is_now() -> None:
    ages = [age(NOW - int(s * SECOND), NOW) for s in (-50, 0.4, 1.5, 119, 150, 9000, 3 * 86400)]
    assert ages == ["now", "now", "1 s", "119 s", "2 min", "2 h", "3 d"]


def test_details_say_what_is_wrong() -> None:
    def said(line: HostLine) -> str:
        return " ".join("".join(text for text, _ in row) for row in detail_rows(line, NOW, NOW, 300, 2))

    of = {one.host: said(one) for one in lines(FLEET)}
    assert "nothing is known to be wrong" in of["web-10"]
    assert "not heard of for 95 s" in of["web-2"]
    assert "lost 7 events" in of["web-2"]
    assert "needs CAP_PERFMON" in of["db-1"]
    assert "pushes every 10 s" in of["web-10"]
    (web,) = (said(one) for one in lines(FLEET, grouped=True) if one.service == "web")
    assert "1 not heard of any more" in web
    assert "16 CPUs" in web


# -- order


def test_numbers_in_names_count() -> None:
    assert sorted(["web-10", "web-2", "a", "web-2b", "10", "9"], key=natural) == [
        "9",
        "10",
        "a",
        "web-2",
        "web-2b",
        "web-10",
    ]


@pytest.mark.parametrize(
    ("sort", "first"),
    [("last seen", "old"), ("lost", "web-2"), ("problem", "db-1"), ("name", "db-1"), ("service", "old")],
)
def test_what_is_looked_for_comes_first(sort: str, first: str) -> None:
    fleet = replace(FLEET, hosts=HOSTS[:4])
    assert names(lines(fleet, sort))[0] == first
    assert names(lines(replace(fleet, hosts=fleet.hosts[::-1]), sort)) == names(lines(fleet, sort)), "a stable order"


def test_every_order_is_one_of_a_column() -> None:
    for sort in SORTS:
        assert any(column.sort == sort for column in COLUMNS[False]), sort


# -- services


def test_services_have_what_their_machines_have_together() -> None:
    found = {line.service: line for line in lines(FLEET, grouped=True)}
    web = found["web"]
    assert (web.hosts, web.known, web.stale, web.lost, web.cpus) == (2, 2, 1, 7, 16)
    assert web.seen_ns == NOW - 3 * SECOND, "that of the one which was heard of last"
    assert web.focus == Focus(service="web")
    assert found[""].name == "(no service)"
    mixed = Fleet((host("a"), host("b"), host("c", version="1.0")), NOW)
    assert lines(mixed, grouped=True)[0].version == "0.9.1 +1"


def test_machines_stand_below_services_that_are_unfolded() -> None:
    found = lines(FLEET, grouped=True, unfolded=frozenset({"web"}))
    at = next(i for i, line in enumerate(found) if line.service == "web")
    assert [line.host for line in found[at : at + 3]] == ["", "web-2", "web-10"]
    assert [line.inside for line in found[at : at + 3]] == [False, True, True]


def test_a_service_of_which_not_all_match_says_so() -> None:
    (web,) = lines(FLEET, pattern="web-2", grouped=True)
    assert "1/2" in text_of(web, grouped=True)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("^web", ["web-2", "web-10"]), ("PERFMON", ["db-1"]), (r"^0\.8", ["db-1"]), ("(?i)DB", ["db-1"]), ("zz", [])],
)
def test_what_is_typed_is_looked_for_in_all_that_is_said(pattern: str, found: list[str]) -> None:
    assert names(lines(replace(FLEET, hosts=HOSTS[:4]), pattern=pattern)) == found


# -- the table


class Shown(App[None]):
    """The table alone, in a room of twelve rows."""

    def __init__(self, fleet: Fleet, seconds: list[float]) -> None:
        super().__init__()
        self.palette = Palette(look(None), Colours.RGB)
        self.fleet, self.seconds = fleet, seconds
        self.chosen: list[Focus] = []

    def compose(self) -> ComposeResult:
        yield HostTable(lambda: self.seconds[0])

    def on_mount(self) -> None:
        self.table.show(self.fleet)
        self.table.focus()

    @property
    def table(self) -> HostTable:
        return self.query_one(HostTable)

    @property
    def at(self) -> str:
        line = self.table.selected
        return "" if line is None else line.name

    def rows(self) -> list[str]:
        return ["".join(text for text, _ in row) for row in self.table.shown_rows]

    def on_host_table_chosen(self, message: HostTable.Chosen) -> None:
        self.chosen.append(message.focus)


async def test_the_cursor_stays_with_its_machine() -> None:
    app = Shown(replace(FLEET, hosts=HOSTS[:4]), [0.0])
    async with app.run_test(size=(100, 12)) as pilot:
        await pilot.press("down", "down")
        assert app.at == "web-2"
        await pilot.press("s")  # by when it was last seen
        assert app.at == "web-2"
        app.table.show(Fleet((*HOSTS[:4], host("aaa", ago_s=1)), NOW))
        assert app.at == "web-2"
        app.table.show(Fleet(HOSTS[2:4], NOW))
        assert app.at in ("db-1", "old"), "it is gone"
        app.table.show(FLEET)
        assert app.at == "web-2", "and comes back"


async def test_enter_looks_at_a_machine_or_at_a_service() -> None:
    app = Shown(replace(FLEET, hosts=HOSTS[:4]), [0.0])
    async with app.run_test(size=(100, 12)) as pilot:
        await pilot.press("down", "down", "enter", "o", "enter", "right", "down", "enter", "left", "enter")
        await pilot.pause()
    web = Focus(service="web")
    assert app.chosen == [Focus(("web-2",)), web, Focus(("web-2",)), web]


async def test_the_cursor_goes_to_the_service_and_back() -> None:
    app = Shown(replace(FLEET, hosts=HOSTS[:4]), [0.0])
    async with app.run_test(size=(100, 12)) as pilot:
        await pilot.press("end", "o")
        assert app.at == "web"
        await pilot.press("o")
        assert app.at == "web-2"


async def test_a_click_on_a_heading_sorts_and_one_on_a_row_selects() -> None:
    app = Shown(replace(FLEET, hosts=HOSTS[:4]), [0.0])
    async with app.run_test(size=(100, 12)) as pilot:
        await pilot.click(HostTable, offset=(app.rows()[0].index("LOST") + 1, 0))
        assert app.rows()[1].split()[0] in ("›web-2", "web-2")
        await pilot.click(HostTable, offset=(3, 2))
        assert app.at == "db-1"
        await pilot.click(HostTable, offset=(3, 2), times=2)
        assert app.chosen == [Focus(("db-1",))]


async def test_ages_go_on_between_answers_but_not_while_the_aggregator_is_lost() -> None:
    seconds = [0.0]
    app = Shown(replace(FLEET, hosts=HOSTS[:1]), seconds)
    async with app.run_test(size=(100, 12)):
        assert " 3 s" in app.rows()[1]
        seconds[0] = 20.0
        app.table.tick(lost=False)
        assert " 23 s" in app.rows()[1]
        seconds[0] = 90.0
        app.table.tick(lost=True)
        assert " 3 s" in app.rows()[1], "who has pushed since then is not known"
        assert app.table.stale == 0


async def test_thousands_of_machines_are_shown_in_no_time() -> None:
    many = Fleet(tuple(host(f"web-{i}", f"service-{i % 40}") for i in range(5000)), NOW)
    app = Shown(many, [0.0])
    async with app.run_test(size=(100, 12)) as pilot:
        await pilot.press("end")
        assert app.at == "web-4999"
        app.table.search("-49..$")
        assert app.table.shown == 100
        assert len(app.rows()) == 12, "only what is in sight is drawn"
        app.table.search("nothing")
        assert "no host matches" in app.rows()[1]
        assert app.table.selected is None
        await pilot.press("down", "enter", "o", "right")


def test_sorting_by_what_no_column_has_is_refused() -> None:
    with pytest.raises(ValueError, match="colour"):
        HostTable().sort_by("colour")
