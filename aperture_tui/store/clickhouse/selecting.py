"""Queries as conditions of SQL, their words always as parameters. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aperture_tui.profile.kinds import Role
from aperture_tui.profile.where import OF_MACHINES, OF_STACKS, AnyTerm, Bound, Ids, Key, Term
from aperture_tui.profile.where_patterns import linear
from aperture_tui.store.compaction import BY_BUCKET, NO_BUCKET
from aperture_tui.store.selection import LONGEST_NS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aperture_tui.profile.query import Query
    from aperture_tui.store.fleet_base import HostState

_U64: Final = (1 << 64) - 1
_PARAMETER: Final = 100_000
"""Bytes that a parameter may have: a server refuses more than 128 KB of one, as it is sent."""
_NUMBER: Final = 24
_ESCAPED: Final = 6
"""Bytes that one of a text may become on its way."""
_NAME: Final = re.compile(r"\{(\w+):")


@dataclass
class Conditions:
    """Joined by AND. parameters: by the names that stand in them."""

    texts: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)

    def add(self, text: str, **parameters: Any) -> None:
        """One more."""
        self.texts.append(text)
        self.parameters |= parameters

    def add_any(self, column: str, kind: str, values: Sequence[Any]) -> None:
        """A column of this kind is one of the values, however many these are."""
        parts = {f"{column}_{i}": part for i, part in enumerate(portions(values))}
        text = " OR ".join(f"{column} IN {{{name}:Array({kind})}}" for name in parts)
        self.add(f"({text})", **parts)

    def renamed(self, prefix: str) -> Conditions:
        """The same, with other names for the parameters, so that they can stand beside others in one statement."""
        texts = [_NAME.sub(rf"{{{prefix}\1:", text) for text in self.texts]
        return Conditions(texts, {prefix + name: value for name, value in self.parameters.items()})

    @property
    def sql(self) -> str:
        return " AND ".join(self.texts) or "1"


def portions(values: Sequence[Any]) -> Iterator[list[Any]]:
    """Values in as few lists as can each be sent as a parameter; one empty list if there are none."""
    part: list[Any] = []
    left = _PARAMETER
    for value in values:
        size = _NUMBER + (_ESCAPED * len(value.encode()) if isinstance(value, str) else 0)
        if size > left and part:
            yield part
            part, left = [], _PARAMETER
        part.append(value)
        left -= size
    yield part


def of_machines(query: Query, chosen: Sequence[HostState], services: Sequence[str], all_of_them: bool) -> Conditions:
    """The events of a kind, role, and of machines: in the order of the tables' keys.

    chosen: the machines of the query. services: that they are or were of. all_of_them: every machine there is.
    """
    out = Conditions()
    out.add("kind = {kind:UInt16} AND role = {role:UInt8}", kind=int(query.kind), role=int(query.role))
    if all_of_them:
        return out
    out.add_any("service", "String", services if query.service is None else [query.service])
    if query.by_host:
        out.add_any("host", "String", [host.name for host in chosen])
    return out


def narrow(out: Conditions, query: Query, database: str) -> None:
    """All else that a query says of its events, but time and frames."""
    for column, ids in (("pid", query.pids), ("tid", query.tids)):
        if ids:
            out.add_any(column, "UInt32", [one for one in ids if 0 <= one < 1 << 32])
    if query.process is not None:
        out.add("comm = {comm:String}", comm=query.process)
    if query.name is not None:
        out.add("name = {name:String}", name=query.name)
    if query.value is not None:
        possible = 0 <= query.value <= _U64
        out.add("value = {value:UInt64}" if possible else "0", value=query.value if possible else 0)
    for n, (names, which) in enumerate(((query.tags, "IN"), (query.without_tags, "NOT IN"))):
        if names:
            sets = f"SELECT tags FROM {database}.tag_sets WHERE hasAny(names, {{tags_{n}:Array(String)}})"
            out.add(f"tags GLOBAL {which} ({sets})", **{f"tags_{n}": list(names)})
    for place, term in enumerate(query.terms.terms):
        _narrow_by(out, term, f"where_{place}_", database)
    inner = Conditions()
    if query.process_start_ns is not None:
        possible = 0 <= query.process_start_ns <= _U64
        start = query.process_start_ns if possible else 0
        inner.add("start_ns = {start:UInt64}" if possible else "0", start=start)
    if query.cgroup is not None:
        top = query.cgroup.rstrip("/")
        inner.add(
            "cgroup != '' AND (cgroup = {cgroup:String} OR startsWith(cgroup, {below:String}))",
            cgroup=top,
            below=top + "/",
        )
    if inner.texts:
        # GLOBAL: of a cluster asked once, for all its machines
        text = f"process GLOBAL IN (SELECT process FROM {database}.processes WHERE {inner.sql})"
        out.add(text, **inner.parameters)


_TEXTS: Final = {Key.COMM: "comm", Key.THREAD: "thread", Key.NAME: "name"}


def _narrow_by(out: Conditions, term: AnyTerm, prefix: str, database: str) -> None:
    """One term of a line; those about machines and stacks are seen to elsewhere. prefix: of its parameters' names."""
    if isinstance(term, Bound):
        out.add(f"maximum_ns {term.sign} {term.ns}")  # a sign and a number of ours
        return
    one, sign = Conditions(), "NOT " if term.negated else ""
    if isinstance(term, Ids):
        one.add_any(term.key.value, "UInt32", term.ids)
        one = one.renamed(prefix)
    elif term.key in _TEXTS:
        one.add(f"match({_TEXTS[term.key]}, {{{prefix}is:String}})")
    elif term.key is Key.TAG:
        named = f"arrayExists(name -> match(name, {{{prefix}is:String}}), names)"
        one.add(f"tags GLOBAL IN (SELECT tags FROM {database}.tag_sets WHERE {named})")
    elif term.key in (Key.CGROUP, Key.CONTAINER):
        named = f"match({term.key.value}, {{{prefix}is:String}})"
        one.add(f"process GLOBAL IN (SELECT process FROM {database}.processes WHERE {named})")
    else:
        return
    if isinstance(term, Term):
        one.parameters[f"{prefix}is"] = linear(term.source)
    out.add(f"{sign}({one.sql})", **one.parameters)


def is_plain(query: Query) -> bool:
    """Whether nothing is asked of the events but kind, role, machines, time and frames."""
    narrowed = (query.process, query.cgroup, query.name, query.value, query.process_start_ns)
    lists = (query.pids, query.tids, query.tags, query.without_tags, query.terms.but(OF_MACHINES | OF_STACKS).terms)
    return not any(lists) and all(one is None for one in narrowed)


def within(start_ns: int, end_ns: int, column: str = "time_ns") -> str:
    """A half-open range. The numbers are ours."""
    return f"{column} >= {start_ns} AND {column} < {end_ns}"


KEYS: Final = {
    "pid": "pid", "tid": "tid", "process": "process", "thread": "thread", "name": "name", "stack": "stack",
    "value": "value", "aux": "aux", "flags": "flags", "tags": "tags", "bucket": "bucket",
}  # fmt: skip


def sums(query: Query, factor: int) -> str:
    """The summed columns of compaction.COMPACT; factor: how many events each stands for."""
    by_bucket = query.role is Role.OWN and query.kind in BY_BUCKET
    many = "toInt8(bucket)" if by_bucket else "toInt8(-1)"
    longest = f"least(maximum_ns, {LONGEST_NS})"
    return f"""max(time_ns) AS time_ns_, sum(toInt64(least(duration_ns, {LONGEST_NS}))) * {factor} AS duration_,
        max(maximum_ns) AS maximum_, sum(toInt64(weight)) * {factor} AS weight_,
        min(if(weight = 1, {longest}, {LONGEST_NS})) AS alone_,
        min(if(weight = 1, toInt8({NO_BUCKET}), {many})) AS many_"""
