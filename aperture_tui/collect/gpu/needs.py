"""What this machine must offer for GPUs to be seen, as `aperture doctor` shows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from aperture_tui.collect.requirements import Requirement

if TYPE_CHECKING:
    from aperture_tui.collect.machine import Machine

_NVIDIA: Final = ("proc/driver/nvidia/version", "dev/nvidiactl", "dev/dxg")
_AMD: Final = ("dev/kfd",)
_COOKIES: Final = (5, 15)
"""Linux from which a probe can be told which function it is at."""


def vendors(machine: Machine) -> list[str]:
    """Whose drivers are loaded."""
    told = {"NVIDIA": _NVIDIA, "AMD": _AMD}
    return [name for name, paths in told.items() if any((machine.root / path).exists() for path in paths)]


def needs(machine: Machine) -> list[Requirement]:
    """Everything, the driver first; on a machine without any GPU one line."""
    found = vendors(machine)
    needed_for = "GPU gauges, kernels and copies"
    driver = Requirement("GPU driver", bool(found), " and ".join(found) or "no GPU driver is loaded", needed_for)
    if not found:
        return [driver]
    return [driver, *([_nvml(machine)] if "NVIDIA" in found else []), _cupti(), _probes(machine)]


def _nvml(machine: Machine) -> Requirement:
    there = any((Path(folder) / "pynvml.py").is_file() for folder in machine.folders)
    words = "nvidia-ml-py is there" if there else "nvidia-ml-py is not installed"
    mend = "" if there else "pip install 'aperture-tui[gpu]' (in the environment that Aperture runs in)"
    return Requirement("NVML", there, words, "GPU gauges", mend)


def _cupti() -> Requirement:
    words = "looked for when it begins, in the program's own environment"
    mend = "pip install 'cupti-python>=13.0.1,<14' (in the environment of the program that is looked at)"
    return Requirement("CUPTI", None, words, "GPU kernels and copies: aperture gpu run -- COMMAND", mend)


def _probes(machine: Machine) -> Requirement:
    needed_for = "launches of programs that run already"
    release = (machine.read("proc/sys/kernel/osrelease") or "").split("-")[0].split(".")
    version = tuple(int(part) for part in release[:2] if part.isdecimal())
    there = (machine.root / "sys/bus/event_source/devices/uprobe/type").exists()
    if machine.architecture != "x86_64":
        return Requirement("GPU probes", False, f"not for {machine.architecture} yet", needed_for)
    if len(version) == 2 and version < _COOKIES:
        return Requirement("GPU probes", False, "no BPF cookies before 5.15", needed_for, "boot 5.15 or newer")
    mend = "" if there else "boot a kernel with CONFIG_UPROBE_EVENTS=y"
    return Requirement("GPU probes", there, "uprobes" if there else "no uprobes", needed_for, mend)
