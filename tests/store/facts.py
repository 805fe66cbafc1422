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
from aperture_tui.profile.kinds import ROLE_SHIFT, STOP_SHIFT, STOPS, Flag, FrameKind, Kind, Role, Stop
from aperture_tui.profile.latency import Latency
from aperture_tui.profile.query import Group, Measure, Query
from aperture_tui.profile.symbols import Frame, Process, Symbols
from tests.store.where_facts import lets_pass, wheres

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND
"""A whole second, about which all times lie."""
HOST = "box"
"""The machine of all events."""

Path = tuple[Frame, ...]


@dataclass(frozen=True)
class Fact:
    """One event in words. maximum_ns: None is the duration, as of an event of one."""

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
    maximum_ns: int | None = None
    value: int = 0
    aux: int = 0
    cpu: int = 0
    tags: frozenset[str] = frozenset()

    @property
    def role(self) -> int:
        return self.flags // 4096 % 4

    @property
    def longest_ns(self) -> int:
        return self.duration_ns if self.maximum_ns is None else self.maximum_ns


TAGS = ("slow", "tenant-a", "x, y", "été")
"""The names of bits in the order in which batches have them."""


def batch_of(facts: Sequence[Fact], symbols: Symbols) -> Batch:
    """The facts as a batch over these tables."""
    names = TAGS if any(fact.tags for fact in facts) else ()
    events = empty(len(facts))
    stacks = symbols.stacks([[symbols.frame(f) for f in fact.stack] for fact in facts])
    for event, fact, stack in zip(events, facts, stacks, strict=True):
        event["time_ns"] = fact.time_ns
        event["duration_ns"] = fact.duration_ns
        event["maximum_ns"] = fact.longest_ns
        event["pid"] = fact.process.pid
        event["tid"] = fact.tid
        event["process"] = symbols.process(fact.process)
        event["thread"] = symbols.string(fact.thread)
        event["name"] = symbols.string(fact.name)
        event["stack"] = stack
        event["weight"] = fact.weight
        event["kind"] = fact.kind
        event["flags"] = fact.flags
        event["value"] = fact.value
        event["aux"] = fact.aux
        event["cpu"] = fact.cpu
        event["tags"] = sum(1 << names.index(tag) for tag in fact.tags)
    return Batch(symbols, events, names)


def words(tree: CallTree) -> dict[Path, int]:
    """The stacks of a call tree with their own weights, none of them 0."""
    nodes = [(node, int(w)) for node, w in enumerate(tree.self_weight.tolist()) if w]
    return {tuple(tree.symbols.frame_at(f) for f in tree.trie.path(node)): w for node, w in nodes}


def completeness_of(facts: Sequence[Fact]) -> Completeness:
    """By the words of profile.kinds, a fact at a time."""
    known = whole = guessed = unknown = 0
    estimated = sum(fact.weight for fact in facts if fact.flags & 16384)
    missing = sum(fact.weight for fact in facts if fact.flags & 8)
    stops: Counter[Stop] = Counter()
    for fact in facts:
        reason = fact.flags >> 8 & 0xF
        if fact.flags & 32:
            whole += fact.weight
        elif 1 <= reason <= len(STOPS):
            stops[Stop(reason)] += fact.weight
        else:
            unknown += fact.weight
            continue
        known += fact.weight
        guessed += fact.weight if fact.flags & (64 | 128) else 0
    return Completeness(known, whole, guessed, unknown, {stop: n for stop, n in stops.items() if n}, estimated, missing)


class Reference:
    """The answers, by the definitions in profile.query and store.base, in plain Python."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self.facts = list(facts)

    def select(self, q: Query) -> list[Fact]:
        return [fact for fact in self.facts if self._passes(fact, q)]

    def told(self, q: Query) -> list[Fact]:
        """What all answers but a timeline are about: of what is in flight, only the newest word."""
        if q.role != 1:
            return self.select(q)
        end = max((fact.time_ns for fact in self.facts), default=0) + 1
        end = end if q.end_ns is None else min(end, q.end_ns)
        words = [fact.time_ns for fact in self.facts if fact.kind == q.kind and fact.role == 1]
        newest = max((t for t in words if (q.start_ns or 0) <= t < end), default=0)
        return [fact for fact in self.select(q) if fact.time_ns == newest and newest >= end - 2 * SECOND]

    def _passes(self, fact: Fact, q: Query) -> bool:
        p = fact.process
        return (
            fact.kind == q.kind
            and fact.role == q.role
            and (q.name is None or fact.name == q.name)
            and (q.value is None or fact.value == q.value)
            and (q.start_ns is None or fact.time_ns >= q.start_ns)
            and (q.end_ns is None or fact.time_ns < q.end_ns)
            and (not q.pids or p.pid in q.pids)
            and (not q.tids or fact.tid in q.tids)
            and (not q.tags or any(tag in fact.tags for tag in q.tags))
            and not any(tag in fact.tags for tag in q.without_tags)
            and (q.process_start_ns is None or p.start_ns == q.process_start_ns)
            and (q.process is None or p.name == q.process)
            and (q.cgroup is None or self._below(p.cgroup, q.cgroup))
            and (q.frame is None or any(self._says(q.frame, f) for f in fact.stack))
            and lets_pass(fact, q.where, HOST)
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
        for fact in self.told(q):
            out[self._grouped(fact, q.group)] += self.weight(fact, q.measure)
        return {path: weight for path, weight in out.items() if weight}

    def _grouped(self, fact: Fact, group: Group) -> Path:
        """The thread below the process, and what came without a stack stays without; the tags above all."""
        if group is Group.PROCESS:
            return fact.stack
        if group is Group.TAG:
            words = "tag: " + ", ".join(sorted(fact.tags)) if fact.tags else "untagged"
            return (Frame(words, kind=FrameKind.TAG), *fact.stack)
        if group in (Group.CGROUP, Group.CONTAINER):
            what = group.name.lower()
            place = getattr(fact.process, what)
            return (Frame(f"{what}: {place}" if place else f"no {what} known", kind=FrameKind.TAG), *fact.stack)
        known = [fact.thread] * bool(fact.thread) + [str(fact.tid)] * bool(fact.tid)
        thread = Frame(" ".join(known) or "?", kind=FrameKind.THREAD)
        return (*fact.stack[:1], thread, *fact.stack[1:]) if fact.stack else ()

    def diff(self, base: Query, after: Query) -> dict[Path, int]:
        out = Counter(self.tree(after))
        out.subtract(self.tree(base))
        return {path: weight for path, weight in out.items() if weight}

    def completeness(self, q: Query) -> Completeness:
        return completeness_of(self.told(q))

    def processes(self, q: Query) -> dict[tuple[int, int], tuple[set[Process], int, int, int, Completeness]]:
        """(pid, start) -> what its newest event may call it, threads, count, time, completeness."""
        groups: dict[tuple[int, int], list[Fact]] = defaultdict(list)
        for fact in self.told(q):
            groups[fact.process.pid, fact.process.start_ns].append(fact)
        out = {}
        for key, facts in groups.items():
            newest = max(fact.time_ns for fact in facts)
            names = {fact.process for fact in facts if fact.time_ns == newest}
            out[key] = (
                names,
                len({fact.tid for fact in facts if fact.tid}),
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

    def latencies(self, q: Query) -> dict[tuple[int | str, ...], tuple[set[str], Latency]]:
        """(pid, start, name, value, tid if by thread) -> what its newest events call the process, and the rest."""
        groups: dict[tuple[int | str, ...], list[Fact]] = defaultdict(list)
        for fact in self.told(q):
            key = fact.process.pid, fact.process.start_ns, fact.name, fact.value
            groups[(*key, fact.tid) if q.group is Group.THREAD else key].append(fact)
        return {key: self._latency(facts, q) for key, facts in groups.items()}

    def _latency(self, facts: list[Fact], q: Query) -> tuple[set[str], Latency]:
        newest = max(fact.time_ns for fact in facts)
        names = {fact.process.name for fact in facts if fact.time_ns == newest}
        histogram = [0] * 44
        parts: Counter[int] = Counter()
        outcomes: Counter[int] = Counter()
        for fact in facts:
            histogram[power_of_two(fact.longest_ns)] += fact.weight
            if q.role == Role.IN_FLIGHT:
                parts[fact.tid] = max(parts[fact.tid], fact.longest_ns)
            else:
                parts[fact.tid] += fact.duration_ns
            if fact.aux and q.kind in (Kind.SYSCALL, Kind.LOCK):
                outcomes[fact.aux] += fact.weight
        minimum, exact = self._shortest(facts, q)
        one = facts[0]
        return names, Latency(
            one.process.pid,
            one.process.start_ns,
            "",
            one.name,
            one.value,
            tid=min(tid for tid in parts if parts[tid] == max(parts.values())),
            threads=len({tid for tid in parts if tid}),
            count=sum(fact.weight for fact in facts),
            time_ns=sum(fact.duration_ns for fact in facts),
            minimum_ns=minimum,
            minimum_exact=exact,
            maximum_ns=max(fact.longest_ns for fact in facts),
            histogram=tuple(histogram),
            outcomes={errno: n for errno, n in outcomes.items() if n},
            at_least=q.role == Role.IN_FLIGHT and any(fact.flags & 2 for fact in facts),
        )

    def _shortest(self, facts: list[Fact], q: Query) -> tuple[int, bool]:
        """What the shortest took if that is certain, else what it took at least."""
        single = min((fact.longest_ns for fact in facts if fact.weight == 1), default=1 << 64)
        many = [fact.longest_ns for fact in facts if fact.weight != 1]
        if not many:
            return single, True
        if q.role or q.kind not in (Kind.SYSCALL, Kind.LOCK):
            return 0, False
        lowest = min(power_of_two(ns) for ns in many)
        # a lock's shortest wait is always told by itself, whatever else is in its bucket
        if power_of_two(single) < lowest + (q.kind is Kind.LOCK) and single < 1 << 64:
            return single, True
        return 2**lowest if lowest else 0, False


def power_of_two(ns: int) -> int:
    """The bucket of a duration, by counting."""
    bucket = 0
    while bucket < 43 and 2 ** (bucket + 1) <= ns:
        bucket += 1
    return bucket


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
    st.sampled_from(list(Role)).map(lambda role: role << ROLE_SHIFT),
    st.just(Role.IN_FLIGHT << ROLE_SHIFT | Flag.TRUNCATED),
    st.integers(0, (1 << 16) - 1),
)
"""Any flags, those that collectors give more often."""

kinds = st.sampled_from([Kind.CPU, Kind.OFFCPU, Kind.SYSCALL, Kind.LOCK])
durations = st.one_of(st.integers(0, 1 << 40), st.integers(0, 57).map(lambda i: (1 << i) - i % 2), st.just(0))

facts = processes.flatmap(
    lambda process: st.builds(
        Fact,
        time_ns=times,
        process=st.just(process),
        tid=st.sampled_from([0, 1, 2, 3, 4_000_000]),
        stack=st.lists(frames, max_size=5).map(lambda path: _with_root(process, path)),
        kind=kinds,
        duration_ns=durations,
        weight=st.integers(0, 1 << 20) | st.just(1),
        thread=st.sampled_from(["main", "worker", ""]),
        name=st.sampled_from(["", "futex", "read"]),
        flags=flag_words,
        maximum_ns=st.none() | durations,
        value=st.sampled_from([0, 0, 1, 0x7F00_0000_1040, (1 << 64) - 1]),
        aux=st.sampled_from([0, 0, 4, 110]),
        tags=st.just(frozenset()) | st.frozensets(st.sampled_from(TAGS)),
    )
)
"""Any event."""

queries = st.builds(
    Query,
    kind=kinds,
    start_ns=st.none() | times | st.sampled_from([0, T0 * 2]),
    end_ns=st.none() | times | st.sampled_from([0, T0 * 2]),
    pids=st.sampled_from([(), (1,), (1, 2), (99,)]),
    process_start_ns=st.sampled_from([None, None, None, T0 - 5, 0]),
    tids=st.sampled_from([(), (), (1,), (2, 3)]),
    process=st.sampled_from([None, None, None, "sh", "", "absent"]),
    cgroup=st.sampled_from([None, None, None, "/", "/a", "/a/", "/a/b", "/absent"]),
    frame=st.sampled_from([None, None, None, "^main$", "r.*d|push_back", "libc", r"\.py", "absent", "^sh$"]),
    name=st.sampled_from([None, None, None, "futex", "", "absent"]),
    value=st.sampled_from([None, None, None, 0, 1, (1 << 64) - 1, 1 << 64, -1]),
    role=st.sampled_from([Role.OWN, Role.OWN, *Role]),
    tags=st.sampled_from([(), (), (), TAGS[:1], TAGS[1:3], ("absent",)]),
    without_tags=st.sampled_from([(), (), (), TAGS[1:2], TAGS[2:], ("absent",)]),
    group=st.sampled_from(Group),
    measure=st.sampled_from(list(Measure)),
    where=wheres,
)
"""Any query, each of its fields now and then."""

wide_queries = st.builds(
    Query, kind=kinds, role=st.sampled_from(Role), group=st.sampled_from(Group), measure=st.sampled_from(Measure),
    where=wheres,
)  # fmt: skip
"""Queries for all of a kind and role."""
