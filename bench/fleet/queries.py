"""`python -m bench.fleet.queries FOLDER`: what screens ask, end to end from a gRPC client, over what generate.py wrote.

    python -m bench.fleet.queries /var/tmp/aperture-bench/day --runs 100
    python -m bench.fleet.queries /var/tmp/aperture-bench/dense --only fleet-hour --split --errors

Starts the real aggregator over the folder and asks it, warm, each time about other machines and another moment. A
time is that of the call and of unpacking its answer into a call tree, as a screen has to. --split asks the store once
more in this process, and says what the time went into; --errors compares sampled answers with exact ones.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.query import Query
from aperture_tui.store import exchange
from aperture_tui.store.selection import measured
from aperture_tui.wire import fleet_pb2 as wire
from aperture_tui.wire.fleet_pb2_grpc import FleetStub
from bench import machine, procfs
from bench.figures import FEWEST_FOR_P99, quantile
from bench.fleet import errors, split
from bench.fleet.questions import BUCKETS, Kind, Question, kinds

NODES: Final = 4_096
BUDGET_MS: Final = 100.0
_WARM: Final = 3
_START_S: Final = 120.0
_SETTLE: Final = 240
_OPTIONS: Final = (("grpc.max_receive_message_length", exchange.MAX_REPLY),)


@dataclass(frozen=True)
class Answered:
    """How one sort of question was answered. Times in ms; p99_ms: None where there are too few. cpu_ms: of the
    aggregator, each. first_ms: of the first one, before anything was warm. kb: of an answer."""

    name: str
    runs: int
    first_ms: float
    min_ms: float
    p50_ms: float
    p99_ms: float | None
    max_ms: float
    call_p50_ms: float
    cpu_ms: float
    kb: float
    sampled: int
    share_error: float
    split_ms: dict[str, float] | None = None


class Client:
    """Asks as a screen does."""

    def __init__(self, port: int) -> None:
        self._fleet: Any = FleetStub(grpc.insecure_channel(f"127.0.0.1:{port}", _OPTIONS))
        self._unpacker = exchange.Unpacker()

    def held(self) -> wire.DescribeReply:
        """What there is."""
        reply: wire.DescribeReply = self._fleet.Describe(wire.DescribeRequest())
        return reply

    def machines(self) -> list[tuple[str, str]]:
        """Names and services."""
        return [(host.name, host.service) for host in self._fleet.Hosts(wire.HostsRequest()).hosts]

    def ask(self, question: Question) -> tuple[float, float, Any]:
        """Seconds of the call, seconds in all, and the reply."""
        asked = [exchange.to_selection(query) for query in question.queries]
        began = time.perf_counter()
        if question.timeline:
            reply = self._fleet.Timeline(wire.TimelineRequest(selection=asked[0], buckets=BUCKETS))
            called = time.perf_counter()
            np.frombuffer(reply.weights, "<i8")
        else:
            if len(asked) == 1:
                reply = self._fleet.Aggregate(wire.AggregateRequest(selection=asked[0], nodes=NODES))
            else:
                reply = self._fleet.Diff(wire.DiffRequest(base=asked[0], after=asked[1], nodes=NODES))
            called = time.perf_counter()
            symbols, parts = self._unpacker.rows(reply.body)
            for part, query in zip(parts, question.queries, strict=True):
                CallTree.of_stacks(symbols, part["stack"], measured(part, query.measure))
        return called - began, time.perf_counter() - began, reply


@contextlib.contextmanager
def aggregator(folder: Path) -> Iterator[tuple[int, int]]:
    """The real one: its process and port."""
    command = [sys.executable, "-m", "aperture_tui.cli.main", "aggregator", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, "--store", f"chdb://{folder.absolute()}"], stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    try:
        assert process.stderr is not None
        found = re.search(r"listening on \S+:(\d+)", process.stderr.readline())
        if found is None:
            raise SystemExit("queries: the aggregator did not start")
        yield process.pid, int(found[1])
    finally:
        process.terminate()
        process.communicate(timeout=_START_S)


def settle(cpu_ns: Callable[[], int]) -> None:
    """Wait until a process has nothing to do: it reads names when it starts."""
    quiet = 0
    for _ in range(_SETTLE):
        before = cpu_ns()
        time.sleep(0.5)
        quiet = quiet + 1 if cpu_ns() - before < 0.02e9 else 0
        if quiet == 3:
            return


def measure(client: Client, pid: int, kind: Kind, newest_ns: int, runs: int) -> Answered:
    """One sort of question."""
    drawn = random.Random(kind.name)
    first, _, _ = client.ask(kind.drawn(drawn, newest_ns))
    for _ in range(_WARM):
        client.ask(kind.drawn(drawn, newest_ns))
    cpu_ns = procfs.cpu_ns(pid)
    answers = [client.ask(kind.drawn(drawn, newest_ns)) for _ in range(runs)]
    cpu_ns = procfs.cpu_ns(pid) - cpu_ns
    called, whole = [a * 1e3 for a, _, _ in answers], [b * 1e3 for _, b, _ in answers]
    estimates = [exchange.from_estimate(reply.estimate) for *_, reply in answers]
    return Answered(
        kind.name,
        runs,
        first * 1e3,
        min(whole),
        statistics.median(whole),
        quantile(whole, 0.99) if runs >= FEWEST_FOR_P99 else None,
        max(whole),
        statistics.median(called),
        cpu_ns / runs / 1e6,
        statistics.median(reply.ByteSize() for *_, reply in answers) / 1024,
        max(one.sampled for one in estimates),
        max(one.share_error for one in estimates),
    )


def _table(found: list[Answered]) -> str:
    columns = " ".join(f"{name:>6}" for name in ("min", "p50", "p99", "max", "call", "CPU"))
    lines = [f"{'ms':40} {'first':>7} {columns} {'KB':>5}  1 of  ±share"]
    for one in found:
        p99 = "-" if one.p99_ms is None else f"{one.p99_ms:.0f}"
        missed = " *" if max(one.p50_ms, one.p99_ms or one.max_ms) > BUDGET_MS else ""
        error = f"{100 * one.share_error:.3f} %" if one.sampled > 1 else ""
        lines.append(
            f"{one.name:40} {one.first_ms:7.0f} {one.min_ms:6.0f} {one.p50_ms:6.0f} {p99:>6} {one.max_ms:6.0f}"
            f" {one.call_p50_ms:6.0f} {one.cpu_ms:6.0f} {one.kb:5.0f} {one.sampled:5}  {error}{missed}"
        )
        if one.split_ms:
            lines.append("    " + ", ".join(f"{name} {ms:.0f}" for name, ms in one.split_ms.items()))
    return "\n".join(lines)


def main() -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet.queries", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="what generate.py wrote")
    parser.add_argument("--runs", type=int, default=FEWEST_FOR_P99, help=f"of each sort ({FEWEST_FOR_P99})")
    parser.add_argument("--only", metavar="WORDS", default="", help="sorts of questions with these words")
    parser.add_argument("--split", action="store_true", help="say also what the time went into")
    parser.add_argument("--errors", action="store_true", help="compare what is sampled with what is exact")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    load_before = machine.load()
    with aggregator(chosen.folder) as (pid, port):
        client = Client(port)
        held, machines = client.held(), client.machines()
        span_ns = held.end_ns - held.start_ns
        sorts = [
            kind
            for kind in kinds(len(machines), len({service for _, service in machines}))
            if chosen.only in kind.name and kind.span_ns < 1.05 * span_ns
        ]
        cold_ms = 1e3 * client.ask(Question((Query(),)))[1]
        settle(lambda: procfs.cpu_ns(pid))
        client.ask(Question((Query(),)))
        found = []
        for kind in sorts:
            found.append(measure(client, pid, kind, held.end_ns, chosen.runs))
            print(f"queries: {kind.name}: {found[-1].p50_ms:.0f} ms", file=sys.stderr, flush=True)
        memory = procfs.rss_bytes(pid)
    if chosen.split:
        parts = split.measure(chosen.folder, sorts, NODES)
        found = [Answered(**{**asdict(one), "split_ms": parts.get(one.name)}) for one in found]
    wrong = errors.measure(chosen.folder, held.end_ns, NODES) if chosen.errors else []
    facts = {"events": held.events, "hours": span_ns / 3.6e12, "machines": len(machines), "memory_mb": memory >> 20}
    facts["cold_ms"] = cold_ms
    load = f"{load_before} before, {machine.load()} after"
    if chosen.json:
        told = {"machine": machine.facts(), "load": load, **facts}
        told |= {"queries": [asdict(one) for one in found], "errors": [asdict(one) for one in wrong]}
        print(json.dumps(told, indent=1))
        return 0
    print(f"{facts['events']:,} rows over {facts['hours']:.1f} h, {facts['machines']} machines, load {load}, ", end="")
    print(
        f"{facts['memory_mb']:,} MB resident, everything asked at once after the start {cold_ms / 1e3:.1f} s;", end=" "
    )
    print(f"* is over {BUDGET_MS:.0f} ms")
    print(_table(found))
    print("\n".join(map(str, wrong)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
