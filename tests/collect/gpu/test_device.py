"""Gauges of synthetic GPUs: nothing here was read from hardware."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aperture_tui.collect.gpu import amd, device
from aperture_tui.profile.gpu import GpuProcess, GpuSample
from tests.collect.gpu.synthetic_nvml import command, folder


def _devices(tmp_path: Path, **environ: str) -> list[dict[str, Any]]:
    done = command("gpu", "devices", "--format", "json", library=folder(tmp_path), **environ)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_a_synthetic_gpu_tells_everything_in_our_units(tmp_path: Path) -> None:
    one = GpuSample.from_json(_devices(tmp_path)[0])
    assert (one.uuid, one.vendor, one.driver, one.compute_capability) == ("GPU-synthetic-0-0", "NVIDIA", "580.0", "9.0")
    assert one.name == "Synthetic GPU \\x1b[31m0"  # names are made safe to show
    assert (one.gpu_busy, one.memory_busy, one.mig, one.parent) == (0.87, 0.41, False, None)
    assert (one.memory_used_bytes, one.memory_total_bytes) == (20 << 30, 80 << 30)
    assert (one.sm_clock_mhz, one.sm_clock_max_mhz, one.memory_clock_mhz) == (1755, 1980, 2755)
    assert (one.power_watts, one.power_limit_watts, one.energy_joules) == (312.5, 700, 1234.567)
    assert (one.temperature_celsius, one.memory_temperature_celsius) == (64, 71)
    assert (one.pcie_generation, one.pcie_generation_max, one.pcie_lanes) == (4, 5, 16)
    assert one.throttled == ("power cap",)  # idle is no reason, and the call has its older name in this driver
    assert (one.ecc_corrected, one.ecc_uncorrected) == (3, 0)


def test_counters_of_a_synthetic_gpu_are_those_between_two_readings(tmp_path: Path) -> None:
    one = GpuSample.from_json(_devices(tmp_path)[0])
    assert (one.sm_active, one.sm_occupancy, one.tensor_active, one.dram_active) == (0.025, 0.035, 0.055, 0.105)
    assert one.pcie_sent_bytes_s == int(20.5 * 2**20)  # of GPM, not of the slower counter
    assert one.nvlink_received_bytes_s == int(60.5 * 2**20)
    assert one.fp64_active is None  # that metric is not supported: unknown, and not zero


def test_what_a_synthetic_gpu_does_not_have_is_unknown_and_not_zero(tmp_path: Path) -> None:
    two = GpuSample.from_json(_devices(tmp_path)[1])
    assert two.mig is True
    unknown = {name for name in GpuSample.__dataclass_fields__ if getattr(two, name) is None}
    assert {"gpu_busy", "power_watts", "fan", "throttled", "ecc_corrected", "sm_active", "processes"} <= unknown
    assert two.pcie_sent_bytes_s == 7 * 1024  # without GPM, of the counter


def test_instances_of_a_synthetic_gpu_stand_behind_all_gpus(tmp_path: Path) -> None:
    three, four = (GpuSample.from_json(one) for one in _devices(tmp_path)[2:])
    assert (three.index, three.parent, three.uuid) == (2, 1, "MIG-synthetic-1-1")
    assert (four.index, four.parent, four.memory_used_bytes) == (3, 1, 10 << 30)
    assert (three.sm_active, four.sm_active) == (0.11, 0.12)  # each of its own instance
    assert three.processes == ()
    assert three.power_watts is None


def test_processes_of_a_synthetic_gpu(tmp_path: Path) -> None:
    done = command("gpu", "devices", "--format", "json", library=folder(tmp_path))
    (known, other) = GpuSample.from_json(json.loads(done.stdout)[0]).processes or ()
    assert (known.pid, known.memory_used_bytes) == (4242, 5 << 30)
    assert other == GpuProcess(4343)  # how much it has is not told


def test_a_synthetic_gpu_that_is_lost_says_so_beside_the_others(tmp_path: Path) -> None:
    one, lost = _devices(tmp_path, SYNTHETIC_NVML_LOST="1")
    assert one["problem"] == ""
    assert lost["problem"] == "GPU is lost"
    assert lost["memory_used_bytes"] is None


def test_the_text_says_what_is_unknown(tmp_path: Path) -> None:
    done = command("gpu", "devices", library=folder(tmp_path))
    assert done.returncode == 0
    assert "held back   power cap" in done.stdout
    assert "87 % of the time some kernel ran; memory 41 %" in done.stdout
    assert "power       ? of ? W" in done.stdout
    assert "unknown: this GPU, or its driver, has no GPM" in done.stdout
    assert "\x1b" not in done.stdout


def test_without_a_driver_there_is_one_line_and_status_1(tmp_path: Path) -> None:
    for library in (None, folder(tmp_path)):
        done = command("gpu", "devices", library=library, SYNTHETIC_NVML_FAILS="1")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("aperture gpu devices: no GPU: NVIDIA: no driver answers (")
        assert done.stderr.count("\n") == 1


def test_without_the_package_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setitem(sys.modules, "amdsmi", None)
    with pytest.raises(device.GpuError, match="pip install 'aperture-tui\\[gpu\\]'; AMD: amdsmi is not installed"):
        device.opened()


# -- AMD: a synthetic module with the functions of amdsmi 7.0.2


class _SyntheticSmi(ModuleType):
    def __init__(self) -> None:
        super().__init__("amdsmi")
        for name in ("init", "shut_down"):
            setattr(self, f"amdsmi_{name}", lambda: None)
        self.amdsmi_get_processor_handles = lambda: ["handle"]
        self.amdsmi_get_gpu_activity = lambda handle: {"gfx_activity": 55, "umc_activity": "N/A"}
        self.amdsmi_get_gpu_vram_usage = lambda handle: {"vram_total": 196608, "vram_used": 1024}
        self.amdsmi_get_gpu_asic_info = lambda handle: {"market_name": "Synthetic", "target_graphics_version": "gfx942"}

    def amdsmi_get_power_info(self, handle: str) -> None:
        raise RuntimeError("not supported")


def test_a_synthetic_amd_gpu_is_marked_as_untested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amdsmi", _SyntheticSmi())
    (one,) = amd.opened().read()
    assert (one.vendor, one.name, one.compute_capability) == ("AMD (untested)", "Synthetic", "gfx942")
    assert (one.gpu_busy, one.memory_busy, one.power_watts) == (0.55, None, None)
    assert (one.memory_used_bytes, one.memory_total_bytes) == (1 << 30, 192 << 30)
    assert one.processes is None


def test_gpus_of_two_vendors_are_numbered_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amdsmi", _SyntheticSmi())
    both = device.AllDevices([amd.opened(), amd.opened()])
    assert [one.index for one in both.read()] == [0, 1]
