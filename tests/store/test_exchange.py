"""Questions and answers over the wire: what comes out is what went in, and nonsense is refused."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.profile.kinds import Role
from aperture_tui.profile.packed import columns
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Symbols
from aperture_tui.profile.where import parse
from aperture_tui.store.answers import Answers, Rows
from aperture_tui.store.base import Estimate
from aperture_tui.store.compaction import COMPACT, WHOLE
from aperture_tui.store.exchange import (
    ExchangeError,
    Unpacker,
    from_estimate,
    from_selection,
    packed_rows,
    to_estimate,
    to_selection,
)
from aperture_tui.store.memory import MemoryStore
from aperture_tui.wire import fleet_pb2 as wire
from tests.store.facts import Fact, batch_of, facts, queries


@given(queries)
def test_a_query_comes_back(query: Query) -> None:
    sent = wire.Selection.FromString(to_selection(query).SerializeToString())
    if query.value is None or 0 <= query.value < 1 << 64:
        assert from_selection(sent) == query
    else:
        assert from_selection(sent).pids == (0xFFFFFFFF,)


def test_who_does_not_know_filter_lines_does_not_know_the_role_of_a_question_with_one() -> None:
    """Older versions leave out the field that they do not know, and refuse the role."""
    assert Role(to_selection(Query()).role) is Role.OWN
    for role in Role:
        with pytest.raises(ValueError, match="is not a valid Role"):
            Role(to_selection(Query(role=role, where=parse("comm:x"))).role)


def test_a_query_for_what_cannot_be_asks_for_nobody() -> None:
    for query in (Query(pids=(-1,)), Query(tids=(1 << 40,)), Query(value=-1), Query(process_start_ns=1 << 64)):
        came = from_selection(to_selection(query))
        assert came.pids == (0xFFFFFFFF,) or came.tids == (0xFFFFFFFF,)


def test_a_selection_of_nonsense_is_refused() -> None:
    for nonsense in (
        wire.Selection(kind=99),
        wire.Selection(kind=1, role=9),
        wire.Selection(kind=1, pids=range(10_001)),
        wire.Selection(kind=1, group=9),
        wire.Selection(kind=1, without_tags=["x" * 41]),
        wire.Selection(kind=1, tags=["x"] * 201),
        wire.Selection(kind=1, role=16, where="com:x"),
        wire.Selection(kind=1, role=16, where="x" * 4_001),
        wire.Selection(kind=1, role=16),
        wire.Selection(kind=1, where="comm:x"),
    ):
        with pytest.raises(ExchangeError):
            from_selection(nonsense)


class Unpacked(Answers):
    """Answers out of the messages of another store."""

    def __init__(self, store: MemoryStore, unpacker: Unpacker) -> None:
        super().__init__()
        self._store, self._unpacker = store, unpacker

    def rows(self, queries: list[Query], alike: tuple[str, ...]) -> Rows:  # type: ignore[override]  # narrower
        return self._unpacker.rows(packed_rows(self._store.rows(queries, alike), queries))


@settings(max_examples=60, deadline=None)
@given(st.lists(facts, max_size=20), queries, queries)
def test_answers_out_of_messages_are_the_same(events: list[Fact], query: Query, other: Query) -> None:
    store = MemoryStore(recorded=True)
    store.append(batch_of(events, Symbols()))
    sent = Unpacked(store, Unpacker())
    assert sent.processes(query) == store.processes(query)
    assert sent.latencies(query) == store.latencies(query)
    assert sent.completeness(query) == store.completeness(query)
    ours, theirs = sent.rows([query, other], WHOLE), store.rows([query, other], WHOLE)
    assert [part.dtype for part in ours.parts] == [COMPACT, COMPACT]
    assert [len(part) for part in ours.parts] == [len(part) for part in theirs.parts]


def test_answers_share_their_tables() -> None:
    store, unpacker = MemoryStore(recorded=True), Unpacker()
    first = Unpacked(store, unpacker).call_tree(Query())
    assert first.merge(Unpacked(store, unpacker).call_tree(Query())).weight == 0


def test_damaged_answers_are_refused() -> None:
    body = packed_rows(Rows(Symbols(), [np.zeros(2, COMPACT)]), [Query()])
    for bad in (b"", body[:-1], b"nonsense"):
        with pytest.raises(ExchangeError):
            Unpacker().rows(bad)
    rows = np.zeros(1, COMPACT)
    rows["stack"] = 5
    lying = wire.RowsBody(parts=[wire.Rows(n=1, columns=columns.packed(rows))]).SerializeToString()
    with pytest.raises(ExchangeError, match="not there"):
        Unpacker().rows(zstandard.ZstdCompressor().compress(lying))


def test_an_estimate_comes_back_within_bounds() -> None:
    estimate = Estimate(25, 1000, 0.03, 7)
    assert from_estimate(to_estimate(estimate)) == estimate
    assert from_estimate(wire.Estimate(share_error=7.0)) == Estimate(1, 0, 1.0)


def test_tags_that_cannot_be_are_refused() -> None:
    rows = np.zeros(1, COMPACT)
    rows["tags"] = 1
    for sets in ([], [["x"] * 2], [["x" * 41]], [[]] * (1 << 16)):
        said = wire.RowsBody(parts=[wire.Rows(n=1, columns=columns.packed(rows))])
        for names in sets:
            said.tag_sets.add(names=names)
        with pytest.raises(ExchangeError, match="damaged answer"):
            Unpacker().rows(zstandard.ZstdCompressor().compress(said.SerializeToString()))
