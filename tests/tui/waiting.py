"""A MemoryStore of made-up system calls, waits for locks and off-CPU time beside samples, always the same."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from aperture_tui.profile.batch import Batch, empty
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.kinds import ROLE_SHIFT, Flag, FrameKind, Kind, Role
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.memory import MemoryStore
from tests.tui.synthetic import ENTRY, FLAGS, LIBC, PERIOD_NS, PROGRAMS, READ, SECOND, START_NS, WEB

US, MS = 1_000, 1_000_000
K, N = FrameKind.KERNEL, FrameKind.NATIVE

PIDS = {name: 1000 + i for i, (name, *_) in enumerate(PROGRAMS)}
RUNNING = tuple(Health(name, State.RUNNING, lost={"ring full": 0}) for name in ("cpu", "syscall", "lock", "offcpu"))

FUTEX = [*ENTRY, *(Frame(n, "[kernel]", kind=K) for n in ("__x64_sys_futex", "futex_wait", "schedule"))]
MUTEX = [Frame("pthread_mutex_lock", "libc.so.6"), Frame("__lll_lock_wait", "libc.so.6")]
INSERT = [
    *LIBC,
    *(Frame(n, "postgres") for n in ("PostmasterMain", "PostgresMain", "exec_simple_query", "ExecInsert")),
    *(Frame(n, "postgres") for n in ("heap_insert", "RelationGetBufferForTuple", "LWLockAcquire")),
]
COMMIT = [*INSERT[:4], *(Frame(n, "postgres") for n in ("CommitTransaction", "XLogFlush"))]
LOADER = [*LIBC, *(Frame(n, "", "/home/ml/data.py", 40 + i, FrameKind.PYTHON) for i, n in enumerate(("next", "get")))]
GC = [Frame("start_thread", "libc.so.6"), Frame("GCTaskThread::run()", "libjvm.so")]
RECV = Frame("recv", "libc.so.6")
EPOLL = [Frame("epoll_wait", "libc.so.6"), *ENTRY, Frame("do_epoll_wait", "[kernel]", kind=K)]
IO = [
    *ENTRY,
    *(Frame(n, "[kernel]", kind=K) for n in ("ksys_pread64", "filemap_read", "folio_wait_bit", "io_schedule")),
]


@dataclass(frozen=True)
class Load:
    """What happens every second. calls: how many; typical_ns: their median; errors: errno -> share of them.

    tids: the threads in turn; value: a lock's address; stack: without the process.
    """

    kind: Kind
    process: str
    name: str
    calls: int
    typical_ns: int
    errors: tuple[tuple[int, float], ...] = ()
    tids: tuple[int, ...] = (0,)
    value: int = 0
    stack: tuple[Frame, ...] = ()
    spread: float = 0.8
    role: Role = Role.OWN


def _syscall(
    process: str, name: str, calls: int, typical_ns: int, *errors: tuple[int, float], spread: float = 0.8
) -> Load:
    return Load(Kind.SYSCALL, process, name, calls, typical_ns, errors, spread=spread)


SYSCALLS = [
    _syscall("gunicorn", "epoll_wait", 320, 2 * MS, spread=1.4),
    _syscall("gunicorn", "recvfrom", 820, 140 * US, (errno.EAGAIN, 0.21)),
    _syscall("gunicorn", "sendto", 410, 22 * US),
    _syscall("gunicorn", "openat", 90, 15 * US, (errno.ENOENT, 0.3), (errno.EACCES, 0.02)),
    _syscall("gunicorn", "futex", 120, 80 * US, (errno.EAGAIN, 0.1)),
    _syscall("postgres", "pread64", 1400, 6 * US, spread=1.6),
    _syscall("postgres", "pwrite64", 300, 9 * US),
    _syscall("postgres", "fdatasync", 12, 8 * MS, spread=1.1),
    _syscall("postgres", "epoll_wait", 60, 30 * MS, (errno.EINTR, 0.01)),
    _syscall("python3", "ioctl", 2000, 3 * US),
    _syscall("python3", "futex", 40, 4 * MS, (errno.ETIMEDOUT, 0.4)),
    _syscall("node", "epoll_wait", 250, 3 * MS),
    _syscall("node", "write", 180, 12 * US, (errno.EPIPE, 0.004)),
    _syscall("java", "futex", 900, 700 * US, (errno.ETIMEDOUT, 0.05), (errno.EAGAIN, 0.02), spread=1.8),
    _syscall("sshd", "poll", 1, 900 * MS),
    _syscall("evil\x1b[31m\u202ename\n", "unlink", 3, 11 * US, (errno.EPERM, 1.0)),
]

TABLE, PLAIN, MMAP = 0x55D0C0DE1040, 0x7F3A12345678, 0xFFFF888104C3D2A8
LOCKS = [
    Load(Kind.LOCK, "postgres", "mutex table_lock", 130, 2 * MS, (), (2101, 2102, 2103), TABLE,
         (*INSERT, *MUTEX, Frame("table_lock", kind=FrameKind.LOCK))),
    Load(Kind.LOCK, "postgres", "mutex table_lock", 30, 900 * US, (), (2101, 2104), TABLE,
         (*COMMIT, *MUTEX, Frame("table_lock", kind=FrameKind.LOCK))),
    Load(Kind.LOCK, "postgres", "rwlock", 44, 300 * US, (), (2102, 2103), PLAIN, (*COMMIT, *MUTEX)),
    Load(Kind.LOCK, "python3", "condition", 20, 4 * MS, ((errno.ETIMEDOUT, 0.4),), (2201, 2202), PLAIN + 64,
         tuple(LOADER)),
    Load(Kind.LOCK, "java", "futex", 400, 60 * US, (), (2301, 2302), 0x7F0000001000, (*GC, *FUTEX)),
    Load(Kind.LOCK, "gunicorn", "kernel rwsem read", 15, 40 * US, (), (2001,), MMAP, (*WEB, *ENTRY)),
    Load(Kind.LOCK, "java", "kernel rwsem read", 9, 90 * US, (), (2301,), MMAP, (*GC, *ENTRY)),
    Load(Kind.LOCK, "postgres", "", 40, 0, (), (2101, 2104), TABLE, (), role=Role.HOLDER),
    Load(Kind.LOCK, "postgres", "", 60, 0, (), (2104,), TABLE, (*COMMIT, Frame("LWLockRelease", "postgres")),
         role=Role.WAKER),
    Load(Kind.LOCK, "java", "", 12, 0, (), (2399,), MMAP, (*GC, Frame("up_write", "[kernel]", kind=K)),
         role=Role.WAKER),
]  # fmt: skip

OFFCPU = [
    Load(Kind.OFFCPU, "gunicorn", "epoll_wait", 300, 2 * MS, (), (2001, 2002), 0, (*WEB, *EPOLL)),
    Load(Kind.OFFCPU, "gunicorn", "recvfrom", 60, 4 * MS, (), (2001, 2002), 0, (*WEB, RECV, *ENTRY)),
    Load(Kind.OFFCPU, "gunicorn", "runnable", 400, 300 * US, (), (2001, 2002), 0, (*WEB, *EPOLL)),
    Load(Kind.OFFCPU, "postgres", "futex", 160, 2 * MS, (), (2101, 2102, 2103), 0, (*INSERT, *MUTEX, *FUTEX)),
    Load(Kind.OFFCPU, "postgres", "read (disk)", 80, 3 * MS, (), (2101, 2104), 0, (*INSERT[:6], *IO)),
    Load(Kind.OFFCPU, "postgres", "runnable", 500, 400 * US, (), (2101, 2102), 0, (*COMMIT,)),
    Load(Kind.OFFCPU, "node", "epoll_wait", 250, 3 * MS, (), (2501,), 0, (*LIBC, *EPOLL)),
    Load(Kind.OFFCPU, "java", "futex", 400, 700 * US, (), (2301, 2302), 0, (*GC, *FUTEX)),
    Load(Kind.OFFCPU, "python3", "page fault", 30, 500 * US, (), (2201,), 0, (*LOADER, *READ[2:])),
    Load(Kind.OFFCPU, "postgres", "", 50, 0, (), (2104,), 2101, (*COMMIT, Frame("LWLockRelease", "postgres")),
         role=Role.WAKER),
    Load(Kind.OFFCPU, "node", "", 30, 0, (), (2501,), 2001, (*LIBC, Frame("uv_write", "node")), role=Role.WAKER),
]  # fmt: skip

IN_FLIGHT = [  # kind, process, name, value, tid, threads, age, whether it is only a lower bound, stack
    (Kind.SYSCALL, "postgres", "pread64", 0, 2103, 3, 40 * SECOND, False, ()),
    (Kind.SYSCALL, "sshd", "poll", 0, 2801, 1, 55 * SECOND, True, ()),
    (Kind.SYSCALL, "perl", "read", 0, 3001, 1, 12 * SECOND, False, ()),
    (Kind.LOCK, "postgres", "mutex table_lock", TABLE, 2103, 2, 41 * SECOND, False, [*INSERT, *MUTEX]),
    (Kind.LOCK, "sshd", "mutex", PLAIN + 512, 2801, 1, 9 * SECOND, True, [*LIBC, *MUTEX]),
]


def sampled() -> list[Load]:
    """Calls whose stacks were taken."""
    return [
        Load(Kind.SYSCALL, "gunicorn", "recvfrom", 8, 140 * US, stack=(*WEB, RECV, *ENTRY)),
        Load(Kind.SYSCALL, "postgres", "pread64", 14, 60 * US, stack=(*INSERT, *IO)),
    ]


class Builder:
    """Makes batches of events, with the tables that they share."""

    def __init__(self, seed: int = 1) -> None:
        self.symbols = Symbols()
        self._rng = np.random.default_rng(seed)
        self._rows: list[dict[str, int]] = []

    def batch(self) -> Batch:
        """All that was added since the last one."""
        events = empty(len(self._rows))
        for event, row in zip(events, self._rows, strict=True):
            for column, value in row.items():
                event[column] = value
        self._rows = []
        return Batch(self.symbols, events)

    def cpu(self, second: int, rate: int) -> None:
        """Samples, a share of them of each program."""
        whole = sum(share for _, _, share, _ in PROGRAMS)
        for name, _, share, stacks in PROGRAMS:
            for i in range(round(rate * share / whole)):
                stack = stacks[i % len(stacks)][0]
                at = START_NS + second * SECOND + i * SECOND // (rate + 1)
                flags = int(FLAGS.get(name, Flag.WHOLE))
                tid = PIDS[name] + 1000 + i % 2
                self._add(name, stack, at, PERIOD_NS, PERIOD_NS, 1, kind=Kind.CPU, tid=tid, flags=flags)

    def load(self, load: Load, second: int) -> None:
        """One second's events of a load."""
        at = START_NS + second * SECOND + 999 * MS
        for tid, calls in zip(load.tids, self._shared(load.calls, len(load.tids)), strict=True):
            if load.role is not Role.OWN:
                self._one(load, at, tid, 0, 0, 0, calls)
                continue
            took = self._rng.lognormal(np.log(load.typical_ns), load.spread, calls).astype(np.int64) + 1
            failed = np.zeros(calls, np.int64)
            for number, share in load.errors:
                failed[self._rng.random(calls) < share] = number
            for number, part in self._parted(took, failed):
                self._one(load, at, tid, number, int(part.sum()), int(part.max()), len(part))

    def in_flight(self, second: int, said: Sequence[tuple[object, ...]]) -> None:
        """The word of a second about what goes on."""
        for kind, process, name, value, tid, threads, age, at_least, stack in said:
            flags = Role.IN_FLIGHT << ROLE_SHIFT | (Flag.TRUNCATED if at_least else 0)
            at = START_NS + second * SECOND + 999 * MS
            total = age * threads - (threads - 1) * SECOND  # type: ignore[operator]
            row = {"kind": kind, "tid": tid, "value": value, "name": self.symbols.string(str(name)), "flags": flags}
            self._add(str(process), stack, at, total, age, threads, **row)  # type: ignore[arg-type]

    def _shared(self, calls: int, n: int) -> list[int]:
        return [calls // n + (1 if i < calls % n else 0) for i in range(n)]

    def _parted(self, took: np.ndarray, failed: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:  # type: ignore[type-arg]
        """By outcome and bucket; the shortest of each outcome by itself, as the collectors do."""
        buckets = np.floor(np.log2(took)).astype(int)
        for number in np.unique(failed).tolist():
            for b in np.unique(buckets[failed == number]).tolist():
                yield number, took[(failed == number) & (buckets == b)]

    def _one(self, load: Load, at: int, tid: int, number: int, total: int, longest: int, n: int) -> None:
        flags = load.role << ROLE_SHIFT | (Flag.WHOLE if load.stack else 0)
        row = {"kind": load.kind, "tid": tid, "value": load.value, "aux": number, "flags": flags}
        self._add(load.process, load.stack, at, total, longest, n, name=self.symbols.string(load.name), **row)

    def _add(self, process: str, stack: Sequence[Frame], at: int, total: int, longest: int, n: int, **row: int) -> None:
        pid = PIDS[process]
        frames = [Frame(process, kind=FrameKind.PROCESS), *stack]
        (node,) = self.symbols.stacks([[self.symbols.frame(f) for f in frames]])
        known = Process(pid, START_NS - (pid - 1000) * SECOND, process)
        self._rows.append(
            {
                "time_ns": at,
                "duration_ns": total,
                "maximum_ns": longest,
                "pid": pid,
                "process": self.symbols.process(known),
                "thread": self.symbols.string("worker"),
                "stack": int(node),
                "weight": n,
                **row,
            }
        )


@lru_cache(8)
def _batch(loads: tuple[Load, ...], seconds: int, in_flight: bool, cpu: int) -> Batch:
    builder = Builder()
    for second in range(seconds):
        builder.cpu(second, cpu)
        for load in loads:
            builder.load(load, second)
    if in_flight:
        builder.in_flight(seconds - 1, IN_FLIGHT)
    return builder.batch()


def filled(
    loads: Sequence[Load] = (*SYSCALLS, *LOCKS, *OFFCPU),
    seconds: int = 12,
    health: Sequence[Health] = RUNNING,
    in_flight: bool = False,
    cpu: int = 80,
) -> MemoryStore:
    """A store with so many seconds of these loads. in_flight: something goes on at the end. cpu: samples a second."""
    store = MemoryStore(recorded=True)
    store.append(_batch(tuple(loads), seconds, in_flight, cpu))
    store.append_gauges(
        HostSample(START_NS + (seconds - 1) * SECOND, cpu_user=0.4, own_cpu=0.004, own_memory_bytes=62 << 20)
    )
    store.set_health(health)
    store.set_hosts([HostFacts("build-7", "6.8.0", 8, 16 << 30)])
    return store
