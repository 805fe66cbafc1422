"""Times on the command line."""

from __future__ import annotations

import argparse

from aperture_tui.profile import times
from aperture_tui.profile.times import Moment


def moment(text: str) -> Moment:
    """A time of the command line. A time without a zone is local. Raises argparse.ArgumentTypeError."""
    try:
        return times.moment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def attached(argv: list[str], options: tuple[str, ...]) -> list[str]:
    """The command line with `--from -15m` made `--from=-15m`: argparse would take the value for an option."""
    out: list[str] = []
    waiting = ""
    for argument in argv:
        if waiting:
            out.append(f"{waiting}={argument}" if times.is_ago(argument) else waiting)
            if not times.is_ago(argument):
                out.append(argument)
            waiting = ""
        elif argument in options:
            waiting = argument
        else:
            out.append(argument)
    return [*out, waiting] if waiting else out


__all__ = ["Moment", "attached", "moment"]
