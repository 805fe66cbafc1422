"""The sink of an agent: what is collected, an interval at a time, into files of the spool."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.fleet.agent.interval import Interval
from aperture_tui.fleet.agent.spool import UNWRITTEN
from aperture_tui.profile.symbols import Symbols
from aperture_tui.recording.writer import Writer
from aperture_tui.store.slices import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from aperture_tui.fleet.agent.spool import Spool
    from aperture_tui.profile.batch import Batch
    from aperture_tui.profile.health import Health
    from aperture_tui.profile.host import HostFacts, HostSample

_FULL_BYTES: Final = 4 << 20
"""Of a file: an interval with more in it is several."""
_SOON_S: Final = 0.5  # a reading this much before it is due is taken: they come once a second, more or less


class IntervalWriter:
    """A sink like recording.writer.Writer; all methods belong to one thread. None of them raises OSError.

    A file is closed in a thread of its own, because that waits for the disk. What cannot be written is counted in
    `lost`, said once, and with the next interval it is tried again. problem: why nothing can be written now, or "".
    """

    def __init__(
        self,
        spool: Spool,
        facts: Mapping[str, Any],
        interval_s: float,
        first_s: float | None = None,
        gauges_s: float = 0.0,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """interval_s: may be set at any time. first_s: how long the first one is. gauges_s: between readings kept."""
        self.interval_s = interval_s
        self.problem = ""
        self._spool = spool
        self._facts = facts
        self._gauges_s = gauges_s
        self._say = say
        self._lost = 0  # of those before, and while there was none
        self._hosts: list[HostFacts] = []
        self._health: list[Health] = []
        self._closing: threading.Thread | None = None
        self._before: Writer | None = None  # the one that is being closed
        self._read_at = float("-inf")
        self._writer: Writer | None = None
        self._events: list[NDArray[np.void]] = []  # of the present interval, with ids of these
        self._symbols: Symbols | None = None
        self._tags: tuple[str, ...] = ()
        self._gauges: list[HostSample] = []
        self._ends_at = 0.0
        self._old_problem = ""  # when the present interval began
        self._begin(interval_s if first_s is None else first_s)

    @property
    def lost(self) -> int:
        """Events that were taken and will never be in the spool."""
        return self._lost + sum(writer.lost for writer in (self._before, self._writer) if writer is not None)

    def append(self, batch: Batch) -> None:
        """Take the events of a batch."""
        self._rotate_if_due()
        if self._writer is None:
            self._lose(len(batch))
            return
        if self._symbols is None:
            self._symbols = batch.symbols
        if batch.symbols is self._symbols:  # else there are some of another generation: the file alone has them all
            self._events.append(batch.events)
            self._tags = batch.tags
        with self._telling():
            self._writer.append(batch)

    def append_gauges(self, sample: HostSample) -> None:
        """Take one reading of the host; where nothing else happens, it is what ends the intervals."""
        self._rotate_if_due()
        now = time.monotonic()
        if self._writer is not None and now - self._read_at >= self._gauges_s - _SOON_S:
            self._read_at = now
            self._gauges.append(sample)
            with self._telling():
                self._writer.append_gauges(sample)

    def set_health(self, health: Sequence[Health]) -> None:
        """Take the newest word of all; it is in every file."""
        self._health = list(health)
        if self._writer is not None:
            with self._telling():
                self._writer.set_health(health)

    def set_hosts(self, hosts: Sequence[HostFacts]) -> None:
        """Say which machine the events are from; it is in every file."""
        self._hosts = list(hosts)
        if self._writer is not None:
            with self._telling():
                self._writer.set_hosts(hosts)

    def close(self) -> None:
        """End the interval, and wait until it can be pushed."""
        self._retire()
        self._wait()

    # -- for itself

    def _rotate_if_due(self) -> None:
        full = self._writer is not None and self._writer.bytes >= _FULL_BYTES
        if full or time.monotonic() >= self._ends_at:
            self._retire()
            self._begin(self.interval_s)

    def _begin(self, interval_s: float) -> None:
        """Write into a new file from now on; without one everything is lost until the next interval."""
        self._ends_at = time.monotonic() + interval_s
        self._old_problem = self.problem
        path = self._spool.next_path()
        with self._telling():
            self._writer = Writer(path, self._facts, new=True)
            self._writer.set_hosts(self._hosts)
            self._writer.set_health(self._health)

    def _retire(self) -> None:
        writer, self._writer = self._writer, None
        events, self._events = joined(self._events), []
        symbols, self._symbols = self._symbols, None
        gauges, self._gauges = self._gauges, []
        if writer is None:
            return
        self._wait()
        self._before = writer
        contents = Interval(symbols or Symbols(), events, self._tags, self._hosts, gauges, self._health)
        what = writer, contents, self._old_problem
        self._closing = threading.Thread(target=self._close, args=what, name="closing an interval")
        self._closing.start()

    def _close(self, writer: Writer, contents: Interval, old_problem: str) -> None:
        """In a thread of its own. What could be written is pushed, whatever became of the rest.

        On a full disk there is often room for a beginning: a whole interval has to be written before that is over.
        """
        with self._telling():
            writer.close()
        whole = not writer.lost and writer.events == len(contents.events)
        with self._telling():
            self._spool.add(Path(writer.path), contents if whole else None)
            if old_problem and old_problem == self.problem and not writer.lost:
                self.problem = ""
                self._say(f"{self._spool.folder}: can be written again")

    def _wait(self) -> None:
        if self._closing is not None and self._before is not None:
            self._closing.join()
            self._lose(self._before.lost)
            self._closing = self._before = None

    def _lose(self, events: int) -> None:
        if events:
            self._lost += events
            self._spool.lose(events, UNWRITTEN)

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """What cannot be written is said, once, and counted where it is lost."""
        try:
            yield
        except OSError as error:
            words = f"{self._spool.folder}: {error.strerror}: what is collected now is lost, and counted"
            if words != self.problem:
                self.problem = words
                self._say(words)
