"""Recordings through filters: each event judged once, in the order of its file, whatever is asked for and when."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from aperture_tui.filters.chain import Chain
from aperture_tui.filters.opening import open_recorded
from aperture_tui.filters.recorded import Recorded
from aperture_tui.filters.spec import OnError
from aperture_tui.profile.batch import Batch
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Group, Query
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.recording import filtered
from aperture_tui.recording.reader import Reader
from aperture_tui.recording.replay import replay
from aperture_tui.recording.writer import Writer
from aperture_tui.store.compaction import TooManyError
from tests.filters.test_redaction import HIDES_S
from tests.filters.wat import KEEP_ALL, each, module, on_batch, spec, tags
from tests.recording.sample import HEALTH, STACK
from tests.recording.test_replay import STEPS, long, of_steps
from tests.store.conformance import SH
from tests.store.facts import SECOND, T0, Fact, batch_of, words

# every third event of the whole pass, of whatever kind, standing for three
EVERY_THIRD = module(
    each(
        "(block (result i32) (global.set $n (i32.add (global.get $n) (i32.const 1)))"
        " (i32.mul (i32.eqz (i32.rem_u (global.get $n) (i32.const 3))) (i32.const 3)))"
    ),
    "(global $n (mut i32) (i32.const 0))",
)
LOST_BEFORE = module(each("(i32.and (i32.load offset=36 (local.get $h)) (i32.const 1))"))
KINDS = (Kind.CPU, Kind.SYSCALL)


@pytest.fixture(autouse=True)
def room(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where what passes is kept; nothing is left there."""
    folder = tmp_path_factory.mktemp("room")
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    assert not list(folder.iterdir())


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """120 steps of an event of each kind, in some ten generations."""
    (tmp_path / "files").mkdir()
    path = tmp_path / "files/x.aperture"
    long(path, monkeypatch).close()
    return path


def through(folder: Path, wasm: bytes, on_error: OnError = OnError.KEEP) -> Recorded:
    return open_recorded([spec(folder, wasm, on_error)])


def told(store: object, query: Query) -> Counter[tuple[int, int]]:
    """Time and weight of each event."""
    _, events = store.selected(query)  # type: ignore[attr-defined]
    return Counter(zip(events["time_ns"].tolist(), events["weight"].tolist(), strict=True))


def directly(path: Path, folder: Path, wasm: bytes, kind: Kind) -> Counter[tuple[int, int]]:
    """What a chain lets pass that is given the batches of a file one by one."""
    out: Counter[tuple[int, int]] = Counter()
    with Chain([spec(folder, wasm, name="direct")]) as chain, Reader(path) as reader:
        for batch in reader.batches():
            events = chain.apply(batch).events
            events = events[events["kind"] == kind]
            out.update(zip(events["time_ns"].tolist(), events["weight"].tolist(), strict=True))
    return out


def test_events_are_judged_in_the_order_of_the_file_whatever_is_asked_first(path: Path, tmp_path: Path) -> None:
    expected = {kind: directly(path, tmp_path, EVERY_THIRD, kind) for kind in KINDS}
    assert {sum(counted.values()) for counted in expected.values()} == {2 * STEPS // 3 // 2}
    for first in (of_steps(100, 110), of_steps(0, 5), Query(kind=Kind.SYSCALL)):
        filters = through(tmp_path, EVERY_THIRD)
        store = replay(path, filters)
        part = told(store, first)
        assert part == Counter({one: n for one, n in expected[first.kind].items()  # type: ignore[index]
                                if (first.start_ns or 0) <= one[0] < (first.end_ns or 1 << 63)})  # fmt: skip
        for kind in KINDS:
            assert told(store, Query(kind=kind)) == expected[kind]
            assert store.call_tree(Query(kind=kind)).weight == STEPS
        assert filters.chain.filters[0].counters.events_in == 2 * STEPS, "each was judged once"
        assert store.span().events == 2 * STEPS // 3
        store.close()
        filters.close()


def test_what_is_not_events_is_as_without_filters(path: Path, tmp_path: Path) -> None:
    plain, store = replay(path), replay(path, through(tmp_path, module(each("(i32.const 0)"))))
    for _ in range(2):  # before and after it was judged
        assert store.gauges(of_steps(5, 8)) == plain.gauges(of_steps(5, 8))
        assert (store.span().start_ns, store.span().end_ns) == (plain.span().start_ns, plain.span().end_ns)
        assert store.kinds() == plain.kinds(), "it is not that nobody had looked"
        assert store.hosts() == plain.hosts()
        assert store.newest_ns() == plain.newest_ns()
        assert store.health()[0] == plain.health()[0]
        assert store.call_tree(Query()).weight == 0
    health = {one.name: one for one in store.health()}
    assert health["filter f"].message == f"takes away {2 * STEPS} of {2 * STEPS} events"
    assert health["filters"].delivered == 0


class _InterruptedError(Exception):
    pass


def test_a_pass_that_nobody_waits_for_any_more_is_gone_on_with(path: Path, tmp_path: Path) -> None:
    filters = through(tmp_path, EVERY_THIRD)
    store = replay(path, filters)
    shares: list[float] = []

    def impatient(share: float) -> None:
        shares.append(share)
        if len(shares) % 50 == 0:
            raise _InterruptedError

    store.watch = impatient
    interrupted = 0
    while interrupted < 20:
        try:
            store.call_tree(of_steps(100, 110))
            break
        except _InterruptedError:
            interrupted += 1
    assert interrupted == 2 * STEPS // 50
    judging = shares[: 2 * STEPS]
    assert judging == sorted(judging)
    assert judging[-1] == 1
    store.watch = lambda _: None
    assert told(store, Query()) == directly(path, tmp_path, EVERY_THIRD, Kind.CPU)
    assert filters.chain.filters[0].counters.events_in == 2 * STEPS


def test_a_pass_whose_filters_were_taken_by_another_begins_anew(path: Path, tmp_path: Path) -> None:
    """Two recordings that are compared share the filters."""
    filters = through(tmp_path, EVERY_THIRD)
    one, other = replay(path, filters), replay(path, filters)

    def stop(_: float) -> None:
        raise _InterruptedError

    one.watch = stop
    with pytest.raises(_InterruptedError):
        one.call_tree(Query())
    assert other.call_tree(Query()).weight == STEPS
    one.watch = lambda _: None
    assert told(one, Query()) == told(other, Query()) == directly(path, tmp_path, EVERY_THIRD, Kind.CPU)


def test_of_a_folder_only_the_files_that_are_looked_at_are_judged_each_from_its_beginning(
    path: Path, tmp_path: Path
) -> None:
    symbols, later = Symbols(), path.with_name("y.aperture")
    writer = Writer(later)
    for i in range(10):
        writer.append(batch_of([Fact(T0 + (1000 + i) * SECOND, SH, stack=STACK)], symbols))
    writer.close()
    filters = through(tmp_path, EVERY_THIRD)
    store = replay(path.parent, filters)
    assert sum(told(store, of_steps(1000, 1010)).values()) == 3
    assert filters.chain.filters[0].counters.events_in == 10
    assert told(store, Query()) == directly(path, tmp_path, EVERY_THIRD, Kind.CPU) + directly(
        later, tmp_path, EVERY_THIRD, Kind.CPU
    )
    assert filters.chain.filters[0].counters.events_in == 10 + 2 * STEPS


def test_many_threads_ask_at_once(path: Path, tmp_path: Path) -> None:
    store = replay(path, through(tmp_path, EVERY_THIRD))
    expected = directly(path, tmp_path, EVERY_THIRD, Kind.CPU)
    wrong: list[object] = []

    def ask(first: int) -> None:
        part = told(store, of_steps(first, first + 20))
        start, end = T0 + first * SECOND, T0 + (first + 20) * SECOND
        if part != Counter({one: n for one, n in expected.items() if start <= one[0] < end}):
            wrong.append(part)
        store.health()

    threads = [threading.Thread(target=ask, args=(20 * i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("on_error", [OnError.KEEP, OnError.DROP])
def test_a_filter_that_fails_is_told_with_what_became_of_the_events(
    path: Path, tmp_path: Path, on_error: OnError
) -> None:
    filters = through(tmp_path, module(on_batch("(unreachable)")), on_error)
    store = replay(path, filters)
    assert store.call_tree(Query()).weight == (STEPS if on_error is OnError.KEEP else 0)
    (word,) = (one for one in store.health() if one.name == "filter f")
    counted = word.degraded if on_error is OnError.KEEP else word.lost
    assert sum(counted.values()) == 2 * STEPS
    assert word.state is State.FAILED
    assert "disabled" in filters.failure


def test_hidden_names_are_nowhere_in_what_is_held(tmp_path: Path) -> None:
    path, symbols = tmp_path / "x.aperture", Symbols()
    writer = Writer(path)
    writer.append(batch_of([Fact(T0, SH, stack=(Frame("main"), Frame("secret"), Frame("end")))], symbols))
    writer.close()
    store = replay(path, through(tmp_path, HIDES_S, OnError.DROP))
    (stack,) = words(store.call_tree(Query()))
    assert [frame.function for frame in stack] == ["main", "(redacted)", "end"]
    assert not any("secret" in text for text in store._loaded.symbols.strings)


def test_what_the_recording_lost_is_told_to_the_filter_with_the_next_batch(tmp_path: Path) -> None:
    path, symbols, writer = tmp_path / "x.aperture", Symbols(), Writer(tmp_path / "x.aperture")
    for i, lost in enumerate([0, 7, 7, 0]):
        writer.append(batch_of([Fact(T0 + i * SECOND, SH, stack=STACK)], symbols))
        words = [Health("cpu", State.RUNNING, lost={"ring full": lost}), Health("naming", State.RUNNING, lost={"x": i})]
        writer.set_health(words)
        writer._flush()
    writer.close()
    store = replay(path, through(tmp_path, LOST_BEFORE))
    assert told(store, Query()) == {(T0 + 2 * SECOND, 1): 1}


def test_what_is_damaged_was_lost_before_the_next_batch(tmp_path: Path, path: Path) -> None:
    data = bytearray(path.read_bytes())
    with Reader(path) as reader:
        of_events = reader.rows[(reader.rows["events"] > 0) & (reader.rows["kind"] == Kind.CPU)]
    data[int(of_events["offset"][50]) + 30] ^= 255
    path.write_bytes(data)
    store = replay(path, through(tmp_path, LOST_BEFORE))
    hit = told(store, Query(kind=Kind.SYSCALL))
    assert hit == {(T0 + 50 * SECOND, 1): 1}
    assert store.health()[-1].lost == {"damaged blocks": 1}


def test_without_room_there_is_a_line_and_the_next_question_tries_again(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = replay(path, through(tmp_path, EVERY_THIRD))
    with monkeypatch.context() as patch:
        patch.setattr(filtered, "_folder", lambda: str(tmp_path / "none"))
        with pytest.raises(TooManyError, match=r"cannot be kept in .*none: No such file .*TMPDIR"):
            store.call_tree(Query())
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "append", _full)
        with pytest.raises(TooManyError, match="No space left"):
            store.call_tree(Query())
    assert store.call_tree(Query()).weight == STEPS


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_filters_of_then_and_of_now_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "x.aperture"
    facts = {"filters": [{"file": "f.wasm", "sha256": "0123456789abcdef", "on_error": "keep"}]}
    writer = Writer(path, facts)
    writer.append(batch_of([Fact(T0, SH, stack=STACK)], Symbols()))
    writer.set_health([HEALTH, Health("filter f", State.STOPPED, "takes away 3 of 4 events")])
    writer.close()
    assert replay(path).health()[-1].message == "recorded through filters: f.wasm (0123456789ab)"
    store = replay(path, through(tmp_path, EVERY_THIRD))
    assert store.call_tree(Query()).weight == 0
    said = {one.name: one.message for one in store.health()}
    assert said["filter f, when it was recorded"] == "takes away 3 of 4 events"
    assert said["filter f"] == "takes away 1 of 1 events"


_SIXTEEN = [f"{i} (?)" for i in range(16)]


@pytest.mark.parametrize(
    ("told_there", "said"),
    [
        (None, ""),
        ("x", ""),
        ([], ""),
        ([7, None], ""),
        ([{}], "recorded through filters: ? (?)"),
        ([{"file": "\x1b[31m" + "x" * 99, "sha256": [1]}] * 99, rf"recorded through filters: \x1b[31m{52 * 'x'} ([1])"),
        ([{"file": "f"}, {"file": "g"}] * 99, "recorded through filters: f (?), g (?)"),
        ([{"file": f"{i}"} for i in range(99)], f"recorded through filters: {', '.join(_SIXTEEN)}"),
    ],
)  # fmt: skip
def test_a_header_from_anyone_is_shown_safely(told_there: object, said: str) -> None:
    assert filtered.filters_told([{"filters": told_there}]) == said


def test_a_batch_that_is_empty_is_no_step(tmp_path: Path) -> None:
    path = tmp_path / "x.aperture"
    Writer(path).close()
    store = replay(path, through(tmp_path, EVERY_THIRD))
    assert store.call_tree(Query()).weight == 0
    assert store.span().events == 0
    assert len(Batch(Symbols(), store.selected(Query())[1])) == 0


def test_tags_of_the_recording_stay_beside_those_that_a_filter_gives_now(tmp_path: Path) -> None:
    path, symbols = tmp_path / "tagged.aperture", Symbols()
    writer = Writer(path)
    batch = batch_of([Fact(T0 + i, SH, stack=STACK) for i in range(4)], symbols)
    batch.events["tags"] = [0, 1, 2, 3]
    writer.append(Batch(symbols, batch.events, ("old", "odd")))
    writer.close()
    tagging = module(each(KEEP_ALL, "(i32.const 3)"), tags("new,old"))
    store = replay(path, through(tmp_path, tagging))
    weights = {name: store.call_tree(Query(tags=(name,))).weight for name in ("old", "odd", "new")}
    assert weights == {"old": 4, "odd": 2, "new": 4}
    assert store.tags() == ("new", "odd", "old")
    assert Counter(words(store.call_tree(Query(group=Group.TAG))).values()) == Counter([2, 2])
    store.close()
