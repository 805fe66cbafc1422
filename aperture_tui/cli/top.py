"""`aperture-top`: the screens, live, over a recording or over an aggregator, and their headless twin `--once`."""

from __future__ import annotations

import gc
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aperture_tui import __version__
from aperture_tui.cli import baseline, remote, selecting, web
from aperture_tui.cli.arguments import (
    Parser,
    add_collecting,
    add_filters,
    fail,
    filter_words,
    prepare,
    recorded_filters,
    seconds,
    settings,
)
from aperture_tui.cli.behind import Collecting, Recording
from aperture_tui.cli.habits import table
from aperture_tui.cli.where_option import add_where

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from aperture_tui.store.base import Store
    from aperture_tui.tui.gpu.words import Here

_PROGRAM: Final = "aperture-top"
_EXAMPLES: Final = """\
examples:
  aperture-top                          what this machine is doing
  aperture-top -p 4242                  one process, and what it starts
  aperture-top -F 999                   ten times the detail
  aperture-top --replay busy.aperture   the same screens over a recording: space plays, , and . step, g goes to a time
  aperture-top --baseline good.aperture                 what is different from how it was then
  aperture-top --remote agg.example.net --token-file token     the hosts of a fleet, and the same screens of each
  aperture-top --remote agg.example.net --token-file token --service checkout
  aperture-top --once --duration 10     a text report of ten seconds
  aperture-top --once --format json | jq .processes
  aperture-top --where 'comm:nginx -lib:libc'     only what this lets pass; the same line as \\ on the screens
  aperture-top --once --filter slow.wasm --by tag       by the tags that a filter gives
  aperture-top --once --events all      where time goes that is not on the CPU, too
  aperture-top --once --events syscall --syscall fsync --syscall-stacks 1 -p 4242
  aperture-top --once --replay busy.aperture --format json | jq .span
  aperture-top --replay busy.aperture --filter 'process_name:{"name":"nginx"}'     what a filter would have let pass
  aperture-top --once --remote localhost --host web-7 --duration 600    a report of its last ten minutes
  aperture-top --once --events cpu,offcpu,lock --min-block 100 --format json | jq .latencies.lock

`aperture doctor` says what this machine lacks.
"""


_COLLECTED_S: Final = 5.0
_CLOSE_S: Final = 75
"""More than a session that works, slowly, takes to end at most (session.LONGEST_STOP_S), lest its recording be cut."""
_LEAVE_S: Final = 10
_REMOTE_S: Final = 60.0
_NOT_OF_A_RECORDING: Final = {
    "hz": "-F",
    "pids": "-p",
    "cgroups": "--cgroup",
    "events": "--events",
    "syscalls": "--syscall",
    "syscall_stacks": "--syscall-stacks",
    "min_block": "--min-block",
    "wait_stacks": "--no-wait-stacks",
    "gpu_limit": "--gpu-limit",
    "record": "--record",
    "duration": "--duration",
}
"""What says how to collect, and so nothing where nothing is collected."""
_NOT_OF_AN_AGGREGATOR: Final = _NOT_OF_A_RECORDING | {"filters": "--filter", "filter_error": "--filter-error"}
"""Filters judge events; an aggregator answers with sums of them."""


def _parser() -> Parser:
    parser = Parser(_PROGRAM, "A live profiler in the terminal: where time goes on this machine.", _EXAMPLES)
    parser.add_argument("--version", action="version", version=f"aperture-top {__version__}")
    add_collecting(parser)
    add_filters(parser)
    add_where(parser)
    once = parser.add_argument_group("without screens")
    once.add_argument("--once", action="store_true", help="collect, print a report, end; so it is with no terminal")
    words = "how long to collect (5); with --remote, of what time (the last 60)"
    once.add_argument("--duration", type=seconds, metavar="S", help=words)
    once.add_argument("--format", choices=("text", "json"), default="text", help="of the report (text)")
    selecting.add_tags(once)
    selecting.add_group(once)
    screens = parser.add_argument_group("screens")
    table.add_options(screens)
    web.add(screens)
    baseline.add(screens)
    parser.add_argument("--replay", metavar="PATH", help="show a recording, or a folder of them, and collect nothing")
    parser.add_argument("--record", metavar="FILE", help="write what is collected into a recording as well")
    remote.add_aggregator(parser)
    remote.add_machines(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """The console script `aperture-top`. Exit status: 0 success, 1 failure with one line, 2 wrong usage."""
    prepare()
    parser = _parser()
    chosen = parser.parse_args(argv)
    _refuse_what_is_in_vain(parser, chosen, argv)
    if chosen.print_config or chosen.print_keys:
        from aperture_tui.cli.habits.settle import printed

        return printed(_PROGRAM, parser, chosen, argv)
    if chosen.once or (chosen.web is None and not (sys.stdout.isatty() and sys.stdin.isatty())):
        if chosen.remote is not None:
            return _report_from(parser, chosen)
        return _report_of(parser, chosen) if chosen.replay is not None else _once(parser, chosen)
    for name, option in (("tags", "--tag"), ("without_tags", "--no-tag"), ("group", "--by")):
        if getattr(chosen, name):
            parser.error(f"{option} is for --once; on the screens t tells stacks apart by thread or tag")
    source = Recording(parser, chosen) if chosen.replay is not None else Collecting(parser, chosen, live=True)
    if chosen.web is not None:
        from aperture_tui.cli.habits.settle import settled

        habits = partial(settled, parser, chosen, argv)
        told = baseline.told(parser, chosen)
        return web.serve(
            parser,
            chosen,
            source,
            lambda *of: _shown(*of) | told,
            lambda: _aggregator(parser, chosen),
            _end_on_signals,
            habits,
        )
    gc.disable()  # until it has started: what is imported stays, and to look it through again takes a tenth
    try:
        return _screens(parser, chosen, argv, source)
    finally:
        gc.enable()


def _refuse_what_is_in_vain(parser: Parser, chosen: argparse.Namespace, argv: list[str] | None) -> None:
    """Options for what is not done are wrong usage."""
    remote.check(parser, chosen)
    web.check(parser, chosen)
    baseline.check(parser, chosen)
    if chosen.remote is not None and chosen.replay is not None:
        parser.error("--remote and --replay are two things to look at: give one of them")
    if chosen.replay is not None and (in_vain := _given(argv, _NOT_OF_A_RECORDING)):
        parser.error(f"{in_vain} cannot be given with --replay: a recording is as it was made")
    in_vain = _given(argv, _NOT_OF_AN_AGGREGATOR) if chosen.remote is not None else ""
    if in_vain and in_vain != "--duration":
        parser.error(f"{in_vain} cannot be given with --remote: agents collect, and each has its own options")


def _given(argv: list[str] | None, in_vain: Mapping[str, str]) -> str:
    """The first of these options, by their names in the namespace, that is on the command line; "" if none is."""
    parser = _parser()
    parser.set_defaults(**dict.fromkeys(in_vain))
    chosen = parser.parse_args(argv)
    return next((option for name, option in in_vain.items() if getattr(chosen, name) is not None), "")


def _once(parser: Parser, chosen: argparse.Namespace) -> int:
    from aperture_tui.cli.output import write
    from aperture_tui.cli.waiting import wait
    from aperture_tui.session import SessionError

    collecting = Collecting(parser, chosen)
    try:
        store = collecting.begin()
    except (SessionError, OSError) as error:
        return fail(_PROGRAM, error)
    wait(chosen.duration or _COLLECTED_S, "collecting")
    failure = collecting.end()
    status = write(_PROGRAM, _text(store, chosen, chosen.events).encode(), None)
    return fail(_PROGRAM, failure) if failure else status


def _report_of(parser: Parser, chosen: argparse.Namespace) -> int:
    filters = recorded_filters(parser, chosen)
    from aperture_tui.cli.opening import OpeningError, opened
    from aperture_tui.cli.output import write
    from aperture_tui.cli.waiting import progress
    from aperture_tui.export.collected import collected, kind_name
    from aperture_tui.store.compaction import TooManyError

    try:
        with progress(f"reading {chosen.replay}") as watch:
            store = opened(chosen.replay, watch, filters)
            text = _text(store, chosen, [kind_name(kind) for kind in collected(store)] or ["cpu"])
    except (OpeningError, TooManyError) as error:
        return fail(_PROGRAM, error)
    status = write(_PROGRAM, text.encode(), None)
    return fail(_PROGRAM, filters.failure) if filters is not None and filters.failure else status


def _report_from(parser: Parser, chosen: argparse.Namespace) -> int:
    """The report of an aggregator's machines."""
    where = remote.focus(parser, chosen)
    from aperture_tui.cli.opening import OpeningError
    from aperture_tui.cli.output import write
    from aperture_tui.cli.waiting import asking
    from aperture_tui.export.collected import collected, kind_name
    from aperture_tui.store.remote.link import RemoteError

    try:
        with asking(chosen.remote) as watch:
            store = remote.opened(chosen, where, watch)
            start_ns = store.now_ns() - int((chosen.duration or _REMOTE_S) * 1e9)
            kinds = [kind_name(kind) for kind in collected(store)] or ["cpu"]
            text = _text(store, chosen, kinds, max(0, start_ns))
            unknown = remote.unknown_machines(store, where)
    except (OpeningError, RemoteError) as error:
        return fail(_PROGRAM, error)
    selecting.say(_PROGRAM, [unknown])
    return write(_PROGRAM, text.encode(), None)


def _text(store: Store, chosen: argparse.Namespace, events: Sequence[str], start_ns: int | None = None) -> str:
    """The report of these kinds of events, from a moment on."""
    import json

    from aperture_tui.cli.output import width
    from aperture_tui.export import report, structured
    from aperture_tui.export.collected import GPU, TIMED, default_measure, kind_name
    from aperture_tui.profile.kinds import Kind
    from aperture_tui.profile.query import Query

    kinds = [kind for kind in (Kind.CPU, *TIMED) if kind_name(kind) in events]
    kinds += [kind for kind in GPU if "gpu" in events or kind_name(kind) in events]
    query = Query(kinds[0], start_ns, measure=default_measure(kinds[0]))
    query = selecting.grouped(selecting.narrowed(query, chosen), chosen)
    selecting.say(_PROGRAM, [selecting.unknown_tags(store, query)])
    if chosen.format == "json":
        return json.dumps(structured.document(store, query)) + "\n"
    return report.text(store, query, width(None), kinds)


def _screens(parser: Parser, chosen: argparse.Namespace, argv: list[str] | None, source: Recording | Collecting) -> int:
    from aperture_tui.cli.habits.settle import keep, settled
    from aperture_tui.cli.opening import OpeningError
    from aperture_tui.tui.app import ApertureApp
    from aperture_tui.tui.terminal import terminal_problem

    if problem := terminal_problem():
        return fail(_PROGRAM, problem)
    habits = settled(parser, chosen, argv)
    if chosen.cgroups:
        settings(parser, chosen, live=True)  # a wrong path is wrong usage, said before the screen is taken
    if not sys.stderr.isatty():
        # Textual draws there: `2>errors.txt` must not swallow the screen
        sys.__stderr__ = sys.__stdout__  # type: ignore[misc]  # final for type checkers alone
    try:
        aggregator = _aggregator(parser, chosen)
    except OpeningError as error:
        return fail(_PROGRAM, error)
    try:
        shown = _shown(chosen, source, aggregator) | baseline.told(parser, chosen)
        app = ApertureApp(refresh_hz=chosen.refresh, theme=chosen.theme, where=chosen.where, habits=habits, **shown)
    except ValueError as error:
        parser.error(str(error))
    _end_on_signals(app.end)
    try:
        app.run(mouse=chosen.mouse)
        not_kept = keep(app, chosen)
    finally:
        if signal.alarm(0):
            signal.alarm(_CLOSE_S)  # the screens have ended; a recording is closed in order
        failure = source.end()
        if aggregator is not None:
            aggregator.close()
    failure = failure or app.failure
    if not_kept:
        print(f"{_PROGRAM}: {not_kept}", file=sys.stderr)
    return fail(_PROGRAM, failure) if failure else app.return_code or 0


def _aggregator(parser: Parser, chosen: argparse.Namespace) -> remote.Remote | None:
    """The one that was named, if one was. Raises OpeningError."""
    if chosen.remote is None:
        return None
    return remote.Remote(remote.settings(chosen), remote.focus(parser, chosen))


def _shown(
    chosen: argparse.Namespace, source: Recording | Collecting, aggregator: remote.Remote | None
) -> dict[str, Any]:
    """What the app is told of what it shows."""
    if aggregator is not None:
        return {"connect": aggregator.connect, "remote": aggregator}
    if isinstance(source, Recording):
        filters = source.filters
        told = {} if filters is None else {"filters": lambda: filters}
        return {"connect": source.begin, **told, **_of_recording(chosen.replay)}
    return {"connect": source.begin, **_of_this_machine(chosen, source)}


def _of_this_machine(chosen: argparse.Namespace, collecting: Collecting) -> dict[str, Any]:
    """What the app is told of a live session."""
    words = filter_words(chosen)
    told = {"title_host": _host(), "pinned": words, "want": collecting.want, "filters": collecting.filters}
    return {**told, "gpu": _gpu_here}


def _gpu_here() -> Here:
    """What this machine has for GPUs, and what `aperture doctor` says is missing."""
    from aperture_tui.collect.gpu.needs import needs, vendors
    from aperture_tui.collect.machine import Machine
    from aperture_tui.tui.gpu.words import Here

    machine = Machine()
    missing = [
        f"{one.name}: {one.found}{f' ({one.mend})' if one.mend else ''}" for one in needs(machine) if one.ok is False
    ]
    return Here(bool(vendors(machine)), tuple(missing))


def _of_recording(path: str) -> dict[str, Any]:
    """What the app is told of a recording: its name."""
    from aperture_tui.profile.text import clean

    return {"recording": clean(os.path.basename(os.path.abspath(path)))}


def _host() -> str:
    from aperture_tui.profile.text import clean

    return clean(os.uname().nodename)


def _end_on_signals(leave: Callable[[], None]) -> None:
    """End as with `q` when asked to, or when the terminal goes away, so that it is left as it was found.

    A second signal, or ten seconds in which the screens do not end, ends at once: the kernel detaches what a dead
    process held.
    """

    def end(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + number))
        signal.alarm(_LEAVE_S)
        leave()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


if __name__ == "__main__":
    sys.exit(main())
