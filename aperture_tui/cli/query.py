"""`aperture query`: what an aggregator holds: its hosts, how much over time, the pushes themselves."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from aperture_tui.cli import remote, selecting
from aperture_tui.cli.arguments import Parser, fail
from aperture_tui.cli.opening import OpeningError
from aperture_tui.cli.output import width, write
from aperture_tui.cli.times import attached
from aperture_tui.cli.values import number
from aperture_tui.cli.waiting import asking
from aperture_tui.export.left_out import left_out
from aperture_tui.store.remote.link import RemoteError, is_stale

if TYPE_CHECKING:
    from aperture_tui.profile.query import Query
    from aperture_tui.store.remote.store import RemoteStore

_PROGRAM: Final = "aperture query"
_PARTS: Final = 60
_MOST_BUCKETS: Final = 10_000
_BATCHES: Final = 100
_SCHEMA: Final = 1
_EXAMPLES: Final = """\
examples:
  aperture query hosts --remote agg.example.net --token-file token --service checkout
  aperture query hosts --remote localhost --format json | jq '.hosts[] | select(.stale or .lost > 0) | .name'
  aperture query timeline --remote localhost --host web-7 --from -6h --buckets 72
  aperture query timeline --remote localhost --event offcpu --process nginx --from -1h --to now
  aperture query batches --remote localhost --host web-7 --from -10m

hosts: who pushes, when last, what was lost. timeline: how many samples, or how much time, in parts of equal length.
batches: the pushes as they are stored, newest first.

--format json prints {"schema": 1, ...}, with times in Unix nanoseconds:
  hosts     "now_ns", "hosts": [{"name", "service", "version", "first_ns", "newest_ns", "seen_ns", "events", "lost",
            "interval_ms", "kernel", "cpus", "memory_bytes", "problem", "stale"}]
  timeline  "query", "unit", "start_ns", "bucket_ns", "weights",
            "estimate": {"sampled", "events", "share_error", "missing_ns"}
  batches   "batches": [{"host", "service", "boot", "seq", "start_ns", "end_ns", "stored_ns", "events", "lost"}]
Times are now, -15m, -1h30m or ISO 8601 (local unless a zone is given); now is the aggregator's.
"""


def run(argv: list[str]) -> int:
    """The command -> exit status: 0, 1 with one line, 2 for wrong usage."""
    parser = _parser()
    chosen = parser.parse_args(attached(argv, ("--from", "--to")))
    _refuse_what_is_in_vain(parser, chosen)
    where = remote.focus(parser, chosen)
    try:
        with asking(chosen.remote) as watch:
            store = remote.opened(chosen, where, watch)
            estimates = selecting.Estimates(store)
            range_ns = remote.window(parser, store, "--from", chosen.start, chosen.end)
            query = selecting.query(chosen, *range_ns)
            document, lines = _ANSWERS[chosen.what](store, query, chosen, estimates)
            let = left_out(store, query)
            unknown = remote.unknown_machines(store, where)
    except (OpeningError, RemoteError) as error:
        return fail(_PROGRAM, error)
    if chosen.format == "json":
        text = json.dumps({"schema": _SCHEMA, **document}) + "\n"
    else:
        text = "".join(f"{line}\n" for line in lines)
    selecting.say(_PROGRAM, [unknown, estimates.words, let])
    return write(_PROGRAM, text.encode(), chosen.output)


def _parser() -> Parser:
    parser = Parser(_PROGRAM, "What an aggregator holds.", _EXAMPLES)
    parser.add_argument("what", choices=list(_ANSWERS), metavar="WHAT", help="hosts, timeline or batches")
    parser.add_argument("-o", dest="output", metavar="OUT", help="the file to write (else stdout)")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="(text)")
    parser.add_argument("--buckets", type=_buckets, metavar="N", help=f"parts of a timeline ({_PARTS})")
    parser.add_argument("--limit", type=number, metavar="N", help=f"batches at most ({_BATCHES})")
    remote.add_aggregator(parser, required=True)
    remote.add_machines(parser)
    selecting.add_range(parser)
    selecting.add_narrowing(parser)
    return parser


def _refuse_what_is_in_vain(parser: Parser, chosen: argparse.Namespace) -> None:
    """An option that changes nothing of the answer is a mistake."""
    remote.check(parser, chosen)
    events = ("event", "measure", "pids", "process", "name", "frame", "tags", "without_tags", "where")
    of_none = {"hosts": ("start", "end", *events, "buckets", "limit"), "batches": (*events, "buckets")}
    options = {"start": "from", "end": "to", "pids": "pid", "tags": "tag", "without_tags": "no-tag"}
    for name in of_none.get(chosen.what, ("limit",)):
        if getattr(chosen, name):
            parser.error(f"--{options.get(name, name)} changes nothing of {chosen.what}")


def _buckets(text: str) -> int:
    buckets = number(text)
    if buckets > _MOST_BUCKETS:
        raise argparse.ArgumentTypeError(f"{text!r} is too many: give 1 to {_MOST_BUCKETS:,}")
    return buckets


_Answer = tuple[dict[str, Any], list[str]]
"""A document, and the same in lines of text."""


def _hosts(store: RemoteStore, _query: Query, chosen: argparse.Namespace, _estimates: selecting.Estimates) -> _Answer:
    from aperture_tui.export.names import amount_bytes, amount_ns
    from aperture_tui.export.table import Column, table, wrapped
    from aperture_tui.store.remote.store import is_of

    fleet = store.fleet()
    found = sorted((host for host in fleet.hosts if is_of(host, store.focus)), key=lambda one: (one.service, one.name))
    told = [{**asdict(host), "stale": is_stale(host.seen_ns, host.interval_ms, fleet.now_ns)} for host in found]
    ages = [amount_ns(fleet.now_ns - host.seen_ns) if host.seen_ns else "never" for host in found]
    columns = [
        Column("host", [host.name for host in found], left=True),
        Column("service", [host.service or "-" for host in found], left=True),
        Column("last seen", [f"{'! ' * one['stale']}{age}" for one, age in zip(told, ages, strict=True)]),
        Column("lost", [f"{host.lost:,}" for host in found], 1),
        Column("events", [f"{host.events:,}" for host in found], 2),
        Column("cpus", [str(host.cpus or "?") for host in found], 5),
        Column("memory", [amount_bytes(host.memory_bytes) if host.memory_bytes else "?" for host in found], 6),
        Column("version", [host.version or "?" for host in found], 3, left=True),
        Column("kernel", [host.kernel or "?" for host in found], 4, left=True),
    ]
    cells = width(chosen.output)
    heading, *rows = table(columns, cells)
    lines = [heading]
    for host, row in zip(found, rows, strict=True):
        lines += [row, *(wrapped(f"! {host.problem}", cells, 4) if host.problem else [])]
    return {"now_ns": fleet.now_ns, "hosts": told}, lines if found else ["no hosts"]


def _timeline(store: RemoteStore, query: Query, chosen: argparse.Namespace, estimates: selecting.Estimates) -> _Answer:
    from aperture_tui.export import structured
    from aperture_tui.export.names import amount_ns, time_utc, unit
    from aperture_tui.export.table import Column, table
    from aperture_tui.profile.query import Measure

    told = store.timeline(query, chosen.buckets or _PARTS)
    weights = told.weights.tolist()
    document = {
        "query": structured.query_document(store.mine(query)),
        "unit": unit(query),
        "start_ns": told.start_ns,
        "bucket_ns": told.bucket_ns,
        "weights": weights,
        "estimate": estimates.as_json(),
    }
    if not any(weights):
        from aperture_tui.cli.aggregate import nothing

        return document, [nothing(store, query)]
    timed = query.measure is Measure.TIME
    most = max(weights)
    starts = [told.start_ns + i * told.bucket_ns for i in range(len(weights))]
    columns = [
        Column("from", [time_utc(start) for start in starts], left=True),
        Column(unit(query) if not timed else "time", [amount_ns(n) if timed else f"{n:,}" for n in weights]),
        Column("", ["█" * round(_BAR * n / most) for n in weights], left=True),
    ]
    return document, [f"parts of {amount_ns(told.bucket_ns)}", *table(columns, width(chosen.output))]


_BAR: Final = 40
"""Cells of the longest bar."""


def _batches(store: RemoteStore, query: Query, chosen: argparse.Namespace, _estimates: selecting.Estimates) -> _Answer:
    from aperture_tui.export.names import amount_ns, time_utc
    from aperture_tui.export.table import Column, table

    found = store.batches(query, chosen.limit or _BATCHES)
    document = {"batches": [{**asdict(one), "boot": one.boot.hex()} for one in found]}
    columns = [
        Column("stored", [time_utc(one.stored_ns) for one in found], left=True),
        Column("host", [one.host for one in found], left=True),
        Column("service", [one.service or "-" for one in found], 3, left=True),
        Column("from", [time_utc(one.start_ns) for one in found], 2, left=True),
        Column("for", [amount_ns(one.end_ns - one.start_ns) for one in found], 1),
        Column("events", [f"{one.events:,}" for one in found]),
        Column("lost", [f"{one.lost:,}" for one in found], 4),
        Column("seq", [str(one.seq) for one in found]),
        Column("boot", [one.boot.hex()[:8] for one in found], 5, left=True),
    ]
    return document, table(columns, width(chosen.output)) if found else ["no batches"]


_ANSWERS: Final[dict[str, Callable[[RemoteStore, Query, argparse.Namespace, selecting.Estimates], _Answer]]] = {
    "hosts": _hosts,
    "timeline": _timeline,
    "batches": _batches,
}
