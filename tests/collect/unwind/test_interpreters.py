"""Which processes are refused, and that each is counted once."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from aperture_tui.collect.unwind import interpreters
from aperture_tui.collect.unwind.interpreters import Interpreters, packed
from aperture_tui.symbolize import v8
from aperture_tui.symbolize.address_space import Mapping, executable_mappings
from aperture_tui.symbolize.binary_cache import BinaryCache
from aperture_tui.symbolize.cpython import CPythonError, CPythonNotReady, Walk


class Maps:
    """Stands in for the kernel's. walks: what it was told. full: it takes no more processes."""

    def __init__(self, *, full: bool = False) -> None:
        self.walks: dict[int, bytes] = {}
        self.full = full

    def read_interpreter(self, pid: int, walk: bytes) -> bool:
        if not self.full:
            self.walks[pid] = walk
        return not self.full


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def opening(maps: Maps) -> tuple[Interpreters, Clock]:
    clock = Clock()
    return Interpreters(maps, clock), clock  # type: ignore[arg-type] # it asks for nothing else


def settle(found: Interpreters, clock: Clock) -> None:
    for _ in range(20):
        clock.now += 60.0
        found.again()


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> dict[int, list[Mapping]]:
    """What processes are said to have mapped when they are looked at again; the others have ended."""
    said: dict[int, list[Mapping]] = {}

    def told(pid: int) -> list[Mapping]:
        if pid not in said:
            raise ProcessLookupError
        return said[pid]

    monkeypatch.setattr(interpreters, "executable_mappings", told)
    return said


def python(version: str) -> list[Mapping]:
    return [Mapping(0x1000, 0x2000, 0, f"/opt/python{version}", 1, 1)]


STARTING = [*python("3.11"), Mapping(0x3000, 0x4000, 0, "/lib/ld-linux-x86-64.so.2", 1, 2)]


def test_the_walk_is_packed_as_the_kernel_has_it() -> None:
    python = packed(Walk(1, 2, 3, 4, -1, 6, 7, 8, 9, 10))
    assert python == struct.pack("<4Ii8I", 1, 2, 3, 4, -1, 6, 7, 8, 9, 10, *[0] * 3)
    javascript = packed(None, v8.Walk(11, v8.Span(12, 13)))
    assert javascript == struct.pack("<13I", *[0] * 10, 11, 12, 13)


def test_a_v8_is_read_at_once_and_one_that_cannot_be_is_left_to_who_names_it(
    mapped: dict[int, list[Mapping]], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = v8.Walk(24, v8.Span(1, 2))

    def layout_in(pid: int, mappings: list[Mapping], _binaries: BinaryCache[v8.Layout]) -> SimpleNamespace | None:
        if pid == 2:
            raise v8.V8Error("its V8 compresses pointers")
        return SimpleNamespace(walk=known) if mappings[0].module == "node" else None

    monkeypatch.setattr(v8, "layout_in", layout_in)
    maps = Maps()
    found, clock = opening(maps)
    for pid, path in ((1, "/usr/bin/node"), (2, "/opt/node"), (3, "/bin/true")):
        mapped[pid] = [Mapping(0x1000, 0x2000, 0, path, 1, 1)]
        found.look(pid, mapped[pid])
    assert maps.walks == {1: packed(None, known)}
    settle(found, clock)
    assert not any(found.counts.values())


def test_a_process_that_fails_is_counted_once_however_often_it_is_looked_at(mapped: dict[int, list[Mapping]]) -> None:
    found, clock = opening(Maps())
    mapped[1] = python("3.8")
    for _ in range(3):
        found.look(1, python("3.8"))
        settle(found, clock)
    assert found.counts == {"Python frames not read: CPython 3.8 is older than 3.9": 1}


def test_a_known_reason_keeps_its_count_past_the_bound(mapped: dict[int, list[Mapping]]) -> None:
    found, clock = opening(Maps())
    for pid, minor in enumerate([*range(20, 60), 20]):
        mapped[pid] = python(f"3.{minor}")
        found.look(pid, mapped[pid])
        settle(found, clock)
        found.keep(())
    assert found.counts["Python frames not read: CPython 3.20 is newer than 3.14"] == 2
    assert found.counts["Python frames not read: for other reasons"] == 24
    assert found.counts.total() == 41


def test_a_reason_is_safe_to_show(mapped: dict[int, list[Mapping]]) -> None:
    found, clock = opening(Maps())
    mapped[1] = [Mapping(0x1000, 0x2000, 0, "/\x1b[31m/python3.11", 1, 1)]
    found.look(1, mapped[1])
    settle(found, clock)
    (reason,) = found.counts
    assert "\\x1b[31m/python3.11" in reason


class Opened:
    """Stands in for what can be read: nothing but `walk` is asked of it."""

    walk = Walk(1, 2, 3, 4, -1, 6, 7, 8, 9, 10)


@pytest.mark.parametrize("stands_s", [0.0, 1.0, 30.0, 3600.0])
def test_no_failure_is_believed_for_ever(
    mapped: dict[int, list[Mapping]], monkeypatch: pytest.MonkeyPatch, stands_s: float
) -> None:
    """As of a process that stands still before all of its memory is mapped."""
    maps = Maps()
    found, clock = opening(maps)
    mapped[1] = python("3.11")

    def opens(*_: object) -> Opened:
        if clock.now < stands_s:
            raise CPythonError("the state of CPython cannot be read")
        return Opened()

    monkeypatch.setattr(interpreters.Interpreter, "open", opens)
    found.look(1, mapped[1])
    while found.due < float("inf"):
        clock.now = found.due
        told = found.counts.total()
        found.again()
        assert told == (clock.now > 0.2)
    assert maps.walks == {1: packed(Opened.walk)}
    assert clock.now <= max(1.0, stands_s) * 1.5
    assert found.counts.total() == 0, "it is read now"


def test_libraries_that_are_mapped_later_are_seen(
    mapped: dict[int, list[Mapping]], monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = Maps()
    found, clock = opening(maps)

    def opens(_pid: int, mappings: list[Mapping], *_: object) -> Opened:
        if mappings == STARTING:
            raise CPythonNotReady("the libraries of this CPython are still being mapped")
        return Opened()

    monkeypatch.setattr(interpreters.Interpreter, "open", opens)
    found.look(1, STARTING)
    mapped[1] = [*STARTING, Mapping(0x5000, 0x6000, 0, "/lib/libc.so.6", 1, 3)]
    clock.now = found.due
    assert found.again()
    assert 1 in maps.walks


def test_a_program_that_never_starts_its_interpreter_is_hardly_looked_at(mapped: dict[int, list[Mapping]]) -> None:
    """perf and gdb have libpython, and most often run none of it."""
    found, clock = opening(Maps())
    mapped[1] = STARTING
    found.look(1, STARTING)
    tries = 0
    while clock.now < 10.0:
        clock.now = found.due
        found.again()
        tries += 1
    assert 10 < tries < 50
    assert not found.counts


def test_many_that_start_do_not_hold_up_who_asks(mapped: dict[int, list[Mapping]]) -> None:
    found, clock = opening(Maps())
    for pid in range(2000):
        mapped[pid] = STARTING
        found.look(pid, STARTING)
    clock.now = 1.0
    found.again()
    assert sum(one.due > clock.now for one in found._waiting.values()) <= 32
    found.keep(range(10))
    assert len(found._waiting) == 10


def test_a_process_that_ends_while_it_starts_is_let_go(mapped: dict[int, list[Mapping]]) -> None:
    found, clock = opening(Maps())
    mapped[1] = STARTING
    found.look(1, STARTING)
    assert found.due < float("inf")
    del mapped[1]
    settle(found, clock)
    assert found.due == float("inf")
    assert not found.counts


@pytest.mark.parametrize("full", [False, True])
def test_a_kernel_that_has_no_room_is_no_fault(full: bool) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        maps = Maps(full=full)
        found, clock = opening(maps)
        deadline = time.monotonic() + 20
        while not maps.walks and not found.counts and time.monotonic() < deadline:
            time.sleep(0.02)
            clock.now += 10.0
            found.look(child.pid, executable_mappings(child.pid))
        assert (child.pid in maps.walks) is not full
        assert dict(found.counts) == (
            {"Python and JavaScript frames not read: too many processes have some": 1} if full else {}
        )
    finally:
        child.kill()
        child.wait()
