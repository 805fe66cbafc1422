"""Which processes are refused, and that each is counted once."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from aperture_tui.collect.unwind import interpreters
from aperture_tui.collect.unwind.interpreters import Interpreters, packed
from aperture_tui.symbolize.address_space import Mapping, executable_mappings
from aperture_tui.symbolize.cpython import Walk


class Maps:
    """Stands in for the kernel's. walks: what it was told. full: it takes no more processes."""

    def __init__(self, *, full: bool = False) -> None:
        self.walks: dict[int, bytes] = {}
        self.full = full

    def read_python(self, pid: int, walk: bytes) -> bool:
        if not self.full:
            self.walks[pid] = walk
        return not self.full


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def pid() -> Iterator[int]:
    """A process that lives, whatever its mappings are said to be."""
    child = subprocess.Popen(["sleep", "60"])
    yield child.pid
    child.kill()
    child.wait()


def opening(maps: Maps) -> tuple[Interpreters, Clock]:
    clock = Clock()
    return Interpreters(maps, clock), clock  # type: ignore[arg-type] # it asks for nothing else


def settle(found: Interpreters, clock: Clock) -> None:
    for _ in range(20):
        clock.now += 10.0
        found.again()


def python(version: str) -> list[Mapping]:
    return [Mapping(0x1000, 0x2000, 0, f"/opt/python{version}", 1, 1)]


STARTING = [*python("3.11"), Mapping(0x3000, 0x4000, 0, "/lib/ld-linux-x86-64.so.2", 1, 2)]


def test_the_walk_is_packed_as_the_kernel_has_it() -> None:
    assert packed(Walk(1, 2, 3, 4, -1, 6, 7, 8, 9, 10)) == b"".join(
        n.to_bytes(4, "little", signed=True) for n in (1, 2, 3, 4, -1, 6, 7, 8, 9, 10)
    )


def test_a_refused_process_is_counted_once_however_often_it_is_looked_at(pid: int) -> None:
    found, clock = opening(Maps())
    for _ in range(3):
        found.look(pid, python("3.8"))
        settle(found, clock)
    assert found.counts == {"Python frames not read: CPython 3.8 is older than 3.9": 1}
    assert found.due == float("inf")


def test_a_known_reason_keeps_its_count_past_the_bound(pid: int) -> None:
    found, clock = opening(Maps())
    for minor in [*range(20, 60), 20]:
        found.look(pid, python(f"3.{minor}"))
        settle(found, clock)
        found.forget(pid)
    assert found.counts["Python frames not read: CPython 3.20 is newer than 3.14"] == 2
    assert found.counts["Python frames not read: for other reasons"] == 24
    assert found.counts.total() == 41


def test_a_reason_is_safe_to_show(pid: int) -> None:
    found, clock = opening(Maps())
    found.look(pid, [Mapping(0x1000, 0x2000, 0, "/\x1b[31m/python3.11", 1, 1)])
    settle(found, clock)
    (reason,) = found.counts
    assert "\\x1b[31m/python3.11" in reason


def test_one_too_many_that_start_is_counted(pid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "_MAX_WAITING", 1)
    monkeypatch.setattr(interpreters, "alive", lambda _pid: True)
    found, _clock = opening(Maps())
    found.look(pid, STARTING)
    found.look(pid + 1, STARTING)
    assert found.counts == {"Python frames not read: too many processes are starting": 1}


def test_a_process_that_ends_while_it_starts_is_let_go() -> None:
    child = subprocess.Popen(["sleep", "60"])
    found, clock = opening(Maps())
    found.look(child.pid, STARTING)
    assert found.due < float("inf")
    child.kill()
    child.wait()
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
        assert dict(found.counts) == ({"Python frames not read: too many processes are CPython": 1} if full else {})
    finally:
        child.kill()
        child.wait()
