from __future__ import annotations

from pathlib import Path

import pytest

from aperture_tui.collect.gpu.needs import needs, vendors
from aperture_tui.collect.machine import Machine


def _machine(root: Path, *files: str, release: str = "6.1.0-21-amd64", **other: object) -> Machine:
    for name in (*files, "proc/sys/kernel/osrelease"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(release if name.endswith("osrelease") else "")
    defaults: dict[str, object] = {"environ": {}, "folders": (), "architecture": "x86_64"}
    return Machine(root, **{**defaults, **other})  # type: ignore[arg-type]  # test's own words


NVIDIA = "proc/driver/nvidia/version"
UPROBE = "sys/bus/event_source/devices/uprobe/type"


def test_without_a_gpu_there_is_one_line(tmp_path: Path) -> None:
    (one,) = needs(_machine(tmp_path))
    assert (one.name, one.ok, one.found) == ("GPU driver", False, "no GPU driver is loaded")


def test_with_one_each_missing_thing_has_its_command(tmp_path: Path) -> None:
    found = {one.name: one for one in needs(_machine(tmp_path, NVIDIA))}
    assert found["GPU driver"].ok
    assert found["NVML"].mend == "pip install 'aperture-tui[gpu]' (in the environment that Aperture runs in)"
    assert found["CUPTI"].ok is None
    assert found["GPU probes"].mend == "boot a kernel with CONFIG_UPROBE_EVENTS=y"


def test_what_is_there_is_found(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/pynvml.py").touch()
    machine = _machine(tmp_path, NVIDIA, UPROBE, "dev/kfd", folders=(str(tmp_path / "site"),))
    assert vendors(machine) == ["NVIDIA", "AMD"]
    found = {one.name: one for one in needs(machine)}
    assert found["NVML"].ok
    assert found["GPU probes"].ok


@pytest.mark.parametrize(
    ("release", "architecture", "words"),
    [("5.10.0-1", "x86_64", "no BPF cookies before 5.15"), ("6.1.0", "aarch64", "not for aarch64 yet")],
)
def test_where_there_can_be_no_probes(tmp_path: Path, release: str, architecture: str, words: str) -> None:
    machine = _machine(tmp_path, NVIDIA, UPROBE, release=release, architecture=architecture)
    assert {one.name: one.found for one in needs(machine)}["GPU probes"] == words
