"""One small, fixed store for the golden files of every format."""

from __future__ import annotations

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.kinds import ROLE_SHIFT, STOP_SHIFT, Flag, FrameKind, Kind, Role, Stop
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.memory import MemoryStore
from tests.store.facts import SECOND, T0, Fact, batch_of

HOST = HostFacts("box", "6.1.0-18-amd64", 4, 16 << 30, "boot-1")


def _stack(process: str, *names: str | Frame) -> tuple[Frame, ...]:
    frames = (name if isinstance(name, Frame) else Frame(name, "app") for name in names)
    return (Frame(process, kind=FrameKind.PROCESS), *frames)


WEB = Process(4242, T0 - 60 * SECOND, "web server", "/system.slice/web.service", "")
BAD = Process(7, 0, "evil\x1b[31m;name", "", "")
WIDE = Process(300, T0 - 9 * SECOND, "データベース", "/system.slice/db.service", "")
TABLE, POOL, SEMAPHORE = 0x55D0_0000_1040, 0x7F3A_0000_0010, 0xFFFF_8881_0000_2000


def store() -> MemoryStore:
    """Two processes, recursion, a kernel frame, names that need care, an unknown frame, a sample without stack."""
    out = MemoryStore(recorded=True)
    out.append(batch_of(_samples(), Symbols()))
    _tell(
        out,
        [
            Health("cpu", State.RUNNING, "", 100, {"ring full": 1234}, {"stack cut": 5}),
            Health("gpu", State.FAILED, "no device: run aperture doctor"),
        ],
    )
    return out


def _samples() -> list[Fact]:
    read = Frame("vfs_read", "[kernel]", kind=FrameKind.KERNEL)
    jit = Frame("py::run", "perf-4242.map", kind=FrameKind.JIT)
    return [
        Fact(
            T0 + 1 * SECOND,
            WEB,
            1,
            _stack("web server", "main", "serve", "parse<int; char>"),
            weight=30,
            flags=Flag.WHOLE,
        ),
        Fact(
            T0 + 2 * SECOND,
            WEB,
            2,
            _stack("web server", "main", "serve", "serve", "écrire 文字"),
            weight=20,
            flags=Flag.WHOLE,
        ),
        Fact(
            T0 + 3 * SECOND,
            WEB,
            2,
            _stack("web server", "main", "serve", Frame("read", "libc.so.6"), read),
            weight=30,
            flags=Flag.WHOLE | Flag.KERNEL_MODE,
        ),
        Fact(
            T0 + 4 * SECOND,
            WEB,
            1,
            _stack("web server", "main", jit, Frame("", "/usr/lib/libz.so.1")),
            weight=15,
            flags=Stop.NO_ROW << STOP_SHIFT | Flag.GUESSED,
        ),
        Fact(
            T0 + 5 * SECOND,
            BAD,
            7,
            _stack("evil\x1b[31m;name", Frame("", kind=FrameKind.UNKNOWN)),
            weight=4,
            flags=Stop.NO_MAPPING << STOP_SHIFT,
        ),
        Fact(T0 + 6 * SECOND, Process(99), 99, weight=1),
    ]


def _tell(out: MemoryStore, health: list[Health]) -> None:
    out.set_hosts([HOST])
    out.append_gauges(HostSample(T0 + 6 * SECOND, cpu_user=0.25, own_cpu=0.0042, own_memory_bytes=61 << 20))
    out.set_health(health)


def waits() -> MemoryStore:
    """The samples of `store`, and calls, locks and off-CPU time: with errors, in flight, timed out, held, woken."""
    out = MemoryStore(recorded=True)
    symbols = Symbols()
    out.append(batch_of(_samples(), symbols))
    out.append(waits_batch(symbols))
    _tell(out, [Health(name, State.RUNNING, "", 100) for name in ("cpu", "syscall", "lock", "offcpu")])
    return out


def waits_batch(symbols: Symbols) -> Batch:
    """Those of `waits` without the samples."""
    return batch_of([*_calls(), *_locks(), *_off_cpu()], symbols)


def _call(process: Process, name: str, n: int, each: int, errno: int = 0, second: int = 3, *stack: str) -> Fact:
    """n calls, all in the bucket of `each`; the longest took a nanosecond more than the others."""
    return Fact(
        T0 + second * SECOND,
        process,
        0,
        _stack(process.name, *stack),
        Kind.SYSCALL,
        n * each + 1,
        n,
        "",
        name,
        maximum_ns=each + 1,
        aux=errno,
    )


def _going(process: Process, kind: Kind, name: str, ages: tuple[int, ...], tid: int, *stack: str, **more: int) -> Fact:
    """What goes on: the oldest of them since before anybody looked."""
    flags = Role.IN_FLIGHT << ROLE_SHIFT | Flag.TRUNCATED
    path = _stack(process.name, *stack)
    at = T0 + 6 * SECOND
    return Fact(at, process, tid, path, kind, sum(ages), len(ages), "", name, flags, maximum_ns=max(ages), **more)


def _calls() -> list[Fact]:
    return [
        _call(WEB, "read", 900, 1_500),
        _call(WEB, "read", 90, 20_000, second=4),
        _call(WEB, "read", 1, 1_500_000),
        _call(WEB, "read", 12, 600, 11),
        _call(WEB, "read", 3, 2_000_000, 512),
        _call(WEB, "read", 1, 900_000, 4),
        _call(WEB, "epoll_wait", 40, 90_000_000),
        _call(WEB, "write", 700, 3_000),
        _call(WEB, "write", 2, 3_000, 0, 3, "main", "log", "write"),
        _call(BAD, "openat", 5, 7_000, 2),
        _call(BAD, "openat", 1, 1 << 45, 999),
        _call(WIDE, "fdatasync", 8, 120_000_000),
        _going(WEB, Kind.SYSCALL, "epoll_wait", (3 * SECOND, 12_000_000), 4243),
        _going(WIDE, Kind.SYSCALL, "fsync", (5 * SECOND + 1,), 301),
    ]


def _wait(process: Process, tid: int, stack: tuple[Frame, ...], name: str, times: tuple[int, ...], **more: int) -> Fact:
    """Waits of one bucket for a lock."""
    at = T0 + 5 * SECOND
    whole = Flag.WHOLE
    return Fact(
        at, process, tid, stack, Kind.LOCK, sum(times), len(times), "", name, whole, maximum_ns=max(times), **more
    )


def _side(role: Role, tid: int, n: int, address: int, *stack: str) -> Fact:
    path, flags = _stack("web server", *stack), role << ROLE_SHIFT
    return Fact(T0 + 5 * SECOND, WEB, tid, path, Kind.LOCK, 0, n, "", "mutex table_lock", flags, value=address)


def _locks() -> list[Fact]:
    wait = [Frame("pthread_mutex_lock", "/usr/lib/libc.so.6"), Frame("futex_wait", "[kernel]", kind=FrameKind.KERNEL)]
    lock = Frame("table_lock", kind=FrameKind.LOCK)
    insert = _stack("web server", "main", "handle", "insert", *wait, lock)
    look_up = _stack("web server", "main", "handle", "look_up", *wait, lock)
    grow = _stack("evil\x1b[31m;name", *(Frame(f, "[kernel]", kind=FrameKind.KERNEL) for f in ("mmap", "down_write")))
    name = "mutex table_lock"
    return [
        _wait(WEB, 4243, insert, name, (40_000_000, 50_000_000, 60_000_000), value=TABLE),
        _wait(WEB, 4243, insert, name, (1_234,), value=TABLE),
        _wait(WEB, 4244, look_up, name, (9_000_000,), value=TABLE),
        _wait(WEB, 4244, look_up, name, (100_000_000,) * 2, value=TABLE, aux=110),
        _wait(WEB, 4244, look_up, name, (5_000_000,), value=TABLE, aux=4),
        _side(Role.HOLDER, 4245, 6, TABLE),
        _side(Role.HOLDER, 4243, 1, TABLE),
        _side(Role.WAKER, 4245, 5, TABLE, "main", "compact", "unlock"),
        _wait(BAD, 7, grow, "kernel rwsem write", (700_000, 800_000), value=SEMAPHORE),
        _going(WEB, Kind.LOCK, name, (400_000_000,), 4244, "main", "handle", "look_up", value=TABLE),
        _going(WIDE, Kind.LOCK, "condition", (4 * SECOND,), 301, "main", "待つ", value=POOL),
    ]


def _off(process: Process, tid: int, why: str, n: int, time_ns: int, *stack: str, flags: int = Flag.WHOLE) -> Fact:
    path = _stack(process.name, *stack)
    at = T0 + 5 * SECOND
    return Fact(at, process, tid, path, Kind.OFFCPU, time_ns, n, "", why, flags, maximum_ns=time_ns // n + 1)


def _off_cpu() -> list[Fact]:
    waker = Role.WAKER << ROLE_SHIFT
    return [
        _off(WEB, 4242, "epoll_wait", 40, 3_600_000_000, "main", "serve", "poll"),
        _off(WEB, 4243, "futex", 7, 360_001_235, "main", "handle", "insert"),
        _off(WEB, 4243, "read (disk)", 3, 90_000_000, "main", "serve", "read;file"),
        _off(WEB, 4243, "runnable", 50, 25_000_000, "main", "serve", "parse<int; char>"),
        _off(WEB, 4243, "runnable", 3, 1, "main", "handle", "insert", flags=Flag.ESTIMATED),
        _off(BAD, 7, "page fault", 2, 8_000_000, "m\x1bain", flags=Stop.FAULT << STOP_SHIFT),
        _off(WIDE, 301, "fdatasync (disk)", 8, 960_000_008, "main", "書く"),
        _off(WIDE, 301, "runnable", 9, 200_000_000, "main", "書く"),
        _off(WEB, 4245, "futex", 4, 0, "main", "compact", flags=waker),
    ]
