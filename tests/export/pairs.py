"""Two small, fixed stores with a program before and after a change."""

from __future__ import annotations

from collections.abc import Mapping

from aperture_tui.export.comparison import Side
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts
from aperture_tui.profile.kinds import Flag, FrameKind
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.memory import MemoryStore
from tests.store.facts import SECOND, T0, Fact, batch_of

PERIOD = 10_000_000
LONG = Frame("std::map<int, std::vector<文字>>::operator[](int const&)", "libstore.so.2")
HOSTILE = Frame("evil\x1b[31m;\nname", "/opt/\x07app")
PARSE = Frame("parse", "app")
PYTHON = Frame("decode", "", "/srv/1/json/decoder.py", 7, FrameKind.PYTHON)
BEFORE: Mapping[Frame | None, int] = {
    PARSE: 300,
    LONG: 200,
    HOSTILE: 150,
    PYTHON: 100,
    Frame("old_way", "app"): 50,
    Frame("vfs_read", "kernel", kind=FrameKind.KERNEL): 196,
    None: 4,
}
AFTER: Mapping[Frame | None, int] = {
    PARSE: 600,
    LONG: 400,
    HOSTILE: 300,
    PYTHON._replace(file="/srv/2/json/decoder.py", line=9): 440,
    Frame("new_way", "app"): 60,
    Frame("vfs_read", "kernel", kind=FrameKind.KERNEL): 196,
    None: 4,
}


def store(functions: Mapping[Frame | None, int], seconds: int, pid: int, period_ns: int = PERIOD) -> MemoryStore:
    """Samples of functions, spread evenly over this time. None: what came without a stack."""
    web, shell = Process(pid, T0, "web server"), Process(pid + 1, T0, "sh")
    out = MemoryStore(recorded=True)
    facts = []
    for function, samples in functions.items():
        for i in range(samples):
            process = shell if i % 50 == 0 or (function and function.function == PYTHON.function) else web
            stack = (
                ()
                if function is None
                else (Frame(process.name, kind=FrameKind.PROCESS), Frame("main", "app"), function)
            )
            at = T0 + i * seconds * SECOND // samples
            facts.append(Fact(at, process, 1, stack, duration_ns=period_ns, flags=Flag.WHOLE))
    out.append(batch_of([*facts, Fact(T0 + seconds * SECOND - 1, web, duration_ns=period_ns)], Symbols()))
    out.set_hosts([HostFacts("box", "6.1.0", 4, 1 << 30)])
    out.set_health([Health("cpu", State.RUNNING, "", 9, {"ring full": 12} if pid == 1 else {})])
    return out


def sides(query: Query | None = None, period_ns: int = PERIOD) -> tuple[Side, Side]:
    """Ten seconds before, twenty after."""
    query = query or Query()
    return (
        Side("old.aperture", store(BEFORE, 10, 1), query),
        Side("new.aperture", store(AFTER, 20, 4242, period_ns), query),
    )
