"""The settings, once: options, files, `--print-config`, documentation and complaints are made of this table."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aperture_tui.cli.arguments import events, frequency, seconds

ALL: Final = "all"
_RATES: Final = (0.1, 20.0)
_LAYOUTS: Final = ("us", "ru", "uk", "bg")  # a test compares: the screens are not imported for `--help`


@dataclass(frozen=True)
class Setting:
    """One of them.

    name: in files, and in what the command line is read into. option: on the command line.

    form: what a file must have: "number", "text", "truth" or "list". built_in: as a file would have it. words: of help.
    parse: text to the value, as the command line has it; raises argparse.ArgumentTypeError. choices: the only texts.
    listed: whether the option is made here, and not where a session's are. metavar: what stands behind the option.
    """

    name: str
    option: str
    form: str
    built_in: Any
    words: str
    parse: Callable[[str], Any] = str
    choices: tuple[str, ...] = ()
    metavar: str = ""
    listed: bool = True

    def read(self, value: object) -> Any:
        """The value that a file has. Raises ValueError with what is wrong, in one line."""
        if self.form == "truth":
            if not isinstance(value, bool):
                raise ValueError(f"{_told(value)} is neither true nor false")
            return value
        text = self._text(value)
        if self.choices and text not in self.choices:
            raise ValueError(f"{text!r} is not one of {', '.join(self.choices)}")
        try:
            return self.parse(text)
        except argparse.ArgumentTypeError as error:
            raise ValueError(str(error)) from error

    def _text(self, value: object) -> str:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if self.form == "list":
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise ValueError(f"{_told(value)} is not a list of texts")
            return ",".join(value)
        if self.form == "number" and is_number:
            return f"{value:g}" if isinstance(value, float) else str(value)
        if isinstance(value, str) and (self.form == "text" or value == ALL == self.metavar_word):
            return value
        raise ValueError(f"{_told(value)} is not a {self.form}")

    @property
    def metavar_word(self) -> str:
        """The word that stands for a number, "" where there is none."""
        return ALL if self.metavar.endswith(f"|{ALL}") else ""

    def written(self, value: Any) -> object:
        """A value as a file would have it."""
        if self.form == "list":
            return list(value)
        return ALL if value is None else value


def _told(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def refresh(text: str) -> float:
    """Repaints a second."""
    low, high = _RATES
    try:
        hz = float(text)
    except ValueError:
        hz = 0.0
    if not low <= hz <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate: give {low:g} to {high:g} Hz")
    return hz


def window(text: str) -> float | None:
    """Seconds, None for all that is held."""
    return None if text == ALL else seconds(text)


SETTINGS: Final = (
    Setting("refresh", "--refresh", "number", 2, "repaints a second, 0.1 to 20", refresh, metavar="HZ"),
    Setting("theme", "--theme", "text", "aperture-dark", "colours, by name; your own lie in themes/", metavar="NAME"),
    Setting("window", "--window", "number", 30, "the time that is shown first, in seconds, or all", window,
            metavar=f"S|{ALL}"),
    Setting("mouse", "--mouse", "truth", True, "take the mouse; without, the terminal selects text"),
    Setting("glyphs", "--glyphs", "text", "unicode", "what to draw with", choices=("unicode", "ascii")),
    Setting("marks", "--marks", "truth", False, "a letter before each box says what kind of code it is"),
    Setting("layout", "--layout", "text", "us", "letters of this keyboard do what Latin ones do", choices=_LAYOUTS),
    Setting("resume", "--resume", "truth", False, "begin with the view, window, grouping, order, theme,\nsearch"
            " and filter line of last time"),
    Setting("events", "--events", "list", ["cpu"], "kinds of events that are always collected", events, listed=False),
    Setting("hz", "-F", "number", 99, "samples a second and CPU", frequency, listed=False),
)  # fmt: skip


def add_options(group: argparse._ArgumentGroup) -> None:
    """The options of those settings that no other group has."""
    for one in SETTINGS:
        if not one.listed:
            continue
        default = one.read(one.built_in)
        if one.form == "truth":
            help_words = f"{one.words} ({'yes' if default else 'no'})"
            group.add_argument(one.option, action=argparse.BooleanOptionalAction, default=default, help=help_words)
        else:
            options: dict[str, Any] = {"choices": one.choices} if one.choices else {"metavar": one.metavar}
            help_words = f"{one.words} ({one.built_in})"
            group.add_argument(one.option, type=one.parse, default=default, help=help_words, **options)
    words = "print every setting as TOML, with where it comes from,\nand end"
    group.add_argument("--print-config", action="store_true", help=words)
    group.add_argument("--print-keys", action="store_true", help="print what every key does, by its name, and end")
