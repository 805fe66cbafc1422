"""A fleet that is made up: machines, services, stacks, and what they do in ten seconds. Pure.

The shape is that of the notes: 1,000 machines in 50 services, 4,000 different stacks a service (8 to 37 frames deep),
few of which are hot, and 200 rows every 10 s from a machine that is busy. Services run processes of the same few names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aperture_tui.profile.kinds import Flag, FrameKind, Kind
from aperture_tui.profile.packed.hashes import StackHashes, process_hashes
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.clickhouse.schema import SAMPLED

INTERVAL_NS: Final = 10_000_000_000
PERIOD_NS: Final = 1_000_000_000 // 49
"""Of one sample."""
COMMANDS: Final = (
    "java", "nginx", "postgres", "python3", "node", "redis-server", "envoy", "containerd", "kworker/u8:2", "sshd",
    "rsync",
)  # fmt: skip
"""Of every machine. The last one is rare."""
RARE: Final = 97
"""One of so many stacks is of the last command."""
_OWN, _COMMON = 6_000, 4_000
_THREADS: Final = 4
_SHARED: Final = 12
"""Levels from the outermost frame down to which stacks have frames in common, half of them at each."""
_DEEPEST: Final = 38


@dataclass(frozen=True)
class Shape:
    """How many of what."""

    machines: int = 1_000
    services: int = 50
    stacks: int = 4_000

    @cached_property
    def hosts(self) -> list[str]:
        return [f"agent-{i:04d}" for i in range(self.machines)]

    @cached_property
    def service_names(self) -> list[str]:
        return [f"svc-{i:02d}" for i in range(self.services)]

    def service_of(self, machine: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,): places in `service_names`."""
        return machine % self.services


def mixed(*parts: Any) -> NDArray[np.uint64]:
    """A number made of numbers, as if drawn."""
    out: Any = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        for part in parts:
            out = (out ^ np.asarray(part).astype(np.uint64)) * np.uint64(0xBF58476D1CE4E5B9)
            out = out ^ (out >> np.uint64(29))
    return np.asarray(out)


def commands_of(service: Any, stack: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,): the command that each stack of a service is of."""
    usual = (mixed(service, stack, 7) % np.uint64(len(COMMANDS) - 1)).astype(np.int64)
    return np.where(stack % RARE == RARE - 1, len(COMMANDS) - 1, usual)


class Stacks:
    """The stacks of one service. nodes, hashes: (stacks,)."""

    def __init__(self, shape: Shape, service: int) -> None:
        self.symbols = Symbols()
        stack = np.arange(shape.stacks)
        lengths = (8 + mixed(service, stack) % np.uint64(30)).astype(np.int64)
        level = np.arange(_DEEPEST - 1)
        above = stack[:, None] >> np.maximum(0, _SHARED - level)
        drawn = mixed(service, above, level)
        common = (drawn >> np.uint64(40)) % np.uint64(10) < 3
        own = np.array([self.symbols.frame(_own(service, i)) for i in range(_OWN)], np.uint32)
        pool = np.array([self.symbols.frame(_common(i)) for i in range(_COMMON)], np.uint32)
        inner = np.where(common, pool[drawn % np.uint64(_COMMON)], own[drawn % np.uint64(_OWN)])
        first = np.array([self.symbols.frame(Frame(name, kind=FrameKind.PROCESS)) for name in COMMANDS], np.uint32)
        paths = np.column_stack([first[commands_of(service, stack)], inner])
        self.nodes = self.symbols.stack_rows(paths, lengths)
        self.hashes = StackHashes(self.symbols).of(self.nodes)


def _own(service: int, i: int) -> Frame:
    return Frame(f"svc{service:02d}::module_{i % 400}::Class{i % 1000}::method_{i}", f"svc{service:02d}-server")


def _common(i: int) -> Frame:
    if i % 4 == 0:
        return Frame(f"kernel_function_{i}", kind=FrameKind.KERNEL)
    return Frame(f"shared_function_{i}", f"lib{i % 60}.so.1")


class Processes:
    """The processes of all machines. hashes, pids: (machines, commands)."""

    def __init__(self, shape: Shape, begun_ns: int) -> None:
        self.symbols = Symbols()
        self.rows = np.zeros((shape.machines, len(COMMANDS)), np.int64)
        self.pids = np.zeros_like(self.rows)
        for machine in range(shape.machines):
            for command, name in enumerate(COMMANDS):
                pid = 1_000 + 40 * command + machine % 37
                process = Process(pid, begun_ns - machine * 1_000_003, name, f"/system.slice/{name}.service")
                self.rows[machine, command] = self.symbols.process(process)
                self.pids[machine, command] = pid
        self.hashes = process_hashes(self.symbols, self.rows.ravel()).reshape(self.rows.shape)


class Fleet:
    """What happens in it. Belongs to one thread."""

    def __init__(self, shape: Shape, begun_ns: int, seed: int) -> None:
        self.shape = shape
        self._begun_ns = begun_ns
        self.stacks = [Stacks(shape, service) for service in range(shape.services)]
        self.processes = Processes(shape, begun_ns)
        self._hashes = np.stack([one.hashes for one in self.stacks])
        self._random = np.random.default_rng(seed)
        every = np.arange(shape.stacks)
        self._commands = np.stack([commands_of(service, every) for service in range(shape.services)])
        self._threads = [f"{name[:10]}-{i}" for name in COMMANDS for i in range(_THREADS)]

    def rows(self, n: int, start_ns: int, end_ns: int) -> pa.Table:
        """n rows of `events` (store/clickhouse/inserting.py), of all machines alike, at any times of a range."""
        shape, random = self.shape, self._random
        machine = random.integers(0, shape.machines, n)
        service = shape.service_of(machine)
        stack = (shape.stacks * random.random(n) ** 4).astype(np.int64)
        command = self._commands[service, stack]
        thread = (_THREADS * random.random(n) ** 2).astype(np.int64)
        weight = (1 + np.where(stack < 40, random.integers(0, 7, n), random.integers(0, 5, n) == 0)).astype(np.uint32)
        pid = self.processes.pids[machine, command]
        drawn = random.random(n)
        time_ns = random.integers(start_ns, end_ns, n)
        whole = np.where(random.integers(0, 20, n), Flag.WHOLE, Flag.TRUNCATED)
        return pa.table(
            {
                "time_ns": time_ns.astype(np.uint64),
                "kind": np.full(n, Kind.CPU, np.uint16),
                "role": np.zeros(n, np.uint8),
                "service": _coded(service, shape.service_names),
                "host": _coded(machine, shape.hosts),
                "stack": self._hashes[service, stack],
                "process": self.processes.hashes[machine, command],
                "comm": _coded(command, COMMANDS),
                "thread": _coded(command * _THREADS + thread, self._threads),
                "name": _coded(np.zeros(n, np.int64), [""]),
                "pid": pid.astype(np.uint32),
                "tid": (pid + thread).astype(np.uint32),
                "cpu": np.zeros(n, np.uint32),
                "value": np.zeros(n, np.uint64),
                "aux": np.zeros(n, np.uint32),
                "flags": (whole | (stack % 5 == 0) * Flag.KERNEL_MODE).astype(np.uint16),
                "bucket": np.full(n, 25, np.uint8),
                "duration_ns": weight.astype(np.uint64) * np.uint64(PERIOD_NS),
                "maximum_ns": np.full(n, PERIOD_NS, np.uint64),
                "weight": weight,
                "draw": np.sum([drawn < 1 / one_of for one_of in SAMPLED], axis=0, dtype=np.uint8),
                "boot": pa.array([bytes(16)], pa.binary(16)).take(pa.array(np.zeros(n, np.int32))),
                "seq": ((time_ns - self._begun_ns) // INTERVAL_NS + 1).astype(np.uint64),
            }
        )


def _coded(places: NDArray[np.int64], texts: Any) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int32)), pa.array(list(texts), pa.string()))
