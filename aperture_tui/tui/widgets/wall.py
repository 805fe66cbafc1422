"""The wall-clock bar: what the threads of a process did with their time."""

from __future__ import annotations

import string
import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

from textual.events import Click
from textual.message import Message

from aperture_tui.tui import figures
from aperture_tui.tui.cells import fit, plain, width_of
from aperture_tui.tui.model import WallPart
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.widgets.histogram import exactly
from aperture_tui.tui.widgets.rows import RowsView

ON_CPU: Final = "on-CPU"
RUNNABLE: Final = "runnable"
REST: Final = "not known"

_BLOCKED: Final = ("memory", "steal", "good", "system")
"""Colours of what threads were blocked in; also on a terminal of 16 they differ from each other and from all others."""
_CAUSES: Final = len(_BLOCKED)
_LEGENDS: Final = (
    *((n, True, True) for n in range(_CAUSES, 1, -1)),
    *((n, False, True) for n in range(_CAUSES, 0, -1)),
    *((n, False, False) for n in (2, 1)),
)
"""How many causes a legend names, whether with times, and with what is not known: the first that has room is shown."""
_SMALL: Final = 0.01
"""A smaller part of the whole is one of the others."""
_LONGEST: Final = 18


class Stretch(NamedTuple):
    """One part of the bar. known: its time is; else it is not in the bar. mark: how it is drawn without colours."""

    name: str
    time_ns: int
    colour: str
    mark: str
    known: bool = True


def stretches(parts: Sequence[WallPart] | None, threads_ns: int | None, blocked: int = _CAUSES) -> list[Stretch]:
    """The bar from left to right: on-CPU, runnable, the largest `blocked` causes, the others, what nobody accounts for.

    What was not measured is there too, as not known: without any wait, that is all but the time on the CPU.
    """
    found = {part.name: part.time_ns for part in parts or ()}
    on_cpu = found.pop(ON_CPU, None)
    watched = bool(found)
    runnable = found.pop(RUNNABLE, 0)
    out = [
        Stretch(ON_CPU, on_cpu or 0, "user", "█", on_cpu is not None),
        Stretch(RUNNABLE, runnable, "iowait", "▒", watched),
    ]
    if not watched:
        out.append(Stretch("blocked", 0, "muted", "+", False))
    whole = whole_ns(parts, threads_ns)
    most = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    large = [(name, ns) for name, ns in most[:blocked] if ns and ns >= _SMALL * whole]
    if len(large) < blocked and len(most) - len(large) == 1:
        large = most  # one alone has a name
    small = most[len(large) :]
    looks = _looks([name for name, _ in large])
    out += [Stretch(name, ns, *looks[name]) for name, ns in large]
    if small:
        out.append(Stretch(f"other ({len(small)})", sum(ns for _, ns in small), "muted", "+"))
    rest = whole - sum(one.time_ns for one in out)
    return [*out, Stretch(REST, rest, "track", "·")] if rest > 0 else out


def whole_ns(parts: Sequence[WallPart] | None, threads_ns: int | None) -> int:
    """The threads' time, or what was measured where that is more: a wait that ends in view may have begun before."""
    return max(threads_ns or 0, sum(part.time_ns for part in parts or ()))


def _looks(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and letter of each; a name keeps them when it only changes places with another."""
    free = list(_BLOCKED)
    letters = dict.fromkeys(string.ascii_lowercase)
    looks = {}
    for name in sorted(names):
        letter = next((c for c in name.lower() if c in letters), next(iter(letters)))
        del letters[letter]
        looks[name] = (free.pop(zlib.crc32(name.encode(errors="replace")) % len(free)), letter)
    return looks


def wall_rows(
    parts: Sequence[WallPart] | None, threads_ns: int | None, width: int, height: int, shapes: bool = False
) -> list[Spans]:
    """The bar over the whole width and its legend below; in one row beside each other. At most `height` rows.

    shapes: its parts differ in more than their colours.
    """
    if height < 1 or width < 1:
        return []
    return [
        exactly([span for item in row for span in item.spans], width)
        for row in _items(parts, threads_ns, width, height, shapes)
    ]


def stretch_at(
    parts: Sequence[WallPart] | None, threads_ns: int | None, size: tuple[int, int], place: tuple[int, int]
) -> Stretch | None:
    """What stands at a place (column, row) of `wall_rows` of that size, in the bar or in its legend."""
    width, height = size
    rows = _items(parts, threads_ns, width, height, shapes=False) if height > 0 and width > 0 else []
    x, y = place
    at = 0
    for item in rows[y] if y < len(rows) else ():
        at += item.width
        if x < at:
            return item.of
    return None


class _Item(NamedTuple):
    """A piece of the picture, and what it is of."""

    of: Stretch | None
    spans: Sequence[Span]

    @property
    def width(self) -> int:
        return sum(width_of(text) for text, _ in self.spans)


def _items(
    parts: Sequence[WallPart] | None, threads_ns: int | None, width: int, height: int, shapes: bool
) -> list[list[_Item]]:
    """The pieces of each row, from left to right."""
    whole = whole_ns(parts, threads_ns)
    length = width if height > 1 else width // 3
    room = width if height > 1 else width - length
    note = [_Item(None, [(" of what was measured", "muted")])] if threads_ns is None and whole else []
    for causes, times, rest in _LEGENDS:
        shown = stretches(parts, threads_ns, causes)
        named = shown if rest else [one for one in shown if one.name != REST]
        legend = _flowing([_item(one, whole, times, shapes) for one in named] + note, room)
        if len(legend) <= max(1, height - 1):
            break
    else:
        largest = sorted(shown, key=lambda one: -one.time_ns)
        legend = _flowing([_item(one, whole, False, shapes) for one in largest], room)
    bar = _bar(shown, whole, length, shapes)
    return [[*bar, *legend[0]]] if height == 1 else [bar, *legend[: height - 1]]


def _bar(shown: Sequence[Stretch], whole: int, width: int, shapes: bool) -> list[_Item]:
    """Exactly `width` cells. Each part ends where all up to it should end, so that roundings do not add up."""
    items: list[_Item] = []
    at = passed = 0
    for one in shown:
        passed += one.time_ns
        end = (2 * width * passed + whole) // (2 * whole) if whole else 0
        if end > at:
            items.append(_Item(one, [(_cell(one, shapes) * (end - at), one.colour)]))
            at = end
    return [*items, _Item(None, [("·" * (width - at), "track")])] if at < width else items


def _cell(one: Stretch, shapes: bool) -> str:
    return one.mark if shapes else "░" if one.colour == "track" else "█"


def _item(one: Stretch, whole: int, times: bool, shapes: bool) -> _Item:
    """ "█ futex 41 % 12 s"; without times, "█ futex 41 %"."""
    name = plain(one.name)
    spans = [
        (f" {_cell(one, shapes)}", one.colour),
        (f" {fit(name, min(_LONGEST, width_of(name)))} ", "muted"),
    ]
    if not one.known:
        return _Item(one, [*spans, ("? ", "text")])
    time = f"{figures.latency(one.time_ns)} " if times and whole else ""
    return _Item(one, [*spans, (f"{figures.share(one.time_ns, whole)} ", "text"), (time, "muted")])


def _flowing(items: Sequence[_Item], width: int) -> list[list[_Item]]:
    """Items one after the other, in as many rows as they need."""
    rows: list[list[_Item]] = [[]]
    used = 0
    for item in items:
        if used and used + item.width > width:
            rows.append([])
            used = 0
        rows[-1].append(item)
        used += item.width
    return rows


class WallBar(RowsView):
    """What the threads of the selected process, or of all, did with their time; a click chooses a part of it."""

    DEFAULT_CSS = "WallBar { height: 3; }"

    class Chosen(Message):
        """A part that was measured, by its name."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._parts: tuple[WallPart, ...] = ()
        self._threads_ns: int | None = None

    def show(self, parts: tuple[WallPart, ...] | None, threads_ns: int | None) -> None:
        """Show these parts; None is not known. threads_ns: of all threads together, what they are parts of."""
        self._parts, self._threads_ns = parts or (), threads_ns
        self.draw(lambda: wall_rows(parts, threads_ns, self.size.width, self.size.height, self.palette.shapes))

    def on_click(self, event: Click) -> None:
        """Choose what stands there, in the bar or in its legend, unless it is several causes, or not known."""
        if event.chain > 1:  # it would take the first click back
            return
        found = stretch_at(self._parts, self._threads_ns, self.size, (event.x, event.y))
        if found is not None and any(part.name == found.name for part in self._parts):
            self.post_message(self.Chosen(found.name))
