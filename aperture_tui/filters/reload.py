"""Filters whose files have changed, made ready beside those at work.

A file is looked at once a second, and at once when somebody asks. What has another content is compiled, started and
configured in the thread that looks, and only then offered; whatever is wrong with it is told, and the old version goes
on.
"""

from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING, Final

from aperture_tui.filters import module as modules
from aperture_tui.filters.errors import FilterError, one_line
from aperture_tui.filters.log import Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aperture_tui.filters.filter import Filter

_LOOK_S: Final = 1.0

Stamp = tuple[int, int, int] | None
"""A file's change time, size and number; None for one that is not there."""
_UNSEEN: Final = (0, 0, 0)


class Reloader:
    """Looks after the files of some filters, in a thread of its own from `start` on.

    Any thread may `ask`, which returns at once; `look` and `reload` take as long as the compiler does.
    """

    def __init__(self, filters: Sequence[Filter], look_s: float = _LOOK_S) -> None:
        self._filters = filters
        self._look_s = look_s
        self._lock = threading.Lock()
        # each file is read once more at the first look: it may have changed since its filter was made
        self._stamps: dict[str, Stamp] = {one.name: _UNSEEN for one in filters}
        self._contents = {one.name: one.sha256 for one in filters}
        self._asked: dict[str, Filter] = {}
        self._stopping = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="filter-reload", daemon=True)

    def start(self) -> None:
        """Look from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; waits for a compilation in progress."""
        self._stopping = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()

    def ask(self, one: Filter) -> None:
        """Have the thread make ready what its file has now, even if that is the same."""
        self._asked[one.name] = one
        self._wake.set()

    def is_asked(self, one: Filter) -> bool:
        """Whether that is still to be done."""
        return one.name in self._asked

    def look(self) -> None:
        """Make ready what has changed since the last time."""
        for one in self._filters:
            if (now := stamp(one)) != self._stamps[one.name]:
                self._stamps[one.name] = now  # before it is read: what changes meanwhile is read again
                self.reload(one)

    def reload(self, one: Filter, even_if_same: bool = False) -> bool:
        """Make ready what its file has now, unless it is at work already; whether something new was offered.

        What is wrong stands in the filter's `reload_error` afterwards.
        """
        with self._lock:
            try:
                data = modules.read(one.spec.path)
                content = hashlib.sha256(data).hexdigest()
                if content == self._contents[one.name] and not even_if_same:
                    one.reload_error = ""
                    return False
                one.offer(one.prepared(data))
            except FilterError as error:
                return _failed(one, str(error))
            except Exception as error:  # a fault of ours: this thread goes on, and it is told like any other
                return _failed(one, f"{type(error).__name__}: {error}")
            self._contents[one.name] = content
            one.reload_error = ""
            return True

    def _run(self) -> None:
        while not self._stopping:
            for name, one in list(self._asked.items()):
                self._stamps[name] = stamp(one)
                self.reload(one, even_if_same=True)
                self._asked.pop(name)
            self._wake.wait(self._look_s)
            self._wake.clear()
            if not self._stopping:
                self.look()


def _failed(one: Filter, reason: str) -> bool:
    one.reload_error = one_line(reason)
    one.log.note(Level.ERROR, f"the old version goes on: {reason}")
    return False


def stamp(one: Filter) -> Stamp:
    """Of a filter's file, as it is now."""
    try:
        found = os.stat(one.spec.path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
