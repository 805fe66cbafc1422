"""Times on the command line."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from aperture_tui.profile import times
from aperture_tui.profile.times import Moment

if TYPE_CHECKING:
    from aperture_tui.cli.arguments import Parser
    from aperture_tui.store.base import Span


def moment(text: str) -> Moment:
    """A time of the command line. A time without a zone is local. Raises argparse.ArgumentTypeError."""
    try:
        return times.moment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def window(
    parser: Parser, span: Span, option: str, start: Moment | None, end: Moment | None
) -> tuple[int | None, int | None]:
    """A range of what is held, Unix nanoseconds; None is no limit. option: that of its beginning, `--from`.

    A range without a length is wrong usage.
    """
    start_ns, end_ns = (one.resolve(span.end_ns, span.start_ns) if one else None for one in (start, end))
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        parser.error(f"{option} is not before {option.replace('from', 'to')}")
    return start_ns, end_ns


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


__all__ = ["Moment", "attached", "moment", "window"]
