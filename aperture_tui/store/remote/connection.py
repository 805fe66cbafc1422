"""A connection to an aggregator: questions with a deadline, and what is known of how well it answers."""

from __future__ import annotations

import contextlib
import itertools
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc

from aperture_tui.store.remote.grpc_errors import in_words, is_of_the_way
from aperture_tui.store.remote.link import DEADLINE_S, SLOW_S, Link, LinkState, RemoteError, RemoteSettings
from aperture_tui.wire import fleet_pb2 as wire
from aperture_tui.wire.fleet_pb2_grpc import FleetStub

if TYPE_CHECKING:
    from google.protobuf.message import Message

MAX_REPLY: Final = 64 << 20
"""Bytes of an answer; of a longer one nothing is read."""
_LOOK_S: Final = 0.05
"""How often whoever waits is asked whether it still does."""
_MOST_UNANSWERED: Final = 2
"""After so many questions without an answer the connection is believed dead, whatever TCP thinks of it."""
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_REPLY),
    ("grpc.initial_reconnect_backoff_ms", 300),
    ("grpc.min_reconnect_backoff_ms", 5000),  # how long one attempt may take
    ("grpc.max_reconnect_backoff_ms", 5000),
    ("grpc.enable_http_proxy", 0),  # an aggregator is a machine of one's own network
)


class Connection:
    """The way to one aggregator. Its methods may be called from any thread.

    It is made when it is first used, and mends itself: each question tries again. clock: monotonic seconds.
    deadline_s: how long an answer is waited for.
    """

    def __init__(
        self,
        settings: RemoteSettings,
        clock: Callable[[], float] = time.monotonic,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self.settings = settings
        self._deadline_s = deadline_s
        self._clock = clock
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._stub: Any = None
        self._closed = False
        self._began = clock()
        self._numbers = itertools.count()
        self._asked: dict[int, float] = {}  # when what is waited for was asked
        self._unanswered = 0
        self._took_s = 0.0
        self._answered = False
        self._lost: tuple[float, str] | None = None  # since when, and why

    def ask(self, name: str, request: Message, watch: Callable[[float], None]) -> Any:
        """The reply of the RPC of this name. Raises RemoteError.

        watch: called while it is waited for; what it raises ends the waiting, and the question.
        """
        with self._asking():
            try:
                call = getattr(self._fleet(), name).future(request, timeout=self._deadline_s, metadata=self._metadata())
                reply = _awaited(call, watch)
            except grpc.RpcError as error:
                raise self._failed(error) from error
            except (grpc.FutureCancelledError, ValueError) as error:  # it was closed, or given up, meanwhile
                raise RemoteError(f"{self.settings.address}: the connection was closed") from error
        self._succeeded()
        return reply

    def updates(
        self, request: wire.WatchRequest, begun: Callable[[grpc.Call], None] = lambda _: None, once: bool = False
    ) -> Iterator[wire.Update]:
        """What is told of the machines that are watched, until it ends. Raises RemoteError.

        begun: given the call, which whoever has enough of it cancels; it then ends without an error. once: the first
        word alone, which is told at once.
        """
        try:
            call = self._fleet().Watch(request, metadata=self._metadata(), timeout=self._deadline_s if once else None)
            begun(call)
            for update in call:
                self._succeeded()
                yield update
                if once:
                    call.cancel()
                    return
        except grpc.RpcError as error:
            if getattr(error, "code", lambda: None)() is not grpc.StatusCode.CANCELLED:
                raise self._failed(error) from error
        except ValueError as error:
            raise RemoteError(f"{self.settings.address}: the connection was closed") from error

    def link(self) -> Link:
        """How well it answers."""
        now = self._clock()
        with self._lock:
            if self._lost is not None:
                return Link(LinkState.LOST, now - self._lost[0], self._lost[1])
            if not self._answered:
                return Link(LinkState.CONNECTING, now - self._began)
            took = max(self._took_s, now - min(self._asked.values(), default=now))
        return Link(LinkState.SLOW, took) if took > SLOW_S else Link(LinkState.CONNECTED)

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be asked any more."""
        with self._lock:
            return self._closed

    def close(self) -> None:
        """End all that is going on."""
        with self._lock:
            channel, self._channel, self._closed = self._channel, None, True
        if channel is not None:
            channel.close()

    # -- for itself

    def _fleet(self) -> Any:
        """The stub of the present channel. Raises ValueError once it is closed."""
        with self._lock:
            if self._closed:
                raise ValueError("closed")
            if self._channel is None:
                self._channel = channel(self.settings, _OPTIONS)
                self._stub = FleetStub(self._channel)
            return self._stub

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        token = self.settings.token
        return (("authorization", f"Bearer {token}"),) if token else ()

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """While a question is open: one that takes long is told of before its answer is there."""
        number, asked = next(self._numbers), self._clock()
        with self._lock:
            self._asked[number] = asked
        try:
            yield
            self._took_s = self._clock() - asked
        finally:
            with self._lock:
                del self._asked[number]

    def _succeeded(self) -> None:
        with self._lock:
            self._answered, self._lost, self._unanswered = True, None, 0

    def _failed(self, error: grpc.RpcError) -> RemoteError:
        """What to raise of it; whether the way is lost is noted. What an aggregator refuses, it has answered."""
        words = in_words(error, self.settings, self._deadline_s)
        if not is_of_the_way(error):
            self._succeeded()
            return RemoteError(words)
        dead: grpc.Channel | None = None
        with self._lock:
            since = self._lost[0] if self._lost is not None else self._clock()
            self._lost = since, words.removeprefix(f"{self.settings.address}: ")
            self._unanswered += 1
            if self._unanswered >= _MOST_UNANSWERED and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                dead, self._channel, self._unanswered = self._channel, None, 0
        if dead is not None:
            dead.close()
        return RemoteError(words)


def _awaited(call: grpc.Future[Any], watch: Callable[[float], None]) -> Any:
    """The result of a call, unless whoever waits has enough of it."""
    done = threading.Event()
    call.add_done_callback(lambda _: done.set())
    try:
        while not done.wait(_LOOK_S):
            watch(0.0)
    except BaseException:
        call.cancel()
        raise
    return call.result()


def channel(settings: RemoteSettings, options: Sequence[tuple[str, int]]) -> grpc.Channel:
    """A channel that is connected when it is first used. options: gRPC's own."""
    if not settings.tls:
        return grpc.insecure_channel(settings.address, options)
    authority = settings.authority or _trusted()
    credentials = grpc.ssl_channel_credentials(authority, settings.key, settings.certificate)
    return grpc.secure_channel(settings.address, credentials, options)


def _trusted() -> bytes | None:
    """The authorities that the system trusts; None for those that gRPC brings along."""
    file = ssl.get_default_verify_paths().cafile
    try:
        return Path(file).read_bytes() if file else None
    except OSError:
        return None
