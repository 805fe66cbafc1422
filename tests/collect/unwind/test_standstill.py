"""Threads that stand still: tests/programs/stands.c blocks deep in a chain of calls that is known."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import pytest

from aperture_tui.collect.common import Common
from aperture_tui.collect.settings import Settings
from aperture_tui.collect.stack_frames import Raw
from aperture_tui.collect.stacks import LINGER_S, MAX_STACKS
from aperture_tui.collect.unwind import standstill
from aperture_tui.collect.unwind.at_rest import at_rest
from aperture_tui.collect.unwind.table_walk import EXACT, MAX_FRAMES, Walked
from aperture_tui.profile.kinds import STOP_SHIFT, Flag, Kind, Role, Stop, stop_of
from tests.collect.collecting import Kept, await_true, collecting
from tests.collect.standing import standing
from tests.programs import build
from tests.truth.told import Seen, events, started

pytestmark = pytest.mark.bpf

CHAIN: Final = ("main", "outer", "large", "inner", "inner", "inner", "inner", "block")
RECORD: Final = np.dtype([("pid", "<u4"), ("tid", "<u4"), ("stack", "<u8"), ("flags", "<u4")])
_LONGEST_S: Final = 20.0


@pytest.fixture(scope="module")
def common() -> Iterator[Common]:
    with standing() as common:
        yield common


@contextlib.contextmanager
def stands(how: str, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """The program, once it has blocked; it makes no call before that takes it off the CPU for long."""
    command = [str(build("stands", "-O2", "-fomit-frame-pointer", *flags)), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout
            child.stdout.readline()
            until(lambda: at_rest(child.pid, child.pid))
            time.sleep(0.1)  # that line may have been one of the calls
            yield child
        finally:
            child.kill()


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + _LONGEST_S
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert true()


def asked(common: Common, pid: int, began_ns: int, seconds: float = _LONGEST_S) -> tuple[int, int] | None:
    """What there is of a thread's stack, asked for as a collector does."""
    deadline = time.monotonic() + seconds
    found = None
    while found is None and time.monotonic() < deadline:
        found = common.standstill.stack_of(pid, pid, began_ns, time.monotonic_ns())
        common.standstill.tend()  # or walks that had no time left in their second would wait for ever
        time.sleep(0.02)
    return found


def addresses(common: Common, found: tuple[int, int] | None) -> list[int]:
    assert found is not None
    raw = common.stacks.raw(found[0])
    assert raw is not None
    assert raw.whole == bool(found[1] & Flag.WHOLE)
    return [int(address) for address in raw.user]


def functions(pid: int, stack: list[int]) -> list[str]:
    """The program's own functions of a stack, root first, by nm."""
    with open(f"/proc/{pid}/maps") as maps:
        base, path = next((int(line.split("-")[0], 16), line.split()[-1]) for line in maps)
    told = subprocess.run(["nm", "-n", path], capture_output=True, text=True, check=True).stdout
    symbols = [(int(at, 16), name) for at, name in re.findall(r"^(\w+) [tT] (\w+)$", told, re.MULTILINE)]
    with open(f"/proc/{pid}/maps") as maps:
        end = max(int(line.split("-")[1].split()[0], 16) for line in maps if line.split()[-1] == path)
    pcs = [address & ~EXACT if address & EXACT else address - 1 for address in stack]
    inside = [pc - base for pc in reversed(pcs) if base <= pc < end]
    return [next(name for at, name in reversed(symbols) if at <= pc) for pc in inside]


@pytest.mark.parametrize(
    ("how", "under"),
    [
        ("read", ["by_one_way"]),
        ("poll", []),
        ("futex", []),
        ("nanosleep", []),
        ("handler", ["on_signal", "by_one_way"]),
        ("realigned", ["realigned", "saves_rbp", "by_one_way"]),
    ],
)
def test_the_whole_chain_of_a_thread_that_had_blocked_before(common: Common, how: str, under: list[str]) -> None:
    began_ns = time.monotonic_ns()
    with stands(how) as child:
        found = asked(common, child.pid, began_ns)
        stack = addresses(common, found)
        names = functions(child.pid, stack)
    assert found is not None
    assert found[1] == Flag.WHOLE
    order = [name for name in names if name != "on_signal"] if how == "handler" else names
    expected = [name for name in under if name != "on_signal"] if how == "handler" else under
    assert order == ["_start", *CHAIN, *expected]
    assert ("on_signal" in names) == (how == "handler")
    assert stack[0] & EXACT, "the call is where it sits, and no return address"
    assert sum(1 for address in stack if address & EXACT) == (2 if how == "handler" else 1)


@pytest.mark.parametrize("how", ["read", "poll", "futex", "nanosleep", "handler", "realigned"])
def test_each_address_is_that_of_gdb(common: Common, how: str) -> None:
    if shutil.which("gdb") is None:
        pytest.skip("no gdb: apt-get install gdb")
    # with debug information it also tells of calls that were inlined, or became jumps, and have no frame
    no_frames = "(gdb.INLINE_FRAME, gdb.TAILCALL_FRAME)"
    script = (
        f"f = gdb.newest_frame()\nwhile f:\n    print('pc', hex(f.pc()), f.type() in {no_frames})\n    f = f.older()\n"
    )
    settings = ("set debuginfod enabled off", "set backtrace past-main on", "set backtrace past-entry on")
    with stands(how) as child:
        stack = addresses(common, asked(common, child.pid, time.monotonic_ns()))
        commands = [word for setting in settings for word in ("-ex", setting)]
        command = ["gdb", "-nx", "-batch", *commands, "-p", str(child.pid), "-ex", f"python exec({script!r})"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=60)
    theirs = [int(pc, 16) for pc in re.findall(r"^pc (0x\w+) False", told.stdout, re.MULTILINE)]
    if len(theirs) < 2:
        pytest.skip(f"gdb does not work here: {told.stderr[-200:]!r}")
    assert [address & ~EXACT for address in stack] == theirs


def test_a_frame_that_only_rbp_would_find_ends_the_walk_and_says_so(common: Common) -> None:
    with stands("lost") as child:
        found = asked(common, child.pid, time.monotonic_ns())
        names = functions(child.pid, addresses(common, found))
    assert names == ["realigned", "by_one_way"]
    assert found is not None
    assert stop_of(found[1]) is Stop.NO_ROW
    assert not found[1] & Flag.WHOLE


def test_nothing_is_walked_where_no_stacks_of_waits_are_wanted() -> None:
    with standing(Settings(wait_stacks=False)) as common, stands("read") as child:
        assert asked(common, child.pid, time.monotonic_ns(), seconds=1.0) is None


def test_threads_with_the_same_stack_have_the_same_hash_and_other_processes_others(common: Common) -> None:
    with stands("read") as one, stands("read") as other:
        first = asked(common, one.pid, time.monotonic_ns())
        again = asked(common, one.pid, time.monotonic_ns())
        second = asked(common, other.pid, time.monotonic_ns())
    assert first == again != second
    assert first is not None


def test_who_goes_on_in_the_middle_is_not_believed(common: Common, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sits in the same call with the same stack pointer before and after, by another way."""
    walks: list[Walked] = []
    places = []

    def slow(*arguments: object) -> Walked:
        places.append(at_rest(child.pid, child.pid))
        assert child.stdin
        child.stdin.write(b"x")
        child.stdin.flush()
        until(lambda: at_rest(child.pid, child.pid) not in (None, places[-1]))
        places.append(at_rest(child.pid, child.pid))
        walks.append(walk(*arguments))  # type: ignore[arg-type]  # as they come
        return walks[-1]

    walk = standstill.walk
    began_ns = time.monotonic_ns()
    with stands("again") as child:
        monkeypatch.setattr(standstill, "walk", slow)
        found = asked(common, child.pid, began_ns, seconds=9.0)
        assert len(walks) == 3, "it is tried three times, and not for ever"
        assert all(one.flags & Flag.WHOLE for one in walks), "there was a stack to be mistaken for the first one"
        assert all(one.call == places[0].call and one.sp == places[0].sp and one.pc == places[0].pc for one in places)
        assert found is None
        monkeypatch.setattr(standstill, "walk", walk)
        names = functions(child.pid, addresses(common, asked(common, child.pid, began_ns + 1)))
    assert names[-1] == "by_another_way"


def test_a_stack_that_was_walked_after_the_wait_is_not_the_waits(common: Common) -> None:
    with stands("read") as child:
        began_ns = time.monotonic_ns()
        over_ns = began_ns + 1
        assert asked(common, child.pid, began_ns) is not None
        assert common.standstill.stack_of(child.pid, child.pid, began_ns, over_ns) is None


def test_tables_that_come_very_late_are_waited_for(common: Common, monkeypatch: pytest.MonkeyPatch) -> None:
    """What there is meanwhile is told: its innermost function."""
    monkeypatch.setattr(standstill, "_PAUSES_S", (0.01, 0.02))
    walk, tries = standstill.walk, 0

    def without_tables(*given: object) -> Walked:
        nonlocal tries
        tries += 1
        walked = walk(*given)  # type: ignore[arg-type]
        return walked if tries > 6 else Walked(walked.addresses[:1], Stop.NO_TABLES << STOP_SHIFT)

    monkeypatch.setattr(standstill, "walk", without_tables)
    with stands("read") as child:
        began_ns = time.monotonic_ns()
        found = asked(common, child.pid, began_ns)
        assert found is not None
        assert stop_of(found[1]) is Stop.NO_TABLES
        assert len(addresses(common, found)) == 1
        until(lambda: (found := asked(common, child.pid, began_ns)) and found[1] & Flag.WHOLE)
        assert tries == 7
        assert "main" in functions(child.pid, addresses(common, asked(common, child.pid, began_ns)))


def test_pauses_grow_up_to_a_limit() -> None:
    pauses = [standstill._Asked(tries=tries).pause_s for tries in (0, 1, 2, 3, 4, 5, 10_000)]
    assert pauses == [0.4, 6.0, 12.0, 24.0, 48.0, 60.0, 60.0]


def test_a_process_that_ends_has_no_stack_and_is_left_alone(common: Common) -> None:
    with stands("read") as child:
        pass
    assert asked(common, child.pid, time.monotonic_ns(), seconds=1.0) is None
    assert common.supply.health().message == ""


def test_a_process_that_writes_on_its_stack_meanwhile_costs_a_stack_and_no_more(common: Common) -> None:
    with stands("scribbled") as child:
        found = [asked(common, child.pid, time.monotonic_ns() + i) for i in range(50)]
    assert None not in found
    for one in found:
        assert len(addresses(common, one)) <= MAX_FRAMES
    with stands("read") as child:  # the supply's thread lives on
        assert asked(common, child.pid, time.monotonic_ns()) is not None


def test_a_32_bit_program_is_refused(common: Common) -> None:
    flags = ("-O2", "-m32", "-nostdlib", "-static", "-ffreestanding")
    try:
        subprocess.run([build("calls32", *flags)], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    except (subprocess.CalledProcessError, OSError) as error:
        pytest.skip(f"no 32-bit programs here: {error}")
    with started("calls32", flags=flags) as program:
        until(lambda: at_rest(program.pid, program.pid))
        began_ns = time.monotonic_ns()
        assert asked(common, program.pid, began_ns, seconds=1.0) is None
        answer = common.standstill._known[program.pid, began_ns].answer
    assert answer is not None
    assert stop_of(answer.flags) is Stop.FOREIGN


def test_only_what_the_kernel_could_not_walk_by_tables_is_replaced(common: Common) -> None:
    """By a stack that is whole; where there was none, by whatever there is."""
    kernel_words = np.array([0xFFFFFFFF81000010], np.uint64)
    none = np.zeros(0, np.uint64)
    common.stacks.put(77, Raw(kernel_words, none, np.array([1, 2], np.uint64), False))
    too_early = int(Flag.FRAME_POINTERS | Flag.KERNEL_MODE) | Stop.NO_TABLES << 8
    with stands("read") as child, stands("lost") as lost:
        cases = [
            (child.pid, 0, 0),
            (child.pid, 77, too_early),
            (child.pid, 5, int(Flag.WHOLE)),
            (child.pid, 6, int(Stop.FAULT << 8)),
            (lost.pid, 0, 0),
            (lost.pid, 77, too_early),
        ]
        given = np.array([(pid, pid, stack, flags) for pid, stack, flags in cases], RECORD)
        began_ns = np.full(len(given), time.monotonic_ns(), np.uint64)

        def fill() -> np.ndarray:
            filled = given.copy()
            common.standstill.fill(filled, began_ns, time.monotonic_ns())
            common.standstill.tend()
            return filled

        until(lambda: fill()["stack"][[0, 4]].all())  # each is walked by itself
        filled = fill()
    changed = filled["stack"] != given["stack"]
    assert changed.tolist() == [True, True, False, False, True, False]
    assert (filled["flags"][~changed] == given["flags"][~changed]).all()
    assert filled["flags"][0] == Flag.WHOLE
    merged, alone = common.stacks.raw(int(filled["stack"][1])), common.stacks.raw(int(filled["stack"][0]))
    assert merged is not None
    assert alone is not None
    assert merged.kernel.tolist() == kernel_words.tolist(), "what the kernel could take of itself stays"
    assert merged.user.tolist() == alone.user.tolist()
    assert filled["flags"][1] == Flag.WHOLE | Flag.KERNEL_MODE


def test_a_stack_in_use_survives_that_others_are_forgotten(common: Common, monkeypatch: pytest.MonkeyPatch) -> None:
    none = np.zeros(0, np.uint64)
    began_ns = time.monotonic_ns()
    with stands("read") as child:
        found = asked(common, child.pid, began_ns)
        assert found is not None
        for key in range(1, MAX_STACKS + 1):
            common.stacks.put(key, Raw(none, none, none, True))
        common.stacks.rotate()
        assert common.standstill.stack_of(child.pid, child.pid, began_ns, time.monotonic_ns()) == found
        late_s = time.monotonic() + 2 * LINGER_S
        monkeypatch.setattr("aperture_tui.collect.stacks.time.monotonic", lambda: late_s)
        common.stacks.rotate()
        assert common.stacks.raw(1) is None
        assert len(addresses(common, found)) > len(CHAIN)


@pytest.mark.parametrize("attached", ["before", "after"])
def test_calls_and_waits_that_go_on_show_where(attached: str) -> None:
    """Of a program that blocked before the session began, and of one that blocks as soon as it has begun."""
    session = collecting(events=("syscall", "offcpu"))
    with contextlib.ExitStack() as begun:
        if attached == "after":
            child, kept = begun.enter_context(stands("read")), begun.enter_context(session)
        else:
            kept, child = begun.enter_context(session), begun.enter_context(stands("read"))
        # once its tables are there: on a busy machine it is looked at more than once before
        await_true(lambda: all(own_functions(one) == [*CHAIN, "by_one_way"] for one in newest(kept, child.pid)))
    for last in newest(kept, child.pid):
        assert last is not None
        assert own_functions(last) == [*CHAIN, "by_one_way"], last
        assert last.flags & Flag.WHOLE
        assert not last.flags & (Flag.NO_STACK | Flag.FRAME_POINTERS)


def newest(kept: Kept, pid: int) -> list[Seen | None]:
    """What was told last of the call that a process is in, and of the wait; None of what nothing was told of."""
    both = ((Kind.SYSCALL, Role.IN_FLIGHT), (Kind.OFFCPU, Role.OWN))
    seen = [[one for one in events(kept, kind, role, pid) if one.name == "read"] for kind, role in both]
    return [rows[-1] if rows else None for rows in seen]


def own_functions(seen: Seen | None) -> list[str]:
    """Those of the chain in its stack, root first; of nothing, none."""
    return [name for name in seen.stack if name in {*CHAIN, "by_one_way"}] if seen else []
