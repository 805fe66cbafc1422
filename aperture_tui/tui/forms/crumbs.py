"""The line of the zoom's path, and of what is not shown: each step leads back to it. Drawing is pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from textual.events import Click
from textual.message import Message

from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.tui.cells import cut, fit, plain, width_of
from aperture_tui.tui.forms.model import Form, Which
from aperture_tui.tui.forms.orient import is_above
from aperture_tui.tui.model import IcicleView, Path
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.widgets.rows import RowsView

_STEP: Final = " › "
_LONGEST: Final = 32
"""Cells of one step, where there are others."""
_LEAST: Final = 12
"""Cells that are left to the path before what is not shown is said in fewer words."""


class Trail(NamedTuple):
    """What the line says. form: in words, "" for the tree; of: the names of what its steps lead to, the whole first.

    hidden: what is not shown, each in full, in few cells, and by the letter of its key.
    """

    form: str = ""
    of: tuple[str, ...] = ()
    hidden: tuple[tuple[str, str, str], ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to say."""
        return not (self.form or self.hidden or len(self.of) > 1)


_CALLS: Final = "callers of", "callees of", "callers and callees of"
_SIDES: Final = {
    FrameKind.GPU: ("launchers of", "launches of", "launchers and launches of"),
    FrameKind.LOCK: ("waiters for", "waiters for", "waiters for"),  # below it there is nothing
}
"""What stands above a frame, below it, and on both sides: who launched a kernel did not call it."""


def who(kind: Kind, wakers: bool) -> str:
    """Those whom stacks that are turned round lead to, from what is at their end."""
    if kind in (Kind.LOCK, Kind.OFFCPU):
        return "wakers" if wakers else "waiters"
    return "launchers" if kind is Kind.GPU_KERNEL else Which.CALLERS.value


def trail(form: Form, zoom: Path, view: IcicleView | None, whom: str = Which.CALLERS.value) -> Trail:
    """What is to be said of what is looked at.

    view: the picture that is shown, for what it leaves out. whom: see `who`.
    """
    told = {Which.TREE: "", Which.CALLERS: whom}.get(form.which, form.which.value)
    steps, whole = zoom, "all"
    if form.function is not None:
        whole = cut_to(form.function.forms[-1], _LONGEST)
        above, below, both = _SIDES.get(form.function.kind, _CALLS)
        told = above if is_above(zoom) else below if zoom else both
        steps = zoom[1:]
    names = (whole, *(cut_to(label.forms[-1], _LONGEST) for label in steps))
    return Trail(told, names, tuple(_hidden(form, view)))


def _hidden(form: Form, view: IcicleView | None) -> list[tuple[str, str, str]]:
    shape = form.shape
    told: list[tuple[str, str, str]] = []
    if not shape.kernel:
        told.append(("kernel hidden", "-kernel", "-K"))
    modules = [plain(name.rsplit("/", 1)[-1]) for name in shape.without]
    if modules:
        count = len(modules)
        short = f"-{modules[0]}" if count == 1 else f"-{count} modules"
        told.append((f"{', '.join(modules)} hidden", short, f"-{count}m"))
    if shape.folded:
        told.append(("recursion folded", "folded", "r"))
    if form.least:
        left = f", {view.left_out:,} frames" if view is not None and view.left_out and not form.is_table else ""
        few = f"<{100 * form.least:g}%"
        told.append((f"under {100 * form.least:g} % not drawn{left}", few, few))
    return told


def crumbs_row(told: Trail, width: int) -> tuple[Spans, list[tuple[int, int, int]]]:
    """One row, and where its steps are: (first cell, end, depth). What is not shown is said whatever the width."""
    hidden = _said(told, width)
    room = max(0, width - width_of(hidden))
    spans: list[Span] = [(" ", "text")]
    places: list[tuple[int, int, int]] = []
    at = 1
    if told.form:
        word = cut(told.form, max(0, room - 1)) if width_of(told.form) >= room else told.form
        spans.append((f"{word} ", "accent"))
        at += width_of(word) + 1
    for depth, name in (
        _steps(told.of, room - at - 1) if len(told.of) > 1 or told.form.endswith((" of", " for")) else []
    ):
        if at > 1 + (width_of(told.form) + 1 if told.form else 0):
            spans.append((_STEP, "faint"))
            at += width_of(_STEP)
        last = depth == len(told.of) - 1
        spans.append((name, "*text" if last else "muted" if depth < 0 else "text"))
        if depth >= 0 and name:
            places.append((at, at + width_of(name), depth))
        at += width_of(name)
    if at > room:  # too narrow for anything but what is not shown
        return ((fit(hidden or told.of[-1], width), "warning" if hidden else "*text"),), []
    spans += [(" " * (room - at), "text"), (hidden, "warning")]
    return tuple(spans), places


def _said(told: Trail, width: int) -> str:
    """What is not shown, in the words that leave room for the path."""
    if not told.hidden:
        return ""
    forms = ["  ".join(forms) for forms in zip(*told.hidden, strict=True)]
    path = len(_STEP.join(told.of)) if len(told.of) > 1 else 0
    needed = width_of(told.form) + min(path, max(_LEAST, width // 2)) + 4
    said = next((text for text in forms if width_of(text) + needed <= width), cut_to(forms[-1], width - 2))
    return f" {said} "


def cut_to(text: str, width: int) -> str:
    """The text, at most so many cells of it."""
    return text if width_of(text) <= width else cut(text, max(0, width))


def _steps(names: Sequence[str], room: int) -> list[tuple[int, str]]:
    """(depth, name) of the steps that there is room for: the first and the last ones; -1 for those between."""
    last = len(names) - 1
    gap = width_of(_STEP)

    def wide(steps: Sequence[tuple[int, str]]) -> int:
        return sum(width_of(name) for _, name in steps) + gap * (len(steps) - 1)

    every = list(enumerate(names))
    if wide(every) <= room:
        return every
    for kept in range(last - 1, 0, -1):
        steps = [every[0], (-1, "…"), *every[last + 1 - kept :]]
        if wide(steps) <= room:
            return steps
    left = room - wide([every[0], (-1, "…")]) - gap if last > 1 else room - wide(every[:1]) - gap
    if left >= 3:
        return [every[0], *([(-1, "…")] if last > 1 else []), (last, cut_to(names[last], left))]
    return [(last, cut_to(names[last], max(0, room)))]


class Crumbs(RowsView):
    """The line; a click at a step goes there."""

    DEFAULT_CSS = "Crumbs { height: 1; display: none; }"

    class Chosen(Message):
        """Go back to this depth of the path: 0 is the whole."""

        def __init__(self, depth: int) -> None:
            super().__init__()
            self.depth = depth

    def __init__(self) -> None:
        super().__init__(id="crumbs")
        self._places: list[tuple[int, int, int]] = []

    def show(self, told: Trail) -> None:
        """Say this."""
        self.draw(lambda: [self._row(told)])

    def _row(self, told: Trail) -> Spans:
        row, self._places = crumbs_row(told, self.size.width)
        return row

    def on_click(self, event: Click) -> None:
        """Go back to the step that was clicked at."""
        for begin, end, depth in self._places:
            if begin <= event.x < end:
                self.post_message(self.Chosen(depth))
