"""The rules in force and what became of each, gone through once a minute, one question after the other."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aperture_tui.fleet.aggregator.alerts.measuring import Machines, Reading, Window, machines, reading, window
from aperture_tui.fleet.aggregator.alerts.states import Alert, State
from aperture_tui.fleet.aggregator.refusal import LOG, Refused
from aperture_tui.profile.text import clean

if TYPE_CHECKING:
    from aperture_tui.fleet.aggregator.alerts.rules import Rule
    from aperture_tui.fleet.aggregator.storage import TenantStorage

INTERVAL_S: Final = 60.0
_SPREAD: Final = 0.1
"""By what part of it each wait is longer or shorter: several aggregators are not to ask one database together."""
_LONGEST_S: Final = 60.0
"""With one rule: groups that are not reached by then are not known. The next rule has as long."""
_NOBODY: Final = "nobody that it is about has pushed within a day"

_LATE: Final = Reading(why=f"its rule took more than {_LONGEST_S:.0f} s before its turn came")

Ask = Callable[[str, "Callable[[TenantStorage], Any]"], Awaitable[Any]]
"""Calls a function with a tenant's storage in the thread of a question, within its time. Raises Refused."""


@dataclass
class InForce:
    """A rule, and an alert for each of its groups. left_out: groups past the most that are looked at.

    measured_ns: when it was gone through last, Unix nanoseconds; 0 if it was not.
    """

    rule: Rule
    alerts: dict[str, Alert] = field(default_factory=dict)
    left_out: int = 0
    measured_ns: int = 0


class Rounds:
    """What is known survives nothing: it begins anew with the aggregator. Belongs to the event loop's thread.

    clock_ns: Unix nanoseconds. rest: called with seconds after each question. steady: seconds, of a clock that is
    never set.
    """

    def __init__(
        self,
        ask: Ask,
        clock_ns: Callable[[], int] = time.time_ns,
        rest: Callable[[float], Awaitable[object]] = asyncio.sleep,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._clock_ns = clock_ns
        self._rest = rest
        self._steady = steady
        self._rules: Sequence[Rule] = ()
        self.in_force: list[InForce] = []
        self.round_s = 0.0
        """How long it took to go through all of them last."""

    def take(self, rules: Sequence[Rule]) -> None:
        """These are in force from now on. What is known of those that stay as they are stays too."""
        if rules is self._rules:
            return
        self._rules = rules
        known = {one.rule: one for one in self.in_force}
        self.in_force = [known.get(rule) or self._begun(rule) for rule in rules]

    async def run(self, interval_s: float = INTERVAL_S) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(interval_s * random.uniform(1 - _SPREAD, 1 + _SPREAD))  # noqa: S311
            await self.go_round()

    async def go_round(self) -> None:
        """Measure all, one after the other."""
        began = self._steady()
        for one in [*self.in_force]:
            await self._measure(one)
        self.round_s = self._steady() - began

    def _begun(self, rule: Rule) -> InForce:
        return InForce(rule, {"": Alert("", self._clock_ns())})

    async def _measure(self, one: InForce) -> None:
        rule, now_ns, began = one.rule, self._clock_ns(), self._steady()
        found = await self._asked(rule, lambda storage: machines(rule, storage.hosts(), now_ns))
        if isinstance(found, Reading):
            groups: dict[str, Machines | Reading] = dict.fromkeys(one.alerts or [""], found)
        else:
            some, one.left_out = found
            groups = {of.name: of for of in some} or {"": Reading(why=_NOBODY)}
        for name in [*one.alerts]:
            if name not in groups:
                self._forget(one, name)
        within = window(rule, now_ns)
        for name, of in groups.items():
            if isinstance(of, Machines):
                late = self._steady() - began > _LONGEST_S
                of = _LATE if late else await self._asked(rule, partial(_reading, rule, of, within))
            self._step(one, name, of, now_ns)
        one.measured_ns = now_ns

    async def _asked(self, rule: Rule, find: Callable[[TenantStorage], Any]) -> Any:
        """What `find` gives, or a reading that says why there is none. Then others have as long as it took."""
        began = self._steady()
        try:
            return await self._ask(rule.tenant, find)
        except Refused as refused:
            return Reading(why=refused.words)
        except Exception as error:  # a mistake of ours, which the other rules do not have to suffer for
            LOG.error("alert %s of %s: %s: %s", rule.name, rule.tenant, type(error).__name__, clean(str(error)))
            return Reading(why=f"the aggregator failed at this: {type(error).__name__}")
        finally:
            await self._rest(self._steady() - began)

    def _step(self, one: InForce, name: str, found: Reading, now_ns: int) -> None:
        alert = one.alerts.setdefault(name, Alert(name, now_ns))
        before = alert.state if alert.measured else None
        alert.step(one.rule, found, now_ns)
        if alert.state is before or (before is None and alert.state is State.OK):
            return
        rule = one.rule
        of = f" [{clean(name)}]" if rule.by else ""
        was = f" (was {before.name.lower()})" if before is not None else ""
        level = logging.WARNING if alert.state in (State.FIRING, State.UNKNOWN) else logging.INFO
        told = f"alert {rule.name}{of} of {rule.tenant}: {alert.state.name.lower()}{was}: {_why(rule, alert)}"
        LOG.log(level, "%s", told)

    def _forget(self, one: InForce, name: str) -> None:
        alert = one.alerts.pop(name)
        if alert.state in (State.FIRING, State.PENDING):
            words = "alert %s [%s] of %s: forgotten (was %s): it has not pushed for a day, or others took its place"
            LOG.warning(words, one.rule.name, clean(name), one.rule.tenant, alert.state.name.lower())


def _reading(rule: Rule, of: Machines, within: Window, storage: TenantStorage) -> Reading:
    return reading(storage.store, rule, of, within)


def _why(rule: Rule, alert: Alert) -> str:
    if alert.value is None:
        return alert.why
    return f"{rule.measure} {alert.value:.4g}, at least {alert.at_least:.4g}; the limit is {rule.above:.4g}"
