"""The rows of the list of machines: chosen, put together by service, in order. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from aperture_tui.store.fleet_base import HostState
from aperture_tui.store.remote.link import Fleet, Focus, is_stale
from aperture_tui.tui.remote import service_words

SORTS: Final = ("name", "last seen", "lost", "events", "problem", "version", "service")
"""What `s` goes through."""


class HostLine(NamedTuple):
    """One machine, or all machines of a service together.

    host: its name, "" of a service. hosts: how many machines, of `known` that the service has, where not all match.
    stale: how many of them are not heard of any more. seen_ns: the last push of any of them. interval_ms: the longest
    of them. cpus, memory_bytes, events, lost: of all of them. version: that of most, and how many others there are.
    problems: how many have one; problem: the first. inside: it stands below its service. unfolded: its machines stand
    below it.
    """

    host: str
    service: str
    hosts: int = 1
    known: int = 1
    stale: int = 0
    seen_ns: int = 0
    interval_ms: int = 0
    lost: int = 0
    events: int = 0
    version: str = ""
    problem: str = ""
    problems: int = 0
    cpus: int = 0
    memory_bytes: int = 0
    kernel: str = ""
    first_ns: int = 0
    inside: bool = False
    unfolded: bool = False

    @property
    def focus(self) -> Focus:
        """What is looked at when it is chosen."""
        return Focus((self.host,)) if self.host else Focus(service=self.service)

    @property
    def name(self) -> str:
        """What it is called."""
        return self.host or service_words(self.service)


def lines(
    fleet: Fleet, sort: str = SORTS[0], pattern: str = "", grouped: bool = False, unfolded: frozenset[str] = frozenset()
) -> list[HostLine]:
    """The rows in order. pattern: of those whose name, service, version or problem it matches; it compiles.

    grouped: a row for each service, with its machines below those that are `unfolded`.
    """
    chosen = _matching(fleet.hosts, pattern)
    if not grouped:
        return _ordered((_line(host, fleet.now_ns) for host in chosen), sort)
    known: defaultdict[str, int] = defaultdict(int)
    for host in fleet.hosts:
        known[host.service] += 1
    parts: defaultdict[str, list[HostLine]] = defaultdict(list)
    for host in chosen:
        parts[host.service].append(_line(host, fleet.now_ns)._replace(inside=True))
    services = [_together(service, part, known[service]) for service, part in parts.items()]
    out: list[HostLine] = []
    for one in _ordered(services, sort):
        below = one.service in unfolded
        out.append(one._replace(unfolded=below))
        out += _ordered(parts[one.service], sort) if below else []
    return out


def _matching(hosts: Sequence[HostState], pattern: str) -> Sequence[HostState]:
    if not pattern:
        return hosts
    found = re.compile(pattern).search
    return [one for one in hosts if any(map(found, (one.name, one.service, one.version, one.problem)))]


def _line(host: HostState, now_ns: int) -> HostLine:
    stale = is_stale(host.seen_ns, host.interval_ms, now_ns)
    return HostLine(
        host.name,
        host.service,
        1,
        1,
        int(stale),
        host.seen_ns,
        host.interval_ms,
        host.lost,
        host.events,
        host.version,
        host.problem,
        int(bool(host.problem)),
        host.cpus,
        host.memory_bytes,
        host.kernel,
        host.first_ns,
    )


def _together(service: str, part: Sequence[HostLine], known: int) -> HostLine:
    versions = Counter(one.version for one in part if one.version).most_common()
    kernels = {one.kernel for one in part if one.kernel}
    problems = [one for one in part if one.problem]
    return HostLine(
        "",
        service,
        len(part),
        known,
        sum(one.stale for one in part),
        max(one.seen_ns for one in part),
        max(one.interval_ms for one in part),
        sum(one.lost for one in part),
        sum(one.events for one in part),
        f"{versions[0][0]}{f' +{len(versions) - 1}' if len(versions) > 1 else ''}" if versions else "",
        f"{problems[0].host}: {problems[0].problem}" if problems else "",
        len(problems),
        sum(one.cpus for one in part),
        sum(one.memory_bytes for one in part),
        next(iter(kernels)) if len(kernels) == 1 else "",
        min((one.first_ns for one in part if one.first_ns), default=0),
    )


@lru_cache(1 << 16)
def natural(text: str) -> tuple[tuple[str, int], ...]:
    """What names are ordered by: "web-2" comes before "web-10"."""
    parts: list[tuple[str, str]] = re.findall(r"(\D*)(\d*)", text[:200])
    return tuple((words, int(number or -1)) for words, number in parts)


_BY: Final[dict[str, Callable[[HostLine], tuple[object, ...]]]] = {
    "name": lambda line: (),
    "last seen": lambda line: (line.seen_ns,),
    "lost": lambda line: (-line.lost,),
    "events": lambda line: (-line.events,),
    "problem": lambda line: (-line.problems, -line.stale),
    "version": lambda line: (natural(line.version),),
    "service": lambda line: (natural(line.service),),
    "hosts": lambda line: (-line.hosts,),
    "stale": lambda line: (-line.stale,),
}
"""What an order compares before the name."""


def _ordered(found: Iterable[HostLine], sort: str) -> list[HostLine]:
    by = _BY[sort]
    return sorted(found, key=lambda line: (*by(line), natural(line.host or line.service), line.service))
