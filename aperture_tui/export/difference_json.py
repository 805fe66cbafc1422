"""A comparison as one JSON document. docs/json.md describes it; a change that breaks readers raises SCHEMA."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aperture_tui import __version__
from aperture_tui.export.collected import time_range
from aperture_tui.export.comparison import caveats
from aperture_tui.export.difference import chosen
from aperture_tui.export.names import unit
from aperture_tui.export.structured import query_document
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.significance import FALSE, FEWEST

if TYPE_CHECKING:
    from aperture_tui.export.comparison import Comparison, Side
    from aperture_tui.profile.comparable import Extent
    from aperture_tui.profile.difference import Pair
    from aperture_tui.profile.significance import Evidence

SCHEMA: Final = 1
"""The version of the document. Readers must accept keys that they do not know."""


def document(comparison: Comparison, by: str) -> dict[str, Any]:
    """Everything that is known of a comparison, as JSON types; the largest changes by `by` come first."""
    base, after = comparison.sides
    samples = comparison.samples if comparison.query.kind is Kind.CPU else (None, None)
    return {
        "schema": SCHEMA,
        "generator": f"aperture {__version__}",
        "per": comparison.per.value,
        "by": by,
        "unit": unit(comparison.query),
        "base": _side_document(base, comparison.extents[0], samples[0], comparison.timed),
        "after": _side_document(after, comparison.extents[1], samples[1], comparison.timed),
        "scale": _number(comparison.scale),
        "caveats": caveats(comparison),
        "significance": _significance(chosen(comparison, by)[1]),
        "functions": _functions(comparison, by),
    }


def _side_document(side: Side, extent: Extent, samples: int | None, timed: bool) -> dict[str, Any]:
    start, end = time_range(side.store, side.query)
    return {
        "label": side.label,
        "query": query_document(side.query),
        "start_ns": start,
        "end_ns": end,
        "weight": extent.whole,
        "samples": samples,
        "unit_ns": extent.unit if samples is not None and timed else None,
        "span": asdict(side.store.span()),
        "hosts": [asdict(host) for host in side.store.hosts()],
        "health": [health.as_json() for health in side.store.health()],
    }


def _significance(evidence: Evidence | None) -> dict[str, Any] | None:
    if evidence is None:
        return None
    return {
        "false_discovery_rate": FALSE,
        "fewest_samples": FEWEST,
        "tested": evidence.tested,
        "significant": int(np.count_nonzero(evidence.significant)),
    }


def _functions(comparison: Comparison, by: str) -> list[dict[str, Any]]:
    told = comparison.functions
    points = np.nan_to_num(comparison.points(chosen(comparison, by)[0]))
    order = np.argsort(-np.abs(points), kind="stable")
    own = _changes(comparison, told.own, comparison.by_self)
    total = _changes(comparison, told.total, comparison.by_total)
    out = []
    for row in order.tolist():
        frame = told.symbols.frame_at(int(told.frame[row]))
        process = int(told.process[row])
        out.append(
            {
                "function": frame.function,
                "module": frame.module,
                "kind": frame.kind.name.lower(),
                "process": told.symbols.frame_at(process).function if process else None,
                "self": own[row],
                "total": total[row],
            }
        )
    return out


def _changes(comparison: Comparison, weights: Pair, evidence: Evidence | None) -> list[dict[str, Any]]:
    """One for each function, in their order."""
    columns = {
        "before": weights.before.tolist(),
        "after": weights.after.tolist(),
        "change": weights.change.tolist(),
        "points": [_number(value) for value in comparison.points(weights).tolist()],
        "ratio": [_number(value) for value in comparison.ratio(weights).tolist()],
    }
    n = len(weights.before)
    columns["p"] = [None] * n if evidence is None else [_number(value) for value in evidence.p.tolist()]
    columns["q"] = [None] * n if evidence is None else [_number(value) for value in evidence.q.tolist()]
    columns["significant"] = [None] * n if evidence is None else evidence.significant.tolist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _number(value: float) -> float | None:
    """JSON has neither NaN nor infinity."""
    return value if math.isfinite(value) else None


__all__ = ["SCHEMA", "document"]
