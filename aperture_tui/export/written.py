"""A query in any of the formats: what the command line and the screens write."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from aperture_tui.export.collected import kind_name, losses_of, of_kind, time_range, uncollected
from aperture_tui.export.names import time_utc
from aperture_tui.export.pieces import pieces
from aperture_tui.profile.comparable import Per
from aperture_tui.profile.kinds import Kind, Role
from aperture_tui.store.base import CUT_SHORT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from aperture_tui.export.comparison import Comparison
    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import Store


class Asked(NamedTuple):
    """What is written. title: of it; kinds: of a timeline or a report, () for all or for the query's own.

    width: cells of a line of text. top: histograms at most. slices: of a timeline at most, None for as many as ever.
    watch: told, now and then, while another program works.
    """

    store: Store
    query: Query
    title: str = ""
    kinds: Sequence[Kind] = ()
    width: int = 100
    top: int = 10
    slices: int | None = None
    watch: Callable[[float], None] = lambda _: None


class Written(NamedTuple):
    """A file in pieces, and what it lacks, in words."""

    pieces: Iterable[bytes]
    lacks: Sequence[str] = ()


def written(asked: Asked, form: str) -> Written:
    """The file, in a format of `formats`, or "histogram". Raises re.error, InfernoError and TooManyError."""
    from aperture_tui.export import folded, histogram, perfetto, pprof, report, speedscope, structured, svg

    store, query = asked.store, asked.query
    match form:
        case "json":
            return Written(pieces(structured.document(store, query)))
        case "speedscope":
            return Written(pieces(speedscope.document(store, query, asked.title)))
        case "perfetto":
            document = perfetto.document(store, query, asked.kinds, asked.slices)
            left_out = document["otherData"]["not_drawn"]
            what = "event" if left_out == 1 else "events"
            why = "the oldest of too many, or what others with a weight stand for"
            words = f"{left_out:,} {what} not drawn but counted: {why}"
            return Written(pieces(document), [words] if left_out else [])
        case "pprof":
            return Written([pprof.of_query(store, query)])
        case "svg":
            return Written([svg.of_query(store, query, asked.title, asked.watch).encode()])
        case "text":
            return Written([report.text(store, query, asked.width, asked.kinds).encode()])
        case "histogram":
            return Written([histogram.text(store, query, asked.top, asked.width).encode()])
    return Written([folded.of_query(store, query).encode()])


def difference(
    comparison: Comparison,
    form: str,
    by: str,
    top: int = 20,
    width: int = 100,
    colour: bool = False,
    watch: Callable[[float], None] = lambda _: None,
) -> Written:
    """A comparison as text, JSON or SVG. by: see `by_of`. Raises InfernoError."""
    from aperture_tui.export import difference as text
    from aperture_tui.export import difference_json, difference_svg

    match form:
        case "json":
            return Written(pieces(difference_json.document(comparison, by)))
        case "svg":
            return Written([difference_svg.text(comparison, watch).encode()])
    return Written([text.text(comparison, by, top, width, colour).encode()])


def by_of(kind: Kind) -> str:
    """What functions are compared by, if nothing else is said: of waits with what they call, which is what waits."""
    return "total" if kind in (Kind.OFFCPU, Kind.LOCK) else "self"


def per_of(kind: Kind) -> Per:
    """What weights are compared per, if nothing else is said."""
    return Per.SHARE if kind is Kind.CPU else Per.SECOND


def caveats(store: Store, query: Query, kinds: Sequence[Kind], filtered: bool = False) -> list[str]:
    """What the reader of a file has to know. kinds: those that are in it. filtered: a filter may have taken all."""
    out = []
    for loss in losses_of(store, kinds):
        out.append("; ".join(filter(None, [loss.message, *(f"lost: {c}: {n:,}" for c, n in loss.counts.items())])))
    asked = [of_kind(query, kind) for kind in kinds]
    if any(map(store.processes, asked)):
        return out
    ended = " that ended" if any(store.processes(replace(one, role=Role.IN_FLIGHT)) for one in asked) else ""
    which = f"{kind_name(query.kind)} events" if query.kind in kinds else "events"
    return [*out, nothing_of(store, query, f"{which}{ended}", filtered)]


def nothing_of(store: Store, query: Query, which: str = "", filtered: bool = False) -> str:
    """That a query found nothing, and why, in words. which: the events; filtered: a filter may have taken all."""
    looked = "; such events were not collected" if not filtered and uncollected(store, query.kind) else ""
    return f"no {which or f'{kind_name(query.kind)} events'} here; {_held(store, query)}{looked}"


def _held(store: Store, query: Query) -> str:
    span = store.span()
    if not span.events:
        return f"it {CUT_SHORT}, before it held any" if span.cut_short else "it is empty"
    held = f"it holds {time_utc(span.start_ns)} to {time_utc(span.end_ns)}"
    start, end = time_range(store, query)
    outside = (query.start_ns, query.end_ns) != (None, None) and end <= start
    return f"{held}, and nothing of the time that was asked for" if outside else held


__all__ = ["Asked", "Written", "by_of", "caveats", "difference", "nothing_of", "per_of", "written"]
