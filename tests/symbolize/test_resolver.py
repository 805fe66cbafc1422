"""Addresses of real processes to frames."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.symbolize.address_space import AddressSpace, Mapping
from aperture_tui.symbolize.elf import FileSource
from aperture_tui.symbolize.images import ImageCache
from aperture_tui.symbolize.inlines import Inlines
from aperture_tui.symbolize.kernel import KernelSymbols
from aperture_tui.symbolize.resolver import REFRESH_S, Resolver
from aperture_tui.symbolize.vdso import vdso_image

from .conftest import PROGRAMS, need, run

Running = Callable[..., tuple[int, dict[str, int]]]

MAP_32BIT = 0x40  # mmap.MAP_32BIT of Python 3.13
IMAGES, KERNEL = ImageCache(), KernelSymbols()  # shared by the many examples of one test


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Asking:
    """A resolver with a symbols of its own, asked for one process."""

    def __init__(
        self,
        pid: int,
        images: ImageCache | None = None,
        kernel: KernelSymbols | None = None,
        inlines: Inlines | None = None,
    ) -> None:
        self.clock = Clock()
        self.symbols = Symbols()
        self.resolver = Resolver(self.symbols, images=images, kernel=kernel, inlines=inlines, clock=self.clock)
        self.pid, self.space = pid, AddressSpace.read(pid)

    def frames(self, *addresses: int, called: bool = False) -> list[Frame]:
        ids = self.resolver.user_frames(self.space, np.array(addresses, np.uint64), np.full(len(addresses), called))
        return [self.symbols.frame_at(i) for i in ids.tolist()]

    def names(self, *addresses: int, called: bool = False) -> list[str]:
        return [frame.function for frame in self.frames(*addresses, called=called)]


@pytest.fixture
def executable_page() -> Iterator[int]:
    """The address of an anonymous executable page of ours."""
    before = {m.start for m in AddressSpace.read(os.getpid()).mappings}
    with mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_EXEC):
        new = [m for m in AddressSpace.read(os.getpid()).mappings if m.start not in before and not m.has_file]
        yield new[0].end - 4096


def test_functions_of_a_running_program(calls: Path, running: Running) -> None:
    pid, at = running(calls)
    asking = Asking(pid)
    frames = asking.frames(*(address + 1 for address in at.values()))
    assert frames == [Frame(name, "calls") for name in at]
    assert asking.resolver.counts.addresses == 5
    assert asking.resolver.counts.unknown_symbol == 0


def test_a_return_address_behind_the_last_instruction_belongs_to_the_caller(calls: Path, running: Running) -> None:
    need("nm")
    pid, at = running(calls)
    size = next(
        int(line.split()[1], 16) for line in run("nm", "-S", calls).splitlines() if line.endswith(" ends_in_a_call")
    )
    end = at["ends_in_a_call"] + size
    asking = Asking(pid)
    assert asking.names(end, called=True) == ["ends_in_a_call"]
    assert asking.names(end, called=False) != ["ends_in_a_call"]


def test_a_stripped_program_gives_its_name_and_an_address_that_addr2line_takes(
    calls: Path, tmp_path: Path, running: Running
) -> None:
    need("strip", "addr2line")
    stripped = tmp_path / "stripped program"
    run("strip", "-o", stripped, calls)
    pid, at = running(stripped)
    frame = Asking(pid).frames(at["private_work"] + 1, called=True)[0]
    found = re.fullmatch(r"\[stripped program\+(0x[0-9a-f]+)\]", frame.function)
    assert found
    assert frame.module == "stripped program"
    assert run("addr2line", "-f", "-e", calls, found[1]).startswith("private_work\n")


def test_a_function_of_a_stripped_program_is_one_frame(calls: Path, tmp_path: Path, running: Running) -> None:
    need("strip", "nm")
    stripped = tmp_path / "stripped"
    run("strip", "-o", stripped, calls)
    pid, at = running(stripped)
    sizes = {
        line.split()[-1]: int(line.split()[1], 16)
        for line in run("nm", "-S", calls).splitlines()
        if line.count(" ") == 3
    }
    begin, size = at["private_work"], sizes["private_work"]
    asking = Asking(pid)
    inside = asking.frames(*range(begin, begin + size)) + asking.frames(
        *range(begin + 1, begin + size + 1), called=True
    )
    (frame,) = set(inside)
    assert run("addr2line", "-f", "-e", calls, frame.function.split("+")[1][:-1]).startswith("private_work\n")
    assert asking.frames(begin - 1) != [frame]
    assert asking.frames(begin + size + 15) != [frame], "the next function, or what pads it"


def test_a_program_that_was_deleted_and_replaced(calls: Path, shapes: Path, tmp_path: Path, running: Running) -> None:
    program = Path(shutil.copy(calls, tmp_path / "gone"))
    pid, at = running(program)
    program.unlink()
    shutil.copy(shapes, program)
    asking = Asking(pid)
    name = asking.names(at["private_work"])[0]
    if asking.resolver.counts.files_unreadable:
        assert re.fullmatch(r"\[gone\+0x[0-9a-f]+\]", name)
        pytest.skip("map_files needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE; the wrong file was not believed")
    assert name == "private_work"


def test_a_process_that_is_gone_keeps_its_modules(calls: Path, tmp_path: Path, running: Running) -> None:
    program = Path(shutil.copy(calls, tmp_path / "short"))
    process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    address = int(process.stdout.readline().split()[1], 16)
    asking = Asking(process.pid)
    process.communicate(b"\n")
    assert asking.names(address) == ["exported_work"]  # the file is still there, with the inode that was mapped
    other = Asking(os.getpid())
    other.pid, other.space = process.pid, asking.space
    program.unlink()
    assert re.fullmatch(r"\[short\+0x[0-9a-f]+\]", other.names(address)[0])
    assert other.resolver.counts.files_unreadable == 1
    assert "short" in other.resolver.error
    assert other.frames(0x10)[0] == Frame("[unknown]", kind=FrameKind.UNKNOWN)


def test_a_library_loaded_later_is_found_when_the_maps_may_be_read_again(built: Path) -> None:
    need("gcc")
    library = built / "late.so"
    run("gcc", "-shared", "-fPIC", "-o", library, PROGRAMS / "late.c")
    asking = Asking(os.getpid())
    asking.clock.now = 100.0
    assert asking.names(0x10) == ["[unknown]"]
    address = ctypes.cast(ctypes.CDLL(str(library)).late_function, ctypes.c_void_p).value or 0
    assert asking.names(address) == ["[unknown]"]
    asking.clock.now += REFRESH_S
    assert asking.frames(address) == [Frame("late_function", "late.so")]
    assert asking.resolver.counts.unknown_module == 2


def test_maps_that_hold_nothing_new_are_read_less_and_less_often() -> None:
    asking = Asking(os.getpid())
    reads = []
    for second in range(200):
        asking.clock.now = 100.0 + second
        asking.names(0x10 + second)  # a walk by frame pointers meets such addresses all the time
        if asking.space.read_at == asking.clock.now:
            reads.append(second)
    assert reads[:4] == [0, 1, 3, 7]
    assert len(reads) < 10


def test_mappings_told_by_the_kernel_are_used_at_once(calls: Path, running: Running) -> None:
    pid, at = running(calls)
    asking = Asking(pid)
    mapping = asking.space.mappings[0]
    asking.space = AddressSpace(pid)
    asking.space.read_at = asking.clock.now
    assert asking.names(at["main"]) == ["[unknown]"]
    asking.space.add(
        mapping.start, mapping.end - mapping.start, mapping.offset, mapping.path, mapping.device, mapping.inode
    )
    assert asking.names(at["main"]) == ["main"]
    asking.space.add(mapping.start, mapping.end - mapping.start, 0, "//anon")
    assert asking.frames(at["main"])[0].kind == FrameKind.JIT


def test_the_vdso_and_libc() -> None:
    asking = Asking(os.getpid())
    libc = ctypes.CDLL(None)
    addresses = [ctypes.cast(libc[name], ctypes.c_void_p).value or 0 for name in ("malloc", "read")]
    frames = asking.frames(*addresses)
    assert [frame.function for frame in frames] == ["malloc", "read"]
    assert all("/" not in frame.module and frame.module for frame in frames)
    vdso = next((m for m in asking.space.mappings if m.path == "[vdso]"), None)
    if vdso is not None:
        modules = {f.module for f in asking.frames(*range(vdso.start, vdso.end, 64))}
        names = asking.names(*range(vdso.start, vdso.end, 16))
        assert modules == {"vdso"}
        assert any("clock_gettime" in name for name in names)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="MAP_32BIT is of x86-64")
def test_the_vdso_of_a_32_bit_process_has_names_of_its_own_though_it_is_as_large() -> None:
    space = AddressSpace.read(os.getpid())
    vdso = next((m for m in space.mappings if m.path == "[vdso]"), None)
    if vdso is None:
        pytest.skip("this kernel maps no vdso")
    image = vdso_image(os.getpid(), vdso)
    assert image is not None
    row = next(row for row in range(len(image.index)) if b"time" in image.index.name_at(row))
    start, size = int(image.index.start[row]), vdso.end - vdso.start
    with mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_32BIT) as low:
        low[:] = ctypes.string_at(vdso.start, size).replace(b"time", b"TIME")
        at = ctypes.addressof(ctypes.c_char.from_buffer(low))
        asking = Asking(os.getpid())
        (ours,) = asking.names(vdso.start + start)
        asking.space = AddressSpace(os.getpid(), [Mapping(at, at + size, 0, "[vdso]")])
        assert asking.names(at + start) == [ours.replace("time", "TIME")]


def test_a_file_that_was_written_anew_is_read_again_though_its_time_and_size_are_the_same(
    calls: Path, tmp_path: Path
) -> None:
    program = Path(shutil.copy(calls, tmp_path / "program"))
    images, before = ImageCache(), program.stat()
    first = images.read(FileSource(os.open(program, os.O_RDONLY)), str(program), [])
    program.write_bytes(calls.read_bytes().replace(b"private_work", b"PRIVATE_WORK"))
    os.utime(program, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = images.read(FileSource(os.open(program, os.O_RDONLY)), str(program), [])
    assert (first.fresh, second.fresh) == (True, True)
    assert first.key != second.key


def test_code_of_a_runtime_with_and_without_a_perf_map(executable_page: int) -> None:
    path = Path(f"/tmp/perf-{os.getpid()}.map")  # noqa: S108 the place that the format names
    try:
        asking = Asking(os.getpid())
        frame = asking.frames(executable_page + 0x10)[0]
        assert re.fullmatch(r"\[jit\+0x[0-9a-f]+\]", frame.function)
        assert (frame.module, frame.kind) == ("[jit]", FrameKind.JIT)
        path.write_text(f"{executable_page:x} 40 LazyCompile:~add script.js:1\n")
        asking.clock.now += 10
        frame = asking.frames(executable_page + 0x20, called=True)[0]
        assert frame == Frame("LazyCompile:~add script.js:1", "[jit]", kind=FrameKind.JIT)
        with path.open("a") as file:
            file.write(f"{executable_page:x} 40 compiled anew\n{executable_page + 0x100:x} 10 more\n")
        asking.clock.now += 10
        assert asking.names(executable_page + 0x100, executable_page + 0x20) == ["more", "compiled anew"]
    finally:
        path.unlink(missing_ok=True)


def test_names_from_outside_are_made_safe(executable_page: int) -> None:
    path = Path(f"/tmp/perf-{os.getpid()}.map")  # noqa: S108 the place that the format names
    try:
        path.write_bytes(b"%x 40 evil\x1b]0;title\x07\xff\n" % executable_page)
        name = Asking(os.getpid()).names(executable_page)[0]
        assert name.startswith("evil\\x1b]0;title")
        assert name.isprintable()
    finally:
        path.unlink(missing_ok=True)


def test_kernel_frames() -> None:
    kernel = KernelSymbols()
    if kernel.reason:
        pytest.skip(kernel.reason)
    address = next(
        int(line.split()[0], 16)
        for line in Path("/proc/kallsyms").read_text().splitlines()
        if line.split()[1:] in (["T", "schedule"], ["t", "schedule"])
    )
    symbols = Symbols()
    resolver = Resolver(symbols, kernel=kernel)
    ids = resolver.kernel_frames(
        np.array([address, address + 5, address, 0xFFFF800000000000], np.uint64), np.array([False, True, False, False])
    )
    assert ids[0] == ids[1] == ids[2]
    assert symbols.frame_at(int(ids[0])) == Frame("schedule", "kernel", kind=FrameKind.KERNEL)
    assert symbols.frame_at(int(ids[3])).function == "[kernel+0xffff800000000000]"


def test_hidden_kernel_addresses_are_shown_as_addresses(tmp_path: Path) -> None:
    (tmp_path / "kallsyms").write_text("0000000000000000 T schedule\n")
    symbols = Symbols()
    resolver = Resolver(symbols, kernel=KernelSymbols(str(tmp_path / "kallsyms")))
    ids = resolver.kernel_frames(np.array([0xFFFFFFFF81000000], np.uint64), np.array([True]))
    assert symbols.frame_at(int(ids[0])) == Frame("[kernel+0xffffffff81000000]", "kernel", kind=FrameKind.KERNEL)
    assert resolver.counts.kernel_unreadable == 1
    assert "kptr_restrict" in resolver.error


def test_a_new_generation_of_symbols_is_filled_from_what_is_known_of_files(calls: Path, running: Running) -> None:
    pid, at = running(calls)
    images = ImageCache()
    asking = Asking(pid, images)
    asking.names(at["main"])
    held = len(images)
    asking.symbols = Symbols()
    asking.resolver.rebind(asking.symbols)
    assert asking.frames(at["main"]) == [Frame("main", "calls")]
    assert len(images) == held


def test_a_known_address_does_not_reach_the_file_again(calls: Path, tmp_path: Path, running: Running) -> None:
    program = Path(shutil.copy(calls, tmp_path / "once"))
    pid, at = running(program)
    asking = Asking(pid)
    before = asking.names(*at.values())
    counts = asking.resolver.counts.as_dict()
    assert asking.names(*at.values()) == before
    assert asking.resolver.counts.as_dict() == counts


def test_files_are_let_go_when_memory_is_short_and_read_again_when_needed(calls: Path, running: Running) -> None:
    pid, at = running(calls)
    images = ImageCache(max_bytes=1)
    asking = Asking(pid, images)
    libc = next(m for m in asking.space.mappings if "libc" in m.module)
    for offset in range(0, 0x5000, 0x1000):
        assert asking.names(at["main"] + offset // 0x1000) == ["main"]
        asking.names(libc.start + offset)
        assert len(images) == 1


def test_an_address_space_that_is_gone_is_forgotten() -> None:
    asking = Asking(os.getpid())
    asking.names(0x10)
    assert len(asking.resolver._spaces) == 1
    asking.space = AddressSpace(0)
    gc.collect()
    assert len(asking.resolver._spaces) == 0


def test_no_addresses_give_no_frames() -> None:
    asking = Asking(os.getpid())
    assert asking.frames() == []
    assert asking.resolver.kernel_frames(np.zeros(0, np.uint64), np.zeros(0, bool)).dtype == np.uint32


def test_a_file_that_lies_about_itself_is_counted_and_still_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\x3e\x00" + b"\xff" * 4096)
    with broken.open("rb") as file, mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC):
        asking = Asking(os.getpid())
        mapping = next(m for m in asking.space.mappings if m.module == "broken.so")
        frame = asking.frames(mapping.start + 0x123)[0]
    assert (frame.function, frame.module) == ("[broken.so+0x123]", "broken.so")
    assert asking.resolver.counts.elf_errors == 1
    assert "broken.so" in asking.resolver.error


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.booleans()), max_size=20))
def test_any_addresses_give_frames(addresses: list[tuple[int, bool]]) -> None:
    asking = Asking(os.getpid(), IMAGES, KERNEL)
    edges = [edge for m in asking.space.mappings[:8] for edge in (m.start, m.end)]
    pairs = [*addresses, *((edge, called) for edge in edges for called in (False, True))]
    asked = np.array([a for a, _ in pairs], np.uint64), np.array([c for _, c in pairs], bool)
    for ids in (
        asking.resolver.user_frames(asking.space, *asked),
        asking.resolver.kernel_frames(*asked),
    ):
        assert all(asking.symbols.frame_at(i).function for i in ids.tolist())


def test_what_goes_wrong_is_said_in_safe_words(tmp_path: Path) -> None:
    asking = Asking(os.getpid())
    asking.space = AddressSpace(os.getpid())
    asking.space.add(0x1000, 0x1000, 2**64 - 1, f"{tmp_path}/\x1b[2J\n", 1, 1)
    assert "\x1b" not in asking.names(0x1800)[0]
    assert asking.resolver.error.isprintable()
    assert "x1b" in asking.resolver.error
