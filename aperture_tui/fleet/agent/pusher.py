"""The agent's pushing thread: the oldest interval of the spool to the aggregator, one at a time, until it is stored."""

from __future__ import annotations

import errno
import math
import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.fleet.agent.delivery import DEADLINE_S, Answer, Verdict
from aperture_tui.fleet.agent.known_stacks import KnownStacks
from aperture_tui.fleet.agent.outgoing import OWN, Identity, Outgoing
from aperture_tui.fleet.agent.spool import DAMAGED, REFUSED, UNREADABLE, UNWRITTEN
from aperture_tui.fleet.agent.trouble import Trouble
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.packed.hashes import StackHashes
from aperture_tui.profile.text import clean

if TYPE_CHECKING:
    from aperture_tui.fleet.agent.delivery import Delivery
    from aperture_tui.fleet.agent.ledger import Head
    from aperture_tui.fleet.agent.spool import Spool
    from aperture_tui.profile.symbols import Symbols
    from aperture_tui.wire.fleet_pb2 import PushRequest

_REOPENED: Final = 5
"""Failures in a row after which the connection is begun anew."""
_ROUNDS: Final = 2
"""How often missing stacks are sent at once; who misses them again is in trouble."""
_MANY: Final = 200
"""New stacks from which on it is asked which of them are needed: a machine that is new runs what others run."""
_LAST_TRIES: Final = 5
_LONGEST_INTERVAL_S: Final = 300.0
_GONE: Final = (errno.ENOENT, errno.EIO, errno.EBADMSG, errno.EUCLEAN)
"""Of a file that will not be read at another time either."""


class Pusher:
    """Start it, and stop it; `health` and `failure` are for any thread, the rest is for its own.

    failure: why nothing is pushed any more, in one line; "" while it goes on.
    """

    def __init__(
        self,
        spool: Spool,
        delivery: Delivery,
        identity: Identity,
        interval_s: float,
        say: Callable[[str], None] = lambda _: None,
        pace: Callable[[float], None] = lambda _: None,
        problem: Callable[[], str] = lambda: "",
    ) -> None:
        """say: told in lines what changes. pace: told how long intervals are to be. problem: of the spool, or ""."""
        self.failure = ""
        self._spool = spool
        self._delivery = delivery
        self._identity = identity
        self._own_interval_s = self._interval_s = interval_s
        self._say = say
        self._pace = pace
        self._problem = problem
        self._trouble = Trouble(say)
        self._known = KnownStacks()
        self._outgoing: Outgoing | None = None
        self._of: tuple[Symbols, StackHashes] | None = None  # of a session they are found once
        self._first_seq = spool.next_seq  # of those that this agent has given
        self._delivered = self._cpu_ns = 0
        self._skipped = False  # a seq was given up: the one that is due is an older one
        self._stopping = threading.Event()
        self._deadline = math.inf  # monotonic seconds, once it is stopping; and how often it may fail until then
        self._tries = 0
        self._thread = threading.Thread(target=self._run, name="push", daemon=True)

    def start(self) -> None:
        """Push in a thread."""
        self._thread.start()

    def stop(self, patience_s: float) -> None:
        """Push what waits for at most so long, and end; an aggregator that does not answer is tried once more."""
        self._deadline = time.monotonic() + patience_s
        self._tries = 1 if self._trouble.words else _LAST_TRIES
        self._stopping.set()
        self._spool.changed.set()
        self._thread.join(patience_s)
        self._delivery.cancel()
        self._thread.join()

    def health(self) -> Health:
        """The pusher's own word."""
        oldest, causes = self._spool.oldest_ns, dict(self._spool.causes)
        causes.pop(UNWRITTEN, None)  # stands in the health of the sink
        state = State.RUNNING if self._trouble.connected else State.STARTING
        return Health(
            OWN,
            State.FAILED if self.failure else state,
            "; ".join(filter(None, [self.failure, self._trouble.words, self._problem()])),
            self._delivered,
            causes,
            dict(self._spool.degraded),
            lag_ns=0 if oldest is None else max(0, time.time_ns() - oldest),
            cpu_ns=self._cpu_ns,
        )

    # -- the thread

    def _run(self) -> None:
        try:
            self._stopping.wait(random.uniform(0, self._interval_s))  # noqa: S311 - so that a fleet comes spread
            while (pause_s := self._step()) is not None:
                self._cpu_ns = time.thread_time_ns()
                self._stopping.wait(pause_s)
        except Exception as error:  # a fault of ours: whoever started us has to know
            self.failure = f"push: {type(error).__name__}: {clean(str(error))}"
        finally:
            self._delivery.close()

    def _step(self) -> float | None:
        """Do what is to be done next -> after how many seconds to go on; None to end."""
        ending = self._stopping.is_set()
        if ending and (self._tries < 1 or time.monotonic() >= self._deadline):
            return None
        try:
            self._spool.changed.clear()
            self._spool.trim()
            head = self._spool.begin()
            if head is None:
                return None if ending else self._idle()
            pause_s = self._pushed(head)
        except OSError as error:
            words = f"{clean(str(error.filename or self._spool.folder))}: {error.strerror}"
            pause_s = self._trouble.failed(Verdict.UNREACHABLE, words)
        if ending and pause_s:
            self._tries -= 1
            time.sleep(min(pause_s, max(0.0, self._deadline - time.monotonic())) if self._tries else 0)
        return pause_s

    def _idle(self) -> float:
        """Wait for something to push."""
        if not self._stopping.is_set():
            self._spool.changed.wait()
        return 0.0

    # -- one push; each may raise OSError, and says how long to wait then, in seconds

    def _pushed(self, head: Head) -> float:
        try:
            if self._outgoing is None or self._outgoing.head != head:
                self._outgoing = None  # before the next one is in memory
                self._outgoing = self._read(head)
            outgoing = self._outgoing
            request = outgoing.request or self._encoded(outgoing)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return self._given_up(UNREADABLE, f"{head.file}: {error.strerror}")
        except Exception as error:  # whatever a damaged file makes of us: those after it are to be pushed
            words = str(error) if head.file in str(error) else f"{head.file}: {type(error).__name__}: {error}"
            return self._given_up(UNREADABLE, clean(words))
        if outgoing.is_too_large:
            return self._too_large(outgoing, "no aggregator takes so much at once")
        deadline_s = min(DEADLINE_S, max(0.1, self._deadline - time.monotonic()))
        return self._took(outgoing, self._delivery.push(request, deadline_s))

    def _read(self, head: Head) -> Outgoing:
        interval = self._spool.contents()
        if self._of is None or self._of[0] is not interval.symbols:
            self._of = interval.symbols, StackHashes(interval.symbols)
        return Outgoing(head, interval, self._identity.agent, self._of[1])

    def _encoded(self, outgoing: Outgoing) -> PushRequest:
        head = self._identity.head(self._spool.boot, outgoing.head.seq, self._spool.lost, self._interval_s)
        request = outgoing.encode(head, self._known, self.health())
        if outgoing.rounds or np.count_nonzero(~self._known(outgoing.hashes)) < _MANY:
            return request
        outgoing.asks = True
        return outgoing.encode(head, lambda hashes: np.ones(len(hashes), bool), self.health())

    def _took(self, outgoing: Outgoing, answer: Answer) -> float:
        match answer.verdict:
            case Verdict.STORED:
                return self._stored(outgoing, answer)
            case Verdict.NEEDS_STACKS if answer.stacks is not None:
                return self._asked_for(outgoing, answer.stacks)
            case Verdict.NOT_DUE if 0 < answer.number < outgoing.head.seq:
                return self._renumbered(outgoing, answer)
            case Verdict.TOO_LARGE:
                return self._too_large(outgoing, answer.words)
            case Verdict.NEVER:
                return self._given_up(REFUSED, answer.words)
        pause_s = self._trouble.failed(answer.verdict, answer.words, answer.delay_s)
        if answer.verdict is Verdict.UNWELCOME or self._trouble.failures % _REOPENED == 0:
            self._delivery.close()
        return pause_s

    def _stored(self, outgoing: Outgoing, answer: Answer) -> float:
        head, self._outgoing = outgoing.head, None
        fresh = head.seq >= self._first_seq
        if answer.number > head.seq:  # the spool was put back to what it once was, or is a copy
            self._say(
                f"{self._spool.folder}: the aggregator has had more than {head.seq} pushes: this is a new agent now"
            )
            self._spool.renew(is_stored=not fresh)
            self._first_seq = 1
            if fresh:  # what it has under this number is something else
                return 0.0
        else:
            self._spool.stored(outgoing.interval.unread)
        self._skipped = False
        self._delivered += len(outgoing.interval.events)
        self._known.add(outgoing.hashes)
        self._trouble.ended(self._delivery.address, self._spool.waiting)
        self._pace_to(answer.interval_s)
        return 0.0

    def _pace_to(self, wanted_s: float) -> None:
        """Push as often as the aggregator would like, but no more often than we were told to."""
        interval_s = max(self._own_interval_s, min(wanted_s, _LONGEST_INTERVAL_S))
        if interval_s != self._interval_s:
            self._interval_s = interval_s
            self._pace(interval_s)

    def _asked_for(self, outgoing: Outgoing, stacks: NDArray[np.uint64]) -> float:
        """Send it again, with the stacks that the aggregator lacks."""
        if outgoing.asks and not outgoing.rounds:  # it has all others
            self._known.add(np.setdiff1d(outgoing.hashes, stacks))
        self._known.forget(stacks)
        outgoing.rounds += 1
        if outgoing.rounds > 1 + outgoing.asks:  # whatever it forgot, it is to have all of them
            self._known.clear()
        self._encoded(outgoing)
        if outgoing.rounds <= _ROUNDS + outgoing.asks:
            return 0.0
        words = f"{self._delivery.address}: it asks for the same stacks again and again"
        return self._trouble.failed(Verdict.UNREACHABLE, words)

    def _renumbered(self, outgoing: Outgoing, answer: Answer) -> float:
        """Go on from the seq that is due."""
        if not self._skipped or answer.number != outgoing.head.seq - 1:
            self._say(f"{answer.words}, and not {outgoing.head.seq}: what came after was lost there; going on from it")
        self._spool.renumber(answer.number)
        self._first_seq = min(self._first_seq, answer.number)
        self._skipped = False
        return 0.0

    def _too_large(self, outgoing: Outgoing, words: str) -> float:
        """Push half of it at a time; what cannot be halved is lost."""
        if self._spool.halve(len(outgoing.interval.events)):
            return 0.0
        return self._given_up(REFUSED, words)

    def _given_up(self, cause: str, words: str) -> float:
        """What is being pushed never will be: go on with what comes after it."""
        head, self._outgoing, self._skipped = self._spool.head, None, True
        lost = self._spool.drop(cause)
        if cause == UNREADABLE:
            self._spool.degraded[DAMAGED] += 1
        self._say(f"{lost:,} events are lost with push {head.seq if head else 0}: {words}")
        return 0.0
