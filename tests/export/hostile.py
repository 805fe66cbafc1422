"""Names as an attacker would choose them."""

from __future__ import annotations

from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.memory import MemoryStore
from tests.store.facts import SECOND, T0, Fact, batch_of

NAMES = [
    "semi;colon 12",
    "quo\"te's </title><script>alert(1)</script> &amp;",
    "\x1b[31mred\x00\r\n\x9b",
    "surrogate \udce9\ud800",
    "back\\slash \\u0041 %s %(x)s",
    "日本語 🔥 \u202eright to left",
    "_[k]",
    "thread 7 8.5",
    "#comment",
    "-o",
    " ",
    "x" * 20_000,
]


def store() -> MemoryStore:
    """Each of the names as that of a process, a thread, a function, a module, a file and an event."""
    out = MemoryStore(recorded=True)
    facts = []
    for i, name in enumerate(NAMES):
        process = Process(i + 1, T0, name, f"/{name}", name)
        stack = (Frame(name, kind=FrameKind.PROCESS), Frame(name, name, name, i), Frame(name, kind=FrameKind.KERNEL))
        for kind in (Kind.CPU, Kind.OFFCPU, Kind.SYSCALL, Kind.LOCK, Kind.GPU_KERNEL):
            at = T0 + i * SECOND
            facts.append(Fact(at, process, i + 1, stack, kind, 1000 + i, 1, name, name))
            facts.append(Fact(at, process, i + 1, stack[:1], kind, 1000 + i, 3 + i, name, name))
    out.append(batch_of(facts, Symbols()))
    return out
