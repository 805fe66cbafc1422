"""`aperture completions`: what a shell completes the commands by, made of the options that they read."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any, Final

from aperture_tui.cli.arguments import Parser
from aperture_tui.cli.command_lines import add_program, whole
from aperture_tui.cli.output import write

_PROGRAM: Final = "aperture completions"
_EXAMPLES: Final = """\
examples:
  aperture completions bash > ~/.local/share/bash-completion/completions/aperture
  aperture completions bash aperture-top > ~/.local/share/bash-completion/completions/aperture-top
  aperture completions zsh > ~/.zfunc/_aperture            a folder of $fpath
  aperture completions fish > ~/.config/fish/completions/aperture.fish
  eval "$(aperture completions bash)"                      in this shell alone
"""
SHELLS: Final = ("bash", "zsh", "fish")
_FILES: Final = ("FILE", "PATH", "OUT", "BASE", "AFTER")
"""What stands behind an option, or alone, where it is a file."""
_FOLDERS: Final = ("DIR",)


def run(argv: list[str]) -> int:
    """The command -> exit status: 0, 1 with one line, 2 for wrong usage."""
    chosen = _parser().parse_args(argv)
    return write(_PROGRAM, completions(chosen.shell, chosen.program).encode(), None)


def _parser() -> Parser:
    parser = Parser(_PROGRAM, "What a shell completes these commands by, on stdout.", _EXAMPLES)
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")
    add_program(parser)
    return parser


def completions(shell: str, program: str) -> str:
    """A script for that shell."""
    import shtab

    from aperture_tui.tui.look import looks

    parser = whole(program)
    for action in _actions(parser):
        metavar = str(action.metavar)
        if metavar.partition("[")[0] in _FILES or "recording" in action.dest:
            _complete(action, shtab.FILE)
        elif metavar in _FOLDERS:
            _complete(action, shtab.DIRECTORY)
        elif action.dest == "theme":
            action.choices = list(looks())
        if action.help:
            action.help = " ".join(action.help.split())  # a line, as shells show it
    return shtab.complete(parser, shell=shell) + "\n"


def _complete(action: argparse.Action, how: Any) -> None:
    action.complete = how  # type: ignore[attr-defined]  # where shtab looks for it


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Of a command, and of those below it."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)
