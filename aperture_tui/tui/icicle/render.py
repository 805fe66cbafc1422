"""Rows of boxes to rows of spans. Pure, free of numpy."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from rich.cells import cell_len

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.tui.cells import fit
from aperture_tui.tui.icicle.labels import fitting
from aperture_tui.tui.model import Box, FrameLabel, Row
from aperture_tui.tui.palette import Span, Spans, box_key, change_key

Hits = Callable[[FrameLabel], bool]
Change = Callable[[Box], int | None]
"""-3 to 3, None of what is not compared."""
_SIGNS: Final = {1: "+", -1: "-"}
"""Before the name of what became more or less: colour alone does not say it."""
KIND_MARKS: Final = {
    FrameKind.KERNEL: "k", FrameKind.NATIVE: "n", FrameKind.JIT: "j", FrameKind.PYTHON: "p", FrameKind.RUNTIME: "r",
    FrameKind.GPU: "g", FrameKind.UNKNOWN: "?", FrameKind.THREAD: "t", FrameKind.LOCK: "l", FrameKind.TAG: "#",
    FrameKind.PROCESS: "@",
}  # fmt: skip
"""What says the kind of a box without its colour, where that is wished for."""


@lru_cache(16384)
def _filled(label: FrameLabel, width: int) -> str:
    return fit(fitting(label, width), width)


def icicle_row(
    row: Row,
    width: int,
    selected: int | None = None,
    hits: Hits | None = None,
    mono: bool = False,
    waits: bool = False,
    change: Change | None = None,
    marks: bool = False,
) -> Spans:
    """One row, exactly `width` cells. selected: index of a box. hits: whether a frame matches the search.

    waits: boxes are time that passed waiting. change: they are compared, and this is how strongly each is more or less.
    marks: each begins with the mark of its kind.
    """
    if row.note:
        return ((fit(f" {row.note}", width), "muted"),)
    spans: list[Span] = []
    at = 0
    for i, box in enumerate(row.boxes):
        if box.left > at:
            spans.append(_gap(at, box.left, row.hatches))
        at = box.right
        hit = hits is not None and box.label.kind is not FrameKind.ROOT and hits(box.label)
        state = "dim" if hits is not None else "above" if row.above else ""
        step = None if change is None else change(box)
        plain = box_key(box.label.kind, box.label.shade, state, waits) if step is None else change_key(step, state)
        key = _marked(i == selected, hit) or plain
        sign = _SIGNS[(step > 0) - (step < 0)] if step else ""
        if marks and box.label.kind in KIND_MARKS:
            sign = f"{KIND_MARKS[box.label.kind]}{sign} "
        spans.extend(_mono_box(box, key, "." if waits else "_", sign) if mono else _box(box, key, sign))
    if at < width:
        spans.append(_gap(at, width, row.hatches))
    return tuple(_within(spans, width) if at > width else spans)


def _marked(selected: bool, hit: bool) -> str:
    if selected:
        return "box:selected-match" if hit else "box:selected"
    return "box:match" if hit else ""


def _box(box: Box, key: str, sign: str) -> list[Span]:
    """The separator in the first cell, then the label. sign: before it."""
    width = box.right - box.left - 1
    text = sign[:width] + _filled(box.label, max(0, width - len(sign)))
    if key.endswith((":dim", ":above")):
        return [("▏", f"{key}:edge"), (text, key)] if text else [("▏", f"{key}:edge")]
    return [("▏" + text, key)]


def _mono_box(box: Box, key: str, ground: str, sign: str) -> list[Span]:
    """Shape instead of colour: `|name___`, or `|name...` of what waited."""
    width = box.right - box.left - 1
    name = sign[:width] + _filled(box.label, max(0, width - len(sign))).rstrip()
    return [("|" + name + ground * (width - cell_len(name)), key)]


def _gap(begin: int, end: int, hatches: tuple[tuple[int, int], ...]) -> Span:
    """The cells between two boxes: self time of the frame above, or children too narrow to draw."""
    cells = [" "] * (end - begin)
    for low, high in hatches:
        for x in range(max(low, begin), min(high, end)):
            cells[x - begin] = "░"
    return "".join(cells), "faint"


def _within(spans: list[Span], width: int) -> list[Span]:
    """Cut what was laid out for a wider screen: a resize arrives before its layout."""
    out: list[Span] = []
    left = width
    for text, key in spans:
        cells = cell_len(text)
        if cells > left:
            out.append((fit(text, left), key))
            break
        out.append((text, key))
        left -= cells
    return [span for span in out if span[0]]
