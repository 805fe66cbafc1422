"""What a measurement gives: figures with their spread, a budget, a verdict. Pure."""

from __future__ import annotations

import enum
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST_FOR_P99 = 100
"""With fewer values the 99th percentile is the maximum, and says so little that it is not given."""


class Verdict(enum.Enum):
    """How a figure stands to its budget."""

    MET = "met"
    MISSED = "missed"
    UNDECIDED = "within the noise"
    """The median keeps the budget and a round did not, or the other way round."""
    NONE = ""
    """It has no budget: a peer, or a figure that explains another."""
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    measure: what was measured, the same words for ours and for its peers. subject: whose figure it is. unit: of the
    values and of the budget. values: one a round (or a single one that was already a quantile). budget: an upper
    limit. why: the reason, in one line, when there are no values; otherwise a remark. comparable: whether a quotient
    with a peer's figure says anything; that of two numbers around zero does not.
    """

    measure: str
    subject: str
    unit: str
    values: tuple[float, ...] = ()
    budget: float | None = None
    why: str = ""
    comparable: bool = True

    @property
    def median(self) -> float | None:
        """The median of the rounds, None if there are none."""
        return statistics.median(self.values) if self.values else None

    @property
    def verdict(self) -> Verdict:
        """Against the budget; a verdict that one round contradicts is none."""
        if not self.values:
            return Verdict.NOT_MEASURED
        if self.budget is None:
            return Verdict.NONE
        if max(self.values) <= self.budget:
            return Verdict.MET
        return Verdict.MISSED if min(self.values) > self.budget else Verdict.UNDECIDED

    def as_json(self) -> dict[str, Any]:
        """A dict of JSON types."""
        return {
            "measure": self.measure,
            "subject": self.subject,
            "unit": self.unit,
            "median": self.median,
            "values": list(self.values),
            "budget": self.budget,
            "verdict": self.verdict.value,
            "why": self.why,
        }


def quantile(values: Sequence[float], q: float) -> float:
    """The smallest value that at least this part (0 to 1) of them does not exceed. Raises ValueError for none."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)]


def throughput_loss(iterations: float, cpu_s: float, base_iterations: float, base_cpu_s: float) -> float:
    """How much less a load did a CPU second than its baseline, in percent; negative if it did more."""
    return 100 * (1 - (iterations / cpu_s) / (base_iterations / base_cpu_s))
