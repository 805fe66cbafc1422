"""The machine and the versions that figures come from; nothing that names the machine."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[1]
_TOOLS: Final = {"perf": ("perf", "--version"), "htop": ("htop", "--version"), "gcc": ("gcc", "-dumpfullversion")}


def facts() -> dict[str, str]:
    """What one has to know to read a figure: name of the fact -> words."""
    return {
        "processor": f"{os.cpu_count()} × {_field('/proc/cpuinfo', 'model name')}"
        + (" (virtual machine)" if "hypervisor" in _field("/proc/cpuinfo", "flags").split() else ""),
        "memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) / 1e6:.1f} GB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("textual", "numpy")},
        "BCC": _package("python3-bpfcc"),
        **{name: _first_line(command) for name, command in _TOOLS.items()},
        "revision": _first_line(("git", "-C", str(_ROOT), "describe", "--always", "--dirty")),
        "floor of peak memory": f"{_own_peak_mib():.0f} MB (the harness's own)",
    }


def _own_peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def load() -> str:
    """Runnable tasks, mean of the last minute."""
    return f"{os.getloadavg()[0]:.1f}"


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def _first_line(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except OSError:
        return "not installed"
    lines = done.stdout.splitlines()
    return lines[0] if lines else "unknown"


def _package(name: str) -> str:
    return _first_line(("dpkg-query", "-W", "-f", "${Version}", name))
