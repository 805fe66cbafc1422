"""Events in words, how they become batches, and what a Store must answer about them, counted one by one."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from aperture_tui.profile.batch import Batch, empty
from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.completeness import Completeness
from aperture_tui.profile.kinds import STOP_SHIFT, Flag, FrameKind, Kind, Stop
from aperture_tui.profile.query import Measure, Query
from aperture_tui.profile.symbols import Frame, Process, Symbols

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND
"""A whole second, about which all times lie."""

Path = tuple[Frame, ...]


@dataclass(frozen=True)
class Fact:
    """One event in words."""

    time_ns: int
    process: Process
    tid: int = 1
    stack: Path = ()
    kind: Kind = Kind.CPU
    duration_ns: int = 10_101_010
    weight: int = 1
    thread: str = "main"
    name: str = ""
    flags: int = 0


def batch_of(facts: Sequence[Fact], symbols: Symbols) -> Batch:
    """The facts as a batch over these tables."""
    events = empty(len(facts))
    stacks = symbols.stacks([[symbols.frame(f) for f in fact.stack] for fact in facts])
    for event, fact, stack in zip(events, facts, stacks, strict=True):
        event["time_ns"] = fact.time_ns
        event["duration_ns"] = event["maximum_ns"] = fact.duration_ns
        event["pid"] = fact.process.pid
        event["tid"] = fact.tid
        event["process"] = symbols.process(fact.process)
        event["thread"] = symbols.string(fact.thread)
        event["name"] = symbols.string(fact.name)
        event["stack"] = stack
        event["weight"] = fact.weight
        event["kind"] = fact.kind
        event["flags"] = fact.flags
    return Batch(symbols, events)


def words(tree: CallTree) -> dict[Path, int]:
    """The stacks of a call tree with their own weights, none of them 0."""
    nodes = [(node, int(w)) for node, w in enumerate(tree.self_weight.tolist()) if w]
    return {tuple(tree.symbols.frame_at(f) for f in tree.trie.path(node)): w for node, w in nodes}


def completeness_of(facts: Sequence[Fact]) -> Completeness:
    """By the words of profile.kinds, a fact at a time."""
    known = whole = guessed = unknown = 0
    stops: Counter[Stop] = Counter()
    for fact in facts:
        reason = fact.flags >> 8 & 0xF
        if fact.flags & 32:
            whole += fact.weight
        elif 1 <= reason <= 8:
            stops[Stop(reason)] += fact.weight
        else:
            unknown += fact.weight
            continue
        known += fact.weight
        guessed += fact.weight if fact.flags & (64 | 128) else 0
    return Completeness(known, whole, guessed, unknown, {stop: n for stop, n in stops.items() if n})


class Reference:
    """The answers, by the definitions in profile.query and store.base, in plain Python."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self.facts = list(facts)

    def select(self, q: Query) -> list[Fact]:
        return [fact for fact in self.facts if self._passes(fact, q)]

    def _passes(self, fact: Fact, q: Query) -> bool:
        p = fact.process
        return (
            fact.kind == q.kind
            and (q.start_ns is None or fact.time_ns >= q.start_ns)
            and (q.end_ns is None or fact.time_ns < q.end_ns)
            and (not q.pids or p.pid in q.pids)
            and (not q.tids or fact.tid in q.tids)
            and (q.process_start_ns is None or p.start_ns == q.process_start_ns)
            and (q.process is None or p.name == q.process)
            and (q.cgroup is None or self._below(p.cgroup, q.cgroup))
            and (q.frame is None or any(self._says(q.frame, f) for f in fact.stack))
        )

    def _below(self, path: str, cgroup: str) -> bool:
        parts = [part for part in cgroup.split("/") if part]
        return bool(path) and [part for part in path.split("/") if part][: len(parts)] == parts

    def _says(self, pattern: str, frame: Frame) -> bool:
        return any(text and re.search(pattern, text) for text in frame[:3])

    def weight(self, fact: Fact, measure: Measure) -> int:
        return fact.weight if measure is Measure.COUNT else fact.duration_ns

    def tree(self, q: Query) -> dict[Path, int]:
        out: Counter[Path] = Counter()
        for fact in self.select(q):
            out[fact.stack] += self.weight(fact, q.measure)
        return {path: weight for path, weight in out.items() if weight}

    def diff(self, base: Query, after: Query) -> dict[Path, int]:
        out = Counter(self.tree(after))
        out.subtract(self.tree(base))
        return {path: weight for path, weight in out.items() if weight}

    def completeness(self, q: Query) -> Completeness:
        return completeness_of(self.select(q))

    def processes(self, q: Query) -> dict[tuple[int, int], tuple[set[Process], int, int, int, Completeness]]:
        """(pid, start) -> what its newest event may call it, threads, count, time, completeness."""
        groups: dict[tuple[int, int], list[Fact]] = defaultdict(list)
        for fact in self.select(q):
            groups[fact.process.pid, fact.process.start_ns].append(fact)
        out = {}
        for key, facts in groups.items():
            newest = max(fact.time_ns for fact in facts)
            names = {fact.process for fact in facts if fact.time_ns == newest}
            out[key] = (
                names,
                len({fact.tid for fact in facts}),
                sum(fact.weight for fact in facts),
                sum(fact.duration_ns for fact in facts),
                completeness_of(facts),
            )
        return out

    def timeline(self, q: Query, start_ns: int, bucket_ns: int, n: int) -> list[int]:
        out = [0] * n
        for fact in self.select(q):
            out[(fact.time_ns - start_ns) // bucket_ns] += self.weight(fact, q.measure)
        return out


FUNCTIONS = ["main", "read", "écrire", "std::vector<int, A>::push_back", "x;y", "a b", ""]
CGROUPS = ["", "/", "/a", "/a/b", "/ab", "/system.slice/docker-1.scope"]

times = st.builds(
    lambda second, ns: T0 + second * SECOND + ns,
    st.integers(-4, 4),
    st.one_of(st.sampled_from([0, 1, SECOND - 1]), st.integers(0, SECOND - 1)),
)
frames = st.builds(
    Frame,
    st.sampled_from(FUNCTIONS),
    st.sampled_from(["", "libc.so.6", "app"]),
    st.sampled_from(["", "a.py"]),
    st.sampled_from([0, 7]),
    st.sampled_from([FrameKind.NATIVE, FrameKind.KERNEL, FrameKind.PYTHON]),
)
processes = st.builds(
    Process,
    st.sampled_from([1, 2, 4_000_000]),
    st.sampled_from([0, T0 - 5, T0 - 6]),
    st.sampled_from(["sh", "python3", ""]),
    st.sampled_from(CGROUPS),
    st.sampled_from(["", "web"]),
)


def _with_root(process: Process, path: list[Frame]) -> Path:
    """A stack as collectors give it: the process name first; some events come without any stack."""
    return (Frame(process.name, kind=FrameKind.PROCESS), *path) if path else ()


flag_words = st.one_of(
    st.just(0),
    st.sampled_from([Flag.WHOLE, Flag.WHOLE | Flag.KERNEL_MODE, Flag.WHOLE | Flag.GUESSED, Flag.FRAME_POINTERS]),
    st.sampled_from(list(Stop)).map(lambda stop: stop << STOP_SHIFT | Flag.GUESSED),
    st.sampled_from(list(Stop)).map(lambda stop: stop << STOP_SHIFT | Flag.UNKNOWN_FRAME),
    st.integers(0, (1 << 16) - 1),
)
"""Any flags, those that collectors give more often."""

facts = processes.flatmap(
    lambda process: st.builds(
        Fact,
        time_ns=times,
        process=st.just(process),
        tid=st.sampled_from([1, 2, 3]),
        stack=st.lists(frames, max_size=5).map(lambda path: _with_root(process, path)),
        kind=st.sampled_from([Kind.CPU, Kind.CPU, Kind.OFFCPU]),
        duration_ns=st.integers(0, 1 << 40),
        weight=st.integers(0, 1 << 20),
        thread=st.sampled_from(["main", "worker"]),
        name=st.sampled_from(["", "futex"]),
        flags=flag_words,
    )
)
"""Any event."""

queries = st.builds(
    Query,
    kind=st.sampled_from([Kind.CPU, Kind.CPU, Kind.OFFCPU, Kind.LOCK]),
    start_ns=st.none() | times | st.sampled_from([0, T0 * 2]),
    end_ns=st.none() | times | st.sampled_from([0, T0 * 2]),
    pids=st.sampled_from([(), (1,), (1, 2), (99,)]),
    process_start_ns=st.sampled_from([None, None, None, T0 - 5, 0]),
    tids=st.sampled_from([(), (), (1,), (2, 3)]),
    process=st.sampled_from([None, None, None, "sh", "", "absent"]),
    cgroup=st.sampled_from([None, None, None, "/", "/a", "/a/", "/a/b", "/absent"]),
    frame=st.sampled_from([None, None, None, "^main$", "r.*d|push_back", "libc", r"\.py", "absent", "^sh$"]),
    measure=st.sampled_from(list(Measure)),
)
"""Any query, each of its fields now and then."""
