"""Figures as a markdown table and as JSON. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from bench.figures import Figure, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_OURS: Final = ("aperture", "aperture-top", "aperture record")
_COLUMNS: Final = ("what", "whose", "median", "min – max", "rounds", "beside the peers", "budget", "verdict", "remark")
_RATE: Final = re.compile(r"-F (\d+)")


def document(figures: Sequence[Figure], facts: Mapping[str, str]) -> dict[str, Any]:
    """Everything, as JSON types."""
    return {"machine": dict(facts), "figures": [figure.as_json() for figure in figures]}


def markdown(figures: Sequence[Figure], facts: Mapping[str, str]) -> str:
    """The budgets, the missed ones first, then one table of everything."""
    lines = ["# Benchmarks: the latest run", ""]
    lines += ["Written by `make bench`. What the words mean, and what the figures do not show: docs/benchmarks.md.", ""]
    lines += [f"- {name}: {words}" for name, words in facts.items()]
    lines += ["", "## Budgets", ""]
    with_budget = [figure for figure in figures if figure.budget is not None]
    for verdict in (Verdict.MISSED, Verdict.UNDECIDED, Verdict.NOT_MEASURED, Verdict.MET):
        for figure in with_budget:
            if figure.verdict is verdict:
                lines.append(f"- **{verdict.value}**: {_budget_words(figure)}")
    lines += ["", "## All figures", "", _row(_COLUMNS), _row(["---"] * len(_COLUMNS))]
    for measure in dict.fromkeys(figure.measure for figure in figures):
        rows = [figure for figure in figures if figure.measure == measure]
        names = [f"{measure}, {rows[0].unit}"] + [""] * (len(rows) - 1)
        lines += [_row([name, *_cells(figure, rows)]) for name, figure in zip(names, rows, strict=True)]
    return "\n".join(lines) + "\n"


def _budget_words(figure: Figure) -> str:
    found = "—" if figure.median is None else f"{number(figure.median)} {figure.unit}"
    limit = f"{number(figure.budget or 0)} {figure.unit}"
    return f"{figure.measure}, {figure.subject}: {found}, budget {limit}" + (f" ({figure.why})" if figure.why else "")


def _cells(figure: Figure, rows: Sequence[Figure]) -> list[str]:
    spread = f"{number(min(figure.values))} – {number(max(figure.values))}" if len(figure.values) > 1 else ""
    return [
        figure.subject,
        "—" if figure.median is None else number(figure.median),
        spread,
        str(len(figure.values)),
        _ratios(figure, rows),
        "" if figure.budget is None else f"≤ {number(figure.budget)}",
        figure.verdict.value,
        figure.why,
    ]


def is_ours(figure: Figure) -> bool:
    """Whether a figure is of our commands."""
    return any(figure.subject == name or figure.subject.startswith((f"{name} ", f"{name},")) for name in _OURS)


def _ratios(figure: Figure, rows: Sequence[Figure]) -> str:
    """Ours divided by each peer that samples at the same rate."""
    if not figure.comparable or not is_ours(figure) or figure.median is None:
        return ""
    rates = (None, _rate(figure))
    peers = [row for row in rows if not is_ours(row) and (_rate(row) in rates or rates[1] is None)]
    return ", ".join(f"{number(figure.median / peer.median)} × {peer.subject}" for peer in peers if peer.median)


def _rate(figure: Figure) -> str | None:
    found = _RATE.search(figure.subject)
    return found[1] if found else None


def number(value: float) -> str:
    """Three figures that count, without an exponent."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.1 or value == 0 else f"{value:.2g}" if size >= 0.001 else f"{value:.4f}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
