"""`aperture record`: what `aperture-top` would have shown, in a file."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from aperture_tui.cli.arguments import (
    Parser,
    add_collecting,
    add_filters,
    environment_of_others,
    fail,
    filters,
    limit,
    seconds,
    settings,
)
from aperture_tui.cli.waiting import unhurried, wait

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from aperture_tui.recording.rotation import RotatingWriter
    from aperture_tui.recording.writer import Writer
    from aperture_tui.session import Session

_PROGRAM: Final = "aperture record"
_SHELL_FILES: Final = 10
"""Descriptors that a shell can close: those of one digit (POSIX asks for no more, and dash has no more)."""
_EXAMPLES: Final = """\
examples:
  aperture record --duration 30 -o busy.aperture         the whole machine
  aperture record -p 4242 -o server.aperture             one process, until ctrl+c
  aperture record -o build.aperture -- make -j8          a command and all that it starts
  aperture record --events cpu,offcpu --min-block 50 -p 4242 -o slow.aperture
  aperture record --events all --duration 10 -o all.aperture
  aperture record --rotate 1h --keep 24h --keep 10GB -o /var/lib/aperture      for weeks: what was at 3 a.m. is there
  aperture record --events syscall --syscall read --syscall write --syscall-stacks 100 -o io.aperture -- tar cf a.tar .
  aperture record --filter 'slow_syscalls:{"at_least_us":10000}' --events syscall --duration 60 -o slow.aperture
  aperture export busy.aperture -o busy.folded
"""


def run(argv: list[str]) -> int:
    """The command -> exit status: 0, 1 with one line, 2 for wrong usage; of a COMMAND that ended: its own."""
    parser = _parser()
    chosen = parser.parse_args(argv)
    from aperture_tui.session import UNSEEN_RESTING_S, Session, SessionError, facts

    _refuse_what_is_in_vain(parser, chosen)
    what = settings(parser, chosen)  # wrong usage is said before a command waits and a file is begun
    judges = filters(parser, chosen)
    from aperture_tui.collect import requirements

    if problem := requirements.first_problem("cpu"):  # before a recording that is there is written over
        return fail(_PROGRAM, problem)
    launched: _Launched | None = None
    try:
        if chosen.command:
            launched = _Launched(chosen.command)
            what = replace(what, pids=(*what.pids, launched.pid))
        writer = _writer(chosen, facts(what, judges))
        session = Session(what, {"recording": writer}, filters=judges, resting_s=UNSEEN_RESTING_S)
        session.start()
    except (SessionError, OSError) as error:
        if launched:
            launched.abandon()
        return fail(_PROGRAM, _said(error))
    if launched:
        launched.go()
    with unhurried():
        wait(chosen.duration, "recording", _ended(launched, session))
        has_ended = session.stop()
        failure = session.failure
        if has_ended:  # else the writer is still its thread's, and what both write would be in each other
            try:
                writer.close()
            except OSError as error:
                failure = failure or _said(error)
    if failure:
        return fail(_PROGRAM, f"{failure} ({_kept(writer)})")
    _tell(chosen, writer)
    return launched.status() if launched else 0


def _parser() -> Parser:
    parser = Parser(_PROGRAM, "Record samples, calls and waits of this machine into a file.", _EXAMPLES)
    add_collecting(parser)
    add_filters(parser)
    parser.add_argument("--duration", type=seconds, metavar="S", help="end after this time (else on ctrl+c)")
    parser.add_argument(
        "-o", dest="output", required=True, metavar="FILE", help="the recording to write, or with --rotate the folder"
    )
    limits = parser.add_argument_group("always recording")
    limits.add_argument(
        "--rotate",
        type=limit,
        action="append",
        default=[],
        metavar="1h|100MB",
        help="a new file after so long, or so much; may be given again",
    )
    limits.add_argument(
        "--keep",
        type=limit,
        action="append",
        default=[],
        metavar="24h|10GB",
        help="delete files that are older, or the oldest\nuntil all are no larger; may be given again",
    )
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="after --: run this, and record it alone")
    return parser


def _ended(launched: _Launched | None, session: Session) -> Callable[[], bool]:
    return lambda: bool(session.failure) or (launched is not None and launched.ended())


def _refuse_what_is_in_vain(parser: Parser, chosen: argparse.Namespace) -> None:
    if not chosen.output:
        parser.error("-o needs the name of a file")
    if chosen.output == "-":
        parser.error("a recording is no stream: give the name of a file")
    if chosen.keep and not chosen.rotate:
        parser.error("--keep needs --rotate: one file is never deleted")
    if chosen.rotate and os.path.exists(chosen.output) and not os.path.isdir(chosen.output):
        parser.error(f"with --rotate {chosen.output} has to be a folder")
    if not chosen.rotate and os.path.isdir(chosen.output):
        parser.error(f"{chosen.output} is a folder: give a file, or --rotate 1h for a file each hour")


def _writer(chosen: argparse.Namespace, facts: Mapping[str, Any]) -> Writer | RotatingWriter:
    """Raises OSError."""
    from aperture_tui.recording.rotation import RotatingWriter, Rotation
    from aperture_tui.recording.writer import Writer

    if not chosen.rotate:
        return Writer(chosen.output, facts)
    every, keep = ({one.unit: one.amount for one in limits} for limits in (chosen.rotate, chosen.keep))
    rotation = Rotation(every.get("s"), every.get("bytes"), keep.get("s"), keep.get("bytes"))
    return RotatingWriter(chosen.output, rotation, facts)


def _said(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)


def _kept(writer: Writer | RotatingWriter) -> str:
    """What is there of a recording that failed."""
    lost = f", {writer.lost:,} could not be written" if writer.lost else ""
    return f"{f'{writer.events:,}' if writer.events else 'no'} events were recorded{lost}"


def _tell(chosen: argparse.Namespace, writer: Writer | RotatingWriter) -> None:
    if writer.lost:
        print(f"{_PROGRAM}: {writer.lost:,} events could not be written", file=sys.stderr)
    if sys.stderr is not None and sys.stderr.isatty():
        from aperture_tui.tui import figures

        print(f"{writer.events:,} events in {chosen.output} ({figures.size(writer.bytes)})", file=sys.stderr)


class _Launched:
    """A command that waits behind a pipe until it is being watched."""

    def __init__(self, command: list[str]) -> None:
        read, self._write = os.pipe()
        close = f"exec {read}<&-; " if read < _SHELL_FILES else ""
        gate = f'read -r _ </dev/fd/{read}; {close}exec "$@"'
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", gate, "sh", *command], pass_fds=[read], env=environment_of_others()
        )
        os.close(read)
        self.pid = self._process.pid

    def go(self) -> None:
        """Let it run."""
        with contextlib.suppress(BrokenPipeError):  # somebody has killed it
            os.write(self._write, b"\n")
        os.close(self._write)

    def abandon(self) -> None:
        """It will not run."""
        self._process.kill()
        self._process.wait()

    def ended(self) -> bool:
        return self._process.poll() is not None

    def status(self) -> int:
        """Its exit status; a command that is still running when recording ends is asked to end."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        code = self._process.wait()
        return 128 - code if code < 0 else code
