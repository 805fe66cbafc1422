"""Simulated agents: each pushes as the real one does (aperture_tui/fleet/agent/pusher.py), but out of nothing."""

from __future__ import annotations

import asyncio
import math
import random
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import grpc
import numpy as np
import zstandard
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from numpy.typing import NDArray

from aperture_tui.fleet.agent.known_stacks import KnownStacks
from aperture_tui.profile.batch import Batch
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts
from aperture_tui.profile.packed import columns, words
from aperture_tui.profile.symbols import PROCESS
from aperture_tui.store.push import PushHead, encoded
from aperture_tui.wire.fleet_pb2 import Body, PushReply, PushRequest
from bench.fleet.made_up import SECOND_NS, Service

DEADLINE_S: Final = 30.0
MOST_BACKLOG: Final = 60
"""Intervals that an agent keeps while it cannot push; older ones are lost."""
_FIRST_DELAY_S, _LAST_DELAY_S = 1.0, 60.0
_VERSION: Final = "simulated"
_LEVEL: Final = 3
_READING: Final = (
    '{"time_ns": %d, "cpu_user": %.3f, "cpu_system": 0.06, "memory_used_bytes": 9663676416, '
    '"memory_total_bytes": 17179869184, "load": [3.0, 2.8, 2.7], "own_cpu": 0.003, "own_memory_bytes": 125829120}'
)
"""One of a machine: made by hand, as a thousand of them a second are."""


@dataclass(slots=True)
class Counts:
    """What became of all pushes. took_s: from the first try to the acknowledgement. refused: by status."""

    acknowledged: int = 0
    rows: int = 0
    bytes: int = 0
    tries: int = 0
    asked_for: int = 0
    lost: int = 0
    given_up: int = 0
    took_s: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    """All but the last begin anew when the measuring does."""
    by_agent: Counter[str] = field(default_factory=Counter)

    def begin(self) -> None:
        """What was before does not count."""
        fresh = Counts(by_agent=self.by_agent)
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))


class _Template(NamedTuple):
    """A push of which only times and the process have to be filled in. payload: symbols, the process last."""

    events: NDArray[np.void]
    body: Body
    payload: bytes


class Pushes:
    """What the agents of one service push. All of them share what the aggregator knows of its stacks.

    Most pushes are a template filled in, so that simulating costs little; what has stacks that have to be sent is made
    as the real agent makes it.
    """

    def __init__(self, service: Service, shapes: int, rows: int, interval_s: float, churn: float) -> None:
        self.service = service
        self.rows = rows
        self._interval_ns = round(interval_s * SECOND_NS)
        self._shapes = [service.shape(rows) for _ in range(shapes)]
        self._templates: dict[int, _Template] = {}
        self._churn = churn
        self._random = random.Random(service.name)
        self._packer = zstandard.ZstdCompressor(_LEVEL)
        self.known = KnownStacks(2_000_000)

    def draw(self) -> tuple[int, int]:
        """What is in a push: which shape, and a stack that is new, or 0."""
        new = self.service.another() if self._random.random() < self._churn else 0
        return self._random.randrange(len(self._shapes)), new

    def body(self, agent: Agent, drawn: tuple[int, int], end_ns: int) -> tuple[bytes, NDArray[np.uint64] | None]:
        """The body of a push, and the hashes of its stacks if some were sent."""
        shape, new = drawn
        nodes = self._shapes[shape]["stack"]
        if new or not self.known(self.service.hashes.of(nodes)).all():
            return self._whole(agent, drawn, end_ns)
        template = self._templates.get(shape) or self._template(shape)
        events = template.events.copy()
        self._fill(events, self._shapes[shape], agent, end_ns)
        processes = np.frombuffer(template.payload, PROCESS, offset=len(template.payload) - PROCESS.itemsize).copy()
        processes["pid"], processes["start_ns"] = agent.pid, agent.born_ns
        body = Body()
        body.CopyFrom(template.body)
        body.symbols[0] = template.payload[: -PROCESS.itemsize] + processes.tobytes()
        body.columns = columns.packed(events)
        body.hosts, body.gauges, body.health = agent.told(end_ns)
        return self._packer.compress(body.SerializeToString()), None

    def _whole(self, agent: Agent, drawn: tuple[int, int], end_ns: int) -> tuple[bytes, NDArray[np.uint64]]:
        shape, new = drawn
        events = self._shapes[shape].copy()
        events["process"], _ = self.service.process(agent.number, agent.born_ns)
        self._fill(events, self._shapes[shape], agent, end_ns)
        if new:
            events["stack"][0] = new
        batch = Batch(self.service.symbols, events)
        told = agent.facts, words.gauges(agent.gauges(end_ns)) or [], agent.health
        request, hashes = encoded(agent.head(1), batch, self.known, *told, of=self.service.hashes)
        return request.body, hashes

    def _fill(self, events: NDArray[np.void], shape: NDArray[np.void], agent: Agent, end_ns: int) -> None:
        begin = np.uint64(end_ns - self._interval_ns)
        events["time_ns"] = begin + (shape["time_ns"] * np.uint64(self._interval_ns) >> np.uint64(32))
        events["pid"] = agent.pid
        events["tid"] = np.where(shape["tid"] > 0, agent.pid + shape["tid"], 0)

    def _template(self, shape: int) -> _Template:
        """Of a shape whose stacks are all known."""
        events = self._shapes[shape].copy()
        events["process"], _ = self.service.process(0, 1)
        everything: Any = lambda hashes: np.ones(len(hashes), bool)  # noqa: E731
        request, _ = encoded(_HEAD, Batch(self.service.symbols, events), everything, of=self.service.hashes)
        body = Body.FromString(zstandard.ZstdDecompressor().decompress(request.body))
        (payload,) = body.symbols
        template = _Template(columns.unpacked(body.columns, body.events, events.dtype), body, payload)
        self._templates[shape] = template
        return template


_HEAD: Final = PushHead("x", bytes(16), 1)


class Agent:
    """One simulated agent."""

    def __init__(self, number: int, pushes: Pushes, interval_s: float, counts: Counts, began_ns: int) -> None:
        self.number = number
        self.name = f"{pushes.service.name}-{number:04d}"
        self.born_ns = began_ns - (3600 + number) * SECOND_NS
        _, self.pid = pushes.service.process(number, self.born_ns)
        self.facts = [HostFacts(self.name, "6.12.30-cloud-amd64", 8, 16 << 30, f"boot-{number}")]
        self.health = [Health("cpu", State.RUNNING), Health("push", State.RUNNING)]
        self._pushes = pushes
        self._interval_s = interval_s
        self._counts = counts
        self._boot = secrets.token_bytes(16)
        self._seq = 1
        self._lost = 0
        self._phase = random.random() * interval_s
        self._hosts, self._health = words.from_hosts(self.facts), words.from_health(self.health)

    def head(self, seq: int) -> PushHead:
        """Of one of its pushes."""
        interval_ms = round(1000 * self._interval_s)
        return PushHead(self.name, self._boot, seq, self._pushes.service.name, _VERSION, self._lost, interval_ms)

    def gauges(self, end_ns: int) -> bytes:
        """A reading a second, as a push has them, of a machine that has its tides."""
        n = max(1, round(self._interval_s))
        tide = 0.35 + 0.25 * math.sin(end_ns / 3e11 + self.number)
        each = (_READING % (end_ns - (n - 1 - i) * SECOND_NS - 1, tide + i % 3 / 50) for i in range(n))
        return f"[{', '.join(each)}]".encode()

    def told(self, end_ns: int) -> tuple[bytes, bytes, bytes]:
        """Beside its events."""
        return self._hosts, self.gauges(end_ns), self._health

    async def run(self, push: Any, metadata: Any, begin: float, until: float) -> None:
        """Push each interval. begin, until: monotonic seconds. What is under way when it is cancelled is given up."""
        for interval in range(1 << 62):
            ends_at = begin + self._phase + interval * self._interval_s
            if ends_at > until:
                return
            now = time.monotonic()
            if now - ends_at > MOST_BACKLOG * self._interval_s:
                self._lost += 1
                self._counts.lost += 1
                continue
            if ends_at > now:
                await asyncio.sleep(ends_at - now)
            end_ns = time.time_ns() - round((time.monotonic() - ends_at) * 1e9)
            await self._stored(push, metadata, end_ns)

    async def _stored(self, push: Any, metadata: Any, end_ns: int) -> None:
        """One push, tried until it is stored or will never be."""
        counts, began, failures = self._counts, time.monotonic(), 0
        drawn = self._pushes.draw()
        body, hashes = self._pushes.body(self, drawn, end_ns)
        while True:
            head = self.head(self._seq)
            request = PushRequest(
                agent=head.agent, boot=head.boot, seq=head.seq, service=head.service, version=head.version,
                lost=head.lost, interval_ms=head.interval_ms, body=body,
            )  # fmt: skip
            counts.tries += 1
            try:
                reply: PushReply = await push(request, timeout=DEADLINE_S, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                failures += 1
                delay_s = self._refused(error, failures)
                if delay_s is None:
                    return
                await asyncio.sleep(delay_s)
                continue
            if reply.need_stacks:
                counts.asked_for += 1
                self._pushes.known.forget(np.frombuffer(reply.need_stacks, "<u8"))
                body, hashes = self._pushes.body(self, drawn, end_ns)
                continue
            if hashes is not None:
                self._pushes.known.add(hashes)
            self._seq += 1
            counts.acknowledged += 1
            counts.bytes += len(body)
            counts.took_s.append(time.monotonic() - began)
            rows = self._pushes.rows
            counts.rows += rows
            counts.by_agent[self.name] += rows
            return

    def _refused(self, error: grpc.aio.AioRpcError, failures: int) -> float | None:
        """After how many seconds to try again; None if it will never be taken."""
        code, details = error.code(), error.details() or ""
        self._counts.refused[code.name.lower()] += 1
        wanted_s = retry_s(error)
        if code is grpc.StatusCode.FAILED_PRECONDITION and details.startswith("push "):
            self._seq = int(details.split()[1])
            return 0.0
        never = code is grpc.StatusCode.INVALID_ARGUMENT
        if never or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and not wanted_s):
            self._lost += 1
            self._counts.lost += 1
            return None
        backoff_s = min(_LAST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(failures - 1, 10)) * random.uniform(0.5, 1.0)
        return wanted_s * random.uniform(1.0, 1.25) if wanted_s else backoff_s


def retry_s(error: grpc.aio.AioRpcError) -> float:
    """What the aggregator asks for; 0 if nothing."""
    trailers = dict(error.trailing_metadata() or ())
    if "retry-after-ms" in trailers:
        return int(trailers["retry-after-ms"]) / 1000
    details = trailers.get("grpc-status-details-bin", b"")
    try:
        status = Status.FromString(details if isinstance(details, bytes) else b"")
    except DecodeError:
        return 0.0
    info = RetryInfo()
    found = any(detail.Unpack(info) for detail in status.details)
    return info.retry_delay.seconds + info.retry_delay.nanos / 1e9 if found else 0.0
