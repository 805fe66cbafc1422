"""`aperture doctor`: what this machine offers, what is missing, and the command that mends it."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Final

from aperture_tui.cli.arguments import Parser

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from aperture_tui.collect.requirements import Requirement

_EXAMPLES: Final = """\
examples:
  aperture doctor                  everything, with the command that mends each thing
  sudo aperture doctor             the same for root, who has other rights
  aperture doctor --json | jq -r '.[] | select(.ok == false) | .mend'

--json prints a list, most basic first, of
  {"name", "ok": true | false | null, "found", "needed_for", "mend", "blocks": ["cpu" | "cgroup" | "screen" | "svg"]}
where null means that it cannot be known from here, and `blocks` names what is impossible without it.

Exit status: 0 when nothing is missing that the CPU profiler needs, else 1.
"""

_MARKS: Final = {True: "✓", False: "✗", None: "?"}
_WORDS: Final = {True: "ok", False: "NO", None: "??"}
"""The marks where the output cannot hold the others."""
_COLOURS: Final = {True: "32", False: "31", None: "33"}


def run(argv: list[str]) -> int:
    """The command -> exit status."""
    chosen = _parser().parse_args(argv)
    from aperture_tui.collect.requirements import probe

    found = probe()
    if chosen.json:
        text = json.dumps([one.as_json() for one in found], indent=2)
    else:
        text = "\n".join(report(found, colours=_colours(sys.stdout), plain=not _holds_marks(sys.stdout)))
    try:
        print(text, flush=True)
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 1 if _missing(found) else 0


def _parser() -> Parser:
    parser = Parser("aperture doctor", "What this machine offers, what is missing, and what mends it.", _EXAMPLES)
    parser.add_argument("--json", action="store_true", help="a list of objects, described below")
    return parser


def report(found: Sequence[Requirement], *, colours: bool, plain: bool = False) -> list[str]:
    """The lines for a person. Marks tell as well as colours do; `plain` marks are ASCII."""
    cpu = [one for one in found if "cpu" in one.blocks]
    others = [one for one in found if "cpu" not in one.blocks]
    width = max((len(one.name) for one in found), default=0) + 2
    lines = ["Needed by the CPU profiler"]
    for one in cpu:
        lines += _entry(one, width, colours, plain)
    lines += ["", "Useful beside it"]
    for one in others:
        lines += _entry(one, width, colours, plain)
    missing = _missing(found)
    verdict = f"The CPU profiler lacks {len(missing)} of these." if missing else "The CPU profiler lacks nothing known."
    return [*lines, "", verdict]


def _entry(one: Requirement, width: int, colours: bool, plain: bool) -> list[str]:
    mark = (_WORDS if plain else _MARKS)[one.ok]
    if colours:
        mark = f"\x1b[{_COLOURS[one.ok]}m{mark}\x1b[0m"
    lines = [f"  {mark} {one.name:{width}}{one.found}"]
    if one.ok:
        return lines
    indent = " " * (width + 4)
    if "cpu" not in one.blocks:
        lines.append(f"{indent}for {one.needed_for}")
    if one.mend:
        lines.append(f"{indent}{'->' if plain else '→'} {one.mend}")
    return lines


def _missing(found: Sequence[Requirement]) -> list[Requirement]:
    return [one for one in found if one.ok is False and "cpu" in one.blocks]


def _colours(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _holds_marks(stream: TextIO) -> bool:
    try:
        "".join(_MARKS.values()).encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
