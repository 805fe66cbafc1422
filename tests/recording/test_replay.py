"""Recordings as a store: what is read for an answer, and how much is held."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostSample
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.profile.where import parse
from aperture_tui.recording import reader, replay
from aperture_tui.recording.blocks import RecordingError
from aperture_tui.recording.replay import ReplayStore
from aperture_tui.recording.writer import Writer
from aperture_tui.store.compaction import TooManyError
from tests.recording.sample import HEALTH, STACK
from tests.store.conformance import HOST, SH
from tests.store.facts import SECOND, T0, Fact, batch_of, words

STEPS = 120


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.aperture"


def long(path: Path, monkeypatch: pytest.MonkeyPatch, steps: int = STEPS) -> Writer:
    """A second in each block, a generation every few of them; not closed."""
    monkeypatch.setattr("aperture_tui.recording.writer.GENERATION_BYTES", 2000)
    symbols, writer = Symbols(), Writer(path)
    writer.set_hosts([HOST])
    writer.set_health([HEALTH])
    for i in range(steps):
        at = T0 + i * SECOND
        facts = [Fact(at, SH, stack=(*STACK, Frame(f"f{i % 50}"))), Fact(at, SH, kind=Kind.SYSCALL, name="read")]
        writer.append(batch_of(facts, symbols))
        writer.append_gauges(HostSample(at, cpu_user=0.5))
        writer._flush()
    return writer


@pytest.fixture
def store(path: Path, monkeypatch: pytest.MonkeyPatch) -> ReplayStore:
    long(path, monkeypatch).close()
    return replay.replay(path)


def stacks(first: int, end: int) -> dict[tuple[Frame, ...], int]:
    out: dict[tuple[Frame, ...], int] = {}
    for i in range(first, end):
        stack = (*STACK, Frame(f"f{i % 50}"))
        out[stack] = out.get(stack, 0) + 1
    return out


def of_steps(first: int, end: int) -> Query:
    return Query(start_ns=T0 + first * SECOND, end_ns=T0 + end * SECOND)


def test_the_last_minute_is_read_without_what_is_before_it(store: ReplayStore, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    block_at = reader.block_at
    monkeypatch.setattr(reader, "block_at", lambda file, at: read.append(at) or block_at(file, at))
    query = of_steps(STEPS - 5, STEPS)
    assert words(store.call_tree(query)) == stacks(STEPS - 5, STEPS)
    rows = store._blocks.rows
    first = int(rows["offset"][rows["start_ns"] == T0 + (STEPS - 15) * SECOND].min())
    assert min(read) > first, "what is long before is not read"
    del read[:]
    store.call_tree(query)
    assert read == [], "what was read is held"


def test_only_the_kind_that_is_asked_for_is_read(store: ReplayStore) -> None:
    store.call_tree(Query(kind=Kind.SYSCALL))
    assert {int(block["kind"][0]) for block in store._loaded._blocks.values()} == {Kind.SYSCALL}


@pytest.mark.parametrize("limit", ["_HELD_BYTES", "_MAX_SYMBOLS", "_HELD_TABLES"])
def test_what_is_let_go_of_is_read_again(store: ReplayStore, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, limit, 1)
    for _ in range(2):
        for first in (0, 50, 100):
            assert words(store.call_tree(of_steps(first, first + 20))) == stacks(first, first + 20)
    assert words(store.call_tree(Query())) == stacks(0, STEPS)
    held = sum(block.nbytes for block in store._loaded._blocks.values())
    assert held == store._loaded._bytes
    if limit == "_HELD_BYTES":
        assert len(store._loaded._blocks) == 1


def test_many_threads_ask_at_once(store: ReplayStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_HELD_BYTES", 1000)
    wrong: list[object] = []

    def ask(first: int) -> None:
        for end in range(first + 1, first + 20):
            if (got := words(store.call_tree(of_steps(first, end)))) != stacks(first, end):
                wrong.append(got)

    threads = [threading.Thread(target=ask, args=(10 * i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_file_that_is_being_written_is_opened_as_it_is_then(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = long(path, monkeypatch, 30)
    store = replay.replay(path)
    size = path.stat().st_size
    for i in range(30, 40):
        writer.append(batch_of([Fact(T0 + i * SECOND, SH, stack=STACK)], Symbols()))
        writer._flush()
    assert path.stat().st_size > size
    assert words(store.call_tree(Query())) == stacks(0, 30)
    assert "without having been closed" in store.health()[-1].message
    writer.close()
    assert replay.replay(path).span().events == 70


def test_gauges_of_a_range_and_of_a_long_one_fewer(store: ReplayStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [one.time_ns for one in store.gauges(of_steps(5, 8))] == [T0 + i * SECOND for i in (5, 6, 7)]
    monkeypatch.setattr(replay, "_MAX_GAUGES", 10)
    assert len(store.gauges(Query())) == 10
    assert store.newest_ns() == T0 + (STEPS - 1) * SECOND + 1


def test_a_folder_is_all_its_recordings_and_says_what_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long(tmp_path / "b.aperture", monkeypatch, 10).close()
    (tmp_path / "a.aperture").write_bytes(b"not one of them" * 100)
    (tmp_path / "notes.txt").write_text("hello")
    store = replay.replay(tmp_path)
    assert store.span().events == 20
    message = store.health()[-1].message
    assert message.startswith("1 files left out: ")
    assert "a.aperture: not a recording" in message


def test_names_of_files_are_made_safe_and_a_pipe_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long(tmp_path / "b.aperture", monkeypatch, 1).close()
    os.mkfifo(tmp_path / "\x1b[31m.aperture")
    message = replay.replay(tmp_path).health()[-1].message
    assert r"\x1b[31m.aperture: not a recording" in message
    assert "\x1b" not in message


def test_recordings_of_two_machines_are_told_apart_by_host_and_said(tmp_path: Path) -> None:
    for n, name in enumerate(("web1", "web2"), 1):
        writer = Writer(tmp_path / f"{name}.aperture")
        writer.set_hosts([replace(HOST, name=name)])
        writer.append(batch_of([Fact(T0, SH, stack=STACK, weight=n)], Symbols()))
        writer.append_gauges(HostSample(T0, cpu_user=n / 10))
        writer.close()
    store = replay.replay(tmp_path)
    assert [store.call_tree(Query(hosts=names)).weight for names in (("web1",), ("web2",), ("web3",), ())] == [
        1,
        2,
        0,
        3,
    ]
    lines = {"host:web1": 1, "-host:web1": 2, "host:web*": 3, "host:db": 0, "service:x": 0, "-service:x comm:sh": 3}
    assert {line: store.call_tree(Query(where=parse(line))).weight for line in lines} == lines
    assert [one.cpu_user for one in store.gauges(Query(hosts=("web2",)))] == [0.2]
    assert store.health()[-1].message == "of 2 machines, whose processes are not told apart: web1, web2"


def test_what_was_lost_in_an_earlier_session_is_not_forgotten(tmp_path: Path) -> None:
    """Within a session the counts go on from file to file, and a new one begins with 0."""
    for n, (began, lost) in enumerate([(7, {"ring full": 3}), (7, {"ring full": 5}), (8, {"map full": 2})]):
        writer = Writer(tmp_path / f"{n}.aperture", {"clocks": {"unix_ns": began}})
        writer.append(batch_of([Fact(T0 + n, SH, stack=STACK)], Symbols()))
        writer.set_health([Health("cpu", State.RUNNING, delivered=10 + n, lost=lost)])
        writer.close()
    told = replay.replay(tmp_path).health()
    assert told[0] == Health("cpu", State.RUNNING, delivered=23, lost={"ring full": 5, "map full": 2})
    assert [one.name for one in told] == ["cpu", "recording"]


def test_a_question_that_needs_too_many_symbols_is_refused_and_the_next_one_answered(
    store: ReplayStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("_MOST_SYMBOLS", "_MOST_TEXT"):
        with monkeypatch.context() as patch:
            patch.setattr(replay, limit, 60)
            store._loaded = replay._Loaded()
            with pytest.raises(TooManyError, match="choose a shorter one"):
                store.call_tree(Query())
            assert words(store.call_tree(of_steps(0, 2))) == stacks(0, 2)
    assert words(store.call_tree(Query())) == stacks(0, STEPS)


def test_more_files_than_may_be_open_are_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay.resource, "getrlimit", lambda _: (70, 70))
    monkeypatch.setattr(replay.resource, "setrlimit", lambda *_: None)
    for i in range(7):
        Writer(tmp_path / f"{i}.aperture").close()
    with pytest.raises(RecordingError, match="7 recordings, and only 70 files may be open"):
        replay.replay(tmp_path)


def test_a_folder_without_recordings_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no recordings"):
        replay.replay(tmp_path)
    (tmp_path / "a.aperture").write_bytes(b"x")
    with pytest.raises(RecordingError, match=r"a\.aperture: not a recording"):
        replay.replay(tmp_path)
