"""Calls to a driver that is not one (tests/programs/synthetic_libcuda.c), seen by real probes in this kernel."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from aperture_tui.collect.gpu import launches, libraries
from aperture_tui.collect.gpu.driver_calls import CALLS, SHAPE_BITS, Shape, cookies
from aperture_tui.collect.gpu.launches import GPU_KEY, TAKEN
from aperture_tui.collect.settings import Settings
from aperture_tui.profile.gpu_launch import Launch
from aperture_tui.profile.health import State
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Query
from aperture_tui.session import Session
from aperture_tui.symbolize.elf import ElfError, FileSource
from tests.collect.c_structures import assert_mirrors, defines, enumerated, layout
from tests.collect.collecting import Kept
from tests.programs import build
from tests.truth.told import assert_exact, latencies, stack_weights, started

PROGRAM = "gpu.bpf.c"
_LONGEST_S = 20.0


def test_the_layouts_are_those_of_the_c_structures() -> None:
    assert_mirrors(GPU_KEY, layout(PROGRAM, "gpu_key"))
    assert_mirrors(TAKEN, layout(PROGRAM, "moment"))


def test_the_numbers_of_the_program_are_those_here() -> None:
    assert enumerated(PROGRAM, "NO_ENTRY")[:4] == ["NO_ENTRY", "UNREADABLE", "NOT_WALKED", "NO_ROOM"]
    assert enumerated(PROGRAM, "PLAIN") == [shape.name for shape in Shape]
    assert defines(PROGRAM)["SHAPE_BITS"] == SHAPE_BITS
    assert len(set(cookies().values())) == len(CALLS)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A file that no other test has probed: probes belong to the file."""
    path = tmp_path / "libcuda.so.1"
    shutil.copy(build("synthetic_libcuda", "-O2", "-shared", "-fPIC"), path)
    return path


@contextmanager
def seeing(**settings: object) -> Iterator[Kept]:
    """A session that looks at calls to GPUs, once it does."""
    kept = Kept()
    session = Session(Settings(events=("gpu",), **settings), {"kept": kept, "memory": kept.store})  # type: ignore[arg-type]  # test's own words
    session.start()
    try:
        until = time.monotonic() + _LONGEST_S
        while (health := kept.health_of("gpu_call")) is None or health.state is not State.RUNNING:
            assert time.monotonic() < until
            time.sleep(0.02)
        yield kept
    finally:
        session.stop()
    assert session.failure == ""


def by_name(kept: Kept, pid: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in latencies(kept, Kind.GPU_CALL, pid):
        found[one.name] += one.count
    return found


def has_mapped(library: Path, pid: int) -> None:
    """Wait until the process has loaded it."""
    until = time.monotonic() + _LONGEST_S
    while str(library) not in Path(f"/proc/{pid}/maps").read_text():
        assert time.monotonic() < until
        time.sleep(0.02)


def probed(library: Path, pid: int) -> None:
    """Wait until the file has probes, as its process's memory shows: a breakpoint in place of an instruction."""
    has_mapped(library, pid)
    offset = libraries.offsets(libraries.opened(next(libraries.mapped(pid))), ["cuLaunchKernel"])["cuLaunchKernel"]
    rows = [line.split(maxsplit=5) for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    row = next(row for row in rows if str(library) in row[-1] and "x" in row[1])
    address = int(row[0].split("-")[0], 16) + offset - int(row[2], 16)
    until = time.monotonic() + _LONGEST_S
    while time.monotonic() < until:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            if memory.read(1) == b"\xcc":
                return
        time.sleep(0.02)
    raise AssertionError("it has no probe")


@pytest.mark.bpf
def test_no_file_is_probed_but_the_one_whose_functions_were_looked_up(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever owns the folder could have had probes put into any file of root's, at offsets of its choice."""
    inode, offsets = library.stat().st_ino, libraries.offsets
    link, other = library.with_name("link"), library.with_name("other.so")
    shutil.copy(library, other)
    link.symlink_to(other)

    def looked_up(file: FileSource, names: Collection[str]) -> dict[str, int]:
        found = offsets(file, names)
        if file.stat().st_ino == inode:
            link.replace(library)
        return found

    monkeypatch.setattr(libraries, "offsets", looked_up)
    with started("launches", library, 400) as program:
        has_mapped(library, program.pid)
        with seeing() as kept:
            told = program.run()
        assert library.is_symlink()
    seen = by_name(kept, program.pid)
    assert_exact(kept, "gpu_call", seen["cuLaunchKernel"], told["launch"] + told["each"])


@pytest.mark.bpf
def test_a_program_that_runs_already_is_seen_and_one_that_begins_later(library: Path) -> None:
    with started("launches", library, 4000) as first:
        has_mapped(library, first.pid)
        with seeing() as kept:
            probed(library, first.pid)
            told = first.run()
            with started("launches", library, 400, 3) as second:
                also = second.run()
    for pid, true in ((first.pid, told), (second.pid, also)):
        seen = by_name(kept, pid)
        assert_exact(kept, "gpu_call", seen["cuLaunchKernel"], true["launch"] + true["each"])  # and of _ptsz
        assert seen["cuLaunchKernelEx"] == true["launch_ex"]
        once = ("cuMemcpyHtoD", "cuMemcpyDtoHAsync", "cuMemsetD32", "cuMemcpyPeer", "cuGraphLaunch")
        assert {name: seen[name] for name in once} == dict.fromkeys(once, true["each"])
        assert "cuCtxSynchronize" not in seen  # it gives no work


@pytest.mark.bpf
def test_a_library_that_is_mapped_later_is_probed_when_it_is(library: Path) -> None:
    with seeing() as kept, started("launches", library, 100) as program:
        probed(library, program.pid)
        told = program.run()
    assert by_name(kept, program.pid)["cuLaunchKernel"] == told["launch"] + told["each"]


@pytest.mark.bpf
def test_launches_have_their_shape_and_copies_their_bytes(library: Path) -> None:
    with started("launches", library, 100) as program, seeing() as kept:
        probed(library, program.pid)
        program.run()
    rows = {(one.name, one.value): one.count for one in latencies(kept, Kind.GPU_CALL, program.pid)}
    assert rows[("cuLaunchKernel", Launch(256, shared_bytes=1024).packed())] == 100
    assert rows[("cuLaunchKernel", Launch(1).packed())] == 25
    assert rows[("cuLaunchKernelEx", Launch(256, shared_bytes=2048).packed())] == 50
    assert rows[("cuMemcpyHtoD", 4096)] == rows[("cuMemcpyDtoHAsync", 65536)] == rows[("cuMemsetD32", 4000)] == 25
    assert rows[("cuMemcpyPeer", 123456)] == 25
    stacks = stack_weights(kept, Query(kind=Kind.GPU_CALL, pids=(program.pid,), name="cuLaunchKernelEx"))
    assert {stack[-1] for stack in stacks} == {"<<<(7,1,1),(32,4,2)>>>"}


@pytest.mark.bpf
def test_stacks_lead_from_main_to_the_driver_without_frame_pointers(library: Path) -> None:
    with seeing() as kept, started("launches", library, 400, 1, 5000) as program:
        probed(library, program.pid)
        program.run()  # 2 s: the first launch asks for its tables
    stacks = stack_weights(kept, Query(kind=Kind.GPU_CALL, pids=(program.pid,), name="cuLaunchKernel"))
    taken = Counter({stack: n for stack, n in stacks.items() if len(stack) > 3})
    assert taken.total() >= 300
    inner = ("training_step", "cuLaunchKernel", "<<<(64,2,1),(256,1,1)>>>")
    of_step = sum(n for stack, n in taken.items() if stack[-3:] == inner and "main" in stack)
    assert of_step >= 0.7 * taken.total()
    health = kept.health_of("gpu_call")
    assert health is not None
    assert stacks.total() - taken.total() <= health.degraded["call without its stack: too many"]


@pytest.mark.bpf
def test_probes_that_would_slow_a_program_down_are_taken_away(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launches, "MOST_CALLS_S", 100)
    with started("launches", library, 2000, 1, 1000) as program, seeing() as kept:
        probed(library, program.pid)
        told = program.run()
        health = kept.health_of("gpu_call")
    assert health is not None
    assert "let go: more than 100 calls a second" in health.message
    assert 500 < by_name(kept, program.pid)["cuLaunchKernel"] < told["launch"]


@pytest.mark.bpf
def test_only_the_processes_that_are_asked_for(library: Path) -> None:
    twice = ("launches", library, 100)
    with started(*twice) as asked, started(*twice) as other, seeing(pids=(asked.pid,)) as kept:
        probed(library, asked.pid)
        other.run()
        told = asked.run()
    assert by_name(kept, asked.pid)["cuLaunchKernel"] == told["launch"] + told["each"]
    assert by_name(kept, other.pid) == {}


@pytest.mark.bpf
def test_a_file_that_only_has_the_name_is_said_to_be_none_and_the_others_are_seen(
    library: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "libcuda.so.1"
    other.parent.mkdir()
    shutil.copy(build("once", "-O2", "-shared", "-fPIC"), other)  # a library without a function of the driver
    with started("launches", library, 4) as program, started("launches", other, 0) as none, seeing() as kept:
        has_mapped(other, none.pid)
        probed(library, program.pid)
        told = program.run()
    assert by_name(kept, program.pid)["cuLaunchKernel"] == told["launch"] + told["each"]
    health = kept.health_of("gpu_call")
    assert health is not None
    assert health.degraded["files named libcuda that are none"] == 1


def test_functions_are_found_in_the_file(library: Path) -> None:
    facts = library.stat()
    found = libraries.offsets(libraries.opened(libraries.Library(facts.st_dev, facts.st_ino, str(library))), cookies())
    assert set(found) == {
        *("cuLaunchKernel", "cuLaunchKernel_ptsz", "cuLaunchKernelEx", "cuGraphLaunch"),
        *("cuMemcpyHtoD_v2", "cuMemcpyDtoHAsync_v2", "cuMemcpyPeer", "cuMemsetD32_v2"),
    }
    with pytest.raises(ElfError, match="exchanged"):
        libraries.opened(libraries.Library(facts.st_dev, facts.st_ino + 1, str(library)))


@pytest.mark.parametrize(
    ("path", "is_it"),
    [
        ("/usr/lib/x86_64-linux-gnu/libcuda.so.1", True),
        ("/usr/lib64/libcuda.so.580.159.04", True),
        ("/usr/lib/libcudart.so.13", False),
        ("/opt/libcuda.so.txt", False),
        ("libcuda.so", True),
    ],
)
def test_names_of_the_driver(path: str, is_it: bool) -> None:
    assert libraries.is_libcuda(path) is is_it


def test_what_a_stranger_puts_into_the_arguments_does_no_harm() -> None:
    rows = np.zeros(3, np.dtype([*GPU_KEY.descr]))
    for name in GPU_KEY.names or ():
        rows[name] = np.iinfo(rows[name].dtype).max
    rows["call"] = [0, 5, len(CALLS) + 7]
    values = launches._values(rows)
    assert Launch.unpacked(int(values[0])).occupancy is None
    assert int(values[1]) == (1 << 64) - 1
