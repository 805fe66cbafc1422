"""`aperture diff`: what changed between two recordings, or two times of one or of a fleet, and what is not chance."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aperture_tui.cli import remote, selecting
from aperture_tui.cli.arguments import Parser, add_filters, fail, recorded_filters
from aperture_tui.cli.output import colours, width, write
from aperture_tui.cli.times import attached, moment, window
from aperture_tui.cli.values import number, pattern, pid, points
from aperture_tui.cli.waiting import asking, progress
from aperture_tui.cli.where_option import add_where
from aperture_tui.profile.comparable import Per
from aperture_tui.profile.query import Measure
from aperture_tui.profile.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aperture_tui.export.comparison import Comparison, Side
    from aperture_tui.filters.recorded import Recorded

ABOVE: Final = 3
"""The exit status where a regression is above the limit of --fail-above."""
_PROGRAM: Final = "aperture diff"
_SUFFIXES: Final = {".svg": "svg", ".json": "json", ".txt": "text"}
_BY: Final = ("self", "total")
_EXAMPLES: Final = """\
examples:
  aperture diff old.aperture new.aperture                    functions with a larger or smaller share of all samples
  aperture diff old.aperture new.aperture -o diff.svg        a flame graph of new, red where there is more than in old
  aperture diff old.aperture new.aperture --filter 'process_name:{"name":"nginx"}'     of both sides what it lets pass
  aperture diff a.aperture a.aperture --base-to -60s --from -60s        the last minute against what was before
  aperture diff old.aperture new.aperture --event lock       by the time waited in and below each function
  aperture diff old.aperture new.aperture --event gpu --by total      by the time of kernels below each function
  aperture diff base.aperture after.aperture --per run --by total --fail-above 5%       for a build: see below
  aperture diff --remote agg.example.net --token-file token --service shop --base -2h..-1h --after -1h..now
  aperture diff --remote localhost --base -1h..now@web-1,web-2 --after -1h..now@service:canary -o diff.svg

What is compared. Functions are the same on both sides if name, module and kind are, whatever their process's pid. With
--per share a change is one of the share of each side's whole, in percentage points: length and frequency of the
recordings do not matter, but where one function gets cheaper the shares of all others grow. --per second compares
amounts a second, for programs under the same load; --per run the amounts themselves, for the same work done once on
each side (aperture record -- COMMAND). Their changes are in percent of BASE's whole.

* marks a change that is more than chance, of samples (--event cpu) alone; · one that may be chance, or has too few
samples to tell. The number of functions compared is allowed for: of those marked, 1 % may be chance. With share and
second, a side that varies from moment to moment by itself has to change by more; with run, a sample to which a filter
gave more weight is taken for so many. What differs from one run to the next (caches, other load, another machine) is
not known from one recording of each.

Of what an aggregator holds, --base and --after say FROM..TO, and behind an @ which hosts or which service; without,
those of --host and --service, or all.

exit status: 0; 1 for a failure, and where a side is empty, so that nothing is compared; 2 for wrong usage; 3 where
--fail-above finds a regression.
Times are now, -15m, -1h30m or ISO 8601 (local unless a zone is given); now is the end of the recording, and of an
aggregator its own.
"""


def run(argv: list[str]) -> int:
    """The command -> exit status: 0, 1 with one line, 2 for wrong usage, 3 for a regression above the limit."""
    parser = _parser()
    argv = selecting.attached(argv, ("--base", "--after"))
    chosen = parser.parse_args(attached(argv, ("--from", "--to", "--base-from", "--base-to")))
    _check_sources(parser, chosen)
    remote.refuse_filters(parser, chosen)
    form = _format(parser, chosen)
    if chosen.fail_above is not None and chosen.event != "cpu":
        parser.error(f"--fail-above is for cpu: of {chosen.event} it is not known what is more than chance")
    from aperture_tui.cli.opening import OpeningError
    from aperture_tui.export.comparison import compared
    from aperture_tui.export.svg import InfernoError
    from aperture_tui.export.written import by_of, per_of
    from aperture_tui.store.compaction import TooManyError
    from aperture_tui.store.remote.link import RemoteError

    try:
        filters = recorded_filters(parser, chosen)
        with asking(chosen.remote) if chosen.remote is not None else progress("comparing") as watch:
            of = _sides_of_aggregator if chosen.remote is not None else partial(_sides, filters=filters)
            base, now, estimates = of(parser, chosen, watch)
            kind = base.query.kind
            by = chosen.by or by_of(kind)
            per = Per(chosen.per) if chosen.per else per_of(kind)
            comparison = compared(base, now, per)
            text = _text(comparison, form, by, chosen)
    except (OpeningError, InfernoError, TooManyError, RemoteError) as error:
        return fail(_PROGRAM, error)
    _warn(comparison)
    selecting.say(_PROGRAM, dict.fromkeys(one.words for one in estimates))
    status = write(_PROGRAM, text, chosen.output)
    if filters is not None and filters.failure:
        return fail(_PROGRAM, filters.failure)
    return status or _judged(comparison, by, chosen.fail_above)


def _judged(comparison: Comparison, by: str, limit: float | None) -> int:
    """1 with one line where nothing can be compared, 3 with one where a function got worse than the limit allows."""
    from aperture_tui.export.difference import above, incomparable
    from aperture_tui.profile.significance import smallest_visible

    if missing := incomparable(comparison):
        so = "there is nothing to compare" if limit is None else "--fail-above cannot tell"
        return fail(_PROGRAM, f"{missing[0].lower()}{missing[1:]}: {so}")
    if limit is None:
        return 0
    if found := above(comparison, by, limit):
        more = f", and {len(found) - 1:,} more" if len(found) > 1 else ""
        print(f"{_PROGRAM}: above {limit:g} %: {found[0]}{more}", file=sys.stderr)
        return ABOVE
    if (visible := smallest_visible(comparison.samples)) > limit:
        words = f"so few samples show changes from {visible:.1f} points on: a longer recording shows smaller ones"
        print(f"{_PROGRAM}: {words}", file=sys.stderr)
    return 0


def _parser() -> Parser:
    parser = Parser(_PROGRAM, "Compare two recordings, or two times of one, by function.", _EXAMPLES)
    parser.add_argument("base", nargs="?", metavar="BASE", help="a recording: what it was")
    parser.add_argument("after", nargs="?", metavar="AFTER", help="a recording: what it is now")
    parser.add_argument("-o", dest="output", metavar="OUT", help="the file to write (else stdout)")
    forms = list(_SUFFIXES.values())
    parser.add_argument("--format", choices=forms, help="else by the suffix of OUT; on stdout text")
    parser.add_argument("--event", choices=selecting.EVENTS, default="cpu", help="kind of events (cpu)")
    measures = [measure.value for measure in Measure]
    parser.add_argument("--measure", choices=measures, help="what is summed (of cpu count, else time, in nanoseconds)")
    parser.add_argument(
        "--by", choices=_BY, help="functions alone, or with all that they call\n(self; of offcpu and lock total)"
    )
    pers = [per.value for per in Per]
    parser.add_argument("--per", choices=pers, help="what is compared, see below (of cpu share, else second)")
    parser.add_argument("--top", type=number, default=20, metavar="N", help="lines of text for each direction (20)")
    parser.add_argument(
        "--fail-above",
        type=points,
        metavar="P%",
        help="end with status 3 where a function's change is more\nthan chance and more than P percentage points",
    )
    _add_narrowing(parser)
    add_filters(parser)
    remote.add_aggregator(parser)
    for option, words in (("base", "what it was: FROM..TO[@HOST,HOST | @service:NAME]"), ("after", "what it is now")):
        parser.add_argument(
            f"--{option}", dest=f"{option}_part", type=selecting.part, metavar="PART", help=f"with --remote, {words}"
        )
    remote.add_machines(parser)
    return parser


def _check_sources(parser: Parser, chosen: argparse.Namespace) -> None:
    """Two recordings, or two parts of what an aggregator holds."""
    remote.check(parser, chosen)
    if chosen.remote is None:
        if chosen.base is None or chosen.after is None:
            parser.error("give two recordings, BASE and AFTER, or an aggregator with --remote")
        if chosen.base_part or chosen.after_part:
            parser.error(f"--{'base' if chosen.base_part else 'after'} needs --remote")
        return
    if chosen.base is not None:
        parser.error(f"give {chosen.base!r}, a recording, or --remote, but not both")
    if chosen.base_part is None or chosen.after_part is None:
        parser.error("--remote needs --base and --after: FROM..TO, with @HOST or @service:NAME behind it")
    times = {"--base-from": chosen.base_from, "--base-to": chosen.base_to}
    times |= {"--from": chosen.after_from, "--to": chosen.after_to}
    if in_vain := next((option for option, given in times.items() if given is not None), ""):
        parser.error(f"{in_vain} is of recordings: --base and --after have their times in them")


def _add_narrowing(parser: Parser) -> None:
    group = parser.add_argument_group("what is compared of them")
    for option, words in (("--base-from", "of BASE nothing before this time"), ("--base-to", "nor from this time on")):
        group.add_argument(option, type=moment, metavar="T", help=words)
    for option, words in (("--from", "of AFTER nothing before this time"), ("--to", "nor from this time on")):
        group.add_argument(option, dest=f"after_{option[2:]}", type=moment, metavar="T", help=words)
    group.add_argument(
        "-p", "--pid", dest="pids", type=pid, action="append", default=[], metavar="PID", help="may be given again"
    )
    group.add_argument("--process", metavar="NAME", help="only processes of this name: pids differ between runs")
    group.add_argument("--name", metavar="NAME", help="only this system call, kind of lock, or reason to be off-CPU")
    group.add_argument(
        "--frame", type=pattern, metavar="RE", help="only stacks with a function, module or file like it"
    )
    add_where(group)
    selecting.add_tags(group)


def _format(parser: Parser, chosen: argparse.Namespace) -> str:
    for name in (chosen.base, chosen.after):
        if name and chosen.output and (_same(chosen.output, name) or _is_in(chosen.output, name)):
            parser.error(f"{chosen.output} is one of the recordings")
    if chosen.format:
        return str(chosen.format)
    suffix = Path(chosen.output or "x.txt").suffix
    if suffix not in _SUFFIXES:
        parser.error(f"no format has the suffix of {chosen.output!r}: end it in {', '.join(_SUFFIXES)}, or --format")
    return _SUFFIXES[suffix]


def _same(one: str, other: str) -> bool:
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def _is_in(output: str, folder: str) -> bool:
    """Whether it would be written over a file of a folder of recordings."""
    return os.path.isdir(folder) and os.path.exists(output) and _same(os.path.dirname(output) or ".", folder)


_Sides = tuple["Side", "Side", "Sequence[selecting.Estimates]"]


def _sides(
    parser: Parser, chosen: argparse.Namespace, watch: Callable[[float], None], filters: Recorded | None
) -> _Sides:
    """Of recordings. Raises OpeningError."""
    from aperture_tui.cli.opening import opened
    from aperture_tui.export.comparison import Side

    before = opened(chosen.base, watch, filters)
    after = before if _same(chosen.base, chosen.after) else opened(chosen.after, watch, filters)
    base = window(parser, before.span(), "--base-from", chosen.base_from, chosen.base_to)
    now = window(parser, after.span(), "--from", chosen.after_from, chosen.after_to)
    first = Side(clean(chosen.base), before, selecting.query(chosen, *base))
    return first, Side(clean(chosen.after), after, selecting.query(chosen, *now)), ()


def _sides_of_aggregator(parser: Parser, chosen: argparse.Namespace, watch: Callable[[float], None]) -> _Sides:
    """Of what an aggregator holds. Raises OpeningError and RemoteError."""
    from aperture_tui.export.comparison import Side
    from aperture_tui.store.remote.link import FLEET

    named = remote.focus(parser, chosen)
    store = remote.opened(chosen, named, watch)
    sides, estimates = [], []
    for option, part in (("--base from", chosen.base_part), ("--after from", chosen.after_part)):
        of = store.of(part.where or named or FLEET)
        range_ns = remote.window(parser, of, option, part.start, part.end)
        estimates.append(selecting.Estimates(of))
        sides.append(Side(clean(f"{chosen.remote} {part.text}"), of, of.mine(selecting.query(chosen, *range_ns))))
    return sides[0], sides[1], estimates


def _warn(comparison: Comparison) -> None:
    """What the reader of the output has to know, on stderr."""
    from aperture_tui.export.comparison import caveats, losses
    from aperture_tui.export.left_out import left_out
    from aperture_tui.export.written import nothing_of

    lines = caveats(comparison)
    for side, extent, samples in zip(comparison.sides, comparison.extents, comparison.samples, strict=True):
        lines += [f"{side.label}: {words}" for words in (left_out(side.store, side.query), *losses(side)) if words]
        if not extent.whole and not samples:
            lines.append(f"{side.label}: {nothing_of(side.store, side.query)}")
    for line in dict.fromkeys(lines):  # both sides may be of one recording
        print(f"{_PROGRAM}: {line}", file=sys.stderr)


def _text(comparison: Comparison, form: str, by: str, chosen: argparse.Namespace) -> bytes:
    """Raises InfernoError."""
    from aperture_tui.export.written import difference

    return b"".join(difference(comparison, form, by, chosen.top, width(chosen.output), colours(chosen.output)).pieces)
