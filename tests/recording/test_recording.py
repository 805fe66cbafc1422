"""Recordings written, and read again as they were."""

from __future__ import annotations

import io
import itertools
import os
import resource
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.profile.batch import Batch, empty
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.packed import chosen, tables
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.profile.tags import names_of
from aperture_tui.recording.blocks import Block, BlockType, Cut, scan
from aperture_tui.recording.index import Index
from aperture_tui.recording.reader import Reader
from aperture_tui.recording.replay import ReplayStore, replay
from aperture_tui.recording.writer import Writer
from aperture_tui.store.base import Store
from tests.recording.sample import GAUGE, HEALTH, STACK, everything, first_block, small
from tests.store.conformance import HOST, SH, StoreConformance
from tests.store.facts import SECOND, T0, Fact, Reference, batch_of, facts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.aperture"


class _Replayed(ReplayStore):
    """Without the files' own line of health, which a live store has not."""

    def health(self) -> list[Health]:
        return [h for h in super().health() if h.name != "recording"]


class TestReplayStore(StoreConformance):
    """A recording answers as the live store did."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def no_waiting_for_the_disk(cls) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", lambda file: None)
            yield

    def make_store(
        self,
        batches: Sequence[Batch],
        gauges: Sequence[HostSample] = (),
        health: Sequence[Health] = (),
        host: HostFacts = HOST,
    ) -> Store:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "x")
            writer = Writer(file)
            writer.set_hosts([host])
            writer.set_health(health)
            for batch in batches:
                writer.append(batch)
            for sample in gauges:
                writer.append_gauges(sample)
            writer.close()
            store = replay(file)
        assert store.health()[-1] == Health("recording", State.STOPPED)
        store.__class__ = _Replayed
        return store


class TestWhole:
    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.tuples(st.booleans(), st.lists(facts, max_size=8)), max_size=6))
    def test_events_of_several_generations_come_back_in_words(self, parts: list[tuple[bool, list[Fact]]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "x")
            writer, symbols = Writer(file), Symbols()
            for begin, part in parts:
                symbols = Symbols() if begin else symbols
                writer.append(batch_of(part, symbols))
            writer.close()
            got, reader = everything(file)
        every = list(itertools.chain.from_iterable(part for _, part in parts))
        assert got == Reference(every).tree(Query())
        assert reader.complete
        assert reader.damage.message == ""
        assert (writer.events, writer.lost) == (len(every), 0)

    def test_every_field_of_an_event_comes_back(self, path: Path) -> None:
        symbols = Symbols()
        events = empty(2)
        for i, name in enumerate(events.dtype.names or ()):
            events[name] = [i + 1, 60_000 + i]
        for i in range(60_030):
            symbols.string(f"s{i}")
        events["stack"] = events["process"] = 0
        writer = Writer(path)
        writer.append(Batch(symbols, events))
        writer.close()
        with Reader(path) as reader:
            batches = list(reader.batches())
        got, read = np.concatenate([batch.events for batch in batches]), batches[0].symbols
        for name in events.dtype.names or ():
            if name in ("thread", "name"):
                assert [read.strings[i] for i in got[name]] == [symbols.strings[i] for i in events[name]]
            else:
                assert got[name].tolist() == events[name].tolist()

    def test_names_of_tags_come_before_what_needs_them_and_once(self, path: Path) -> None:
        symbols, writer = Symbols(), Writer(path)
        for names in ((), ("slow",), ("slow",), ("slow", "odd"), ("odd",)):
            batch = batch_of([Fact(T0, SH, stack=STACK)], symbols)
            batch.events["tags"] = (1 << len(names)) - 1
            writer.append(Batch(symbols, batch.events, names))
            writer._flush()
        writer.close()
        with Reader(path) as reader:
            in_order = [BlockType(kind).name for kind in reader.rows["type"].tolist() if kind != BlockType.SYMBOLS]
            assert in_order == ["EVENTS", "TAGS", "EVENTS", "EVENTS", "TAGS", "EVENTS", "EVENTS"]
            told = [set(names_of(int(batch.events["tags"][0]), batch.tags)) for batch in reader.batches()]
        assert told == [set(), {"slow"}, {"slow"}, {"slow", "odd"}, {"odd"}]
        store = replay(path)
        assert store.tags() == ("odd", "slow")
        assert store.call_tree(Query(tags=("odd",))).weight == 2

    def test_tags_without_names_are_called_by_their_bits(self, path: Path) -> None:
        """Recordings of before there were names; and what is no list of names."""
        symbols, writer = Symbols(), Writer(path)
        batch = batch_of([Fact(T0, SH, stack=STACK)], symbols)
        batch.events["tags"] = 0b101
        writer.append(batch)
        writer._block(BlockType.TAGS, b'["x", "x"]')
        writer.close()
        store = replay(path)
        assert store.call_tree(Query(tags=("#2",))).weight == 1
        assert store.tags() == ()
        assert store.health()[-1].lost == {"damaged blocks": 1}

    def test_processes_and_words_come_back(self, path: Path) -> None:
        small(path)
        store = replay(path)
        assert store.hosts() == [HOST]
        assert store.gauges(Query()) == [GAUGE]
        assert store.health() == [HEALTH, Health("recording", State.STOPPED)]
        (use,) = store.processes(Query())
        assert (use.pid, use.start_ns, use.name, use.cgroup, use.count) == (1, SH.start_ns, "sh", "/a", 4)
        with Reader(path) as reader:
            assert reader.header["collectors"] == ["cpu"]

    def test_one_set_of_symbols_grows_through_the_file(self, path: Path) -> None:
        symbols, writer = Symbols(), Writer(path)
        for i in range(3):
            writer.append(batch_of([Fact(T0, SH, stack=(*STACK, Frame(f"f{i}")))], symbols))
            writer._flush()
        writer.close()
        with Reader(path) as reader:
            batches = list(reader.batches())
        assert len(batches) == 3
        assert len({id(batch.symbols) for batch in batches}) == 1
        assert len(batches[0].symbols.trie) == 1 + len(STACK) + 3

    def test_the_index_names_every_block(self, path: Path) -> None:
        small(path)
        data = path.read_bytes()
        file = io.BytesIO(data)
        first = first_block(data)
        file.seek(first)
        blocks = [block for block in scan(file) if isinstance(block, Block)]
        assert [b.kind for b in blocks][-2:] == [BlockType.INDEX, BlockType.END]
        index = Index(file, first, len(data), "x")
        assert (index.complete, index.cut_bytes, index.skipped_bytes) == (True, 0, 0)
        expected = [(b.offset, b.kind) for b in blocks if b.kind not in (BlockType.INDEX, BlockType.END)]
        assert list(zip(index.rows["offset"].tolist(), index.rows["type"].tolist(), strict=True)) == expected
        events = index.rows[index.rows["type"] == BlockType.EVENTS]
        assert events[["start_ns", "end_ns", "events", "generation", "kind"]].tolist() == [
            (T0, T0 + 1, 2, 0, 1),
            (T0 + 1, T0 + 2, 2, 1, 1),
        ]

    @pytest.mark.parametrize("cut", [0, 1, 20, 500])
    def test_the_index_of_a_file_that_was_not_closed_is_that_of_its_blocks(
        self, path: Path, cut: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("aperture_tui.recording.writer.GENERATION_BYTES", 2000)
        symbols, writer = Symbols(), Writer(path)
        for i in range(60):
            writer.append(batch_of([Fact(T0 + i, SH, stack=(*STACK, Frame(f"f{i}")))], symbols))
            writer._flush()
        data = path.read_bytes()[: path.stat().st_size - cut]
        writer.close()
        file = io.BytesIO(data)
        first = first_block(data)
        file.seek(first)
        found = list(scan(file))
        index = Index(file, first, len(data), "x")
        blocks = [block for block in found if isinstance(block, Block) and block.kind != BlockType.INDEX]
        assert sum(isinstance(block, Block) and block.kind == BlockType.INDEX for block in found) > 3
        assert not index.complete
        assert index.rows["offset"].tolist() == [block.offset for block in blocks]
        assert index.cut_bytes == sum(block.length for block in found if isinstance(block, Cut))

    def test_long_texts_are_cut_and_many_rows_are_split(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(chosen, "_ROWS", 7)
        long = "é" * tables.MAX_TEXT
        made = [Fact(T0, Process(i + 1, name=f"p{i}"), stack=(Frame(f"f{i}"), Frame(long))) for i in range(30)]
        writer = Writer(path)
        writer.append(batch_of(made, Symbols()))
        writer.close()
        got, reader = everything(path)
        assert reader.damage.message == ""
        assert {stack[0].function for stack in got} == {f"f{i}" for i in range(30)}
        assert {stack[1].function for stack in got} == {long[: tables.MAX_TEXT // 2]}

    def test_nothing_recorded_is_a_recording_too(self, path: Path) -> None:
        Writer(path).close()
        assert replay(path).span().events == 0


class TestWriter:
    def test_what_a_killed_program_left_can_be_read(self, path: Path) -> None:
        writer = Writer(path)
        writer.append(batch_of([Fact(T0, SH, stack=STACK)], Symbols()))
        writer._flush()
        got, reader = everything(path)
        assert got == {STACK: 1}
        assert not reader.complete
        assert "without having been closed" in reader.health().message
        writer.close()

    def test_a_full_disk_is_said_once_counted_and_leaves_a_whole_file(self, path: Path) -> None:
        """The limit on the size of a file stands in for the disk: the kernel writes a part and then refuses."""
        writer, symbols = Writer(path), Symbols()
        rng = np.random.default_rng(1)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        raised: list[OSError] = []
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # Python ignores SIGXFSZ
        try:
            for _ in range(20):
                events = empty(1000)
                events["value"] = rng.integers(0, 1 << 60, 1000)
                events["weight"] = events["kind"] = 1
                events["time_ns"] = T0
                try:
                    writer.append(Batch(symbols, events))
                    writer._flush()
                except OSError as error:
                    raised.append(error)
            writer.close()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert [(e.filename, (e.strerror or "").partition(":")[0]) for e in raised] == [
            (str(path), "cannot write the recording")
        ]
        assert 0 < writer.events < 20_000
        assert writer.events + writer.lost == 20_000
        assert path.stat().st_size <= 100_000
        got, reader = everything(path)
        assert sum(got.values()) == writer.events
        assert reader.damage.message == ""

    def test_a_file_that_cannot_be_made_is_an_error_at_once(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="No such file"):
            Writer(tmp_path / "absent" / "x")
        with pytest.raises(OSError, match="cannot write the recording"):
            Writer("/dev/full")

    def test_a_pipe_can_be_written(self) -> None:
        read, write = os.pipe()
        writer = Writer(f"/dev/fd/{write}")
        writer.append(batch_of([Fact(T0, SH)], Symbols()))
        writer.close()
        os.close(write)
        with open(read, "rb") as file:
            assert file.read()[:4] == b"\x89APE"

    def test_only_the_owner_may_read_a_file_that_was_there_before(self, path: Path) -> None:
        path.write_text("")
        path.chmod(0o644)
        Writer(path).close()
        assert path.stat().st_mode & 0o777 == 0o600

    def test_closing_twice_and_writing_after_are_harmless_and_counted(self, path: Path) -> None:
        writer = Writer(path)
        writer.close()
        writer.close()
        writer.append(batch_of([Fact(T0, SH)], Symbols()))
        writer.set_health([HEALTH])
        writer.append_gauges(GAUGE)
        writer.set_hosts([HOST])
        assert writer.lost == 1

    def test_health_is_written_when_it_changes_for_the_worse_not_every_time(self, path: Path) -> None:
        writer = Writer(path)
        for delivered in range(50):
            writer.set_health([Health("cpu", State.RUNNING, delivered=delivered)])
            writer._flush()
        writer.set_health([Health("cpu", State.RUNNING, delivered=50, lost={"ring full": 1})])
        writer._flush()
        writer.set_health([Health("cpu", State.STOPPED, delivered=51, lost={"ring full": 1})])
        writer.close()
        with Reader(path) as reader:
            told = [content.health[0] for content in reader.contents() if not isinstance(content, Batch)]
        assert [h.delivered for h in told] == [0, 50, 51]


def test_times_far_away_are_kept_as_they_are(path: Path) -> None:
    """A recording may be of any day: the clock of the reader has no say."""
    writer = Writer(path)
    late = T0 + 50 * 365 * 86400 * SECOND
    writer.append(batch_of([Fact(T0, SH), Fact(late, SH)], Symbols()))
    writer.close()
    assert (replay(path).span().start_ns, replay(path).span().end_ns) == (T0, late + 1)
