"""`aperture export`: a recording, or a part of what an aggregator holds, in a format that other tools read."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Final

from aperture_tui.cli import remote, selecting
from aperture_tui.cli.arguments import Parser, add_filters, fail, recorded_filters
from aperture_tui.cli.opening import OpeningError, opened
from aperture_tui.cli.output import to_terminal, width, write
from aperture_tui.cli.times import attached, moment, window
from aperture_tui.cli.values import number, pattern, pid
from aperture_tui.cli.waiting import asking, progress
from aperture_tui.cli.where_option import add_where
from aperture_tui.export.collected import collected, kind_name, of_kind
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Measure
from aperture_tui.store.remote.link import Focus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from aperture_tui.filters.recorded import Recorded
    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import Store

_PROGRAM: Final = "aperture export"
_SUFFIXES: Final = {
    ".folded": "folded",
    ".collapsed": "folded",
    ".svg": "svg",
    ".speedscope.json": "speedscope",
    ".pb.gz": "pprof",
    ".pprof": "pprof",
    ".perfetto.json": "perfetto",
    ".trace.json": "perfetto",
    ".json": "json",
    ".txt": "text",
}
"""The longer before what they end in."""
_TREES: Final = ("folded", "svg", "json", "text")
_HISTOGRAMS: Final = ("syscall", "lock")
_EXAMPLES: Final = """\
examples:
  aperture export busy.aperture -o busy.folded              stacks, one a line, with their samples
  aperture export busy.aperture -o busy.svg                 a flame graph, drawn by inferno
  aperture export busy.aperture -o busy.pb.gz               then: go tool pprof -http=: busy.pb.gz
  aperture export busy.aperture -o busy.speedscope.json     open it at https://www.speedscope.app
  aperture export busy.aperture -o busy.perfetto.json       a timeline: open it at https://ui.perfetto.dev
  aperture export busy.aperture --format text --from -30s   a report of its last half minute
  aperture export busy.aperture --pid 4242 --frame malloc -o malloc.json
  aperture export busy.aperture --filter 'redact:{"functions":["secret_"]}' --filter-error drop -o to-show.svg

  aperture export --remote agg.example.net --token-file token --host web-7 --from -1h -o web-7.pb.gz

of recordings made with --events:
  aperture export all.aperture --event offcpu -o blocked.svg
  aperture export all.aperture --event lock -o locks.pb.gz
  aperture export all.aperture --event lock --format text            who waited for which lock, and who held it
  aperture export all.aperture --event syscall --format text         calls with their latencies, errors, in flight
  aperture export all.aperture --event syscall --format histogram --name fsync
  aperture export all.aperture --event lock --measure count -o waits.folded
  aperture export all.aperture --event gpu -o gpu.svg              kernels below what launched them
  aperture export all.aperture --event gpu -o gpu.perfetto.json    kernels, copies, calls, what came of which

Stacks of cpu count samples; those of offcpu, lock and syscall add up nanoseconds, or with --measure count waits and
calls; pprof has both. Those of gpu are the time of kernels, gpu_copy has that of copies. The innermost frame of syscall
is the call, and of offcpu it is [runnable] where a thread was not blocked but waited for a CPU. A timeline (perfetto)
has all kinds of events, or with --event one, or of gpu all three.

Times are now, -15m, -1h30m or ISO 8601 (local unless a zone is given); now is the end of the recording, and of an
aggregator its own.
"""


def run(argv: list[str]) -> int:
    """The command -> exit status: 0, 1 with one line, 2 for wrong usage."""
    parser = _parser()
    chosen = parser.parse_args(attached(argv, ("--from", "--to")))
    remote.check(parser, chosen)
    if (chosen.file is None) == (chosen.remote is None):
        parser.error("give a FILE, or an aggregator with --remote")
    remote.refuse_filters(parser, chosen)
    form = _format(parser, chosen)
    filters = recorded_filters(parser, chosen)
    from aperture_tui.export.left_out import left_out
    from aperture_tui.export.svg import InfernoError, find
    from aperture_tui.store.compaction import TooManyError
    from aperture_tui.store.remote.link import RemoteError

    try:
        if form == "svg":
            find()  # before anybody has to wait
        with _waiting(chosen) as watch:
            store, query = _asked(parser, chosen, watch, filters)
            query = selecting.grouped(query, chosen)
            estimates = selecting.Estimates(store)
            data, said = _written(store, query, form, chosen)
            all_kinds = form == "perfetto" and not chosen.event
            said += [estimates.words] if estimates.words else []
            kinds = collected(store) if all_kinds else _kinds(query, form, chosen)
            said += _caveats(store, query, kinds, filters is not None)
            said += [words for kind in kinds if form != "text" and (words := left_out(store, of_kind(query, kind)))]
    except (OpeningError, InfernoError, TooManyError, RemoteError) as error:
        return fail(_PROGRAM, error)
    for line in said:  # when the bar is gone
        print(f"{_PROGRAM}: {_source(chosen)}: {line}", file=sys.stderr)
    status = write(_PROGRAM, data, chosen.output)
    return fail(_PROGRAM, filters.failure) if filters is not None and filters.failure else status


def _source(chosen: argparse.Namespace) -> str:
    return str(chosen.file or chosen.remote)


def _waiting(chosen: argparse.Namespace) -> AbstractContextManager[Callable[[float], None]]:
    return asking(chosen.remote) if chosen.remote is not None else progress(f"reading {chosen.file}")


def _asked(
    parser: Parser, chosen: argparse.Namespace, watch: Callable[[float], None], filters: Recorded | None
) -> tuple[Store, Query]:
    """What is asked, and for what. Raises OpeningError and RemoteError."""
    if chosen.remote is not None:
        aggregator = remote.opened(chosen, remote.focus(parser, chosen), watch)
        range_ns = remote.window(parser, aggregator, "--from", chosen.start, chosen.end)
        return aggregator, aggregator.mine(selecting.query(chosen, *range_ns))
    store = opened(chosen.file, watch, filters)
    return store, selecting.query(chosen, *window(parser, store.span(), "--from", chosen.start, chosen.end))


def _parser() -> Parser:
    parser = Parser(_PROGRAM, "Write a recording in a format that other tools read, or as a report in text.", _EXAMPLES)
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="a recording, a folder of them, folded stacks, pprof or\nthe text of perf script; in its place --remote",
    )
    parser.add_argument("-o", dest="output", metavar="OUT", help="the file to write (else stdout)")
    forms = sorted({*_SUFFIXES.values(), "histogram"})
    parser.add_argument("--format", choices=forms, help="else by the suffix of OUT; on stdout folded")
    parser.add_argument("--event", choices=selecting.EVENTS, help="kind of events (cpu; of perfetto all)")
    measures = [measure.value for measure in Measure]
    parser.add_argument("--measure", choices=measures, help="what is summed (of cpu count, else time, in nanoseconds)")
    parser.add_argument("--name", metavar="NAME", help="only this system call, kind of lock, or reason to be off-CPU")
    parser.add_argument("--top", type=number, default=10, metavar="N", help="histograms at most (10)")
    parser.add_argument("--from", dest="start", type=moment, metavar="T", help="nothing before this time")
    parser.add_argument("--to", dest="end", type=moment, metavar="T", help="nothing from this time on")
    parser.add_argument(
        "-p", "--pid", dest="pids", type=pid, action="append", default=[], metavar="PID", help="may be given again"
    )
    parser.add_argument(
        "--process", metavar="NAME", help="only processes of this name: of several hosts pids say nothing"
    )
    parser.add_argument(
        "--frame", type=pattern, metavar="RE", help="only stacks with a function, module or file that matches"
    )
    add_where(parser)
    add_filters(parser)
    selecting.add_tags(parser)
    selecting.add_group(parser)
    remote.add_aggregator(parser)
    remote.add_machines(parser)
    return parser


def _format(parser: Parser, chosen: argparse.Namespace) -> str:
    both = chosen.file and chosen.output and os.path.exists(chosen.output) and os.path.exists(chosen.file)
    if both and os.path.samefile(chosen.output, chosen.file):
        parser.error(f"{chosen.output} is the recording itself")
    form = str(chosen.format or _by_suffix(parser, chosen.output))
    if form == "histogram" and chosen.event not in _HISTOGRAMS:
        parser.error(f"there are no histograms of {chosen.event or 'cpu'}; there are of: {', '.join(_HISTOGRAMS)}")
    if chosen.group and form not in _TREES:
        parser.error(f"--by changes nothing of {form}: it is for {', '.join(_TREES)}")
    if form == "pprof" and to_terminal(chosen.output):
        parser.error("pprof is binary, and stdout a terminal: give -o OUT")
    return form


def _by_suffix(parser: Parser, output: str | None) -> str:
    forms = [form for suffix, form in _SUFFIXES.items() if (output or ".folded").endswith(suffix)]
    if not forms:
        parser.error(f"no format has the suffix of {output!r}: end it in {', '.join(_SUFFIXES)}, or --format")
    return forms[0]


def _caveats(store: Store, query: Query, kinds: Sequence[Kind], filtered: bool) -> list[str]:
    """What the reader of the output has to know. kinds: those that are in it. filtered: a filter may have taken all."""
    from aperture_tui.export.written import caveats

    told = caveats(store, query, kinds, filtered)
    if query.tags or query.without_tags:
        nothing = not any(store.processes(of_kind(query, kind)) for kind in kinds)
        words = selecting.unknown_tags(store, query) if nothing else ""
        told += [words] if words else []
    return told


def _kinds(query: Query, form: str, chosen: argparse.Namespace) -> tuple[Kind, ...]:
    """Those of which a file is that is of one kind: only a timeline has all of `gpu`."""
    return selecting.kinds(chosen.event) if form == "perfetto" and chosen.event else (query.kind,)


def _written(store: Store, query: Query, form: str, chosen: argparse.Namespace) -> tuple[bytes, list[str]]:
    """The file, and what it lacks. Raises InfernoError and TooManyError."""
    from aperture_tui.export.written import Asked, written

    title = os.path.basename(chosen.file) if chosen.file else _of_machines(chosen)
    title = f"{title}: {kind_name(query.kind)}" if form == "svg" else title
    kinds = _kinds(query, form, chosen) if form == "perfetto" and chosen.event else ()
    done = written(Asked(store, query, title, kinds, width(chosen.output), chosen.top), form)
    return b"".join(done.pieces), list(done.lacks)


def _of_machines(chosen: argparse.Namespace) -> str:
    return f"{chosen.remote} {selecting.machines(Focus(tuple(chosen.hosts), chosen.service))}"
