from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.drivers.headless_driver import HeadlessDriver
from textual.drivers.linux_driver import LinuxDriver

from aperture_tui.tui.driver import ThinDriver, forget, thinned
from aperture_tui.tui.thin import Thin
from tests.tui.screen import running

WIDTH, HEIGHT = 12, 4


class Look(NamedTuple):
    """A cell as it can be seen."""

    text: str = " "
    attributes: frozenset[str] = frozenset()
    ink: str = ""
    ground: str = ""


class Glass:
    """A terminal, written independently of what it tests; it knows the sequences that the screens use."""

    def __init__(self) -> None:
        self.cells: dict[tuple[int, int], Look] = {}
        self.pen: dict[str, str] = {}
        self.x = self.y = 0

    def write(self, output: str) -> None:
        for code, final, c in re.findall("\x1b\\[([0-9;?]*)([A-Za-z])|(.)", output, re.DOTALL):
            if c == "\n":
                self.x, self.y = 0, self.y + 1
            elif c:
                self._put(c)
            elif final == "m":
                self._sgr(code)
            elif final == "H":
                self.y, self.x = (int(n) - 1 for n in code.split(";"))
            elif final == "C":
                self.x += int(code)

    def _put(self, c: str) -> None:
        wide = cell_len(c) == 2
        before = self.cells.get((self.x, self.y), Look())
        if before.text == "":  # its left half is gone
            self.cells[self.x - 1, self.y] = before._replace(text=" ")
        at = self.x + wide
        if cell_len(self.cells.get((at, self.y), Look()).text) == 2:
            self.cells[at + 1, self.y] = self.cells[at, self.y]._replace(text=" ")
        ink, ground = self.pen.get("ink", ""), self.pen.get("ground", "")
        attributes = frozenset(self.pen) - {"ink", "ground"}
        if c == " " and attributes <= {"1", "2", "3"}:
            ink, attributes = "", frozenset()
        look = Look(c, attributes, ink, ground)
        self.cells[self.x, self.y] = look
        if wide:
            self.cells[self.x + 1, self.y] = look._replace(text="")
        self.x += 1 + wide

    def _sgr(self, code: str) -> None:
        for part in re.findall(r"[34]8;2;\d+;\d+;\d+|[34]8;5;\d+|\d+", code or "0"):
            n = int(part.partition(";")[0])
            if n == 0:
                self.pen.clear()
            elif n in range(1, 10):
                self.pen[part] = part
            elif n in range(22, 30):
                for off in "12" if n == 22 else str(n - 20):
                    self.pen.pop(off, None)
            elif n in (39, 49):
                self.pen.pop("ink" if n == 39 else "ground", None)
            else:
                self.pen["ink" if n // 10 in (3, 9) else "ground"] = part


CODES = st.lists(
    st.sampled_from(["1", "2", "4", "7", "31", "97", "41", "104", "38;2;1;2;3", "38;5;9", "48;2;4;5;6", "48;5;200"]),
    max_size=3,
    unique_by=lambda code: (
        "ground" if code[0] in "41" and len(code) > 1 and code[:2] != "97" else "ink",
        len(code) < 2,
    ),
)
PIECES = st.tuples(CODES, st.sampled_from([" ", "   ", "a", "ab", "▏f", "░░", "视", "x视y"]))
LINES = st.tuples(st.integers(0, HEIGHT - 1), st.integers(0, 3), st.lists(PIECES, max_size=4))


def _written(lines: list[tuple[int, int, list[tuple[list[str], str]]]]) -> str:
    """As Textual writes an update."""
    out = []
    for y, x, pieces in lines:
        out.append(f"\x1b[{y + 1};{x + 1}H")
        for codes, text in pieces:
            out.append(f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if codes else text)
        out.append("\n")
    return "".join([*out, "\x1b[1;1H"])


@given(st.lists(st.lists(LINES, max_size=4), max_size=6), st.integers(0, 5))
@settings(deadline=None)
def test_the_screen_is_the_same(
    updates: list[list[tuple[int, int, list[tuple[list[str], str]]]]], forgets: int
) -> None:
    whole, less, thin = Glass(), Glass(), Thin()
    for i, lines in enumerate(updates):
        if i == forgets:
            thin.forget()
        output = _written(lines)
        whole.write(output)
        less.write(thin.write(output))
        assert less.cells == whole.cells
        assert (less.x, less.y, less.pen) == (whole.x, whole.y, {}), "the cursor stands where it should"


def _row(text: str, ground: str = "48;2;1;1;1") -> str:
    return f"\x1b[1;1H\x1b[38;2;9;9;9;{ground}m{text}\x1b[0m\x1b[1;1H"


def test_only_pieces_that_differ_are_written() -> None:
    thin = Thin()
    first = "\x1b[1;1H\x1b[31mred\x1b[0m\x1b[32mgreen\x1b[0m\x1b[34mblue\x1b[0m\x1b[1;1H"
    thin.write(first)
    assert thin.write(first) == "\x1b[1;1H", "the cursor alone"
    assert thin.write(first.replace("green", "lemon")) == "\x1b[1;4H\x1b[32mlemon\x1b[1;1H\x1b[0m"


def test_colours_that_hold_are_not_written_again() -> None:
    same_ink = "\x1b[2;1H\x1b[31;41ma\x1b[0m\x1b[31;42mb\x1b[0m\x1b[32;42m  \x1b[0m\x1b[31;42mc\x1b[0m\x1b[1;1H"
    assert Thin().write(same_ink) == "\x1b[2;1H\x1b[31;41ma\x1b[42mb  c\x1b[1;1H\x1b[0m"


def test_what_is_not_understood_goes_out_whole_and_everything_after_it() -> None:
    for strange in ("\x1b[2J", "\x1b[?1049h", "\x1b]0;title\x07", "\x1b[1;1He\u0301", "lost", "\x1b[1;1H\x1b[31mred"):
        thin = Thin()
        thin.write(_row("abc"))
        assert thin.write(strange) == strange
        assert "abc" in thin.write(_row("abc")), strange


def test_synchronized_updates_are_let_through() -> None:
    thin = Thin()
    thin.write(_row("abc"))
    assert thin.write("\x1b[?2026h") == "\x1b[?2026h"
    assert "abc" not in thin.write(_row("abc"))


async def test_another_view_or_size_is_written_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running((80, 24)) as pilot:
        assert issubclass(pilot.app.driver_class, LinuxDriver)
        assert issubclass(pilot.app.driver_class, ThinDriver)
        thin = Thin()
        driver = thinned(HeadlessDriver)(pilot.app)  # a pilot's own is not made thin
        driver.thin = thin  # type: ignore[attr-defined]  # thinned() adds it
        for where in ("app", "switching"):
            monkeypatch.setattr(f"aperture_tui.tui.{where}.forget", lambda _: forget(driver))
        row = "\x1b[1;1H\x1b[31mred\x1b[0m\x1b[1;1H"
        for act in (pilot.press("2"), pilot.resize_terminal(90, 24)):
            thin.write(row)
            assert "red" not in thin.write(row)
            await act
            assert "red" in thin.write(row)
