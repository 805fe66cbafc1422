"""`aperture export`: a recording in a format that other tools read."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aperture_tui.cli.arguments import Parser, fail
from aperture_tui.cli.times import attached, moment
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Query

if TYPE_CHECKING:
    from aperture_tui.store.base import Store

_PROGRAM: Final = "aperture export"
_SUFFIXES: Final = {".folded": "folded", ".collapsed": "folded", ".json": "json", ".txt": "text"}
_KINDS: Final = {kind.name.lower(): kind for kind in Kind}
_EXAMPLES: Final = """\
examples:
  aperture export busy.aperture -o busy.folded              stacks, one a line, with their samples
  aperture export busy.aperture | inferno-flamegraph > busy.svg
  aperture export busy.aperture --format text --from -30s   a report of its last half minute
  aperture export busy.aperture --pid 4242 --frame malloc -o malloc.json

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
    return _write(_text(store, query, form).encode(), chosen.output)


def _parser() -> Parser:
    parser = Parser(_PROGRAM, "Write a recording as folded stacks, JSON or a report in text.", _EXAMPLES)
    parser.add_argument("file", metavar="FILE", help="a recording")
    parser.add_argument("-o", dest="output", metavar="OUT", help="the file to write (else stdout)")
    forms = sorted(set(_SUFFIXES.values()))
    parser.add_argument("--format", choices=forms, help="else by the suffix of OUT; on stdout folded")
    parser.add_argument("--event", choices=list(_KINDS), default="cpu", help="kind of events (cpu)")
    parser.add_argument("--from", dest="start", type=moment, metavar="T", help="nothing before this time")
    parser.add_argument("--to", dest="end", type=moment, metavar="T", help="nothing from this time on")
    parser.add_argument(
        "-p", "--pid", dest="pids", type=_pid, action="append", default=[], metavar="PID", help="may be given again"
    )
    parser.add_argument(
        "--frame", type=_pattern, metavar="RE", help="only stacks with a function, module or file that matches"
    )
    return parser


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
    return Query(_KINDS[chosen.event], start, end, pids=tuple(chosen.pids), frame=chosen.frame)


def _warn(file: str, store: Store, query: Query) -> None:
    """What the reader of the output has to know, on stderr."""
    for health in store.health():
        if health.name in ("recording", "store") and (health.message or health.lost_total):
            lost = "; ".join(f"{cause}: {n:,}" for cause, n in health.lost.items())
            print(f"{_PROGRAM}: {file}: {health.message or lost}", file=sys.stderr)
    span = store.span()
    if span.dropped_events:
        print(f"{_PROGRAM}: {file}: {span.dropped_events:,} oldest events left out ({span.limit})", file=sys.stderr)
    if not store.processes(query):
        from aperture_tui.export.names import time_utc

        held = f"it holds {time_utc(span.start_ns)} to {time_utc(span.end_ns)}" if span.events else "it is empty"
        print(f"{_PROGRAM}: {file}: no {query.kind.name.lower()} events here; {held}", file=sys.stderr)


def _text(store: Store, query: Query, form: str) -> str:
    from aperture_tui.export import folded, report, structured

    if form == "json":
        return json.dumps(structured.document(store, query)) + "\n"
    if form == "text":
        return report.text(store, query, shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100)
    return folded.text(store.call_tree(query))


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
