"""Pushes as rows of the tables. Pure but for what it is told to remember."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import ROLE_SHIFT
from aperture_tui.profile.packed import words
from aperture_tui.profile.packed.hashes import process_hashes, tag_set_hash
from aperture_tui.profile.tags import names_of
from aperture_tui.store.clickhouse.registry import Stored
from aperture_tui.store.clickhouse.schema import SAMPLED
from aperture_tui.store.groups import buckets_of
from aperture_tui.store.selection import LONGEST_NS

if TYPE_CHECKING:
    import pyarrow as pa

    from aperture_tui.profile.symbols import Symbols
    from aperture_tui.store.push import Push

AHEAD_NS: Final = 600_000_000_000
"""A time further ahead of the aggregator's clock is nonsense: a clock that was set may be minutes off."""
_PLAIN: Final = ("time_ns", "pid", "tid", "cpu", "value", "aux", "flags", "duration_ns", "maximum_ns", "weight")
SEPARATOR: Final = "\x1f"  # in no text: profile.text.clean
FIELDS: Final = ("kind", "line", "function", "module", "file")
"""What the text of a frame has, in this order."""


class Timed(NamedTuple):
    """A push whose events have believable times. odd: how many had none."""

    push: Push
    events: NDArray[np.void]
    odd: int


def timed(push: Push, now_ns: int) -> Timed:
    """The push with impossible times (0, or far ahead) replaced by its newest possible one, or by now."""
    events, times = push.events, push.events["time_ns"]
    odd = (times == 0) | (times > now_ns + AHEAD_NS)
    if not odd.any():
        return Timed(push, events, 0)
    events = events.copy()
    events["time_ns"][odd] = int(times[~odd].max(initial=0)) or now_ns
    return Timed(push, events, int(np.count_nonzero(odd)))


def event_table(pushes: Sequence[Timed]) -> pa.Table:
    """Rows of `events`."""
    import pyarrow as pa

    whole = np.concatenate([one.events for one in pushes])
    columns: dict[str, Any] = {name: whole[name] for name in _PLAIN}
    columns["kind"] = whole["kind"]
    columns["role"] = (whole["flags"] >> ROLE_SHIFT & 3).astype(np.uint8)
    columns["bucket"] = buckets_of(np.minimum(whole["maximum_ns"], np.uint64(LONGEST_NS))).astype(np.uint8)
    columns["stack"] = np.concatenate([one.push.hashes[one.events["stack"]] for one in pushes])
    columns["draw"] = np.concatenate([_drawn(one) for one in pushes])
    columns |= _named(pushes)
    if whole["tags"].any():  # else the database fills in what costs it nothing
        columns["tags"] = np.concatenate([_tagged(one) for one in pushes])
    lengths = [len(one.events) for one in pushes]
    heads = [one.push.head for one in pushes]
    of = np.repeat(np.arange(len(pushes)), lengths).astype(np.int32)
    for name, values in (("service", [h.service for h in heads]), ("host", [h.agent for h in heads])):
        columns[name] = _texts(of, values)
    columns["boot"] = pa.array([h.boot for h in heads], pa.binary(16)).take(pa.array(of))
    columns["seq"] = np.repeat(np.array([h.seq for h in heads], np.uint64), lengths)
    return pa.table(columns)


def _drawn(one: Timed) -> NDArray[np.uint8]:
    """(n,): in how many of the tables of fewer events each is, of each the same when the push comes again."""
    head = one.push.head
    seed = [*head.boot, head.seq]
    u = np.random.default_rng(seed).random(len(one.events))
    draws: NDArray[np.uint8] = np.sum([u < 1 / n for n in SAMPLED], axis=0, dtype=np.uint8)
    return draws


def tag_sets(one: Timed) -> dict[int, list[str]]:
    """The sets of tags that events of a push have, by their bits; none for no tags."""
    return {bits: names_of(bits, one.push.tags) for bits in np.unique(one.events["tags"]).tolist() if bits}


def _tagged(one: Timed) -> NDArray[np.uint64]:
    """(n,): the hash of each event's set of tags."""
    used, place = np.unique(one.events["tags"], return_inverse=True)
    hashes = [tag_set_hash(names_of(bits, one.push.tags)) for bits in used.tolist()]
    return np.array(hashes, np.uint64)[place]


def _named(pushes: Sequence[Timed]) -> dict[str, Any]:
    """The columns of what has other ids in every push."""
    texts: dict[str, list[tuple[NDArray[np.int32], list[str]]]] = {"comm": [], "thread": [], "name": []}
    hashes = []
    for one in pushes:
        symbols = one.push.symbols
        rows, place = np.unique(one.events["process"], return_inverse=True)
        hashes.append(process_hashes(symbols, rows)[place])
        texts["comm"].append((place.astype(np.int32), [symbols.process_at(row).name for row in rows.tolist()]))
        for column in ("thread", "name"):
            ids, place = np.unique(one.events[column], return_inverse=True)
            texts[column].append((place.astype(np.int32), [symbols.strings[i] for i in ids.tolist()]))
    columns: dict[str, Any] = {"process": np.concatenate(hashes)}
    for name, parts in texts.items():
        starts = np.cumsum([0, *(len(values) for _, values in parts)])
        of = np.concatenate([place + start for (place, _), start in zip(parts, starts[:-1], strict=True)])
        columns[name] = _texts(of.astype(np.int32), [text for _, values in parts for text in values])
    return columns


def _texts(of: NDArray[np.int32], values: list[str]) -> Any:
    """(n,) of values[of], as a column of strings."""
    import pyarrow as pa

    return pa.array(values, pa.string()).take(pa.array(of))


def stack_table(stacks: Sequence[tuple[str, int, Symbols, int]], now_ns: int) -> pa.Table:
    """Rows of `stacks`, for (service, hash, symbols, node)."""
    import pyarrow as pa

    frames = [frame_texts(symbols, node) for _, _, symbols, node in stacks]
    return pa.table(
        {
            "service": pa.array([service for service, *_ in stacks], pa.string()),
            "stack": np.array([value for _, value, *_ in stacks], np.uint64),
            "last_seen": np.full(len(stacks), now_ns // 1_000_000_000, np.uint32),
            "frames": pa.array(frames, pa.list_(pa.string())),
        }
    )


def frame_texts(symbols: Symbols, node: int) -> list[str]:
    """A stack's frames, outermost first, each as one text."""
    out = []
    for frame in symbols.trie.path(node):
        f = symbols.frame_at(frame)
        out.append(SEPARATOR.join((str(int(f.kind)), str(f.line), f.function, f.module, f.file)))
    return out


def process_table(processes: Sequence[tuple[str, str, int, Symbols, int]], now_ns: int) -> pa.Table:
    """Rows of `processes`, for (service, host, hash, symbols, row)."""
    import pyarrow as pa

    rows = [symbols.process_at(row) for *_, symbols, row in processes]
    return pa.table(
        {
            "process": np.array([value for _, _, value, *_ in processes], np.uint64),
            "last_seen": np.full(len(rows), now_ns // 1_000_000_000, np.uint32),
            "service": pa.array([service for service, *_ in processes], pa.string()),
            "host": pa.array([host for _, host, *_ in processes], pa.string()),
            "start_ns": np.array([row.start_ns for row in rows], np.uint64),
            "pid": np.array([row.pid for row in rows], np.uint32),
            "name": pa.array([row.name for row in rows], pa.string()),
            "cgroup": pa.array([row.cgroup for row in rows], pa.string()),
            "container": pa.array([row.container for row in rows], pa.string()),
        }
    )


def tag_set_table(sets: Mapping[int, Sequence[str]], now_ns: int) -> pa.Table:
    """Rows of `tag_sets`, for hashes and names."""
    import pyarrow as pa

    return pa.table(
        {
            "tags": np.array(list(sets), np.uint64),
            "last_seen": np.full(len(sets), now_ns // 1_000_000_000, np.uint32),
            "names": pa.array(list(map(sorted, sets.values())), pa.list_(pa.string())),
        }
    )


def stored(one: Timed, now_ns: int) -> Stored:
    """What the registry is told of a push."""
    push, events = one.push, one.events
    times = events["time_ns"]
    end = int(times.max()) + 1 if len(times) else 0
    kinds = sum(1 << kind for kind in np.unique(events["kind"]).tolist() if kind < 64)
    head = push.head
    return Stored(
        head.agent, head.service, head.version, head.boot, head.seq, now_ns, int(times.min()) if len(times) else 0, end,
        max([end, *(sample.time_ns + 1 for sample in push.gauges)]), len(events), head.lost, one.odd, head.interval_ms,
        kinds, push.hosts, push.health,
    )  # fmt: skip


def push_table(pushes: Sequence[tuple[Push, Stored]]) -> pa.Table:
    """Rows of `pushes`."""
    import pyarrow as pa

    facts = [facts for _, facts in pushes]
    numbers = {
        name: np.array([getattr(one, name) for one in facts], np.uint64)
        for name in ("seq", "stored_ns", "start_ns", "end_ns", "newest_ns", "events", "lost", "odd_times", "kinds")
    }
    texts = {
        name: pa.array([getattr(one, name) for one in facts], pa.string()) for name in ("host", "service", "version")
    }
    told = [(words.from_hosts(p.hosts), words.from_gauges(p.gauges), words.from_health(p.health)) for p, _ in pushes]
    spoken = {
        name: pa.array([each[i].decode() for each in told], pa.string())
        for i, name in enumerate(("hosts", "gauges", "health"))
    }
    interval = np.array([one.interval_ms for one in facts], np.uint32)
    boots = pa.array([one.boot for one in facts], pa.binary(16))
    return pa.table({**numbers, **texts, **spoken, "interval_ms": interval, "boot": boots})
