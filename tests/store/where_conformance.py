"""That every store lets the same events pass for every filter line."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.query import Group, Measure, Query
from aperture_tui.profile.symbols import Frame, Process
from aperture_tui.profile.where import parse
from tests.store import facts
from tests.store.where_facts import LINES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aperture_tui.store.base import Store

_PROCESSES = (
    Process(1, facts.T0 - 5, "sh", "/a", ""),
    Process(2, facts.T0 - 6, "python3", "/a/b", "web"),
    Process(4_000_000, facts.T0 - 7, "Python3", "/system.slice/docker-1.scope", "web-2"),
    Process(3, facts.T0 - 8, "", "", ""),
)
_PATHS = (
    (),
    (Frame("main", "app"), Frame("read", "libc.so.6", kind=FrameKind.NATIVE)),
    (Frame("main", "app", "a.py", 3, FrameKind.PYTHON), Frame("std::vector<int, A>::push_back", "libc.so.6")),
    (Frame("a b", "libx.so", "/srv/a.py", 9, FrameKind.PYTHON), Frame("écrire", "kernel", kind=FrameKind.KERNEL)),
    (Frame("x;y", ""),),
)
_TAGS: tuple[frozenset[str], ...] = (frozenset(), frozenset({"slow"}), frozenset({"tenant-a", "x, y"}))


def varied() -> list[facts.Fact]:
    """Events that differ in everything that a line can name."""
    out = []
    for n, (process, path, kind) in enumerate(
        itertools.product(_PROCESSES, _PATHS, (Kind.CPU, Kind.SYSCALL, Kind.OFFCPU))
    ):
        stack = (Frame(process.name, kind=FrameKind.PROCESS), *path) if path or n % 2 else ()
        out.append(
            facts.Fact(
                facts.T0 + n * 1_000_000, process, n % 5, stack, kind, [500, 6_000_000, 2_000_000_000, 0][n % 4],
                weight=1 + n % 3, thread=["main", "worker", ""][n % 3], name=["", "futex", "read"][n // 2 % 3],
                tags=_TAGS[n // 3 % 3],
            )
        )  # fmt: skip
    return out


class WhereConformance:
    """A part of the suite."""

    def filled(self, *parts: Sequence[facts.Fact]) -> Store:
        """A store that was given these facts."""
        raise NotImplementedError

    def test_every_filter_line_lets_pass_what_it_says(self) -> None:
        told = varied()
        store, counted = self.filled(told), facts.Reference(told)
        for line, kind in itertools.product(LINES, (Kind.CPU, Kind.SYSCALL, Kind.OFFCPU)):
            query = Query(kind, where=parse(line))
            assert facts.words(store.call_tree(query)) == counted.tree(query), (line, kind)

    def test_a_filter_line_narrows_every_answer(self) -> None:
        told = varied()
        store, counted = self.filled(told), facts.Reference(told)
        for line in ("comm:sh,python3 -fn:main", "fn:main tag:slow", ">1us -lib:libx name:f*,read", "-sh cgroup:/a"):
            for kind, measure in itertools.product((Kind.SYSCALL, Kind.OFFCPU), Measure):
                query = Query(kind, where=parse(line), measure=measure)
                whole = replace(query, where=Query().where)
                weight = sum(counted.tree(query).values())
                assert 0 < weight < sum(counted.tree(whole).values()), (line, kind)
                assert store.completeness(query) == counted.completeness(query)
                assert sum(one.count for one in store.processes(query)) == sum(
                    fact.weight for fact in counted.told(query)
                )
                assert int(store.timeline(query, 4).weights.sum()) == weight
                assert {(one.pid, one.name) for one in store.latencies(query)} == {
                    (fact.process.pid, fact.name) for fact in counted.told(query)
                }
                _, events = store.selected(query)
                assert int(events["weight"].sum()) == sum(fact.weight for fact in counted.told(query))
                assert facts.words(store.diff(whole, query)) == counted.diff(whole, query)
                by_thread = replace(query, group=Group.THREAD)
                assert facts.words(store.call_tree(by_thread)) == counted.tree(by_thread)
