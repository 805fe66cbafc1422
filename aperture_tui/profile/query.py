"""What is asked of a Store. Free of numpy: the screens build queries before anything heavy is imported."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from aperture_tui.profile.kinds import Kind, Role
from aperture_tui.profile.where import EVERYTHING, OF_MACHINES, OF_STACKS, Where


class Measure(enum.Enum):
    """What the weights of an answer count."""

    COUNT = "count"
    """Samples, waits, calls."""
    TIME = "time"
    """Nanoseconds."""


class Group(enum.IntEnum):
    """By what stacks are told apart, beside what they are of. The numbers go over the wire."""

    PROCESS = 0
    """By their process alone, which every stack begins with."""
    THREAD = 1
    """They have a frame for their thread under that of their process."""
    TAG = 2
    """They begin with a frame for the tags that filters gave the event; that of the process is under it."""
    CGROUP = 3
    """They begin with a frame for the control group of their process."""
    CONTAINER = 4
    """They begin with a frame for the container of their process."""


@dataclass(frozen=True, slots=True)
class Query:
    """A selection of events. Every field narrows it; the defaults select all CPU samples that are held.

    start_ns, end_ns: Unix nanoseconds, half-open; None is the oldest or the newest that is held.
    hosts: any of these machines; empty is all. service: only machines that say they are of it.
    pids, tids: any of them; empty is all. process_start_ns tells a reused pid apart: with one pid given, only the
    process that started then. process: exact process name. cgroup: this path and everything below it.
    frame: a regular expression (Python's, case-sensitive) that a function, module or file of the stack must match.
    name: the exact name of the event: a syscall, a kind of lock. value: a lock's address. role: whose part is told.
    tags: events to which filters gave any of these; empty is all, those without a tag too. without_tags: none of these.
    group: by what stacks are told apart, and with THREAD calls and waits.
    where: the terms of a line that all hold too (profile.where); those that say nothing of the kind let all pass.
    """

    kind: Kind = Kind.CPU
    start_ns: int | None = None
    end_ns: int | None = None
    hosts: tuple[str, ...] = ()
    service: str | None = None
    pids: tuple[int, ...] = ()
    process_start_ns: int | None = None
    tids: tuple[int, ...] = ()
    process: str | None = None
    cgroup: str | None = None
    frame: str | None = None
    name: str | None = None
    value: int | None = None
    role: Role = Role.OWN
    tags: tuple[str, ...] = ()
    without_tags: tuple[str, ...] = ()
    group: Group = Group.PROCESS
    measure: Measure = Measure.COUNT
    where: Where = EVERYTHING

    @property
    def by_host(self) -> bool:
        """Whether it names machines of a service, or some that it is not about."""
        return bool(self.hosts or self.where.about(OF_MACHINES))

    @property
    def by_frames(self) -> bool:
        """Whether stacks are told apart by their frames."""
        return self.frame is not None or bool(self.where.about(OF_STACKS))

    def of_anybody(self) -> Query:
        """Whoever it is on the same machines: of the other side of waits nothing is asked that holds for who waits."""
        where = Where(self.where.about(OF_MACHINES))
        return replace(self, pids=(), process_start_ns=None, process=None, where=where)

    @property
    def terms(self) -> Where:
        """Those of `where` that say anything about its kind."""
        return self.where.of(self.kind) if self.where else EVERYTHING
