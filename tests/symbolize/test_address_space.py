"""Mappings of real processes, hostile ones, and the files behind them."""

from __future__ import annotations

import itertools
import mmap
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.symbolize.address_space import (
    AddressSpace,
    Mapping,
    executable_mappings,
    map_file,
    mapped_facts,
    open_mapping,
    parse_maps,
)

Running = Callable[..., tuple[int, dict[str, int]]]


def mapping_of(space: AddressSpace, module: str) -> Mapping:
    return next(m for m in space.mappings if m.module == module)


def test_our_own_executable_mappings() -> None:
    expected = []
    text = Path("/proc/self/maps").read_text()
    for line in text.splitlines():
        words = line.split(maxsplit=5)
        if words[1][2] == "x":
            start, end = (int(x, 16) for x in words[0].split("-"))
            expected.append((start, end, int(words[2], 16), int(words[4]), words[5] if len(words) > 5 else ""))
    mappings, skipped = parse_maps(text.encode())
    assert skipped == 0
    assert [(m.start, m.end, m.offset, m.inode, m.path) for m in mappings] == expected
    libc = next(m for m in mappings if "libc" in m.module)
    assert libc.inode == os.stat(libc.path).st_ino


def test_names_with_spaces_newlines_and_deleted_files() -> None:
    text = (
        b"00400000-00401000 r-xp 00001000 fe:00 77                         /opt/my app/a\\012b (deleted)\n"
        b"00500000-00501000 rwxp 00000000 00:00 0 \n"
        b"00600000-00601000 rw-p 00000000 00:00 0                          [heap]\n"
        b"00700000-00701000 r-xs 00000000 00:01 9                          /memfd:jit (deleted)\n"
        b"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n"
    )
    mappings, skipped = parse_maps(text)
    assert skipped == 0
    assert [m.path for m in mappings] == ["/opt/my app/a\nb", "", "/memfd:jit", "[vsyscall]"]
    assert [m.module for m in mappings] == ["a\nb", "", "memfd:jit", "[vsyscall]"]
    assert [m.has_file for m in mappings] == [True, False, True, False]


def test_hostile_lines_are_skipped_and_counted() -> None:
    text = (
        b"\n"
        b"00400000-00401000 r-xp\n"
        b"00500000-00400000 r-xp 0 0:0 0 /backwards\n"
        b"00500000-00501000 r-xp 00000000 00:00 0 /good\n"
        b"00500800-00502000 r-xp 00000000 00:00 0 /overlaps\n"
        b"zzz\xff\xfe\n"
        b"11111111111111111111-22222222222222222222 r-xp 0 0:0 0 /too wide\n"
    )
    mappings, skipped = parse_maps(text)
    assert [m.path for m in mappings] == ["/good"]
    assert skipped == 6


@given(st.binary(max_size=400))
def test_any_bytes_give_disjoint_mappings(data: bytes) -> None:
    mappings, _ = parse_maps(b"00400000-00401000 r-xp 00000000 00:00 0 /x\n" + data)
    assert all(a.end <= b.start for a, b in itertools.pairwise(mappings))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30), st.integers(0, 9)), max_size=20))
def test_a_later_mapping_replaces_what_it_overlaps(added: list[tuple[int, int, int]]) -> None:
    space = AddressSpace(0)
    model: dict[int, tuple[str, int]] = {}
    for start, length, name in added:
        space.add(start, length, 1000 * name, f"/lib{name}", 1, name)
        model |= {a: (f"/lib{name}", 1000 * name + a - start) for a in range(start, start + length)}
    addresses = np.arange(100, dtype=np.uint64)
    found = {}
    for address, index in zip(addresses.tolist(), space.find(addresses).tolist(), strict=True):
        if index >= 0:
            mapping = space.mappings[index]
            found[address] = (mapping.path, mapping.offset + address - mapping.start)
    assert found == model


def test_a_fork_has_the_mappings_of_its_parent_and_goes_its_own_way() -> None:
    parent = AddressSpace(0)
    parent.add(0x1000, 0x1000, 0, "/a")
    child = parent.copy(1)
    child.add(0x1000, 0x1000, 0, "/b")
    assert [m.path for m in parent.mappings] == ["/a"]
    assert [m.path for m in child.mappings] == ["/b"]


def test_a_range_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="no mapping of 0 bytes"):
        AddressSpace(0).add(0x1000, 0, 0)
    with pytest.raises(ValueError, match="no mapping"):
        AddressSpace(0).add(2**64 - 1, 2, 0)


def test_a_process_that_is_gone() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    with pytest.raises((ProcessLookupError, FileNotFoundError)):
        AddressSpace.read(process.pid)


def test_maps_of_an_ended_address_space_are_not_read() -> None:
    space = AddressSpace.read(os.getpid())
    before = space.mappings
    space.ended_ns = time.time_ns()
    with pytest.raises(ProcessLookupError, match="ended"):
        space.refresh()
    assert space.mappings == before


def test_the_file_of_a_deleted_program_can_be_opened(calls: Path, tmp_path: Path, running: Running) -> None:
    program = Path(shutil.copy(calls, tmp_path / "gone"))
    pid, _ = running(program)
    program.unlink()
    program.write_bytes(b"another program")
    mapping = mapping_of(AddressSpace.read(pid), "gone")
    try:
        source = open_mapping(pid, mapping)
    except FileNotFoundError:  # refused, rather than the other program that has its name now
        pytest.skip("map_files needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE")
    assert source.read(0, 4) == b"\x7fELF"
    assert mapped_facts(pid, mapping) == source.stat()


def test_what_stat_says_of_each_of_our_files() -> None:
    of_files = [m for m in executable_mappings(os.getpid()) if m.has_file]
    assert of_files
    for mapping in of_files:
        assert mapped_facts(os.getpid(), mapping) == os.stat(map_file(os.getpid(), mapping))
        inside = Mapping(mapping.start + 1, mapping.end, 0, mapping.path, mapping.device, mapping.inode)
        assert mapped_facts(os.getpid(), inside).st_ino == mapping.inode


def test_a_file_that_has_taken_the_place_of_another_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "library.so"
    path.write_bytes(b"old")
    inode = os.stat(path).st_ino
    (tmp_path / "new").write_bytes(b"new")
    os.replace(tmp_path / "new", path)
    mapping = Mapping(0x1000, 0x2000, 0, str(path), os.stat(path).st_dev, inode)
    for look in (open_mapping, mapped_facts):
        with pytest.raises(FileNotFoundError, match="another file"):
            look(os.getpid(), mapping)


def test_without_map_files_a_program_is_found_by_path_if_it_is_the_same(calls: Path, running: Running) -> None:
    pid, _ = running(calls)
    mapping = mapping_of(AddressSpace.read(pid), "calls")
    shifted = Mapping(mapping.start + 4096, mapping.end + 4096, 0, mapping.path, mapping.device, mapping.inode)
    assert open_mapping(pid, shifted).stat().st_ino == mapping.inode


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "directory"])
def test_only_regular_files_are_opened(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "trap")
    status = os.stat(tmp_path / "trap")
    mapping = Mapping(0x1000, 0x2000, 0, str(tmp_path / "trap"), status.st_dev, status.st_ino)
    with pytest.raises(OSError, match="not a regular file"):
        open_mapping(os.getpid(), mapping)


def test_a_library_of_another_mount_namespace(calls: Path, tmp_path: Path, running: Running) -> None:
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("a mount namespace needs root and CAP_SYS_ADMIN")
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    script = f"mount -t tmpfs none {hidden} && cp {calls} {hidden}/inside && exec {hidden}/inside"
    pid, _ = running("unshare", "-m", "sh", "-c", script)
    mapping = mapping_of(AddressSpace.read(pid), "inside")
    assert not (hidden / "inside").exists()
    for found in (mapping, Mapping(mapping.start + 1, mapping.end, 0, mapping.path, mapping.device, mapping.inode)):
        source = open_mapping(pid, found)
        assert source.size == calls.stat().st_size
        assert mapped_facts(pid, found) == source.stat()


def test_executable_anonymous_memory_has_no_file() -> None:
    with mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_EXEC) as memory:
        space = AddressSpace.read(os.getpid())
        assert any(not m.has_file and m.end - m.start >= 4096 for m in space.mappings)
        assert len(memory) == 4096
