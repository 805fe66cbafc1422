"""Collectors come and go with what is wanted, and what they have counted does not."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.collect import attached, bpf
from aperture_tui.collect.attached import added, units
from aperture_tui.collect.calls import CallCollector
from aperture_tui.collect.contention import ContentionCollector
from aperture_tui.collect.offcpu import OffCpuCollector
from aperture_tui.collect.settings import Settings
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import ROLE_SHIFT, Kind, Role
from aperture_tui.session import Session
from aperture_tui.symbolize import kernel_cache
from tests.collect.collecting import Kept
from tests.collect.test_cpu import assert_gone, programs_of
from tests.truth.told import started

_LONGEST_S: Final = 20.0


# -- what serves what


@pytest.mark.parametrize(
    ("events", "served"),
    [
        ((), set()),
        (("cpu",), {("cpu",)}),
        (("syscall",), {("syscall",)}),
        (("lock",), {("lock",), ("kernel locks",)}),
        (("lock", "syscall"), {("syscall", "lock"), ("kernel locks",)}),
        (("gpu",), {("gpu_call",), ("gpu_kernel", "gpu_copy")}),
        (("cpu", "offcpu", "syscall", "lock"), {("cpu",), ("offcpu",), ("syscall", "lock"), ("kernel locks",)}),
    ],
)
def test_calls_and_locks_together_are_one_program(events: tuple[str, ...], served: set[tuple[str, ...]]) -> None:
    assert units(events) == served


counts = st.dictionaries(st.sampled_from("abc"), st.integers(0, 9))
words = st.builds(
    Health,
    st.just("lock"),
    st.sampled_from(State),
    delivered=st.integers(0, 9),
    lost=counts,
    degraded=counts,
    cpu_ns=st.one_of(st.none(), st.integers(0, 9)),
)


@given(words, words)
def test_the_word_of_two_attachments_is_the_newest_with_what_both_counted(before: Health, now: Health) -> None:
    word = added(before, now)
    assert (word.state, word.message) == (now.state, now.message)
    assert word.delivered == before.delivered + now.delivered
    assert Counter(word.lost) == Counter(before.lost) + Counter(now.lost) or word.lost_total == sum(
        (*before.lost.values(), *now.lost.values())
    )
    assert set(word.lost) == {*before.lost, *now.lost}
    assert set(word.degraded) == {*before.degraded, *now.degraded}
    assert (word.cpu_ns is None) == (before.cpu_ns is None and now.cpu_ns is None)


# -- through a session


class Watching:
    """A session and what it says; every word of health is kept, to see that none is taken back."""

    def __init__(self, **settings: object) -> None:
        self.kept = Kept()
        self.history: list[dict[str, Health]] = []
        tell = self.kept.set_health

        def keep(health: list[Health]) -> None:
            tell(health)
            self.history.append({word.name: word for word in health})

        self.kept.set_health = keep  # type: ignore[assignment,method-assign]
        self.session = Session(Settings(**settings), {"kept": self.kept})  # type: ignore[arg-type]

    def state(self, name: str) -> State | None:
        word = self.kept.health_of(name)
        return word.state if word else None

    def until(self, what: Callable[[], bool]) -> None:
        end = time.monotonic() + _LONGEST_S
        while not what():
            assert self.state("session") is None, self.session.failure
            assert time.monotonic() < end, f"it never came: {[(word.name, word.state) for word in self.kept.health]}"
            time.sleep(0.02)

    def until_running(self, *names: str) -> None:
        self.until(lambda: all(self.state(name) is State.RUNNING for name in names))

    def names(self, kind: Kind, pid: int, role: Role = Role.OWN) -> Counter[str]:
        """Weights of a process's events by name."""
        found: Counter[str] = Counter()
        for batch in tuple(self.kept.batches):
            rows = batch.events
            of = (rows["kind"] == kind) & (rows["pid"] == pid) & (rows["flags"] >> ROLE_SHIFT & 3 == role)
            for name, weight in rows[of][["name", "weight"]].tolist():
                found[batch.symbols.strings[name]] += weight
        return found


@contextmanager
def watching(**settings: object) -> Iterator[Watching]:
    seen = Watching(**{"hz": 49, **settings})
    seen.session.start()
    try:
        yield seen
    finally:
        seen.session.stop()
    assert "attach" not in {thread.name for thread in threading.enumerate()}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits five seconds for what is not wanted any more."""
    monkeypatch.setattr(attached, "LINGER_S", 0.3)


@pytest.mark.bpf
@pytest.mark.usefixtures("quick")
def test_what_is_wanted_is_attached_and_afterwards_detached() -> None:
    with watching() as seen:
        seen.until_running("cpu")
        time.sleep(1)  # until the last of its own programs is loaded
        before = set(programs_of(os.getpid()))
        for name in ("syscall", "offcpu"):
            seen.session.want(frozenset({name}))
            seen.until_running(name)
            assert set(programs_of(os.getpid())) > before
            seen.session.want(frozenset())
            seen.until(lambda name=name: seen.state(name) is State.STOPPED)  # type: ignore[misc]
        seen.until(lambda: set(programs_of(os.getpid())) == before)
        seen.session.want(frozenset({"lock"}))
        seen.until_running("lock", "kernel locks")
        seen.session.want(frozenset())
        seen.until(lambda: {seen.state(name) for name in ("lock", "kernel locks")} == {State.STOPPED})
        assert set(programs_of(os.getpid())) == before
        assert seen.state("cpu") is State.RUNNING, "which nobody has to want"
    assert seen.session.failure == ""


def all_loaded() -> set[int]:
    """Our programs, once no more of them come: the larger part of the unwinder is loaded beside the first samples."""
    programs: set[int] = set()
    while programs != (programs := set(programs_of(os.getpid()))):
        time.sleep(1)
    return programs


@pytest.mark.bpf
def test_stacks_do_not_end_in_our_own_program_which_the_kernels_symbols_are_older_than(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read at the start, if none are kept from before, and again after half a minute at the earliest."""
    monkeypatch.setattr(kernel_cache, "cache_folder", lambda _: tmp_path)
    with watching() as seen:
        seen.until(lambda: seen.session._resolver._kernel._kernel.reads == 1)
        seen.session.want(frozenset({"offcpu"}))
        seen.until_running("offcpu")
        sleeper = subprocess.Popen([sys.executable, "-c", "import time\nfor _ in range(200): time.sleep(0.005)"])
        sleeper.wait()
    leaves = {stack[-1] for stack in seen.kept.stacks(sleeper.pid)}
    assert any("sched" in leaf for leaf in leaves), leaves
    assert not [leaf for leaf in leaves if leaf.startswith(("[kernel+", "bpf_", "__traceiter"))], leaves


@pytest.mark.bpf
def test_it_stays_for_a_while_for_people_go_back_and_forth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attached, "LINGER_S", 2.0)
    with watching() as seen:
        seen.session.want(frozenset({"syscall"}))
        seen.until_running("syscall")
        programs = all_loaded()
        for _ in range(3):
            seen.session.want(frozenset())
            time.sleep(0.5)
            seen.session.want(frozenset({"syscall"}))
            time.sleep(0.5)
        assert set(programs_of(os.getpid())) == programs, "the very same"


@pytest.mark.bpf
@pytest.mark.usefixtures("quick")
def test_what_stays_by_the_settings_stays_whatever_is_wanted() -> None:
    with watching(events=("cpu", "syscall")) as seen:
        seen.until_running("cpu", "syscall")
        seen.session.want(frozenset({"offcpu"}))
        seen.until_running("offcpu")
        seen.session.want(frozenset())
        seen.until(lambda: seen.state("offcpu") is State.STOPPED)
        assert seen.state("syscall") is State.RUNNING


class Caller:
    """Calls getppid all the time, until it is told to stop; then it says how often."""

    SOURCE = (
        "import os, select, sys\n"
        "n = 0\n"
        "while not select.select([0], [], [], 0)[0]:\n"
        "    for _ in range(500): os.getppid()\n"
        "    n += 500\n"
        "print(n, flush=True)\n"
        "sys.stdin.read()\n"
    )

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.SOURCE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def end(self) -> int:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("x\n")
        self.process.stdin.flush()
        n = int(self.process.stdout.readline())
        self.process.stdin.close()
        self.process.wait(20)
        return n


@pytest.mark.bpf
@pytest.mark.usefixtures("quick")
def test_one_program_takes_over_from_another_and_no_call_is_lost_or_counted_twice() -> None:
    """Calls alone, then with locks as people look at those, then alone again: it is always one that counts."""
    with watching(events=("syscall",)) as seen:
        seen.until_running("syscall")
        caller = Caller()
        time.sleep(0.5)
        for _ in range(2):
            alone = set(programs_of(os.getpid()))
            seen.session.want(frozenset({"lock"}))
            seen.until_running("lock", "kernel locks", "syscall")
            seen.until(lambda alone=alone: not alone <= set(programs_of(os.getpid())))  # type: ignore[misc]
            time.sleep(0.7)
            seen.session.want(frozenset())
            seen.until(lambda: seen.state("lock") is State.STOPPED)
            time.sleep(0.7)
        true = caller.end()
    word = seen.kept.health_of("syscall")
    assert word is not None
    assert word.lost_total == 0, dict(word.lost)
    assert seen.names(Kind.SYSCALL, caller.process.pid)["getppid"] == true
    rows = seen.kept.events()
    own = rows[(rows["kind"] == Kind.SYSCALL) & (rows["flags"] >> ROLE_SHIFT & 3 == Role.OWN)]
    assert word.delivered == int(own["weight"].sum()), "and its word is that of all of them together"


@pytest.mark.bpf
@pytest.mark.usefixtures("quick")
def test_one_program_takes_over_while_another_is_still_being_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them at work at the same time are one too many, however long a third takes."""
    slow = threading.Event()
    start = OffCpuCollector.start
    monkeypatch.setattr(OffCpuCollector, "start", lambda self: (slow.wait(20), start(self))[1])
    with watching(events=("syscall",)) as seen:
        seen.until_running("syscall")
        caller = Caller()
        seen.session.want(frozenset({"lock", "offcpu"}))
        seen.until_running("lock")
        time.sleep(2)
        assert seen.state("offcpu") is State.STARTING
        true = caller.end()
        time.sleep(2)
        slow.set()
        seen.until_running("offcpu")
    assert seen.names(Kind.SYSCALL, caller.process.pid)["getppid"] == true


@pytest.mark.bpf
@pytest.mark.usefixtures("quick")
def test_a_call_that_goes_on_keeps_its_beginning_when_another_program_takes_over() -> None:
    with watching(events=("syscall",)) as seen, started("blocked", "pipe", 5) as program:
        seen.until_running("syscall")
        program.go()
        told = program.line()
        time.sleep(0.5)
        seen.session.want(frozenset({"lock"}))
        seen.until_running("lock")
        ended = program.end()
        time.sleep(0.5)
    assert seen.names(Kind.SYSCALL, program.pid)["read"] >= 1
    longest = 0
    for batch in seen.kept.batches:
        rows = batch.events
        of = (rows["kind"] == Kind.SYSCALL) & (rows["pid"] == program.pid) & (rows["flags"] >> ROLE_SHIFT & 3 == 0)
        of &= rows["name"] == batch.symbols.string("read")
        longest = max([longest, *rows["maximum_ns"][of].tolist()])
    assert ended["took_ns"] - 50_000_000 <= longest <= ended["took_ns"], f"of a call since {told['began_ns']}"


@pytest.mark.bpf
@pytest.mark.usefixtures("quick")
def test_what_was_counted_until_it_is_detached_is_delivered() -> None:
    with watching() as seen:
        seen.session.want(frozenset({"syscall"}))
        seen.until_running("syscall")
        with started("calls", 5000, 0, 2) as program:
            program.run()
        seen.session.want(frozenset())
        seen.until(lambda: seen.state("syscall") is State.STOPPED)
        assert seen.names(Kind.SYSCALL, program.pid)["getppid"] == 10_000


@pytest.mark.bpf
@pytest.mark.usefixtures("quick")
def test_what_is_told_of_a_collector_never_goes_back() -> None:
    with watching(events=("cpu",)) as seen:
        for wanted in ({"syscall"}, set(), {"syscall", "lock"}, {"lock"}, set(), {"syscall"}):
            seen.session.want(frozenset(wanted))
            seen.until(lambda wanted=wanted: all(seen.state(name) is State.RUNNING for name in wanted))  # type: ignore[misc]
            with started("calls", 1000, 10, 2) as program:
                program.run()
            time.sleep(0.7)
    for name in ("syscall", "lock", "cpu"):
        told = [words[name] for words in seen.history if name in words]
        assert len(told) > 5
        assert told[-1].delivered > 0 or name == "lock"
        for before, after in itertools.pairwise(told):
            assert after.delivered >= before.delivered
            assert (after.cpu_ns or 0) >= (before.cpu_ns or 0), name
            for cause, n in {**before.lost, **before.degraded}.items():
                assert {**after.lost, **after.degraded}.get(cause, 0) >= n, (name, cause)


def test_what_is_not_to_be_had_does_not_keep_the_others_away() -> None:
    assert units(("syscall", "lock"), ("lock",)) == {("syscall",), ("kernel locks",)}
    assert units(("syscall", "lock"), ("kernel locks",)) == {("syscall", "lock")}


def refuse_joint(monkeypatch: pytest.MonkeyPatch) -> None:
    load = CallCollector.load

    def picky(self: CallCollector) -> None:
        if "lock" in self._names:
            raise OSError(28, "No space left on device")
        load(self)

    monkeypatch.setattr(CallCollector, "load", picky)


@pytest.mark.bpf
@pytest.mark.usefixtures("quick")
def test_one_that_cannot_be_attached_says_why_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_joint(monkeypatch)
    with watching(events=("cpu", "syscall")) as seen:
        seen.until_running("cpu", "syscall")
        seen.session.want(frozenset({"lock"}))
        seen.until(lambda: seen.state("lock") is State.FAILED)
        word = seen.kept.health_of("lock")
        assert word is not None
        assert "No space left on device" in word.message
        seen.until_running("kernel locks")
        with started("calls", 3000, 0, 1) as program:
            program.run()
        time.sleep(1.5)
        assert seen.state("syscall") is State.RUNNING, "it could be alone before"
        seen.until(lambda: seen.names(Kind.SYSCALL, program.pid)["getppid"] == 3000)
        assert seen.session.failure == "lock: No space left on device"


@pytest.mark.bpf
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("method", ["read", "events"])
def test_one_that_breaks_while_it_runs_says_why_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def broken(self: OffCpuCollector, *_: object) -> None:
        raise RuntimeError("the ring is gone")

    with watching(events=("cpu", "offcpu", "syscall")) as seen:
        seen.until_running("cpu", "offcpu", "syscall")
        before = set(programs_of(os.getpid()))
        monkeypatch.setattr(OffCpuCollector, method, broken)
        seen.until(lambda: seen.state("offcpu") is State.FAILED)
        assert seen.session.failure == "offcpu: RuntimeError: the ring is gone"
        assert set(programs_of(os.getpid())) < before, "it is detached"
        with started("calls", 3000, 0, 1) as program:
            program.run()
        seen.until(lambda: seen.names(Kind.SYSCALL, program.pid)["getppid"] == 3000)
        seen.session.want(frozenset({"offcpu"}))
        time.sleep(0.7)
        assert seen.state("offcpu") is State.FAILED, "its reason stays to be read"


@pytest.mark.bpf
def test_a_fault_of_ours_at_the_start_is_said_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: ContentionCollector) -> None:
        raise KeyError("contention")

    monkeypatch.setattr(ContentionCollector, "load", broken)
    with watching() as seen:
        seen.session.want(frozenset({"lock"}))
        seen.until_running("lock")
        seen.until(lambda: seen.state("kernel locks") is State.FAILED)
        word = seen.kept.health_of("kernel locks")
        assert word is not None
        assert word.message == "KeyError: 'contention'"


@pytest.mark.bpf
def test_a_session_of_nothing_that_can_be_attached_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    from aperture_tui.session import SessionError

    def refused(name: str, program: int) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(bpf, "open_raw_tracepoint", refused)
    session = Session(Settings(events=("syscall",)), {"kept": Kept()})
    with pytest.raises(SessionError, match="CAP_BPF"):
        session.start()


def work_in_a_large_library() -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = pa.array(range(100_000))
    end = time.monotonic() + 3
    while time.monotonic() < end:
        pc.value_counts(numbers)


def open_descriptors() -> Counter[str]:
    """Of what this process has how many descriptors."""
    found: Counter[str] = Counter()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the listing itself is gone
            found[os.readlink(descriptor)] += 1
    return found


@pytest.mark.bpf
@pytest.mark.parametrize("attaching", [False, True], ids=["attached", "while one is being attached"])
def test_nothing_stays_in_the_kernel_after_a_stop(attaching: bool) -> None:
    before = set(programs_of(os.getpid()))
    large = threading.Thread(target=work_in_a_large_library, daemon=True)  # its names are read when they are asked for
    large.start()
    descriptors = open_descriptors()
    with watching(events=("cpu", "offcpu", "syscall", "lock")) as seen:
        seen.until_running("cpu", "offcpu", "syscall", "lock", "kernel locks")
        held = set(programs_of(os.getpid())) - before
    assert len(held) > 10
    with watching(events=("cpu",)) as seen:
        seen.until_running("cpu")
        seen.session.want(frozenset({"offcpu", "syscall"}))
        if attaching:
            seen.until(lambda: seen.state("offcpu") is not None)
        else:
            seen.until_running("offcpu", "syscall")
        held |= set(programs_of(os.getpid())) - before
    assert_gone(sorted(held))
    assert set(programs_of(os.getpid())) == before
    large.join()
    deadline = time.monotonic() + 10  # others of this process may be at it too
    while open_descriptors() - descriptors and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not open_descriptors() - descriptors


@pytest.mark.bpf
def test_what_was_counted_while_a_session_stops_is_delivered() -> None:
    with watching(events=("syscall",)) as seen:
        seen.until_running("syscall")
        with started("calls", 4000, 0, 3) as program:
            program.run()
    assert seen.names(Kind.SYSCALL, program.pid)["getppid"] == 12_000
