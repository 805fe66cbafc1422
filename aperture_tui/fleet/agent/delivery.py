"""One push to the aggregator, and what its answer means: the only place of the agent that speaks gRPC."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import grpc
import numpy as np
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from numpy.typing import NDArray

from aperture_tui.profile.text import clean
from aperture_tui.store.remote.connection import channel
from aperture_tui.store.remote.grpc_errors import in_words
from aperture_tui.wire.fleet_pb2_grpc import IngestStub

if TYPE_CHECKING:
    from aperture_tui.store.remote.link import RemoteSettings
    from aperture_tui.wire.fleet_pb2 import PushReply, PushRequest

DEADLINE_S: Final = 30.0
_LONGEST: Final = 200  # characters of the aggregator's own words
_MOST_DELAY_S: Final = 300.0
_DUE: Final = re.compile(r"\bpush (\d{1,19}) is due\b")
_OPTIONS: Final = (
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 2000),  # how long to wait is decided here, not twice
    ("grpc.enable_retries", 0),
    ("grpc.keepalive_time_ms", 20_000),  # while a push waits: a connection that is gone is noticed
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_send_message_length", -1),  # what is too large the aggregator says
)


class Verdict(enum.Enum):
    """What became of a push."""

    STORED = "stored"
    NEEDS_STACKS = "needs stacks"
    LATER = "later"
    """The aggregator asks to be spared for a while."""
    UNREACHABLE = "unreachable"
    """Nobody knows whether it arrived."""
    UNWELCOME = "unwelcome"
    """The token, or what it may do."""
    NOT_DUE = "not due"
    TOO_LARGE = "too large"
    NEVER = "never"
    """It will not be taken as it is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the aggregator said.

    words: why, in one clear line. delay_s: after how long it may be tried again, 0 if that is not said. number: of
    STORED the highest seq that is, of NOT_DUE the one that is due, or 0. stacks: what NEEDS_STACKS is about.
    interval_s: how often the aggregator would like to be pushed to, 0 for no wish.
    """

    verdict: Verdict
    words: str = ""
    delay_s: float = 0.0
    number: int = 0
    stacks: NDArray[np.uint64] | None = None
    interval_s: float = 0.0


class AccessError(RuntimeError):
    """One clear line: why a token or a certificate cannot be had."""


class Delivery:
    """The way to one aggregator. Belongs to one thread, but for `cancel`.

    settings: asked before each push, so that a new token or certificate needs no restart; raises AccessError.
    """

    def __init__(self, address: str, settings: Callable[[], RemoteSettings]) -> None:
        self.address = clean(address)
        self._settings = settings
        self._opened: RemoteSettings | None = None
        self._channel: grpc.Channel | None = None
        self._stub: Any = None
        self._call: grpc.Future[PushReply] | None = None

    def push(self, request: PushRequest, deadline_s: float = DEADLINE_S) -> Answer:
        """Send it, and wait for the answer."""
        try:
            settings = self._settings()
        except AccessError as error:
            return Answer(Verdict.UNWELCOME, str(error))
        self._open(settings)
        metadata = (("authorization", f"Bearer {settings.token}"),) if settings.token else ()
        try:
            self._call = self._stub.Push.future(request, timeout=deadline_s, metadata=metadata)
            return _answered(self._call.result(), request.seq, self.address)
        except grpc.RpcError as error:
            return _refused(error, settings)
        except grpc.FutureCancelledError:
            return Answer(Verdict.UNREACHABLE, f"{self.address}: given up")
        finally:
            self._call = None

    def cancel(self) -> None:
        """Give up the push that is under way, if there is one; any thread."""
        call = self._call
        if call is not None:
            call.cancel()

    def close(self) -> None:
        """End the connection. The next push begins a new one."""
        channel, self._channel, self._stub = self._channel, None, None
        if channel is not None:
            channel.close()

    def _open(self, settings: RemoteSettings) -> None:
        """Have a connection by these."""
        but_for_token = replace(settings, token="")
        if self._channel is not None and but_for_token != self._opened:
            self.close()
        if self._channel is None:
            self._opened = but_for_token
            self._channel = channel(settings, _OPTIONS)
            self._stub = IngestStub(self._channel)


def _answered(reply: PushReply, seq: int, address: str) -> Answer:
    if reply.need_stacks:
        if len(reply.need_stacks) % 8:
            return Answer(Verdict.LATER, f"{address}: an answer that is none")
        return Answer(Verdict.NEEDS_STACKS, stacks=np.frombuffer(reply.need_stacks, "<u8"))
    if reply.stored < seq:
        return Answer(Verdict.LATER, f"{address}: it answers, but has not stored push {seq}")
    return Answer(Verdict.STORED, number=reply.stored, interval_s=reply.interval_ms / 1000)


def _refused(error: grpc.RpcError, settings: RemoteSettings) -> Answer:
    """What a status means."""
    assert isinstance(error, grpc.Call)  # noqa: S101 - what a call raises is both
    code, own = error.code(), clean(" ".join((error.details() or "").split()))[:_LONGEST]
    address, delay_s = clean(settings.address), _delay_s(error)
    match code:
        case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
            return Answer(Verdict.UNWELCOME, in_words(error, settings))
        case grpc.StatusCode.UNIMPLEMENTED:
            return Answer(
                Verdict.UNWELCOME, f"{address}: it takes no pushes: it is no aggregator, or of another version"
            )
        case grpc.StatusCode.FAILED_PRECONDITION:
            due = _DUE.search(own)
            return Answer(Verdict.NOT_DUE, f"{address}: {own}", number=int(due[1]) if due else 0)
        case grpc.StatusCode.RESOURCE_EXHAUSTED if not delay_s:
            return Answer(Verdict.TOO_LARGE, f"{address}: {own}")
        case grpc.StatusCode.INVALID_ARGUMENT:
            return Answer(Verdict.NEVER, f"{address}: {own}")
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return Answer(Verdict.UNREACHABLE, f"{address}: no answer")
    words = in_words(error, settings)
    return Answer(Verdict.LATER if delay_s else Verdict.UNREACHABLE, words, delay_s)


def _delay_s(error: grpc.Call) -> float:
    """After how long it may be tried again, as the aggregator says; 0 if it does not."""
    trailers = dict(error.trailing_metadata() or ())
    delays = [0.0]
    plain = trailers.get("retry-after-ms", "")
    if isinstance(plain, str) and re.fullmatch(r"\d{1,9}", plain, re.ASCII):
        delays.append(int(plain) / 1000)
    details = trailers.get("grpc-status-details-bin", b"")
    try:
        for detail in Status.FromString(details if isinstance(details, bytes) else b"").details:
            info = RetryInfo()
            if detail.Unpack(info):
                delays.append(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
    except DecodeError:  # then it says nothing
        pass
    return min(max(delays), _MOST_DELAY_S)
