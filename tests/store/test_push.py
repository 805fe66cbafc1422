"""Pushes: what is encoded is decoded, and nothing else is taken."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.packed.hashes import StackHashes, process_hashes
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.profile.tags import names_of
from aperture_tui.store.push import Push, PushError, PushHead, PushLimits, decoded, encoded
from aperture_tui.wire.fleet_pb2 import Body, PushRequest
from tests.store.facts import T0, TAGS, Fact, batch_of, facts

HEAD = PushHead("build-7", bytes(range(16)), 3, "api", "0.1", 5, 10_000)
STACK = (Frame("sh", kind=FrameKind.PROCESS), Frame("main", "/bin/sh"), Frame("work", "/bin/sh", "work.c", 12))
FACTS = [Fact(T0, Process(1, T0 - 5, "sh", "/a"), stack=STACK), Fact(T0 + 1, Process(2), stack=STACK[:2])]


def none_known(hashes: np.ndarray) -> np.ndarray:
    return np.zeros(len(hashes), bool)


def words(symbols: Symbols, events: np.ndarray, stacks: np.ndarray) -> list[tuple[object, ...]]:
    plain = [name for name in events.dtype.names or () if name not in ("process", "thread", "name", "stack")]
    return [
        (
            *(event[name].item() for name in plain),
            symbols.process_at(int(event["process"])),
            symbols.strings[event["thread"]],
            symbols.strings[event["name"]],
            tuple(symbols.frame_at(f) for f in symbols.trie.path(int(stack))),
        )
        for event, stack in zip(events, stacks, strict=True)
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(facts, max_size=20))
def test_events_arrive_as_they_were(events: list[Fact]) -> None:
    batch = batch_of(events, Symbols())
    request, hashes = encoded(HEAD, batch, none_known)
    push = decoded(PushRequest.FromString(request.SerializeToString()))
    assert push.head == HEAD
    assert push.hashes.tolist() == hashes.tolist()
    assert words(push.symbols, push.events, push.nodes[push.events["stack"]]) == words(
        batch.symbols, batch.events, batch.events["stack"]
    )


def test_what_is_known_is_not_sent_and_words_come_along() -> None:
    batch = batch_of(FACTS, Symbols())
    host, sample = HostFacts("build-7", "6.1", 8, 1 << 34, "b"), HostSample(T0, cpu_user=0.5, load=(1, 2, 3))
    health = Health("cpu", State.RUNNING, lost={"ring": 3})
    whole, hashes = encoded(HEAD, batch, none_known, [host], [sample], [health])
    request, same = encoded(HEAD, batch, lambda h: h == hashes[0], [host], [sample], [health])
    assert same.tolist() == hashes.tolist()
    assert len(request.body) < len(whole.body)
    push = decoded(request)
    assert push.nodes[0] == 0
    assert push.nodes[1] > 0
    assert (push.hosts, push.gauges, push.health) == ([host], [sample], [health])


def test_a_hash_is_of_what_a_stack_says_and_of_nothing_else() -> None:
    one, other = Symbols(), Symbols()
    other.stacks([[other.frame(Frame("elsewhere"))]])
    nodes = [s.stacks([[s.frame(f) for f in STACK], [s.frame(f) for f in STACK[:2]]]) for s in (one, other)]
    assert nodes[0].tolist() != nodes[1].tolist()
    first, second = (StackHashes(s).of(n) for s, n in zip((one, other), nodes, strict=True))
    assert first.tolist() == second.tolist()
    assert first[0] != first[1]
    assert StackHashes(one).of(np.array([0])).tolist() == [0]
    changed = [Frame("work", "/bin/sh", "work.c", 13), Frame("work", "/bin/sh"), Frame("work", "/bin/sh", "work.c", 12)]
    changed[2] = changed[2]._replace(kind=FrameKind.PYTHON)
    for frame in changed:
        s = Symbols()
        assert StackHashes(s).of(s.stacks([[s.frame(f) for f in (*STACK[:2], frame)]]))[0] != first[0]
    process = Process(1, 2, "a", "b", "c")
    rows = [one.process(p) for p in (process, process._replace(pid=2), process._replace(container="d"))]
    assert len({0, *process_hashes(one, np.array(rows)).tolist()}) == 4
    assert process_hashes(one, np.array([0])).tolist() == [0]


def test_hashes_stay_as_tables_grow() -> None:
    s = Symbols()
    hashes = StackHashes(s)
    (first,) = s.stacks([[s.frame(f) for f in STACK]])
    before = hashes.of(np.array([first]))
    (second,) = s.stacks([[s.frame(f) for f in (*STACK, Frame("deeper"))]])
    assert hashes.of(np.array([first])).tolist() == before.tolist()
    assert hashes.of(np.array([second])).tolist() == StackHashes(s).of(np.array([second])).tolist()


def body() -> tuple[PushRequest, Body]:
    request, _ = encoded(HEAD, batch_of(FACTS, Symbols()), none_known)
    return request, Body.FromString(zstandard.ZstdDecompressor().decompressobj().decompress(request.body))


def repacked(request: PushRequest, changed: Body) -> PushRequest:
    return PushRequest(
        agent=request.agent, boot=request.boot, seq=request.seq,
        body=zstandard.ZstdCompressor().compress(changed.SerializeToString()),
    )  # fmt: skip


def refused(request: PushRequest, match: str, limits: PushLimits | None = None) -> PushError:
    with pytest.raises(PushError, match=match) as caught:
        decoded(request, limits or PushLimits())
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_stack_by_the_hash_of_another_is_refused() -> None:
    request, said = body()
    said.stack_hash = struct.pack("<2Q", 1, 2)
    refused(repacked(request, said), "the hash of another")
    said.stack_hash = struct.pack("<2Q", 1, 1)
    refused(repacked(request, said), "twice")


def test_places_and_rows_that_are_not_there_are_refused() -> None:
    request, said = body()
    said.stack_node = struct.pack("<2I", 1, 99)
    refused(repacked(request, said), "not there")
    request, said = body()
    said.stack_hash, said.stack_node = said.stack_hash[:8], said.stack_node[:4]
    refused(repacked(request, said), "without a stack")
    request, said = body()
    said.columns = said.columns[:-1]
    refused(repacked(request, said), "are not 2 records")
    request, said = body()
    said.events = 1 << 31
    assert refused(repacked(request, said), "at most").too_large
    request, said = body()
    said.symbols[0] = said.symbols[0][:-1]
    refused(repacked(request, said), "damaged")
    request, said = body()
    del said.symbols[:]
    refused(repacked(request, said), "not there")
    for field in ("hosts", "gauges", "health"):
        request, said = body()
        setattr(said, field, b'[{"name": 3}]')
        refused(repacked(request, said), "words")


def test_tags_come_with_their_names() -> None:
    tagged = [replace(fact, tags=frozenset(TAGS[i : i + 2])) for i, fact in enumerate(FACTS)]
    request, _ = encoded(HEAD, batch_of(tagged, Symbols()), none_known)
    push = decoded(request)
    assert push.tags == TAGS
    assert [set(names_of(bits, push.tags)) for bits in push.events["tags"].tolist()] == [fact.tags for fact in tagged]
    assert decoded(body()[0]).tags == ()


def test_names_of_tags_that_cannot_be_are_refused() -> None:
    for names in ([f"t{i}" for i in range(17)], ["x" * 41], ["a", "a"], [""]):
        request, said = body()
        said.tags.extend(names)
        refused(repacked(request, said), "damaged push: .*tags")
    request, said = body()
    said.tags.append("a\x1b[2Jb")
    assert decoded(repacked(request, said)).tags == ("a\\x1b[2Jb",)


def test_bombs_and_large_ones_are_refused_before_they_are_unpacked() -> None:
    request, _ = body()
    request.body = zstandard.ZstdCompressor().compress(bytes(200 << 20))
    assert refused(request, "unpacked").too_large
    request.body = bytes(5 << 20)
    assert refused(request, "at most").too_large
    whole, _ = encoded(HEAD, batch_of(FACTS, Symbols()), none_known)
    refused(whole, "rows of symbols", PushLimits(rows=8))
    request.body = b"nonsense"
    assert not refused(request, "cannot be unpacked").too_large


def test_a_push_that_does_not_say_whose_it_is_is_refused() -> None:
    request, _ = body()
    wrong = (
        {"boot": b"short"}, {"seq": 0}, {"seq": 1 << 63}, {"agent": ""}, {"agent": "x" * 300}, {"service": "x" * 300},
    )  # fmt: skip
    for change in wrong:
        changed = replace(HEAD, **change)  # type: ignore[arg-type]  # each of its field's type
        refused(encoded(changed, Batch(Symbols(), batch_of([], Symbols()).events), none_known)[0], "a push w")
    request.agent = "a\x1b[2Jb"
    assert "\x1b" not in decoded(request).head.agent


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_nonsense_is_a_push_or_refused(data: st.DataObject) -> None:
    request, said = body()
    field = data.draw(st.sampled_from(["stack_hash", "stack_node", "columns", "hosts", "gauges", "health", "symbols"]))
    old = said.symbols[0] if field == "symbols" else getattr(said, field)
    at = data.draw(st.integers(0, max(0, len(old) - 1)))
    new = old[:at] + data.draw(st.binary(max_size=8)) + old[at + data.draw(st.integers(0, 8)) :]
    if field == "symbols":
        said.symbols[0] = new
    else:
        setattr(said, field, new)
    try:
        push = decoded(repacked(request, said))
    except PushError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either is right
    else:
        assert isinstance(push, Push)
        assert (push.events["stack"] < max(1, len(push.hashes))).all()
