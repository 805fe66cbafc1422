"""What a chain says of itself to whoever shows it, and what it may be asked to do. Free of numpy and wasmtime."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from aperture_tui.filters.log import Line
    from aperture_tui.filters.spec import Spec


class Standing(enum.Enum):
    """Where a filter stands."""

    RUNNING = "running"
    OFF = "off"
    """Switched off: everything passes."""
    WAITING = "waiting"
    """It has failed, and is tried again with the first events after a pause."""
    DISABLED = "disabled"
    """It has failed too often to be tried again by itself."""
    STOPPED = "stopped"
    """It has failed, and nothing passes any more: so it was asked for."""
    CLOSED = "closed"


@dataclass(slots=True)
class Counters:
    """Events, cumulative; a swap of the program does not set them back.

    events_in: that came; events_out: that went on; dropped: by its verdicts; tagged, weighed: of those that went on,
    that it gave a tag, or more weight; unfiltered: that went on unjudged, and lost: that were let go unjudged, because
    it had failed; saturated: whose weight, multiplied, did not fit. errors: failures. restarts: programs begun anew.
    calls; ns: time that the calls took, and all around them.
    """

    events_in: int = 0
    events_out: int = 0
    dropped: int = 0
    tagged: int = 0
    weighed: int = 0
    unfiltered: int = 0
    lost: int = 0
    saturated: int = 0
    errors: int = 0
    restarts: int = 0
    calls: int = 0
    ns: int = 0

    @property
    def ns_per_event(self) -> float | None:
        """None before the first event."""
        return self.ns / self.events_in if self.events_in else None

    def copy(self) -> Counters:
        """As they are now, for another thread."""
        return replace(self)


class Program(NamedTuple):
    """What is at work: of its file the SHA-256 in hex and the size in bytes; abi: the version that it was built for;
    tags: the names of those that it may give.
    """

    sha256: str
    size: int
    abi: str
    tags: tuple[str, ...] = ()


class Limits(NamedTuple):
    """What every filter may take: memory, CPU time of a call, log lines a second."""

    memory_bytes: int
    call_ns: int
    log_lines: int


class AtWork(NamedTuple):
    """What only the judging thread may look at, as it was between two batches.

    reason: why it failed last. retry_at: when it may be tried again, seconds of the chain's clock. counters: a copy.
    memory_bytes: 0 while there is no program. obeyed: how often it had been told something that it has done.
    """

    program: Program
    standing: Standing
    reason: str
    retry_at: float
    counters: Counters
    memory_bytes: int
    obeyed: int = 0


@dataclass(frozen=True, slots=True)
class FilterState:
    """One filter as it is shown.

    on: as it was switched last. waits: it was switched, or has a new program, which the next events will find.
    retry_s: until it may be tried again. reloading: its file is being made ready. reload_error: why what the file has
    now is not at work. log: its newest lines, oldest first; log_suppressed: lines beyond the rate.
    """

    name: str
    spec: Spec
    at_work: AtWork
    on: bool = True
    waits: bool = False
    retry_s: float = 0.0
    reloading: bool = False
    reload_error: str = ""
    log: tuple[Line, ...] = ()
    log_suppressed: int = 0

    @property
    def standing(self) -> Standing:
        """With what it was told since the last batch."""
        if self.at_work.standing is Standing.CLOSED:
            return Standing.CLOSED
        if not self.on:
            return Standing.OFF
        return Standing.RUNNING if self.waits else self.at_work.standing

    @property
    def failed(self) -> bool:
        """Whether it does not do its work, though it should."""
        return self.standing in (Standing.WAITING, Standing.DISABLED, Standing.STOPPED)


@dataclass(frozen=True, slots=True)
class ChainState:
    """All filters, in order. events_in, events_out: of the chain, cumulative. lost: that found no room in its queue, or
    a chain that crashed; failure: by what, "" if it has not. fixed: none can be switched or begun anew, for what it has
    judged is not judged again.
    """

    filters: tuple[FilterState, ...]
    limits: Limits
    events_in: int = 0
    events_out: int = 0
    lost: int = 0
    failure: str = ""
    fixed: bool = False


class Controls(Protocol):
    """A chain at work. Any thread may call these, at any time, and none waits for a filter or a compiler."""

    def told(self) -> ChainState:
        """How it stands."""
        ...

    def switch(self, name: str, on: bool) -> None:
        """Switch a filter; from the next batch on. Raises FilterError for a name that none has."""
        ...

    def reload(self, name: str) -> None:
        """Put to work what its file has now, even if that is the same; once it is ready. Raises FilterError."""
        ...
