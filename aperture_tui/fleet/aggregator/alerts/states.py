"""What becomes of a value over time: it is well, too much, too much for long enough, or not known. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aperture_tui.store.fleet_base import AlertState as State

if TYPE_CHECKING:
    from aperture_tui.fleet.aggregator.alerts.measuring import Reading
    from aperture_tui.fleet.aggregator.alerts.rules import Rule

NOT_YET: Final = "it was not measured yet"


@dataclass
class Alert:
    """A rule's value of one group. group: the name of the service or host, "" of all together. since_ns: from when on
    it is in its state, Unix nanoseconds.

    value, at_least, why: as of Reading. measured: whether it ever was tried.
    """

    group: str
    since_ns: int
    state: State = State.UNKNOWN
    value: float | None = None
    at_least: float = 0.0
    why: str = NOT_YET
    measured: bool = False
    _fired: bool = field(default=False, repr=False)

    def step(self, rule: Rule, reading: Reading, now_ns: int) -> bool:
        """Take a reading -> whether the state is another one.

        It is above if the lower end of its interval is. What could not be measured while it fired fires again when it
        can and is still above; a time that has to be waited for begins anew.
        """
        self.value, self.at_least, self.why = reading.value, reading.at_least, reading.why
        self.measured = True
        state = self._next(rule, reading, now_ns)
        self._fired = state is State.FIRING or (self._fired and state is State.UNKNOWN)
        if state is self.state:
            return False
        self.state, self.since_ns = state, now_ns
        return True

    def _next(self, rule: Rule, reading: Reading, now_ns: int) -> State:
        if reading.value is None:
            return State.UNKNOWN
        if not reading.at_least > rule.above:
            return State.OK
        waited = self.state is State.PENDING and now_ns - self.since_ns >= rule.for_s * 1_000_000_000
        return State.FIRING if self._fired or waited or not rule.for_s else State.PENDING


__all__ = ["NOT_YET", "Alert", "State"]
