"""What a rule measures, of whom, and how much of that is certain. Called in the thread of a question."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from aperture_tui.fleet.aggregator.alerts.rules import CORES, SHARE, By, Rule
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Measure, Query
from aperture_tui.profile.where import EVERYTHING, OF_MACHINES, Key, Where
from aperture_tui.store.base import Estimate
from aperture_tui.store.clickhouse.frame_search import LinearSearch

if TYPE_CHECKING:
    from aperture_tui.fleet.aggregator.storage import AskedStore
    from aperture_tui.store.fleet_base import HostState

MOST_GROUPS: Final = 100
"""Services or hosts of one rule."""
_MINUTE_NS: Final = 60_000_000_000
_LAG_NS: Final = 30_000_000_000
"""How old a minute is before it is looked at: by then most agents have pushed what they have of it."""
FORGOTTEN_NS: Final = 86_400_000_000_000
"""Who has not pushed for so long is not looked at any more."""
_Z: Final = 1.96
"""Of a 95 % interval."""


class Window(NamedTuple):
    """Whole minutes, half-open, Unix nanoseconds: those that are summed already."""

    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Machines:
    """Those that one value is of. name: of the service or host, "" of all together. query: what says which they are.

    first_ns, newest_ns: their oldest event that is held, and their newest event or reading.
    """

    name: str
    query: Query
    first_ns: int
    newest_ns: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What was measured; None: not known, and why in one line. at_least: the lower end of its 95 % interval."""

    value: float | None = None
    at_least: float = 0.0
    why: str = ""


def window(rule: Rule, now_ns: int) -> Window:
    """What is looked at now."""
    end_ns = (now_ns - _LAG_NS) // _MINUTE_NS * _MINUTE_NS
    return Window(end_ns - rule.window_s * 1_000_000_000, end_ns)


def machines(rule: Rule, hosts: Sequence[HostState], now_ns: int) -> tuple[list[Machines], int]:
    """Of whom a rule has a value, by name, and how many more there are than are looked at.

    Who a line takes whole is asked about without that line: there are sums by service, and none by parts of one.
    """
    terms = Where(rule.where.about(OF_MACHINES))
    taken = _taken(terms, hosts)
    every, its = Counter(host.service for host in hosts), Counter(host.service for host in taken)
    groups: defaultdict[str, list[HostState]] = defaultdict(list)
    for host in taken:
        if now_ns - host.seen_ns <= FORGOTTEN_NS:
            groups[_group(rule.by, host)].append(host)
    found = []
    for name in sorted(groups)[:MOST_GROUPS]:
        of = groups[name]
        services = its if rule.by is None else {host.service for host in of}
        query = Query(hosts=(name,)) if rule.by is By.HOST else _query(terms, services, its, every)
        first = min((host.first_ns for host in of if host.first_ns), default=0)
        found.append(Machines(name, query, first, max(host.newest_ns for host in of)))
    return found, max(0, len(groups) - MOST_GROUPS)


def _taken(terms: Where, hosts: Sequence[HostState]) -> list[HostState]:
    of = list(hosts)
    for term in terms.about(OF_MACHINES):
        names = [host.name if term.key is Key.HOST else host.service for host in of]
        hits = LinearSearch().matching(term.source, names).tolist()
        of = [host for host, hit in zip(of, hits, strict=True) if hit is not term.negated]
    return of


def _group(by: By | None, host: HostState) -> str:
    if by is None:
        return ""
    return host.service if by is By.SERVICE else host.name


def _query(terms: Where, services: Collection[str], its: Mapping[str, int], every: Mapping[str, int]) -> Query:
    """The machines that the terms take of some services. its, every: how many they take of each, and there are."""
    whole = all(its[service] == every[service] for service in services)
    if whole and len(services) == len(every):
        return Query()
    if len(services) == 1:
        (service,) = services
        return Query(service=service, where=EVERYTHING if whole else terms)
    return Query(where=terms)


class _Sum(NamedTuple):
    """What a query's events add up to."""

    amount: int
    estimate: Estimate

    def at_least(self, among: _Sum) -> float:
        """The lower end of its 95 % interval. among: what it was found in, as its error is told of that.

        Of n that were looked at, each scaled to so many, a sum is off by as much as Estimate says of a share of one
        half: half of the interval is 2 * share_error of the sum; and of a part of that, by the root of the part.
        """
        return max(0.0, self.amount - 2 * self.estimate.share_error * math.sqrt(self.amount * among.amount))

    @property
    def at_most(self) -> float:
        """The upper end."""
        return self.amount * (1 + 2 * self.estimate.share_error)


def reading(store: AskedStore, rule: Rule, of: Machines, within: Window) -> Reading:
    """The value of a rule for some machines. Raises what a store does."""
    told_ns = min(within.end_ns, of.newest_ns) - within.start_ns  # of machines that are new all before is nothing
    if 2 * (told_ns - max(0, of.first_ns - within.start_ns)) < within.end_ns - within.start_ns:
        return Reading(why="less than half of the window was pushed")
    if rule.kind not in store.kinds(of.query):
        return Reading(why="no events of this kind were ever pushed")
    measure = Measure.TIME if rule.is_timed else Measure.COUNT
    whole = replace(of.query, kind=rule.kind, start_ns=within.start_ns, end_ns=within.end_ns, measure=measure)
    part = replace(whole, where=Where((*of.query.where.terms, *rule.where.but(OF_MACHINES).terms)))
    matched, everything = _sum(store, part), _sum(store, whole)
    if matched.estimate.missing_ns or everything.estimate.missing_ns:
        return Reading(why="a part of the window is kept no more")
    among = everything if part.by_frames and everything.amount > matched.amount else matched
    if rule.measure == SHARE:
        if not everything.amount:
            return Reading(why="there is nothing of this kind in the window")
        value, least = matched.amount / everything.amount, matched.at_least(among) / everything.at_most
    else:
        per = told_ns / 1e9 * (1e9 if rule.measure == CORES else 1.0)
        value, least = matched.amount / per, matched.at_least(among) / per
    if rule.kind is Kind.CPU and value > rule.above:  # what is sampled itself is a matter of chance as well
        counted = replace(whole if rule.measure == SHARE else part, measure=Measure.COUNT)
        samples = _sum(store, counted).amount
        least = of_samples(least, samples) if rule.measure == SHARE else of_rate(least, samples)
    return Reading(value, min(value, least))


def of_samples(share: float, samples: int) -> float:
    """The lower end of the 95 % interval of a share that so many samples had (Wilson, 1927): few say little."""
    if samples < 1:
        return 0.0
    share, square = min(1.0, share), _Z * _Z
    middle = share + square / (2 * samples)
    spread = _Z * math.sqrt(share * (1 - share) / samples + square / (4 * samples * samples))
    return max(0.0, (middle - spread) / (1 + square / samples))


def of_rate(rate: float, samples: int) -> float:
    """The lower end of the 95 % interval of a rate that so many samples tell of, each by chance (Poisson)."""
    return rate * max(0.0, 1 - _Z / math.sqrt(samples)) if samples else 0.0


def _sum(store: AskedStore, query: Query) -> _Sum:
    timeline, estimate = store.timeline_found(query, 1)
    return _Sum(int(timeline.weights.sum()), estimate)
