"""What the screens say in words: what is missing and why, what is being waited for. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aperture_tui.export.names import COUNTED
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Group
from aperture_tui.store.base import CUT_SHORT
from aperture_tui.store.remote.link import Focus, Link, LinkState
from aperture_tui.tui import figures
from aperture_tui.tui.attached import EVENTS, health_of, unsaid
from aperture_tui.tui.density.model import UNKNOWN
from aperture_tui.tui.filter_words import is_filter
from aperture_tui.tui.looking import Looking
from aperture_tui.tui.model import IcicleView, Unit, ViewRequest, ViewSnapshot
from aperture_tui.tui.remote import focus_words
from aperture_tui.tui.wall_clock import clock
from aperture_tui.tui.where_words import nothing_passes
from aperture_tui.tui.widgets.header import MARK
from aperture_tui.tui.widgets.time_line import TimeFacts, mark

_LONG_S: Final = 0.5
"""A shorter wait is not worth a word."""

Line = tuple[str, str]
"""A text and its style key."""

NOUNS: Final = {
    Kind.CPU: "samples",
    Kind.SYSCALL: "system calls",
    Kind.LOCK: "waits for locks",
    Kind.OFFCPU: "waits",
    Kind.GPU_KERNEL: "kernels",
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
    Kind.GPU_KERNEL: (
        "had a GPU run nothing in this window",
        "No kernel ran in this window.",
        "No program has told of a kernel.",
    ),
}
"""Of one process, of this window, and at all."""


def no_picture(snapshot: ViewSnapshot) -> list[Line]:
    """In place of everything: that it could not begin, that there is no answer, or that one is waited for."""
    if snapshot.error and not snapshot.fatal:
        return [
            ("No answer", "*error"),
            ("", "text"),
            (snapshot.error, "text"),
            ("", "text"),
            ("It is tried again.", "muted"),
        ]
    if not snapshot.error:
        return [("…", "muted")]
    error = snapshot.error
    return [("Nothing can be shown", "*error"), ("", "text"), (error, "text"), ("", "text"), ("q quits", "muted")]


def no_base(view: IcicleView) -> str:
    """Why there is nothing in what a picture is compared with."""
    return "(cannot be compared)" if view.base_total is None else "(nothing then, or not held any more)"


def nothing_yet(snapshot: ViewSnapshot, looking: Looking, kind: Kind) -> list[Line]:
    """Why there is nothing to see, and what may be done about it."""
    noun = "wakes" if looking.wakers else NOUNS[kind]
    one = health_of(kind, snapshot.health)
    state = one.state if one is not None else State.STOPPED
    if one is not None and state is State.FAILED:
        why = one.message or "no reason is known; ! has all that is"
        return [(f"No {noun}: the collector failed", "*error"), ("", "text"), (why, "text")]
    if left_out := nothing_passes(noun, looking.where, snapshot.passed):
        return left_out
    if snapshot.pushed is not None:
        if not snapshot.pushed:
            return _never_pushed(looking.focus)
        return _not_pushed(kind, noun) if kind not in snapshot.pushed else _nothing_pushed(looking, kind)
    if snapshot.recorded is not None:
        recorded = kind in snapshot.recorded
        return _nothing_then(snapshot, looking, kind) if recorded else _not_recorded(snapshot, kind, noun)
    title = f"No {noun} {'here' if snapshot.span.events and state is not State.STARTING else 'yet'}"
    if kind is not Kind.CPU and looking.past and _nobody_looked(snapshot):
        title = f"Nothing is known of {noun} then"
    return [(title, "*text"), ("", "text"), (_why(snapshot, looking, kind, one), "muted")]


def _not_recorded(snapshot: ViewSnapshot, kind: Kind, noun: str) -> list[Line]:
    how = f"Such events were not collected: record them with --events {EVENTS[kind]}, or all."
    why = unsaid(snapshot.span, snapshot.health) or how
    return [(f"No {noun} in this recording", "*text"), ("", "text"), (why, "muted")]


def _not_pushed(kind: Kind, noun: str) -> list[Line]:
    how = f"Nothing of this kind was pushed from here: agents collect it with --events {EVENTS[kind]}, or all."
    return [(f"No {noun}", "*text"), ("", "text"), (how, "muted")]


def _never_pushed(focus: Focus) -> list[Line]:
    """Of machines that have pushed nothing: it may be that there are none of that name."""
    why = "Nothing was ever pushed from there. If the name is right, its agent says why; 0 lists what there is."
    return [(f"Nothing of {focus_words(focus)}", "*text"), ("", "text"), (why, "muted")]


def _nothing_pushed(looking: Looking, kind: Kind) -> list[Line]:
    """Of machines that push such events, but had none then, or of others."""
    further = "] makes it longer, { and } look earlier and later, L looks at the newest."
    why = _of_selection(looking, kind) or f"None were pushed of this window. {further}"
    return [(f"No {NOUNS[kind] if not looking.wakers else 'wakes'} here", "*text"), ("", "text"), (why, "muted")]


def _nothing_then(snapshot: ViewSnapshot, looking: Looking, kind: Kind) -> list[Line]:
    """Of a recording that has such events at other times, or of others."""
    further = "] makes it longer, < and > look earlier and later."
    if not snapshot.span.events:
        why = f"It {CUT_SHORT}, before it held any events."
        why = why if snapshot.span.cut_short else "Nothing happened while this was recorded."
    elif not snapshot.gauges:  # between two files, perhaps: who did not look cannot say that nothing ran
        why = f"None were recorded in this window, nor any reading of the host. {further}"
    else:
        why = _of_selection(looking, kind) or f"{_NOTHING[kind][1]} {further}"
    return [(f"No {NOUNS[kind] if not looking.wakers else 'wakes'} here", "*text"), ("", "text"), (why, "muted")]


def _of_selection(looking: Looking, kind: Kind) -> str:
    """That there is nothing of what was chosen, and how to choose all; "" if nothing was."""
    if looking.wakers:
        return "None was seen in this window. w shows who waited."
    if looking.lock is not None:
        return f"No wait for {looking.lock.name} ended in this window. Esc shows all locks."
    if looking.process is not None:
        return f"{looking.process.words} {_NOTHING[kind][0]}. Esc shows all processes."
    return ""


def _nobody_looked(snapshot: ViewSnapshot) -> bool:
    """Whether the timeline knows that it knows nothing of the time that is looked at."""
    density = snapshot.density
    if density is None or not density.weights or not snapshot.end_ns:
        return False
    first, last = (density.grid.column_of(at) for at in (snapshot.end_ns - snapshot.range_ns, snapshot.end_ns - 1))
    return all(weight == UNKNOWN for weight in density.weights[first : last + 1])


def _why(snapshot: ViewSnapshot, looking: Looking, kind: Kind, one: Health | None) -> str:
    _, of_window, at_all = _NOTHING[kind]
    if one is not None and one.state is State.STARTING:
        return one.message or ("The collectors are starting." if kind is Kind.CPU else "The collector is starting.")
    if one is None and kind is Kind.CPU and any(h.state is State.STARTING for h in snapshot.health):
        return "The collectors are starting."
    if looking.past and snapshot.end_ns <= snapshot.span.dropped_until_ns:
        return f"What there was is not held any more: {snapshot.span.limit or 'the newest'} is. L shows the newest."
    if kind is not Kind.CPU and looking.past:
        if _nobody_looked(snapshot):
            return f"The collector {EVENTS[kind]} was not attached, or had just begun. L looks at now."
        up_to = clock(snapshot.end_ns) or "now"
        return f"None were collected up to {up_to}, where time stands still. L looks at now."
    if kind is not Kind.CPU and (one is None or one.state is State.STOPPED):
        return f"The collector {EVENTS[kind]} is not attached."
    if words := _of_selection(looking, kind):
        return words
    return f"{of_window} ] makes it longer." if snapshot.span.events else at_all


def matching(weight: int | None, whole: int, unit: Unit) -> Line:
    """How much matches the search: the words, and their style key. weight: None while that is not known."""
    if weight is None:
        return "…", "muted"
    if not whole:
        return f"no {'time' if unit.timed else unit.word}", "text"
    return f"{figures.percent(weight, whole)} of {'the time' if unit.timed else unit.word} match", "text"


def grouped(group: Group, by_module: bool = False) -> str:
    """By what stacks are told apart; "" for by nothing else than their process."""
    if by_module:
        return "by module"
    return "" if group is Group.PROCESS else f"by {group.name.lower()}"


def counted(request: ViewRequest) -> str:
    """What has the stacks that are shown."""
    return "wakes" if request.wakers else COUNTED[request.kind]


def short_time(facts: TimeFacts, rich: bool) -> str:
    """How a recording plays and where, in few cells. rich: the terminal has more than ASCII."""
    return f"{mark(facts.plays, facts.speed, not rich)} {clock(facts.at_ns)}".rstrip()


def short_link(link: Link, looked_at: str) -> str:
    """Which machines of an aggregator are looked at, and whether it answers, in few cells."""
    since = figures.age(max(1.0, link.since_s) * 1e9)
    told = {LinkState.LOST: f"! lost {since}", LinkState.STALE: f"? {since}", LinkState.SLOW: f"~ slow {since}"}
    return " ".join(filter(None, [looked_at, told.get(link.state, "")]))


def is_running(kind: Kind, snapshot: ViewSnapshot) -> bool:
    """Whether a kind is collected, or was for this recording: nothing of it is then none."""
    if snapshot.pushed is not None:
        return kind in snapshot.pushed
    if snapshot.recorded is not None:
        return kind in snapshot.recorded
    one = health_of(kind, snapshot.health)
    stands_still = snapshot.request.end_ns is not None
    return one is not None and one.state is State.RUNNING and not (stands_still and _nobody_looked(snapshot))


def collectors(health: Sequence[Health]) -> tuple[tuple[str, State], ...]:
    """Which are attached, or about to be, or failed."""
    found = ((name, health_of(kind, health)) for kind, name in EVENTS.items())
    return tuple((name, one.state) for name, one in found if one is not None and one.state is not State.STOPPED)


def starting(snapshot: ViewSnapshot | None, waited_s: float, recording: str = "", reading: bool = False) -> str:
    """What is being waited for, with a mark that moves; "" when nothing is.

    recording: the name of the one shown; reading: what is on the screen is not what is looked at.
    """
    turning = MARK[int(waited_s * 5) % len(MARK)]
    if snapshot is None:
        return f"{turning} {f'opening {recording}' if recording else 'starting'} {waited_s:.1f} s"
    if reading and waited_s >= _LONG_S:
        return f"{turning} {'reading' if recording else 'asking'} {waited_s:.1f} s"
    if snapshot.fatal or snapshot.recorded is not None or snapshot.pushed is not None:
        return ""
    one = begins(snapshot.health)
    return "" if one is None else f"{turning} {one.message or f'{one.name} is starting'} {waited_s:.1f} s"


def begins(health: Sequence[Health]) -> Health | None:
    """What is starting, if something is; a filter that is tried again is nothing to wait for."""
    return next((one for one in health if one.state is State.STARTING and not is_filter(one)), None)
