"""What somebody who writes a filter asks of `aperture filter`: begin one, will it do, what does it cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from aperture_tui.cli import filter as command
from aperture_tui.profile.symbols import Process
from tests.filters.wat import module, on_batch
from tests.fleet.agent.spooled import written
from tests.sdk.toolchain import ASC, needs, needs_command, run
from tests.store.facts import T0, Fact


def test_one_that_fails_at_events_will_not_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, batch in (("traps", "unreachable"), ("refuses", "(i32.const 7)")):
        path = tmp_path / f"{name}.wasm"
        path.write_bytes(module(on_batch(batch)))
        for what in ("check", "bench"):
            assert command.run([what, str(path)]) == 1
            (line,) = capsys.readouterr().err.splitlines()
            assert "it failed at" in line


def test_what_it_would_let_pass_of_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "kept.aperture"
    written(path, [Fact(T0 + i, Process(1 + i % 4, 1, f"p{i % 4}"), weight=2) for i in range(100)])
    assert command.run(["check", 'process_name:{"name":"p3"}', "--replay", str(path)]) == 0
    assert "100 events, 25 pass; weight 200, then 50" in capsys.readouterr().out
    assert command.run(["check", "slow_syscalls", "--replay", str(tmp_path / "none")]) == 1
    assert "none" in capsys.readouterr().err


def test_what_an_event_costs_in_batches_of_each_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["bench", 'process_name:{"name":"proc-1"}']) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["at", "once", "ns", "an", "event", "best", "limit"]
    assert [row.split()[0] for row in rows] == ["1", "100", "10,000"]
    lone, _, many = (float(row.split()[1].replace(",", "")) for row in rows)
    assert lone > 10 * many > 0


def test_a_name_that_is_none_or_is_taken_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    for name, words in (("taken", "is there already"), ("../evil", "no name"), ("Mine", "no name"), ("x" * 61, "no")):
        assert command.run(["new", name]) == 1
        assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    assert list((tmp_path / "taken").iterdir()) == []


@pytest.mark.parametrize("language", ["rust", "c", "as"])
def test_a_new_one_builds_at_once_and_can_be_used(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command.run(["new", "mine", "--lang", language]) == 0
    assert "To build it:" in capsys.readouterr().out
    built = {"rust": _rust, "c": _c, "as": _assemblyscript}[language](tmp_path / "mine")
    assert command.run(["check", f'{built}:{{"name":"proc-7"}}']) == 0


def _rust(project: Path) -> Path:
    """By its own tests; as WebAssembly where the distribution has cargo: others have no library without a download."""
    needs_command("cargo", "rustup, or the distribution's package, has it")
    run(["cargo", "test", "--offline"], cwd=project)
    needs("rust")
    needs_command("/usr/bin/cargo", "the package cargo has it")
    wasm = ["--release", "--target", "wasm32-unknown-unknown", "--target-dir", "wasm"]
    run(["/usr/bin/cargo", "build", "--offline", *wasm], cwd=project, RUSTC="/usr/bin/rustc")
    return project / "wasm/wasm32-unknown-unknown/release/mine.wasm"


def _c(project: Path) -> Path:
    needs("c")
    run(["make"], cwd=project)
    return project / "mine.wasm"


def _assemblyscript(project: Path) -> Path:
    needs("as")
    run([str(ASC), "mine.ts", "--outFile", "mine.wasm", "--runtime", "stub", "-O3"], cwd=project)
    return project / "mine.wasm"
