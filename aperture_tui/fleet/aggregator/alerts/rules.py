"""The rules of alerts: what is measured, of whom, and from where on it is too much. A file in TOML to values."""

from __future__ import annotations

import enum
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from aperture_tui.export.collected import KINDS
from aperture_tui.export.names import COUNTED
from aperture_tui.fleet.aggregator.followed import FollowedFile
from aperture_tui.fleet.aggregator.tokens import ANYBODY, TENANT
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.mistyped import meant
from aperture_tui.profile.text import clean
from aperture_tui.profile.where import EVERYTHING, OF_MACHINES, Where, WhereError, parse

MOST_RULES: Final = 200
_MAX_FILE: Final = 1 << 20
SHARE: Final = "share"
CORES: Final = "cores"
NS_PER_S: Final = "ns/s"
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_DURATION: Final = re.compile(r"(\d{1,5})(s|m|h)", re.ASCII)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}
_DAY_S: Final = 86_400
_MINUTE_S: Final = 60
_SHOWN: Final = 60

T = TypeVar("T")


class RulesError(ValueError):
    """What is wrong with a file of rules, in one clear line."""


class By(enum.Enum):
    """What each value of a rule is of."""

    SERVICE = "service"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. kind: of the events. where: which of them. measure: "share" of the time of all events of the kind on
    the same machines, 0 to 1; "cores"; "ns/s"; or how many in a second: "calls/s", "waits/s", ... .

    by: a value for each service or host; None for one of all machines together. above: from where on it is too much,
    itself not. for_s: how long it has to be before it fires. window_s: whole minutes, over which it is measured.
    """

    name: str
    tenant: str = ANYBODY.tenant
    kind: Kind = Kind.CPU
    where: Where = EVERYTHING
    measure: str = SHARE
    by: By | None = None
    above: float = 0.0
    for_s: int = 0
    window_s: int = 300

    @property
    def is_timed(self) -> bool:
        """Whether nanoseconds are summed, and not how many there are."""
        return self.measure in (SHARE, CORES, NS_PER_S)


def followed(path: str) -> FollowedFile[tuple[Rule, ...]]:
    """The rules of a file, as it changes. Raises RulesError."""
    return FollowedFile(path, parsed, RulesError, "rules", _MAX_FILE)


def parsed(text: str) -> tuple[Rule, ...]:
    """The rules of a file. Raises RulesError."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise RulesError(f"no TOML: {clean(str(error)) or type(error).__name__}") from error
    return of_document(document)


def of_document(document: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The same of a file that is read. Raises RulesError."""
    if odd := next((key for key in document if key != "rule"), None):
        raise RulesError(f"{_shown(odd)}: there are [[rule]] alone")
    tables = document.get("rule", [])
    if not isinstance(tables, list):
        raise RulesError("rule: each begins with [[rule]], in two brackets")
    if len(tables) > MOST_RULES:
        raise RulesError(f"rule: more than {MOST_RULES} of them")
    rules: list[Rule] = []
    for number, table in enumerate(tables, 1):
        rule = _Table(number, table).rule()
        if any((rule.tenant, rule.name) == (other.tenant, other.name) for other in rules):
            raise RulesError(f"rule {number} ({rule.name}), name: an earlier rule of the tenant has it")
        rules.append(rule)
    return tuple(rules)


class _Table:
    """One table of the file, whose mistakes are told with its place, its name and the key."""

    def __init__(self, number: int, table: object) -> None:
        self._place = f"rule {number}"
        if not isinstance(table, Mapping):
            raise RulesError(f"{self._place}: each begins with [[rule]]")
        self._table = table
        self._name = self._read("name", _name, None)
        self._place += f" ({self._name})"

    def rule(self) -> Rule:
        """Raises RulesError."""
        for key in self._table:
            if key not in _KEYS:
                raise self._wrong(_shown(key), f"is not known{meant(key, _KEYS, listed=len(_KEYS))}")
        kind = self._read("kind", _kind, Kind.CPU)
        measure = self._read("measure", lambda value: _measure(value, kind), SHARE)
        rule = Rule(
            self._name,
            self._read("tenant", _tenant, ANYBODY.tenant),
            kind,
            self._read("where", lambda value: _where(value, kind), EVERYTHING),
            measure,
            self._read("by", _by, None, optional=True),
            self._read("above", lambda value: _above(value, measure), None),
            self._read("for", _for, 0),
            self._read("window", _window, 300),
        )
        if measure == SHARE and not rule.where.but(OF_MACHINES):
            raise self._wrong(
                "where", "a share is of something: give a line that is about more than hosts and services"
            )
        return rule

    def _read(self, key: str, read: Callable[[Any], T], unless: T | None, optional: bool = False) -> Any:
        """unless: what it is where it is not given; None if it has to be, unless it is optional."""
        if key not in self._table:
            if unless is None and not optional:
                raise self._wrong(key, "is missing")
            return unless
        try:
            return read(self._table[key])
        except ValueError as error:
            raise self._wrong(key, str(error)) from error

    def _wrong(self, key: str, words: str) -> RulesError:
        return RulesError(f"{self._place}, {key}: {words}")


_KEYS: Final = ("name", "tenant", "kind", "where", "measure", "by", "above", "for", "window")


def measures(kind: Kind) -> tuple[str, ...]:
    """What can be measured of a kind."""
    return (SHARE, CORES) if kind is Kind.CPU else (SHARE, NS_PER_S, f"{COUNTED[kind]}/s")


# -- values: each raises ValueError in words


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is no text in quotes")
    return value


def _name(value: object) -> str:
    if not _NAME.fullmatch(text := _text(value)):
        raise ValueError(f"{_shown(text)} is not 1 to 64 of letters, digits and _ . -")
    return text


def _tenant(value: object) -> str:
    if not TENANT.fullmatch(text := _text(value)):
        raise ValueError(f"{_shown(text)} is not 1 to 32 of a-z, 0-9 and _")
    return text


def _one_of(value: object, known: Mapping[str, T]) -> T:
    text = _text(value)
    if text not in known:
        raise ValueError(f"{_shown(text)} is none of {', '.join(known)}")
    return known[text]


def _kind(value: object) -> Kind:
    return _one_of(value, KINDS)


def _by(value: object) -> By:
    return _one_of(value, {by.value: by for by in By})


def _measure(value: object, kind: Kind) -> str:
    return _one_of(value, {measure: measure for measure in measures(kind)})


def _where(value: object, kind: Kind) -> Where:
    try:
        where = parse(_text(value))
    except WhereError as error:
        raise ValueError(str(error)) from error
    if idle := where.idle(kind):
        raise ValueError(f"{idle.text} says nothing of samples, which have no name and no duration")
    return where


def _above(value: object, measure: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("is no number")
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError("is too large") from error
    if not math.isfinite(number) or number < 0:
        raise ValueError("is less than 0, or no number that there is")
    if measure == SHARE and number >= 1:
        raise ValueError("no share is above 1: give 0.2 for 20 %")
    return number


def _seconds(value: object) -> int:
    found = _DURATION.fullmatch(_text(value))
    if found is None or (seconds := int(found[1]) * _UNITS[found[2]]) > _DAY_S:
        raise ValueError(f'{_shown(_text(value))} is no duration up to a day: give "90s", "5m" or "1h"')
    return seconds


def _for(value: object) -> int:
    return _seconds(value)


def _window(value: object) -> int:
    seconds = _seconds(value)
    if not seconds or seconds % _MINUTE_S:
        raise ValueError("is not in whole minutes")
    return seconds


def _shown(text: str) -> str:
    """What strangers may have written, in few cells."""
    return clean(text[:_SHOWN] + "…" * (len(text) > _SHOWN)) or '""'
