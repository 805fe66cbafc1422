"""The line that says which events are looked at: `comm:nginx -lib:libc fn:/parse.*/ >5ms pid:1,2`.

Text to terms and back. Pure, and free of numpy: the screens read such lines before anything heavy is imported. What a
term means is in docs/where.md; how a store applies it, in store/where_masks.py and store/clickhouse/where_sql.py.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple, NoReturn

from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.mistyped import meant
from aperture_tui.profile.where_patterns import PAIR, problem, scoped

LONGEST: Final = 1000
"""Characters of a line."""
LONGEST_WRITTEN: Final = 4 * LONGEST
"""The same of one that was written by `Where.text`, with quotes wherever they may be needed."""
MOST_TERMS: Final = 24
MOST_VALUES: Final = 200
"""In all terms together."""
_MOST_NS: Final = 1 << 57


class Key(enum.Enum):
    """What a term is about; its value is what stands before the colon."""

    COMM = "comm"
    PID = "pid"
    TID = "tid"
    THREAD = "thread"
    CGROUP = "cgroup"
    CONTAINER = "container"
    LIB = "lib"
    FN = "fn"
    FILE = "file"
    NAME = "name"
    TAG = "tag"
    HOST = "host"
    SERVICE = "service"
    WORD = ""
    """A bare word: in any function, module or process of the stack."""


KEYS: Final = tuple(key for key in Key if key is not Key.WORD)
OF_STACKS: Final = frozenset({Key.LIB, Key.FN, Key.FILE, Key.WORD})
"""Those that some frame of the stack has to match."""
OF_MACHINES: Final = frozenset({Key.HOST, Key.SERVICE})
_PATHS: Final = frozenset({Key.CGROUP, Key.FILE})
"""Of these a value that begins with a slash is a path: patterns have a tilde before them."""


class Form(enum.Enum):
    """How a value is meant."""

    PLAIN = "plain"
    GLOB = "glob"
    """Unquoted, with `*` for anything."""
    PATTERN = "pattern"
    """`/…/`: a regular expression that is found anywhere."""


class Value(NamedTuple):
    """What a term looks for."""

    text: str
    form: Form = Form.PLAIN


class WhereError(ValueError):
    """One line. place: of the character that it is about, from 0."""

    def __init__(self, problem: str, place: int) -> None:
        super().__init__(f"{problem} (at character {place + 1})")
        self.problem, self.place = problem, place


@dataclass(frozen=True, slots=True)
class Term:
    """Any of the values; negated: none of them."""

    key: Key
    values: tuple[Value, ...]
    negated: bool = False

    @property
    def text(self) -> str:
        """As it is typed."""
        head = f"{self.key.value}:" if self.key is not Key.WORD else ""
        return f"{'-' * self.negated}{head}{','.join(_written(self.key, value) for value in self.values)}"

    @property
    def source(self) -> str:
        """A regular expression, to be searched for in each name of its key: Python's, in the part that RE2 has as well
        but for its end of text."""
        return "(?s)" + "|".join(_source(self.key, value) for value in self.values)


@dataclass(frozen=True, slots=True)
class Ids:
    """Any of these processes or threads; negated: none of them."""

    key: Key
    ids: tuple[int, ...]
    negated: bool = False

    @property
    def text(self) -> str:
        """As it is typed."""
        return f"{'-' * self.negated}{self.key.value}:{','.join(map(str, self.ids))}"


@dataclass(frozen=True, slots=True)
class Bound:
    """What took longer (">", ">=") or less ("<", "<=") than this. Of events that sum up several, the longest counts."""

    sign: str
    ns: int

    @property
    def text(self) -> str:
        """As it is typed."""
        unit = next(unit for unit in _WRITTEN if self.ns % _UNITS[unit] == 0)
        return f"{self.sign}{self.ns // _UNITS[unit]}{unit}"


AnyTerm = Term | Ids | Bound


@dataclass(frozen=True, slots=True)
class Where:
    """Terms that all hold; none of them lets everything pass."""

    terms: tuple[AnyTerm, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    @property
    def text(self) -> str:
        """The line; `parse` gives the same terms for it."""
        return " ".join(term.text for term in self.terms)

    def of(self, kind: Kind) -> Where:
        """The terms that say anything about events of a kind."""
        return Where(tuple(term for term in self.terms if _applies(term, kind)))

    def idle(self, kind: Kind) -> Where:
        """The others: samples have neither a duration of their own nor a name."""
        return Where(tuple(term for term in self.terms if not _applies(term, kind)))

    def switched(self, terms: Sequence[AnyTerm]) -> Where:
        """With these terms too; without them where it has them all."""
        if all(term in self.terms for term in terms):
            return Where(tuple(term for term in self.terms if term not in terms))
        return Where((*self.terms, *(term for term in terms if term not in self.terms)))

    def about(self, keys: frozenset[Key]) -> tuple[Term, ...]:
        """The terms with one of these keys."""
        return tuple(term for term in self.terms if isinstance(term, Term) and term.key in keys)

    def but(self, keys: frozenset[Key]) -> Where:
        """All other terms."""
        return Where(tuple(term for term in self.terms if isinstance(term, Bound) or term.key not in keys))

    def takes(self, host: str, service: str = "") -> bool:
        """Whether it lets a machine pass. service: that it is of, "" for none."""
        of = {Key.HOST: host, Key.SERVICE: service}
        return all(
            (re.search(term.source, of[term.key]) is not None) is not term.negated for term in self.about(OF_MACHINES)
        )


EVERYTHING: Final = Where()


def parse(text: str, longest: int = LONGEST) -> Where:
    """What a line says. longest: characters that it may have. Raises WhereError."""
    if len(text) > longest:
        raise WhereError(f"more than {longest:,} characters", longest)
    for place, character in enumerate(text):
        if not character.isprintable():
            raise WhereError("a character that cannot be printed", place)
    return Where(tuple(_Reader(text).terms()))


class _Reader:
    """Reads a line once, from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._values = 0

    def terms(self) -> list[AnyTerm]:
        out: list[AnyTerm] = []
        while self._skip_spaces():
            if len(out) == MOST_TERMS:
                self._fail(f"more than {MOST_TERMS} terms")
            out.append(self._term())
            if self._next not in ("", " "):
                self._fail("a space is missing")
        return out

    @property
    def _next(self) -> str:
        return self.text[self.at : self.at + 1]

    def _fail(self, problem: str, place: int | None = None) -> NoReturn:
        raise WhereError(problem, self.at if place is None else place)

    def _skip_spaces(self) -> bool:
        """Whether anything is left."""
        while self._next == " ":
            self.at += 1
        return self.at < len(self.text)

    def _term(self) -> AnyTerm:
        negated = self._next == "-"
        self.at += negated
        if self._next in ("<", ">"):
            if negated:
                self._fail("a bound is negated by its sign: < for >", self.at - 1)
            return self._bound()
        key = self._key()
        values = [self._value(key)]
        while self._next == ",":
            self.at += 1
            values.append(self._value(key))
        self._values += len(values)
        if self._values > MOST_VALUES:
            self._fail(f"more than {MOST_VALUES} values")
        if key in (Key.PID, Key.TID):
            return Ids(key, tuple(int(value.text) for value in values), negated)
        return Term(key, tuple(values), negated)

    def _key(self) -> Key:
        found = _KEY.match(self.text, self.at)
        if found is None:
            return Key.WORD
        name = found[1]
        if name not in _NAMES:
            self._fail(f"{name}: is not known{meant(name, _NAMES, listed=len(_NAMES), behind=':')}")
        self.at = found.end()
        return _NAMES[name]

    def _value(self, key: Key) -> Value:
        begin = self.at
        value = self._read_value(key)
        if key in (Key.PID, Key.TID) and not _is_id(value):
            self._fail(f"{key.value}: takes numbers", begin)
        if key is Key.WORD and not value.text:
            self._fail("nothing is looked for", begin)
        return value

    def _read_value(self, key: Key) -> Value:
        if self._next == '"':
            return Value(self._quoted())
        if self._next == "/" and key not in _PATHS:
            return self._pattern()
        if self.text.startswith("~/", self.at):
            self.at += 1
            return self._pattern()
        found = _PLAIN.match(self.text, self.at)
        if found is None:
            self._fail("a value is missing" if key is not Key.WORD else "a word is missing")
        self.at = found.end()
        if self._next == '"':
            self._fail("quotes stand around the whole of a value")
        return Value(found[0], Form.GLOB if "*" in found[0] else Form.PLAIN)

    def _quoted(self) -> str:
        found = _QUOTED.match(self.text, self.at)
        if found is None:
            self._fail("the quote is not closed")
        self.at = found.end()
        return _ESCAPED.sub(r"\1", found[1])

    def _pattern(self) -> Value:
        found = _PATTERN.match(self.text, self.at)
        if found is None:
            self._fail("the pattern has no / at its end")
        text = PAIR.sub(lambda pair: "/" if pair[0] == r"\/" else pair[0], found[1])
        wrong, place = problem(text)
        if wrong:
            self._fail(wrong, min(self.at + 1 + place, found.end() - 1))
        self.at = found.end()
        return Value(text, Form.PATTERN)

    def _bound(self) -> Bound:
        found = _BOUND.match(self.text, self.at)
        if found is None:
            self._fail("a duration is a number with its unit: >5ms, <1.5s")
        ns = int(Fraction(found[2]) * _UNITS[found[3]])
        if ns > _MOST_NS:
            self._fail("a duration of more than four years")
        self.at = found.end()
        return Bound(found[1], ns)


_NAMES: Final = {key.value: key for key in KEYS}
_KEY: Final = re.compile(r"([A-Za-z_]+):(?!:)")
_PLAIN: Final = re.compile(r'[^ ,"]+')
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_ESCAPED: Final = re.compile(r'\\(["\\])')
_PATTERN: Final = re.compile(r"/((?:[^/\\]|\\.)*)/")
_UNITS: Final = {
    "ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "min": 60_000_000_000,
    "m": 60_000_000_000, "h": 3_600_000_000_000,
}  # fmt: skip
_WRITTEN: Final = ("h", "min", "s", "ms", "us", "ns")
_BOUND: Final = re.compile(r"([<>]=?)(\d{1,19}(?:\.\d{1,9})?)(ns|us|µs|ms|min|s|m|h)(?![^ ])", re.ASCII)
_UNQUOTED: Final = re.compile(r"[\w.+@%&!=#$;()\[\]{}|^'?/:-]+")


def _is_id(value: Value) -> bool:
    text = value.text
    return value.form is Form.PLAIN and text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) < 1 << 32


def _written(key: Key, value: Value) -> str:
    """A value as it is typed."""
    text = value.text
    if value.form is Form.GLOB:
        return text
    if value.form is Form.PATTERN:
        tilde = "~" * (key in _PATHS)
        return f"{tilde}/{_PAIR_OR_SLASH.sub(lambda found: found[0].rjust(2, chr(92)), text)}/"
    plain = _UNQUOTED.fullmatch(text) is not None and not (text[0] == "/" and key not in _PATHS)
    if key is Key.WORD:
        plain = plain and ":" not in text and not text.startswith("-")
    if plain:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_PAIR_OR_SLASH: Final = re.compile(r"\\.|/")


def _source(key: Key, value: Value) -> str:
    """A regular expression for one value; small letters match both cases, one capital letter makes it exact."""
    text, form = value
    if form is Form.PATTERN:
        return scoped(text, not any(c.isupper() for c in PAIR.sub("", text)))
    if key is Key.CGROUP:
        text = text.rstrip("/")
    body = ".*".join(re.escape(part) for part in (text.split("*") if form is Form.GLOB else [text]))
    body = scoped(body, not any(c.isupper() for c in text))
    if key is Key.WORD and form is Form.PLAIN:
        return body
    if key is Key.CGROUP:
        return rf"\A{body}(?:/.*)?\Z" if text else r"\A/"
    if key is Key.LIB:
        return rf"\A(?:.*/)?\[?{body}{_VERSION}\]?\Z"
    if key is Key.FILE:
        return rf"(?:\A|/){body}\Z"
    return rf"\A{body}\Z"


_VERSION: Final = r"(?:-[0-9][0-9.]*)?(?:\.(?:so|py|ko|dll|exe|jar)(?:[^/]*))?"
"""What may follow the name of a module: `libc` is `libc.so.6` and `libc-2.31.so`."""


def _applies(term: AnyTerm, kind: Kind) -> bool:
    return kind is not Kind.CPU or not (isinstance(term, Bound) or term.key is Key.NAME)
