"""The waits for locks of a report in plain text: who waited, where, and who held what they waited for."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.export.calls import NOTE, Row, errors_words, in_flight_words, rest, rows, shown
from aperture_tui.export.collected import of_process
from aperture_tui.export.histogram import lock_name
from aperture_tui.export.names import amount_ns, frame_name
from aperture_tui.export.table import Column, fitted, table, wrapped
from aperture_tui.profile.kinds import FrameKind, Role
from aperture_tui.profile.query import Group
from aperture_tui.profile.trie import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aperture_tui.profile.latency import Latency
    from aperture_tui.profile.query import Query
    from aperture_tui.profile.symbols import Frame
    from aperture_tui.store.base import Store

_TIMED_OUT: Final = 110  # ETIMEDOUT
_FUNCTIONS: Final = 4
_NAME: Final = 48  # cells of a function's name: types in angle brackets go on for ever
_THREADS: Final = 3
_C_LIBRARY: Final = ("libc.so", "libc-", "libpthread", "ld-musl", "ld-linux")
_NO_CODE: Final = (FrameKind.ROOT, FrameKind.PROCESS, FrameKind.THREAD, FrameKind.LOCK, FrameKind.TAG)

Threads = dict[tuple[int, int, int], list[tuple[int, int]]]
"""(pid, its start, lock's address) -> (tid, how often), most often first."""


def section(store: Store, query: Query, width: int) -> list[str]:
    """The table, most first by the query's measure; below each lock where its waiters stand and who held it."""
    found = rows(store, query)
    if not found:
        return []
    waits, time_ns = sum(row.ended.count for row in found), sum(row.ended.time_ns for row in found)
    going = sum(row.in_flight.count for row in found if row.in_flight)
    title = wrapped(f"Locks: {waits:,} waits, {amount_ns(time_ns)}; {going:,} waiting at the end", width)
    holders, wakers = (threads(store, query, role) for role in (Role.HOLDER, Role.WAKER))
    heading, *lines = table(_columns(shown(found), holders), width)
    out = [*title, heading]
    for row, line in zip(shown(found), lines, strict=True):
        out.append(line)
        for note in _notes(store, query, row, holders, wakers):
            out += wrapped(note, width, NOTE)
    return [*out, *rest(found, "locks")]


def threads(store: Store, query: Query, role: Role) -> Threads:
    """The holders or the wakers of each lock. Its name is not always known to them, and the waiter's stack never."""
    out: Threads = defaultdict(list)
    for one in store.latencies(
        replace(query, role=role, group=Group.THREAD, name=None, frame=None, where=query.of_anybody().where)
    ):
        if one.tid:  # of several machines together threads are not told apart
            out[_lock(one)].append((one.tid, one.count))
    return {lock: sorted(told, key=lambda item: (-item[1], item[0])) for lock, told in out.items()}


def _columns(listed: Sequence[Row], holders: Threads) -> list[Column]:
    ended = [row.ended for row in listed]
    return [
        Column("total", [amount_ns(one.time_ns) if one.count else "" for one in ended]),
        Column("waits", [f"{one.count:,}" for one in ended], 2),
        Column("timeouts", [f"{one.outcomes.get(_TIMED_OUT, 0):,}" for one in ended], 4),
        Column("min", [_shortest(one) if one.count else "" for one in ended], 6),
        Column("p99", [amount_ns(one.quantile(0.99)) if one.count else "" for one in ended], 5),
        Column("max", [amount_ns(one.maximum_ns) if one.count else "" for one in ended], 3),
        Column("holder", [str(holders[key][0][0]) if (key := _lock(one)) in holders else "?" for one in ended], 1),
        Column("lock", [lock_name(one) for one in ended], left=True, room=24),
    ]


def _notes(store: Store, query: Query, row: Row, holders: Threads, wakers: Threads) -> list[str]:
    ended, key = row.ended, _lock(row.ended)
    errors = errors_words({code: n for code, n in ended.outcomes.items() if code != _TIMED_OUT})
    where = _waiters(store, query, row)
    return [
        f"{ended.process or '[unknown]'} {ended.pid or ''}".rstrip() + (f" in {where}" if where else ""),
        *([f"still waiting: {in_flight_words(row.in_flight)}"] if row.in_flight else []),
        *([f"errors: {errors}"] if errors else []),
        *([f"held by {_threads_words(holders[key])}"] if key in holders else []),
        *([f"ended by {_threads_words(wakers[key])}"] if key in wakers else []),
    ]


def _threads_words(told: list[tuple[int, int]]) -> str:
    """ "thread 4243 (12 times), 4244 (once)"."""
    words = [f"{tid} ({'once' if n == 1 else f'{n:,} times'})" for tid, n in told[:_THREADS]]
    more = f" and {len(told) - _THREADS:,} more" if len(told) > _THREADS else ""
    return f"thread {', '.join(words)}{more}"


def _waiters(store: Store, query: Query, row: Row) -> str:
    """The innermost functions of the stack with the largest part of the waits, and its share; "" if there is none."""
    one = row.ended
    alone = replace(of_process(query, one.pid, one.start_ns, one.process), name=one.name, value=one.value)
    tree = store.call_tree(alone if one.count else replace(alone, role=Role.IN_FLIGHT))
    node = int(np.argmax(tree.self_weight)) if tree.weight else ROOT
    if node == ROOT:
        return ""
    path = [tree.symbols.frame_at(frame) for frame in tree.trie.path(node)]
    names = innermost(path)
    share = 100 * int(tree.self_weight[node]) / tree.weight
    return f"{' ← '.join(names)} ({share:.0f} %)" if names else ""


def innermost(path: Sequence[Frame]) -> list[str]:
    """The innermost functions of a stack, the leaf first: the program's own, if it has any.

    Every stack that waits ends in the kernel and in the C library, which says nothing of who waits; and below a
    function of Python there are first of all those of its interpreter: of these the leaf alone, and "…" for the others.
    path: from the outermost frame inwards, the process first.
    """
    stack = [frame for frame in reversed(path) if frame.kind not in _NO_CODE]
    user = [frame for frame in stack if frame.kind is not FrameKind.KERNEL] or stack
    own = next((i for i, frame in enumerate(user) if not _in_c_library(frame)), 0)
    leaf, callers = user[own : own + 1], user[own + 1 :]
    python = next((i for i, frame in enumerate(callers) if frame.kind is FrameKind.PYTHON), 0)
    skipped = ["…"] if python else []
    names = [fitted(frame_name(frame), _NAME) for frame in (*leaf, *callers[python : python + _FUNCTIONS - 1])]
    return names[:1] + skipped + names[1:]


def _in_c_library(frame: Frame) -> bool:
    return frame.module.rpartition("/")[2].startswith(_C_LIBRARY)


def _shortest(one: Latency) -> str:
    return amount_ns(one.minimum_ns) if one.minimum_exact else f"≥ {amount_ns(one.minimum_ns)}"


def _lock(one: Latency) -> tuple[int, int, int]:
    return one.pid, one.start_ns, one.value


__all__ = ["innermost", "section", "threads"]
