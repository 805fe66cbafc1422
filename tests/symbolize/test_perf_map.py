"""Perf maps as runtimes write them, and as nobody should."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame
from aperture_tui.symbolize import perf_map as module
from aperture_tui.symbolize.perf_map import PerfMap, jit_frame, parse_perf_map


@pytest.fixture
def child() -> Iterator[tuple[int, Path]]:
    """A living process and where its perf map belongs."""
    process = subprocess.Popen(["sleep", "60"])
    path = Path(f"/tmp/perf-{process.pid}.map")  # noqa: S108 the place that the format names
    yield process.pid, path
    process.kill()
    process.wait()
    path.unlink(missing_ok=True)


def find(perf_map: PerfMap, *addresses: int) -> list[bytes | None]:
    return perf_map.find(np.array(addresses, np.uint64))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**63), st.integers(1, 2**20),
            st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1, max_size=40),
        ),
        max_size=20,
    ),
    st.sampled_from(["{:x} {:x} {}\n", "0x{:x} 0x{:X} {}\n", "{:016x} {:x} {}\n"]),
)  # fmt: skip
def test_every_entry_comes_back(entries: list[tuple[int, int, str]], form: str) -> None:
    text = "".join(form.format(*entry) for entry in entries).encode()
    parsed, skipped = parse_perf_map(text)
    assert skipped == 0
    assert [
        (start, end - start, text[at : at + size].decode())
        for start, end, at, size in zip(*(column.tolist() for column in parsed), strict=True)
    ] == entries


@given(st.binary(max_size=300))
def test_any_bytes_are_entries_or_counted(data: bytes) -> None:
    parsed, skipped = parse_perf_map(data)
    assert len(parsed.start) + skipped == data.count(b"\n")


def test_malformed_lines_are_skipped_and_counted() -> None:
    parsed, skipped = parse_perf_map(
        b"10 10 good\nxyz 10 bad\n20 bad\n20 0 empty\nffffffffffffffff 10 wraps\n\n30 1 a b\n"
    )
    assert parsed.start.tolist() == [0x10, 0x30]
    assert skipped == 5


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("JS:*innermost /srv/app.js:3:19", Frame("innermost", "", "/srv/app.js", 3)),
        ("JS:^get size node:internal/util:12:7", Frame("get size", "", "node:internal/util", 12)),
        ("LazyCompile:~run file:///srv/my app/x.mjs:1:2", Frame("run", "", "/srv/my app/x.mjs", 1)),
        ("JS:~ /srv/app.js:5:93", Frame("(anonymous)", "", "/srv/app.js", 5)),
        ("JS:+ https://host:8080/a.js:5:93", Frame("(anonymous)", "", "https://host:8080/a.js", 5)),
        ("Eval:~ /srv/app.js:1:1", Frame("(anonymous)", "", "/srv/app.js", 1)),
        ("JS:*at [eval]:1:2", Frame("JS:*at [eval]:1:2")),
        ("LazyCompile:~add script.js:1", Frame("LazyCompile:~add script.js:1")),
        ("JS:*f /srv/app.js:99999999999999:1", Frame("JS:*f /srv/app.js:99999999999999:1")),
        ("Builtin:ArrayMap", Frame("Builtin:ArrayMap")),
        ("long Spin.innermost(int)", Frame("long Spin.innermost(int)")),
        ("void [System.Private.CoreLib] A::B(class C:1:2)", Frame("void [System.Private.CoreLib] A::B(class C:1:2)")),
    ],
)
def test_functions_of_javascript_have_name_file_and_line(name: str, frame: Frame) -> None:
    assert jit_frame(name.encode(), "") == frame._replace(kind=FrameKind.JIT)


@given(st.text(max_size=60), st.sampled_from(["JS:*", "Eval:~", "LazyCompile:~", ""]))
def test_any_name_gives_a_frame(text: str, prefix: str) -> None:
    assert jit_frame((prefix + text).encode("utf-8", "surrogatepass"), "[jit]").line < 2**32


def test_lines_written_later_are_read_when_it_is_time(child: tuple[int, Path]) -> None:
    pid, path = child
    perf_map = PerfMap(pid)
    assert not perf_map.refresh(0.0)
    path.write_bytes(b"1000 100 first\n2000 100 half a li")
    assert not perf_map.refresh(0.5)
    assert perf_map.refresh(1.0)
    assert find(perf_map, 0x1000, 0x10FF, 0x1100, 0x2000) == [b"first", b"first", None, None]
    with path.open("ab") as file:
        file.write(b"ne\n1080 10 newer\n")
    assert perf_map.refresh(2.0)
    assert find(perf_map, 0x1010, 0x1085, 0x1095, 0x2000) == [b"first", b"newer", b"first", b"half a line"]


def test_code_made_anew_at_an_old_address_has_its_new_name(child: tuple[int, Path]) -> None:
    pid, path = child
    path.write_bytes(b"1050 10 small and old\n1000 100 large and new\n1000 10 newest\n")
    perf_map = PerfMap(pid)
    perf_map.refresh(0.0)
    assert find(perf_map, 0x1055, 0x1005, 0x1020) == [b"large and new", b"newest", b"large and new"]


def test_a_map_that_was_written_anew_replaces_the_old_one(child: tuple[int, Path]) -> None:
    pid, path = child
    path.write_bytes(b"1000 100 old name, and a long one\n")
    perf_map = PerfMap(pid)
    perf_map.refresh(0.0)
    path.write_bytes(b"3000 1 new\n")
    perf_map.refresh(1.0)
    assert find(perf_map, 0x1000, 0x3000) == [None, b"new"]


def test_a_map_to_which_nothing_was_added_is_not_put_in_order_again(
    child: tuple[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pid, path = child
    path.write_bytes(b"1000 100 first\n")
    perf_map = PerfMap(pid)
    assert perf_map.refresh(0.0)
    with path.open("ab") as file:
        file.write(b"2000 100 half a li")
    monkeypatch.setattr(module, "parse_perf_map", None)
    assert not perf_map.refresh(1.0)
    assert find(perf_map, 0x1000, 0x2000) == [b"first", None]


def test_a_link_is_not_followed(child: tuple[int, Path], tmp_path: Path) -> None:
    pid, path = child
    (tmp_path / "secret").write_bytes(b"1000 100 secret\n")
    path.symlink_to(tmp_path / "secret")
    perf_map = PerfMap(pid)
    assert not perf_map.refresh(0.0)
    assert len(perf_map) == 0


def test_a_map_of_another_user_is_refused_and_said(child: tuple[int, Path]) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving a file to another user needs root")
    pid, path = child
    path.write_bytes(b"1000 100 planted\n")
    os.chown(path, 12345, 12345)
    perf_map = PerfMap(pid)
    assert not perf_map.refresh(0.0)
    assert find(perf_map, 0x1000) == [None]
    assert "user 12345" in perf_map.refused


def test_a_huge_map_is_read_up_to_the_limit(child: tuple[int, Path]) -> None:
    pid, path = child
    path.write_bytes(b"".join(b"%x 10 f%d\n" % (i * 16, i) for i in range(1, 1000)))
    perf_map = PerfMap(pid, max_bytes=4096)
    perf_map.refresh(0.0)
    assert 0 < len(perf_map) < 999
    assert "only the first 4096 bytes" in perf_map.refused


def test_the_pid_in_the_name_is_that_of_the_innermost_namespace(tmp_path: Path) -> None:
    command = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", "echo ready; read line"]
    if os.geteuid() != 0 or subprocess.run([*command[:4], "true"], capture_output=True, check=False).returncode:
        pytest.skip("a pid namespace needs root and CAP_SYS_ADMIN")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    path = Path("/tmp/perf-1.map")  # noqa: S108 the place that the format names
    if path.exists():
        process.communicate("\n")
        pytest.skip(f"{path} is in use")
    try:
        inner = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
        path.write_bytes(b"1000 10 inner\n")
        perf_map = PerfMap(inner)
        perf_map.refresh(0.0)
        assert find(perf_map, 0x1000) == [b"inner"]
    finally:
        path.unlink(missing_ok=True)
        process.communicate("\n")
