"""What screens ask of a fleet: flame graphs of ranges that end now and begin anywhere. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from aperture_tui.profile.query import Query

HOUR_NS: Final = 3_600 * 10**9
DAY_NS: Final = 24 * HOUR_NS
BUCKETS: Final = 120
_NOW_NS: Final = 60 * 10**9
"""Ranges end within so much of the newest event: at any time of a minute."""
_GROUP: Final = 10
COMMON: Final = "nginx"
RARE: Final = "rsync"
"""Commands of every machine; this one has a tenth of the stacks of that one."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question. queries: one for a tree or a timeline, two for a difference."""

    queries: tuple[Query, ...]
    timeline: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of question. span_ns: how much of what is held it needs."""

    name: str
    span_ns: int
    drawn: Callable[[random.Random, int], Question]


def kinds(machines: int, services: int) -> list[Kind]:
    """All sorts. Each draws a question, given what is drawn with and the time of the newest event."""
    out = []
    for name, length in (("hour", HOUR_NS), ("day", DAY_NS)):
        for what, focus in (("agent", _agent(machines)), ("service", _service(services)), ("fleet", _fleet)):
            out.append(Kind(f"{what}-{name}", length, _tree(length, focus)))
            out.append(Kind(f"{what}-{name}, its halves compared", length, _halves(length, focus)))
    for name, length in (("hour", HOUR_NS), ("day", DAY_NS)):
        out.append(Kind(f"two groups of {_GROUP} hosts, {name}", length, _groups(length, machines)))
    for command in (COMMON, RARE):
        focus = _process(command)
        out.append(Kind(f"fleet-hour of {command}", HOUR_NS, _tree(HOUR_NS, focus)))
    out.append(Kind(f"fleet-hour over time, {BUCKETS} buckets", HOUR_NS, _timeline(HOUR_NS)))
    return out


Focus = Callable[[random.Random], Query]


def _agent(machines: int) -> Focus:
    return lambda drawn: Query(hosts=(f"agent-{drawn.randrange(machines):04d}",))


def _service(services: int) -> Focus:
    return lambda drawn: Query(service=f"svc-{drawn.randrange(services):02d}")


def _fleet(_: random.Random) -> Query:
    return Query()


def _process(command: str) -> Focus:
    return lambda _: Query(process=command)


def _range(query: Query, start_ns: int, end_ns: int) -> Query:
    return replace(query, start_ns=start_ns, end_ns=end_ns)


def _tree(length: int, focus: Focus) -> Callable[[random.Random, int], Question]:
    def drawn(random_: random.Random, newest_ns: int) -> Question:
        end = newest_ns - random_.randrange(_NOW_NS)
        return Question((_range(focus(random_), end - length, end),))

    return drawn


def _halves(length: int, focus: Focus) -> Callable[[random.Random, int], Question]:
    def drawn(random_: random.Random, newest_ns: int) -> Question:
        end = newest_ns - random_.randrange(_NOW_NS)
        query, middle = focus(random_), end - length // 2
        return Question((_range(query, end - length, middle), _range(query, middle, end)))

    return drawn


def _groups(length: int, machines: int) -> Callable[[random.Random, int], Question]:
    def drawn(random_: random.Random, newest_ns: int) -> Question:
        end = newest_ns - random_.randrange(_NOW_NS)
        hosts = [f"agent-{i:04d}" for i in random_.sample(range(machines), 2 * _GROUP)]
        groups = Query(hosts=tuple(hosts[:_GROUP])), Query(hosts=tuple(hosts[_GROUP:]))
        return Question(tuple(_range(query, end - length, end) for query in groups))

    return drawn


def _timeline(length: int) -> Callable[[random.Random, int], Question]:
    def drawn(random_: random.Random, newest_ns: int) -> Question:
        end = newest_ns - random_.randrange(_NOW_NS)
        return Question((Query(start_ns=end - length, end_ns=end),), timeline=True)

    return drawn
