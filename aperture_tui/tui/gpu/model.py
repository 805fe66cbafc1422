"""What the view of GPUs is given: immutable, free of numpy, passed between threads."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from aperture_tui.profile.gpu_use import CopyUse, KernelUse


class Engine(enum.IntEnum):
    """What of a GPU works in a lane."""

    ANY = 0
    """All of the GPU together."""
    COMPUTE = 1
    COPY_IN = 2
    COPY_OUT = 3
    COPY = 4
    """Within a GPU, between two, or not known where."""
    MEMSET = 5


class Stretch(NamedTuple):
    """A stretch of time, half-open, Unix nanoseconds."""

    start_ns: int
    end_ns: int

    @property
    def length_ns(self) -> int:
        """At least 1."""
        return max(1, self.end_ns - self.start_ns)


class Sight(NamedTuple):
    """What of the lanes is wanted. columns: 0 for none. stretch: of the window, None for all of it."""

    columns: int = 0
    stretch: Stretch | None = None


NO_LANES: Final = Sight()


class LaneKey(NamedTuple):
    """One lane. stream: 0 of Engine.ANY."""

    device: int
    engine: Engine
    stream: int


class Lane(NamedTuple):
    """One lane in columns of equal time. share: of the stretch, in which it was busy, 0 to 1.

    busy: the same of each column. largest: of each column the longest slice in it, as an index into Lanes.names, -1 for
    none; longest_ns: how long that took; begun: how many began in it. partial: not all that ran is drawn, so that it
    may have been busy in between. unrecorded: of each column the share in which nobody recorded all that its GPU did;
    () for none in all of them.
    """

    key: LaneKey
    share: float
    busy: tuple[float, ...]
    largest: tuple[int, ...]
    longest_ns: tuple[int, ...]
    begun: tuple[int, ...]
    partial: bool = False
    unrecorded: tuple[float, ...] = ()


NOWHERE: Final = Stretch(0, 0)


@dataclass(frozen=True, slots=True)
class Lanes:
    """The lanes of a stretch. window: what the stretch is of. names: of kernels and copies.

    since_ns: since when slices are drawn, later than the window begins where there were too many. left_out: lanes that
    are not drawn. sums: executions that were told only as sums, whose time is not known. sampled: executions that are
    drawn, and stand_for: for how many, where they were sampled, else 0 both. problem: why there are none.
    """

    window: Stretch = NOWHERE
    stretch: Stretch = NOWHERE
    lanes: tuple[Lane, ...] = ()
    names: tuple[str, ...] = ()
    since_ns: int = 0
    left_out: int = 0
    sums: int = 0
    sampled: int = 0
    stand_for: int = 0
    problem: str = ""


class KernelRow(NamedTuple):
    """A row of the table of kernels. grid, block: of the launches with most of the time, "" for unknown.

    shapes: how many different ones there are.
    """

    use: KernelUse
    grid: str = ""
    block: str = ""
    shapes: int = 0


class Scope(enum.Enum):
    """Whose samples tell what the CPU did."""

    THREAD = "its launching thread"
    PROCESS = "another thread of its process"
    NONE = "none of its threads was on a CPU"
    SHORT = "too short to be sampled"
    UNKNOWN = "no CPU sample of its process is in view"


class Gap(NamedTuple):
    """A time in which a GPU did nothing, or none that is known of. more: it is cut off by the window or by time that is
    not recorded, and was or may have been longer. unrecorded: it is not known what the GPU did: it is no idleness.

    before, after: what ended and began it, "" for unknown. pid, process, tid: who launched what came next, or where
    nothing did what came before; 0 and "" for unknown. leaf, caller: where the CPU was most of the time, and the
    innermost Python function above that. samples: how many say so, of how many.
    """

    device: int
    start_ns: int
    end_ns: int
    more: bool = False
    before: str = ""
    after: str = ""
    pid: int = 0
    process: str = ""
    tid: int = 0
    scope: Scope = Scope.UNKNOWN
    leaf: str = ""
    caller: str = ""
    samples: int = 0
    of: int = 0
    unrecorded: bool = False

    @property
    def length_ns(self) -> int:
        """How long it was, within the window."""
        return self.end_ns - self.start_ns


class Idle(NamedTuple):
    """All gaps of one GPU. of_ns: the time that they are parts of. unknown_ns: how much of it was not recorded, but for
    what is known to have run in it.
    """

    device: int
    gaps: int
    time_ns: int
    of_ns: int
    unknown_ns: int = 0


@dataclass(frozen=True, slots=True)
class GpuView:
    """What GPUs did in a window. kernels, copies: most time first; kernels_left_out: rows that were cut off.

    gaps: the longest first; also the times that were not recorded. idle: of all gaps, by GPU. unknown: GPUs of which
    not all that ran is drawn, so that it is not known when they did nothing.
    """

    lanes: Lanes = field(default_factory=Lanes)
    kernels: tuple[KernelRow, ...] = ()
    kernels_left_out: int = 0
    copies: tuple[CopyUse, ...] = ()
    gaps: tuple[Gap, ...] = ()
    idle: tuple[Idle, ...] = ()
    unknown: tuple[int, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known that a GPU did."""
        return not self.kernels and not self.copies and not self.lanes.lanes
