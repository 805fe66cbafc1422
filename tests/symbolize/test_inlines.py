"""Inlined functions: against addr2line at every address, in a running program, and out of files made to harm."""

from __future__ import annotations

import errno
import importlib.util
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from aperture_tui.profile.symbols import Frame
from aperture_tui.symbolize import inlines as module
from aperture_tui.symbolize import inlines_child
from aperture_tui.symbolize.debug_files import DebugInfo
from aperture_tui.symbolize.demangle import demangle
from aperture_tui.symbolize.elf import FileSource
from aperture_tui.symbolize.images import ImageKey, read_file
from aperture_tui.symbolize.inlines import Inlines
from aperture_tui.symbolize.inlines_table import InlineTable
from aperture_tui.symbolize.opening import open_regular
from tests.stopping import stop

from .conftest import PROGRAMS, need, run
from .test_resolver import Asking

Running = Callable[..., tuple[int, dict[str, int]]]
PATIENCE_S = 60

pytestmark = pytest.mark.skipif(importlib.util.find_spec("symbolic") is None, reason="symbolic is not installed")


@pytest.fixture
def inlines(tmp_path: Path) -> Iterator[Inlines]:
    """With a cache of its own."""
    made = Inlines(tmp_path / "cache")
    yield made
    made.close()


@pytest.fixture(scope="module")
def cpp(built: Path) -> Path:
    """inlines.cpp with debug information."""
    need("g++")
    run("g++", "-O2", "-g", "-o", built / "inlines", PROGRAMS / "inlines.cpp")
    return built / "inlines"


def debug_of(path: Path) -> DebugInfo | None:
    return next(iter(read_file(FileSource(open_regular(str(path))), str(path), ["/"])[1]), None)


def wait(inlines: Inlines) -> list[ImageKey]:
    """Tend until nothing is left to do; -> the files whose tables came, in that order."""
    came = []
    until = time.monotonic() + PATIENCE_S
    while inlines._waiting or inlines._job:
        key = inlines.tend()
        if key is not None:
            came.append(key)
        assert time.monotonic() < until
        time.sleep(0.01)
    return came


def key(number: int) -> ImageKey:
    return ImageKey(1, number, 1, 1)


def table_of(path: Path, inlines: Inlines) -> InlineTable:
    debug = debug_of(path)
    assert debug is not None
    inlines.want(key(1), [debug])
    assert wait(inlines) == [key(1)]
    table = inlines.table(key(1))
    assert table is not None
    return table


def functions(path: Path, prefix: str) -> dict[str, range]:
    """The addresses of the functions whose names begin so, parts that the compiler put elsewhere as well."""
    lines = [line.split() for line in run("nm", "-S", path).splitlines()]
    return {
        words[3]: range(int(words[0], 16), int(words[0], 16) + int(words[1], 16))
        for words in lines
        if len(words) == 4 and prefix in words[3]
    }


def reference(tool: str, path: Path, addresses: list[int]) -> list[list[str]]:
    """For each address the functions that a reference tool names, outermost first."""
    out = subprocess.run(
        [tool, "-a", "-i", "-f", "-C", "-e", str(path)],
        input="\n".join(map(hex, addresses)), capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    answers = re.split(r"^0x[0-9a-f]+\n", out, flags=re.MULTILINE)[1:]
    return [[line for line in answer.splitlines()[::2] if line][::-1] for answer in answers]


def ours(table: InlineTable, addresses: list[int]) -> list[list[str]]:
    return [[demangle(name) for name in table.chain(n)] for n in table.find(np.array(addresses, np.uint64)).tolist()]


@pytest.mark.parametrize("options", ["", "-gdwarf-4 -no-pie", "-gz", "-O3 -fno-ipa-icf -gdwarf-5 -ffunction-sections"])
def test_every_address_of_a_cpp_program_has_the_functions_that_addr2line_says(
    tmp_path: Path, inlines: Inlines, options: str
) -> None:
    need("g++", "nm", "addr2line")
    program = tmp_path / "program"
    run("g++", "-O2", "-g", *options.split(), "-o", program, PROGRAMS / "inlines.cpp")
    parts = functions(program, "outer_")
    assert len(parts) >= 2
    addresses = [address for part in parts.values() for address in part]
    said = reference("addr2line", program, addresses)
    assert max(map(len, said)) == 4
    assert ours(table_of(program, inlines), addresses) == [functions[1:] for functions in said]


def test_every_address_of_a_rust_program_has_the_functions_that_addr2line_says(
    tmp_path: Path, inlines: Inlines
) -> None:
    need("rustc", "nm", "addr2line")
    program = tmp_path / "rust"
    run("rustc", "-O", "-g", "-o", program, PROGRAMS / "inlines.rs")
    addresses = list(functions(program, "outer_rust")["outer_rust"])
    said = reference("addr2line", program, addresses)
    assert max(map(len, said)) >= 4
    mine = ours(table_of(program, inlines), addresses)
    assert [list(map(plain, names)) for names in mine] == [list(map(plain, names[1:])) for names in said]
    assert any("inlines::first" in name for names in mine for name in names)


def plain(name: str) -> str:
    """addr2line spells crate hashes out, and does not escape as we do."""
    return re.sub(r"::h[0-9a-f]{16}$|\[[0-9a-f]{9,16}\]", "", name)


def test_private_functions_and_lambdas_have_their_bare_names(cpp: Path, inlines: Inlines) -> None:
    need("nm", "llvm-symbolizer")
    addresses = list(next(iter(functions(cpp, "private_names").values())))
    out = run("llvm-symbolizer", f"--obj={cpp}", "--output-style=GNU", "-f", "-C", "-i", *map(hex, addresses))
    said = iter([line for line in out.splitlines() if not line.startswith("/") and line != "??:0"])
    for names in ours(table_of(cpp, inlines), addresses):
        assert [next(said) for _ in range(len(names) + 1)][::-1][1:] == names
    assert next(said, None) is None


def expanded(asking: Asking, *addresses: int, called: bool = False) -> list[list[Frame]]:
    """The frames of each address, outermost first."""
    n = len(addresses)
    ids, counts = asking.resolver.expanded_frames(
        [asking.space], np.zeros(n, np.intp), np.array(addresses, np.uint64), np.full(n, called)
    )
    ends = np.cumsum(counts)
    assert len(ids) == counts.sum()
    return [
        [asking.symbols.frame_at(i) for i in ids[end - count : end].tolist()][::-1]
        for end, count in zip(ends.tolist(), counts.tolist(), strict=True)
    ]


def ready(asking: Asking) -> list[int]:
    """Tend until all is made; -> the versions that came."""
    versions = [asking.resolver.tend()]
    until = time.monotonic() + PATIENCE_S
    while asking.resolver.inlines._waiting or asking.resolver.inlines._job:
        assert time.monotonic() < until
        versions.append(asking.resolver.tend())
        time.sleep(0.01)
    return sorted(set(versions))


def deep_address(program: Path, name: str) -> tuple[int, list[str]]:
    """An offset into a function at which three others are inlined, and all their names."""
    part = next(part for symbol, part in functions(program, name).items() if "cold" not in symbol)
    said = reference("addr2line", program, list(part))
    deepest = max(range(len(part)), key=lambda i: len(said[i]))
    return deepest, said[deepest]


def test_a_running_program_is_resolved_anew_when_its_table_comes(cpp: Path, running: Running, inlines: Inlines) -> None:
    need("nm", "addr2line")
    offset, names = deep_address(cpp, "outer_plain")
    pid, at = running(cpp, names=3)
    asking = Asking(pid, inlines=inlines)
    address = at["outer_plain"] + offset
    assert expanded(asking, address) == [[Frame(names[0], "inlines")]]
    versions = ready(asking)
    assert len(versions) == 2
    assert asking.resolver.changed == {"inlines"}, "no other file's frames are others now"
    wanted = [Frame(name, "inlines") for name in names]
    assert expanded(asking, address, at["outer_cold"], address) == [
        wanted,
        [Frame("outer_cold(unsigned int)", "inlines")],
        wanted,
    ]
    assert expanded(asking, address + 1, called=True) == [wanted]
    assert asking.frames(address) == [wanted[0]]
    asking.resolver.rebind(asking.symbols)
    assert expanded(asking, address) == [wanted]


def test_a_table_is_made_once_and_then_read_from_disk_at_once(
    cpp: Path, running: Running, tmp_path: Path, inlines: Inlines
) -> None:
    need("nm", "addr2line")
    table_of(cpp, inlines)
    offset, names = deep_address(cpp, "outer_plain")
    pid, at = running(cpp, names=3)
    again = Inlines(tmp_path / "cache")
    asking = Asking(pid, inlines=again)
    assert [frame.function for frame in expanded(asking, at["outer_plain"] + offset)[0]] == names
    assert (again.counts.made, again._job, again._waiting) == (0, None, [])


def test_debug_information_of_a_stripped_program_is_found_in_its_debug_file(
    cpp: Path, running: Running, tmp_path: Path, inlines: Inlines
) -> None:
    need("nm", "addr2line", "strip", "objcopy")
    stripped, debug = tmp_path / "stripped", tmp_path / "inlines.debug"
    run("objcopy", "--only-keep-debug", cpp, debug)
    run("strip", "-o", stripped, cpp)
    run("objcopy", f"--add-gnu-debuglink={debug}", stripped)
    offset, names = deep_address(cpp, "outer_plain")
    pid, at = running(stripped, names=3)
    asking = Asking(pid, inlines=inlines)
    asking.names(at["outer_plain"])
    ready(asking)
    assert expanded(asking, at["outer_plain"] + offset) == [[Frame(name, "stripped") for name in names]]


def test_a_program_without_debug_information_stays_as_it_is(calls: Path, running: Running, inlines: Inlines) -> None:
    pid, at = running(calls)
    asking = Asking(pid, inlines=inlines)
    assert expanded(asking, *at.values()) == [[Frame(name, "calls")] for name in at]
    assert ready(asking) == [0]
    assert inlines.counts.made == 0
    assert not +inlines.counts.degraded()


def test_without_the_library_functions_stand_alone_and_the_command_is_named(
    cpp: Path, running: Running, inlines: Inlines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    pid, at = running(cpp, names=3)
    asking = Asking(pid, inlines=inlines)
    assert [f.function for f in expanded(asking, at["outer_plain"] + 20)[0]] == ["outer_plain(unsigned int)"]
    assert ready(asking) == [0]
    assert any("pip install" in cause for cause in +inlines.counts.degraded())


def test_the_smallest_file_comes_first(cpp: Path, inlines: Inlines) -> None:
    debug = debug_of(cpp)
    assert debug is not None
    for number, size in ((1, 300), (2, 100), (3, 200)):
        facts = DebugInfo(FileSource(open_regular(str(cpp))), size, number)  # another base: another table
        inlines.want(key(number), [facts])
    assert wait(inlines) == [key(2), key(3), key(1)]


def test_too_much_debug_information_is_left_alone_and_counted(
    cpp: Path, inlines: Inlines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_DEBUG_BYTES", 1000)
    debug = debug_of(cpp)
    assert debug is not None
    inlines.want(key(1), [debug])
    assert wait(inlines) == []
    assert inlines.counts.too_large == 1


def test_nothing_is_read_while_memory_is_short(cpp: Path, inlines: Inlines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_available_bytes", lambda: 100 << 20)
    debug = debug_of(cpp)
    assert debug is not None
    inlines.want(key(1), [debug])
    assert wait(inlines) == []
    assert inlines.counts.put_off == 1


def damaged(data: bytes, seed: int) -> bytes:
    """The file cut short, or with some bytes of its second half changed: there the debug information is."""
    dice = random.Random(seed)
    if seed % 4 == 0:
        return data[: dice.randrange(len(data) // 3, len(data))]
    out = bytearray(data)
    for _ in range(4 ** (seed % 4)):
        out[dice.randrange(len(data) // 3, len(data))] = dice.randrange(256)
    return bytes(out)


def test_files_that_lie_end_with_their_child(cpp: Path, inlines: Inlines, tmp_path: Path) -> None:
    debug = debug_of(cpp)
    assert debug is not None
    data = cpp.read_bytes()
    wanted = 16
    for seed in range(wanted):
        path = tmp_path / f"damaged{seed}"
        path.write_bytes(damaged(data, seed))
        inlines.want(key(seed), [DebugInfo(FileSource(open_regular(str(path))), debug.nbytes, 0)])
    Path("/proc/self/clear_refs").write_text("5")  # what tests before this one took at most would hide what this takes
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    came = wait(inlines)
    assert inlines.counts.made == len(came)
    assert inlines.counts.made + inlines.counts.failed == wanted
    assert inlines.counts.failed > 0
    for done in came:
        table = inlines.table(done)
        assert table is not None
        ours(table, list(range(0x1000, 0x2000, 7)))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 << 10, "KiB"


def test_what_failed_is_not_tried_again(inlines: Inlines, tmp_path: Path) -> None:
    path = tmp_path / "lie"
    path.write_bytes(b"\x7fELF" + bytes(1000))
    for number, failed in ((1, 1), (2, 1)):
        inlines.want(key(number), [DebugInfo(FileSource(open_regular(str(path))), 100, 0)])
        assert wait(inlines) == []
        assert inlines.counts.failed == failed


def test_a_child_that_takes_too_long_is_ended_and_may_be_tried_again(cpp: Path, tmp_path: Path) -> None:
    now = 0.0
    inlines = Inlines(tmp_path / "cache", lambda: now)
    debug = debug_of(cpp)
    assert debug is not None
    inlines.want(key(1), [debug])
    inlines.tend()
    job = inlines._job
    assert job is not None
    stop(job.child.pid)
    assert inlines.tend() is None
    assert inlines.counts.failed == 0
    now = module.PATIENCE_S
    inlines.tend()
    assert inlines.counts.failed == 1
    assert job.child.returncode == -signal.SIGKILL
    assert not (tmp_path / "cache").exists()


def test_a_cache_file_that_was_changed_is_refused_and_made_anew(cpp: Path, inlines: Inlines, tmp_path: Path) -> None:
    table_of(cpp, inlines)
    file = next((tmp_path / "cache").glob("*.inlines"))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    other = Inlines(tmp_path / "cache")
    table_of(cpp, other)
    assert (other.counts.cache_refused, other.counts.made) == (1, 1)


def test_the_child_is_small_slow_and_nobody(tmp_path: Path) -> None:
    code = (
        "import ctypes, os, resource\n"
        "from aperture_tui.symbolize import inlines_child as child\n"
        "child._limit(); child.drop_rights()\n"
        "limits = [resource.getrlimit(n)[0] for n in (resource.RLIMIT_AS, resource.RLIMIT_CPU)]\n"
        "orphaned = ctypes.c_int()\n"
        "ctypes.CDLL(None).prctl(2, ctypes.byref(orphaned))  # PR_GET_PDEATHSIG\n"
        "print(os.nice(0), *limits, os.geteuid(), orphaned.value)"
    )
    nice, memory, cpu_s, user, orphaned = map(int, run(sys.executable, "-c", code).split())
    assert nice >= 10
    assert 0 < memory < 2 * inlines_child.MAX_MEMORY
    assert cpu_s == inlines_child.MAX_CPU_S
    assert user != 0
    assert orphaned == signal.SIGKILL, "it ends with its parent"


def test_a_child_that_is_out_of_time_does_not_end_as_if_it_were_killed_from_outside() -> None:
    code = (
        "from aperture_tui.symbolize import inlines_child as child\n"
        "child.MAX_CPU_S = 1\n"
        "child._limit()\n"
        "while True: pass"
    )
    ended = -subprocess.run([sys.executable, "-c", code], check=False).returncode
    assert ended == signal.SIGXCPU
    assert ended not in module._FROM_OUTSIDE


def test_without_a_descriptor_for_the_answer_the_file_is_counted(
    cpp: Path, inlines: Inlines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(name: str, flags: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    debug = debug_of(cpp)
    assert debug is not None
    inlines.want(key(1), [debug])
    monkeypatch.setattr(os, "memfd_create", exhausted)
    assert wait(inlines) == []
    assert inlines.counts.failed == 1


def test_what_is_remembered_of_files_is_bounded(cpp: Path, inlines: Inlines, monkeypatch: pytest.MonkeyPatch) -> None:
    table_of(cpp, inlines)
    monkeypatch.setattr(module, "_MAX_ASKED", 4)
    monkeypatch.setattr(module, "MAX_DEBUG_BYTES", 1000)
    facts = FileSource(open_regular(str(cpp)))
    for number in range(2, 12):
        inlines.want(key(number), [DebugInfo(facts, 2000, number)])
    assert len(inlines._names) == 4
    held = inlines.nbytes
    inlines.want(key(1), [DebugInfo(facts, 2000, 0)])
    assert inlines.table(key(1)) is not None
    assert inlines.nbytes == held
    inlines.want(key(2), [DebugInfo(facts, 2000, 2)])
    assert inlines.counts.too_large == 11, "the second was forgotten, and asked for again"


def test_tables_beyond_the_bound_are_read_again_and_are_the_same(
    cpp: Path, inlines: Inlines, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_of(cpp, inlines)
    monkeypatch.setattr(module, "_HELD_BYTES", table.nbytes)
    debug = debug_of(cpp)
    assert debug is not None
    inlines.want(key(2), [debug])
    assert inlines.nbytes == table.nbytes, "the second took the place of the first"
    again = inlines.table(key(1))
    assert again is not None
    assert again is not table
    assert (again.base, again.names) == (table.base, table.names)
    for column in ("start", "node", "parent", "name", "end"):
        assert np.array_equal(getattr(again, column), getattr(table, column))
    assert inlines.nbytes == table.nbytes


def test_closing_ends_the_child(cpp: Path, tmp_path: Path) -> None:
    inlines = Inlines(tmp_path / "cache")
    debug = debug_of(cpp)
    assert debug is not None
    inlines.want(key(1), [debug])
    inlines.tend()
    job = inlines._job
    assert job is not None
    inlines.close()
    assert job.child.returncode is not None
    assert inlines.tend() is None
