"""The chain at work in a thread of its own, so that collecting never waits for a filter.

Batches go in by `put` and come out by `take`, both called by the collecting thread. What is between them is bounded:
a batch that finds no room is lost, and counted. It does not pass unfiltered, for the sinks would then get most events
just when there are too many, and a filter that hides something would be passed by whenever the machine is loaded.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from aperture_tui.filters.chain import LIMITS
from aperture_tui.filters.reload import Reloader
from aperture_tui.filters.told import ChainState
from aperture_tui.profile.health import Health, State

if TYPE_CHECKING:
    from aperture_tui.filters.chain import Chain, Judged
    from aperture_tui.profile.batch import Batch

MAX_EVENTS: Final = 1 << 18
"""Between put and take: 18 MB."""
MAX_BATCHES: Final = 1024
_STOP_S: Final = 5.0


class Worker:
    """A chain with its thread, and the thread that looks after its files (`told.Controls`).

    One thread calls all methods but `health`, `told`, `switch` and `reload`, which any may: what is switched is seen by
    the worker's thread before its next batch, files are made ready by the reloader's, and what is told of the chain is
    what the worker's left behind after its last batch. So a screen never waits, and never sees half of a batch.

    From `start` on the chain's `judge` belongs to the worker; its `finish` is called by `take`.
    """

    def __init__(self, chain: Chain, max_events: int = MAX_EVENTS) -> None:
        self.chain = chain
        self.reloader = Reloader(chain.filters)
        self._max_events = max_events
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Batch, int, bool]] = deque()
        self._done: deque[Judged] = deque()
        self._events_between = 0
        self._busy = False
        self._stopping = False
        self._delivered = self._lost = self._crashed = 0
        self._lost_since = False
        self._failure = ""
        self._judged_ever = self._passed_ever = 0
        self._note_state()
        self._thread = threading.Thread(target=self._run, name="filters", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()
        self.reloader.start()

    def put(self, batch: Batch, lost: bool = False) -> bool:
        """Hand in a batch that was drained just now; False if there was no room. Never waits for a filter.

        lost: events were lost before it.
        """
        now_ns = time.time_ns()
        with self._changed:
            n, between = len(batch), self._events_between
            full = len(self._waiting) + len(self._done) >= MAX_BATCHES or (between and between + n > self._max_events)
            if self._failure:
                self._crashed += n
                return False
            if full or self._stopping:
                self._lost += n
                self._lost_since = True
                return False
            self._events_between += n
            self._waiting.append((batch, now_ns, lost or self._lost_since))
            self._lost_since = False
            self._changed.notify_all()
        return True

    def take(self) -> list[Batch]:
        """What has come through, in order, without batches of which nothing did. Never waits for a filter."""
        with self._changed:
            done, self._done = self._done, deque()
        out = [batch for judged in done if len(batch := self.chain.finish(judged))]
        n = sum(map(len, out))
        with self._changed:
            self._events_between -= sum(len(judged.batch) for judged in done)
            self._delivered += n
        return out

    def settle(self, timeout_s: float) -> bool:
        """Wait until everything put in has come through, at most so long; whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout_s)

    def health(self) -> list[Health]:
        """Of the queue, then of each filter."""
        lost = {"events: filters too slow, their queue was full": self._lost, "events: filters crashed": self._crashed}
        state = State.FAILED if self._failure else State.STOPPED if self._stopping else State.RUNNING
        with self._changed:
            lag_ns = time.time_ns() - self._waiting[0][1] if self._waiting else 0
        counted = {cause: n for cause, n in lost.items() if n}
        own = Health("filters", state, self._failure, self._delivered, counted, lag_ns=max(0, lag_ns))
        return [own, *self.chain.health()]

    def told(self) -> ChainState:
        """How the chain stands, as of its last batch."""
        at_work, judged, passed = self._state
        filters = self.chain.filters
        states = tuple(one.state(at, self.reloader.is_asked(one)) for one, at in zip(filters, at_work, strict=True))
        return ChainState(states, LIMITS, judged, passed, self._lost + self._crashed, self._failure)

    def switch(self, name: str, on: bool) -> None:
        """Switch a filter, from the next batch on. Raises FilterError."""
        self.chain.named(name).switch(on)

    def reload(self, name: str) -> None:
        """Put to work what its file has now, even if that is the same; once it is ready. Raises FilterError."""
        self.reloader.ask(self.chain.named(name))

    def _note_state(self) -> None:
        """One value that is replaced, not changed: whoever reads it has all of one moment."""
        self._state = [one.at_work() for one in self.chain.filters], self._judged_ever, self._passed_ever

    def stop(self) -> list[Batch]:
        """Let what was put in come through, end the threads and the chain; the last batches."""
        self.reloader.stop()
        self.settle(_STOP_S)
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(_STOP_S)
        out = self.take()
        with self._changed:
            self._lost += sum(len(batch) for batch, _, _ in self._waiting)
            self._waiting.clear()
        if not self._thread.is_alive():  # else its programs are in use
            self.chain.close()
        return out

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                if self._stopping:
                    return
                batch, now_ns, lost = self._waiting.popleft()
                self._busy = True
            judged = self._judged(batch, now_ns, lost)
            passed = 0 if judged is None else len(judged.batch)
            self._judged_ever += len(batch)
            self._passed_ever += passed
            self._note_state()
            with self._changed:
                self._busy = False
                if judged is not None:
                    self._done.append(judged)
                self._events_between -= len(batch) - passed
                self._changed.notify_all()

    def _judged(self, batch: Batch, now_ns: int, lost: bool) -> Judged | None:
        if self._failure:
            self._crashed += len(batch)
            return None
        try:
            return self.chain.judge(batch, now_ns, lost)
        except Exception as error:  # a fault of ours: nothing passes any more, which must not look like rest
            self._failure = f"{type(error).__name__}: {error}"
            self._crashed += len(batch)
            return None
