"""Code that the kernel maps into every process."""

from __future__ import annotations

import os
import subprocess

import pytest

from aperture_tui.symbolize.address_space import AddressSpace, Mapping
from aperture_tui.symbolize.vdso import vdso_image, vsyscall_name


def vdso_of(pid: int) -> Mapping:
    found = [m for m in AddressSpace.read(pid).mappings if m.path == "[vdso]"]
    if not found:
        pytest.skip("this kernel maps no vdso")
    return found[0]


def test_the_vdso_has_its_functions() -> None:
    image = vdso_image(os.getpid(), vdso_of(os.getpid()))
    assert image is not None
    names = {image.index.name_at(row).decode().removeprefix("__vdso_") for row in range(len(image.index))}
    assert {"clock_gettime", "getcpu"} <= {name.removeprefix("__kernel_") for name in names}


def test_a_vdso_that_is_not_like_ours_is_read_from_its_process() -> None:
    process = subprocess.Popen(["sh", "-c", "echo; read x"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # before it has run, exec may not have come as far as the vdso
    try:
        theirs = vdso_of(process.pid)
        other = Mapping(theirs.start, theirs.end + 4096, 0, "[vdso]")  # so that ours is not taken for it
        image, own = vdso_image(process.pid, other), vdso_image(process.pid, theirs)
        if image is None:
            pytest.skip("the memory of another process cannot be read here")
        assert own is not None
        assert image.index.start.tolist() == own.index.start.tolist()
    finally:
        process.communicate(b"\n")


def test_a_vdso_that_cannot_be_read_is_none() -> None:
    assert vdso_image(2**22 + 1, Mapping(0x1000, 0x2000, 0, "[vdso]")) is None


def test_the_vsyscall_page() -> None:
    assert [vsyscall_name(offset) for offset in (0, 9, 0x400, 0x800, 0xC00)] == [
        "gettimeofday", "gettimeofday", "time", "getcpu", "",
    ]  # fmt: skip
