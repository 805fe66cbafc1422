"""The filters that are shipped are what their sources make, byte for byte, wherever the checkout lies."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.sdk.toolchain import READY, ROOT, SDK, SOURCES, needs, needs_command, needs_pinned, run


@pytest.fixture(scope="module", params=list(SOURCES))
def language(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    needs(name)
    return name


@pytest.fixture(scope="module")
def built(language: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Built in a copy, so that a path in the output would be another one than in what is committed."""
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(SDK, folder / "sdk")
    (folder / "build").symlink_to(ROOT / "build")
    run([str(folder / "sdk/build.sh"), "out", language], cwd=folder)
    return {path.name: path.read_bytes() for path in (folder / "out").iterdir()}


def test_every_example_is_built_and_shipped(language: str, built: dict[str, bytes]) -> None:
    assert sorted(built) == sorted(SOURCES[language])
    assert {path.name for path in READY.glob("*.wasm")} == {name for names in SOURCES.values() for name in names}


def test_what_is_shipped_is_what_the_sources_make(language: str, built: dict[str, bytes]) -> None:
    needs_pinned(language)
    committed = {name: (READY / name).read_bytes() for name in built}
    assert built == committed, "sdk/build.sh aperture_tui/filters/ready"


def test_modules_are_small_and_name_no_folder(built: dict[str, bytes]) -> None:
    for name, module in built.items():
        assert len(module) < 20_000, name
        assert str(ROOT).encode() not in module, name
        assert b"elsewhere" not in module, name


def test_the_check_notices_a_change(tmp_path: Path) -> None:
    needs_pinned("c")
    shutil.copytree(SDK, tmp_path / "sdk")
    shutil.copytree(READY, tmp_path / "aperture_tui/filters/ready")
    run([str(tmp_path / "sdk/build.sh"), "--check", "c"])
    source = tmp_path / "sdk/c/examples/slow_syscalls.c"
    source.write_text(source.read_text().replace('"at_least_us", 1000', '"at_least_us", 1001'))
    with pytest.raises(AssertionError, match=r"slow_syscalls_c\.wasm is not what its source makes"):
        run([str(tmp_path / "sdk/build.sh"), "--check", "c"])


def test_the_crate_and_its_examples_pass_their_own_tests(tmp_path: Path) -> None:
    """With the compiler of the day; the modules are built with 1.63, the least that the crate asks for."""
    needs_command("cargo", "get Rust")
    command = ["cargo", "test", "--offline", "--locked", "--workspace", "--quiet"]
    run(command, cwd=SDK / "rust", CARGO_TARGET_DIR=str(tmp_path))


@pytest.mark.parametrize("name", ["batch", "process_name", "slow_syscalls"])
def test_the_header_and_its_examples_pass_their_own_tests(name: str, tmp_path: Path) -> None:
    needs_command("gcc", "setup/system.sh try tools installs it")
    flags = [
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-g",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
    ]
    program = str(tmp_path / name)
    run(["gcc", *flags, "-I", str(SDK / "c"), "-o", program, str(SDK / f"c/tests/{name}.c")])
    run([program])
