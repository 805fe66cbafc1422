"""Answers as one JSON document. docs/json.md describes it; a change that breaks readers raises SCHEMA."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aperture_tui import __version__
from aperture_tui.export.collected import GPU, TIMED, collected, kind_name, of_kind
from aperture_tui.export.gpu_work import limits
from aperture_tui.export.histogram import lower_bound
from aperture_tui.export.names import errno_name, unit
from aperture_tui.export.offcpu import RUNNABLE
from aperture_tui.profile.gpu_use import copy_uses, kernel_uses
from aperture_tui.profile.kinds import Kind, Role
from aperture_tui.profile.latency import BUCKETS, Latency
from aperture_tui.profile.query import Group, Measure
from aperture_tui.profile.trie import ROOT
from aperture_tui.store.passed import passed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aperture_tui.profile.calltree import CallTree
    from aperture_tui.profile.gpu_use import KernelUse
    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import ProcessUse, Store

SCHEMA: Final = 1
"""The version of the document. Readers must accept keys that they do not know."""
_QUANTILES: Final = (0.5, 0.9, 0.99)
_BOUNDS: Final = [str(lower_bound(i)) for i in range(BUCKETS)]
_PLAIN: Final = [
    name for name in (f.name for f in fields(Latency)) if name not in ("histogram", "outcomes", "at_least")
]
"""What a row says as it is; asdict would copy each of its values, in ten times the time."""


def document(store: Store, query: Query) -> dict[str, Any]:
    """What a store knows about a query, as JSON types: the document of docs/json.md. Raises re.error."""
    answers = {  # first: what cannot be read of a recording, and what filters take of it, is known when it was read
        "completeness": store.completeness(query).as_json(),
        "processes": [process_document(use) for use in store.processes(query)],
        "tree": tree_document(store.call_tree(query), unit(query)),
        **waits_document(store, query),
        **gpu_document(store, query),
    }
    let = passed(store, query)
    return {
        "schema": SCHEMA,
        "generator": f"aperture {__version__}",
        "query": query_document(query),
        **({} if let is None else {"passed": let._asdict()}),
        "span": asdict(store.span()),
        "hosts": [asdict(host) for host in store.hosts()],
        "health": [health.as_json() for health in store.health()],
        "gauges": [asdict(sample) for sample in store.gauges(query)],
        **answers,
    }


def gpu_document(store: Store, query: Query) -> dict[str, Any]:
    """What GPUs did: nothing where nobody looked. A query with a name or a value has those of its own kind alone."""
    kinds = [kind for kind in collected(store) if kind in GPU]
    if query.name is not None or query.value is not None:
        kinds = [kind for kind in kinds if kind is query.kind]
    asked = {kind: replace(of_kind(query, kind), measure=Measure.TIME) for kind in kinds}
    out: dict[str, Any] = {}
    if kernels := asked.get(Kind.GPU_KERNEL):
        out["kernels"] = [kernel_document(use) for use in kernel_uses(store.latencies(kernels))]
        out["tree"] = tree_document(store.call_tree(kernels), unit(kernels))
    if copies := asked.get(Kind.GPU_COPY):
        out["copies"] = [{**asdict(use), "bytes_s": use.bytes_s} for use in copy_uses(store.latencies(copies))]
    if calls := asked.get(Kind.GPU_CALL):
        out["calls"] = [latency_document(one, Kind.GPU_CALL) for one in store.latencies(calls)]
    return {"gpu": out} if out else {}


def kernel_document(use: KernelUse) -> dict[str, Any]:
    """A row of kernels as JSON types; null is unknown."""
    names = ("pid", "start_ns", "process", "name", "count", "time_ns", "maximum_ns", "share", "mean_ns")
    document = {name: getattr(use, name) for name in names}
    document["quantiles"] = {f"p{round(100 * q)}": use.quantile(q) for q in _QUANTILES}
    document["launches"] = [
        {
            "count": count,
            "time_ns": time_ns,
            "threads": launch.threads or None,
            "registers": launch.registers or None,
            "shared_bytes": launch.shared_bytes,
            "blocks": launch.blocks,
            "occupancy": launch.occupancy,
            "limited_by": limits(launch),
        }
        for launch, count, time_ns in use.launches
    ]
    return document


def waits_document(store: Store, query: Query) -> dict[str, Any]:
    """What is known of the time that was not spent on the CPU, by the kinds that were collected.

    A kind that was not collected is absent; one of which there was nothing has empty lists. A query with a name or a
    value has those of its own kind alone.
    """
    kinds = collected(store)
    own = query.name is not None or query.value is not None
    timed = [replace(of_kind(query, kind), measure=Measure.TIME) for kind in kinds if kind in TIMED]
    asked = {kind_name(q.kind): q for q in timed if not own or q.kind is query.kind}
    locks = {name: q for name, q in asked.items() if q.kind is Kind.LOCK}
    return {
        "collected": [kind_name(kind) for kind in kinds],
        "latencies": {name: [latency_document(one, q.kind) for one in store.latencies(q)] for name, q in asked.items()},
        "in_flight": {
            name: [in_flight_document(one) for one in store.latencies(replace(q, role=Role.IN_FLIGHT))]
            for name, q in asked.items()
            if q.kind is not Kind.OFFCPU  # what goes on is among its own rows, a part at a time
        },
        "holders": {name: threads_document(store, q, Role.HOLDER) for name, q in locks.items()},
        "wakers": {name: threads_document(store, q, Role.WAKER) for name, q in locks.items()},
        "trees": _trees(store, asked.values()),
    }


def _trees(store: Store, asked: Iterable[Query]) -> dict[str, Any]:
    queries = {kind_name(q.kind): q for q in asked if q.kind is not Kind.SYSCALL}
    if (off := queries.get("offcpu")) and off.name in (None, RUNNABLE):
        queries[RUNNABLE] = replace(off, name=RUNNABLE)
    return {name: tree_document(store.call_tree(q), unit(q)) for name, q in queries.items()}


def latency_document(one: Latency, kind: Kind) -> dict[str, Any]:
    """A row of calls or waits as JSON types; null where a kind cannot tell."""
    document: dict[str, Any] = {name: getattr(one, name) for name in _PLAIN}
    document["histogram"] = {bound: n for bound, n in zip(_BOUNDS, one.histogram, strict=True) if n}
    document["errors"] = {errno_name(code): n for code, n in one.outcomes.items()}
    document["quantiles"] = {f"p{round(100 * q)}": one.quantile(q) for q in _QUANTILES}
    if kind is Kind.OFFCPU:  # summed by stack and not by length: neither the shortest nor any bucket is known
        document |= {"histogram": None, "quantiles": None, "minimum_ns": None, "minimum_exact": False}
    return document


def in_flight_document(one: Latency) -> dict[str, Any]:
    """Calls or waits that go on as JSON types."""
    names = ("pid", "start_ns", "process", "name", "value", "tid", "count", "time_ns", "maximum_ns", "at_least")
    return {name: getattr(one, name) for name in names}


def threads_document(store: Store, query: Query, role: Role) -> list[dict[str, Any]]:
    """The threads on the other side of waits for locks. Their events have the lock's address, but not always its name
    and never the waiter's stack, by which the query could narrow them.
    """
    query = replace(query, name=None, frame=None, where=query.of_anybody().where)
    told = store.latencies(replace(query, role=role, group=Group.THREAD, measure=Measure.COUNT))
    names = ("pid", "start_ns", "process", "value", "tid", "count")
    return [{name: getattr(one, name) for name in names} for one in told]


def process_document(use: ProcessUse) -> dict[str, Any]:
    """A process as JSON types."""
    return {**use._asdict(), "completeness": use.completeness.as_json()}


def query_document(query: Query) -> dict[str, Any]:
    """A query as JSON types: kind and measure by name, everything else as it is."""
    return {
        **asdict(query),
        "kind": query.kind.name.lower(),
        "measure": query.measure.value,
        "role": query.role.name.lower(),
        "threads": query.group is Group.THREAD,
        "group": query.group.name.lower(),
        "tags": list(query.tags),
        "without_tags": list(query.without_tags),
        "host": query.hosts[0] if len(query.hosts) == 1 else None,
        "hosts": list(query.hosts),
        "where": query.where.text or None,
        "pids": list(query.pids),
        "tids": list(query.tids),
    }


def tree_document(tree: CallTree, weight_unit: str) -> dict[str, Any]:
    """A call tree as columns: flat, because parsers limit how deep a document may nest. Nodes with weight only."""
    trie, total = tree.trie, tree.total
    used = _used(tree)
    number = np.full(len(trie), -1, np.int64)
    number[used] = np.arange(len(used))
    frame_ids, frames = np.unique(trie.frame[used], return_inverse=True)
    own = np.zeros(len(trie), np.int64)
    own[: len(tree.self_weight)] = tree.self_weight
    return {
        "unit": weight_unit,
        "weight": tree.weight,
        "frames": [
            {**frame._asdict(), "kind": frame.kind.name.lower()}
            for frame in (tree.symbols.frame_at(i) for i in frame_ids.tolist())
        ],
        "parent": [-1, *number[trie.parent[used[1:]]].tolist()],
        "frame": frames.tolist(),
        "self": own[used].tolist(),
        "total": total[used].tolist(),
    }


def _used(tree: CallTree) -> np.ndarray[Any, np.dtype[np.intp]]:
    """The nodes on the way to any weight, the root first. In a difference a total may be 0 where its parts are not."""
    on = np.zeros(len(tree.trie), bool)
    on[np.flatnonzero(tree.self_weight)] = True
    for nodes in tree.trie.levels[:0:-1]:
        on[tree.trie.parent[nodes[on[nodes]]]] = True
    on[ROOT] = True
    return np.flatnonzero(on)
