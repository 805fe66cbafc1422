"""Names of data: of locks in running programs, against what readelf says of their files, and of the kernel's."""

from __future__ import annotations

import ctypes
import gc
import lzma
import mmap
import os
import re
import shutil
import subprocess
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.symbolize import data_names
from aperture_tui.symbolize.address_space import REFRESH_S, Mapping
from aperture_tui.symbolize.data_names import LONGEST_S, MAX_PROCESSES, DataNames, WholeMaps
from aperture_tui.symbolize.elf import BytesSource, Elf
from aperture_tui.symbolize.images import ImageCache, read_objects
from aperture_tui.symbolize.kernel import KernelData

from .conftest import PROGRAMS, need, run

Start = Callable[..., tuple[int, dict[str, int]]]

TRUTH = {
    "data_lock": "data_lock",
    "bss_lock": "bss_lock",
    "global_lock": "global_lock",
    "table": "table+0x788",
    "table_end": "table+0xbff",
    "outer_object": "outer_object",
    "read_only": "read_only+0x8",
    "exported_lock": "exported_lock",
    "pool::hidden": "pool::hidden",
    "pool::shards": "pool::shards+0x2ffd8",
    "heap": "heap",
    "large": "anonymous",
    "stack": "stack",
    "thread": "anonymous",
    "shm": "shm /aperture-{pid}",
    "file": "file {file}",
    "private_file": "file {file}",
    "library_as_data": "file {library}",
    "anonymous_shared": "anonymous",
}


SHARED = DataNames()  # by the many examples of one test


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="session")
def library(built: Path) -> Path:
    """locks_library.cpp with symbols."""
    need("g++")
    out = built / "liblocks.so"
    run("g++", "-O1", "-shared", "-fPIC", "-Wl,--build-id", "-o", out, PROGRAMS / "locks_library.cpp")
    return out


@pytest.fixture(scope="session")
def locks(built: Path) -> Path:
    """locks.c with symbols, at an address that differs from run to run."""
    return program(built / "locks", "-pie", "-fPIE")


@pytest.fixture(scope="session")
def fixed(built: Path) -> Path:
    """locks.c with symbols, always at the same address."""
    return program(built / "locks_fixed", "-no-pie", "-fno-pie")


def program(out: Path, *flags: str) -> Path:
    need("gcc")
    run("gcc", "-O1", "-Wl,--build-id", *flags, "-o", out, PROGRAMS / "locks.c")
    return out


@pytest.fixture
def start(
    running: Callable[..., tuple[int, dict[str, int]]], library: Path, tmp_path: Path
) -> Iterator[Callable[..., tuple[int, dict[str, int]]]]:
    """Starts locks.c: gives its pid and the addresses. library: another than the usual one."""
    (tmp_path / "file").write_bytes(bytes(4096))
    shared = f"/aperture-{os.getpid()}"

    def begin(*command: str | Path, library: Path = library) -> tuple[int, dict[str, int]]:
        return running(*command, library, shared, tmp_path / "file", names=len(TRUTH))

    yield begin
    Path(f"/dev/shm{shared}").unlink(missing_ok=True)  # noqa: S108 where shm_open puts it


def objects(file: Path) -> list[tuple[int, int, str]]:
    """Address, size and name of every data object of a file, by readelf."""
    need("readelf")
    rows = (line.split() for line in run("readelf", "-sW", "-C", file).splitlines())
    return [
        (int(row[1], 16), int(row[2], 0), " ".join(row[7:]).partition("@")[0])
        for row in rows
        if len(row) >= 8 and row[3] == "OBJECT" and row[6] not in ("UND", "ABS") and row[2] != "0"
    ]


def expected(file: Path, address: int) -> set[str]:
    """What may be said of an address of a file, by readelf: the smallest object around it, under any of its names."""
    around = [(size, start, name) for start, size, name in objects(file) if start <= address < start + size]
    return {
        name + (f"+{address - start:#x}" if address > start else "")
        for size, start, name in around
        if size == min(around)[0]
    }


@pytest.mark.parametrize("randomized", [True, False], ids=["randomized", "bss and heap in one mapping"])
@pytest.mark.parametrize("which", ["locks", "fixed"])
def test_every_kind_of_memory(
    which: str, randomized: bool, start: Start, library: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    binary: Path = request.getfixturevalue(which)
    if not randomized:
        need("setarch")
    pid, at = start(*([] if randomized else ["setarch", "-R"]), binary)
    names = DataNames()
    words = {"pid": os.getpid(), "file": tmp_path / "file", "library": library}
    assert {what: names.name(pid, address) for what, address in at.items()} == {
        what: name.format(**words) for what, name in TRUTH.items()
    }
    assert names.error == ""
    assert names.counts.addresses == len(TRUTH)
    assert sum(names.counts.as_dict().values()) == len(TRUTH)


@pytest.mark.parametrize("which", ["locks", "fixed", "library"])
def test_first_and_last_byte_of_every_object_as_readelf_has_it(
    which: str, start: Start, locks: Path, fixed: Path, library: Path
) -> None:
    binary, running, known = {
        "locks": (locks, locks, "table"),
        "fixed": (fixed, fixed, "table"),
        "library": (library, locks, "exported_lock"),
    }[which]
    pid, at = start(running)
    table = objects(binary)
    link = next(address for address, _, name in table if name == known)
    bias = at[known] - link - (0x788 if known == "table" else 0)
    assert bias % mmap.PAGESIZE == 0
    names = DataNames()
    for address, size, _ in table:
        for byte in (address, address + size - 1, address + size // 2):
            assert names.name(pid, bias + byte) in expected(binary, byte)
    assert len(table) > 5


def test_an_object_inside_another_one(start: Start, locks: Path) -> None:
    pid, at = start(locks)
    found = [DataNames().name(pid, at["outer_object"] + offset) for offset in (8, 16, 24, 32, 63)]
    assert found == ["outer_object+0x8", "inner_object", "inner_object+0x8", "outer_object+0x20", "outer_object+0x3f"]


def test_the_libraries_of_this_process() -> None:
    libc = ctypes.CDLL(None)
    address = ctypes.addressof(ctypes.c_void_p.in_dll(libc, "environ"))
    assert DataNames().name(os.getpid(), address) in ("environ", "_environ", "__environ")


# -- where the symbols are


@pytest.fixture
def stripped(library: Path, tmp_path: Path) -> Path:
    """The library without the names of what it does not export."""
    need("strip", "objcopy")
    out = tmp_path / "libstripped.so"
    run("strip", "-o", out, library)
    return out


def test_a_stripped_library_names_what_it_exports_and_tells_where_the_rest_is(
    start: Start, locks: Path, library: Path, stripped: Path
) -> None:
    pid, at = start(locks, library=stripped)
    names = DataNames()
    assert names.name(pid, at["exported_lock"]) == "exported_lock"
    assert names.name(pid, at["pool::shards"]) == "pool::shards+0x2ffd8"
    hidden = next(address for address, _, name in objects(library) if name == "pool::hidden")
    assert names.name(pid, at["pool::hidden"]) == f"[libstripped.so+{hidden:#x}]"
    assert names.counts.unknown_symbol == 1


@pytest.mark.parametrize("place", ["debug link", "build-id", ".gnu_debugdata"])
def test_names_that_are_kept_elsewhere(
    place: str,
    start: Start,
    locks: Path,
    library: Path,
    stripped: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    debug = tmp_path / "liblocks.debug"
    run("objcopy", "--only-keep-debug", library, debug)
    if place == "debug link":
        run("objcopy", f"--add-gnu-debuglink={debug}", stripped)
    elif place == "build-id":
        build_id = Elf.read(BytesSource(stripped.read_bytes())).build_id.hex()
        root = tmp_path / "root"
        folder = root / "usr/lib/debug/.build-id" / build_id[:2]
        folder.mkdir(parents=True)
        debug.rename(folder / f"{build_id[2:]}.debug")
        monkeypatch.setattr(data_names, "roots_of", lambda _: [str(root)])
    else:
        (tmp_path / "mini.xz").write_bytes(lzma.compress(debug.read_bytes(), lzma.FORMAT_XZ))
        run("objcopy", "--add-section", f".gnu_debugdata={tmp_path / 'mini.xz'}", stripped)
    pid, at = start(locks, library=stripped)
    assert DataNames().name(pid, at["pool::hidden"]) == "pool::hidden"


def test_a_program_that_was_deleted_and_replaced(start: Start, locks: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(locks, tmp_path / "gone"))
    pid, at = start(copy)
    copy.unlink()
    copy.write_bytes(b"another program")
    names = DataNames()
    if not names.name(pid, at["bss_lock"]):  # refused, rather than named by the other program
        assert names.counts.files_unreadable == 1
        pytest.skip("map_files needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE")
    assert [names.name(pid, at[what]) for what in ("bss_lock", "table")] == ["bss_lock", "table+0x788"]


def test_a_program_of_another_mount_namespace(start: Start, locks: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("a mount namespace needs root and CAP_SYS_ADMIN")
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    script = f'mount -t tmpfs none {hidden} && cp {locks} {hidden}/inside && exec {hidden}/inside "$@"'
    pid, at = start("unshare", "-m", "sh", "-c", script, "sh")
    assert not (hidden / "inside").exists()
    names = DataNames()
    assert [names.name(pid, at[what]) for what in ("bss_lock", "table")] == ["bss_lock", "table+0x788"]


# -- what changes


@pytest.fixture
def talking(library: Path, tmp_path: Path) -> Iterator[Callable[[Path], tuple[subprocess.Popen[str], dict[str, int]]]]:
    """Starts locks.c and leaves its standard input to the test."""
    (tmp_path / "file").write_bytes(bytes(4096))
    shared = f"/aperture-talking-{os.getpid()}"
    started: list[subprocess.Popen[str]] = []

    def begin(binary: Path) -> tuple[subprocess.Popen[str], dict[str, int]]:
        command = [str(word) for word in (binary, library, shared, tmp_path / "file")]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1], said(started[-1])

    yield begin
    for process in started:
        process.kill()
        process.communicate()
    Path(f"/dev/shm{shared}").unlink(missing_ok=True)  # noqa: S108 where shm_open puts it


def said(process: subprocess.Popen[str]) -> dict[str, int]:
    assert process.stdout is not None
    lines = [process.stdout.readline().split() for _ in TRUTH]
    return {name: int(address, 16) for name, address in lines}


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def test_another_program_at_the_same_addresses_after_exec(
    fixed: Path, tmp_path: Path, talking: Callable[[Path], tuple[subprocess.Popen[str], dict[str, int]]]
) -> None:
    other = tmp_path / "other"
    other.write_bytes(fixed.read_bytes().replace(b"bss_lock\0", b"BSS_LOCK\0"))
    other.chmod(0o755)
    process, at = talking(fixed)
    clock = Clock()
    names = DataNames(clock=clock)
    assert names.name(process.pid, at["bss_lock"]) == "bss_lock"
    tell(process, str(other))
    assert said(process)["BSS_LOCK"] == at["bss_lock"]
    clock.now += REFRESH_S
    assert names.name(process.pid, at["bss_lock"]) == "BSS_LOCK"


def test_a_library_that_was_closed_is_forgotten(
    locks: Path, talking: Callable[[Path], tuple[subprocess.Popen[str], dict[str, int]]]
) -> None:
    process, at = talking(locks)
    clock = Clock()
    names = DataNames(clock=clock)
    assert names.name(process.pid, at["exported_lock"]) == "exported_lock"
    tell(process, "close")
    assert process.stdout is not None
    assert process.stdout.readline() == "closed 0\n"
    clock.now += LONGEST_S
    assert names.name(process.pid, at["exported_lock"]) == ""
    assert names.name(process.pid, at["bss_lock"]) == "bss_lock"


def test_a_process_that_has_ended_is_answered_for_out_of_what_was_known(
    locks: Path, talking: Callable[[Path], tuple[subprocess.Popen[str], dict[str, int]]]
) -> None:
    process, at = talking(locks)
    clock = Clock()
    names = DataNames(clock=clock)
    assert names.name(process.pid, at["bss_lock"]) == "bss_lock"
    process.kill()
    time.sleep(0.2)
    for _ in range(2):  # a zombie first, then nothing
        clock.now += LONGEST_S
        assert names.name(process.pid, at["bss_lock"]) == "bss_lock"
        assert names.name(process.pid, at["table"]) == "table+0x788"
        process.wait()


def test_a_process_that_never_was_is_unknown_and_asked_for_once_a_second() -> None:
    clock = Clock()
    names = DataNames(clock=clock)
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert {names.name(gone.pid, address) for address in range(0, 1 << 20, 4096)} == {""}
    assert names.counts.maps_unreadable == 1
    assert str(gone.pid) in names.error
    clock.now += REFRESH_S
    assert names.name(gone.pid, 0) == ""
    assert names.counts.maps_unreadable == 2


def test_memory_mapped_later_is_found_when_the_maps_may_be_read_again() -> None:
    clock = Clock()
    names = DataNames(clock=clock)
    assert names.name(os.getpid(), 0x10) == ""
    with mmap.mmap(-1, 64 << 20) as memory:
        buffer = ctypes.c_char.from_buffer(memory)
        address = ctypes.addressof(buffer)
        assert names.name(os.getpid(), address) == ""
        clock.now += REFRESH_S
        assert names.name(os.getpid(), address) == "anonymous"
        del buffer
        gc.collect()


# -- bounds, and what others make up


def test_processes_and_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    names = DataNames()
    for pid in range(1 << 22, (1 << 22) + 2 * MAX_PROCESSES):
        names.name(pid, 1)
    assert len(names._known) == MAX_PROCESSES
    monkeypatch.setattr(data_names, "_MAX_ANSWERS", 10_000)
    with mmap.mmap(-1, 1 << 20) as memory:
        buffer = ctypes.c_char.from_buffer(memory)
        start = ctypes.addressof(buffer)
        assert {names.name(os.getpid(), start + offset) for offset in range(2_000)} == {"anonymous"}
        assert names._held < 10_000 + 1_000
        del buffer
        gc.collect()
    assert names._held == sum(known.held for known in names._known.values())


def test_files_are_let_go_when_memory_is_short_and_read_again_when_needed(start: Start, locks: Path) -> None:
    pid, at = start(locks)
    names = DataNames()
    names._images = ImageCache(1, 1, read_objects)
    for offset in range(3):
        inside = f"+{offset:#x}" if offset else ""
        assert names.name(pid, at["bss_lock"] + offset) == f"bss_lock{inside}"
        assert names.name(pid, at["pool::hidden"] + offset) == f"pool::hidden{inside}"
        assert len(names._images) == 1


def test_a_path_with_control_characters_is_made_safe(tmp_path: Path) -> None:
    path = tmp_path / "evil\x1b[2J\n"
    path.write_bytes(bytes(4096))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        buffer = ctypes.c_char.from_buffer(memory)
        name = DataNames().name(os.getpid(), ctypes.addressof(buffer))
        del buffer
        gc.collect()
    assert name.startswith(f"file {tmp_path}/evil\\x1b")
    assert name.isprintable()


def test_many_mappings_are_read_fast() -> None:
    line = "%x-%x rw-p 00000000 00:00 0 \n"
    text = "".join(line % (a, a + 4096) for a in range(1 << 30, (1 << 30) + 8192 * 65_530, 8192)).encode()
    before = time.process_time()
    maps = WholeMaps.parse(text)
    assert maps.find((1 << 30) + 8192 * 65_000 + 17) == 65_000
    assert maps.file_before(65_000) == -1
    assert time.process_time() - before < 1
    assert maps.skipped == 0
    assert maps.nbytes < 2 * len(text)


@given(st.binary(max_size=300), st.integers(0, 2**64 - 1))
def test_any_bytes_give_maps_in_order(data: bytes, address: int) -> None:
    good = b"00400000-00401000 rw-p 00001000 fe:00 77     /opt/my app/a\\012b (deleted)\n"
    text = good + data + b"\n" + data.replace(b"\0", b"1000-2000 ") + b"\nfffffffff000-ffffffffffff rw-s 0 0:0 0"
    maps = WholeMaps.parse(text)
    assert maps.at(maps.find(0x400010)) == (Mapping(0x400000, 0x401000, 0x1000, "/opt/my app/a\nb", 0xFE00, 77), False)
    assert maps.find(0x401000) != 0
    assert all(int(a) < int(b) for a, b in zip(maps.last, maps.start[1:], strict=False))
    for row in range(len(maps.start)):
        maps.near(row)
        maps.file_before(row)
    assert -1 <= maps.find(address) < len(maps.start)


def test_fields_of_maps_with_a_dash_or_without_blanks() -> None:
    maps = WholeMaps.parse(b"10-20\n1000-2000 rw-p 0 0:0 5 /a-b c-d\n3000 4000\n1800-2800 rw-p 0 0:0 0\n5000-\n")
    assert (len(maps.start), maps.skipped) == (1, 4)
    assert maps.at(0) == (Mapping(0x1000, 0x2000, 0, "/a-b c-d", 0, 5), False)


@settings(max_examples=150, deadline=2_000)
@given(st.data())
def test_a_file_that_lies_gives_no_more_than_wrong_names(library: Path, data: st.DataObject) -> None:
    content = bytearray(library.read_bytes())
    header = Elf.read(BytesSource(bytes(content)))
    symbols = next(s for s in header.sections if s.name == b".symtab")
    regions = [(0, 64), (64, 64 + 56 * len(header.segments)), (symbols.offset, symbols.offset + symbols.size)]
    regions.append((len(content) - 64 * len(header.sections), len(content)))
    for low, high in data.draw(st.lists(st.sampled_from(regions), min_size=1, max_size=8)):
        content[data.draw(st.integers(low, high - 1))] = data.draw(st.integers(0, 255))
    image, _ = read_objects(BytesSource(bytes(content)))
    near = [Mapping(0x7F0000000000 + i * 4096, 0x7F0000001000 + i * 4096, i * 4096, "/lib.so", 1, 2) for i in range(8)]
    bias = image.load_bias(near[3], near)
    assert bias is None or 0 <= bias < 2**64
    for address in (0, 0x4040, 2**63, 2**64 - 1):
        image.segment_of(address)
    assert len(image.index.skipped) == len(image.index)
    assert all(image.index.start[1:] > image.index.start[:-1])


def test_a_file_with_very_many_segments_is_refused(library: Path) -> None:
    content = bytearray(library.read_bytes())
    count = 60_000
    segments = (b"\1\0\0\0\6\0\0\0" + bytes(8) + b"\0\1" + bytes(6) + bytes(8) + b"\xff\xff" + bytes(22)) * count
    at = len(content)
    content[32:40], content[56:58] = at.to_bytes(8, "little"), count.to_bytes(2, "little")
    image, _ = read_objects(BytesSource(bytes(content) + segments))
    assert "segments" in image.problems[0]
    assert len(image.segments) == 0


def test_a_broken_library_is_counted_and_no_name_is_made_up(tmp_path: Path) -> None:
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\x3e\x00" + b"\xff" * 4096)
    with broken.open("r+b") as file, mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE) as memory:
        names = DataNames()
        buffer = ctypes.c_char.from_buffer(memory)
        assert names.name(os.getpid(), ctypes.addressof(buffer)) == f"file {broken}"
        del buffer
        gc.collect()
    assert names.counts.elf_errors == 1
    assert "broken.so" in names.error


@settings(max_examples=200)
@given(st.integers(-(2**65), 2**65))
def test_any_address_has_an_answer(address: int) -> None:
    assert isinstance(SHARED.name(os.getpid(), address), str)
    assert SHARED.kernel_data_name(address & 0xFFFF) == ""


# -- the kernel

KALLSYMS = b"""\
0000000000000000 A fixed_percpu_data
0000000000021000 d runqueues_template
ffffffff81000000 T _stext
ffffffff82000000 D init_task
ffffffff82001000 D tasklist_lock
ffffffff82001000 D __tasklist_alias
ffffffff82001040 d lock_table
ffffffff82001800 t code_between
ffffffff82002000 b hash_locks
ffffffff82400000 R read_only_ops
ffffffffc0001000 d module_lock\t[nf_tables]
ffffffffc0001010 b last_of_module\t[nf_tables]
"""


@pytest.fixture
def kallsyms(tmp_path: Path) -> Path:
    path = tmp_path / "kallsyms"
    path.write_bytes(KALLSYMS)
    return path


def test_static_objects_of_the_kernel(kallsyms: Path) -> None:
    names = DataNames(kernel=KernelData(str(kallsyms)))
    found = {
        0xFFFFFFFF82001000: "tasklist_lock",
        0xFFFFFFFF82001004: "tasklist_lock+0x4",
        0xFFFFFFFF82001040: "lock_table",
        0xFFFFFFFF82001FFF: "lock_table+0xfbf",
        0xFFFFFFFF82002000: "hash_locks",
        0xFFFFFFFF82011FFF: "hash_locks+0xffff",
        0xFFFFFFFF82012000: "",  # more than 64 KB behind the last symbol
        0xFFFFFFFF82400008: "read_only_ops+0x8",
        0xFFFFFFFFC0001010: "last_of_module",
        0xFFFFFFFFC0001FFF: "last_of_module+0xfef",
        0xFFFFFFFFC0002000: "",
        0xFFFF888004321000: "",  # slab memory
        0x21010: "",  # a variable of each CPU
        0xFFFFFFFF81000010: "",  # code
    }
    assert {address: names.kernel_data_name(address) for address in found} == found
    assert names.counts.kernel_unreadable == 0
    assert names.error == ""


def test_kernel_symbols_are_read_once_and_only_when_asked_for(kallsyms: Path) -> None:
    names = DataNames(kernel=KernelData(str(kallsyms)))
    kallsyms.write_bytes(KALLSYMS.replace(b"tasklist_lock", b"later_lock"))
    assert names.kernel_data_name(0xFFFFFFFF82001000) == "later_lock"
    kallsyms.unlink()
    assert names.kernel_data_name(0xFFFFFFFF82002000) == "hash_locks"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (re.sub(rb"(?m)^[0-9a-f]{16}", b"0" * 16, KALLSYMS), "kptr_restrict"),
        (b"ffffffff81000000 T _stext\nffffffff82400000 D __start_rodata\n", "CONFIG_KALLSYMS_ALL"),
        (b"ffffffff81000000 T _stext\n", "CONFIG_KALLSYMS_ALL"),
        (None, "cannot be read"),
    ],
    ids=["hidden", "only section labels", "only code", "no file"],
)
def test_a_kernel_that_does_not_tell_is_said_to_and_no_name_is_made_up(
    text: bytes | None, reason: str, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "kallsyms").write_bytes(text)
    names = DataNames(kernel=KernelData(str(tmp_path / "kallsyms")))
    assert [names.kernel_data_name(a) for a in (0xFFFFFFFF82001004, 0xFFFFFFFF82400004, 0)] == ["", "", ""]
    assert reason in names.error
    assert names.counts.kernel_unreadable == 3


def test_this_kernel() -> None:
    names = DataNames()
    names.kernel_data_name(0)
    wanted = {}
    for line in Path("/proc/kallsyms").read_text().splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in "dDbB" and words[2] in ("tasklist_lock", "init_task", "cgroup_mutex"):
            wanted[int(words[0], 16)] = words[2]
    if not wanted:
        assert names.error
    else:
        assert {a: names.kernel_data_name(a) for a in wanted} == wanted


def test_the_kernel_table_is_small(kallsyms: Path) -> None:
    rows = 100_000
    lines = (b"%016x d some_kernel_symbol_%d\n" % (0xFFFFFFFF82500000 + 64 * i, i) for i in range(rows))
    kallsyms.write_bytes(KALLSYMS + b"".join(lines))
    data = KernelData(str(kallsyms))
    tracemalloc.start()
    assert data.find(0xFFFFFFFF82500000 + 64 * 77_777 + 8) == (b"some_kernel_symbol_77777", 8)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 60 * rows
    assert peak < 60 << 20
