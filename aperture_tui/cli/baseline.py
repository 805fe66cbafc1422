"""A recording that the screens compare with: the option that names it, and how it is opened."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from aperture_tui.cli.arguments import fail, recorded_filters

if TYPE_CHECKING:
    import argparse

    from aperture_tui.cli.arguments import Parser
    from aperture_tui.store.base import Store


def add(group: argparse._ActionsContainer) -> None:
    """The option."""
    words = "compare with a recording, or a folder of them,\nfunction by function; c compares with a time, too"
    group.add_argument("--baseline", metavar="PATH", help=words)


def check(parser: Parser, chosen: argparse.Namespace) -> None:
    """What cannot be compared so is wrong usage; a recording that is not there ends the program as any that is."""
    if chosen.baseline is None:
        return
    if chosen.remote is not None:
        token = f" --token-file {chosen.token_file}" if chosen.token_file else ""
        now = f"aperture export --remote {chosen.remote}{token} -o now.pb.gz"
        parser.error(
            "--baseline is for what is live or recorded: over an aggregator, c in the list compares with a host; with "
            f"this recording do `{now}` and `aperture diff {chosen.baseline} now.pb.gz`"
        )
    if chosen.once:
        parser.error("--baseline is for the screens: aperture diff compares recordings without them")
    try:
        os.stat(chosen.baseline)
    except (OSError, ValueError) as error:
        raise SystemExit(fail(parser.prog, f"{chosen.baseline}: {getattr(error, 'strerror', error)}")) from None


def told(parser: Parser, chosen: argparse.Namespace) -> dict[str, Any]:
    """What the app is told of it: its name, and what opens it. It goes through the filters as what is shown does."""
    if chosen.baseline is None:
        return {}
    from aperture_tui.profile.text import clean

    filters = recorded_filters(parser, chosen)

    def begin() -> Store:
        from aperture_tui.cli.opening import OpeningError, opened

        try:
            return opened(chosen.baseline, filters=filters)
        except OpeningError as error:
            raise RuntimeError(str(error)) from error

    return {"baseline": (clean(os.path.basename(os.path.abspath(chosen.baseline))), begin)}
