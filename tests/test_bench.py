from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import ROLE_SHIFT, Kind, Role
from aperture_tui.profile.symbols import Process, Symbols
from aperture_tui.recording.writer import Writer
from bench import profilers, report
from bench.figures import Figure, Verdict, quantile, throughput_loss
from bench.launch import FailedError, Program
from bench.probes import flood, slowdown
from bench.probes.arms import Arm, table
from bench.probes.flood import Flood
from bench.probes.loads import GETPPID, SERVER, Load, built, compiled
from bench.probes.recording import told
from bench.probes.slowdown import Found, probing
from bench.procfs import PERF_EVENT, RAW_TRACEPOINT, BpfRuns, tree
from bench.profilers import Profiler
from bench.terminal import Output, Terminal, VisibleText, visible
from bench.unwind.cover import first_ms
from bench.unwind.depth import Window, frame_ns, sample_us
from bench.unwind.dwarf import whole_share
from bench.unwind.held import Held, cpu_s, held, peak_bytes
from tests.store.facts import T0, Fact, batch_of

_FRAME = b"\x1b[?2026h\x1b[2;1H\x1b[1;38;2;1;2;3mmain\x1b[0m\r\n\x1b[3;1Hread\x1b[?2026l"


def test_a_verdict_that_one_round_contradicts_is_none() -> None:
    def verdict(*values: float) -> Verdict:
        return Figure("cost", "aperture", "%", values, budget=0.5).verdict

    assert verdict(0.3, 0.4, 0.5) is Verdict.MET
    assert verdict(0.6, 0.7, 0.51) is Verdict.MISSED
    assert verdict(0.4, 0.4, 0.6) is Verdict.UNDECIDED
    assert verdict() is Verdict.NOT_MEASURED
    assert Figure("cost", "perf", "%", (0.1,)).verdict is Verdict.NONE


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.floats(0, 1))
def test_a_quantile_is_a_value_that_so_many_do_not_exceed(values: list[float], q: float) -> None:
    found = quantile(values, q)
    assert found in values
    assert sum(value <= found for value in values) >= q * len(values)


def test_quantiles_at_the_ends() -> None:
    assert quantile([3, 1, 2], 0) == 1
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile(list(range(1, 101)), 0.99) == 99
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_loss_is_of_work_a_cpu_second() -> None:
    assert throughput_loss(99, 1, 100, 1) == pytest.approx(1)
    assert throughput_loss(100, 1, 200, 2) == pytest.approx(0)  # half the time, the same rate
    assert throughput_loss(101, 1, 100, 1) == pytest.approx(-1)


def test_visible_text_is_without_colours_and_keeps_rows_apart() -> None:
    assert visible(_FRAME).split() == ["main", "read"]
    assert visible(b"\x1b]0;title\x07\x1b[?1049h\x1b(B\x1b>").strip() == ""
    assert visible("\x1b[1m▏ma\x1b[7min".encode()) == "▏main"


def test_a_terminal_answers_a_question_that_comes_in_two_reads() -> None:
    asking = r"stty raw -echo; printf '\033[?20'; sleep 0.3; printf '26$p'; dd bs=1 count=11 2>/dev/null | od -c"
    terminal = Terminal(("sh", "-c", asking), 80, 24, cwd=".")
    try:
        terminal.read_for(3.0)
        assert "033   [   ?   2   0   2   6   ;   2   $   y" in visible(terminal.output.since(0))
    finally:
        terminal.end(b"")


@given(st.lists(st.integers(1, len(_FRAME) - 1), max_size=8))
def test_sequences_may_be_cut_anywhere(places: list[int]) -> None:
    ends = sorted({0, *places, len(_FRAME)})
    text = VisibleText()
    assert "".join(text.feed(_FRAME[a:b]) for a, b in pairwise(ends)) == visible(_FRAME)


def test_a_frame_has_the_times_of_its_first_and_last_byte() -> None:
    output = Output()
    output.add(10, b"before" + _FRAME[:5])
    output.add(20, _FRAME[5:30])
    output.add(30, _FRAME[30:] + b"after" + _FRAME[:9])
    (frame,) = output.frames()
    assert (frame.began_ns, frame.ended_ns, frame.data) == (10, 30, _FRAME)
    assert output.frames(at=7) == []
    assert output.since(6 + len(_FRAME)) == b"after" + _FRAME[:9]


def test_the_table_says_what_is_missed_what_is_missing_and_how_peers_compare() -> None:
    figures = [
        Figure("CPU", "aperture record -F 99", "%", (0.6, 0.8, 0.7), budget=0.5),
        Figure("CPU", "perf record -F 99 -a -g", "%", (0.35,)),
        Figure("CPU", "perf record -F 999 -a -g", "%", (3.5,)),
        Figure("CPU", "profile-bpfcc -F 99 -f", "%", why="no headers | none"),
    ]
    text = report.markdown(figures, {"kernel": "6.1"})
    rows = {line.split(" | ")[1]: line for line in text.splitlines() if line.startswith("|")}
    assert "- **missed**: CPU, aperture record -F 99: 0.70 %, budget 0.50 %" in text
    assert "| 2.00 × perf record -F 99 -a -g | ≤ 0.50 | missed |" in rows["aperture record -F 99"]
    assert "not measured | no headers \\| none" in rows["profile-bpfcc -F 99 -f"]
    assert json.loads(json.dumps(report.document(figures, {})))["figures"][0]["verdict"] == "missed"


def test_two_losses_around_zero_are_not_divided() -> None:
    figures = [
        Figure("lost", "aperture record", "%", (0.2,), comparable=False),
        Figure("lost", "perf record", "%", (0.1,), comparable=False),
    ]
    assert "×" not in report.markdown(figures, {})


@pytest.mark.parametrize(
    ("value", "words"),
    [(12345.6, "12,346"), (12.34, "12.3"), (0.5, "0.50"), (0.0123, "0.012"), (0, "0.00"), (-3, "-3.00")],
)
def test_numbers_have_three_figures(value: float, words: str) -> None:
    assert report.number(value) == words


def test_a_process_that_is_gone_has_no_descendants() -> None:
    assert tree(2**22 + 1) == [2**22 + 1]


def test_a_program_that_has_ended_by_itself_can_be_killed_and_says_why_it_ended(tmp_path: Path) -> None:
    program = Program(("false",), tmp_path)
    os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
    program.kill()
    program = Program(("sh", "-c", "echo no room >&2; exit 1"), tmp_path)
    with pytest.raises(FailedError, match="no room"):
        program.wait_until(lambda _: False, "never")
    program.kill()


def test_the_cost_of_a_sample_is_without_the_runs_that_were_for_others() -> None:
    # 100 samples of 5 us each, and 50 runs of 0.2 us that found nothing to do
    window = Window(time_ns=510_000, runs=150, samples=100, frames=25)
    assert sample_us(window, empty_ns=200) == pytest.approx(5)
    with pytest.raises(FailedError, match="no samples"):
        sample_us(Window(1000, 5, 0, 0), 200)


def test_what_a_frame_costs_is_the_slope() -> None:
    assert frame_ns((3, 5), (13, 105)) == pytest.approx(100)
    with pytest.raises(FailedError, match="no deeper"):
        frame_ns((3, 5), (13, 5))


def test_the_first_whole_stack_of_a_process_is_looked_for_after_its_exec() -> None:
    told = {
        "first": {"7": {"python3": [900, 900], "burn": [2_000_900, 5_000_900]}, "8": {"burn": [1_000_900, 1 << 62]}}
    }
    assert first_ms(told, 7, "burn", 900) == (2, 5)  # not the whole stack of what it was before
    assert first_ms(told, 8, "burn", 900) == (1, None)
    assert first_ms(told, 9, "burn", 900) == (None, None)


def test_a_stack_of_perf_is_whole_when_it_begins_where_threads_begin() -> None:
    stacks = [
        "\t 130d leaf\n\t 891f4 start_thread\n\t 1098eb clone3",
        "\t 130d leaf\n\t 891f4 start_thread",
        "\t 130d main\n\t 23d0a __libc_start_main\n\t 10ad _start+0x2a",
        "\t 7f00 [unknown]",
    ]
    assert whole_share("\n\n".join(stacks) + "\n\n") == 50
    assert whole_share("") == 0


def test_a_process_has_used_what_it_says_and_nothing_once_it_is_gone() -> None:
    used_s = time.process_time()
    assert cpu_s(os.getpid()) >= used_s > 0
    assert peak_bytes(os.getpid()) > 1 << 20
    gone = 2**22 + 1
    assert (held(gone), cpu_s(gone), peak_bytes(gone)) == (Held(), 0, 0)


needs_compiler = pytest.mark.skipif(not (shutil.which("gcc") or shutil.which("cc")), reason="no C compiler")
FEW = 0.001
"""Of the calls of a load: a few milliseconds."""


@needs_compiler
def test_loads_that_tell_do_as_many_calls_as_they_are_asked_for(tmp_path: Path) -> None:
    for name, count in (("calls", 10_000), ("serve", 100)):
        done = subprocess.run([compiled(name, tmp_path), str(count)], check=True, capture_output=True, timeout=60)
        calls, cpu_ns = map(int, done.stdout.split())
        assert calls == count
        assert cpu_ns > 0
    done = subprocess.run([compiled("contend", tmp_path), "2", "0.05"], check=True, capture_output=True, timeout=60)
    assert int(done.stdout) > 0


@needs_compiler
def test_a_load_that_cannot_run_says_so(tmp_path: Path) -> None:
    load = Load("false", "call", ("false", ""), 10)
    with pytest.raises(FailedError, match="false ended with status 1"):
        load.cpu_ns(tmp_path)
    with pytest.raises(FailedError, match="no such load: ended with status 2"):
        Load("no such load", "call", ("sh", "-c", "exit 2", ""), 10, tells=True).cpu_ns(tmp_path)


@needs_compiler
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_arms_alternate_with_a_base_of_their_own(tmp_path: Path) -> None:
    arms = [Arm(profilers.nothing(), (GETPPID, SERVER)), *(arm for arm in table(tmp_path, os.getpid()) if arm.wrap)]
    arms.append(Arm(Profiler("absent", "absent", ("absent",), missing="absent is not installed"), (GETPPID,)))
    told_of: list[str] = []
    loads = built(tmp_path)
    found = slowdown.alternate(loads, arms, tmp_path, 2, FEW, told_of.append)
    assert [words.rpartition(": ")[2] for words in told_of] == ["nothing", "strace -c -f"] * 2
    assert all(len(found["strace -c -f"].ratios(name)) == 2 for name in (GETPPID, SERVER))
    figures = slowdown.figures(loads, arms, found)
    (absent,) = (figure for figure in figures if figure.subject == "absent")
    assert (absent.verdict, absent.why) == (Verdict.NOT_MEASURED, "absent is not installed")
    (base,) = (figure for figure in figures if figure.measure == f"{GETPPID}: CPU of one call")
    assert len(base.values) == 4


def test_a_round_is_compared_with_the_base_just_before_it() -> None:
    found = Found({GETPPID: [100, 200]}, {GETPPID: [250, 500]})
    assert found.ratios(GETPPID) == (2.5, 2.5)
    assert found.added_ns(GETPPID) == (150, 300)


def test_programs_that_sample_are_no_probes() -> None:
    before = {RAW_TRACEPOINT: BpfRuns(100, 1)}
    after = {RAW_TRACEPOINT: BpfRuns(400, 3), PERF_EVENT: BpfRuns(9000, 2)}
    assert probing(before, after) == BpfRuns(300, 2)


def _flooded(told_calls: dict[str, int], lost: dict[str, int]) -> Figure:
    health = Health("syscall", State.STOPPED, delivered=7, lost=lost).as_json()
    figures = flood.figures(Flood({11: 1000, 12: 1000}, {"calls": told_calls, "health": [health]}, 1, 2, 1 << 20), 60)
    counted = next(figure for figure in figures if figure.subject == "aperture, syscall")
    assert counted.values == (sum(lost.values()),)
    return figures[0]


def test_calls_may_only_be_missing_where_a_loss_is_counted() -> None:
    assert _flooded({"11": 1000, "12": 1000}, {}).verdict is Verdict.MET
    assert _flooded({"11": 1000, "12": 900}, {}).verdict is Verdict.UNDECIDED
    assert _flooded({"11": 999}, {}).verdict is Verdict.MISSED
    assert _flooded({"11": 999}, {"no room": 3}).verdict is Verdict.NONE
    assert _flooded({"11": 1001, "12": 1001}, {"no room": 3}).verdict is Verdict.MISSED  # told twice


def test_a_collector_that_is_not_in_the_recording_is_not_without_losses() -> None:
    figures = flood.figures(Flood({11: 1000}, {"calls": {}, "health": []}, 1, 2, 1 << 20), 60)
    unknown = [figure.subject for figure in figures if figure.verdict is Verdict.NOT_MEASURED]
    assert {"aperture, cpu", "aperture, offcpu", "aperture, syscall", "aperture, lock"} < set(unknown)
    assert figures[0].verdict is Verdict.NOT_MEASURED


def test_calls_that_are_over_are_counted_in_a_recording(tmp_path: Path) -> None:
    process, going_on = Process(11, T0, "calls", ""), Role.IN_FLIGHT << ROLE_SHIFT
    facts = [
        Fact(T0, process, kind=Kind.SYSCALL, name="getppid", weight=40),
        Fact(T0, process, kind=Kind.SYSCALL, name="getppid", weight=2),
        Fact(T0, process, kind=Kind.SYSCALL, name="getppid", weight=1, flags=going_on),
        Fact(T0, process, kind=Kind.SYSCALL, name="read", weight=5),
        Fact(T0, process, kind=Kind.CPU, name="getppid"),
    ]
    writer = Writer(tmp_path / "x")
    writer.append(batch_of(facts, Symbols()))
    writer.set_health([Health("syscall", State.RUNNING, delivered=4, lost={"no room": 3})])
    writer.close()
    answer = told(str(tmp_path / "x"), "getppid")
    assert answer["calls"] == {11: 42}
    assert [each["lost"] for each in answer["health"] if each["name"] == "syscall"] == [{"no room": 3}]
