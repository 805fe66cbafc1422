"""Refusing: one clear status and line for the caller, and one line of log that strangers cannot make a flood of."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from aperture_tui.profile.text import clean

if TYPE_CHECKING:
    from typing import NoReturn

    from grpc.aio import ServicerContext

LOG: Final = logging.getLogger("aperture.fleet")

_MAX_WORDS: Final = 500
_PEERS: Final = 4096
_OF_PEER_S: Final = 60.0
_WINDOW_S: Final = 10.0
_IN_WINDOW: Final = 10


class Refused(Exception):  # noqa: N818 - it is no error of ours
    """Why something is not done. words: one clear line. delay_s: try again after that; 0 for no use in trying."""

    def __init__(self, code: grpc.StatusCode, words: str, delay_s: float = 0.0) -> None:
        super().__init__(words)
        self.code = code
        self.words = clean(words)[:_MAX_WORDS]
        self.delay_s = delay_s

    @property
    def trailers(self) -> tuple[tuple[str, str | bytes], ...]:
        """When to try again, as google.rpc.RetryInfo and in plain milliseconds; nothing if there is no use in it."""
        if not self.delay_s:
            return ()
        milliseconds = round(1000 * self.delay_s)
        delay = Duration()
        delay.FromMilliseconds(milliseconds)
        detail = Any()
        detail.Pack(RetryInfo(retry_delay=delay))
        status = Status(code=self.code.value[0], message=self.words, details=[detail])
        return ("grpc-status-details-bin", status.SerializeToString()), ("retry-after-ms", str(milliseconds))


def later(words: str, delay_s: float) -> Refused:
    """Not now: UNAVAILABLE. The delay is spread by a half either way, so that not all come back at once."""
    return Refused(grpc.StatusCode.UNAVAILABLE, words, delay_s * random.uniform(0.5, 1.5))  # noqa: S311


async def refuse(context: ServicerContext[object, object], refused: Refused) -> NoReturn:
    """End a call with this status."""
    await context.abort(refused.code, refused.words, refused.trailers)


class RefusalLog:
    """One line for each peer and kind of refusal a minute, and few of a kind altogether; the rest is counted.

    Belongs to the event loop's thread.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[tuple[str, str], float] = {}  # oldest first
        self._windows: dict[str, _Window] = {}

    def note(self, peer: str, kind: str, words: str) -> None:
        """Say it, or count it. peer: as gRPC has it, `ipv4:10.0.0.7:39274`. kind: one of a few."""
        now = self._clock()
        window = self._windows.setdefault(kind, _Window())
        host = _host(peer)
        if now - self._told.get((host, kind), -_OF_PEER_S) < _OF_PEER_S or not window.has_room(now):
            window.untold += 1
            return
        self._told.pop((host, kind), None)
        self._told[host, kind] = now
        if len(self._told) > _PEERS:
            del self._told[next(iter(self._told))]
        more = f" ({window.untold:,} more since the last such line)" if window.untold else ""
        window.untold = 0
        LOG.warning("%s: %s: %s%s", host, kind, words, more)


class _Window:
    """Lines of one kind in the last seconds, and what was not told."""

    def __init__(self) -> None:
        self.untold = 0
        self._began = float("-inf")
        self._lines = 0

    def has_room(self, now: float) -> bool:
        """Whether one more line may be written; then it is counted."""
        if now - self._began >= _WINDOW_S:
            self._began, self._lines = now, 0
        self._lines += 1
        return self._lines <= _IN_WINDOW


def _host(peer: str) -> str:
    """A peer without its port: that changes with every connection."""
    return clean(peer.rpartition(":")[0] if peer.startswith("ip") else peer)[:100] or "?"
