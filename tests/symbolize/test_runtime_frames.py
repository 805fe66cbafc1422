"""When a runtime's own data are read, and what becomes of names given before: by a reader of known answers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.symbolize.address_space import AddressSpace, Mapping
from aperture_tui.symbolize.counts import ResolverCounts
from aperture_tui.symbolize.inline_frames import InlineFrames
from aperture_tui.symbolize.inlines import Inlines
from aperture_tui.symbolize.jit_frames import JitFrames
from aperture_tui.symbolize.known import Known, Part
from aperture_tui.symbolize.runtime_frames import OBJECT, NotReadyError, Opening, RuntimeFrames, are_objects

PID = 4_000_000  # no process
CODE = Mapping(0x7F00_0000_0000, 0x7F00_0001_0000)
LIBRARY = Mapping(0x7F10_0000_0000, 0x7F10_0001_0000, 0, "/usr/lib/jvm/libjvm.so", 1, 1)


def frame(name: str) -> Frame:
    return Frame(name, "[jit]", kind=FrameKind.JIT)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Reader:
    """Says what it was told to say."""

    def __init__(self) -> None:
        self.chains: dict[int, tuple[Frame, ...]] = {}
        self.changed: list[tuple[int, int]] = []
        self.refreshed = 0

    def refresh(self) -> list[tuple[int, int]]:
        self.refreshed += 1
        changed, self.changed = self.changed, []
        return changed

    def frames(self, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]) -> list[tuple[Frame, ...] | None]:
        return [self.chains.get(address) for address in (addresses - is_return).tolist()]

    def objects(self, words: NDArray[np.uint64]) -> list[Frame | None]:
        return [frame(f"method {word:#x}") if word else None for word in words.tolist()]


class Case:
    """The frames of one process that has code of Java and no perf map."""

    def __init__(self) -> None:
        self.reader, self.clock = Reader(), Clock()
        self.symbols, self.known = Symbols(), Known()
        self.space = AddressSpace(PID, [CODE, LIBRARY])
        self.error: Exception | None = None
        self.tries: list[float] = []
        self.chains = InlineFrames(Inlines())
        self.jit = JitFrames(self.chains, ResolverCounts(), RuntimeFrames({"java": self.open}, self.clock), self.clock)

    def open(self, _pid: int, _mappings: object) -> Reader:
        self.tries.append(self.clock.now)
        if self.error is not None:
            raise self.error
        return self.reader

    def names(self, *offsets: int, called: bool = True) -> list[list[str]]:
        """The functions at places in the code, innermost first, as the resolver asks for them."""
        addresses = np.array(offsets, np.uint64) + np.uint64(CODE.start)

        def miss(missing: NDArray[np.uint64], back: NDArray[np.bool_]) -> tuple[list[int], NDArray[np.bool_] | bool]:
            return self.jit.find(self.symbols, Part(PID, CODE, missing, back), self.space, self.known)

        ids, _ = self.known.answers.through(addresses, np.full(len(addresses), called), miss)
        frames, counts = self.chains.expanded(ids)
        functions = [self.symbols.frame_at(i).function for i in frames.tolist()]
        edges = np.cumsum(np.append(0, counts)).tolist()
        return [functions[start:end] for start, end in pairwise(edges)]


@pytest.fixture
def case() -> Case:
    return Case()


def test_code_has_the_names_of_its_runtime_inlined_functions_first(case: Case) -> None:
    case.reader.chains = {CODE.start + 15: (frame("inner"), frame("outer")), CODE.start + 31: (frame("outer"),)}
    assert case.names(16, 32, 16) == [["inner", "outer"], ["outer"], ["inner", "outer"]]
    assert case.reader.refreshed == 1, "when it is opened, and not for what it knows"
    assert case.jit.unreadable.total() == 0


def test_what_stands_for_a_frame_is_asked_for_without_its_mark(case: Case) -> None:
    words = np.array([OBJECT | 0x1230, OBJECT], np.uint64)
    assert are_objects(np.append(words, np.array([1 << 63 | 5, 5, 3 << 62], np.uint64))).tolist() == [1, 1, 0, 0, 0]
    found = case.jit.objects(case.symbols, words, case.space, case.known)
    assert [case.symbols.frame_at(i).function for i in found] == ["method 0x1230", "[interpreter]"]


def test_code_that_was_met_before_it_was_known_is_named_again_once_it_is(case: Case) -> None:
    assert case.names(16) == [["[jit+0x10]"]]
    version = case.jit.version
    case.reader.chains[CODE.start + 15] = (frame("late"),)
    case.reader.changed = [(CODE.start, CODE.start + 64)]
    case.jit.tend(case.space, case.known)
    assert case.jit.version == version, "it is not time yet"
    case.clock.now += 5
    case.jit.tend(case.space, case.known)
    assert case.jit.version != version
    assert case.names(16) == [["late"]]


def test_a_name_is_forgotten_once_other_code_lies_there(case: Case) -> None:
    case.reader.chains = {CODE.start + 15: (frame("old"),), CODE.start + 127: (frame("stays"),)}
    assert case.names(16, 128) == [["old"], ["stays"]]
    version = case.jit.version
    case.reader.chains[CODE.start + 15] = (frame("new"),)
    case.reader.changed = [(CODE.start + 8, CODE.start + 64)]
    case.clock.now += 5
    case.jit.tend(case.space, case.known)
    assert case.jit.version == version + 1
    assert case.names(16, 128) == [["new"], ["stays"]]
    case.reader.changed = [(CODE.start + 4096, CODE.start + 8192)]  # where nobody has been
    case.clock.now += 5
    case.jit.tend(case.space, case.known)
    assert case.jit.version == version + 1


def test_a_runtime_that_starts_is_tried_again_and_less_and_less_often(case: Case) -> None:
    case.error = NotReadyError("not yet")
    for _ in range(400):
        case.names(16)
        case.clock.now += 0.1
    pauses = np.diff(case.tries)
    assert len(case.tries) == pytest.approx(9, abs=2)
    assert np.all(np.diff(pauses) > -0.2)
    assert case.jit.unreadable == {
        "java processes without a perf map (jcmd PID Compiler.perfmap on JDK 17 or later; -XX:+PreserveFramePointer)": 1
    }
    case.error = None
    case.clock.now += 20
    case.reader.chains[CODE.start + 15] = (frame("name"),)
    assert case.names(16) == [["name"]]
    assert case.jit.unreadable.total() == 0, "what was said is taken back"


def test_what_cannot_be_opened_says_why(case: Case) -> None:
    case.error = ValueError("this HotSpot does not say where Method::_constMethod is")
    assert case.names(16) == [["[jit+0x10]"]]
    ((cause, n),) = case.jit.unreadable.items()
    assert "does not say where Method::_constMethod is" in cause
    assert n == 1


def test_where_looking_is_in_vain_it_is_done_less_often_until_something_is_found() -> None:
    reader, clock = Reader(), Clock()
    frames, opening = RuntimeFrames({}, clock), Opening(reader=reader)
    counts = []
    for _ in range(2):
        reader.refreshed = 0
        for _ in range(1000):
            opening.asked = True
            frames.refresh(opening, missed=True)
            clock.now += 0.02
        counts.append(reader.refreshed)
        reader.changed = [(1, 2)]
        clock.now += 10
        opening.asked = True
        assert frames.refresh(opening, missed=True) == [(1, 2)]
        assert opening.vain == 0
    assert counts == [pytest.approx(12, abs=2)] * 2


def test_a_process_that_has_ended_is_not_opened(case: Case) -> None:
    case.space.ended_ns = 1
    assert case.names(16) == [["[jit+0x10]"]]
    assert not case.tries


def test_a_problem_is_said_once_of_all_processes_that_have_it_and_there_are_not_ever_more(case: Case) -> None:
    for n in range(200):
        case.space, case.known = AddressSpace(PID + n, [CODE, LIBRARY]), Known()
        case.error = ValueError(f"the memory of process {PID + n} cannot be read: needs CAP_SYS_PTRACE")
        case.names(16)
    assert case.jit.unreadable == {
        "java processes that could not be read: the memory cannot be read: needs CAP_SYS_PTRACE": 200
    }
    for n in range(200):
        case.space, case.known = AddressSpace(PID + n, [CODE, LIBRARY]), Known()
        case.error = ValueError(f"/opt/{n}/libjvm.so: not an ELF file")
        case.names(16)
    assert case.jit.unreadable.total() == 400
    assert len(case.jit.unreadable) < 100
