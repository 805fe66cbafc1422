"""Whatever things are called, every row of every table and box has exactly the cells that it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from aperture_tui.filters.worker import LIMITS
from aperture_tui.profile.completeness import Completeness
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.store.base import Span
from aperture_tui.store.fleet_base import HostState
from aperture_tui.store.remote.link import Fleet
from aperture_tui.tui.gpu.pages import pages_row
from aperture_tui.tui.icicle.labels import make_label
from aperture_tui.tui.icicle.render import icicle_row
from aperture_tui.tui.model import Box, ProcessKey, Row
from aperture_tui.tui.palette import Spans
from aperture_tui.tui.screens.panel import health_rows, help_rows
from aperture_tui.tui.widgets.details import detail_rows, words_rows
from aperture_tui.tui.widgets.filter_columns import placed
from aperture_tui.tui.widgets.filter_details import detail_rows as filter_rows
from aperture_tui.tui.widgets.filter_details import log_rows
from aperture_tui.tui.widgets.header import header_row
from aperture_tui.tui.widgets.health import health_row
from aperture_tui.tui.widgets.host_columns import COLUMNS, Now
from aperture_tui.tui.widgets.host_lines import lines
from aperture_tui.tui.widgets.hosts import detail_rows as host_rows
from aperture_tui.tui.widgets.keys import Key, keys_row
from aperture_tui.tui.widgets.latencies import ColumnSet, columns, heading_row
from aperture_tui.tui.widgets.line_details import line_rows
from aperture_tui.tui.widgets.placing import headings, place, table_row
from aperture_tui.tui.widgets.processes import Columns, process_row
from aperture_tui.tui.widgets.processes import heading_row as process_heading
from aperture_tui.tui.widgets.remote_line import remote_row
from aperture_tui.tui.widgets.search import message_row
from aperture_tui.tui.widgets.time_line import time_row
from tests.tui.filters import LINES
from tests.tui.test_sizes import HOSTILE_NAMES
from tests.tui.widgets.test_filters import ROWS
from tests.tui.widgets.test_header import FULL
from tests.tui.widgets.test_hosts import NOW
from tests.tui.widgets.test_latencies import WHOLE, _line
from tests.tui.widgets.test_processes import LINE
from tests.tui.widgets.test_remote_line import LIVE
from tests.tui.widgets.test_time_line import FACTS

names = st.one_of(st.text(max_size=40), st.sampled_from(HOSTILE_NAMES), st.text("视e\u0301\u200d👩a ", max_size=30))
Draw = Callable[[str, str, int, bool], Sequence[Spans]]


def _processes(name: str, other: str, width: int, mono: bool) -> Sequence[Spans]:
    line = LINE._replace(key=ProcessKey(4711, 1, name), place=other)
    some = Columns(width)
    return process_heading(some, line.key), process_row(line, some, True, True, 0.4, mono)


def _boxes(name: str, other: str, width: int, mono: bool) -> Sequence[Spans]:
    label = make_label(name, other, other, 42, FrameKind.NATIVE)
    boxes = (Box(0, width // 3, 0, label, 250, 50), Box(width // 2, width, 0, label, 250, 50))
    first = icicle_row(Row(boxes), width, 0, lambda _: True, mono, change=lambda _: 1, marks=len(name) % 2 == 0)
    return first, icicle_row(Row((), note=name), width)


def _details(name: str, other: str, width: int, _mono: bool) -> Sequence[Spans]:
    box = Box(0, 9, 0, make_label(name, other, other, 42, FrameKind.NATIVE), 250, 50)
    return [*detail_rows(box, box, 1000, width, 2, 7), *words_rows(name, [other, name], width, 3)]


def _heading(name: str, other: str, width: int, _mono: bool) -> Sequence[Spans]:
    told = replace(FULL, host=name, process=other, pinned=name, against=other)
    return [header_row(told, width)]


def _hosts(name: str, other: str, width: int, mono: bool) -> Sequence[Spans]:
    told = {"problem": name, "version": other, "kernel": name, "seen_ns": NOW, "first_ns": NOW}
    rows: list[Spans] = []
    for grouped in (False, True):
        some = place(COLUMNS[grouped], width, "name")
        rows.append(headings(some, width, "name"))
        for line in lines(Fleet((HostState(name, other, **told),), NOW), grouped=grouped):  # type: ignore[arg-type]
            rows += [table_row(line, some, width, Now(NOW, mono), True, True), *host_rows(line, NOW, NOW, width, 3)]
    return rows


def _calls(name: str, other: str, width: int, mono: bool) -> Sequence[Spans]:
    line = _line(name, process=other)
    rows = [*line_rows(line, width, 1), *line_rows(line, width, 2)]
    for which in ColumnSet:
        some = columns(width, which, "total")
        rows += [heading_row(some, width, "total"), table_row(line, some, width, WHOLE._replace(mono=mono))]
    return rows


def _filters(name: str, other: str, width: int, _mono: bool) -> Sequence[Spans]:
    state = ROWS[0].state
    one = ROWS[0]._replace(state=replace(state, name=name, at_work=state.at_work._replace(reason=other)))
    said = log_rows([replace(LINES[0], text=other)], width)
    return [table_row(one, placed(width), width, None, True, True), *said, *filter_rows(one, LIMITS, width)]


def _health(name: str, other: str, width: int, _mono: bool) -> Sequence[Spans]:
    health = (Health(name, State.FAILED, other, 1, {other: 3}, {name: 1}),)
    row = health_row(health, None, Span(0, 0, limit=name), Completeness(), width, other)
    return [row, *health_rows(health, Completeness(), width)]


def _lines(name: str, other: str, width: int, mono: bool) -> Sequence[Spans]:
    rows = [time_row(replace(FACTS, name=name, host=other), width, mono)[0]]
    return [*rows, remote_row(replace(LIVE, aggregator=name, looked_at=other), width, mono)[0]]


def _keys(name: str, other: str, width: int, _mono: bool) -> Sequence[Spans]:
    key = Key((name[:12] or "x", other), "end it", "quit", True, "everywhere", None)  # type: ignore[arg-type]
    return [
        keys_row([key, key], width)[0],
        *help_rows([key], max(width, 24)),
        message_row(name, None, ("all", "text"), width),
    ]


DRAWN: dict[str, Draw] = {
    "processes": _processes, "boxes": _boxes, "details": _details, "heading": _heading, "hosts": _hosts,
    "calls": _calls, "filters": _filters, "health": _health, "lines": _lines, "keys": _keys,
}  # fmt: skip


@pytest.mark.parametrize("what", DRAWN)
@given(names, names, st.integers(24, 320), st.booleans())
def test_every_row_has_its_cells(what: str, name: str, other: str, width: int, mono: bool) -> None:
    for row in DRAWN[what](name, other, width, mono):
        told = "".join(text for text, _ in row)
        assert cell_len(told) == width, told
        assert sum(cell_len(text) for text, _ in row) == width, "cut within what belongs together"
        assert told.isprintable()


def test_pages_have_their_cells() -> None:
    from aperture_tui.tui.gpu.pages import Page

    for width in (40, 80, 300):
        row, _ = pages_row(next(iter(Page)), [], width)
        assert sum(cell_len(text) for text, _ in row) == width
