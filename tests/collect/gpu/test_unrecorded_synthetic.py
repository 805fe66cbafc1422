"""Time of which nobody knows what a program had its GPU do: the real agent, over a synthetic CUPTI."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aperture_tui.collect.gpu import finding
from aperture_tui.collect.gpu.frames import ROWS
from aperture_tui.collect.gpu.inside._aperture_gpu import agent, wire
from aperture_tui.collect.gpu.inside._aperture_gpu.known import Known
from aperture_tui.collect.gpu.unrecorded import Heard, Stretch, events
from aperture_tui.profile.gpu_launch import lane
from aperture_tui.profile.kinds import UNRECORDED, Kind, Role
from aperture_tui.profile.query import Query
from aperture_tui.tui.gpu import answer
from aperture_tui.tui.gpu.model import GpuView, Sight
from tests.collect.collecting import Kept
from tests.collect.gpu.targets import HERE, Target, await_words, hearing, settle, target

of_session = pytest.mark.bpf  # a Session needs the kernel; the agent does not

SCRIPT = HERE / "synthetic_taken.py"
TAKEN = "torch.profiler has CUPTI in this process"
MS = 1_000_000
SECOND = 1000 * MS


@contextmanager
def heard(folder: Path) -> Iterator[tuple[Target, Kept, dict[str, Any]]]:
    """A program that is heard, the session, and what it has done once, of which all is told."""
    with target(folder, script=SCRIPT) as program, hearing(program) as kept:
        told = program.work()
        settle(kept, told["launched"])
        yield program, kept, told


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
    with heard(tmp_path) as (program, kept, before):
        time.sleep(0.6)  # nothing is left to be told when it is taken over
        taken = program.work("take")
        meanwhile = program.work()
        await_words(kept, TAKEN)
        more = program.work()
        given = program.work("give")
        await_words(kept, "")
        after = program.work()
        settle(kept, before["launched"] + after["launched"])
        program.end()
    assert given["seen"] == meanwhile["launched"] + more["launched"], "it was not taken from them"
    found = stretches(kept, program.pid)
    since = max(before["ended_ns"], taken["began_ns"] - 1_500 * MS)  # what still ran is believed to take no longer
    assert covered(found, since, given["began_ns"]) == pytest.approx(1, abs=0.001)
    assert covered(found, before["began_ns"], before["ended_ns"] - 100 * MS) == 0
    assert covered(found, after["began_ns"], after["ended_ns"]) == 0
    whole = view(kept, before["began_ns"], after["ended_ns"])
    (idle,) = whole.idle
    assert whole.unknown == ()
    assert idle.unknown_ns > given["began_ns"] - since
    within = [gap for gap in whole.gaps if gap.end_ns > taken["began_ns"] and gap.start_ns < given["began_ns"]]
    assert {gap.unrecorded for gap in within} == {True}
    assert view(kept, more["began_ns"], given["began_ns"]).unknown == (0,), "there is nothing that is known"
    (first,) = view(kept, before["began_ns"], before["ended_ns"] - 100 * MS).idle
    assert first.unknown_ns == 0
    assert kept.store.latencies(Query(Kind.GPU_KERNEL, pids=(program.pid,)))[0].count == 60


@of_session
def test_what_still_ran_when_cupti_was_taken_over_is_no_idleness(tmp_path: Path) -> None:
    """Its record goes to the other profiler, although it began long before that one came."""
    with heard(tmp_path) as (program, kept, _):
        ran = program.work("long")
        program.work("take")
        await_words(kept, TAKEN)
        program.end()
    assert covered(stretches(kept, program.pid), ran["began_ns"], ran["ended_ns"]) > 0.999
    assert sum(idle.time_ns for idle in view(kept, ran["began_ns"], ran["ended_ns"]).idle) < MS


@of_session
def test_what_cupti_had_given_back_when_it_was_taken_over_is_told_and_only_what_it_had_not_is_unknown(
    tmp_path: Path,
) -> None:
    with heard(tmp_path) as (program, kept, before):
        taken = program.work("burst")
        await_words(kept, TAKEN)
        program.end()
    told = sum(one.count for one in kept.store.latencies(Query(Kind.GPU_KERNEL, pids=(program.pid,))))
    assert 5_000 < told < 20_030
    whole = view(kept, before["began_ns"], taken["ended_ns"])
    assert (whole.unknown, len(whole.idle)) == ((), 1), "it is not the whole window that is unknown"


@of_session
def test_what_was_done_before_anybody_asked_is_not_known_since_the_session_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []

    def late(roots: list[str]) -> list[finding.Door]:
        looked.append(time.time_ns())
        return doors(roots) if looked[-1] > looked[0] + 2 * SECOND else []

    doors = finding.doors
    monkeypatch.setattr(finding, "doors", late)
    with target(tmp_path, script=SCRIPT) as program:
        unheard = program.work()
        began = time.time_ns()
        with hearing(program) as kept:
            heard = program.work()
            settle(kept, heard["launched"])
            program.end()
    found = stretches(kept, program.pid)
    assert covered(found, found[0, 0], heard["began_ns"]) > 0.99
    assert unheard["ended_ns"] < began < found[0, 0], "nobody can look at what was before"
    assert found[0, 0] < looked[0] < heard["began_ns"]
    _, kernels = kept.store.selected(Query(Kind.GPU_KERNEL, pids=(program.pid,)))
    assert len(kernels) == heard["launched"]
    # until its first kernel begins it could do what it was given before
    assert covered(found, int(kernels["time_ns"].min()), heard["ended_ns"] - 100 * MS) == 0
    whole = view(kept, int(found[0, 0]), heard["ended_ns"] - 100 * MS)
    (idle,) = whole.idle
    assert (whole.gaps[0].start_ns, whole.gaps[0].unrecorded) == (found[0, 0], True)
    assert idle.time_ns < heard["ended_ns"] - heard["began_ns"]
    assert idle.unknown_ns > heard["began_ns"] - found[0, 0] - 100 * MS


@of_session
def test_what_a_program_did_that_was_killed_is_not_known_since_its_last_word_and_then_it_does_nothing(
    tmp_path: Path,
) -> None:
    with heard(tmp_path) as (program, kept, told):
        time.sleep(0.5)
        killed = time.time_ns()
        program.process.kill()
        program.process.wait()
        time.sleep(2.5)
    found = stretches(kept, program.pid)
    since = max(told["ended_ns"], killed - 2 * SECOND)
    assert covered(found, since, killed) == pytest.approx(1, abs=0.001), "it may have been running something"
    assert covered(found, told["began_ns"], told["ended_ns"] - 100 * MS) == 0
    assert found[-1, 1] < killed + 1_500 * MS
    (idle,) = view(kept, told["began_ns"], killed).idle
    assert idle.unknown_ns > killed - since - MS


@of_session
def test_a_program_that_ends_has_had_its_last_word_told_and_its_gpu_is_idle(tmp_path: Path) -> None:
    with target(tmp_path, script=SCRIPT) as program, hearing(program) as kept:
        told = program.work()
        program.end()
        settle(kept, told["launched"])
        time.sleep(1.5)
    assert covered(stretches(kept, program.pid), told["began_ns"], told["ended_ns"] + SECOND) == 0
    assert view(kept, told["began_ns"], told["ended_ns"] + SECOND).idle[0].unknown_ns == 0


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
    with heard(tmp_path) as (program, kept, _):
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


def test_what_was_before_the_session_is_left_out_and_what_was_told_as_unknown_is_not_told_more_of_than_that() -> None:
    heard = Heard(10, since_ns=5)
    spans = np.zeros(4, ROWS[wire.UNRECORDED])
    for row, (start, end) in zip(spans, ((0, 3), (2, 7), (7, 9), (15, 99)), strict=True):
        row["start_ns"], row["end_ns"] = start, end
    assert heard.told(spans, 20) == [Stretch(5, 9), Stretch(15, 20)]
    assert heard.told(spans[:0], 20) == []


def test_who_is_heard_anew_is_not_known_since_the_last_that_was_told_of_it() -> None:
    heard = Heard(10, since_ns=5)
    assert heard.untold_ns == 5, "it has not spoken"
    heard.word({"until_ns": 12}, 0, 20)
    assert heard.untold_ns == 12


class _Told:
    """In place of an Outbox."""

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []

    def unrecorded(self, start_ns: int, end_ns: int) -> None:
        if start_ns < end_ns:
            self.spans.append((start_ns, end_ns))


def _known(until_ns: int) -> tuple[Known, list[tuple[int, int]]]:
    told = _Told()
    return Known(told, until_ns), told.spans  # type: ignore[arg-type]  # as much of one as it needs


def _ran(start_ns: int, end_ns: int) -> NDArray[np.void]:
    return np.array([(start_ns, end_ns)], np.dtype([("start_ns", "u8"), ("end_ns", "u8")]))


def test_what_a_gpu_was_given_before_it_was_recorded_is_not_known_until_something_begins() -> None:
    known, told = _known(3)
    known.begin(10)
    known.take([], 20)
    known.ask(20)
    known.take([_ran(0, 15), _ran(25, 28)], 30)  # the first has no sense: nothing is recorded from before
    known.ask(30)
    known.take([_ran(33, 38)], 40)
    known.ask(40)
    assert told == [(3, 10), (10, 20), (20, 25)]
    assert not known.is_blind


def test_a_gpu_in_which_nothing_begins_for_long_is_believed_to_be_idle() -> None:
    known, told = _known(SECOND)
    known.begin(SECOND)
    for second in range(2, 15):
        known.ask(second * SECOND)
    assert told == [(second * SECOND, (second + 1) * SECOND) for second in range(1, 11)]
    assert (known.until_ns, known.is_blind) == (14 * SECOND, False)


@pytest.mark.parametrize(("ended", "sure"), [(9 * SECOND, 9 * SECOND), (SECOND, 8 * SECOND), (1 << 62, 8 * SECOND)])
def test_what_was_not_over_when_cupti_was_last_asked_is_not_known_to_be_none(ended: int, sure: int) -> None:
    known, told = _known(0)
    known.take([_ran(1, ended)], 10 * SECOND)
    known.ask(10 * SECOND)
    assert known.sure_ns == sure
    known.give_up()
    known.miss(11 * SECOND)
    assert told == [(sure, 11 * SECOND)]


def test_a_process_without_cuda_has_had_no_gpu_do_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = socket.socketpair()
    with one, other:
        for has_it in (True, False):
            began = time.time_ns()
            monkeypatch.setattr(agent, "has_cuda", lambda has_it=has_it: has_it)
            asked = agent._Asked(one, 5, 0, 10**6)
            asked._look(time.monotonic_ns())
            assert (asked._until_ns == 5) is has_it, "of one that has it, it is not known since when"
            assert has_it or began <= asked._until_ns <= time.time_ns()


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
