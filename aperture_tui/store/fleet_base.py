"""What a store of a fleet knows of its machines, beside their events. Free of numpy."""

from __future__ import annotations

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
