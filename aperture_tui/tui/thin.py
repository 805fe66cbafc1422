"""What is written to the terminal, without what changes nothing there.

Textual writes whole rows, and every piece of a row as `ESC[<all of its style>m text ESC[0m`. Of a live icicle nine
cells of ten are as they were, and four fifths of the bytes are colours, most of which hold already. Here it is known
what stands on the screen and how the terminal's pen is set, and only what differs is written.

Codes: ECMA-48 8.3.117 (SGR), 8.3.21 (CUP), 8.3.20 (CUF); 38 and 48 with `;2;R;G;B` or `;5;N` as xterm reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from rich.cells import cell_len

_TOKEN: Final = re.compile(
    "\x1b\\[([0-9;]*)m"  # the pen
    "|\x1b\\[([0-9]+);([0-9]+)H"  # the place
    "|([^\x00-\x1f\x7f-\x9f]+)"  # text
    "|(\n|\x1b\\[\\?2026[hl])"  # what writes nothing: each line begins with its place, and synchronized updates
    "|(.)",  # anything else
    re.DOTALL,
)
_OFF: Final = {"1": "22", "2": "22", "3": "23", "4": "24", "5": "25", "7": "27", "8": "28", "9": "29"}
"""Attribute -> what ends it."""
_UNSEEN_ON_BLANKS: Final = frozenset("123")
"""Bold, dim and italic."""
_LENGTHS: Final = {"2": 5, "5": 3}
"""Parameters of a colour, by the second of them."""


class Pen(NamedTuple):
    """How the terminal writes. attributes: codes in the order they came; ink, ground: codes, "" is the default."""

    attributes: tuple[str, ...] = ()
    ink: str = ""
    ground: str = ""


_PLAIN: Final = Pen()


class Piece(NamedTuple):
    """Text on one row. cells: a character each; behind a wide one stands an empty one. x, y: from 0."""

    x: int
    y: int
    cells: list[str]
    text: str
    pen: Pen


class NotKnownError(Exception):
    """Output of which it is not sure what it leaves on the screen."""


class Thin:
    """Output in, less output out: the same screen. One thread uses it.

    Output begins and ends with a plain pen, before and after. The ink of blank cells is not kept: it cannot be seen.
    """

    def __init__(self) -> None:
        self._rows: dict[int, tuple[list[str], list[Pen | None]]] = {}

    @staticmethod
    def is_picture(output: str) -> bool:
        """Whether it only writes on the screen, and nothing is lost without it once all is painted anew."""
        try:
            return any(True for _ in _pieces(output))
        except NotKnownError:
            return False

    def forget(self) -> None:
        """Somebody else may have written: what comes next is written whole."""
        self._rows.clear()

    def write(self, output: str) -> str:
        """What to write instead of this. What is not understood goes out as it is, and makes it forget."""
        try:
            pieces = list(_pieces(output))
        except NotKnownError:
            self.forget()
            return output
        out: list[str] = []
        pen, at = _PLAIN, (-1, -1)
        for piece in pieces:
            if not piece.text:
                out.append(f"\x1b[{piece.y + 1};{piece.x + 1}H")
            elif self._note(piece):
                target = piece.pen if piece.text.strip(" ") else _for_blanks(pen, piece.pen)
                out += (_move(at, piece), _change(pen, target), piece.text)
                pen, at = target, (piece.x + len(piece.cells), piece.y)
        return "".join([*out, _change(pen, _PLAIN)]) if pieces else output

    def _note(self, piece: Piece) -> bool:
        """Take a piece for written -> whether it was not there yet."""
        x, y, cells, text, pen = piece
        end = x + len(cells)
        pens: list[Pen | None] = [pen if text.strip(" ") else _for_blanks(_PLAIN, pen)] * len(cells)
        row = self._rows.setdefault(y, ([], []))
        if row[0][x:end] == cells and row[1][x:end] == pens:
            return False
        missing = end - len(row[0])
        if missing > 0:
            row[0].extend([""] * missing)
            row[1].extend([None] * missing)
        row[0][x:end], row[1][x:end] = cells, pens
        return True


def _pieces(output: str) -> Iterator[Piece]:
    """The pieces of text in output, and one without text for the place where the cursor is left at the end.

    Raises NotKnownError.
    """
    pen, x, y = _PLAIN, -1, -1
    moved = False
    for code, row, column, text, nothing, other in _TOKEN.findall(output):
        if text:
            if x < 0:
                raise NotKnownError
            cells = list(text) if text.isascii() else _cells(text)
            yield Piece(x, y, cells, text, pen)
            x += len(cells)
            moved = False
        elif row:
            x, y, moved = max(int(column), 1) - 1, max(int(row), 1) - 1, True
        elif nothing:
            x = -1 if nothing == "\n" else x
        elif other:
            raise NotKnownError
        else:
            pen = _after(pen, code)
    if pen != _PLAIN:
        raise NotKnownError
    if moved:
        yield Piece(x, y, [], "", pen)


@lru_cache(4096)
def _split(text: str) -> tuple[str, ...]:
    cells: list[str] = []
    for c in text:
        width = cell_len(c)
        if width == 0:
            raise NotKnownError  # terminals do not agree on where it stands
        cells += [c, ""][:width]
    return tuple(cells)


def _cells(text: str) -> list[str]:
    return list(_split(text))


def _move(at: tuple[int, int], piece: Piece) -> str:
    """From one place to where a piece begins."""
    x, y = at
    if y != piece.y or piece.x < x:
        return f"\x1b[{piece.y + 1};{piece.x + 1}H"
    return f"\x1b[{piece.x - x}C" if piece.x > x else ""


@lru_cache(4096)
def _after(pen: Pen, code: str) -> Pen:
    """The pen after a sequence with these parameters."""
    codes = code.split(";")
    while codes:
        first = codes[0] or "0"
        length = _LENGTHS.get(codes[1], 1) if first in ("38", "48") and len(codes) > 1 else 1
        pen = _with(pen, first, ";".join([first, *codes[1:length]]))
        del codes[:length]
    return pen


def _with(pen: Pen, first: str, code: str) -> Pen:
    number = int(first)
    if number == 0:
        return _PLAIN
    if number in range(30, 40) or number in range(90, 98):
        return pen._replace(ink="" if number == 39 else code)
    if number in range(40, 50) or number in range(100, 108):
        return pen._replace(ground="" if number == 49 else code)
    # the last of two that contradict each other holds, so what is set again moves to the end
    return pen._replace(attributes=(*(a for a in pen.attributes if a != code), code))


@lru_cache(4096)
def _for_blanks(pen: Pen, wanted: Pen) -> Pen:
    """The pen nearest to this one whose blanks look as wanted."""
    if _UNSEEN_ON_BLANKS.issuperset(pen.attributes) and _UNSEEN_ON_BLANKS.issuperset(wanted.attributes):
        return pen._replace(ground=wanted.ground)
    return wanted


@lru_cache(4096)
def _change(pen: Pen, wanted: Pen) -> str:
    """The shortest sequence from one pen to another."""
    if pen == wanted:
        return ""
    if wanted == _PLAIN:
        return "\x1b[0m"
    whole = ["0", *wanted.attributes, *filter(None, (wanted.ink, wanted.ground))]
    codes = _attributes(pen.attributes, wanted.attributes)
    if codes is not None:
        codes += [wanted.ink or "39"] if pen.ink != wanted.ink else []
        codes += [wanted.ground or "49"] if pen.ground != wanted.ground else []
        whole = min(codes, whole, key=lambda some: len(";".join(some)))
    return f"\x1b[{';'.join(whole)}m"


def _attributes(now: tuple[str, ...], wanted: tuple[str, ...]) -> list[str] | None:
    """The codes between two sets of attributes; None where only a fresh start is sure."""
    if now == wanted:
        return []
    if not _OFF.keys() >= {*now, *wanted}:
        return None
    off = {_OFF[one] for one in now if one not in wanted}
    return [*sorted(off), *(one for one in wanted if one not in now or _OFF[one] in off)]
