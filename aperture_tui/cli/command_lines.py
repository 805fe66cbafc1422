"""The command lines of all commands, for what is made of them: completions, manual pages."""

from __future__ import annotations

import argparse
import importlib
from typing import Final

from aperture_tui.cli.main import COMMANDS, DESCRIPTION

PROGRAMS: Final = ("aperture", "aperture-top")


def parser_of(command: str) -> argparse.ArgumentParser:
    """That of `aperture COMMAND`, or of `aperture-top`, which is `top`."""
    module = importlib.import_module(f"aperture_tui.cli.{command}")
    made = module._parser()
    assert isinstance(made, argparse.ArgumentParser)  # noqa: S101 (each of our commands has one)
    return made


def add_program(parser: argparse.ArgumentParser) -> None:
    """The argument that says of which program."""
    parser.add_argument(
        "program",
        nargs="?",
        choices=PROGRAMS,
        default=PROGRAMS[0],
        metavar="PROGRAM",
        help="or aperture-top (aperture)",
    )


def whole(program: str) -> argparse.ArgumentParser:
    """All that can follow a program's name: of `aperture` its commands, each with what can follow that."""
    if program == PROGRAMS[1]:
        return parser_of("top")
    parser = argparse.ArgumentParser(prog=program, description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version="", help="show program's version number and exit")
    commands = parser.add_subparsers(parser_class=argparse.ArgumentParser, metavar="COMMAND")
    for name, words in COMMANDS.items():
        commands.add_parser(name, help=words, parents=[parser_of(name)], add_help=False)
    return parser
