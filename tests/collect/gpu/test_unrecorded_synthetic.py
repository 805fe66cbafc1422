"""Time of which nobody knows what a program had its GPU do: the real agent, over a synthetic CUPTI."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aperture_tui.collect.gpu.unrecorded import Heard, Stretch, events
from aperture_tui.profile.gpu_launch import lane
from aperture_tui.profile.kinds import UNRECORDED, Kind, Role
from aperture_tui.profile.query import Query
from aperture_tui.tui.gpu import answer
from aperture_tui.tui.gpu.model import GpuView, Sight
from tests.collect.collecting import Kept
from tests.collect.gpu.targets import HERE, await_words, hearing, target
from tests.collect.gpu.test_agent_synthetic import settle

of_session = pytest.mark.bpf  # a Session needs the kernel; the agent does not

SCRIPT = HERE / "synthetic_taken.py"
MS = 1_000_000
SECOND = 1000 * MS


def stretches(kept: Kept, pid: int) -> NDArray[np.int64]:
    """(n, 2): beginnings and ends, in order."""
    _, rows = kept.store.selected(Query(Kind.GPU_KERNEL, pids=(pid,), role=UNRECORDED))
    start = rows["time_ns"].astype(np.int64)
    return np.sort(np.column_stack((start, start + rows["duration_ns"].astype(np.int64))), axis=0)


def covered(found: NDArray[np.int64], start_ns: int, end_ns: int) -> float:
    """The share of a time that stretches have, which do not overlap."""
    return float((np.clip(found[:, 1], start_ns, end_ns) - np.clip(found[:, 0], start_ns, end_ns)).sum()) / (
        end_ns - start_ns
    )


def view(kept: Kept, start_ns: int, end_ns: int) -> GpuView:
    query = Query(Kind.GPU_KERNEL, start_ns=start_ns, end_ns=end_ns)
    return answer.view(answer.fetched(kept.store, query, kept.store.call_tree(query)), Sight(10))


@of_session
def test_what_a_gpu_did_while_another_profiler_had_cupti_is_not_known_and_the_other_one_has_it_all(
    tmp_path: Path,
) -> None:
    with target(tmp_path, script=SCRIPT) as program, hearing(program) as kept:
        before = program.work()
        settle(kept, before["launched"])
        time.sleep(0.6)  # nothing is left to be told when it is taken over
        taken = program.work("take")
        meanwhile = program.work()
        await_words(kept, "torch.profiler has CUPTI in this process")
        more = program.work()
        given = program.work("give")
        await_words(kept, "")
        after = program.work()
        settle(kept, before["launched"] + after["launched"])
        program.end()
    assert given["seen"] == meanwhile["launched"] + more["launched"], "it was not taken from them"
    found = stretches(kept, program.pid)
    assert covered(found, taken["ended_ns"], given["began_ns"]) == pytest.approx(1, abs=0.001)
    assert covered(found, before["began_ns"], before["ended_ns"] + 100 * MS) == 0
    assert covered(found, after["began_ns"], after["ended_ns"]) == 0
    whole = view(kept, before["began_ns"], after["ended_ns"])
    assert (whole.unknown, whole.idle, whole.gaps) == ((0,), (), ())
    assert view(kept, more["began_ns"], given["began_ns"]).unknown == (0,)
    first = view(kept, before["began_ns"], before["ended_ns"])
    assert (first.unknown, len(first.idle)) == ((), 1)
    assert kept.store.latencies(Query(Kind.GPU_KERNEL, pids=(program.pid,)))[0].count == 60


@of_session
def test_what_a_program_did_that_was_killed_is_not_known_since_its_last_word_and_then_it_does_nothing(
    tmp_path: Path,
) -> None:
    with target(tmp_path, script=SCRIPT) as program, hearing(program) as kept:
        told = program.work()
        settle(kept, told["launched"])
        time.sleep(0.5)
        killed = time.time_ns()
        program.process.kill()
        program.process.wait()
        time.sleep(2.5)
    found = stretches(kept, program.pid)
    assert covered(found, killed - 10 * MS, killed) == 1
    assert killed - 1_800 * MS < found[0, 0] < killed
    assert found[-1, 1] < killed + 1_500 * MS
    assert view(kept, told["began_ns"], killed + 2 * SECOND).unknown == (0,)


@of_session
def test_a_program_that_ends_has_had_its_last_word_told_and_its_gpu_is_idle(tmp_path: Path) -> None:
    with target(tmp_path, script=SCRIPT) as program, hearing(program) as kept:
        told = program.work()
        program.end()
        settle(kept, told["launched"])
        time.sleep(1.5)
    assert len(stretches(kept, program.pid)) == 0
    assert view(kept, told["began_ns"], told["ended_ns"] + SECOND).unknown == ()


@of_session
def test_where_cupti_cannot_be_had_at_all_nothing_is_known_of_the_gpu(tmp_path: Path) -> None:
    words = "another profiler has CUPTI in this process"
    with target(tmp_path, script=SCRIPT, SYNTHETIC_CUPTI_TAKEN="1") as program, hearing(program, words) as kept:
        told = program.work()
        time.sleep(1.5)
        program.end()
    assert covered(stretches(kept, program.pid), told["began_ns"], told["ended_ns"]) > 0.99


@of_session
def test_a_child_that_is_forked_while_its_parent_is_recorded_leaves_cupti_alone_and_ends(tmp_path: Path) -> None:
    """CUPTI's own thread is not in it: who flushed there would wait for ever, and the end of the program for that."""
    with target(tmp_path, script=SCRIPT) as program, hearing(program) as kept:
        settle(kept, program.work()["launched"])
        with ThreadPoolExecutor(1) as pool:
            forked = pool.submit(program.work, "fork")
            await_words(kept, "its process was forked from one whose GPU was looked at")
            told = forked.result()
        assert told["seen"] == 7
        assert told["ended_ns"] - told["began_ns"] < 6 * SECOND
        program.end()


# -- of one agent, pure


def test_one_that_never_had_a_word_is_not_waited_for() -> None:
    heard = Heard(5)
    assert heard.silent(50) == []
    heard.word({"sent_away": "another session hears it"}, 0, 60)
    assert heard.silent(70) == []


@pytest.mark.parametrize("until", ["7", True, -1, 1 << 80, None, [7]])
def test_whatever_it_says_of_its_time_it_is_not_known_since_it_was_first_heard(until: object) -> None:
    heard = Heard(10)
    heard.word({"until_ns": until}, 0, 20)
    assert heard.silent(30) == [Stretch(10, 30)]
    assert heard.silent(40) == [Stretch(30, 40)]


def test_it_knows_nothing_of_what_is_to_come() -> None:
    heard = Heard(10)
    heard.word({"until_ns": 1 << 61}, 0, 20)
    assert heard.silent(30) == [Stretch(20, 30)]


def test_a_long_stretch_is_told_in_pieces_of_each_gpu_and_not_without_end() -> None:
    rows = events([Stretch(10 * SECOND, 12 * SECOND)], [1, 0, 1])
    assert rows["time_ns"].tolist() == [at * SECOND // 2 for at in (20, 20, 21, 21, 22, 22, 23, 23)]
    assert set(rows["aux"].tolist()) == {lane(0, 0), lane(1, 0)}
    assert int(rows["duration_ns"].sum()) == 4 * SECOND
    assert {int(flags) >> 12 for flags in rows["flags"]} == {Role.HOLDER}
    assert len(events([Stretch(0, 10**6 * SECOND)], [0])) == 1800
    assert len(events([], [0])) == len(events([Stretch(0, 5)], [])) == 0
