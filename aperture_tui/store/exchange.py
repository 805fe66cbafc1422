"""Questions and answers as messages (proto/aperture/v1/fleet.proto), and back from strangers."""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import numpy as np
import zstandard
from google.protobuf.message import DecodeError

from aperture_tui.profile import kinds
from aperture_tui.profile.packed import columns
from aperture_tui.profile.packed.chosen import Chosen
from aperture_tui.profile.packed.tables import DamagedError, Tables
from aperture_tui.profile.query import Group, Measure, Query
from aperture_tui.profile.symbols import MAX_TAG_SETS, Symbols
from aperture_tui.profile.tags import LONGEST_TAG, checked
from aperture_tui.profile.where import EVERYTHING, LONGEST_WRITTEN, WhereError, parse
from aperture_tui.store import base
from aperture_tui.store.answers import Rows
from aperture_tui.store.compaction import COMPACT, as_compact
from aperture_tui.store.push import TooLargeError, unpacked
from aperture_tui.wire import fleet_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAX_REPLY: Final = 64 << 20
"""Bytes of an answer as it comes."""
_MAX_PLAIN: Final = 256 << 20
_LEVEL: Final = 1
_MAX_SYMBOLS: Final = 1_000_000
"""Rows of symbols past which the answers to come have tables of their own."""
_NOBODY: Final = 0xFFFFFFFF
"""No process or thread has this number: the kernel's end at 2**22."""
_MAX_LIST: Final = 10_000
"""Hosts, processes or threads that a selection may name."""
_MAX_TAGS: Final = 200
_FILTERED: Final = 16
"""Added to the role where there is a filter line: whoever does not know such lines refuses a role that is not, and does
not answer as if there were none."""


class ExchangeError(ValueError):
    """A message that says what cannot be, in one clear line."""


def to_selection(query: Query) -> wire.Selection:
    """A query as it is sent. What asks for a number that none can be asks for a process that there is not."""
    numbers = (query.value, query.process_start_ns)
    impossible = any(number is not None and not 0 <= number < 1 << 64 for number in numbers)
    return wire.Selection(
        kind=query.kind,
        start_ns=_moment(query.start_ns),
        end_ns=_moment(query.end_ns),
        hosts=query.hosts,
        service=query.service,
        pids=[_NOBODY] if impossible else _ids(query.pids),
        process_start_ns=None if impossible else query.process_start_ns,
        tids=_ids(query.tids),
        process=query.process,
        cgroup=query.cgroup,
        frame=query.frame,
        name=query.name,
        value=None if impossible else query.value,
        role=query.role + _FILTERED * bool(query.where),
        group=query.group,
        by_time=query.measure is Measure.TIME,
        tags=query.tags,
        without_tags=query.without_tags,
        where=query.where.text or None,
    )


def from_selection(selection: wire.Selection) -> Query:
    """What is asked for. Raises ExchangeError."""

    def optional(name: str) -> object:
        return getattr(selection, name) if selection.HasField(name) else None

    if max(len(selection.hosts), len(selection.pids), len(selection.tids)) > _MAX_LIST:
        raise ExchangeError(f"a selection names at most {_MAX_LIST:,} hosts, processes or threads")
    tags = (*selection.tags, *selection.without_tags)
    if len(tags) > _MAX_TAGS or any(len(tag) > LONGEST_TAG for tag in tags):
        raise ExchangeError(f"a selection names at most {_MAX_TAGS:,} tags, of at most {LONGEST_TAG} characters")
    try:
        kind, role, group = (
            kinds.Kind(selection.kind),
            kinds.Role(selection.role - _FILTERED * selection.HasField("where")),
            Group(selection.group),
        )
    except ValueError as error:
        raise ExchangeError(f"not known here: {error}") from error
    try:
        where = parse(selection.where, LONGEST_WRITTEN) if selection.HasField("where") else EVERYTHING
    except WhereError as error:
        raise ExchangeError(f"not a filter line: {error}") from error
    names = ("start_ns", "end_ns", "service", "process_start_ns", "process", "cgroup", "frame", "name", "value")
    return Query(
        kind,
        hosts=tuple(selection.hosts),
        pids=tuple(selection.pids),
        tids=tuple(selection.tids),
        role=role,
        tags=tuple(selection.tags),
        without_tags=tuple(selection.without_tags),
        group=group,
        measure=Measure.TIME if selection.by_time else Measure.COUNT,
        where=where,
        **{name: optional(name) for name in names},  # type: ignore[arg-type]  # each of its field's type
    )


def _ids(ids: Sequence[int]) -> list[int]:
    return [one for one in ids if 0 <= one < 1 << 32] or [_NOBODY] * bool(ids)


def _moment(time_ns: int | None) -> int | None:
    return None if time_ns is None else min(max(time_ns, 0), (1 << 64) - 1)


def to_estimate(estimate: base.Estimate) -> wire.Estimate:
    """How exact an answer is, as it is sent."""
    return wire.Estimate(**asdict(estimate))


def from_estimate(estimate: wire.Estimate) -> base.Estimate:
    """How exact an answer says that it is."""
    error = min(1.0, max(0.0, estimate.share_error))
    return base.Estimate(max(1, estimate.sampled), estimate.events, error, estimate.missing_ns)


def packed_rows(rows: Rows, queries: Sequence[Query]) -> bytes:
    """The body of a RowsReply: the rows of each of these queries, and of the tables what they refer to."""
    chosen = Chosen(rows.symbols, 0)
    body = wire.RowsBody()
    number = np.zeros(len(rows.symbols.tag_sets), np.uint16)
    for part, query in zip(rows.parts, queries, strict=True):
        payloads, numbered = chosen.numbered(as_compact(part, query))
        if numbered["tags"].any():
            for row in np.unique(numbered["tags"][number[numbered["tags"]] == 0]).tolist():
                if row:
                    body.tag_sets.add(names=rows.symbols.tag_sets[row])
                    number[row] = len(body.tag_sets)
            numbered["tags"] = number[numbered["tags"]]
        body.symbols.extend(payloads)
        body.parts.append(wire.Rows(n=len(numbered), columns=columns.packed(numbered)))
    return zstandard.ZstdCompressor(_LEVEL).compress(body.SerializeToString())


class Unpacker:
    """Answers out of messages. All have the same Symbols, so that they can be added up, until those are full.

    Its methods may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._symbols = Symbols()

    def rows(self, body: bytes) -> Rows:
        """The rows of each query, (n,) of COMPACT. Raises ExchangeError."""
        try:
            said = wire.RowsBody.FromString(unpacked(body, _MAX_PLAIN))
            parts = [columns.unpacked(part.columns, part.n, COMPACT) for part in said.parts]
        except (zstandard.ZstdError, DecodeError, TooLargeError, ValueError) as error:
            raise ExchangeError("an answer that cannot be unpacked") from error
        with self._lock:
            if self._symbols.size() > _MAX_SYMBOLS:
                self._symbols = Symbols()
            return self._named(said.symbols, said.tag_sets, parts)

    def _named(self, payloads: Sequence[bytes], tag_sets: Sequence[wire.TagSet], parts: list[NDArray[np.void]]) -> Rows:
        tables = Tables(0, self._symbols)
        try:
            for payload in payloads:
                tables.extend(payload)
        except DamagedError as error:
            raise ExchangeError(f"a damaged answer: {error}") from error
        named = [tables.remapped(part) for part in parts]
        if any(len(one) < len(part) for one, part in zip(named, parts, strict=True)):
            raise ExchangeError("a damaged answer: a row that refers to what is not there")
        self._name_tags(tag_sets, named)
        return Rows(self._symbols, named)

    def _name_tags(self, tag_sets: Sequence[wire.TagSet], parts: Sequence[NDArray[np.void]]) -> None:
        """Put rows of the tables in place of those of the answer. Raises ExchangeError."""
        most = max((int(part["tags"].max(initial=0)) for part in parts), default=0)
        if not most <= len(tag_sets) < MAX_TAG_SETS:
            raise ExchangeError("a damaged answer: tags that are not there")
        if not most:
            return
        try:
            rows = [0, *(self._symbols.tag_set(checked(one.names)) for one in tag_sets)]
        except ValueError as error:
            raise ExchangeError(f"a damaged answer: {error}") from error
        for part in parts:
            part["tags"] = np.array(rows, np.uint16)[part["tags"]]
