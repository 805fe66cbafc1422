"""Runtimes by what they have mapped: names, and the real ones where they are installed."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame
from aperture_tui.symbolize import jit_frames, v8
from aperture_tui.symbolize.address_space import AddressSpace, Mapping
from aperture_tui.symbolize.runtimes import NAMELESS, runtime_of, runtime_of_file

from .conftest import PROGRAMS, need, run
from .test_resolver import Asking, executable_page

__all__ = ["executable_page"]

PATIENCE_S = 30
T = TypeVar("T")


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Starts programs that run until the test is over, and takes their perf maps away: gives the pid."""
    children: list[subprocess.Popen[bytes]] = []

    def start(*command: str | Path) -> int:
        child = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, cwd=tmp_path)
        children.append(child)
        return child.pid

    yield start
    for child in children:
        child.kill()
        child.wait()
        Path(f"/tmp/perf-{child.pid}.map").unlink(missing_ok=True)  # noqa: S108 the place that the format names


def eventually(ask: Callable[[], T]) -> T:
    """The first answer that is true."""
    until = time.monotonic() + PATIENCE_S
    while not (answer := ask()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return answer


def made_code(pid: int) -> list[Mapping]:
    return [m for m in AddressSpace.read(pid).mappings if not m.has_file and not m.path.startswith("[v")]


def entries(pid: int, *names: str) -> dict[str, int]:
    """The addresses of entries of a process's perf map by name, {} unless all are there."""
    path = Path(f"/tmp/perf-{pid}.map")  # noqa: S108 the place that the format names
    lines = [line.split(" ", 2) for line in path.read_text().splitlines()] if path.exists() else []
    found = {line[2]: int(line[0], 16) for line in lines if len(line) == 3}
    return {name: found[name] for name in names} if set(names) <= found.keys() else {}


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("node", "node"), ("libnode.so.108", "node"), ("libjvm.so", "java"), ("libcoreclr.so", "dotnet"),
        ("ruby", "ruby"), ("ruby3.1", "ruby"), ("libruby-3.1.so.3.1", "ruby"), ("libruby.so.3.3", "ruby"),
        ("php8.2", "php"), ("php-fpm8.2", "php"), ("libphp8.2.so", "php"),
        ("perl", "perl"), ("perl5.36.0", "perl"), ("libperl.so.5.36", "perl"),
        ("beam.smp", "erlang"), ("luajit-2.1.0-beta3", "luajit"), ("libluajit-5.1.so.2", "luajit"),
        ("lua5.4", "lua"), ("liblua5.4.so.0", "lua"), ("libpypy3.9-c.so", "pypy"), ("pypy3", "pypy"),
        ("libc.so.6", None), ("node_exporter", None), ("rubyist", None), ("python3.11", None), ("luac", None),
        ("libperl-helper.so", None), ("phpmyadmin", None), ("javac", None),
    ],
)  # fmt: skip
def test_a_runtime_is_known_by_its_file(module: str, name: str | None) -> None:
    runtime = runtime_of_file(module)
    assert (runtime and runtime.name) == name


def test_what_makes_code_comes_before_what_interprets() -> None:
    both = [Mapping(1, 2, path="/usr/lib/libperl.so.5.36"), Mapping(3, 4, path="/opt/jdk/lib/server/libjvm.so")]
    runtime = runtime_of(both)
    assert runtime is not None
    assert runtime.name == "java"
    assert runtime_of([Mapping(1, 2, path="[vdso]"), Mapping(3, 4)]) is None


def test_code_that_nothing_names_is_told_once_a_process(executable_page: int) -> None:
    asking = Asking(os.getpid())
    asking.frames(executable_page + 0x10, executable_page + 0x20)
    asking.frames(executable_page + 0x30)
    assert asking.resolver.unreadable == {NAMELESS: 1}


def test_what_was_told_of_a_process_is_not_looked_for_again(
    executable_page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = Asking(os.getpid())
    asking.frames(executable_page + 0x10)
    monkeypatch.setattr(jit_frames, "runtime_of", None)
    asking.frames(executable_page + 0x20)
    assert asking.resolver.unreadable == {NAMELESS: 1}


def test_perl_shows_native_frames_and_says_so(started: Callable[..., int]) -> None:
    need("perl")
    pid = started("perl", "-e", "while (1) { $x += sqrt(++$i) }")
    text = eventually(lambda: [m for m in AddressSpace.read(pid).mappings if m.module.startswith(("perl", "libperl"))])[
        0
    ]
    asking = Asking(pid)
    asking.frames(text.start + 0x1000, text.start + 0x2000)
    asking.frames(text.start + 0x3000)
    assert dict(asking.resolver.unreadable) == {"perl processes, of which only native frames can be read": 1}


@pytest.mark.parametrize("readable", [True, False])
def test_a_node_without_a_perf_map_is_told_only_if_its_memory_does_not_say_either(
    started: Callable[..., int], monkeypatch: pytest.MonkeyPatch, readable: bool
) -> None:
    def refused(*_anything: object) -> None:
        raise v8.V8Error("its V8 compresses pointers")

    need("node")
    if not readable:
        monkeypatch.setattr(v8.reader, "layout_in", refused)
    pid = started("node", PROGRAMS / "spin.js")
    code = eventually(lambda: made_code(pid))[0]
    asking = Asking(pid)
    frame = asking.frames(code.start + 64)[0]
    assert frame.kind == FrameKind.JIT
    why = "node processes that could not be read: its V8 compresses pointers"
    assert dict(asking.resolver.unreadable) == ({} if readable else {why: 1})


def test_functions_of_node_have_name_file_and_line(started: Callable[..., int]) -> None:
    need("node")
    script = PROGRAMS / "spin.js"
    pid = started("node", "--perf-basic-prof", script)
    hot = f"JS:*innermost {script}:3:19"
    at = eventually(lambda: entries(pid, hot))[hot]
    asking = Asking(pid)
    assert asking.frames(at + 16) == [Frame("innermost", "[jit]", str(script), 3, FrameKind.JIT)]
    assert not asking.resolver.unreadable


def test_java_has_its_names_at_the_places_where_it_says_that_they_are(
    started: Callable[..., int], tmp_path: Path
) -> None:
    """It is asked for a perf map; ours are out of its memory, and have no types of arguments."""
    need("java", "javac", "jcmd")
    run("javac", "-d", tmp_path, PROGRAMS / "Spin.java")
    pid = started("java", "-Xmx64m", "-cp", tmp_path, "Spin")
    eventually(lambda: made_code(pid))

    def named() -> dict[str, int]:
        subprocess.run(["jcmd", str(pid), "Compiler.perfmap"], capture_output=True, check=False)
        return entries(pid, "long Spin.innermost(int)", "Interpreter")

    at = eventually(named)
    Path(f"/tmp/perf-{pid}.map").unlink()  # noqa: S108 the place that the format names
    asking = Asking(pid)
    assert asking.names(*(address + 16 for address in at.values())) == ["Spin.innermost", "Interpreter"]
    assert not +asking.resolver.unreadable


def test_code_that_gets_a_name_later_is_resolved_anew(executable_page: int) -> None:
    path = Path(f"/tmp/perf-{os.getpid()}.map")  # noqa: S108 the place that the format names
    asking = Asking(os.getpid())
    try:
        assert asking.names(executable_page + 0x20)[0].startswith("[jit+")
        first = asking.resolver.tend()
        assert +asking.resolver.unreadable == {NAMELESS: 1}
        path.write_text(f"{executable_page + 0x800:x} 40 elsewhere\n")
        asking.clock.now += 10
        assert asking.resolver.tend() == first
        with path.open("a") as file:
            file.write(f"{executable_page:x} 40 named\n")
        asking.clock.now += 10
        assert asking.resolver.tend() == first + 1
        assert asking.resolver.changed is None, "it is not known whose stacks these are"
        assert asking.names(executable_page + 0x20) == ["named"]
        assert not +asking.resolver.unreadable
    finally:
        path.unlink(missing_ok=True)
