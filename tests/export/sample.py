"""One small, fixed store for the golden files of every format."""

from __future__ import annotations

from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.kinds import STOP_SHIFT, Flag, FrameKind, Stop
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.memory import MemoryStore
from tests.store.facts import SECOND, T0, Fact, batch_of

HOST = HostFacts("box", "6.1.0-18-amd64", 4, 16 << 30, "boot-1")


def _stack(process: str, *names: str | Frame) -> tuple[Frame, ...]:
    frames = (name if isinstance(name, Frame) else Frame(name, "app") for name in names)
    return (Frame(process, kind=FrameKind.PROCESS), *frames)


def store() -> MemoryStore:
    """Two processes, recursion, a kernel frame, names that need care, an unknown frame, a sample without stack."""
    web = Process(4242, T0 - 60 * SECOND, "web server", "/system.slice/web.service", "")
    bad = Process(7, 0, "evil\x1b[31m;name", "", "")
    read = Frame("vfs_read", "[kernel]", kind=FrameKind.KERNEL)
    jit = Frame("py::run", "perf-4242.map", kind=FrameKind.JIT)
    facts = [
        Fact(
            T0 + 1 * SECOND,
            web,
            1,
            _stack("web server", "main", "serve", "parse<int; char>"),
            weight=30,
            flags=Flag.WHOLE,
        ),
        Fact(
            T0 + 2 * SECOND,
            web,
            2,
            _stack("web server", "main", "serve", "serve", "écrire 文字"),
            weight=20,
            flags=Flag.WHOLE,
        ),
        Fact(
            T0 + 3 * SECOND,
            web,
            2,
            _stack("web server", "main", "serve", Frame("read", "libc.so.6"), read),
            weight=30,
            flags=Flag.WHOLE | Flag.KERNEL_MODE,
        ),
        Fact(
            T0 + 4 * SECOND,
            web,
            1,
            _stack("web server", "main", jit, Frame("", "/usr/lib/libz.so.1")),
            weight=15,
            flags=Stop.NO_ROW << STOP_SHIFT | Flag.GUESSED,
        ),
        Fact(
            T0 + 5 * SECOND,
            bad,
            7,
            _stack("evil\x1b[31m;name", Frame("", kind=FrameKind.UNKNOWN)),
            weight=4,
            flags=Stop.NO_MAPPING << STOP_SHIFT,
        ),
        Fact(T0 + 6 * SECOND, Process(99), 99, weight=1),
    ]
    out = MemoryStore(recorded=True)
    out.set_hosts([HOST])
    out.append(batch_of(facts, Symbols()))
    out.append_gauges(HostSample(T0 + 6 * SECOND, cpu_user=0.25, own_cpu=0.0042, own_memory_bytes=61 << 20))
    out.set_health(
        [
            Health("cpu", State.RUNNING, "", 100, {"ring full": 1234}, {"stack cut": 5}),
            Health("gpu", State.FAILED, "no device: run aperture doctor"),
        ]
    )
    return out
