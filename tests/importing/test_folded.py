"""Folded stacks, in."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.export import folded
from aperture_tui.importing.opened import ImportingError, imported
from aperture_tui.importing.stacks import MAX_DEPTH
from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.query import Measure, Query
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.store.memory import MemoryStore
from tests.export import sample
from tests.importing.asked import TIME, frames, lines, opened, stacks, told
from tests.store import facts as words
from tests.store.facts import T0, Fact, batch_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.folded"


class TestRoundTrip:
    @settings(max_examples=100, deadline=None)
    @given(st.lists(words.facts, min_size=1, max_size=15))
    def test_what_we_export_comes_back_with_the_same_weights(self, facts: list[Fact]) -> None:
        store = MemoryStore(recorded=True)
        store.append(batch_of(facts, Symbols()))
        text = folded.of_query(store, Query())
        with tempfile.TemporaryDirectory() as folder:
            if not lines(text).total():
                assert text == "" or set(lines(text).values()) == {0}
                return
            again = opened(Path(folder, "x.folded"), text)
        assert folded.of_query(again, Query()) == text

    def test_names_that_need_care_kernel_jit_and_no_stack(self, path: Path) -> None:
        text = folded.of_query(sample.store(), Query())
        store = opened(path, text)
        assert folded.of_query(store, Query()) == text
        found = frames(store)
        assert found["vfs_read"].kind is FrameKind.KERNEL
        assert found["py::run"].kind is FrameKind.JIT
        assert found["web server"].kind is FrameKind.PROCESS

    @pytest.mark.parametrize("kind", [Kind.OFFCPU, Kind.LOCK, Kind.SYSCALL])
    def test_times_come_back_as_they_stand_there(self, path: Path, kind: Kind) -> None:
        text = folded.of_query(sample.waits(), Query(kind, measure=Measure.TIME))
        assert folded.of_query(opened(path, text), Query()) == text


class TestRead:
    def test_what_it_cannot_tell_is_said(self, path: Path) -> None:
        store = opened(path, "sh;main;work 3\npython;main 4\n")
        assert stacks(store) == {"sh;main;work": 3, "python;main": 4}
        assert stacks(store, TIME) == {}
        assert (store.span().start_ns, store.span().end_ns) == (T0, T0 + 1)
        assert "no times, no pids" in told(store).message
        assert told(store).delivered == 2
        assert not told(store).lost

    def test_processes_without_pids_can_be_told_apart(self, path: Path) -> None:
        store = opened(path, "sh;main 3\npython;main 4\nsh;other 2\n")
        python, sh = sorted(store.processes(Query()), key=lambda use: use.name)
        assert (sh.name, sh.pid, sh.count) == ("sh", 0, 5)
        assert (python.name, python.pid, python.count) == ("python", 0, 4)
        narrowed = Query(pids=(sh.pid,), process_start_ns=sh.start_ns)
        assert stacks(store, narrowed) == {"sh;main": 3, "sh;other": 2}

    def test_equal_stacks_are_summed(self, path: Path) -> None:
        store = opened(path, "a;b 1\na;b 2\na;c 3\n")
        assert stacks(store) == {"a;b": 3, "a;c": 3}
        assert store.span().events == 2

    def test_weights_beyond_32_bits(self, path: Path) -> None:
        store = opened(path, f"a;b {(1 << 34) + 5}\na;c 1\n")
        assert stacks(store) == {"a;b": (1 << 34) + 5, "a;c": 1}

    def test_weights_that_are_no_whole_numbers_are_rounded_and_it_is_said(self, path: Path) -> None:
        store = opened(path, "a;b 1.25\na;b 1.5\na;c 2.0\na;d 0.25\na;e 1e3\n")
        assert stacks(store) == {"a;b": 3, "a;c": 2, "a;e": 1000}
        assert told(store).degraded == {"weights rounded to whole samples": 3}
        assert told(store).lost == {"stacks of less than half a sample": 1}

    def test_lines_that_are_none_are_counted(self, path: Path) -> None:
        good = "".join(f"a;b;c{i} 2\n" for i in range(40))
        store = opened(path, good + "\n \r\nno number here\na;b -3\n12\na;b nan\r\na;c\t5\r\na;d 99999999999999999\n")
        assert sum(stacks(store).values()) == 85
        assert told(store).lost == {"unreadable lines": 4, "impossible weights": 1}

    def test_marks_of_other_tools(self, path: Path) -> None:
        store = opened(path, "java;Interpreted.run_[0];C1.run_[1];C2.run_[j];inlined_[i];do_syscall_64_[k] 1\n")
        found = {function: frame.kind for function, frame in frames(store).items()}
        assert found == {
            "java": FrameKind.PROCESS, "Interpreted.run": FrameKind.RUNTIME, "C1.run": FrameKind.JIT,
            "C2.run": FrameKind.JIT, "inlined": FrameKind.NATIVE, "do_syscall_64": FrameKind.KERNEL,
        }  # fmt: skip

    def test_py_spy_has_files_and_lines_and_no_process(self, path: Path) -> None:
        store = opened(path, "<module> (app.py:7);work (lib/w.py:12);run (<string>:1) 9\n")
        assert stacks(store) == {"[unknown];<module>;work;run": 9}
        assert frames(store)["work"] == Frame("work", "", "lib/w.py", 12, FrameKind.PYTHON)

    def test_py_spy_counts_samples_without_a_stack(self, path: Path) -> None:
        store = opened(path, "<module> (app.py:7);work (lib/w.py:12) 9\n 2\n")
        assert stacks(store) == {"[unknown];<module>;work": 9, "[no stack]": 2}

    def test_deep_stacks_lose_their_innermost_frames(self, path: Path) -> None:
        deep = [f"f{i}" for i in range(2 * MAX_DEPTH)]
        store = opened(path, f"{';'.join(['sh', *deep])} 1\nsh;short 1\n")
        assert stacks(store) == {";".join(["sh", *deep[:MAX_DEPTH]]): 1, "sh;short": 1}
        assert told(store).degraded == {"stacks cut": 1}

    def test_control_characters_are_written_out(self, path: Path) -> None:
        store = opened(path, "sh;\x1b[31mred\u202e 1\n")
        assert stacks(store) == {r"sh;\x1b[31mred\u202e": 1}

    def test_a_name_without_end_is_cut(self, path: Path) -> None:
        store = opened(path, f"sh;{'x' * 100_000} 1\n")
        assert max(map(len, frames(store))) < 5000


class TestRefused:
    def test_a_difference(self, path: Path) -> None:
        path.write_text("a;b 10 12\na;c 0 4\n")
        with pytest.raises(ImportingError, match=r"x\.folded: the difference of two profiles: .*aperture diff"):
            imported(path)

    def test_nothing_that_weighs_anything(self, path: Path) -> None:
        path.write_text("a;b 0\na;c 0.1\n")
        with pytest.raises(ImportingError, match="no stack with a weight"):
            imported(path)

    def test_weights_that_need_more_events_than_there_may_be(self, path: Path) -> None:
        path.write_text("".join(f"a;b{i} {(1 << 53) - 1}\n" for i in range(10)))
        with pytest.raises(ImportingError, match="need more than 8,000,000 events"):
            imported(path)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.binary(max_size=30)
        | st.from_regex(
            rb"[ab]{0,2}(;[ab\x00\xff\[\]_k]{0,4}){0,4}[ \t]{0,2}-?[0-9]{0,18}(\.[0-9]{1,3})?", fullmatch=True
        ),
        max_size=12,
    )
)
def test_anything_else_is_never_a_crash(some: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "x.folded")
        file.write_bytes(b"\n".join(some))
        try:
            store = imported(file)
        except ImportingError as error:
            assert str(error).startswith(str(file))  # noqa: PT017  # which of the two happens is not known
            return
    if store is not None:
        assert sum(stacks(store).values()) == store.timeline(Query(), 1).weights.sum()
        assert sum(use.count for use in store.processes(Query())) == sum(stacks(store).values())
