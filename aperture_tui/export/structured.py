"""Answers as one JSON document. docs/json.md describes it; a change that breaks readers raises SCHEMA."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aperture_tui import __version__
from aperture_tui.export.names import unit
from aperture_tui.profile.trie import ROOT

if TYPE_CHECKING:
    from aperture_tui.profile.calltree import CallTree
    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import ProcessUse, Store

SCHEMA: Final = 1
"""The version of the document. Readers must accept keys that they do not know."""


def document(store: Store, query: Query) -> dict[str, Any]:
    """What a store knows about a query, as JSON types: the document of docs/json.md. Raises re.error."""
    return {
        "schema": SCHEMA,
        "generator": f"aperture {__version__}",
        "query": query_document(query),
        "span": asdict(store.span()),
        "hosts": [asdict(host) for host in store.hosts()],
        "health": [health.as_json() for health in store.health()],
        "gauges": [asdict(sample) for sample in store.gauges(query)],
        "completeness": store.completeness(query).as_json(),
        "processes": [process_document(use) for use in store.processes(query)],
        "tree": tree_document(store.call_tree(query), unit(query)),
    }


def process_document(use: ProcessUse) -> dict[str, Any]:
    """A process as JSON types."""
    return {**asdict(use), "completeness": use.completeness.as_json()}


def query_document(query: Query) -> dict[str, Any]:
    """A query as JSON types: kind and measure by name, everything else as it is."""
    return {
        **asdict(query),
        "kind": query.kind.name.lower(),
        "measure": query.measure.value,
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
