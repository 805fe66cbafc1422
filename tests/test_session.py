from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from aperture_tui import session as sessions
from aperture_tui.collect.budget import Budget
from aperture_tui.collect.calls import CallCollector
from aperture_tui.collect.cpu import CpuCollector
from aperture_tui.collect.settings import Settings
from aperture_tui.collect.unwind.coverage import Coverage
from aperture_tui.profile.batch import Batch
from aperture_tui.profile.health import State
from aperture_tui.session import Session, SessionError
from aperture_tui.store.memory import MemoryStore
from tests.collect.test_cpu import FRAME_POINTERS, Kept, run
from tests.programs import build

pytestmark = pytest.mark.bpf

WORK_S = 3.0
"""CPU seconds: more than a session waits for somebody who does nothing, here."""


class Full(Kept):
    """A sink on a full disk."""

    def append(self, batch: Batch) -> None:
        self.lost += len(batch)
        raise OSError(28, "No space left on device", "busy.aperture")


def test_a_sink_that_fails_is_said_and_the_others_go_on() -> None:
    good, full = Kept(), Full()
    session = Session(Settings(hz=99), {"good": good, "recording": full})
    session.start()
    run(build("ratio", *FRAME_POINTERS), "1")
    session.stop()
    assert session.failure == "recording: No space left on device: busy.aperture"
    assert len(good.events()) > 50
    told = next(health for health in good.health if health.name == "recording")
    assert told.state is State.FAILED
    assert told.delivered == 0
    assert sum(told.lost.values()) == len(good.events())


class FullAtOnce(Full):
    """One that has no room for the first word either."""

    def set_hosts(self, hosts: object) -> None:
        raise OSError(28, "No space left on device", "busy.aperture")


def test_a_sink_that_fails_at_the_start_keeps_the_others_from_nothing() -> None:
    good = Kept()
    session = Session(Settings(hz=99), {"good": good, "recording": FullAtOnce()})
    session.start()
    run(build("ratio", *FRAME_POINTERS), "1")
    session.stop()
    assert session.failure == "recording: No space left on device: busy.aperture"
    assert len(good.events()) > 50
    with pytest.raises(SessionError, match="No space left on device"):
        Session(Settings(hz=99), {"recording": FullAtOnce()}).start()


def test_a_collector_that_breaks_is_said_and_the_session_still_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: CpuCollector, symbols: object) -> None:
        raise RuntimeError("the ring is gone")

    kept = Kept()
    session = Session(Settings(hz=99), {"kept": kept})
    monkeypatch.setattr(CpuCollector, "events", broken)
    session.start()
    time.sleep(0.5)
    session.stop()
    assert session.failure == "cpu: RuntimeError: the ring is gone"
    assert kept.health[0].state is State.FAILED
    assert threading.active_count() == 1 or "collect" not in {t.name for t in threading.enumerate()}


def test_no_drain_is_left_out_while_processes_begin() -> None:
    """Their names are read while they live."""
    session = Session(Settings(hz=99), {"kept": Kept()}, resting_s=5.0)
    drains, tick = [], session._tick
    session._tick = lambda: (drains.append(time.monotonic()), tick())[1]  # type: ignore[method-assign]
    session.start()
    began = time.monotonic()
    while time.monotonic() < began + 4:
        subprocess.run(["/bin/true"], check=True)
        time.sleep(0.05)
    session.stop()
    apart = np.diff([at for at in drains if at > began + 1])
    assert np.median(apart) < 0.4, apart


@pytest.mark.parametrize(
    ("only_samples", "quiet", "new", "most"),
    [(True, True, False, 3), (True, True, True, 1), (True, False, False, 0), (False, True, False, 0)],
)
def test_drains_are_left_out_while_nothing_is_new(only_samples: bool, quiet: bool, new: bool, most: int) -> None:
    session = Session(Settings(hz=99), {}, interval_s=0.25, resting_s=1.0)
    session._attached = SimpleNamespace(only_samples=only_samples)  # type: ignore[assignment]
    session._common = SimpleNamespace(  # type: ignore[assignment]
        processes=SimpleNamespace(are_quiet=quiet), stacks=SimpleNamespace(are_new=new)
    )
    session._told = time.monotonic()
    assert [session._may_rest(rests) for rests in range(5)] == [True] * most + [False] * (5 - most)
    session._told -= 1.0
    assert not session._may_rest(0), "what is to be written once a second is"
    session._told += 1.0
    session._stopping.set()
    assert not session._may_rest(0)


class Faulty(Kept):
    """A sink with a fault of its own."""

    def append(self, batch: Batch) -> None:
        raise KeyError("no such thing")


def test_a_fault_anywhere_in_the_collecting_thread_is_said() -> None:
    kept = Kept()
    session = Session(Settings(hz=99), {"kept": kept, "faulty": Faulty()})
    session.start()
    run(build("ratio", *FRAME_POINTERS), "0.5")
    session.stop()
    assert session.failure == "session: KeyError: 'no such thing'"
    assert kept.health[0].state is State.FAILED


def test_a_supply_of_tables_that_breaks_is_said_and_samples_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Coverage, pid: int, stop: int) -> None:
        raise RuntimeError("no more")

    monkeypatch.setattr(Coverage, "cover", broken)
    kept = Kept()
    session = Session(Settings(hz=99), {"kept": kept})
    session.start()
    pid, _ = run(build("ratio", *FRAME_POINTERS), "1.5")
    session.stop()
    assert len(kept.of(pid)) > 30
    told = next(health for health in kept.health if health.name == "unwind")
    assert told.state is State.FAILED
    assert told.message == "no process is given tables any more: RuntimeError: no more"


def test_a_collector_that_hangs_does_not_keep_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(sessions, "_STOP_S", 0.5)
    monkeypatch.setattr(CpuCollector, "read", lambda self: released.wait(20))
    session = Session(Settings(hz=99), {"kept": Kept()})
    session.start()
    time.sleep(0.3)
    session.stop()
    assert "hangs" in session.failure
    released.set()
    session.stop()
    assert session.failure == ""


def test_a_last_drain_is_waited_for_while_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine full of others the names of all that waits take their time."""
    monkeypatch.setattr(sessions, "_STOP_S", 0.5)
    session = Session(Settings(hz=99), {"kept": Kept()})
    session.start()
    time.sleep(0.3)
    read = CpuCollector.read

    def slow(self: CpuCollector) -> None:
        until = time.thread_time() + 1.5
        while time.thread_time() < until:
            pass
        read(self)

    monkeypatch.setattr(CpuCollector, "read", slow)
    assert session.stop()
    assert session.failure == ""


@pytest.mark.parametrize("whom", ["one that attaches, and waits for its compiler", "the supply"])
def test_whom_the_last_drain_waits_for_is_given_the_time_that_it_works(
    monkeypatch: pytest.MonkeyPatch, whom: str
) -> None:
    """On a machine full of others a second of compiling, or of unwind tables, takes half a minute."""
    monkeypatch.setattr(sessions, "_STOP_S", 1.0)
    begun, start = threading.Event(), CallCollector.start

    def compiles(self: CallCollector) -> None:
        begun.set()
        subprocess.run([sys.executable, "-c", f"import time\nwhile time.process_time() < {WORK_S}: pass"], check=True)
        start(self)

    def tables() -> None:
        begun.set()
        until = time.thread_time() + WORK_S
        while time.thread_time() < until:
            pass

    session = Session(Settings(hz=99), {"kept": Kept()})
    session.start()
    if whom == "the supply":
        session._supply.later(tables)
    else:
        monkeypatch.setattr(CallCollector, "start", compiles)
        session.want(frozenset({"syscall"}))
    assert begun.wait(30)
    assert session.stop()
    assert session.failure == ""


def test_full_tables_begin_a_new_generation_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "GROWTH_BYTES", 10_000)
    monkeypatch.setattr(Budget, "is_spent", False)  # a machine full of others has all the time for it
    kept, store = Kept(), MemoryStore()
    session = Session(Settings(hz=999, pids=(os.getpid(),)), {"kept": kept, "memory": store})
    session.start()
    pid, out = run(build("ratio", *FRAME_POINTERS), "4")
    session.stop()
    generations = len({id(batch.symbols) for batch in kept.batches})
    assert 1 < generations < len(kept.batches) / 2, "a generation is not begun with every drain"
    from aperture_tui.profile.query import Query

    tree = store.call_tree(Query(pids=(pid,)))
    assert tree.weight == len(kept.of(pid))
    assert abs(tree.weight - float(out) * 999) < 0.03 * float(out) * 999
    assert tree.matching("three_parts|one_part").weight > 0.97 * tree.weight
    health = next(health for health in kept.health if health.name == "cpu")
    assert health.degraded["stack not delivered"] == 0


def test_full_tables_are_left_between_drains_whatever_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that one drain brings, of several collectors, has ids of the same tables."""
    monkeypatch.setattr(sessions, "GROWTH_BYTES", 10_000)
    kept, store = Kept(), MemoryStore()
    session = Session(Settings(hz=199, events=("cpu", "offcpu", "syscall", "lock")), {"kept": kept, "memory": store})
    session.start()
    run(build("ratio", *FRAME_POINTERS), "4")
    session.stop()
    assert session.failure == ""
    assert len({id(batch.symbols) for batch in kept.batches}) > 1
    for batch in kept.batches:
        symbols, events = batch.symbols, batch.events
        assert int(events["stack"].max()) < len(symbols.trie)
        assert int(events["process"].max()) < len(symbols.processes)
        assert max(int(events[name].max()) for name in ("thread", "name")) < len(symbols.strings)
    assert store.span().events == len(kept.events())


def test_the_store_of_a_session_agrees_with_its_batches() -> None:
    from aperture_tui.profile.query import Query

    kept, store = Kept(), MemoryStore()
    session = Session(Settings(hz=499), {"kept": kept, "memory": store})
    session.start()
    run(build("burn", *FRAME_POINTERS), "2", "2", "30")
    session.stop()
    events = kept.events()
    tree = store.call_tree(Query())
    assert tree.weight == len(events)
    assert {use.pid: use.count for use in store.processes(Query())} == dict(
        zip(*(part.tolist() for part in np.unique(events["pid"], return_counts=True)), strict=True)
    )


def test_what_controls_the_filters_is_there_while_they_work(tmp_path: Path) -> None:
    """Any thread may look and switch; what the sinks get follows."""
    from aperture_tui.filters.opening import open_chain
    from aperture_tui.filters.shipped import found
    from aperture_tui.filters.spec import Spec
    from aperture_tui.filters.told import Standing

    kept = Kept()
    drops = Spec(found("process_name"), '{"name":"ratio","drop":true}')
    session = Session(Settings(hz=499), {"kept": kept}, filters=open_chain([drops]))
    session.start()
    controls = session.filters
    assert controls is not None
    pid, _ = run(build("ratio", *FRAME_POINTERS), "1.5")
    assert not len(kept.of(pid))
    (told,) = controls.told().filters
    assert told.standing is Standing.RUNNING
    assert told.at_work.counters.dropped > 100
    controls.switch("process_name", False)
    pid, _ = run(build("ratio", *FRAME_POINTERS), "1.5")
    controls.reload("process_name")
    controls.switch("process_name", True)
    session.stop()
    assert session.filters is None
    assert len(kept.of(pid)) > 100
    state = controls.told()
    assert state.events_in > state.events_out == len(kept.events())
    assert not state.failure
