"""An aggregator of the tests: it takes pushes by the rules, keeps them in memory, and can be told to fail."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any, NoReturn

import grpc
import numpy as np
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from aperture_tui.store.push import Push, PushLimits, decoded
from aperture_tui.wire.fleet_pb2 import PushReply, PushRequest
from aperture_tui.wire.fleet_pb2_grpc import IngestServicer, add_IngestServicer_to_server

Refusal = Callable[["Taker", PushRequest, grpc.ServicerContext], PushReply | None]
"""What to do with a push instead of taking it; None is to take it after all."""


class Taker(IngestServicer):
    """The servicer. pushes: what was stored, in order. tried: each (seq, body) that came. plan: for the next pushes."""

    def __init__(self) -> None:
        self.pushes: list[Push] = []
        self.tried: list[tuple[int, bytes]] = []
        self.metadata: list[dict[str, str]] = []
        self.stored: dict[tuple[str, bytes], int] = {}
        self.stacks: set[int] = {0}
        self.plan: deque[Refusal] = deque()
        self.always: Refusal | None = None
        self.interval_ms = 0
        self._lock = threading.Lock()

    def Push(self, request: PushRequest, context: grpc.ServicerContext) -> PushReply:  # noqa: N802 - gRPC's name
        with self._lock:
            self.tried.append((request.seq, request.body))
            self.metadata.append(dict(context.invocation_metadata()))
            refusal = self.plan.popleft() if self.plan else self.always
            reply = refusal(self, request, context) if refusal is not None else None
            return self.take(request, context) if reply is None else reply

    def take(self, request: PushRequest, context: grpc.ServicerContext) -> PushReply:
        """By the rules."""
        push = decoded(request, PushLimits(stored_bytes=64 << 20, events=1 << 30, rows=1 << 30, plain_bytes=1 << 30))
        key = push.head.agent, push.head.boot
        last = self.stored.get(key)
        if last is not None and push.head.seq <= last:
            return PushReply(stored=last)
        if last is not None and push.head.seq > last + 1:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"push {last + 1} is due")
        missing = [h for h, node in zip(push.hashes.tolist(), push.nodes.tolist(), strict=True) if not node]
        missing = [h for h in missing if h not in self.stacks]
        if missing:
            return PushReply(stored=last or 0, need_stacks=np.array(missing, "<u8").tobytes())
        self.stacks.update(push.hashes.tolist())
        self.stored[key] = push.head.seq
        self.pushes.append(push)
        return PushReply(stored=push.head.seq, interval_ms=self.interval_ms)

    def values(self) -> list[int]:
        """The `value` of every event that is stored, as often as it is."""
        return sorted(
            value
            for push in self.pushes
            for value, weight in zip(push.events["value"].tolist(), push.events["weight"].tolist(), strict=True)
            for _ in range(weight)
        )

    def until(self, done: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait for it."""
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, f"it did not happen; stored were {len(self.pushes)} pushes"
            time.sleep(0.01)


def refusing(code: grpc.StatusCode, words: str, *trailers: tuple[str, str | bytes]) -> Refusal:
    """A status, and what comes with it."""

    def refuse(taker: Taker, request: PushRequest, context: grpc.ServicerContext) -> NoReturn:
        context.set_trailing_metadata(trailers)
        context.abort(code, words)

    return refuse


def sparing(seconds: float) -> Refusal:
    """UNAVAILABLE, and when to come again, as google.rpc has it."""
    info = RetryInfo(retry_delay=Duration(nanos=round(seconds * 1e9)))
    detail = AnyMessage()
    detail.Pack(info)
    status = Status(code=grpc.StatusCode.UNAVAILABLE.value[0], message="busy", details=[detail])
    return refusing(grpc.StatusCode.UNAVAILABLE, "busy", ("grpc-status-details-bin", status.SerializeToString()))


def forgetful(taker: Taker, request: PushRequest, context: grpc.ServicerContext) -> NoReturn:
    """It is stored, but the answer is lost."""
    taker.take(request, context)
    context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")


class Serving:
    """A server with a taker, on a port of the kernel's choice."""

    def __init__(self, taker: Taker, port: int = 0, credentials: Any = None, options: Sequence[Any] = ()) -> None:
        self.taker = taker
        self._server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0), *options])
        add_IngestServicer_to_server(taker, self._server)
        where = f"127.0.0.1:{port}"
        add = self._server.add_insecure_port
        self.port = add(where) if credentials is None else self._server.add_secure_port(where, credentials)
        self.address = f"127.0.0.1:{self.port}"
        self._server.start()

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """At once."""
        self._server.stop(0).wait()
