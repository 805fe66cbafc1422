"""ELF headers against readelf, and against bytes that lie."""

from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.symbolize.address_space import parse_maps
from aperture_tui.symbolize.elf import BytesSource, Elf, ElfError, FileSource, notes
from aperture_tui.symbolize.images import read_image
from aperture_tui.symbolize.opening import open_regular

from .conftest import image_of, need, run


def own_vdso() -> bytes:
    """A small real ELF file that every process has."""
    mappings, _ = parse_maps(Path("/proc/self/maps").read_bytes())
    found = [m for m in mappings if m.path == "[vdso]"]
    if not found:
        pytest.skip("this kernel maps no vdso")
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        memory.seek(found[0].start)
        return memory.read(found[0].end - found[0].start)


def read(path: Path) -> Elf:
    return Elf.read(FileSource(open_regular(str(path))))


def test_headers_agree_with_readelf(calls: Path) -> None:
    need("readelf")
    elf = read(calls)
    build_id = re.search(r"Build ID: ([0-9a-f]+)", run("readelf", "-n", calls))
    assert build_id
    assert elf.build_id.hex() == build_id[1]
    names = re.findall(r"^ +\[ *\d+\] (\.\S+)", run("readelf", "-SW", calls), re.M)
    assert [s.name.decode() for s in elf.sections if s.name] == names


def test_file_offsets_become_virtual_addresses_as_the_program_headers_say(calls: Path) -> None:
    need("readelf")
    elf = read(calls)
    line = re.search(r"LOAD +(0x\w+) (0x\w+) 0x\w+ (0x\w+) 0x\w+ R E", run("readelf", "-lW", calls))
    assert line
    offset, address, size = (int(x, 16) for x in line.groups())
    offsets = np.array([offset, offset + size - 1, 1 << 40], np.uint64)
    assert elf.loads.virtual(offsets).tolist() == [address, address + size - 1, 1 << 40]


def test_a_32_bit_file(built: Path) -> None:
    need("gcc")
    out, source = built / "small32.so", built / "small32.c"
    source.write_text(
        "int exported_work(int n) { return n * 3; }\nstatic int private_work(int n) { return n + 1; }\n"
        "int (*use)(int) = private_work;\n"
    )
    try:
        run("gcc", "-m32", "-nostdlib", "-shared", "-fPIC", "-O1", "-o", out, source)
    except subprocess.CalledProcessError:
        pytest.skip("gcc cannot make 32-bit code here")
    elf = read(out)
    assert elf.bits == 32
    image = image_of(out)
    names = {image.index.name_at(row) for row in range(len(image.index))}
    assert {b"exported_work", b"private_work"} <= names


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an ELF file"),
        (b"#!/bin/sh\n" * 10, "not an ELF file"),
        (b"\x7fELF", "neither 32 nor 64 bit"),
        (b"\x7fELF\x02\x02" + bytes(58), "little-endian"),
        (b"\x7fELF\x02\x01" + bytes(20), "cut short"),
        (b"\x7fELF\x02\x01" + bytes(58), "neither an executable nor a shared object"),
    ],
)
def test_what_is_no_usable_file_is_said_in_one_line(data: bytes, message: str) -> None:
    with pytest.raises(ElfError, match=message) as caught:
        Elf.read(BytesSource(data))
    assert "\n" not in str(caught.value)


def test_counts_beyond_the_file_are_refused() -> None:
    data = bytearray(own_vdso())
    data[60:62] = b"\xff\xff"  # e_shnum
    with pytest.raises(ElfError, match="beyond the end"):
        Elf.read(BytesSource(bytes(data)))


def check_whole(data: bytes) -> None:
    """Whatever the bytes: an image comes out whose every row has a name and whose ranges are in order."""
    image = read_image(BytesSource(data), "/bin/x", ())
    index = image.index
    assert all("\n" not in problem for problem in image.problems)
    assert np.all(index.start[1:] >= index.start[:-1] + index.size[:-1])
    assert index.nbytes <= 4 * len(data) + 1_000_000
    probe = np.random.default_rng(len(data)).integers(0, 2**64, 64, dtype=np.uint64)
    for row in image.find(probe)[0].tolist() + list(range(min(len(index), 16))):
        if row >= 0:
            index.name_at(row)


@settings(max_examples=300)
@given(seed=st.integers(0, 2**32), cut=st.integers(0, 16_384), places=st.integers(0, 40))
def test_a_damaged_file_never_breaks_the_reader(seed: int, cut: int, places: int) -> None:
    data = bytearray(own_vdso())
    rng = random.Random(seed)
    headers = [*range(64), *range(max(0, len(data) - 2048), len(data))]
    for _ in range(places):
        at = rng.choice(headers) if rng.random() < 0.5 else rng.randrange(len(data))
        data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
    check_whole(bytes(data[: len(data) - cut] if rng.random() < 0.3 else data))


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), places=st.integers(1, 60))
def test_a_damaged_program_never_breaks_the_reader(calls: Path, seed: int, places: int) -> None:
    data = bytearray(calls.read_bytes())
    elf = Elf.read(BytesSource(bytes(data)))
    rng = random.Random(seed)
    tables = [s for s in elf.sections if s.type in (2, 3, 4, 7, 11) and s.size]
    headers = len(data) - 64 * len(elf.sections)
    for _ in range(places):
        section = rng.choice(tables)
        at = rng.choice(
            [rng.randrange(64), rng.randrange(headers, len(data)), section.offset + rng.randrange(section.size)]
        )
        data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
    check_whole(bytes(data))


@given(st.binary(max_size=4096))
def test_random_bytes_behind_the_magic_never_break_the_reader(data: bytes) -> None:
    check_whole(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\x3e\x00" + data)


@given(st.binary(max_size=512))
def test_notes_end(data: bytes) -> None:
    assert all(len(name) + len(value) <= len(data) for name, _, value in notes(data))
