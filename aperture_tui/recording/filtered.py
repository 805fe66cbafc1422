"""What filters let pass of a recording: judged once, from its beginning to its end, and kept in a nameless file."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.health import Losses
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.text import clean
from aperture_tui.recording.reader import Reader, Words, plausible
from aperture_tui.recording.writer import Writer
from aperture_tui.store.compaction import TooManyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from aperture_tui.filters.recorded import Recorded

_FOLDER: Final = "/var/tmp"  # noqa: S108 - the file has no name; /tmp may be memory
_COLLECTED: Final = frozenset({"filters", *(kind.name.lower() for kind in Kind)})
"""The names of Health whose losses are of events."""
_MOST: Final = 16
_MOST_TEXT: Final = 60
"""Filters of a header, and characters of one's name, that are shown."""


class Pass:
    """One file on its way through the filters. One thread at a time. lock: held while anything of the file is read.

    A filter may remember what it has seen, so nothing of a file can be shown before what is in front of it was judged.
    What passed is written as a recording, so that of it, too, only what is looked at is held.
    """

    def __init__(self, source: Reader, filters: Recorded, lock: threading.Lock) -> None:
        self._source, self._filters, self._lock = source, filters, lock
        self._steps: Iterator[float] | None = None
        self._reader: Reader | None = None

    def finish(self, watch: Callable[[float], None]) -> Reader:
        """What passed. watch: told the share that is judged; what it raises interrupts, and the next call goes on.

        Raises TooManyError where there is no room for it.
        """
        while self._reader is None and (share := self._step()) is not None:
            watch(share)
        assert self._reader is not None  # noqa: S101 - the last step sets it
        return self._reader

    def _step(self) -> float | None:
        """Judge the next batch -> the share that is judged; None at the end."""
        if self._steps is None or self._filters.serves is not self:  # another pass has had the filters meanwhile
            self._steps = self._judged()
        try:
            with self._lock:
                return next(self._steps, None)
        except BaseException:
            self._steps = None
            raise

    def _judged(self) -> Iterator[float]:
        self._filters.begin(self)
        done, events = 0, int(self._source.rows["events"].sum(dtype=np.int64))
        with contextlib.ExitStack() as opened:
            with _room():
                place = f"/proc/self/fd/{opened.enter_context(tempfile.TemporaryFile(dir=_folder())).fileno()}"
                writer = Writer(place, self._source.header)
            opened.callback(writer.abandon)
            for batch, lost in _batches(self._source):
                passed = self._filters.judge(batch, lost)
                with _room():
                    writer.append(passed)
                done += len(batch)
                yield done / max(1, events)
            with _room():
                writer.close(wait=False)
            self._reader = Reader(place)


@contextlib.contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        words = f"what the filters let pass cannot be kept in {_folder()}: {reason} (TMPDIR names another folder)"
        raise TooManyError(words) from error


def _batches(source: Reader) -> Iterator[tuple[Batch, bool]]:
    """The events of a file in its order, each time with whether some were lost before them."""
    losses, damage, lost = Losses(), source.damage, False
    unread = damage.blocks, damage.events
    for content in source.contents():
        if isinstance(content, Words):
            lost |= losses.rose(one for one in content.health if one.name in _COLLECTED)
            continue
        before, unread = unread, (damage.blocks, damage.events)
        yield Batch(content.symbols, plausible(content.events), content.tags), lost or unread != before
        lost = False


def _folder() -> str:
    return os.environ.get("TMPDIR") or _FOLDER


def filters_told(headers: Iterable[Mapping[str, Any]]) -> str:
    """What the headers of recordings say of the filters that were at work then, in words; "" where there was none."""
    told = [one for header in headers if isinstance(names := header.get("filters"), list) for one in names[:_MOST]]
    names = dict.fromkeys(_named(one) for one in told if isinstance(one, dict))
    return f"recorded through filters: {', '.join(list(names)[:_MOST])}" if names else ""


def _named(one: Mapping[str, Any]) -> str:
    """A filter's file and which it was; the header may be anybody's."""
    file, digest = (clean(str(one.get(key, "?")))[:_MOST_TEXT] for key in ("file", "sha256"))
    return f"{file} ({digest[:12]})"
