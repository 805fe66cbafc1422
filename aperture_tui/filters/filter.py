"""One filter of a chain: its program, what it let pass, and what became of it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.filters import abi
from aperture_tui.filters import module as modules
from aperture_tui.filters.errors import FilterError
from aperture_tui.filters.failures import Failures
from aperture_tui.filters.guest import Guest, Judged, NoRoomError
from aperture_tui.filters.log import Level, Log
from aperture_tui.filters.spec import OnError, Spec
from aperture_tui.filters.tables import FIRST
from aperture_tui.filters.tags import ChainTags, translated
from aperture_tui.filters.told import AtWork, Counters, FilterState, Program, Standing
from aperture_tui.filters.verdicts import applied, joined
from aperture_tui.profile.health import Health, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from aperture_tui.filters.engine import Engine
    from aperture_tui.filters.module import Module
    from aperture_tui.profile.symbols import Symbols

_NOTHING_HIDDEN = np.zeros(0, bool)


class Ready(NamedTuple):
    """A program that has kept the contract so far, to be put to work. table: of its tags (`ChainTags.table`)."""

    module: Module
    guest: Guest
    table: NDArray[np.uint16]


class Filter:
    """`judge` and `at_work` belong to the chain's thread; `offer`, `switch`, and what else tells, to any.

    Raises FilterError when the file is no filter, or refuses its configuration.
    """

    def __init__(
        self, engine: Engine, tags: ChainTags, spec: Spec, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.spec = spec
        self.log = Log()
        self.counters = Counters()
        self.on = self._is_on = True
        self._switched: bool | None = None
        self._told = self._obeyed = 0
        self.stopped = self._closed = False
        self.reload_error = ""
        self._engine, self._tags, self._clock = engine, tags, clock
        self._lock = threading.Lock()
        self._next: Ready | None = None
        self._capacity = FIRST
        self._failures = Failures()
        self._reason = ""
        self._hidden = _NOTHING_HIDDEN
        self._hidden_of: Symbols | None = None
        self._good_since = self._clock()
        self._guest: Guest | None = None
        self._take(self.prepared(modules.read(spec.path)))

    @property
    def sha256(self) -> str:
        """Of the file that is at work, in hex."""
        return self._module.sha256

    @property
    def disabled(self) -> bool:
        """It has failed so often that it is not tried again, until its file changes or it is switched on again."""
        return self._failures.disabled

    # -- programs

    def prepared(self, data: bytes) -> Ready:
        """A program of these bytes, compiled, started and configured, beside the one at work. Raises FilterError."""
        try:
            module = modules.compiled(self._engine, data)
            guest = Guest(self._engine, module, self.spec.config, self.log, self._capacity)
            try:
                return Ready(module, guest, self._tags.table(guest.tags))
            except FilterError:
                guest.close()
                raise
        except FilterError as error:
            raise FilterError(f"{self.name}: {error}") from None

    def offer(self, ready: Ready) -> None:
        """Have it put to work before the next batch; the one at work, and its state, end."""
        with self._lock:
            self._told += 1
            former, self._next = self._next, ready
        if former is not None:
            former.guest.close()

    def switch(self, on: bool) -> None:
        """Off, everything passes; on again, it begins anew, even if it was disabled. From the next batch on."""
        with self._lock:
            self._told += 1  # first: who sees that it is on, or off, sees that it waits to be
            self.on = self._switched = on

    def _obey(self) -> None:
        with self._lock:  # or what is told meanwhile is forgotten
            self._obeyed = self._told
            ready, self._next = self._next, None
            switched, self._switched = self._switched, None
        if ready is not None:
            self._swap(ready)
        if switched is not None:
            self._is_on = switched
            self._end()
            self._begin_anew()

    def _swap(self, ready: Ready) -> None:
        self._end()
        before = self._module.sha256
        self._take(ready)
        self._begin_anew()
        self.counters.restarts += 1
        words = "begun anew, of the same version" if self.sha256 == before else "a new version is at work"
        self.log.note(Level.INFO, f"{words}: {self.sha256[:12]}")

    def _take(self, ready: Ready) -> None:
        self._module, self._guest, self._table = ready
        module, guest = ready.module, ready.guest
        self._program = Program(module.sha256, module.size, guest.version, guest.tags)

    def _begin_anew(self) -> None:
        self._failures, self._reason, self.stopped = Failures(), "", False
        self._good_since = self._clock()

    def _end(self) -> None:
        if self._guest is not None:
            self._guest.close()
            self._guest = None

    # -- judging

    def judge(self, symbols: Symbols, events: NDArray[np.void], now_ns: int, lost: bool) -> NDArray[np.void]:
        """What passes of a batch: (m,) of (n,) EVENT. now_ns: Unix. lost: events were lost before it."""
        if self._obeyed != self._told:
            self._obey()
        if not self._is_on:
            return events
        began, counters, n = time.perf_counter_ns(), self.counters, len(events)
        if n <= abi.MAX_BATCH:
            out = self._judged(symbols, events, now_ns, lost)
        else:
            parts = [events[at : at + abi.MAX_BATCH] for at in range(0, n, abi.MAX_BATCH)]
            out = joined([self._judged(symbols, part, now_ns, lost and not i) for i, part in enumerate(parts)])
        counters.events_in += n
        counters.events_out += len(out)
        counters.ns += time.perf_counter_ns() - began
        return out

    def hidden(self, symbols: Symbols) -> NDArray[np.bool_]:
        """(m,) bool: of the first m frames of these Symbols those whose names it hides."""
        return self._hidden if self._is_on and symbols is self._hidden_of else _NOTHING_HIDDEN

    def _judged(self, symbols: Symbols, events: NDArray[np.void], now_ns: int, lost: bool) -> NDArray[np.void]:
        """The same of at most MAX_BATCH events."""
        try:
            guest = self._guest or self._revived()
            if guest is None:
                return self._unjudged(events)
            judged = self._asked(guest, symbols, events, now_ns, lost)
            done = applied(events, judged.verdicts, translated(judged.tags, self._table))
        except FilterError as error:
            self._fail(str(error))
            return self._unjudged(events)
        if judged.hidden is not None:
            self._mark(symbols, judged.first_frame, judged.hidden)
        counters = self.counters
        counters.calls += 1
        counters.dropped += len(events) - len(done.events)
        counters.tagged += done.tagged
        counters.weighed += done.weighed
        counters.saturated += done.saturated
        return done.events

    def _asked(self, guest: Guest, symbols: Symbols, events: NDArray[np.void], now_ns: int, lost: bool) -> Judged:
        events = np.ascontiguousarray(events)
        try:
            return guest.judge(symbols, events, now_ns, lost)
        except NoRoomError as error:
            self._capacity = error.capacity
        self._end()
        self.log.note(Level.WARNING, "the session's tables have outgrown its arena: it begins anew, with a larger one")
        self._guest = guest = self._made()
        return guest.judge(symbols, events, now_ns, lost)

    def _made(self) -> Guest:
        self.counters.restarts += 1
        return Guest(self._engine, self._module, self.spec.config, self.log, self._capacity)

    def _revived(self) -> Guest | None:
        """A new instance after a failure, when its time has come."""
        if self.stopped or self._failures.disabled or self._clock() < self._failures.retry_at:
            return None
        self._good_since = self._clock()
        self._guest = self._made()
        return self._guest

    def _fail(self, reason: str) -> None:
        self._end()
        self.counters.errors += 1
        self._failures.add(self._clock(), self._good_since)
        self._good_since = self._clock()
        self._reason = reason
        self.log.note(Level.ERROR, reason)
        if self.spec.on_error is OnError.STOP:
            self.stopped = True
        elif self._failures.disabled:
            self.log.note(Level.ERROR, "disabled: it has failed 5 times within a minute")

    def _unjudged(self, events: NDArray[np.void]) -> NDArray[np.void]:
        if self.spec.on_error is OnError.KEEP:
            self.counters.unfiltered += len(events)
            return events
        self.counters.lost += len(events)
        return events[:0]

    def _mark(self, symbols: Symbols, first: int, hidden: NDArray[np.bool_]) -> None:
        """What it says of frames that are new to it; a fresh instance says it of all of them."""
        before = self._hidden[:first] if symbols is self._hidden_of else _NOTHING_HIDDEN
        self._hidden_of = symbols
        if not hidden.any():
            self._hidden = before  # a mask may be shorter than the table
            return
        self._hidden = np.zeros(first + len(hidden), bool)
        self._hidden[: len(before)] = before
        self._hidden[first:] = hidden
        self._hidden[0] = False  # the root has no name of anybody's

    # -- telling

    @property
    def memory_bytes(self) -> int:
        """What its program holds; 0 while there is none."""
        guest = self._guest
        return 0 if guest is None else guest.memory_bytes

    def at_work(self) -> AtWork:
        """How it stands between two batches, for `state`."""
        failures = self._failures
        return AtWork(
            self._program,
            self._stands,
            self._reason,
            failures.retry_at,
            self.counters.copy(),
            self.memory_bytes,
            self._obeyed,
        )

    def state(self, at_work: AtWork, reloading: bool = False) -> FilterState:
        """The same with what any thread may say of it. reloading: its file is being made ready."""
        return FilterState(
            self.name,
            self.spec,
            at_work,
            self.on,
            at_work.obeyed != self._told,
            max(0.0, at_work.retry_at - self._clock()),
            reloading,
            self.reload_error,
            self.log.lines,
            self.log.suppressed,
        )

    def health(self) -> Health:
        """Its line of truth."""
        state, words = self._standing()
        if self.reload_error:
            words = "; ".join(filter(None, [words, f"changed, but the old version goes on: {self.reload_error}"]))
        counters = self.counters
        degraded = {
            "events: passed unfiltered": counters.unfiltered,
            "events: weight or duration too large for a record": counters.saturated,
            "log lines: too many": self.log.suppressed,
        }
        return Health(
            f"filter {self.name}",
            state,
            words,
            counters.events_out,
            {"events: filter failed": counters.lost} if counters.lost else {},
            {cause: n for cause, n in degraded.items() if n},
            cpu_ns=counters.ns,
            memory_bytes=self.memory_bytes,
        )

    @property
    def _stands(self) -> Standing:
        if self._closed:
            return Standing.CLOSED
        if not self.on:
            return Standing.OFF
        if self.stopped:
            return Standing.STOPPED
        if self._failures.disabled:
            return Standing.DISABLED
        # a program that has ended without a failure begins again with the next events
        return Standing.WAITING if self._guest is None and self._reason else Standing.RUNNING

    def _standing(self) -> tuple[State, str]:
        stands, reason = self._stands, self._reason
        passes = "everything passes unfiltered" if self.spec.on_error is OnError.KEEP else "nothing passes"
        if stands is Standing.CLOSED:
            return State.STOPPED, self._passed
        if stands is Standing.OFF:
            return State.STOPPED, "switched off: everything passes"
        if stands is Standing.STOPPED:
            return State.FAILED, f"the chain is stopped, nothing passes: {reason}"
        if stands is Standing.DISABLED:
            return State.FAILED, f"disabled after 5 failures in a minute, {passes}: {reason}"
        if stands is Standing.WAITING:
            wait = max(0.0, self._failures.retry_at - self._clock())
            return State.STARTING, f"failed, tried again in {wait:.0f} s, {passes}: {reason}"
        failed = f"has failed {self.counters.errors} times, last: {reason}" if reason else ""
        return State.RUNNING, "; ".join(part for part in (self._passed, failed) if part)

    @property
    def _passed(self) -> str:
        """What it takes away is its work and no loss, but it has to be said."""
        counters = self.counters
        if not counters.dropped:
            return ""
        return f"takes away {counters.dropped:,} of {counters.events_in:,} events"

    def close(self) -> None:
        """End its program. Nothing may be judged any more."""
        self._closed = True
        with self._lock:
            ready, self._next = self._next, None
        if ready is not None:
            ready.guest.close()
        self._end()
