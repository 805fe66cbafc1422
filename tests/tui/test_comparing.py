"""A picture compared with another: of another time, another process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.memory import MemoryStore
from aperture_tui.tui.answer import Answers
from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.icicle.change import step
from aperture_tui.tui.icicle.widget import Icicle
from aperture_tui.tui.model import Baseline, Box, IcicleView, ProcessKey, ViewRequest
from aperture_tui.tui.screens.words import no_base
from tests.store.facts import T0, Fact, batch_of
from tests.tui.screen import assert_golden, running, settled, text_of
from tests.tui.synthetic import SECOND, SyntheticStore

SIZES = pytest.mark.parametrize("size", [(120, 40), (80, 24), (40, 10)], ids=lambda size: f"{size[0]}x{size[1]}")
BASE = Baseline(T0, T0 + 10 * SECOND)


WEB, DB = Process(1, 1, "web"), Process(2, 1, "db")
MAIN, PARSE, WAIT = (Frame(name, "x") for name in ("main", "parse", "wait"))


def store() -> MemoryStore:
    """Of the first ten seconds, and of the next: `parse` grew from a quarter to three."""
    out = MemoryStore()
    facts = [
        Fact(T0 + 3 * SECOND, WEB, stack=(MAIN, PARSE), weight=100),
        Fact(T0 + 3 * SECOND, WEB, stack=(MAIN, WAIT), weight=300),
        Fact(T0 + 15 * SECOND, WEB, stack=(MAIN, PARSE), weight=600),
        Fact(T0 + 15 * SECOND, DB, stack=(MAIN, WAIT), weight=200),
    ]
    out.append(batch_of(facts, Symbols()))
    return out


def boxes(view: IcicleView | None) -> dict[str, Box]:
    assert view is not None
    return {box.label.function: box for row in view.rows for box in row.boxes}


def asked(**choices: Any) -> ViewRequest:
    return ViewRequest(80, window_s=10.0, end_ns=T0 + 15 * SECOND, base=BASE, **choices)


def test_a_window_is_compared_with_another() -> None:
    view = Answers(store()).answer(asked(), fresh=True).icicle
    assert view is not None
    assert (view.total, view.base_total) == (800, 400)
    assert (boxes(view)["parse"].total, boxes(view)["parse"].was) == (600, 100)
    assert step(boxes(view)["parse"], view) == 3
    assert boxes(view)["wait"].was == 300
    assert step(boxes(view)["wait"], view) == -3


def test_a_process_is_compared_with_itself_or_with_what_was_looked_at_then() -> None:
    answers = Answers(store())
    web = ProcessKey(1, 1, "web")
    alone = answers.answer(asked(process=web), fresh=True).icicle
    assert alone is not None
    assert (alone.total, alone.base_total) == (600, 400), "everybody, as then"
    itself = replace(asked(process=web), base=BASE._replace(process=web))
    assert (boxes(answers.answer(itself, fresh=True).icicle)["wait"].was) == 300
    other = replace(asked(process=ProcessKey(2, 1, "db")), base=BASE._replace(process=web))
    found = boxes(answers.answer(other, fresh=True).icicle)
    assert (found["wait"].total, found["wait"].was, found["parse"].total) == (200, 300, 0)


def test_zoom_search_order_and_weights_ask_the_store_nothing() -> None:
    held = store()
    answers = Answers(held)
    first = answers.answer(asked(), fresh=True)
    held.compared = None  # type: ignore[assignment,method-assign]  # whoever asks again fails
    weights = answers.answer(asked(absolute=True, by_weight=True, search="parse"), fresh=False).icicle
    assert weights is not None
    assert weights.absolute
    assert weights.matching == 600
    assert (weights.total, weights.base_total) == (800, 400)
    assert first.icicle is not None
    assert not first.icicle.absolute


def test_a_time_that_is_not_held_says_so_and_is_no_zero() -> None:
    gone = replace(asked(), base=Baseline(T0 - 90 * SECOND, T0 - 80 * SECOND))
    view = Answers(store()).answer(gone, fresh=True).icicle
    assert view is not None
    assert view.base_total == 0
    assert {step(box, view) for box in boxes(view).values()} == {None}, "nothing is known to have come"
    assert no_base(view) == "(nothing then, or not held any more)"


def test_who_woke_the_threads_of_a_process_is_compared_with_nothing() -> None:
    view = Answers(store()).answer(asked(kind=Kind.OFFCPU, wakers=True, process=ProcessKey(1, 1, "web")), True).icicle
    assert view is not None
    assert view.base_total is None
    assert no_base(view) == "(cannot be compared)"


# -- on the screen


def _app(pilot: Pilot[Any]) -> ApertureApp:
    assert isinstance(pilot.app, ApertureApp)
    return pilot.app


def _screen(pilot: Pilot[Any]) -> str:
    return "\n".join(text_of(_app(pilot)))


async def _press(pilot: Pilot[Any], *keys: str) -> None:
    await pilot.press(*keys)
    await settled(pilot)


async def _against_everybody(pilot: Pilot[Any]) -> None:
    """One process, compared with all of them."""
    await _press(pilot, "c")
    app = _app(pilot)
    assert app.snapshot is not None
    app.look(app.looking.only(app.snapshot.processes[0].key))
    await _press(pilot, "2")


@SIZES
async def test_pictures(size: tuple[int, int]) -> None:
    async with running(size) as pilot:
        await _against_everybody(pilot)
        await _press(pilot, "down", "down", "right", "down")
        assert_golden(f"compared-{size[0]}x{size[1]}", text_of(_app(pilot)))


async def test_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with running((80, 24)) as pilot:
        await _against_everybody(pilot)
        assert_golden("mono-compared-80x24", text_of(_app(pilot)))


async def test_the_same_key_begins_and_ends_it_and_the_header_says_against_what() -> None:
    async with running((160, 40), SyntheticStore()) as pilot:
        await _press(pilot, "2")
        assert "against" not in _screen(pilot)
        await _press(pilot, "c")
        base = _app(pilot).looking.base
        snapshot = _app(pilot).snapshot
        assert base is not None
        assert snapshot is not None
        assert (base.start_ns, base.end_ns) == (snapshot.end_ns - snapshot.range_ns, snapshot.end_ns + 1)
        assert "against" in _screen(pilot)
        await _press(pilot, "down")
        assert "+0.00 points" in _screen(pilot)
        await _press(pilot, "C")
        assert "by weight" in _screen(pilot)
        await _press(pilot, "4")
        assert "against" in _screen(pilot), "other views compare too"
        await _press(pilot, "2", "c")
        assert "against" not in _screen(pilot)
        assert _app(pilot).looking.base is None


async def test_escape_leads_out_of_it_last() -> None:
    async with running((120, 40)) as pilot:
        await _press(pilot, "2", "c")
        await _press(pilot, "down", "down", "enter")
        await _press(pilot, "escape")
        assert _app(pilot).looking.base is not None
        for _ in range(3):
            await _press(pilot, "escape")
        assert _app(pilot).looking.base is None


async def test_before_there_is_a_picture_there_is_nothing_to_compare_with() -> None:
    async with running((120, 40), MemoryStore()) as pilot:
        await _press(pilot, "2", "c")
        assert _app(pilot).looking.base is None
        assert pilot.app.screen.query_one(Icicle).view is None
