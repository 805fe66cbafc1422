"""What a store of a fleet knows of its machines, beside their events. Free of numpy."""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostState:
    """One machine. Times are Unix nanoseconds; 0 is unknown.

    first_ns, newest_ns: by its own clock, its oldest and newest event or reading. seen_ns: its last push, by the
    aggregator's clock. events, lost: since first_ns; what its agent had and never pushed. problem: of its collectors.
    """

    name: str
    service: str = ""
    version: str = ""
    first_ns: int = 0
    newest_ns: int = 0
    seen_ns: int = 0
    events: int = 0
    lost: int = 0
    interval_ms: int = 0
    kernel: str = ""
    cpus: int = 0
    memory_bytes: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """One push as it is stored. start_ns, end_ns: of its events, half-open. lost: of its agent until then."""

    host: str
    service: str
    boot: bytes
    seq: int
    start_ns: int
    end_ns: int
    stored_ns: int
    events: int
    lost: int


class AlertState(enum.IntEnum):
    """Of an alert. The numbers go over the wire."""

    UNKNOWN = 0
    """It could not be measured."""
    OK = 1
    PENDING = 2
    """It is above, but not yet for long enough."""
    FIRING = 3


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """What a rule says of one group. group: the name of the service or host, "" of all machines together.

    since_ns: from when on, Unix nanoseconds. value: None if it is not known, and why; at_least: the lower end of its
    95 % interval.
    """

    group: str
    state: AlertState
    since_ns: int
    value: float | None
    at_least: float
    why: str


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """A rule of an aggregator, with its alerts. by: "service", "host" or "" for one alert of all machines together.

    measured_ns: when last, 0 for never. left_out: groups past the most that are looked at.
    """

    name: str
    kind: str
    where: str
    measure: str
    by: str
    above: float
    for_s: int
    window_s: int
    measured_ns: int
    left_out: int
    alerts: tuple[AlertFacts, ...]
