"""What the collecting thread makes of what it is told, by programs that tell too much."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from aperture_tui.collect.gpu import activity, gauges, receiver
from aperture_tui.collect.gpu.frames import ROWS, Frames
from aperture_tui.collect.gpu.inside._aperture_gpu import wire
from aperture_tui.collect.gpu.receiver import ActivityCollector
from aperture_tui.collect.settings import Settings
from aperture_tui.profile.gpu import GpuSample
from aperture_tui.profile.gpu_launch import Launch
from aperture_tui.profile.health import State
from aperture_tui.profile.occupancy import MULTIPROCESSORS, Factor, Occupancy, occupancy


@pytest.fixture
def collector() -> Iterator[ActivityCollector]:
    """One that nobody has begun."""
    common: Any = SimpleNamespace(settings=Settings(events=("gpu",)))
    made = ActivityCollector(common)
    yield made
    if made._state is not State.STOPPED:
        made._agents.close()


def known(**more: Any) -> Any:
    """This process's, as far as is needed."""
    agent = SimpleNamespace(pid=os.getpid(), frames=Frames())
    return SimpleNamespace(agent=agent, start_ns=1, comm=b"this one", numbers={}, devices={}, **more)


def devices(numbers: Sequence[int]) -> np.ndarray:
    """Each with a number of its own in all the world."""
    rows = np.zeros(len(numbers), ROWS[wire.DEVICES])
    rows["number"], rows["major"] = numbers, 9
    rows["uuid"] = np.frombuffer(os.urandom(16 * len(numbers)), "V16")
    return rows


def test_an_agent_has_no_more_gpus_than_there_may_be(collector: ActivityCollector) -> None:
    """200,000 in a quarter of a second were looked at for three, and kept for ever."""
    one = known()
    for _ in range(6):
        collector._learn_devices(one, [devices(range(1000)), devices([1 << 31])])
    assert sorted(one.numbers) == sorted(one.devices) == list(range(wire.MAX_DEVICES))
    assert len(collector._uuids) == 256
    assert collector._lost == {"GPUs that are more than a program can have": 6 * (1001 - wire.MAX_DEVICES)}


def test_names_of_few_threads_are_looked_up_at_once(
    collector: ActivityCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent may name a thread in each of 400,000 calls."""
    one, looked = known(), []
    monkeypatch.setattr(receiver, "_comm", lambda pid, tid: looked.append(tid) or b"thread %d" % tid)
    tids = np.arange(5000, dtype=np.uint32)
    first = collector._comms_of(one, tids)
    assert first.tolist()[:3] == [one.comm, b"thread 1", b"thread 2"]
    assert first.tolist()[-1] == one.comm
    assert len(looked) == 1024
    collector._comms_of(one, tids[:1025])
    assert len(looked) == 1024
    for start in range(0, 40_000, 1000):  # what is forgotten when there are too many is of none that is asked for
        names = collector._comms_of(one, np.append(tids[1:20], np.arange(start, start + 1000, dtype=np.uint32) + 20))
        assert names.tolist() == [b"thread %d" % tid for tid in (*range(1, 20), *range(start + 20, start + 1020))]
    assert len(collector._comms) <= 1 << 14


def test_a_thread_of_an_earlier_process_gives_its_name_to_none_of_a_later_one(
    collector: ActivityCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = iter((b"before", b"after"))
    monkeypatch.setattr(receiver, "_comm", lambda pid, tid: next(names) if tid == 7 else b"")
    one, other = known(), known()
    other.start_ns = one.start_ns + 1
    tids = np.array([7], np.uint32)
    assert [collector._comms_of(each, tids)[0] for each in (one, other)] == [b"before", b"after"]


def test_launches_of_ever_other_shapes_are_reckoned_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by itself took 66 us, and there may be 150,000 in a quarter of a second."""
    asked: list[int] = []

    def counted(of: Any, threads: np.ndarray, *more: np.ndarray) -> Occupancy:
        asked.append(len(threads))
        return occupancy(of, threads, *more)

    monkeypatch.setattr(activity, "occupancy", counted)
    rows = np.zeros(3000, ROWS[wire.KERNELS])
    rows["block_x"] = np.arange(3000) % 1025
    rows["block_y"] = rows["block_z"] = 1
    rows["dynamic_shared"], rows["device"] = 64 * np.arange(3000), np.arange(3000) % 3
    values = activity.launch_values(rows, {0: MULTIPROCESSORS[9, 0], 1: MULTIPROCESSORS[7, 5]})
    assert len(asked) == 2
    for i in (0, 3, 4, 5, 1024, 1025, 1027, 2998):
        launch, of = Launch.unpacked(int(values[i])), {0: MULTIPROCESSORS[9, 0], 1: MULTIPROCESSORS[7, 5]}.get(i % 3)
        threads, shared = i % 1025, -(-64 * i // 128) * 128
        if of is None or not threads:
            assert launch == Launch(threads, 0, shared)
            continue
        true = occupancy(of, *(np.array([n]) for n in (threads, 0, 64 * i)))
        assert launch == Launch(threads, 0, shared, int(true.blocks[0]), Factor(int(true.limited_by[0])), of.warps)


def test_what_was_lost_is_told_when_it_has_stopped_too(collector: ActivityCollector) -> None:
    """Whoever leaves the GPU's screen has it detached: its losses are no less for that."""
    collector._state = State.RUNNING
    collector._lost["records whose time makes no sense"] = 3
    collector._degraded["launch stacks not known"] = 5
    collector._common.recent = SimpleNamespace(pids=frozenset())  # type: ignore[assignment]
    collector.stop()
    kernels, copies = collector.health()
    assert (kernels.state, copies.state) == (State.STOPPED, State.STOPPED)
    assert kernels.lost == {"records whose time makes no sense": 3}
    assert kernels.degraded == {"launch stacks not known": 5}


def test_gauges_that_fail_say_so_and_show_nothing_old(
    collector: ActivityCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread ended, and the last reading was shown as that of now from then on."""
    closed = threading.Event()

    class Devices:
        def __init__(self) -> None:
            self.told = [(GpuSample(1, 0, "GPU-1", "one", "NVIDIA"),)]

        def read(self) -> Sequence[GpuSample]:
            if not self.told:
                raise ValueError("something\x1bnew")
            return self.told.pop()

        def close(self) -> None:
            closed.set()

    monkeypatch.setattr(gauges, "opened", Devices)
    monkeypatch.setattr(gauges, "_EVERY_S", 0.01)
    collector._gauges.begin()
    assert closed.wait(20)
    assert collector._gauges.newest == ()
    collector._state = State.RUNNING
    assert collector.health()[0].message.endswith(r"; its gauges have failed: ValueError: something\x1bnew")


def test_of_programs_that_live_on_without_their_agent_few_are_kept_and_no_names(collector: ActivityCollector) -> None:
    """One that hangs up at ever new sockets had all of that kept while it lived, 32 MB of names each."""
    for i in range(300):
        one = known(awaiting=None, alike={1: None}, names=None)
        one.agent.frames.names[1] = "n" * 1000
        one.forget = partial(receiver._Known.forget, one)
        collector._unheard[f"{i}.sock"] = one
        collector._leaving.append(one)
    collector._forget_gone()
    assert list(collector._unheard) == [f"{i}.sock" for i in range(44, 300)]
    assert not any(one.agent.frames.names for one in collector._unheard.values())
    assert collector._lost == {"programs without their agent, more than are looked after": 44}
