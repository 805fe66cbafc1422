"""What a part of the profiler says of itself. Free of numpy."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from aperture_tui.profile.text import clean


class State(enum.Enum):
    """Where a collector or sink stands."""

    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Health:
    """One line of truth about a collector, a filter or a sink; cumulative since its start.

    delivered: events handed on. lost: cause -> events (or stacks, as the cause says) that were lost; a cause that
    cannot be known is absent, not zero. degraded: cause -> events that arrived with less than they should carry.
    lag_ns: age of the oldest undelivered event at the last drain; None when unknown.
    cpu_ns: CPU time in user space; bpf_ns: run time of its programs in the kernel, None where the kernel does not say.
    memory_bytes: what its buffers and maps hold. message: one clear line, with the command that mends it.
    """

    name: str
    state: State
    message: str = ""
    delivered: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)
    degraded: Mapping[str, int] = field(default_factory=dict)
    lag_ns: int | None = None
    cpu_ns: int | None = None
    bpf_ns: int | None = None
    memory_bytes: int | None = None

    @property
    def lost_total(self) -> int:
        """All losses together."""
        return sum(self.lost.values())

    def as_json(self) -> dict[str, Any]:
        """A dict of JSON types, for recordings and `--format json`."""
        return {
            **asdict(self),
            "state": self.state.value,
            "lost": dict(self.lost),
            "degraded": dict(self.degraded),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Health:
        """The inverse of `as_json`. Raises KeyError, TypeError or ValueError on anything else."""
        counts: dict[str, Any] = {name: _causes(data.get(name, {})) for name in ("lost", "degraded")}
        counts |= {name: _count(data[name]) for name in _NUMBERS if data.get(name) is not None}
        # texts are cleaned again: a recording comes from anyone
        return cls(clean(data["name"]), State(data["state"]), clean(data.get("message", "")), **counts)


class Losses:
    """Tells whether anything more was lost since it was asked last. Belongs to one thread."""

    def __init__(self) -> None:
        self._before: dict[str, int] = {}

    def rose(self, health: Iterable[Health]) -> bool:
        """Whether one of these has lost more than when it was last among them; at first, whether anything."""
        now = {one.name: one.lost_total for one in health}
        risen = any(lost > self._before.get(name, 0) for name, lost in now.items())
        self._before |= now
        return risen


_NUMBERS: Final = ("delivered", "lag_ns", "cpu_ns", "bpf_ns", "memory_bytes")


def _causes(value: Any) -> dict[str, int]:
    return {clean(cause): _count(events) for cause, events in dict(value).items()}


def _count(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError(f"not a count: {value!r}")
    return value
