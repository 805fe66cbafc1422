"""How many stacks are whole, in a few cells and in full."""

from __future__ import annotations

import textwrap
from typing import Final

from aperture_tui.export.names import whole_share
from aperture_tui.profile.completeness import Completeness
from aperture_tui.tui import figures
from aperture_tui.tui.cells import fit
from aperture_tui.tui.palette import Span, Spans

ENOUGH: Final = 0.95
"""A smaller share of whole stacks is worth a colour: what is drawn may lack callers."""


def is_enough(stacks: Completeness) -> bool:
    """Whether the picture can be trusted, as far as is known."""
    return stacks.share is None or stacks.share >= ENOUGH


def figure(stacks: Completeness) -> str:
    """ "98.7 %", "98.7 %?" where much is not known, "?" where nothing is."""
    much = stacks.known and stacks.unknown > (1 - ENOUGH) * stacks.weight
    return f"{whole_share(stacks)}{'?' if much else ''}"


def part_of_line(stacks: Completeness) -> list[Span]:
    """For the line of health; nothing while there are no events."""
    if not stacks.weight:
        return []
    return [(" stacks ", "muted"), (figure(stacks), "text" if is_enough(stacks) else "*warning")]


def stacks_rows(stacks: Completeness, width: int, counted: str = "samples") -> list[Spans]:
    """Every reason with its share, and what was guessed; nothing while there are no events. counted: what they are."""
    rows: list[tuple[str, str]] = []
    if stacks.known:
        of = f"{figure(stacks)} whole, of {figures.count(stacks.known)} {counted}"
        rows.append((of, "text@bar" if is_enough(stacks) else "warning@bar"))
        rows += [(f"{figures.percent(n, stacks.known)} end early: {why}", "warning@bar") for why, n in stacks.reasons]
    if stacks.guessed:
        guessed = figures.percent(stacks.guessed, stacks.known)
        rows.append((f"{guessed} with callers found by the frame pointer alone, whole or not", "muted@bar"))
    if stacks.unknown:
        rows.append((f"? not known whether whole: {figures.count(stacks.unknown)} {counted}", "text@bar"))
    if not rows:
        return []
    head = [((" " * width, "text@bar"),), ((fit(" Stacks in view", width), "*accent@bar"),)]
    return head + [row for text, key in rows for row in _wrapped(text, key, width)]


def _wrapped(text: str, key: str, width: int) -> list[Spans]:
    """In as many rows as it needs: a reason is not cut off."""
    lines = textwrap.wrap(text, max(width - 1, 12), initial_indent="   ", subsequent_indent="     ")
    return [((fit(line, width), key),) for line in lines]
