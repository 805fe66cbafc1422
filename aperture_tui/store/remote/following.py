"""Listening for news: what an aggregator tells of the machines that are looked at, as soon as it has stored it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from aperture_tui.store.remote.link import Focus, RemoteError
from aperture_tui.wire import fleet_pb2 as wire

if TYPE_CHECKING:
    import grpc

    from aperture_tui.store.remote.connection import Connection

_BACKOFF_S: Final = (0.5, 5.0)
"""How long to wait before the stream is begun again: at first, and at most."""
_MOST_NS: Final = (1 << 63) - 1


class Following:
    """A thread that listens. All methods belong to any thread; clock: monotonic seconds.

    news: grows with everything that is told. hosts: how many machines are looked at, 0 while that is not known.
    """

    def __init__(self, connection: Connection, focus: Focus, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._clock = clock
        self._lock = threading.Condition()
        self._focus = focus
        self._call: grpc.Call | None = None
        self._stopping = False
        self._clocks: tuple[int, float] | None = None  # the aggregator's clock, and ours then
        self._news_at: float | None = None
        self._end_ns = 0
        self.news = 0
        self.hosts = 0
        self._thread = threading.Thread(target=self._run, name="following", daemon=True)
        self._thread.start()

    @property
    def focus(self) -> Focus:
        """The machines that are listened for."""
        with self._lock:
            return self._focus

    def look_at(self, focus: Focus) -> None:
        """Listen for news of these machines from now on."""
        with self._lock:
            if focus == self._focus:
                return
            self._focus, self._news_at, self.hosts = focus, None, 0
            self.news += 1
            self._end_call()

    def stop(self) -> None:
        """End."""
        with self._lock:
            self._stopping = True
            self._end_call()
        self._thread.join(2.0)

    def now_ns(self) -> int:
        """The aggregator's clock, Unix nanoseconds; 0 while it is not known."""
        with self._lock:
            if self._clocks is None:
                return 0
            told_ns, at = self._clocks
        return told_ns + round((self._clock() - at) * 1e9)

    def silent_s(self) -> float | None:
        """How long nothing was told of anything new; None while nothing was told at all."""
        with self._lock:
            return None if self._news_at is None else max(0.0, self._clock() - self._news_at)

    # -- the thread

    def _run(self) -> None:
        wait = _BACKOFF_S[0]
        while (focus := self._next()) is not None:
            told = self.news
            try:
                request = wire.WatchRequest(hosts=focus.hosts, service=focus.service)
                updates = self._connection.updates(request, partial(self._begun, focus))
                for n, update in enumerate(updates):
                    self._heard(focus, update, first=not n)
            except RemoteError:
                pass  # the connection has noted it, and says it
            wait = _BACKOFF_S[0] if self.news != told else min(_BACKOFF_S[1], 2 * wait)
            with self._lock:
                if not self._stopping and self._focus == focus:
                    self._lock.wait(wait)

    def _next(self) -> Focus | None:
        """None at the end: also of a connection that was closed before anybody listened to it."""
        with self._lock:
            return None if self._stopping or self._connection.is_closed else self._focus

    def _begun(self, focus: Focus, call: grpc.Call) -> None:
        with self._lock:
            self._call = call
            if self._stopping or focus != self._focus:
                call.cancel()

    def _end_call(self) -> None:
        if self._call is not None:
            self._call.cancel()
        self._lock.notify_all()

    def _heard(self, focus: Focus, update: wire.Update, first: bool) -> None:
        """The first of a stream is told at once, and says how old the newest is; all others that there is more."""
        now = self._clock()
        with self._lock:
            if focus != self._focus:
                return
            self._clocks = min(update.now_ns, _MOST_NS), now
            if not first or self._news_at is None or update.end_ns > self._end_ns:
                behind_ns = max(0, update.now_ns - update.end_ns) if first and update.end_ns else 0
                self._news_at = now - behind_ns / 1e9
            self._end_ns, self.hosts = update.end_ns, update.hosts
            self.news += 1
