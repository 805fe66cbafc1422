"""What holds in the end: the command line, then the user's file, then the system's, then what is built in.

Variables of our own there are none: they would be a third place for the same, and sudo drops them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aperture_tui.cli.habits import files
from aperture_tui.cli.habits.files import FileError, NotTrustedError, Read
from aperture_tui.cli.habits.table import SETTINGS, Setting
from aperture_tui.profile.mistyped import meant
from aperture_tui.profile.text import clean

KEYS: Final = "keys"
BUILT_IN: Final = "built in"
COMMAND_LINE: Final = "command line"
_MOST_KEYS: Final = 8
"""Of one action."""
_UNGIVEN: Final = object()


@dataclass(frozen=True)
class Value:
    """A value, and where it comes from."""

    value: Any
    origin: str


@dataclass(frozen=True)
class Chosen:
    """settings: by name. keys: by the id of a binding, as they were written. paths: the files that were read.

    notices: what was not taken, a line each.
    """

    settings: Mapping[str, Value]
    keys: Mapping[str, Value]
    paths: tuple[str, ...]
    notices: tuple[str, ...]

    def __getitem__(self, name: str) -> Any:
        """The value of a setting."""
        return self.settings[name].value

    def is_given(self, name: str) -> bool:
        """Whether a setting is on the command line."""
        return self.settings[name].origin == COMMAND_LINE


def chosen(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> Chosen:
    """What the command line and the files say together. parser: it is changed. Raises FileError."""
    read, notices = _read_files()
    for one in read:
        _refuse_unknown(one)
    given = _given(parser, argv)
    settings = {setting.name: _value(setting, given, read) for setting in SETTINGS}
    keys: dict[str, Value] = {}
    for one in reversed(read):
        table = one.data.get(KEYS, {})
        if not isinstance(table, dict):
            raise FileError(f"{one.where(KEYS)}: {KEYS} is a table: [{KEYS}]")
        for name, value in _flat(table):
            keys[name] = Value(_keys(value, one, name), one.where(f"{KEYS}.{name}"))
    return Chosen(settings, keys, tuple(clean(str(one.path)) for one in read), tuple(notices))


def _read_files() -> tuple[list[Read], list[str]]:
    """Those that there are, from the one that comes first, and what is said of others."""
    read, notices = [], []
    for path in files.config_files():
        try:
            one = files.read(path)
        except NotTrustedError as error:
            notices.append(str(error))
        else:
            read += [] if one is None else [one]
    return read, notices


def _refuse_unknown(one: Read) -> None:
    known = [KEYS, *(setting.name for setting in SETTINGS)]
    for name in one.data:
        if name not in known:
            raise FileError(f"{one.where(name)}: there is no setting {clean(name)!r}{meant(name, known)}")


def _given(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> Mapping[str, Any]:
    """What the command line itself says, by name."""
    parser.set_defaults(**{setting.name: _UNGIVEN for setting in SETTINGS})
    told = vars(parser.parse_args(argv))
    return {setting.name: told[setting.name] for setting in SETTINGS if told[setting.name] is not _UNGIVEN}


def _value(setting: Setting, given: Mapping[str, Any], read: Sequence[Read]) -> Value:
    if setting.name in given:
        return Value(given[setting.name], COMMAND_LINE)
    for one in read:
        if setting.name in one.data:
            try:
                return Value(setting.read(one.data[setting.name]), one.where(setting.name))
            except ValueError as error:
                raise FileError(f"{one.where(setting.name)}: {setting.name}: {clean(str(error))}") from error
    return Value(setting.read(setting.built_in), BUILT_IN)


def _flat(table: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    """`view.sort = "S"` is a table in a table for TOML."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value


def _keys(value: Any, one: Read, name: str) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        where = one.where(f"{KEYS}.{name}")
        raise FileError(f"{where}: {clean(name)}: give a key, or a list of keys; an empty list is none")
    if len(texts) > _MOST_KEYS:
        raise FileError(f"{one.where(f'{KEYS}.{name}')}: {clean(name)}: more than {_MOST_KEYS} keys")
    return tuple(texts)
