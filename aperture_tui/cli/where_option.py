"""`--where LINE` on command lines: which events are looked at (docs/where.md)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

from aperture_tui.profile.where import EVERYTHING, Where, WhereError, parse

_OPTION: Final = "--where"


def add_where(parser: argparse._ActionsContainer) -> None:
    """The option, as `chosen.where`."""
    words = "only events that this lets pass: 'comm:nginx -lib:libc >5ms'; the same as \\ on the screens"
    parser.add_argument(_OPTION, type=where, default=EVERYTHING, metavar="LINE", help=words)


def where(text: str) -> Where:
    """What a line says. Raises argparse.ArgumentTypeError with the place where it goes wrong."""
    try:
        return parse(text)
    except WhereError as error:
        at = f"before {text[error.place : error.place + 20]!r}" if error.place < len(text) else "at its end"
        raise argparse.ArgumentTypeError(f"{error.problem} (at character {error.place + 1}, {at})") from error


def joined(argv: Sequence[str]) -> list[str]:
    """The command line with `--where -lib:libc` made `--where=-lib:libc`: argparse would take that for an option."""
    out: list[str] = []
    for argument in argv:
        if out and out[-1] == _OPTION and argument.startswith("-") and not argument.startswith("--"):
            out[-1] = f"{_OPTION}={argument}"
        else:
            out.append(argument)
    return out
