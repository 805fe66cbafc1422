from __future__ import annotations

import os
from pathlib import Path

import pytest

from aperture_tui.collect import compiler
from aperture_tui.collect.bpf import PROG_PERF_EVENT
from aperture_tui.collect.object_code import MapSpec, ObjectCode, ProgramSpec

CODE = ObjectCode((MapSpec("m", 2, 4, 8, 1, 0),), (ProgramSpec("sample", 7, bytes(8)),))
SOURCE = compiler.Source("cpu", {"sample": PROG_PERF_EVENT})


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands in for the compiling child, which has its own test with the real BCC."""
    made: list[str] = []

    def compiled(sources: list[tuple[compiler.Source, str]], release: str) -> list[ObjectCode]:
        made.append(release)
        return [CODE] * len(sources)

    monkeypatch.setattr(compiler, "_compile", compiled)
    monkeypatch.setattr(compiler, "counts", compiler.CacheCounts())
    return made


def cached(cache: Path) -> Path:
    (file,) = cache.glob("*.json")
    return file


def test_the_second_time_comes_from_the_cache(tmp_path: Path, compilations: list[str]) -> None:
    cache = tmp_path / "cache"
    assert compiler.object_code(SOURCE, cache) == compiler.object_code(SOURCE, cache) == CODE
    assert len(compilations) == 1
    assert cache.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("harm", [lambda t: t[:-20], lambda t: t.replace('"m"', '"n"'), lambda t: "", lambda t: "[]"])
def test_a_corrupt_file_is_ignored_counted_and_made_anew(tmp_path: Path, compilations: list[str], harm: object) -> None:
    cache = tmp_path / "cache"
    compiler.object_code(SOURCE, cache)
    file = cached(cache)
    file.write_text(harm(file.read_text()))  # type: ignore[operator]  # a lambda out of parametrize
    assert compiler.object_code(SOURCE, cache) == CODE
    assert compiler.counts.rejected == 1
    assert len(compilations) == 2
    assert compiler.object_code(SOURCE, cache) == CODE, "the new file is believed again"
    assert len(compilations) == 2


def test_a_folder_that_others_can_write_to_is_not_believed(tmp_path: Path, compilations: list[str]) -> None:
    cache = tmp_path / "cache"
    compiler.object_code(SOURCE, cache)
    cache.chmod(0o777)
    compiler.object_code(SOURCE, cache)
    assert (compiler.counts.rejected, compiler.counts.unwritable) == (1, 1)
    assert len(compilations) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file to another user")
def test_a_file_of_another_user_is_not_believed(tmp_path: Path, compilations: list[str]) -> None:
    cache = tmp_path / "cache"
    compiler.object_code(SOURCE, cache)
    os.chown(cached(cache), 65534, 65534)
    compiler.object_code(SOURCE, cache)
    assert compiler.counts.rejected == 1


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path, compilations: list[str]) -> None:
    cache = tmp_path / "cache"
    compiler.object_code(SOURCE, cache)
    file = cached(cache)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    compiler.object_code(SOURCE, cache)
    assert compiler.counts.rejected == 1


def test_another_kernel_and_other_defines_have_their_own_file(
    tmp_path: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    compiler.object_code(SOURCE, cache)
    compiler.object_code(compiler.Source("cpu", SOURCE.programs, {"TASK_TGID": 8}), cache)
    monkeypatch.setattr("platform.release", lambda: "5.15.0-1-test")
    compiler.object_code(SOURCE, cache)
    assert len(list(cache.iterdir())) == len(compilations) == 3


def test_a_cache_that_cannot_be_written_is_counted_and_does_without(tmp_path: Path, compilations: list[str]) -> None:
    (tmp_path / "file").write_text("")
    assert compiler.object_code(SOURCE, tmp_path / "file" / "cache") == CODE
    assert compiler.counts.unwritable == 1


def test_the_cache_is_bounded(tmp_path: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "_CACHE_BYTES", 1000)
    for release in range(20):
        monkeypatch.setattr("platform.release", lambda release=release: f"6.{release}.0-test")
        assert compiler.object_code(SOURCE, tmp_path) == CODE
    assert 0 < sum(file.stat().st_size for file in tmp_path.iterdir()) <= 1000


@pytest.mark.bpf
@pytest.mark.parametrize("sizes", [{}, {"UNWIND_ROWS": 1 << 19, "UNWIND_MAPPINGS": 1 << 16}])
def test_the_child_compiles_every_program_against_the_stub_headers(tmp_path: Path, sizes: dict[str, int]) -> None:
    from aperture_tui.collect import cpu
    from aperture_tui.collect.unwind import walking

    code = compiler.object_code(walking.source(cpu.PROGRAMS, "cpu", PROG_PERF_EVENT, sizes), tmp_path / "cache")
    unwinder = {"unwind", "python"} if sizes else set()
    assert {p.name for p in code.programs} == {"sample"} | unwinder
    assert {"samples", "stack_ring", "stack_known", "lost"} <= {m.name for m in code.maps}


def test_what_a_source_includes_is_part_of_it() -> None:
    text = compiler.Source("cpu", {}).text()
    assert "#include" not in text
    assert "struct walk {" in text


@pytest.mark.bpf
def test_a_source_that_does_not_compile_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler.Source, "text", lambda self: "int sample(void *ctx) { return nonsense; }")
    with pytest.raises(compiler.CompileError, match=r"error: .*nonsense") as caught:
        compiler.object_code(SOURCE, tmp_path / "cache")
    assert "\n" not in str(caught.value)


@pytest.mark.bpf
def test_the_child_imports_nothing_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """We are root, and the folder may be anybody's."""
    for module in ("json", "ctypes", "bcc"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compiler.Source, "text", lambda self: "int sample(void *ctx) { return 0; }")
    assert [p.name for p in compiler.object_code(SOURCE, tmp_path / "cache").programs] == ["sample"]


@pytest.mark.parametrize(("body", "complaint"), [("exec sleep 60", "gets nowhere"), ("exit 3", "status 3")])
def test_a_child_that_does_nothing_is_given_up_and_one_that_ends_is_not_waited_for(
    body: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = tmp_path / "python"
    child.write_text(f"#!/bin/sh\n{body}\n")
    child.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(child))
    monkeypatch.setattr(compiler, "_PATIENCE_S", 1.0)
    monkeypatch.setattr(compiler, "_LOOK_S", 0.1)
    with pytest.raises(compiler.CompileError, match=complaint):
        compiler.object_code(SOURCE, tmp_path / "cache")
