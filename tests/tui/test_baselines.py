"""Pictures compared with a recording, and with other machines at the same time."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.memory import MemoryStore
from aperture_tui.tui.answer import Answers
from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.forms.model import Form, Which
from aperture_tui.tui.model import Baseline, Box, IcicleView, ProcessKey, ViewRequest
from tests.store.facts import SECOND, T0, Fact, batch_of
from tests.tui.screen import running, settled, text_of, until

WEB, DB = Process(1, 1, "web"), Process(2, 1, "db")
MAIN, PARSE = Frame("main", "/usr/bin/x"), Frame("parse", "/usr/bin/x", "parse.c", 20)
OLD_PARSE = Frame("parse", "/usr/bin/x", "/build/parse.c", 12)
THEN = Baseline(0, 0, recording="good.aperture")


def store(facts: list[Fact]) -> MemoryStore:
    out = MemoryStore(recorded=True)
    out.append(batch_of(facts, Symbols()))
    return out


def before() -> MemoryStore:
    """Another session: other pids, another build, another time."""
    other = [Frame(f"filler {i}") for i in range(9)]
    facts = [
        Fact(T0 - 900 * SECOND, WEB._replace(pid=77), stack=(*other,), weight=100),
        Fact(T0 - 900 * SECOND, WEB._replace(pid=77), stack=(MAIN, OLD_PARSE), weight=100),
        Fact(T0 - 800 * SECOND, DB._replace(pid=78), stack=(MAIN,), weight=200),
    ]
    return store(facts)


def after() -> MemoryStore:
    facts = [
        Fact(T0 + 3 * SECOND, WEB, stack=(MAIN, PARSE), weight=600),
        Fact(T0 + 3 * SECOND, DB, stack=(MAIN,), weight=200),
    ]
    return store(facts)


def boxes(view: IcicleView | None) -> dict[str, Box]:
    assert view is not None
    return {box.label.function: box for row in view.rows for box in row.boxes}


def asked(**choices: Any) -> ViewRequest:
    return ViewRequest(80, window_s=10.0, end_ns=T0 + 5 * SECOND, base=THEN, **choices)


def test_a_recording_is_matched_by_names_over_one_trie() -> None:
    view = Answers(after(), recorded=True, baseline=before).answer(asked(), fresh=True).icicle
    assert view is not None
    assert (view.total, view.base_total) == (800, 400)
    parse = boxes(view)["parse"]
    assert (parse.total, parse.was) == (600, 100)
    assert (parse.label.file, parse.label.line) == ("parse.c", 20), "as the picture has it"
    assert (boxes(view)["filler 0"].total, boxes(view)["filler 0"].was) == (0, 100)


def test_a_process_is_compared_with_the_one_of_its_name() -> None:
    answers = Answers(after(), recorded=True, baseline=before)
    view = answers.answer(asked(process=ProcessKey(1, 1, "web")), fresh=True).icicle
    assert view is not None
    assert (view.total, view.base_total) == (600, 200)


def test_each_form_tells_of_both_sides() -> None:
    answers = Answers(after(), recorded=True, baseline=before)
    parse = boxes(answers.answer(asked(), fresh=True).icicle)["parse"].label
    callers = boxes(answers.answer(asked(form=Form(Which.CALLERS)), fresh=False).icicle)
    assert (callers["parse"].total, callers["parse"].was) == (600, 100)
    sides = answers.answer(asked(form=Form(function=parse)), fresh=False).icicle
    assert (boxes(sides)["parse"].was, boxes(sides)["main"].was) == (100, 100)
    table = answers.answer(asked(form=Form(Which.FUNCTIONS)), fresh=False).functions
    assert table is not None
    assert (table.whole, table.base_total) == (800, 400)
    lines = {line.label.function: line for line in table.lines}
    assert lines["main"][1:] == (200, 800, 200, 300)
    assert lines["parse"][1:] == (600, 600, 100, 100)
    assert lines["filler 0"][1:] == (0, 0, 0, 100)
    absolute = answers.answer(asked(form=Form(Which.FUNCTIONS), absolute=True), fresh=False).functions
    assert absolute is not None
    assert absolute.absolute


def test_the_recording_is_opened_once_and_only_when_it_is_compared_with() -> None:
    opened: list[MemoryStore] = []

    def begin() -> MemoryStore:
        opened.append(before())
        return opened[-1]

    answers = Answers(after(), recorded=True, baseline=begin)
    answers.answer(replace(asked(), base=None), fresh=True)
    assert not opened
    answers.answer(asked(), fresh=True)
    answers.answer(replace(asked(), window_s=20.0), fresh=True)
    assert len(opened) == 1


# -- on the screen


def _app(pilot: Pilot[Any]) -> ApertureApp:
    assert isinstance(pilot.app, ApertureApp)
    return pilot.app


async def _press(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settled(pilot)


@contextlib.asynccontextmanager
async def compared(size: tuple[int, int] = (160, 40), **rest: Any) -> AsyncIterator[Pilot[None]]:
    async with running(size, after(), recording="now.aperture", baseline=("good.aperture", before), **rest) as pilot:
        yield pilot


async def test_it_begins_compared_and_c_goes_from_the_recording_to_nothing_to_a_time_and_back() -> None:
    async with compared() as pilot:
        await _press(pilot, "2")
        assert "against good.aperture" in text_of(_app(pilot))[0]
        told = []
        for _ in range(3):
            await _press(pilot, "c")
            base = _app(pilot).looking.base
            told.append("" if base is None else base.recording or "a time")
        assert told == ["", "a time", "good.aperture"]


async def test_what_cannot_be_opened_is_said_and_can_be_left() -> None:
    def begin() -> MemoryStore:
        raise RuntimeError("good.aperture: is no recording")

    async with running((160, 40), after(), recording="now.aperture", baseline=("good.aperture", begin)) as pilot:
        await until(pilot, lambda: "is no recording" in "\n".join(text_of(_app(pilot))))
        await _press(pilot, "2", "c")
        assert "is no recording" not in "\n".join(text_of(_app(pilot)))
        assert _app(pilot)._view.icicle.view is not None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        (["--baseline", "no.such", "--replay", "x"], 1, "aperture-top: no.such: No such file or directory\n"),
        (["--baseline", __file__, "--once"], 2, "aperture diff"),
        (["--baseline", __file__, "--remote", "localhost"], 2, "c in the list"),
    ],
)
def test_what_cannot_be_compared_is_said(
    given: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from aperture_tui.cli.top import main

    with pytest.raises(SystemExit) as ended:
        main(given)
    assert ended.value.code == status
    assert words in capsys.readouterr().err


def test_the_option_opens_a_file(tmp_path: Path) -> None:
    from aperture_tui.cli import baseline
    from aperture_tui.cli.top import _parser

    file = tmp_path / "old.folded"
    file.write_text("main;parse 3\n")
    parser = _parser()
    name, begin = baseline.told(parser, parser.parse_args(["--baseline", str(file)]))["baseline"]
    assert name == "old.folded"
    request = ViewRequest(80, Kind.CPU, window_s=None, end_ns=T0 + 5 * SECOND, base=THEN)
    view = Answers(after(), recorded=True, baseline=begin).answer(request, fresh=True).icicle
    assert view is not None
    assert view.base_total == 3
