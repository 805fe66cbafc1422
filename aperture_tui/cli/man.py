"""`aperture man`: manual pages, made of the options that the commands read. Format: man(7)."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import Final

from aperture_tui import __version__
from aperture_tui.cli.arguments import Parser
from aperture_tui.cli.command_lines import PROGRAMS, add_program, parser_of, whole
from aperture_tui.cli.main import COMMANDS
from aperture_tui.cli.output import write

_PROGRAM: Final = "aperture man"
_EXAMPLES: Final = """\
examples:
  aperture man aperture-top | man -l -
  aperture man > /usr/local/share/man/man1/aperture.1
  aperture man aperture-top > /usr/local/share/man/man1/aperture-top.1
"""
_LAST: Final = {
    PROGRAMS[0]: """\
.SH EXIT STATUS
0 for success, 1 for a failure, told in one line on stderr, 2 for wrong usage.
.B aperture diff
ends with 3 where something is above its limit.
.SH SEE ALSO
.BR aperture\\-top (1)
""",
    PROGRAMS[1]: """\
.SH FILES
.TP
.I ~/.config/aperture/config.toml
Settings and keys;
.I /etc/aperture/config.toml
comes after it.
.B aperture\\-top \\-\\-print\\-config
prints what holds, and where it comes from.
.TP
.I ~/.config/aperture/themes/*.toml
Themes of one's own.
.TP
.I ~/.local/state/aperture/top/
What
.B \\-\\-resume
begins with.
.SH ENVIRONMENT
.TP
.B NO_COLOR
No colours, if it is not empty.
.TP
.BR COLORTERM ", " TERM
How many colours there are.
.TP
.BR XDG_CONFIG_HOME ", " XDG_STATE_HOME
Where the files above lie.
.SH EXIT STATUS
0 for success, 1 for a failure, told in one line on stderr, 2 for wrong usage, wrong settings in a file too.
.SH SEE ALSO
.BR aperture (1)
""",
}


def run(argv: list[str]) -> int:
    """The command -> exit status."""
    chosen = _parser().parse_args(argv)
    return write(_PROGRAM, page(chosen.program).encode(), None)


def _parser() -> Parser:
    parser = Parser(_PROGRAM, "The manual page of a program, for man(1), on stdout.", _EXAMPLES)
    add_program(parser)
    return parser


def page(program: str) -> str:
    """The manual page of a program."""
    parser = whole(program)
    lines = [
        f'.TH {_escaped(program.upper())} 1 "" "aperture {__version__}" "User Commands"',
        ".SH NAME",
        f"{_escaped(program)} \\- {_escaped(_said(parser.description).rstrip('.'))}",
        ".SH SYNOPSIS",
        *_synopsis(parser),
    ]
    if program == PROGRAMS[0]:
        lines += [".SH COMMANDS"]
        for name, words in COMMANDS.items():
            lines += [*_command(name, words)]
    else:
        lines += [*_options(parser, ".SH")]
    lines += [*_epilog(parser, ".SH")]
    return "\n".join(lines) + "\n" + _LAST[program]


def _command(name: str, words: str) -> Iterator[str]:
    parser = parser_of(name)
    yield f".SS aperture {_escaped(name)}"
    yield _escaped(f"{words[0].upper()}{words[1:]}.")
    yield ".PP"
    yield from _synopsis(parser)
    yield from _options(parser, ".PP")
    yield from _epilog(parser, ".PP")


def _synopsis(parser: argparse.ArgumentParser) -> Iterator[str]:
    """As `--help` has it, in one paragraph."""
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    rest = usage.removeprefix(parser.prog).strip()
    yield f".B {_escaped(parser.prog)}"
    if rest:
        yield _escaped(rest)


def _options(parser: argparse.ArgumentParser, heading: str) -> Iterator[str]:
    """All that can be given, in the groups of `--help`."""
    for group in parser._action_groups:
        actions = [one for one in group._group_actions if one.help != argparse.SUPPRESS]
        if not actions:
            continue
        title = group.title or "options"
        yield f".SH {_escaped(title.upper())}" if heading == ".SH" else f".PP\n.I {_escaped(title)}:"
        for action in actions:
            yield ".TP"
            yield _name(action)
            yield _escaped(_said(action.help % _parts(action, parser) if action.help else "."))


def _parts(action: argparse.Action, parser: argparse.ArgumentParser) -> dict[str, object]:
    """What a word of help may name, as argparse has it."""
    return {**vars(action), "prog": parser.prog}


def _name(action: argparse.Action) -> str:
    """How an option is written: bold, what stands behind it in italics."""
    shown = action.metavar if isinstance(action.metavar, str) else None
    if shown is None and action.choices is not None:
        shown = "{" + ",".join(map(str, action.choices)) + "}"
    if not action.option_strings:
        return f"\\fI{_escaped(shown or action.dest)}\\fR"
    value = "" if action.nargs == 0 else f" \\fI{_escaped(shown or action.dest.upper())}\\fR"
    return ", ".join(f"\\fB{_escaped(option)}\\fR{value}" for option in action.option_strings)


def _epilog(parser: argparse.ArgumentParser, heading: str) -> Iterator[str]:
    """The examples, line by line as they are."""
    text = (parser.epilog or "").removeprefix("examples:\n").rstrip("\n")
    if not text:
        return
    yield ".SH EXAMPLES" if heading == ".SH" else ".PP\n.I examples:\n.PP"
    yield ".nf"
    yield from (_escaped(line) for line in text.split("\n"))
    yield ".fi"


def _said(text: str | None) -> str:
    return " ".join((text or "").split())


def _escaped(text: str) -> str:
    """Text as roff shows it as it is: no sign of it is a command."""
    safe = (
        text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga").replace("^", "\\(ha")
    )
    safe = safe.replace("~", "\\(ti")
    safe = re.sub(r"[^\x00-\x7f]", lambda sign: f"\\[u{ord(sign[0]):04X}]", safe)
    return "\\&" + safe if safe.startswith(".") else safe
