"""What a lock is called: its kind, by the functions that wait for it, and its symbol, where it is static."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from aperture_tui.symbolize.data_names import DataNames

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.profile.symbols import Symbols

_FRAMES: Final = 8
"""So many of the innermost functions are looked at."""
_MAX: Final = 1 << 16

_KINDS: Final = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (r"pthread_cond_\w*wait|cnd_(timed)?wait", "condition"),
        (r"Condvar::wait", "condvar"),  # not a "condition": the word itself is all there is of it
        (r"pthread_mutex_\w*lock|__lll_lock_wait|lll_\w*lock_wait|mtx_(timed)?lock", "mutex"),
        (r"Mutex::lock_(contended|slow)", "mutex"),
        (r"pthread_rwlock_\w*lock|RwLock::\w+_(contended|slow)", "rwlock"),
        (r"(^|_)sem_\w*wait", "semaphore"),
        (r"pthread_barrier_wait", "barrier"),
        (r"pthread_\w*join", "join"),
        (r"runtime\.futexsleep|runtime\.notetsleep|runtime\.notesleep", "Go runtime"),
    )
)
"""What waits for what: functions of glibc, of Rust's library and of Go's runtime, innermost first."""
_GIL: Final = re.compile(r"^take_gil\b")
"""CPython's function, which waits for a condition: that is how it waits, not what for."""


_PAIR: Final = ~7
"""A condition variable of glibc since 2.25 has two words that are waited for by turns, beside each other
(__g_signals of struct __pthread_cond_s): they are one lock, and stand under the first one's address."""
_INSIDE: Final = re.compile(r"\+0x(20|28)$")
"""Where they lie in it, depending on glibc's version: of a symbol that has them there it is the condition variable."""


class Named(NamedTuple):
    """What is known of a lock. string: its id; kind: "" where no stack has said; value: its address."""

    string: int
    kind: str
    value: int


class LockNames:
    """Owned by the collecting thread."""

    def __init__(self) -> None:
        self._data = DataNames()
        self._kinds: dict[tuple[int, int], str | None] = {}
        self._known: dict[tuple[int, int, int], Named] = {}  # (generation, process, word)

    def name(self, events: NDArray[np.void], futexes: list[str], symbols: Symbols) -> None:
        """Give waits the names and addresses of their locks. futexes: what each is called where nothing says more.

        events: (n,) of EVENT, with the words that were waited for in `value`.
        """
        for i, futex in enumerate(futexes):
            event = events[i]
            word = int(event["value"])
            key = (symbols.generation, int(event["process"]), word)
            before = self._known.get(key)
            kind = self._kind(int(event["stack"]), symbols) or (before.kind if before else "")
            if before is None or before.kind != kind:
                before = self._named(int(event["pid"]), word, kind, futex, symbols)
                if len(self._known) > _MAX:
                    self._known.clear()
                self._known[key] = before
            event["name"], event["value"] = before.string, before.value

    def _named(self, pid: int, word: int, kind: str, futex: str, symbols: Symbols) -> Named:
        value = word & _PAIR if kind == "condition" else word
        symbol = self._data.name(pid, value)
        symbol = _INSIDE.sub("", symbol) if kind == "condition" else symbol
        words = f"{kind or futex} {symbol}" if symbol and symbol not in _PLACES else kind or futex
        return Named(symbols.string(words), kind, value)

    def name_others(self, events: NDArray[np.void], symbols: Symbols) -> None:
        """Give wakers and holders the names that waits for these words had; "futex" where there was none."""
        otherwise = symbols.string("futex")
        for event in events:
            word = int(event["value"])
            known = self._known.get((symbols.generation, int(event["process"]), word))
            event["name"], event["value"] = (known.string, known.value) if known else (otherwise, word)

    def _kind(self, node: int, symbols: Symbols) -> str | None:
        key = (symbols.generation, node)
        if key not in self._kinds:
            if len(self._kinds) > _MAX:
                self._kinds.clear()
            frames = symbols.trie.path(node)[-_FRAMES:]
            self._kinds[key] = kind_of([symbols.frame_at(int(frame)).function for frame in frames])
        return self._kinds[key]


_PLACES: Final = ("heap", "stack", "anonymous")
"""Where a lock lies that has no symbol: its address says as much."""


def kind_of(functions: list[str]) -> str | None:
    """The kind of lock that these functions, outermost first, wait for; None if they do not say."""
    if any(map(_GIL.search, functions)):
        return "Python GIL"
    for function in reversed(functions):
        for pattern, kind in _KINDS:
            if pattern.search(function):
                return kind
    return None
