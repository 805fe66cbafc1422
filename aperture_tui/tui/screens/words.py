"""What the screens say in words: what is missing and why, what is being waited for. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from aperture_tui.export.names import COUNTED
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import Kind
from aperture_tui.tui import figures
from aperture_tui.tui.attached import COLLECTORS, health_of
from aperture_tui.tui.looking import Looking
from aperture_tui.tui.model import Unit, ViewRequest, ViewSnapshot
from aperture_tui.tui.widgets.header import MARK

Line = tuple[str, str]
"""A text and its style key."""

_NOUNS: Final = {
    Kind.CPU: "samples",
    Kind.SYSCALL: "system calls",
    Kind.LOCK: "waits for locks",
    Kind.OFFCPU: "waits",
}
_NOTHING: Final = {
    Kind.CPU: (
        "was on no CPU in this window",
        "Nothing ran in this window.",
        "Nothing that is watched has run on a CPU.",
    ),
    Kind.SYSCALL: (
        "ended no system call in this window",
        "No system call ended in this window.",
        "Nothing that is watched has called the kernel.",
    ),
    Kind.LOCK: (
        "waited for no lock in this window",
        "Nothing waited for a lock in this window.",
        "Nothing that is watched has waited for a lock.",
    ),
    Kind.OFFCPU: (
        "waited for nothing in this window",
        "Nothing waited in this window.",
        "Nothing that is watched has waited yet; a wait is seen when it ends, or after a second.",
    ),
}
"""Of one process, of this window, and at all."""


def nothing_at_all(error: str) -> list[Line]:
    """In place of everything, when it could not begin."""
    return [("Nothing can be shown", "*error"), ("", "text"), (error, "text"), ("", "text"), ("q quits", "muted")]


def nothing_yet(snapshot: ViewSnapshot, looking: Looking, kind: Kind) -> list[Line]:
    """Why there is nothing to see, and what may be done about it."""
    noun = "wakes" if looking.wakers else _NOUNS[kind]
    one = health_of(kind, snapshot.health)
    state = one.state if one is not None else State.STOPPED
    if one is not None and state is State.FAILED:
        why = one.message or "no reason is known; ! has all that is"
        return [(f"No {noun}: the collector failed", "*error"), ("", "text"), (why, "text")]
    title = f"No {noun} {'here' if snapshot.span.events and state is not State.STARTING else 'yet'}"
    return [(title, "*text"), ("", "text"), (_why(snapshot, looking, kind, one), "muted")]


def _why(snapshot: ViewSnapshot, looking: Looking, kind: Kind, one: Health | None) -> str:
    of_process, of_window, at_all = _NOTHING[kind]
    if one is not None and one.state is State.STARTING:
        return one.message or ("The collectors are starting." if kind is Kind.CPU else "The collector is starting.")
    if one is None and kind is Kind.CPU and any(h.state is State.STARTING for h in snapshot.health):
        return "The collectors are starting."
    if kind is not Kind.CPU and looking.frozen:
        return f"There are none up to {clock(snapshot) or 'now'}, where time stands still. space lets it go on."
    if kind is not Kind.CPU and (one is None or one.state is State.STOPPED):
        return f"The collector {COLLECTORS[kind]} is not attached."
    if looking.wakers:
        return "None was seen in this window. w shows who waited."
    if looking.lock is not None:
        return f"Nothing waited for {looking.lock.name} in this window. Esc shows all locks."
    if looking.process is not None:
        return f"{looking.process.name} ({looking.process.pid}) {of_process}. Esc shows all processes."
    return f"{of_window} ] makes it longer." if snapshot.span.events else at_all


def matching(weight: int | None, whole: int, unit: Unit) -> Line:
    """How much matches the search: the words, and their style key. weight: None while that is not known."""
    if weight is None:
        return "…", "muted"
    if not whole:
        return f"no {'time' if unit.timed else unit.word}", "text"
    return f"{figures.percent(weight, whole)} of {'the time' if unit.timed else unit.word} match", "text"


def counted(request: ViewRequest) -> str:
    """What has the stacks that are shown."""
    return "wakes" if request.wakers else COUNTED[request.kind]


def clock(snapshot: ViewSnapshot) -> str:
    """The end of the view as a time of day; "" while there is none."""
    return time.strftime("%H:%M:%S", time.localtime(snapshot.end_ns / 1e9)) if snapshot.end_ns else ""


def is_running(kind: Kind, snapshot: ViewSnapshot) -> bool:
    """Whether a kind is collected: nothing of it is then none."""
    one = health_of(kind, snapshot.health)
    return one is not None and one.state is State.RUNNING


def collectors(health: Sequence[Health]) -> tuple[tuple[str, State], ...]:
    """Which are attached, or about to be, or failed."""
    found = ((name, health_of(kind, health)) for kind, name in COLLECTORS.items())
    return tuple((name, one.state) for name, one in found if one is not None and one.state is not State.STOPPED)


def starting(snapshot: ViewSnapshot | None, waited_s: float) -> str:
    """What is being waited for, with a mark that moves; "" when nothing is."""
    mark = MARK[int(waited_s * 5) % len(MARK)]
    if snapshot is None:
        return f"{mark} starting {waited_s:.1f} s"
    if snapshot.fatal:
        return ""
    for one in snapshot.health:
        if one.state is State.STARTING:
            return f"{mark} {one.message or f'{one.name} is starting'} {waited_s:.1f} s"
    return ""
