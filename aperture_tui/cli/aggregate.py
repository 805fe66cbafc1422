"""`aperture aggregate`: where the time of many machines goes, as one call tree."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any, Final

from aperture_tui import __version__
from aperture_tui.cli import remote, selecting
from aperture_tui.cli.arguments import Parser, fail
from aperture_tui.cli.opening import OpeningError
from aperture_tui.cli.output import width, write
from aperture_tui.cli.times import attached
from aperture_tui.cli.values import number
from aperture_tui.cli.waiting import asking
from aperture_tui.export.left_out import left_out
from aperture_tui.store.remote.link import FLEET, Focus, RemoteError

if TYPE_CHECKING:
    from aperture_tui.profile.query import Query
    from aperture_tui.store.remote.store import RemoteStore

_PROGRAM: Final = "aperture aggregate"
_EXAMPLES: Final = """\
examples:
  aperture aggregate --remote agg.example.net --token-file token --service checkout --from -1h
  aperture aggregate --remote agg.example.net --token-file token --from -7d --frame malloc --format folded | less
  aperture aggregate --remote localhost --host web-7 --host web-8 --event offcpu --from -10m --to now
  aperture aggregate --remote localhost --from -1h --by tag --no-tag canary     by the tags that filters gave
  aperture aggregate --remote localhost --from -1d --format json | jq .estimate

The stacks of all machines that are named are one tree, merged by the aggregator; what is too small for --nodes are
branches "(smaller stacks)". A range with more events than can be read in time is estimated out of a part of them, and
stderr and JSON say so. `aperture export --remote` writes the same for other tools.

--format json prints {"schema": 1, "query", "estimate", "tree"}: docs/json.md; of the estimate docs/remote.md.
Times are now, -15m, -1h30m or ISO 8601 (local unless a zone is given); now is the aggregator's.
"""


def run(argv: list[str]) -> int:
    """The command -> exit status: 0, 1 with one line, 2 for wrong usage."""
    parser = _parser()
    chosen = parser.parse_args(attached(argv, ("--from", "--to")))
    remote.check(parser, chosen)
    where = remote.focus(parser, chosen)
    try:
        with asking(chosen.remote) as watch:
            store = remote.opened(chosen, where, watch, chosen.nodes or (None if chosen.format == "folded" else 0))
            estimates = selecting.Estimates(store)
            query = selecting.query(chosen, *remote.window(parser, store, "--from", chosen.start, chosen.end))
            query = selecting.grouped(query, chosen)
            text, empty = _text(store, query, chosen, where or FLEET, estimates)
            let = left_out(store, query)
            unknown = remote.unknown_machines(store, where)
    except (OpeningError, RemoteError) as error:
        return fail(_PROGRAM, error)
    selecting.say(_PROGRAM, [unknown, estimates.words, let, empty])
    return write(_PROGRAM, text.encode(), chosen.output)


def _parser() -> Parser:
    parser = Parser(_PROGRAM, "The stacks of an aggregator's machines, merged.", _EXAMPLES)
    parser.add_argument("-o", dest="output", metavar="OUT", help="the file to write (else stdout)")
    parser.add_argument("--format", choices=("text", "json", "folded"), default="text", help="(text)")
    words = "of the tree at most, about; the smaller ones are one\n(as many as the aggregator likes; of folded all)"
    parser.add_argument("--nodes", type=number, metavar="N", help=words)
    remote.add_aggregator(parser, required=True)
    remote.add_machines(parser)
    selecting.add_range(parser)
    selecting.add_narrowing(parser)
    selecting.add_group(parser)
    return parser


def _text(
    store: RemoteStore, query: Query, chosen: argparse.Namespace, where: Focus, estimates: selecting.Estimates
) -> tuple[str, str]:
    """The output, and that there is nothing in it, in words."""
    from aperture_tui.export import folded, structured
    from aperture_tui.export.names import unit

    if chosen.format == "folded":
        stacks = folded.of_query(store, query)
        return stacks, "" if stacks else nothing(store, query)
    tree = store.call_tree(query)
    empty = "" if tree.weight else nothing(store, query)
    if chosen.format == "text":
        return _report(store, query, tree, where, width(chosen.output)), empty
    document: dict[str, Any] = {
        "schema": structured.SCHEMA,
        "generator": f"aperture {__version__}",
        "query": structured.query_document(store.mine(query)),
        "estimate": estimates.as_json(),
        "tree": structured.tree_document(tree, unit(query)),
    }
    return json.dumps(document) + "\n", empty


def _report(store: RemoteStore, query: Query, tree: Any, where: Focus, cells: int) -> str:
    """Whose stacks they are and when, functions, branches."""
    from aperture_tui.export import stacks
    from aperture_tui.export.collected import kind_name, time_range
    from aperture_tui.export.names import COUNTED, amount_ns, time_utc
    from aperture_tui.export.table import fitted, wrapped
    from aperture_tui.profile.query import Measure

    start, end = time_range(store, query)
    amount = amount_ns(tree.weight) if query.measure is Measure.TIME else f"{tree.weight:,} {COUNTED[query.kind]}"
    held = f"{time_utc(start)}, for {amount_ns(end - start)}" if end > start else "nothing held"
    labelled = (("hosts", selecting.machines(where)), ("range", held), (kind_name(query.kind), amount))
    lines = [part for label, words in labelled for part in wrapped(f"{label:<11}{words}", cells, further=11)]
    if tree.weight:
        lines += ["", *stacks.functions(tree), "", *stacks.branches(tree)]
    return "".join(f"{fitted(line, cells)}\n" for line in lines)


def nothing(store: RemoteStore, query: Query) -> str:
    """That there is nothing of a query, and what there is, in words."""
    from aperture_tui.export.collected import collected, kind_name
    from aperture_tui.export.names import time_utc

    span = store.span()
    held = f"held is {time_utc(span.start_ns)} to {time_utc(span.end_ns)}" if span.events else "nothing is held"
    looked = "" if query.kind in collected(store) else "; such events were not pushed"
    found = [f"no {kind_name(query.kind)} events here; {held}{looked}", selecting.unknown_tags(store, query)]
    return "; ".join(filter(None, found))
