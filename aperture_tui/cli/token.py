"""`aperture token`: a token for an agent or a reader, and the line of the aggregator's file that lets it in."""

from __future__ import annotations

import argparse
import re
import sys
import time
from typing import TYPE_CHECKING, Final

from aperture_tui.cli.arguments import Parser, fail

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROGRAM: Final = "aperture token"
_EXAMPLES: Final = """\
examples:
  aperture token --tenant shop --role push --add /etc/aperture/tokens > agent.token
  aperture token --tenant shop --role read --expires 90d

stdout has the token, which is nowhere else; stderr the line for the file that the aggregator reads (--tokens), unless
it was added there. The aggregator reads that file again by itself.
"""
_DAYS: Final = {"h": 1 / 24, "d": 1.0, "w": 7.0, "y": 365.0}


def run(argv: Sequence[str]) -> int:
    """The command -> exit status: 0, 1 with one line, 2 for wrong usage."""
    chosen = _parser().parse_args(argv)
    try:
        from aperture_tui.fleet.aggregator import tokens
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("aperture_tui"):
            raise
        return fail(_PROGRAM, f"needs what is not installed ({error.name}): pip install 'aperture-tui[aggregator]'")
    token = tokens.drawn()
    expires = None if chosen.expires is None else time.time() + chosen.expires
    line = tokens.line(token, chosen.tenant, tokens.Role(chosen.role), expires)
    if chosen.add is not None:
        try:
            tokens.add(chosen.add, line)
        except OSError as error:
            return fail(_PROGRAM, f"{chosen.add}: {error.strerror}")
        except tokens.TokensError as error:
            return fail(_PROGRAM, error)
    else:
        print(line, file=sys.stderr)
    print(token, flush=True)
    return 0


def _parser() -> Parser:
    parser = Parser(_PROGRAM, "Draw a token.", _EXAMPLES)
    parser.add_argument("--tenant", type=tenant, default="default", metavar="NAME", help="whose data it is (default)")
    parser.add_argument(
        "--role",
        choices=("push", "read", "admin"),
        required=True,
        help="push: agents; read: screens and commands; admin: both",
    )
    parser.add_argument("--expires", type=_duration, metavar="90d", help="not good any more after that (never)")
    parser.add_argument("--add", metavar="FILE", help="write the line at the end of this file")
    return parser


def tenant(text: str) -> str:
    """The name of a tenant."""
    if not re.fullmatch(r"[a-z0-9_]{1,32}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a tenant: give 1 to 32 of a-z, 0-9 and _")
    return text


def _duration(text: str) -> float:
    """Seconds."""
    found = re.fullmatch(r"(\d{1,5})([hdwy])", text, re.ASCII)
    if found is None or not int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration: give 12h, 90d, 4w or 1y")
    return int(found[1]) * _DAYS[found[2]] * 86400
