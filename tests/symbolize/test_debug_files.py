"""Symbols that a stripped program keeps elsewhere."""

from __future__ import annotations

import lzma
import shutil
from pathlib import Path

import pytest

from aperture_tui.symbolize.debug_files import mini_debug_info
from aperture_tui.symbolize.elf import Elf, ElfError, FileSource
from aperture_tui.symbolize.images import read_image
from aperture_tui.symbolize.opening import open_regular

from .conftest import image_of, need, run


def names(path: Path, *roots: Path) -> set[str]:
    image = image_of(path, tuple(str(root) for root in roots))
    return {image.index.name_at(row).decode() for row in range(len(image.index))}


@pytest.fixture
def stripped(calls: Path, tmp_path: Path) -> Path:
    """A program that has lost private_work."""
    need("strip", "objcopy")
    out = tmp_path / "stripped"
    run("strip", "-o", out, calls)
    assert "private_work" not in names(out)
    return out


def test_mini_debug_info_gives_back_the_private_functions(calls: Path, stripped: Path, tmp_path: Path) -> None:
    mini = tmp_path / "mini"
    run("objcopy", "--only-keep-debug", calls, mini)
    (tmp_path / "mini.xz").write_bytes(lzma.compress(mini.read_bytes(), lzma.FORMAT_XZ))
    run("objcopy", "--add-section", f".gnu_debugdata={tmp_path / 'mini.xz'}", stripped)
    assert {"private_work", "main"} <= names(stripped)


def test_mini_debug_info_that_explodes_or_is_no_xz_is_said_and_the_rest_is_kept(stripped: Path, tmp_path: Path) -> None:
    for content, message in [(lzma.compress(bytes(80 << 20)), "bytes"), (b"not xz", ".gnu_debugdata")]:
        (tmp_path / "section").write_bytes(content)
        out = tmp_path / "bad"
        run("objcopy", "--add-section", f".gnu_debugdata={tmp_path / 'section'}", stripped, out)
        with pytest.raises(ElfError, match=message):
            mini_debug_info(Elf.read(FileSource(open_regular(str(out)))))
        image = image_of(out)
        assert len(image.problems) == 1
        assert image.elf


@pytest.mark.parametrize("place", ["{directory}", "{directory}/.debug", "usr/lib/debug{directory}"])
def test_a_linked_debug_file_is_found_in_the_usual_places(
    calls: Path, stripped: Path, tmp_path: Path, place: str
) -> None:
    root = tmp_path / "root"
    directory = root / place.format(directory="/opt/app").lstrip("/")
    (root / "opt/app").mkdir(parents=True)
    directory.mkdir(parents=True, exist_ok=True)
    debug = directory / "calls.debug"
    run("objcopy", "--only-keep-debug", calls, debug)
    run("objcopy", f"--add-gnu-debuglink={debug}", stripped)
    program = shutil.copy(stripped, root / "opt/app/stripped")
    image = read_image(FileSource(open_regular(str(program))), "/opt/app/stripped", [str(root)])
    assert "private_work" in {image.index.name_at(row).decode() for row in range(len(image.index))}


def test_a_debug_file_of_another_build_is_not_believed(
    calls: Path, shapes: Path, stripped: Path, tmp_path: Path
) -> None:
    debug = tmp_path / "calls.debug"
    run("objcopy", "--only-keep-debug", calls, debug)
    run("objcopy", f"--add-gnu-debuglink={debug}", stripped)
    assert "private_work" in names(stripped, Path("/"))
    run("objcopy", "--only-keep-debug", shapes, debug)
    assert "private_work" not in names(stripped, Path("/"))
    assert not any("shapes" in name for name in names(stripped, Path("/")))


def test_a_debug_file_is_found_by_build_id_in_the_first_root_that_has_it(
    calls: Path, stripped: Path, tmp_path: Path
) -> None:
    build_id = Elf.read(FileSource(open_regular(str(stripped)))).build_id.hex()
    root = tmp_path / "container"
    place = root / "usr/lib/debug/.build-id" / build_id[:2]
    place.mkdir(parents=True)
    run("objcopy", "--only-keep-debug", calls, place / f"{build_id[2:]}.debug")
    assert "private_work" in names(stripped, tmp_path / "no such root", root)
    assert "private_work" not in names(stripped, tmp_path / "no such root")


def test_links_in_a_container_do_not_lead_out_of_it(calls: Path, stripped: Path, tmp_path: Path) -> None:
    build_id = Elf.read(FileSource(open_regular(str(stripped)))).build_id.hex()
    root, outside = tmp_path / "container", tmp_path / "outside.debug"
    place = root / "usr/lib/debug/.build-id" / build_id[:2]
    place.mkdir(parents=True)
    run("objcopy", "--only-keep-debug", calls, outside)
    (place / f"{build_id[2:]}.debug").symlink_to(outside)
    assert "private_work" not in names(stripped, root)
    inside = root / str(outside).lstrip("/")
    inside.parent.mkdir(parents=True)
    shutil.copy(outside, inside)
    assert "private_work" in names(stripped, root)
