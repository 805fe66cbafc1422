"""`aperture alerts`: which of an aggregator's rules fire, and of whom."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from aperture_tui import __version__
from aperture_tui.cli import remote, selecting
from aperture_tui.cli.arguments import Parser, fail
from aperture_tui.cli.opening import OpeningError
from aperture_tui.cli.output import width, write
from aperture_tui.cli.waiting import asking
from aperture_tui.store.fleet_base import AlertState
from aperture_tui.store.remote.link import RemoteError

if TYPE_CHECKING:
    from aperture_tui.store.fleet_base import AlertFacts, RuleFacts
    from aperture_tui.store.remote.alerts import Alerts

_PROGRAM: Final = "aperture alerts"
_SCHEMA: Final = 1
_EXAMPLES: Final = """\
examples:
  aperture alerts --remote agg.example.net --token-file token
  aperture alerts --remote localhost --firing
  aperture alerts --remote localhost --format json | jq -r '.rules[] | .name as $r | .alerts[] | [$r, .group, .state]'

The rules are those of `aperture aggregator --alerts FILE`, of the tenant of the token; docs/fleet.md has how they are
written. States are firing, pending (above, not yet for long enough), ok, and unknown (it could not be measured, and
why). Exit status: 0 when there is an answer, whatever fires; 1 with one line when there is none.

--format json prints {"schema": 1, "generator", "now_ns", "follows_rules", "rules": [{"name", "kind", "where",
"measure", "by", "above", "for_s", "window_s", "measured_ns", "left_out", "alerts": [{"group", "state", "since_ns",
"value", "at_least", "why"}]}]}, with times in Unix nanoseconds; "value" is null where it is not known, "why" has words
then. --firing leaves out all other alerts, and no rule.
"""
_ORDER: Final = (AlertState.FIRING, AlertState.PENDING, AlertState.UNKNOWN, AlertState.OK)
_Row = tuple["RuleFacts", "AlertFacts"]


def run(argv: list[str]) -> int:
    """The command -> exit status: 0 when asked, 1 with one line, 2 for wrong usage."""
    parser = _parser()
    chosen = parser.parse_args(argv)
    remote.check(parser, chosen)
    try:
        with asking(chosen.remote) as watch:
            store = remote.opened(chosen, None, watch)
            from aperture_tui.store.remote.alerts import alerts

            told = alerts(store.connection, store.watch)
    except (OpeningError, RemoteError) as error:
        return fail(_PROGRAM, error)
    if chosen.format == "json":
        text = json.dumps(_document(told, chosen.firing)) + "\n"
    else:
        text = "".join(f"{line}\n" for line in _lines(told, chosen.firing, width(chosen.output)))
    none = "" if told.follows_rules else "it follows no rules: aperture aggregator --alerts FILE"
    left = [f"{one.name}: {one.left_out:,} more groups are not looked at" for one in told.rules if one.left_out]
    selecting.say(_PROGRAM, [none, *left])
    return write(_PROGRAM, text.encode(), chosen.output)


def _parser() -> Parser:
    parser = Parser(_PROGRAM, "Which rules of an aggregator fire.", _EXAMPLES)
    parser.add_argument("--firing", action="store_true", help="those that fire alone")
    parser.add_argument("-o", dest="output", metavar="OUT", help="the file to write (else stdout)")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="(text)")
    remote.add_aggregator(parser, required=True)
    return parser


def _is_shown(alert: AlertFacts, firing: bool) -> bool:
    return not firing or alert.state is AlertState.FIRING


def _document(told: Alerts, firing: bool) -> dict[str, Any]:
    rules = []
    for rule in told.rules:
        shown = [alert for alert in rule.alerts if _is_shown(alert, firing)]
        each = [{**asdict(alert), "state": alert.state.name.lower()} for alert in shown]
        rules.append({**asdict(rule), "alerts": each})
    return {
        "schema": _SCHEMA,
        "generator": f"aperture {__version__}",
        "now_ns": told.now_ns,
        "follows_rules": told.follows_rules,
        "rules": rules,
    }


def _lines(told: Alerts, firing: bool, cells: int) -> list[str]:
    """What is worst first; under what is not known, why."""
    from aperture_tui.export.names import amount_ns
    from aperture_tui.export.table import Column, table, wrapped

    rows: list[_Row] = [(rule, alert) for rule in told.rules for alert in rule.alerts if _is_shown(alert, firing)]
    rows.sort(key=lambda row: (_ORDER.index(row[1].state), row[0].name, row[1].group))
    if not rows:
        return ["nothing fires" if firing and told.rules else "no rules"]
    columns = [
        Column("state", [alert.state.name.lower() for _, alert in rows], left=True),
        Column("rule", [rule.name for rule, _ in rows], left=True),
        Column("of", [f"{rule.by} {alert.group or '-'}" if rule.by else "all" for rule, alert in rows], left=True),
        Column("value", [_amount(alert.value) for _, alert in rows]),
        Column("at least", [_amount(alert.at_least if alert.value is not None else None) for _, alert in rows], 1),
        Column("above", [_amount(rule.above) for rule, _ in rows]),
        Column("in", [rule.measure for rule, _ in rows], 2, left=True),
        Column("for", [amount_ns(max(0, told.now_ns - alert.since_ns)) for _, alert in rows]),
        Column("kind", [rule.kind for rule, _ in rows], 3, left=True),
        Column("where", [rule.where or "-" for rule, _ in rows], 4, left=True),
    ]
    heading, *lines = table(columns, cells)
    out = [heading]
    for (_, alert), line in zip(rows, lines, strict=True):
        out += [line, *(wrapped(f"? {alert.why}", cells, 4) if alert.value is None and alert.why else [])]
    return out


def _amount(value: float | None) -> str:
    return "?" if value is None else f"{value:,.4g}"
