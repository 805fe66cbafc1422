"""Files on their way to the kernel: one of a kind is built, and only what we have read ourselves is kept on disk."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aperture_tui.collect.unwind import files as module
from aperture_tui.collect.unwind.extents import Extents
from aperture_tui.collect.unwind.files import Files, Placed
from aperture_tui.collect.unwind.kernel_maps import PENDING
from aperture_tui.collect.unwind.table import FileTable, file_table
from aperture_tui.symbolize.address_space import AddressSpace, Mapping
from aperture_tui.symbolize.elf import FileSource
from aperture_tui.symbolize.images import ImageKey
from aperture_tui.symbolize.unwind_cache import UnwindCache
from aperture_tui.symbolize.vdso import vdso_memory
from tests.collect.unwind.known_files import libc
from tests.symbolize import go_sections


class Maps:
    """Stands in for the kernel's."""

    def __init__(self) -> None:
        self.free_rows = Extents(1 << 20)
        self.rows = np.zeros(1 << 20, np.uint64)

    def write_rows(self, first: int, rows: NDArray[np.uint64]) -> None:
        self.rows[first : first + len(rows)] = rows

    def of(self, placed: Placed) -> NDArray[np.uint64]:
        return self.rows[placed.extent.first : placed.extent.first + placed.extent.rows]


@pytest.fixture
def maps() -> Maps:
    return Maps()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def files(maps: Maps, cache: Path) -> Iterator[Files]:
    made = Files(maps, UnwindCache(cache))  # type: ignore[arg-type] # it asks for nothing else
    yield made
    made.close()


def new(files: Files, path: Path) -> Placed:
    return files._new(FileSource(os.open(path, os.O_RDONLY)))


def settle(files: Files) -> list[Placed]:
    """-> what came, in that order."""
    came: list[Placed] = []
    deadline = time.monotonic() + 30
    while files.pending:
        assert time.monotonic() < deadline
        came += files.advance()
        time.sleep(0.01)
    return came


def made(path: Path) -> FileTable:
    with open(path, "rb") as file:
        return file_table(FileSource(os.dup(file.fileno())), None, build=True)


def damage(path: Path) -> None:
    """Another table than before: the file's call frames say something else, in a place that is not checked."""
    data = bytearray(path.read_bytes())
    at = data.find(b"\x41\x0e\x10", len(data) // 2)  # the first push of some function
    data[at + 2] = 0x28
    path.write_bytes(data)


def test_what_the_child_makes_is_kept_by_us(files: Files, maps: Maps, cache: Path) -> None:
    placed = new(files, libc())
    assert placed.found is None
    assert not cache.exists()
    assert settle(files) == [placed]
    assert np.array_equal(maps.of(placed), made(libc()).table.rows)
    assert [file.stem for file in cache.iterdir()] == [made(libc()).key.hex()]
    assert files.degraded == {}


def test_until_a_table_is_made_callers_are_guessed_where_code_keeps_frame_pointers(
    files: Files, maps: Maps, tmp_path: Path
) -> None:
    """Go's code does, nearly all of it, and a large program's table takes a second."""
    depths = ((2, 0), (2, 8), (2, 16), (2, 24), (2, 32), (2, 40), (2, 8), (2, 0))
    functions = [go_sections.Function(16 * i, 16 * i + 16, b"main.f%d" % i, depths) for i in range(4000)]
    program = tmp_path / "go"
    program.write_bytes(go_sections.file([(b".gopclntab", 1, 2, go_sections.section(functions))]))
    waiting, other = new(files, program), new(files, libc())
    assert (waiting.found, other.found) == (None, None)
    assert waiting.word == 0, "no rows: the kernel guesses by rbp, and says so"
    assert other.word == PENDING
    settle(files)
    assert waiting.extent.rows > 20_000
    assert np.array_equal(maps.of(waiting), made(program).table.rows)
    assert waiting.word == waiting.extent.first | waiting.extent.rows << 32


def test_copies_of_a_file_are_built_once(files: Files, maps: Maps, tmp_path: Path) -> None:
    copies = [Path(shutil.copy(libc(), tmp_path / f"{n}.so")) for n in range(3)]
    placed = [new(files, copy) for copy in copies]
    assert (files.pending, files.builder.waiting) == (3, 1)
    assert settle(files) == placed
    assert files._cache.counts.built == 1
    for one in placed:
        assert np.array_equal(maps.of(one), made(libc()).table.rows)


def test_a_file_that_is_found_has_its_rows_whoever_looks_between_two_steps(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other threads look, and keep what they find for long: that there are no rows, if they come a moment too early."""
    seen: list[tuple[int, int]] = []

    class Watched(Placed):
        __slots__ = ()

        def __setattr__(self, name: str, value: object) -> None:
            object.__setattr__(self, name, value)
            if getattr(self, "found", None) is not None:
                seen.append((self.word >> 32, len(self.extent.every)))

    monkeypatch.setattr(module, "Placed", Watched)
    placed = new(files, libc())
    settle(files)
    assert placed.extent.rows > 10_000
    assert set(seen) == {(placed.extent.rows, len(placed.extent.every))}


def test_a_file_that_changes_while_it_waits_is_not_taken_for_what_it_was(
    files: Files, maps: Maps, cache: Path, tmp_path: Path
) -> None:
    """Of two copies of the C library one is exchanged: the other has its rows, and so has the cache."""
    liar = Path(shutil.copy(libc(), tmp_path / "liar.so"))
    changed, honest = new(files, liar), new(files, libc())
    damage(liar)
    assert not np.array_equal(made(liar).table.rows, made(libc()).table.rows)
    settle(files)
    assert changed.found is not None
    assert "changed" in changed.found.problem
    assert changed.extent.rows == 0
    assert np.array_equal(maps.of(honest), made(libc()).table.rows)
    assert [file.stem for file in cache.iterdir()] == [made(libc()).key.hex()]
    assert files.degraded == {"files without an unwind table": 1}


def test_a_child_that_speaks_of_another_file_is_not_believed(
    files: Files, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = new(files, libc())
    answer = replace(made(libc()), key=bytes(range(32)))

    def lies() -> list[tuple[ImageKey, FileTable]]:
        return [(placed.key, answer)]

    monkeypatch.setattr(files.builder, "advance", lies)
    assert files.advance() == [placed]
    assert placed.extent.rows == 0
    assert not cache.exists()


def test_no_descriptor_is_left_open(maps: Maps, cache: Path, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    files = Files(maps, UnwindCache(cache))  # type: ignore[arg-type] # it asks for nothing else
    for n in range(3):
        new(files, Path(shutil.copy(libc(), tmp_path / f"{n}.so")))
    files.close()
    assert files.pending == 0
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_32_bit_vdso_is_not_taken_for_the_64_bit_one(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel may have made both of one size."""
    ours = next((m for m in AddressSpace.read(os.getpid()).mappings if m.path == "[vdso]"), None)
    if ours is None:
        pytest.skip("this kernel maps no vdso")
    image = vdso_memory(os.getpid(), ours)
    theirs = Mapping(0xF7F00000, 0xF7F00000 + len(image), 0, "[vdso]")
    narrow = image[:4] + b"\x01" + image[5:]
    monkeypatch.setattr(module, "vdso_memory", lambda _pid, mapping: narrow if mapping is theirs else image)
    first, second = files.of(1, theirs), files.of(os.getpid(), ours)
    assert first is not None
    assert second is not None
    assert first.extent.rows == 0
    assert second.extent.rows > 0
