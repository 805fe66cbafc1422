"""The line that names the pages of the view of GPUs, and the line that says what is selected in one."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple

from textual.events import Click
from textual.message import Message

from aperture_tui.tui import figures
from aperture_tui.tui.cells import plain, width_of
from aperture_tui.tui.gpu.model import Idle, Lanes
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.wall_clock import clock
from aperture_tui.tui.widgets.histogram import exactly
from aperture_tui.tui.widgets.rows import RowsView


class Page(enum.Enum):
    """In their order."""

    TIMELINE = "Timeline"
    KERNELS = "Kernels"
    COPIES = "Copies"
    IDLE = "Idle"
    DEVICES = "Devices"
    STACKS = "Stacks"


class Place(NamedTuple):
    """Where a page's name stands, half-open."""

    begin: int
    end: int
    page: Page


def pages_row(current: Page, words: Sequence[str], width: int) -> tuple[Spans, list[Place]]:
    """The names, and at the right the first of the words for which there is room.

    Where there is little, of the names their beginnings.
    """
    letters = next(n for n in (12, 4, 3, 2) if n == 2 or sum(len(p.value[:n]) + 2 for p in Page) <= width)
    spans: list[Span] = []
    places: list[Place] = []
    at = 0
    for page in Page:
        text = f" {page.value[:letters]} "
        spans.append((text, "*background@accent" if page is current else "muted@bar"))
        places.append(Place(at, at + len(text), page))
        at += len(text)
    room = width - at
    text = next((f"{plain(one)} " for one in words if width_of(one) + 3 <= room), "")
    return exactly([*spans, (" " * max(0, room - width_of(text)), "text@bar"), (text, "text@bar")], width), places


def stretch_words(lanes: Lanes) -> str:
    """Which stretch the lanes show, of which window."""
    stretch, window = lanes.stretch, lanes.window
    if not lanes.lanes or stretch == window:
        return ""
    begin = f"{clock(stretch.start_ns)}.{stretch.start_ns % 1_000_000_000 // 1000:06}"
    return f"{figures.latency(stretch.length_ns)} of {figures.duration(window.length_ns)} from {begin}"


def idle_words(idle: Sequence[Idle], unknown: Sequence[int] = (), brief: bool = False) -> str:
    """How much of the time each GPU did nothing, and of how much of it nobody knows. unknown: GPUs of which that is not
    known of any. brief: without the number of gaps.
    """
    told = {one.device: _idle(one, brief) for one in idle}
    told |= dict.fromkeys(unknown, "idle unknown")
    parts = [f"GPU {device} {told[device]}" for device in sorted(told)]
    return ", ".join(parts[:2]) + (f", {len(parts) - 2} more" if len(parts) > 2 else "")


def _idle(one: Idle, brief: bool) -> str:
    gaps = "" if brief else f" in {one.gaps:,} gaps"
    unknown = f", unknown {figures.share(one.unknown_ns, one.of_ns)}" if one.unknown_ns else ""
    return f"idle {figures.share(one.time_ns, one.of_ns)}{gaps}{unknown}"


def note_words(idle: Sequence[Idle], unknown: Sequence[int] = ()) -> str:
    """What is to be said below gaps that are not all that there may have been; "" if they are."""
    missing = [one for one in idle if one.unknown_ns]
    return unknown_words(unknown) or (f"not recorded in part: {idle_words(missing)}" if missing else "")


def unknown_words(unknown: Sequence[int]) -> str:
    """Of which GPUs it is not known when they did nothing; "" for none."""
    if not unknown:
        return ""
    whose = f"{', '.join(map(str, unknown[:8]))}{', …' if len(unknown) > 8 else ''}"
    were = f"GPU {whose} was" if len(unknown) == 1 else f"GPUs {whose} were"
    return f"{were} recorded in part: what {'it' if len(unknown) == 1 else 'they'} did in between is not known"


class PagesLine(RowsView):
    """The names of the pages; a click opens one."""

    DEFAULT_CSS = "PagesLine { height: 1; }"

    class Chosen(Message):
        """This page."""

        def __init__(self, page: Page) -> None:
            super().__init__()
            self.page = page

    def __init__(self) -> None:
        super().__init__(id="gpu-pages")
        self._places: list[Place] = []

    def show(self, current: Page, words: Sequence[str]) -> None:
        """Say this."""
        self.draw(lambda: self._row(current, words))

    def _row(self, current: Page, words: Sequence[str]) -> list[Spans]:
        row, self._places = pages_row(current, words, self.size.width)
        return [row]

    def on_click(self, event: Click) -> None:
        """Open what stands there."""
        for begin, end, page in self._places:
            if begin <= event.x < end:
                self.post_message(self.Chosen(page))
