"""What the screens ask for and what they are given: immutable, free of numpy, passed between threads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aperture_tui.profile.completeness import Completeness
from aperture_tui.profile.health import Health
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.latency import Latency
from aperture_tui.profile.query import Group, Query
from aperture_tui.profile.where import EVERYTHING, Where
from aperture_tui.store.base import Estimate, Span
from aperture_tui.store.passed import Passed
from aperture_tui.store.remote.link import FLEET, Fleet, Focus
from aperture_tui.tui.density.model import NO_SCALE, Density, Scale
from aperture_tui.tui.forms.model import TREE, Form, FunctionsView
from aperture_tui.tui.gpu.model import NO_LANES, GpuView, Sight
from aperture_tui.tui.playhead import Held


@dataclass(frozen=True, slots=True)
class FrameLabel:
    """A frame in words, and what to write on its box.

    forms: labels, longest first; shade: 0 to 2, a lightness that tells modules apart.
    """

    function: str
    module: str
    file: str
    line: int
    kind: FrameKind
    forms: tuple[str, ...]
    shade: int


Path = tuple[FrameLabel, ...]
"""Frames from the outermost one inwards; () is the whole. Stands for a selection or a zoom, as node ids come and go."""


class Box(NamedTuple):
    """One frame of the icicle. left, right: cells, half-open. parent: its index in the row above, -1 in the first.

    total, own: the weight of the stacks through it, and of those that end in it; -1 of callers, which only led there.
    was: in what it is compared with, the weight of the stacks through it; None where nothing is compared.
    """

    left: int
    right: int
    parent: int
    label: FrameLabel
    total: int
    own: int
    was: int | None = None


class Row(NamedTuple):
    """One depth of the icicle: boxes from left to right.

    hatches: cells, half-open, under which children lie that are too narrow to draw. above: the row is outside of
    what is zoomed to. note: words instead of boxes.
    """

    boxes: tuple[Box, ...]
    hatches: tuple[tuple[int, int], ...] = ()
    above: bool = False
    note: str = ""


class Unit(NamedTuple):
    """What the weights of an icicle are. word: what they are called; timed: nanoseconds, else a count."""

    word: str = "samples"
    timed: bool = False


SAMPLES: Final = Unit()
EXACT: Final = Estimate()


@dataclass(frozen=True, slots=True)
class IcicleView:
    """The visible boxes of a call tree.

    total: weight of all; zoomed: weight under the zoom, which the width stands for. zoom: where it is zoomed to, as far
    as that exists. collapsed: the frames above the first row that has boxes. first: index of that row.
    matching: weight under the zoom whose stack matches the search, None without a search. deeper: there are more rows.
    unit: of all weights. waits: they are time that passed waiting. base_total: weight of all that it is compared with,
    None where nothing is. absolute: weights are compared, not shares. flip: above this row the caller of a frame is in
    the row below it. left_out: frames that are not drawn because they have less than the threshold.
    """

    rows: tuple[Row, ...]
    width: int
    total: int
    zoomed: int
    zoom: Path = ()
    collapsed: Path = ()
    first: int = 0
    matching: int | None = None
    deeper: bool = False
    unit: Unit = SAMPLES
    waits: bool = False
    base_total: int | None = None
    absolute: bool = False
    flip: int = 0
    left_out: int = 0


class ProcessKey(NamedTuple):
    """One process: a pid is reused, a pid and its start are not. name is for the reader.

    Of several machines together there are no numbers: pid is 0, and it stands for all processes of this name.
    """

    pid: int
    start_ns: int
    name: str

    @property
    def words(self) -> str:
        """ "postgres (1001)", or "postgres"."""
        return f"{self.name or '?'} ({self.pid})" if self.pid else self.name or "?"


class ProcessLine(NamedTuple):
    """One process in the view. cores: how many CPUs it kept busy, on average over the view; None where that is unknown,
    as of files that tell no times or no durations. share: of the samples.

    place: its container, or the last part of its cgroup. recent: cores over the last seconds, oldest first.
    stacks: how many of its samples' stacks are whole.
    """

    key: ProcessKey
    place: str
    threads: int
    cores: float | None
    share: float
    recent: tuple[float, ...]
    stacks: Completeness


class LatencyKey(NamedTuple):
    """One row of a table of calls or waits. value: a lock's address; tid: 0 where threads are not told apart.

    process: its name, where that is all that tells it apart; "" else.
    """

    pid: int
    start_ns: int
    name: str
    value: int = 0
    tid: int = 0
    process: str = ""


class LatencyLine(NamedTuple):
    """One row of a table of calls or waits.

    told: of the view's range; its count is 0 where there is only something in flight. in_flight: what goes on now, None
    for nothing. recent: events a second over the last seconds, oldest first. holders: of a lock, (tid, times it was
    held by that when somebody began to wait), most first; wakers: (tid, times that it ended a wait).
    """

    key: LatencyKey
    told: Latency
    in_flight: Latency | None = None
    recent: tuple[float, ...] = ()
    holders: tuple[tuple[int, int], ...] = ()
    wakers: tuple[tuple[int, int], ...] = ()

    @property
    def process(self) -> ProcessKey:
        """Whose it is."""
        return ProcessKey(self.key.pid, self.key.start_ns, self.told.process)


class WallPart(NamedTuple):
    """A part of the time of a process's threads. name: "on-CPU", "runnable", or what they were blocked in."""

    name: str
    time_ns: int
    waits: int


class Baseline(NamedTuple):
    """What a picture is compared with: a half-open stretch of time, Unix nanoseconds, of a process or of all, of which
    machines of an aggregator.

    Both times 0: always the time of the picture itself, of other machines. recording: the name of one, all of which is
    meant.
    """

    start_ns: int
    end_ns: int
    process: ProcessKey | None = None
    focus: Focus = FLEET
    recording: str = ""

    @property
    def at_once(self) -> bool:
        """Whether it is of the time of the picture."""
        return not self.end_ns and not self.recording


@dataclass(frozen=True, slots=True)
class ViewRequest:
    """What the screen shows now. window_s: so many seconds, None is all that is held. width: of the icicle.

    end_ns: where the window ends, Unix nanoseconds; None is the newest that is known.
    zoom: only what is under this path. search: a pattern that compiles.
    kind: of the events; it says whether there is a table of latencies, and whether their time is set against that on
    the CPU. processes: a table of them is wanted. group: by what stacks are told apart. wakers: the stacks of those who
    ended the waits, not of those who waited. lock: the stacks of this one alone. focus: of which machines of an
    aggregator. fleet: all its machines are wanted, and nothing else. base: what the icicle is compared with. absolute:
    by weights and not by shares. lanes: what of the lanes of GPUs is wanted. form: how the call tree is shown. where:
    the filter line. scale: what of the timeline.
    """

    width: int
    kind: Kind = Kind.CPU
    window_s: float | None = 30.0
    process: ProcessKey | None = None
    zoom: Path = ()
    by_weight: bool = False
    search: str = ""
    end_ns: int | None = None
    processes: bool = True
    group: Group = Group.PROCESS
    wakers: bool = False
    lock: LatencyKey | None = None
    focus: Focus = FLEET
    fleet: bool = False
    base: Baseline | None = None
    absolute: bool = False
    lanes: Sight = NO_LANES
    form: Form = TREE
    where: Where = EVERYTHING
    scale: Scale = NO_SCALE


class Latencies(NamedTuple):
    """The rows of a table of calls or waits, most time first. total_ns, total_count: of all, also those cut off.

    left_out: how many rows were cut off; none of them is among the first by time, number, errors or longest.
    """

    lines: tuple[LatencyLine, ...] = ()
    total_ns: int = 0
    total_count: int = 0
    left_out: int = 0


class Wall(NamedTuple):
    """What the time of some threads passed with. threads_ns: the time of all of them together, None for unknown."""

    parts: tuple[WallPart, ...]
    threads_ns: int | None = None


@dataclass(frozen=True, slots=True)
class ViewSnapshot:
    """One answer. error: one line, if the store could not answer; what else stands here is then the last that it said.

    end_ns, range_ns: the end of the view and what it really spans. stacks: how many of its stacks are whole, zoomed or
    not. latencies, wall: where the request's kind has them. held: the time that can be looked at. recorded: of a
    recording, the kinds that were collected for it; None: it is live. pushed: of an aggregator, the kinds that it has
    of what is looked at; None: it is of none. fleet: its machines. estimate: how exact it is. tags: that its events may
    have. gpu: what GPUs did, where the request's kind is of them. functions: the table of them, where that is the form.
    passed: how much the filter line lets pass. density: the timeline, where one is wanted. cost_ms: what the answer
    took. asked: the queries whose stacks the icicle is made of; against: the one that they are compared with, None for
    nothing.
    """

    request: ViewRequest
    icicle: IcicleView | None = None
    processes: tuple[ProcessLine, ...] = ()
    latencies: Latencies = field(default_factory=Latencies)
    wall: Wall | None = None
    gauges: tuple[HostSample, ...] = ()
    hosts: tuple[HostFacts, ...] = ()
    health: tuple[Health, ...] = ()
    span: Span = field(default_factory=Span)
    stacks: Completeness = field(default_factory=Completeness)
    end_ns: int = 0
    range_ns: int = 0
    held: Held = field(default_factory=Held)
    recorded: frozenset[Kind] | None = None
    pushed: frozenset[Kind] | None = None
    fleet: Fleet | None = None
    estimate: Estimate = EXACT
    tags: tuple[str, ...] = ()
    gpu: GpuView | None = None
    functions: FunctionsView | None = None
    passed: Passed | None = None
    density: Density | None = None
    error: str = ""
    fatal: bool = False
    cost_ms: float = 0.0
    asked: tuple[Query, ...] = ()
    against: Query | None = None

    @property
    def is_of_many(self) -> bool:
        """Whether it is of several machines together: there are no readings of them, nor numbers of processes."""
        return self.pushed is not None and len(self.hosts) > 1
