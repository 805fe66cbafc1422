"""Simulated agents against an aggregator: `python -m bench.fleet.load --remote HOST:PORT --agents 1000 --duration 60`.

They push what made-up services do, each at its own moment of the interval, and try again as the real agent does. At the
end it says what was acknowledged, refused and lost, and how long that took; with --pid also what the
aggregator took for it, with --verify whether just what was acknowledged is stored. --duration 0 goes on until ctrl+c.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import psutil

from aperture_tui.wire.fleet_pb2 import HostsRequest
from aperture_tui.wire.fleet_pb2_grpc import FleetStub, IngestStub
from bench.fleet.made_up import SERVICES, Service
from bench.fleet.simulated import Agent, Counts, Pushes

_SHAPES: Final = 16
"""Different pushes of a service."""
_CHURN: Final = 0.05
"""Part of the pushes that have a stack nobody has seen."""
_GRACE_S: Final = 30.0
_TELL_S: Final = 10.0
_OPTIONS: Final = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))


@dataclass(slots=True)
class Aggregator:
    """What the process of the aggregator takes. All of it is nothing where that is not known."""

    process: psutil.Process | None = None
    resident: list[int] = field(default_factory=list)
    _cpu_s: float = 0.0
    _at: float = 0.0

    def begin(self) -> None:
        """Count from here on."""
        if self.process is not None:
            times = self.process.cpu_times()
            self._cpu_s, self._at = times.user + times.system, time.monotonic()

    def look(self) -> None:
        """Now and then."""
        if self.process is not None:
            self.resident.append(self.process.memory_info().rss)

    def figures(self) -> dict[str, float]:
        """CPU as a share of one core, memory in MB."""
        if self.process is None:
            return {}
        self.look()
        times = self.process.cpu_times()
        share = (times.user + times.system - self._cpu_s) / (time.monotonic() - self._at)
        return {
            "aggregator_cpu": round(share, 4),
            "aggregator_mb": round(self.resident[-1] / 1e6, 1),
            "aggregator_most_mb": round(max(self.resident) / 1e6, 1),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 1 if something was lost, refused for good, or is stored otherwise than it was acknowledged."""
    chosen = _parser().parse_args(arguments)
    _many_descriptors()
    try:
        report = asyncio.run(_run(chosen))
    except TimeoutError:
        _say(f"{chosen.remote} cannot be reached")
        return 1
    print(json.dumps(report) if chosen.json else _in_words(report))
    return int(bool(report["lost"] or report["given_up"] or report.get("stored_otherwise")))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "bench.fleet.load", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--remote", required=True, metavar="HOST:PORT")
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=10.0, metavar="S")
    parser.add_argument("--duration", type=float, default=60.0, metavar="S", help="0: until ctrl+c")
    parser.add_argument("--warm-up", type=float, default=0.0, metavar="S", help="before that; does not count")
    parser.add_argument("--services", type=int, default=0, help="a fifth of the agents, at most 50")
    parser.add_argument("--stacks", type=int, default=4000, help="of a service")
    parser.add_argument("--rows", type=int, default=200, help="of a push")
    parser.add_argument("--churn", type=float, default=_CHURN, help=f"part of the pushes with a new stack ({_CHURN})")
    parser.add_argument("--per-channel", type=int, default=50, help="agents that share a connection (50)")
    parser.add_argument("--token-file", type=Path)
    parser.add_argument("--tls-ca", type=Path)
    parser.add_argument("--pid", type=int, help="of the aggregator")
    parser.add_argument(
        "--verify", action="store_true", help="compare with what is stored; needs a token that may read"
    )
    parser.add_argument("--first", type=int, default=0, help="number of the first agent, beside another generator")
    parser.add_argument("--json", action="store_true")
    return parser


async def _run(chosen: argparse.Namespace) -> dict[str, Any]:
    counts, aggregator = Counts(), Aggregator(psutil.Process(chosen.pid) if chosen.pid else None)
    agents = _agents(chosen, counts)
    channels = [_channel(chosen) for _ in range(-(-len(agents) // chosen.per_channel))]
    metadata = _metadata(chosen)
    async with asyncio.timeout(_GRACE_S):
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
    before = await _stored(chosen, metadata) if chosen.verify else {}
    stubs = [IngestStub(channel) for channel in channels]
    began = time.monotonic()
    until = began + chosen.warm_up + chosen.duration if chosen.duration else float("inf")
    tasks = [
        asyncio.create_task(agent.run(stubs[i // chosen.per_channel].Push, metadata, began, until))
        for i, agent in enumerate(agents)
    ]
    await asyncio.sleep(chosen.warm_up)
    began, cpu_s = time.monotonic(), time.process_time()
    counts.begin()
    aggregator.begin()
    await _end(tasks, counts, aggregator, until)
    report = _report(counts, time.monotonic() - began, time.process_time() - cpu_s) | aggregator.figures()
    if chosen.verify:
        after = await _stored(chosen, metadata)
        wrong = [a.name for a in agents if after.get(a.name, 0) - before.get(a.name, 0) != counts.by_agent[a.name]]
        report |= {"stored_otherwise": len(wrong), "of_agents": len(agents)}
    for channel in channels:
        await channel.close()
    return report


async def _end(tasks: list[asyncio.Task[None]], counts: Counts, aggregator: Aggregator, until: float) -> None:
    """Wait for all, and a while for what is under way then; say how it goes meanwhile."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    working: set[asyncio.Task[None]] = set(tasks)
    told = time.monotonic()
    while working and not stop.is_set() and time.monotonic() < until + _GRACE_S:
        _, working = await asyncio.wait(working, timeout=1.0)
        aggregator.look()
        if time.monotonic() - told >= _TELL_S:
            told = time.monotonic()
            _say(f"{counts.acknowledged:,} acknowledged, {dict(counts.refused)} refused, {counts.lost:,} lost")
    counts.given_up = 0 if stop.is_set() else len(working)
    for task in working:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


def _agents(chosen: argparse.Namespace, counts: Counts) -> list[Agent]:
    n = chosen.services or min(len(SERVICES), max(1, chosen.agents // 5))
    names = [SERVICES[i] if i < len(SERVICES) else f"service-{i}" for i in range(n)]
    pushes = []
    for i, name in enumerate(names):
        service = Service(name, chosen.stacks, i)
        pushes.append(Pushes(service, _SHAPES, chosen.rows, chosen.interval, chosen.churn))
    now = time.time_ns()
    numbers = range(chosen.first, chosen.first + chosen.agents)
    return [Agent(i, pushes[i % n], chosen.interval, counts, now) for i in numbers]


def _channel(chosen: argparse.Namespace) -> grpc.aio.Channel:
    if chosen.tls_ca is None:
        return grpc.aio.insecure_channel(chosen.remote, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(chosen.tls_ca.read_bytes())
    return grpc.aio.secure_channel(chosen.remote, credentials, options=_OPTIONS)


def _metadata(chosen: argparse.Namespace) -> tuple[tuple[str, str], ...]:
    if chosen.token_file is None:
        return ()
    return (("authorization", f"Bearer {chosen.token_file.read_text().strip()}"),)


async def _stored(chosen: argparse.Namespace, metadata: Any) -> dict[str, int]:
    """The events of each machine that are stored."""
    async with _channel(chosen) as channel:
        reply = await FleetStub(channel).Hosts(HostsRequest(), metadata=metadata, timeout=60)
    return {host.name: host.events for host in reply.hosts}


def _report(counts: Counts, seconds: float, cpu_s: float) -> dict[str, Any]:
    took = sorted(counts.took_s)
    quantile = {f"ack_{name}_ms": round(1e3 * took[min(len(took) - 1, int(q * len(took)))], 1) if took else None
                for name, q in (("p50", 0.5), ("p99", 0.99), ("most", 1.0))}  # fmt: skip
    return {
        "seconds": round(seconds, 1),
        "acknowledged": counts.acknowledged,
        "per_s": round(counts.acknowledged / seconds, 1),
        "rows_per_s": round(counts.rows / seconds),
        "kb_per_push": round(counts.bytes / max(1, counts.acknowledged) / 1e3, 2),
        "tries": counts.tries,
        "asked_for_stacks": counts.asked_for,
        "refused": dict(counts.refused),
        "lost": counts.lost,
        "given_up": counts.given_up,
        **quantile,
        "own_cpu": round(cpu_s / seconds, 4),
    }


def _in_words(report: dict[str, Any]) -> str:
    return "\n".join(f"{name.replace('_', ' '):20} {value}" for name, value in report.items())


def _say(words: str) -> None:
    print(f"load: {words}", file=sys.stderr, flush=True)


def _many_descriptors() -> None:
    """Each connection has one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    sys.exit(main())
