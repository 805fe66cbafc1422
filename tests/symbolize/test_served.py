"""Files of a file system that can be told not to answer."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aperture_tui.profile.symbols import Symbols
from aperture_tui.symbolize import copying_child, served, symbol_index
from aperture_tui.symbolize.address_space import AddressSpace, Mapping, mapped_facts, open_mapping
from aperture_tui.symbolize.debug_files import debug_info
from aperture_tui.symbolize.elf import Elf, FileSource
from aperture_tui.symbolize.images import read_image
from aperture_tui.symbolize.mounts import MOUNTS, Mount
from aperture_tui.symbolize.opening import open_regular
from aperture_tui.symbolize.resolver import Resolver
from aperture_tui.symbolize.served import SERVED, NotAnsweringError, open_below
from tests.programs import build
from tests.served import Served
from tests.served import served as serving
from tests.symbolize import go_sections

_ENDS_S = 60
"""What waits for a file system that does not answer has hung after this time."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(MOUNTS, "_served", {})  # numbers of devices and namespaces come again in the next test
    monkeypatch.setattr(MOUNTS, "_others", {})
    with serving(tmp_path / "far", build("burn", "-O0")) as made:
        yield made
        SERVED.close()


@pytest.fixture
def mapped(server: Served) -> Iterator[tuple[int, Mapping]]:
    """A program that lies there: its pid and its code."""
    program = server.folder / build("burn", "-O0").name
    child = subprocess.Popen(server.inside(program, "120", "1", "5"), stdout=subprocess.DEVNULL)
    _await(lambda: Path(f"/proc/{child.pid}/comm").read_text().startswith("burn"))
    _await(lambda: any(m.path == str(program) for m in AddressSpace.read(child.pid).mappings))
    yield child.pid, next(m for m in AddressSpace.read(child.pid).mappings if m.path == str(program))
    server.end()  # or it could not be ended
    child.kill()
    child.wait()


def _await(what: object) -> None:
    until = time.monotonic() + _ENDS_S
    while not what():  # type: ignore[operator]  # a function
        assert time.monotonic() < until
        time.sleep(0.01)


def _opened(pid: int, mapping: Mapping) -> FileSource | None:
    try:
        return open_mapping(pid, mapping)
    except NotAnsweringError:
        return None


def _facts(pid: int, mapping: Mapping) -> os.stat_result | None:
    try:
        return mapped_facts(pid, mapping)
    except NotAnsweringError:
        return None


def test_a_file_that_is_served_is_copied_and_is_the_file(server: Served, mapped: tuple[int, Mapping]) -> None:
    _await(lambda: _opened(*mapped) is not None)
    source = open_mapping(*mapped)
    original = build("burn", "-O0").read_bytes()
    assert source.is_copy
    assert source.read(0, source.size) == original
    facts = mapped_facts(*mapped)
    assert (facts.st_dev, facts.st_ino, facts.st_size) == (mapped[1].device, mapped[1].inode, len(original))
    assert facts.st_mtime_ns == facts.st_ctime_ns == 1_700_000_000_000_000_000
    assert source.stat() == facts


def test_what_was_copied_is_there_when_nothing_answers(server: Served, mapped: tuple[int, Mapping]) -> None:
    _await(lambda: _opened(*mapped) is not None)
    server.hold()
    assert mapped_facts(*mapped).st_ino == mapped[1].inode
    assert open_mapping(*mapped).read(0, 4) == b"\x7fELF"
    for copy in SERVED._copies.values():
        copy.at = 0.0  # as if that had been long ago
    assert mapped_facts(*mapped).st_ino == mapped[1].inode
    _await(lambda: SERVED.tend() or SERVED.words())
    assert SERVED.words() == f"files of {server.folder} do not answer"


def test_what_does_not_answer_is_said_and_has_its_names_when_it_does(
    server: Served, mapped: tuple[int, Mapping]
) -> None:
    server.hold()
    for look in (mapped_facts, open_mapping):
        with pytest.raises(NotAnsweringError):
            look(*mapped)
    _await(lambda: SERVED.tend() or SERVED.words())
    assert SERVED.words() == f"files of {server.folder} do not answer: names of 1 file unknown"
    server.go()
    _await(lambda: _opened(*mapped) is not None)
    assert SERVED.words() == ""


def test_what_had_no_names_is_said_to_be_known_better_when_the_files_answer(
    server: Served, mapped: tuple[int, Mapping]
) -> None:
    pid, mapping = mapped
    symbols = Symbols()
    resolver, space = Resolver(symbols), AddressSpace.read(pid)
    image = read_image(FileSource(open_regular(str(build("burn", "-O0")))))
    row = next(row for row in range(len(image.index.start)) if image.index.name_at(row) == b"leaf")
    segment = next(
        s for s in Elf.read(FileSource(open_regular(str(build("burn", "-O0"))))).load_segments if s["flags"] & 1
    )
    offset = int(image.index.start[row]) - int(segment["address"]) + int(segment["offset"])
    address = np.array([mapping.start + offset - mapping.offset], np.uint64)

    def name() -> str:
        return symbols.frame_at(int(resolver.user_frames(space, address, np.zeros(1, bool))[0])).function

    server.hold()
    before = resolver.tend()
    assert name() == f"[{mapping.module}+{offset:#x}]"
    server.go()
    _await(lambda: resolver.tend() != before)
    assert resolver.changed == {mapping.module}
    assert name() == "leaf"
    resolver.close()


def test_what_failed_through_one_process_is_not_believed_of_another(
    server: Served, mapped: tuple[int, Mapping]
) -> None:
    pid, mapping = mapped
    mount = MOUNTS.served(pid, mapping.device)
    assert mount is not None
    with subprocess.Popen(["true"]) as ended:
        pass
    failed = []
    while not failed:
        try:
            SERVED.facts(mount, ended.pid, mapping)
        except NotAnsweringError:
            continue
        except FileNotFoundError as error:
            failed.append(error)
    _await(lambda: _facts(pid, mapping) is not None)


def test_a_child_that_cannot_be_killed_keeps_nobody(server: Served, mapped: tuple[int, Mapping]) -> None:
    server.hold()
    with pytest.raises(NotAnsweringError):
        mapped_facts(*mapped)
    _await(lambda: SERVED.tend() or SERVED.words())
    SERVED.close()
    assert SERVED._leaving
    assert not any(copier.is_gone for copier in SERVED._leaving)
    server.go()
    _await(lambda: all(copier.is_gone for copier in SERVED._leaving))


def test_a_child_that_was_killed_is_followed_by_another(server: Served, mapped: tuple[int, Mapping]) -> None:
    server.hold()
    with pytest.raises(NotAnsweringError):
        mapped_facts(*mapped)
    _await(lambda: SERVED.tend() or SERVED.words())
    (one,) = SERVED._servers.values()
    first = one.copier
    one.retry_at = 0.0
    _await(lambda: SERVED.tend() or (first is not None and first.is_killed))
    assert one.copier is first  # it is waited for: its file system has what it asked
    server.go()
    _await(lambda: _facts(*mapped) is not None)
    assert one.copier is not first
    assert not one.silent


def test_however_many_do_not_answer_the_wait_is_one(server: Served, mapped: tuple[int, Mapping]) -> None:
    server.hold()
    pid, mapping = mapped
    waited = 0.0
    for number in range(40):
        began = time.monotonic()
        with pytest.raises(NotAnsweringError):
            SERVED.facts(Mount(number, f"/mnt/{number}", "nfs", served=True), pid, mapping)
        waited += time.monotonic() - began
    running = [one for one in SERVED._servers.values() if one.copier is not None]
    assert len(running) == served._MAX_CHILDREN
    assert waited < 40 * served.ANSWER_S / 2  # it would be 40 * ANSWER_S, had each its own patience
    assert SERVED._patience_s < served.PATIENCE_S / 2


def test_paths_that_lead_there_are_not_followed_by_us(
    server: Served, mapped: tuple[int, Mapping], tmp_path: Path
) -> None:
    pid, mapping = mapped
    root = f"/proc/{pid}/root"
    (tmp_path / "here").write_bytes(b"here")
    (tmp_path / "link").symlink_to(mapping.path)
    assert not open_below(root, str(tmp_path / "here")).is_copy
    server.hold()
    for path in (mapping.path, str(tmp_path / "link"), str(server.folder / "nothing")):
        with pytest.raises(NotAnsweringError):
            open_below(root, path)
    assert open_below(root, str(tmp_path / "here")).read(0, 4) == b"here"


def test_of_other_local_mounts_files_are_opened_as_ever(
    server: Served, mapped: tuple[int, Mapping], tmp_path: Path
) -> None:
    root, near = f"/proc/{mapped[0]}/root", tmp_path / "near"
    near.mkdir()
    making = f"mount -t tmpfs none {near} && mkdir {near}/d && echo near >{near}/d/file && ln -s d/file {near}/link"
    subprocess.run(server.inside("sh", "-c", making), check=True)
    server.hold()
    for name in ("d/file", "link"):
        source = open_below(root, str(near / name))
        assert not source.is_copy
        assert source.read(0, 4) == b"near"


def test_names_that_stay_in_their_file_are_all_that_is_kept_of_a_copy(
    server: Served, mapped: tuple[int, Mapping], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(symbol_index, "RESIDENT_STRINGS", 0)
    _await(lambda: _opened(*mapped) is not None)
    source = open_mapping(*mapped)
    image = read_image(source)
    names = {image.index.name_at(row) for row in range(len(image.index.start))}
    assert {b"leaf", b"descend", b"run", b"main"} <= names
    kept = {id(table.source): table.source for table in image.index.tables if table.source is not None}
    assert kept
    strings = sum(table.size for table in image.index.tables)
    for part in kept.values():
        assert part is not source
        assert os.fstat(part.fileno()).st_blocks < os.fstat(source.fileno()).st_blocks
    assert image.nbytes >= strings


def test_what_was_unmounted_by_force_is_not_waited_for(server: Served, mapped: tuple[int, Mapping]) -> None:
    pid, mapping = mapped
    subprocess.run(server.inside("umount", "-l", server.folder), check=True)
    server.hold()
    with pytest.raises(NotAnsweringError):
        mapped_facts(pid, mapping)
    _await(lambda: SERVED.tend() or SERVED.words())
    number = f"{os.major(mapping.device)}:{os.minor(mapping.device)}"
    assert f"files of device {number} (mounted nowhere) do not answer" in SERVED.words()


def test_of_large_files_a_part_is_copied_that_has_the_names(monkeypatch: pytest.MonkeyPatch) -> None:
    source = FileSource(open_regular(str(build("burn", "-g"))))
    parts, whole = copying_child._parts(source)
    assert (parts, whole) == ([(0, source.size)], True)
    monkeypatch.setattr(copying_child, "_LARGE_BYTES", 500)
    parts, whole = copying_child._parts(source)
    assert not whole
    fd = os.memfd_create("copy")
    os.ftruncate(fd, source.size)
    for start, end in parts:
        os.pwrite(fd, source.read(start, end - start), start)
    copy = FileSource(fd, source.stat(), whole=whole)
    elf, image = Elf.read(copy), read_image(copy)
    assert debug_info(elf) is None
    assert debug_info(Elf.read(source)) is not None
    names = {image.index.name_at(row) for row in range(len(image.index.start))}
    assert {b"leaf", b"descend", b"run", b"main"} <= names
    text = next(section for section in elf.sections if section.name == b".text")
    assert not any(elf.source.read(text.offset, text.size))


def test_of_large_programs_of_go_all_is_copied_that_has_the_names(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = go_sections.Function(0, 64, b"main.plain", ((64, 0),))
    parts = [(b".gopclntab", 1, 2, go_sections.section([plain], text=0)), (b".data", 1, 3, b"data" * 200)]
    parts.append((b".rela.dyn", 4, 2, bytes(48)))
    where = go_sections.address_of(b"", b".gopclntab", parts) + 24
    parts[2] = (b".rela.dyn", 4, 2, bytes(24) + go_sections.relocation(where, go_sections.TEXT))
    data = go_sections.file(parts)
    fd, target = os.memfd_create("program"), os.memfd_create("copy")
    os.write(fd, data)
    source = FileSource(fd)
    monkeypatch.setattr(copying_child, "_LARGE_BYTES", 20)
    kept, whole = copying_child._parts(source)
    assert sum(end - start for start, end in kept) < len(data) - 800
    os.ftruncate(target, source.size)
    for start, end in kept:
        os.pwrite(target, source.read(start, end - start), start)
    image = read_image(FileSource(target, source.stat(), whole=whole))
    assert [image.index.name_at(row) for row in range(len(image.index.start))] == [b"main.plain"]
