"""A report in plain text: what `aperture-top --once` prints. No colours, no lines wider than asked for."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from rich.cells import cell_len, set_cell_size

from aperture_tui import __version__
from aperture_tui.export.names import COUNTED, NO_STACK, amount_bytes, amount_ns, frame_name, time_utc, whole_share
from aperture_tui.profile.health import State
from aperture_tui.profile.query import Measure
from aperture_tui.profile.trie import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aperture_tui.profile.calltree import CallTree
    from aperture_tui.profile.completeness import Completeness
    from aperture_tui.profile.health import Health
    from aperture_tui.profile.host import HostSample
    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import ProcessUse, Store

PROCESSES: Final = 10
FUNCTIONS: Final = 20
TREE_LINES: Final = 80
SMALLEST: Final = 0.01  # the share of the whole under which a branch is left out
_LABEL: Final = 11  # width of the labels of the header
_WIDE: Final = 90  # from this width on the processes have a column for their stacks


def text(store: Store, query: Query, width: int = 80) -> str:
    """Header, processes, functions and call tree, in lines of at most `width` cells. Raises re.error."""
    tree = store.call_tree(query)
    lines = [part for line in _header(store, query, tree) for part in _wrapped(line, width)]
    if tree.weight:
        lines += ["", *_processes(store.processes(query), query, tree.weight, width)]
        lines += ["", *_functions(tree), "", *_tree(tree)]
    else:
        lines += ["", f"No {COUNTED[query.kind]} in this range."]
    return "".join(f"{fitted(line, width)}\n" for line in lines)


def fitted(line: str, width: int) -> str:
    """A line cut to this many terminal cells, with an ellipsis where something was cut."""
    line = line.rstrip()
    if cell_len(line) <= width:
        return line
    return set_cell_size(line, max(width - 1, 0)).rstrip() + "…"


def _wrapped(line: str, width: int) -> list[str]:
    """A line of the header in as many lines as it needs: losses and reasons are never cut off."""
    return textwrap.wrap(line, max(width, 2 * _LABEL), subsequent_indent=" " * _LABEL)


def _header(store: Store, query: Query, tree: CallTree) -> Iterator[str]:
    span = store.span()
    hosts = store.hosts()
    names = [f"{h.name}, Linux {h.kernel}, {h.cpus} CPUs, {amount_bytes(h.memory_bytes)}" for h in hosts]
    yield f"aperture {__version__}"
    yield _labelled("host", "; ".join(names) or "unknown")
    start = max(span.start_ns, query.start_ns or 0)
    end = span.end_ns if query.end_ns is None else min(span.end_ns, query.end_ns)
    held = f"{time_utc(start)}, for {amount_ns(end - start)}" if end > start else "nothing held"
    yield _labelled("range", held)
    weight = amount_ns(tree.weight) if query.measure is Measure.TIME else f"{tree.weight:,} {COUNTED[query.kind]}"
    yield _labelled(query.kind.name.lower(), weight)
    if completeness := _completeness(store.completeness(query), COUNTED[query.kind]):
        yield _labelled("stacks", completeness)
    if gauges := store.gauges(query):
        yield _labelled("own cost", _own_cost(gauges))
    if span.dropped_events:
        yield _labelled("let go", f"{span.dropped_events:,} older events (limit: {span.limit or 'age'})")
    yield from _losses(store.health())


def _completeness(told: Completeness, counted: str) -> str:
    """How many stacks are whole, why the others are not, and what is not known; "" where there are no events."""
    if not told.known:
        return f"whole or not: unknown of {told.unknown:,} {counted}" if told.unknown else ""
    parts = [f"{whole_share(told)} whole of {told.known:,} {counted}"]
    if told.stops:
        parts.append("not whole: " + ", ".join(f"{_share(n, told.known)} {why}" for why, n in told.reasons))
    if told.guessed:
        parts.append(f"{_share(told.guessed, told.known)} with callers found by the frame pointer alone")
    if told.unknown:
        parts.append(f"unknown of {told.unknown:,} more")
    return "; ".join(parts)


def _own_cost(gauges: list[HostSample]) -> str:
    """The profiler's own share over all readings, and its memory at the last."""
    shares = [g.own_cpu for g in gauges if g.own_cpu is not None]
    cpu = f"{sum(shares) / len(shares):.2%} of the machine's CPU" if shares else "CPU unknown"
    memory = gauges[-1].own_memory_bytes
    return f"{cpu}, {'memory unknown' if memory is None else amount_bytes(memory)}"


def _losses(health: list[Health]) -> Iterator[str]:
    if not health:
        yield _labelled("lost", "unknown: no collector has reported")
        return
    if not any(h.lost_total for h in health):
        yield _labelled("lost", "nothing")
    for h in health:
        yield from (_labelled("lost", f"{h.name}: {cause}: {n:,}") for cause, n in h.lost.items() if n)
        yield from (_labelled("degraded", f"{h.name}: {cause}: {n:,}") for cause, n in h.degraded.items() if n)
        if h.state is State.FAILED or h.message:
            yield _labelled(h.state.value, f"{h.name}: {h.message or 'no reason given'}")


def _labelled(label: str, value: str) -> str:
    return f"{label:<{_LABEL}}{value}"


def _processes(uses: list[ProcessUse], query: Query, weight: int, width: int) -> Iterator[str]:
    wide = width >= _WIDE
    yield f"{'%':>6} {'amount':>10} {'pid':>9} {'threads':>8}{' stacks %' if wide else ''}  process  cgroup"
    for use in uses[:PROCESSES]:
        share = use.time_ns if query.measure is Measure.TIME else use.count
        amount = amount_ns(share) if query.measure is Measure.TIME else f"{share:,}"
        where = use.container or use.cgroup or "(cgroup unknown)"
        whole = f" {whole_share(use.completeness).removesuffix(' %'):>8}" if wide else ""
        name = use.name or "[unknown]"
        yield f"{_percent(share, weight)} {amount:>10} {use.pid:>9} {use.threads:>8}{whole}  {name}  {where}"
    if len(uses) > PROCESSES:
        yield f"{'':>6} and {len(uses) - PROCESSES:,} more processes"


def _functions(tree: CallTree) -> Iterator[str]:
    own, total = _by_function(tree).frame_weights()
    total[ROOT] = own[ROOT]  # of the root only what came without a stack is a line of its own
    by = np.lexsort((np.arange(len(own)), -total, -own))
    by = by[own[by] > 0]
    yield f"{'self %':>6} {'total %':>7}  function  module"
    for frame in by[:FUNCTIONS].tolist():
        words = tree.symbols.frame_at(frame)
        name = frame_name(words) if frame else NO_STACK
        shares = f"{_percent(own[frame], tree.weight)} {_percent(total[frame], tree.weight):>7}"
        yield f"{shares}  {name}  {words.module or words.file}"
    if len(by) > FUNCTIONS:
        yield f"{'':>6} {'':>7}  and {len(by) - FUNCTIONS:,} more functions"


def _by_function(tree: CallTree) -> CallTree:
    """The same tree with one frame for all lines of a function: good for frame_weights, not for finding children."""
    frames = tree.symbols.frames
    columns = np.stack([frames[column] for column in ("function", "module", "file", "kind")], axis=1)
    _, first, group = np.unique(columns, axis=0, return_index=True, return_inverse=True)
    return replace(tree, trie=replace(tree.trie, frame=first[group].astype(np.uint32)[tree.trie.frame]))


def _tree(tree: CallTree) -> Iterator[str]:
    """Indented by branch, not by depth: a callee with its caller's whole share stands below it without repeating it."""
    yield f"{'%':>6}  call tree (branches from {SMALLEST:.0%}; a line without a share has that of its caller above)"
    if unplaced := int(tree.self_weight[ROOT]):
        yield f"{_percent(unplaced, tree.weight)}  {NO_STACK}"
    waiting = [(node, 0, True) for node in _branches(tree, ROOT)]
    for _ in range(TREE_LINES):
        if not waiting:
            return
        node, indent, branch = waiting.pop()
        share = _percent(tree.total[node], tree.weight)
        name = frame_name(tree.symbols.frame_at(int(tree.trie.frame[node])))
        yield f"{share if branch else '':>6}  {'  ' * indent}{name}"
        below = _branches(tree, node)
        if len(below) == 1 and _percent(tree.total[below[0]], tree.weight) == share:
            waiting.append((below[0], indent, False))
        else:
            waiting += [(child, indent + 1, True) for child in below]
    if waiting:
        yield f"{'':>6}  … and more branches"


def _branches(tree: CallTree, node: int) -> list[int]:
    """The children of a node that are large enough to show, smallest first."""
    kids = tree.trie.children(node)
    weights = tree.total[kids]
    order = np.argsort(weights, kind="stable")
    return [int(kids[i]) for i in order if weights[i] >= max(1, SMALLEST * tree.weight)]


def _share(part: int, whole: int) -> str:
    percent = 100 * part / whole
    return f"{percent:.2f} %" if percent < 0.1 else f"{percent:.1f} %"


def _percent(part: int, whole: int) -> str:
    return f"{100 * int(part) / whole:>6.1f}"
