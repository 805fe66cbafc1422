"""`aperture export`: a recording in a format that other tools read."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aperture_tui.cli.arguments import Parser, fail
from aperture_tui.cli.times import attached, moment
from aperture_tui.export.collected import collected, default_measure
from aperture_tui.profile.kinds import Kind, Role
from aperture_tui.profile.query import Measure, Query

if TYPE_CHECKING:
    from aperture_tui.store.base import Store

_PROGRAM: Final = "aperture export"
_SUFFIXES: Final = {".folded": "folded", ".collapsed": "folded", ".json": "json", ".txt": "text"}
_KINDS: Final = {kind.name.lower(): kind for kind in Kind}
_HISTOGRAMS: Final = ("syscall", "lock")
_EXAMPLES: Final = """\
examples:
  aperture export busy.aperture -o busy.folded              stacks, one a line, with their samples
  aperture export busy.aperture | inferno-flamegraph > busy.svg
  aperture export busy.aperture --format text --from -30s   a report of its last half minute
  aperture export busy.aperture --pid 4242 --frame malloc -o malloc.json

of recordings made with --events:
  aperture export all.aperture --event offcpu | inferno-flamegraph --countname ns > blocked.svg
  aperture export all.aperture --event lock --format text            who waited for which lock, and who held it
  aperture export all.aperture --event syscall --format text         calls with their latencies, errors, in flight
  aperture export all.aperture --event syscall --format histogram --name fsync
  aperture export all.aperture --event lock --measure count -o waits.folded

Folded stacks and JSON of cpu count samples; those of offcpu, lock and syscall add up nanoseconds, or with
--measure count waits and calls. In folded stacks the innermost frame of syscall is the call, and of offcpu it is
[runnable] where a thread was not blocked but waited for a CPU.

Times are now, -15m, -1h30m or ISO 8601 (local unless a zone is given); now is the end of the recording.
"""


def run(argv: list[str]) -> int:
    """The command -> exit status: 0, 1 with one line, 2 for wrong usage."""
    parser = _parser()
    chosen = parser.parse_args(attached(argv, ("--from", "--to")))
    form = _format(parser, chosen)
    from aperture_tui.recording.reader import RecordingError, load

    try:
        store = load(chosen.file)
    except RecordingError as error:
        return fail(_PROGRAM, error)
    except OSError as error:
        return fail(_PROGRAM, f"{chosen.file}: {error.strerror}")
    query = _query(parser, chosen, store)
    _warn(chosen.file, store, query)
    return _write(_text(store, query, form, chosen.top).encode(), chosen.output)


def _parser() -> Parser:
    parser = Parser(_PROGRAM, "Write a recording as folded stacks, JSON, histograms or a report in text.", _EXAMPLES)
    parser.add_argument("file", metavar="FILE", help="a recording")
    parser.add_argument("-o", dest="output", metavar="OUT", help="the file to write (else stdout)")
    forms = sorted({*_SUFFIXES.values(), "histogram"})
    parser.add_argument("--format", choices=forms, help="else by the suffix of OUT; on stdout folded")
    parser.add_argument("--event", choices=list(_KINDS), default="cpu", help="kind of events (cpu)")
    measures = [measure.value for measure in Measure]
    parser.add_argument("--measure", choices=measures, help="what is summed (of cpu count, else time, in nanoseconds)")
    parser.add_argument("--name", metavar="NAME", help="only this system call, kind of lock, or reason to be off-CPU")
    parser.add_argument("--top", type=_number, default=10, metavar="N", help="histograms at most (10)")
    parser.add_argument("--from", dest="start", type=moment, metavar="T", help="nothing before this time")
    parser.add_argument("--to", dest="end", type=moment, metavar="T", help="nothing from this time on")
    parser.add_argument(
        "-p", "--pid", dest="pids", type=_pid, action="append", default=[], metavar="PID", help="may be given again"
    )
    parser.add_argument(
        "--frame", type=_pattern, metavar="RE", help="only stacks with a function, module or file that matches"
    )
    return parser


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) < 1 << 32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number: give 1 or more")
    return int(text)


def _pid(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) >= 1 << 32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a pid")
    return int(text)


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a regular expression: {error}") from error
    return text


def _format(parser: Parser, chosen: argparse.Namespace) -> str:
    both = chosen.output and os.path.exists(chosen.output) and os.path.exists(chosen.file)
    if both and os.path.samefile(chosen.output, chosen.file):
        parser.error(f"{chosen.output} is the recording itself")
    if chosen.format == "histogram" and chosen.event not in _HISTOGRAMS:
        parser.error(f"there are no histograms of {chosen.event}; there are of: {', '.join(_HISTOGRAMS)}")
    if chosen.format:
        return str(chosen.format)
    suffix = Path(chosen.output or "x.folded").suffix
    if suffix not in _SUFFIXES:
        parser.error(f"no format has the suffix of {chosen.output!r}: end it in {', '.join(_SUFFIXES)}, or --format")
    return _SUFFIXES[suffix]


def _query(parser: Parser, chosen: argparse.Namespace, store: Store) -> Query:
    now = store.span().end_ns
    start = chosen.start.resolve(now) if chosen.start else None
    end = chosen.end.resolve(now) if chosen.end else None
    if start is not None and end is not None and start >= end:
        parser.error("--from is not before --to")
    kind = _KINDS[chosen.event]
    measure = Measure(chosen.measure) if chosen.measure else default_measure(kind)
    return Query(kind, start, end, pids=tuple(chosen.pids), frame=chosen.frame, name=chosen.name, measure=measure)


def _warn(file: str, store: Store, query: Query) -> None:
    """What the reader of the output has to know, on stderr."""
    kind = query.kind.name.lower()
    for health in store.health():
        if health.name in ("recording", "store", kind) and (health.message or health.lost_total):
            lost = [f"lost: {cause}: {n:,}" for cause, n in health.lost.items() if n]
            print(f"{_PROGRAM}: {file}: {'; '.join(filter(None, [health.message, *lost]))}", file=sys.stderr)
    span = store.span()
    if span.dropped_events:
        print(f"{_PROGRAM}: {file}: {span.dropped_events:,} oldest events left out ({span.limit})", file=sys.stderr)
    if not store.processes(query):
        from aperture_tui.export.names import time_utc

        held = f"it holds {time_utc(span.start_ns)} to {time_utc(span.end_ns)}" if span.events else "it is empty"
        looked = "" if query.kind in collected(store) else "; such events were not collected"
        ended = " that ended" if store.processes(replace(query, role=Role.IN_FLIGHT)) else ""
        print(f"{_PROGRAM}: {file}: no {kind} events{ended} here; {held}{looked}", file=sys.stderr)


def _text(store: Store, query: Query, form: str, top: int) -> str:
    from aperture_tui.export import folded, histogram, report, structured

    width = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100
    if form == "json":
        return json.dumps(structured.document(store, query)) + "\n"
    if form == "text":
        return report.text(store, query, width)
    if form == "histogram":
        return histogram.text(store, query, top, width)
    return folded.of_query(store, query)


def _write(data: bytes, output: str | None) -> int:
    """All of it as bytes: data is UTF-8 whatever the locale is."""
    try:
        if output:
            Path(output).write_bytes(data)
        else:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
    except BrokenPipeError:  # the reader has seen enough; nothing may be said of it when Python flushes at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except OSError as error:
        return fail(_PROGRAM, f"{output or 'stdout'}: {error.strerror}")
    return 0
