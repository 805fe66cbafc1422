"""`aperture COMMAND`: dispatch. Nothing but the chosen command is imported."""

from __future__ import annotations

import argparse
import importlib
import os
import shlex
import signal
import sys
from typing import Final

from aperture_tui import __version__
from aperture_tui.cli.arguments import Parser, prepare
from aperture_tui.profile.mistyped import meant

COMMANDS: Final = {
    "record": "samples, calls and waits of this machine, or of a command, in a file",
    "export": "a recording as a flame graph, pprof, speedscope, a timeline, folded stacks, JSON or text",
    "diff": "what changed between two recordings or two times, and what of it is more than chance",
    "query": "what an aggregator holds: its hosts, how much over time, the pushes themselves",
    "aggregate": "the stacks of an aggregator's hosts, merged",
    "alerts": "which rules of an aggregator fire, and of which hosts or services",
    "filter": "programs in WebAssembly that decide about events: those that come along, and whether one will do",
    "gpu": "the GPUs of this machine, and commands whose kernels and copies are to be seen",
    "agent": "this machine's samples, calls and waits to an aggregator, always",
    "aggregator": "takes what agents push, keeps it, and answers screens and commands",
    "token": "a token for an agent or a reader, and the aggregator's line for it",
    "doctor": "what this machine offers, what is missing, and the command that mends it",
    "completions": "what a shell completes these commands by",
    "man": "the manual page of these commands, or of aperture-top",
}

DESCRIPTION: Final = "A profiler for Linux machines."
_EXAMPLES: Final = """\
examples:
  aperture record --duration 30 -o busy.aperture
  aperture export busy.aperture -o busy.folded
  aperture diff before.aperture after.aperture
  aperture doctor

The live screens are `aperture-top`.
"""


def main(argv: list[str] | None = None) -> int:
    """The console script `aperture`. Exit status: 0 success, 1 failure with one line, 2 wrong usage."""
    prepare()
    parser = _parser()
    if not (sys.argv[1:] if argv is None else argv):
        parser.print_help(sys.stderr)
        return 2
    chosen = parser.parse_args(argv)
    command = importlib.import_module(f"aperture_tui.cli.{chosen.command}")
    try:
        return int(command.run(chosen.arguments))
    except KeyboardInterrupt:  # whoever pressed ctrl+c needs no words for it
        return 128 + signal.SIGINT


def _parser() -> Parser:
    parser = Parser(prog="aperture", description=DESCRIPTION, epilog=_EXAMPLES)
    parser.add_argument("--version", action="version", version=f"aperture {__version__}")
    listing = "\n".join(f"  {name:12} {words}" for name, words in COMMANDS.items())
    parser.add_argument("command", type=_command, metavar="COMMAND", help=f"one of:\n{listing}")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="see `aperture COMMAND --help`")
    return parser


def _command(text: str) -> str:
    if text in COMMANDS:
        return text
    if os.path.exists(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is a file; `aperture-top --replay {shlex.quote(text)}` opens a recording"
        )
    raise argparse.ArgumentTypeError(f"there is no {text!r}{meant(text, COMMANDS, listed=len(COMMANDS))}")


if __name__ == "__main__":
    sys.exit(main())
