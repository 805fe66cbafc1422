"""The profilers under measurement: our command and its named peers."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[1]
_BPF_CACHE: Final = Path("/var/cache/aperture/bpf")

OURS: Final = "aperture"
BASE: Final = "nothing"
"""A second baseline: what it differs from the first one is noise."""


@dataclass(frozen=True, slots=True)
class Profiler:
    """One way to profile the whole machine. command: run in a scratch folder. missing: why it cannot be run, or ""."""

    name: str
    family: str
    command: tuple[str, ...]
    extra: dict[str, str] = field(default_factory=dict)
    missing: str = ""
    remark: str = ""


RECORDING: Final = "recording.aperture"
PERF_DATA: Final = "perf.data"


def ours(hz: int) -> Profiler:
    """`aperture record`."""
    command = (beside_python("aperture"), "record", "-F", str(hz), "-o", RECORDING)
    return Profiler(f"aperture record -F {hz}", OURS, command)


def perf(hz: int) -> Profiler:
    """`perf record`, all CPUs, frame pointers; with the monotonic clock, so that its first sample has a time."""
    command = ("perf", "record", "-q", "-F", str(hz), "-a", "-g", "-k", "CLOCK_MONOTONIC", "-o", PERF_DATA)
    missing = "" if shutil.which("perf") else "perf is not installed"
    return Profiler(f"perf record -F {hz} -a -g", "perf", command, missing=missing)


def profile_bpfcc(hz: int, scratch: Path) -> Profiler:
    """BCC's `profile`, folded output."""
    return bcc_tool("profile-bpfcc", scratch, "-F", str(hz), "-f")


def bcc_tool(name: str, scratch: Path, *arguments: str) -> Profiler:
    """A tool of BCC; with stub headers where the kernel's are not installed."""
    found = shutil.which(name)
    missing = "" if found else f"{name} is not installed: apt-get install bpfcc-tools"
    real = Path("/lib/modules") / platform.release() / "build"
    extra = {} if real.exists() else {"BCC_KERNEL_SOURCE": str(_stub_headers(scratch))}
    remark = "" if real.exists() else "compiled with stub headers: starts faster than with real ones"
    return Profiler(" ".join((name, *arguments)), name, (found or name, *arguments), extra, missing, remark)


def nothing() -> Profiler:
    """No profiler at all."""
    return Profiler(BASE, BASE, ())


def beside_python(script: str) -> str:
    """A console script of the environment that this runs in: what a user would call."""
    return str(Path(sys.executable).with_name(script))


def clear_bpf_cache() -> None:
    """Forget compiled BPF programs, as on a machine where this never ran."""
    folder = _BPF_CACHE
    if os.geteuid() != 0:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aperture" / "bpf"
    for file in folder.glob("*.json") if folder.exists() else ():
        file.unlink(missing_ok=True)


def _stub_headers(scratch: Path) -> Path:
    tree = scratch / "headers"
    if not tree.exists():
        shutil.copytree(_ROOT / "bpf" / "include", tree)
        shutil.copytree(_ROOT / "bench" / "headers", tree / "include", dirs_exist_ok=True)
    return tree
