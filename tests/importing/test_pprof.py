"""pprof, in."""

from __future__ import annotations

import gzip
import tempfile
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.export import pprof as export
from aperture_tui.importing import pprof, pprof_tables
from aperture_tui.importing.opened import ImportingError, imported
from aperture_tui.importing.protobuf import Field
from aperture_tui.importing.stacks import MAX_DEPTH, MAX_NAME
from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.query import Group, Query
from aperture_tui.profile.symbols import Frame
from aperture_tui.wire import pprof_pb2
from tests.export import sample
from tests.importing.asked import BLOCKED, COUNT, TIME, frames, opened, stacks, told
from tests.store.facts import SECOND, T0

CPU = (("samples", "count"), ("cpu", "nanoseconds"))
HEAP = (("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes"))


class Written:
    """A profile that grows, with every text once."""

    def __init__(self, types: Sequence[tuple[str, str]] = CPU, default: str = "") -> None:
        self.profile = pprof_pb2.Profile(string_table=[""])
        for name, unit in types:
            self.profile.sample_type.add(type=self.text(name), unit=self.text(unit))
        self.profile.default_sample_type = self.text(default)
        self.profile.mapping.add(id=1, filename=self.text("/usr/bin/app"))

    def text(self, text: str) -> int:
        table = self.profile.string_table
        if text not in table:
            table.append(text)
        return list(table).index(text)

    def place(self, *functions: str, file: str = "", mapping: int = 1) -> int:
        """A location: the innermost of these functions was inlined into the next, and so on."""
        location = self.profile.location.add(id=len(self.profile.location) + 1, mapping_id=mapping)
        for function in functions:
            number = len(self.profile.function) + 1
            self.profile.function.add(id=number, name=self.text(function), filename=self.text(file))
            location.line.add(function_id=number, line=7)
        return location.id

    def sample(self, places: Sequence[int], *values: int, **labels: str | int) -> None:
        """places: the innermost first."""
        sample = self.profile.sample.add(location_id=places, value=values)
        for key, value in labels.items():
            if isinstance(value, str):
                sample.label.add(key=self.text(key), str=self.text(value))
            else:
                sample.label.add(key=self.text(key), num=value)

    def bytes(self) -> bytes:
        return self.profile.SerializeToString()


def small() -> Written:
    """Two samples of one program."""
    out = Written()
    main, work = out.place("main"), out.place("leaf", "work", file="w.c")
    out.sample([work, main], 3, 30_000_000)
    out.sample([main], 1, 10_000_000)
    return out


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "profile"


class TestRead:
    @pytest.mark.parametrize("packed", [False, True])
    def test_stacks_counts_and_times(self, path: Path, packed: bool) -> None:
        store = opened(path, small().bytes(), packed)
        assert stacks(store) == {"app;main;work;leaf": 3, "app;main": 1}
        assert stacks(store, TIME) == {"app;main;work;leaf": 30_000_000, "app;main": 10_000_000}
        assert frames(store)["leaf"] == Frame("leaf", "/usr/bin/app", "w.c", 7)
        assert told(store).message == "pprof: samples (count), cpu (nanoseconds)"

    def test_when_it_ended(self, path: Path) -> None:
        written = small()
        written.profile.time_nanos, written.profile.duration_nanos = T0 + SECOND, 5 * SECOND
        assert opened(path, written.bytes()).span().end_ns == T0 + 6 * SECOND + 1

    def test_without_a_time_it_is_the_files(self, path: Path) -> None:
        assert opened(path, small().bytes()).span().end_ns == T0 + 1

    def test_labels_tell_whose_it_was(self, path: Path) -> None:
        written = Written()
        main = written.place("main")
        written.sample([main], 1, 5, pid=42, tid=43, comm="web", thread="worker", cgroup="/a/b")
        written.sample([main], 2, 5, **{"process_id": 7, "thread id": "8", "thread name": "gc"})
        store = opened(path, written.bytes())
        assert stacks(store, Query(group=Group.THREAD)) == {"web;worker 43;main": 1, "[unknown];gc 8;main": 2}
        processes = {(use.pid, use.name, use.cgroup) for use in store.processes(Query())}
        assert processes == {(42, "web", "/a/b"), (7, "", "")}

    @pytest.mark.parametrize("query", [COUNT, TIME, BLOCKED])
    def test_what_we_export_comes_back_with_the_same_weights(self, path: Path, query: Query) -> None:
        store = sample.waits()
        again = stacks(opened(path, export.of_query(store, query)), query)
        # what has no process has no frame for it
        assert {stack.removeprefix("[unknown];"): weight for stack, weight in again.items()} == stacks(store, query)

    def test_kinds_of_frames(self, path: Path) -> None:
        written = Written()
        written.profile.mapping.add(id=2, filename=written.text("[kernel.kallsyms]"))
        places = [
            written.place("do_syscall_64", mapping=2),
            written.place("App.run", file="App.java"),
            written.place("work", file="/srv/w.py"),
            written.place(mapping=1),
            written.place(mapping=0),
        ]
        written.sample(places, 1, 1)
        store = opened(path, written.bytes())
        assert stacks(store) == {"app;[unknown];[app];work;App.run;do_syscall_64_[k]": 1}
        kinds = {function: frame.kind for function, frame in frames(store).items() if function}
        assert kinds == {
            "app": FrameKind.PROCESS, "work": FrameKind.PYTHON, "App.run": FrameKind.RUNTIME,
            "do_syscall_64": FrameKind.KERNEL,
        }  # fmt: skip

    def test_our_own_way_of_writing_a_function_without_a_name(self, path: Path) -> None:
        written = Written()
        written.sample([written.place("[app]")], 1, 1)
        assert frames(opened(path, written.bytes()))[""] == Frame("", "/usr/bin/app", line=7)

    def test_deep_stacks_lose_their_innermost_frames(self, path: Path) -> None:
        written = Written()
        written.sample([written.place(*(f"f{i}" for i in range(1500))), written.place("main")], 1, 1)
        store = opened(path, written.bytes())
        (stack,) = stacks(store)
        assert stack.startswith("app;main;f1499;f1498;")
        assert len(stack.split(";")) == 1 + MAX_DEPTH
        assert told(store).degraded == {"stacks cut": 1}

    def test_weights_beyond_32_bits_keep_their_time_once(self, path: Path) -> None:
        written = Written()
        written.sample([written.place("main")], 1 << 34, 5)
        store = opened(path, written.bytes())
        assert stacks(store) == {"app;main": 1 << 34}
        assert stacks(store, TIME) == {"app;main": 5}


class TestValues:
    def test_the_period_stands_in_for_missing_times(self, path: Path) -> None:
        written = Written([("samples", "count")])
        written.profile.period_type.type = written.text("cpu")
        written.profile.period_type.unit = written.text("milliseconds")
        written.profile.period = 10
        written.sample([written.place("main")], 3)
        assert stacks(opened(path, written.bytes()), TIME) == {"app;main": 30_000_000}

    def test_the_period_stands_in_for_missing_counts(self, path: Path) -> None:
        written = Written([("wall", "microseconds")])
        written.profile.period_type.unit = written.text("microseconds")
        written.profile.period = 10
        written.sample([written.place("main")], 35)
        store = opened(path, written.bytes())
        assert stacks(store) == {"app;main": 4}
        assert stacks(store, TIME) == {"app;main": 35_000}

    def test_samples_that_nothing_counts(self, path: Path) -> None:
        written = Written([("wall", "nanoseconds")])
        written.sample([written.place("main")], 35)
        store = opened(path, written.bytes())
        assert stacks(store) == {"app;main": 1}
        assert "each row is taken for one" in told(store).message

    @pytest.mark.parametrize(("default", "weight"), [("", 800), ("inuse_objects", 2), ("alloc_objects", 9), ("x", 800)])
    def test_a_heap_is_counted_in_what_the_file_begins_with(self, path: Path, default: str, weight: int) -> None:
        written = Written(HEAP, default)
        written.sample([written.place("main")], 9, 5000, 2, 800)
        store = opened(path, written.bytes())
        assert stacks(store) == {"app;main": weight}
        assert "which is not time on the CPU; not shown: " in told(store).message

    @pytest.mark.parametrize(
        "types", [(("contentions", "count"), ("delay", "nanoseconds")), (("time", "nanoseconds"), ("waits", "count"))]
    )
    def test_blocked_threads_are_off_cpu(self, path: Path, types: Sequence[tuple[str, str]]) -> None:
        written = Written(types)
        values = (2, 500) if types[0][0] == "contentions" else (500, 2)
        written.sample([written.place("lock")], *values, reason="futex")
        written.sample([written.place("other")], *values)
        store = opened(path, written.bytes())
        assert stacks(store) == {}
        assert stacks(store, BLOCKED) == {"app;lock": 500, "app;other": 500}
        assert {one.name for one in store.latencies(Query(Kind.OFFCPU))} == {"futex", "contention"}


class TestStrangers:
    def test_references_to_nothing_are_counted(self, path: Path) -> None:
        written = small()
        written.sample([99, 0, 1], 1, 1)
        written.profile.location[0].line[0].function_id = 77
        written.profile.location.add(id=1)
        written.profile.location.add(id=0)
        written.profile.function[1].name = 1 << 62
        written.profile.function[2].filename = -1
        store = opened(path, written.bytes())
        assert sum(stacks(store).values()) == 5
        degraded = told(store).degraded
        assert degraded["unreadable functions and locations"] == 2
        assert degraded["functions and locations that are not there"] >= 3
        assert degraded["names that are not there"] == 2

    def test_values_that_cannot_be(self, path: Path) -> None:
        written = small()
        written.sample([1], -1, 5)
        written.sample([1], 1, -(1 << 63))
        written.sample([1], (1 << 63) - 1, 5)
        written.sample([1], 1, (1 << 63) - 1)
        written.sample([1], 1)
        written.sample([1], 0, 0)
        store = opened(path, written.bytes())
        assert sum(stacks(store).values()) == 4
        assert told(store).lost == {"unreadable samples": 1, "negative samples": 2, "impossible samples": 2}

    def test_a_file_that_is_cut_says_so(self, path: Path) -> None:
        """What comes before the end is whole; where the names of the values are gone, it is not opened."""
        whole = small().bytes()
        opens = 0
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            try:
                store = imported(path)
            except ImportingError:
                continue
            if store is not None:
                opens += 1
                assert set(stacks(store).values()) <= {1, 3, 4}
                assert length in (0, len(whole)) or told(store).lost or told(store).degraded
        assert opens > 10

    def test_a_gzip_that_is_cut_says_so(self, path: Path) -> None:
        written = small()
        for i in range(3000):
            written.sample([written.place(f"function {i * 7919 % 3001}")], 1, 1)
        packed = gzip.compress(written.bytes())
        path.write_bytes(packed[: len(packed) * 9 // 10])
        store = imported(path)
        assert store is not None
        assert "its end is missing or damaged" in told(store).message
        assert 0 < sum(stacks(store).values()) <= 3004

    def test_a_bomb_is_not_unpacked(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pprof, "PPROF_BYTES", 1 << 20)
        path.write_bytes(gzip.compress(small().bytes() + b"\x32\x00" * (1 << 20)))
        with pytest.raises(ImportingError, match=r"larger than 1 MB unpacked"):
            imported(path)

    def test_tables_without_end_are_refused(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path.write_bytes(small().bytes() + b"\x22\x00" * 100)
        monkeypatch.setattr(pprof_tables, "MAX_ROWS", 50)
        with pytest.raises(ImportingError, match="more than 50 rows"):
            imported(path)
        monkeypatch.setattr(pprof, "_MAX_FIELDS", 10)
        with pytest.raises(ImportingError, match="more than 10 samples, names and locations"):
            imported(path)

    def test_a_location_without_end_costs_no_more_than_a_deep_stack(self, path: Path) -> None:
        written = Written()
        wide = written.place(*["f"] * 2000)
        for _ in range(50):
            written.sample([wide] * 20_000, 1, 1)
        store = opened(path, written.bytes())
        assert sum(stacks(store).values()) == 50

    def test_a_name_without_end_costs_no_more_than_what_is_kept_of_it(self) -> None:
        class Counted(bytes):
            read = 0

            def __getitem__(self, at: slice) -> bytes:  # type: ignore[override]  # slices alone are asked for
                Counted.read += len(part := super().__getitem__(at))
                return part

        texts = pprof_tables.Texts(Counted(b"a" * 100_000), [Field(6, -1, 0, 0), Field(6, -1, 0, 100_000)])
        assert {texts[1] for _ in range(1000)} == {"a" * MAX_NAME + "…"}
        assert Counted.read < 2 * MAX_NAME

    def test_labels_of_many_samples_are_held_once(self, path: Path) -> None:
        written = small()
        for pid in range(1, 3001):
            written.sample([1], 1, 1, pid=pid, comm="c" * MAX_NAME, thread="t" * MAX_NAME)
        path.write_bytes(written.bytes())
        tracemalloc.start()
        try:
            imported(path)
            assert tracemalloc.get_traced_memory()[1] < 3000 * MAX_NAME
        finally:
            tracemalloc.stop()

    def test_names_are_made_safe(self, path: Path) -> None:
        written = Written()
        written.sample([written.place("\x1b[31mred")], 1, 1, comm="\x1b]0;x")
        assert list(stacks(opened(path, written.bytes()))) == [r"\x1b]0:x;\x1b[31mred"]

    def test_no_samples_at_all(self, path: Path) -> None:
        for profile, said in ((Written(), "no samples in it"), (Written([]), "does not say what its samples are")):
            path.write_bytes(profile.bytes())
            with pytest.raises(ImportingError, match=said):
                imported(path)

    @settings(max_examples=300, deadline=None)
    @given(st.data())
    def test_changed_bytes_are_never_a_crash(self, data: st.DataObject) -> None:
        raw = bytearray(small().bytes())
        for _ in range(data.draw(st.integers(1, 8))):
            at = data.draw(st.integers(0, len(raw) - 1))
            raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
        _open_any(bytes(raw))

    @settings(max_examples=200, deadline=None)
    @given(st.data())
    def test_hostile_numbers_are_never_a_crash(self, data: st.DataObject) -> None:
        numbers = st.sampled_from([0, 1, 2, 3, 7, -1, (1 << 63) - 1, -(1 << 63), 1 << 32, 1 << 53])
        ids = numbers.map(lambda n: n % (1 << 64))
        written = small()
        profile = written.profile
        for _ in range(data.draw(st.integers(0, 6))):
            profile.sample.add(
                location_id=data.draw(st.lists(ids, max_size=4)), value=data.draw(st.lists(numbers, max_size=3))
            ).label.add(key=data.draw(numbers), str=data.draw(numbers), num=data.draw(numbers))
            location = profile.location.add(id=data.draw(ids), mapping_id=data.draw(ids), address=data.draw(ids))
            location.line.add(function_id=data.draw(ids), line=data.draw(numbers))
            profile.function.add(id=data.draw(ids), name=data.draw(numbers), filename=data.draw(numbers))
            profile.mapping.add(id=data.draw(ids), filename=data.draw(numbers))
        profile.sample_type.add(type=data.draw(numbers), unit=data.draw(numbers))
        profile.default_sample_type, profile.period = data.draw(numbers), data.draw(numbers)
        profile.time_nanos, profile.duration_nanos = data.draw(numbers), data.draw(numbers)
        _open_any(written.bytes())


def _open_any(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "x")
        file.write_bytes(raw)
        try:
            store = imported(file)
        except ImportingError:
            return
    if store is not None:
        for query in (Query(), TIME, BLOCKED):
            assert min(stacks(store, query).values(), default=0) >= 0
            store.processes(query)
