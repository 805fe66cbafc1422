"""y and Y: what is selected goes to the terminal's clipboard, and what went is said."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from textual.drivers.headless_driver import HeadlessDriver
from textual.pilot import Pilot

from aperture_tui.tui.taking import clipboard
from aperture_tui.tui.thin import Thin
from tests.tui.gpu.synthetic import synthetic
from tests.tui.screen import running, settled, until
from tests.tui.taking.test_panel import app_of, press
from tests.tui.waiting import filled


@pytest.fixture(autouse=True)
def output(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reaches the terminal, which is one of its own."""
    written: list[str] = []
    monkeypatch.setattr(HeadlessDriver, "write", lambda _, data: written.append(data))
    for name in ("TMUX", "STY"):
        monkeypatch.delenv(name, raising=False)
    return written


def copied(output: list[str]) -> list[str]:
    """The texts that were sent."""
    found = re.findall("\x1b]52;c;([A-Za-z0-9+/=]*)\x07", "".join(output))
    return [base64.b64decode(one).decode() for one in found]


def said(pilot: Pilot[Any]) -> str:
    """The newest notice; a test's app draws none."""
    return list(app_of(pilot)._notifications)[-1].message


async def copy(pilot: Pilot[Any], key: str, output: list[str]) -> str:
    output.clear()
    await press(pilot, key)
    await until(pilot, lambda: len(copied(output)) == 1, "the sequence")
    return copied(output)[0]


async def test_a_frame_and_its_stack(output: list[str]) -> None:
    async with running((120, 40), store=filled()) as pilot:
        await press(pilot, "2", *["down"] * 9)
        assert await copy(pilot, "y", output) == "run_forever (/srv/shop/server.py:24)"
        assert said(pilot) == "run_forever (/srv/shop/server.py:24)\n36 B sent to the terminal's clipboard"
        stack = (await copy(pilot, "Y", output)).splitlines()
        icicle = app_of(pilot)._view.icicle  # type: ignore[union-attr]
        assert stack[:3] == ["gunicorn", "__libc_start_main_impl (libc.so.6)", "__libc_start_call_main (libc.so.6)"]
        assert stack[8] == "run_forever (/srv/shop/server.py:24)"
        assert stack[9] == ""
        folded, _, weight = stack[10].rpartition(" ")
        assert folded.split(";")[-1] == "run_forever"
        assert int(weight) == icicle.selected_box.total
        assert len(stack) == 11


async def test_zoomed_it_is_the_stack_from_the_root(output: list[str]) -> None:
    async with running((80, 24), store=filled()) as pilot:
        await press(pilot, "2", *["down"] * 9, "enter", "down")
        stack = (await copy(pilot, "Y", output)).splitlines()
        assert stack[0] == "gunicorn"
        assert stack[-1].startswith("gunicorn;__libc_start_main_impl;")


async def test_where_nothing_is_selected_it_is_said(output: list[str]) -> None:
    async with running((120, 40), store=filled()) as pilot:
        await press(pilot, "2", "Y")
        assert said(pilot).startswith("no stack is selected")
        assert copied(output) == []


async def test_rows_of_tables(output: list[str]) -> None:
    async with running((80, 24), store=filled(in_flight=True)) as pilot:
        await press(pilot, "1", "shift+tab")
        await press(pilot, "down")
        line = app_of(pilot).snapshot.processes[1]  # type: ignore[union-attr]
        assert (await copy(pilot, "y", output)).startswith(f"{line.key.name} ({line.key.pid})  ")
        await press(pilot, "4")
        text = await copy(pilot, "y", output)
        assert text.startswith("mutex table_lock 0x55d0c0de1040  postgres (1001)\n"), "in full, however narrow"
        assert "held by tid 2101" in text
        await press(pilot, "3")
        assert (await copy(pilot, "y", output)).startswith("futex  java (1004)\n10,800 ended, mean")


async def test_names_of_programs_cannot_reach_the_terminal(output: list[str]) -> None:
    async with running((120, 40), store=filled()) as pilot:
        app_of(pilot)._view.icicle.select(())  # type: ignore[union-attr]
        await press(pilot, "2", "slash", *"owned", "enter")
        await settled(pilot)
        for key in "yY":
            text = await copy(pilot, key, output)
            assert "owned" in text
            assert all(c.isprintable() or c == "\n" for c in text)
            assert "\x1b]0;owned" not in "".join(output)


async def test_of_gpus(output: list[str]) -> None:
    async with running((120, 40), store=synthetic()) as pilot:
        await press(pilot, "7", "p")
        await settled(pilot)
        text = await copy(pilot, "y", output)
        assert "kernel" in text or "launch" in text or "(" in text


async def test_what_terminals_do_not_take_is_cut_and_that_is_said(
    output: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clipboard, "MOST_BYTES", 100)
    async with running((120, 40), store=filled()) as pilot:
        await press(pilot, "2", *["down"] * 12)
        text = await copy(pilot, "Y", output)
        assert len(text) == 100
        assert re.search(r"the first 100 of \d+ bytes, terminals take no more: 100 B sent", said(pilot))


async def test_what_is_copied_while_typing_takes_the_same_way(output: list[str]) -> None:
    async with running((120, 40), store=filled()) as pilot:
        await press(pilot, "2", "slash", *"abc", "shift+home")
        output.clear()
        await press(pilot, "ctrl+c")
        app_of(pilot).copy_to_clipboard("abc")
        assert copied(output)[-1] == "abc"


def test_the_driver_forgets_what_stood_there_and_writes_the_next_picture_whole() -> None:
    thin = Thin()
    row = "\x1b[1;1Habc"
    assert thin.write(row)
    assert thin.write(row) == ""
    for through in clipboard.Between:
        sequence = clipboard.sequence(b"main", through)
        assert thin.write(sequence) == sequence, "as it is"
        assert "abc" in thin.write(row)
