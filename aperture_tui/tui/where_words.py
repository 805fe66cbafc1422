"""The filter line in words: what the header says of it, and how what is typed may go on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.where import KEYS, OF_MACHINES, Form, Key, Term, Value, Where, WhereError, parse
from aperture_tui.store.passed import Passed
from aperture_tui.tui.cells import cut, plain, width_of
from aperture_tui.tui.widgets.header import Chip

if TYPE_CHECKING:
    from aperture_tui.profile.kinds import Kind
    from aperture_tui.tui.model import ViewSnapshot
    from aperture_tui.tui.palette import Span

Known = Mapping[Key, Sequence[str]]
"""Names that a value may be, by what it is about."""

_LABELS: Final = (FrameKind.ROOT, FrameKind.PROCESS, FrameKind.THREAD, FrameKind.TAG)
_WORKS: Final = "*background@accent"
_MOST: Final = 1000
"""Names of a key that are looked through."""
_OFFERED: Final = 20
_HELP: Final = "comm:nginx -lib:libc fn:/parse.*/ >5ms pid:1,2   tab completes  enter applies"


def chip(where: Where, kind: Kind, passed: Passed | None, width: int) -> Chip:
    """What the header says of it on every screen: what it is, and how much it leaves of what would be there.

    passed: None while that is not known. width: cells of the header.
    """
    if not where:
        return Chip()
    text, idle = plain(where.text), where.idle(kind)
    share = "…" if passed is None else passed.percent if passed.whole else ""
    shows = f" shows {share}{f' of {passed.whole:,}' if passed else ''}" if share else ""
    unsaid = f"; {idle.text}: samples have none" if idle else ""
    full = f"\\ {_within(text, max(12, width // 3))}{shows}{unsaid}"
    brief = f"\\ {_within(text, width // 5)} {share}" if width >= 60 else f"\\ {share or 'filter'}"
    return Chip(full, brief.rstrip(), _WORKS)


def nothing_passes(noun: str, where: Where, passed: Passed | None) -> list[tuple[str, str]]:
    """That there is something, but the filter line leaves out all of it; nothing if that is not so."""
    if not where or passed is None or passed.shown or not passed.whole:
        return []
    why = f"\\ {plain(where.text)} leaves out all of {passed.whole:,}. esc takes it off, \\ changes it."
    return [(f"No {noun} pass the filter", "*text"), ("", "text"), (why, "muted")]


def no_gap(where: Where) -> str:
    """Why there is no time at which a GPU did nothing."""
    left_out = where.but(OF_MACHINES)
    return "The filter leaves out work: when a GPU did nothing is not known" if left_out else "No gap in view"


def _within(text: str, width: int) -> str:
    return text if width_of(text) <= width else cut(text, width)


def said(text: str, offered: Sequence[str], passed: Passed | None, is_on: bool) -> Span:
    """What there is to say of a text as it is typed: what is wrong with it, how it may go on, or what it does.

    offered: words that may stand at its end. is_on: it is what filters now, and passed what that lets pass.
    """
    try:
        where = parse(text)
    except WhereError as error:
        waits = text.endswith((":", ",", "-")) and error.place >= len(text)  # it only has not been typed yet
        if not waits:
            return f"! at {error.place + 1}: {error.problem}", "*error"
        return "  ".join(offered) or "…", "muted"
    if offered and not text.endswith(" "):
        return "  ".join(offered), "muted"
    if not where:
        return _HELP, "muted"
    if is_on and passed is not None:
        return f"shows {passed.percent} of {passed.whole:,}", "text"
    return "enter applies  esc gives up", "muted"


def completions(text: str, known: Known) -> list[str]:
    """What may stand in place of the last word of a line, the likeliest first; of a word that is whole nothing."""
    begin = _last_word(text)
    word = text[begin:]
    bare = word.removeprefix("-")
    sign = word[: len(word) - len(bare)]
    if bare.startswith(("<", ">", "/", '"')):
        return []
    name, colon, rest = bare.partition(":")
    if not colon or rest.startswith(":"):
        keys = [f"{sign}{key.value}:" for key in KEYS if key.value.startswith(bare)] if bare else []
        return keys + [f"{sign}{value}" for value in _fitting(Key.WORD, bare, known)] if bare else []
    key = next((key for key in KEYS if key.value == name), None)
    if key is None:
        return []
    before, comma, last = rest.rpartition(",")
    if last.startswith("/") and key not in (Key.CGROUP, Key.FILE):
        return []
    return [f"{sign}{name}:{before}{comma}{value}" for value in _fitting(key, last.removeprefix('"'), known)]


def completed(text: str, known: Known, place: int = 0) -> str:
    """The line with one of its completions; as it is if there is none."""
    offered = completions(text, known)
    return f"{text[: _last_word(text)]}{offered[place % len(offered)]}" if offered else text


def _last_word(text: str) -> int:
    """Where the last word begins: behind the last space that is not in quotes."""
    begin, quoted = 0, False
    for place, letter in enumerate(text):
        quoted ^= letter == '"'
        if letter == " " and not quoted:
            begin = place + 1
    return begin


def _fitting(key: Key, typed: str, known: Known) -> list[str]:
    """Names that begin as what is typed does, then those that have it in them, as they are written."""
    small = typed.lower()
    names = [name for name in known.get(key, ())[:_MOST] if name.isprintable() and name != typed]
    first = [name for name in names if name.lower().startswith(small)]
    second = [name for name in names if small in name.lower() and not name.lower().startswith(small)]
    return [_written(key, name) for name in dict.fromkeys([*first, *second])][:_OFFERED]


def _written(key: Key, name: str) -> str:
    return Term(key, (Value(name, Form.PLAIN),)).text.removeprefix(f"{key.value}:" if key.value else "")


def known_of(snapshot: ViewSnapshot | None) -> Known:
    """The names that are on the screen, or held, most first."""
    if snapshot is None:
        return {}
    labels = [box.label for row in snapshot.icicle.rows for box in row.boxes] if snapshot.icicle else []
    labels += list(snapshot.icicle.collapsed) if snapshot.icicle else []
    processes = [line.key.name for line in snapshot.processes]
    processes += [line.told.process for line in snapshot.latencies.lines]
    code = [label for label in labels if label.kind not in _LABELS]
    processes += [label.function for label in labels if label.kind is FrameKind.PROCESS]
    threads = [label.function.rpartition(" ") for label in labels if label.kind is FrameKind.THREAD]
    names = [line.key.name for line in snapshot.latencies.lines]
    names += [part.name for part in snapshot.wall.parts] if snapshot.wall else []
    names += [row.use.name for row in snapshot.gpu.kernels] if snapshot.gpu else []
    fleet = snapshot.fleet.hosts if snapshot.fleet else ()
    functions, modules = [label.function for label in code], [label.module for label in code]
    return {
        Key.COMM: _told(processes),
        Key.PID: _told(str(line.key.pid) for line in snapshot.processes if line.key.pid),
        Key.TID: _told(tid for _, _, tid in threads if tid.isdecimal()),
        Key.THREAD: _told(name for name, _, _ in threads),
        Key.CONTAINER: _told(line.place for line in snapshot.processes),
        Key.FN: _told(functions),
        Key.LIB: _told(modules),
        Key.FILE: _told(label.file for label in code),
        Key.NAME: _told(names),
        Key.TAG: _told(snapshot.tags),
        Key.HOST: _told([*(host.name for host in snapshot.hosts), *(host.name for host in fleet)]),
        Key.SERVICE: _told(host.service for host in fleet),
        Key.WORD: _told([*processes, *functions, *modules]),
    }


def _told(names: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name][:_MOST]
