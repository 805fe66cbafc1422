"""What is taken away: what the picture on the screen is made of, and in which formats there is that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from aperture_tui.export.formats import DIFFERENCES, FORMATS, Format
from aperture_tui.profile.kinds import Kind, Role
from aperture_tui.store.remote.link import FLEET, Focus
from aperture_tui.tui import figures, wall_clock
from aperture_tui.tui.screens.words import grouped

if TYPE_CHECKING:
    from aperture_tui.profile.query import Query
    from aperture_tui.tui.looking import Looking
    from aperture_tui.tui.model import ViewRequest, ViewSnapshot

_KINDS: Final = {
    Kind.CPU: "CPU samples",
    Kind.SYSCALL: "system calls",
    Kind.LOCK: "waits for locks",
    Kind.OFFCPU: "off-CPU time",
    Kind.GPU_KERNEL: "GPU kernels",
}
_OF_WAKERS: Final = ("svg", "folded", "speedscope", "pprof")
_OF_MANY: Final = ("svg", "folded")
"""Those that can be put together of several questions."""
SVG_PICTURE, TEXT_PICTURE = "picture", "screen"
PICTURES: Final = (
    Format(SVG_PICTURE, ".screen.svg", "this screen as it is, in colour", "open it in a browser"),
    Format(TEXT_PICTURE, ".screen.txt", "this screen as it is, as text", "then: less {file}"),
)


@dataclass(frozen=True)
class Subject:
    """What is exported. queries: whose stacks the picture is made of; against: what they are compared with.

    focus, base_focus: of which machines of an aggregator; remote: it is one. absolute: compared by weights.
    words: all of it for the reader. host, event: for the name of a file. end_ns: of the window, Unix nanoseconds.
    """

    queries: tuple[Query, ...]
    against: Query | None
    focus: Focus
    base_focus: Focus
    remote: bool
    absolute: bool
    words: str
    host: str
    event: str
    end_ns: int

    @property
    def kind(self) -> Kind:
        """Of the events."""
        return self.queries[0].kind

    @property
    def title(self) -> str:
        """What a file of it is called inside."""
        return ": ".join(filter(None, [self.host, self.words]))


class Choice(NamedTuple):
    """A format in the list. problem: why there is none of it now, "" if there is."""

    form: Format
    what: str
    problem: str = ""


def subject(snapshot: ViewSnapshot | None, looking: Looking, host: str) -> Subject | None:
    """What is on the screen; None where that is nothing that can be asked again."""
    if snapshot is None or not snapshot.asked or snapshot.icicle is None or not snapshot.end_ns:
        return None
    request = snapshot.request
    event = "gpu" if request.kind is Kind.GPU_KERNEL else request.kind.name.lower()
    return Subject(
        queries=snapshot.asked,
        against=snapshot.against,
        focus=request.focus,
        base_focus=request.base.focus if request.base is not None else FLEET,
        remote=snapshot.pushed is not None,
        absolute=request.absolute,
        words=_words(snapshot, request, looking),
        host=host,
        event=f"{event}-diff" if snapshot.against is not None else event,
        end_ns=snapshot.end_ns,
    )


def _words(snapshot: ViewSnapshot, request: ViewRequest, looking: Looking) -> str:
    told = [_KINDS.get(request.kind, "events")]
    if request.wakers:
        told = [f"wakers of {told[0]}"]
    if request.process is not None:
        told[0] += f" of {request.process.words}"
    if request.lock is not None:
        told.append(f"lock {request.lock.name}" + (f" 0x{request.lock.value:x}" if request.lock.value else ""))
    told.append(grouped(request.group))
    start, end = (wall_clock.clock(at) for at in (snapshot.end_ns - snapshot.range_ns, snapshot.end_ns))
    told.append(f"{start} to {end}, {figures.duration(snapshot.range_ns)}")
    if snapshot.against is not None and request.base is not None:
        told.append(
            f"compared with {wall_clock.clock(request.base.start_ns)} to {wall_clock.clock(request.base.end_ns)}"
        )
    left = [word for word, on in (("zoom", request.zoom), ("search", looking.search)) if on]
    told.append(f"all of it, whatever the {' and '.join(left)}" if left else "")
    return ", ".join(filter(None, told))


def choices(what: Subject | None, inferno: Callable[[str], str]) -> tuple[Choice, ...]:
    """All formats, of the subject or of the screen alone. inferno: why a tool of it cannot be run, "" if it can."""
    problems = dict.fromkeys((form.name for form in FORMATS), "this view has no stacks to export")
    if what is not None:
        problems = _problems(what, inferno)
    differs = what is not None and what.against is not None
    told: Mapping[str, str] = DIFFERENCES if differs else {}
    return (
        *(Choice(form, told.get(form.name, form.what), problems.get(form.name, "")) for form in FORMATS),
        *(Choice(form, form.what) for form in PICTURES),
    )


def _problems(what: Subject, inferno: Callable[[str], str]) -> dict[str, str]:
    """Format -> why there is none of it."""
    out: dict[str, str] = {}
    if what.queries[0].role is Role.WAKER:
        out |= {form.name: "of wakers there are stacks alone" for form in FORMATS if form.name not in _OF_WAKERS}
    if len(what.queries) > 1:
        words = "of who woke one process: as svg or folded"
        out |= {form.name: words for form in FORMATS if form.name not in _OF_MANY}
    tools = ("inferno-flamegraph", "inferno-diff-folded") if what.against is not None else ("inferno-flamegraph",)
    problem = next(filter(None, map(inferno, tools)), "")
    return out | ({"svg": problem} if problem else {})


def inferno(name: str) -> str:
    """Why this tool cannot be run, with what mends it; "" if it can."""
    from aperture_tui.export.svg import MissingInfernoError, find

    try:
        find(name)
    except MissingInfernoError as error:
        return str(error)
    return ""
