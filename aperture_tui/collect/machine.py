"""The machine as the requirements see it: files below a root folder, this process's rights, programs, packages.

Nothing is changed by looking. The root can be a tree made by hand.
Sources: capabilities(7), os-release(5), /proc/self/status in proc_pid_status(5).
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aperture_tui.profile.text import clean

SYS_PTRACE, SYS_ADMIN, SYS_RESOURCE, SYSLOG, PERFMON, BPF = 19, 21, 24, 34, 38, 39
"""Capability numbers (include/uapi/linux/capability.h)."""

_LARGEST_READ: Final = 1 << 20


@dataclass(frozen=True)
class Machine:
    """What the probes look at. The default is this machine and this process."""

    root: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    uid: int = field(default_factory=os.geteuid)
    python: tuple[int, int, int] = field(default_factory=lambda: sys.version_info[:3])
    folders: tuple[str, ...] = field(default_factory=lambda: tuple(sys.path))
    """Where Python modules are looked for."""
    architecture: str = field(default_factory=platform.machine)

    @property
    def live(self) -> bool:
        """Whether the kernel that runs may be asked, beyond what files say."""
        return self.root == Path("/")

    def read(self, path: str) -> str | None:
        """The text of a file, at most 1 MiB of it; None if it is not there or not readable."""
        try:
            with open(self.root / path, "rb") as opened:
                return _lines(opened.read(_LARGEST_READ))
        except OSError:
            return None

    def number(self, path: str) -> int | None:
        """A file's number; None if it has none."""
        try:
            return int(self.read(path) or "")
        except ValueError:
            return None

    def status(self) -> dict[str, str]:
        """/proc/self/status."""
        lines = (self.read("proc/self/status") or "").splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def capabilities(self) -> int | None:
        """The effective set as a bit mask; None if it cannot be read."""
        try:
            return int(self.status()["CapEff"], 16)
        except (KeyError, ValueError):
            return None

    def has(self, *wanted: int) -> bool | None:
        """Whether each capability is held, CAP_SYS_ADMIN standing for CAP_BPF and CAP_PERFMON; None: unknown."""
        held = self.capabilities()
        if held is None:
            return None
        admin = bool(held >> SYS_ADMIN & 1)
        return all(held >> one & 1 or (admin and one in (BPF, PERFMON)) for one in wanted)

    def mounted(self, kind: str) -> str:
        """Where a file system of this kind is mounted; "" if nowhere."""
        rows = (line.split() for line in (self.read("proc/self/mounts") or "").splitlines())
        return next((row[1] for row in rows if len(row) > 2 and row[2] == kind), "")

    def tool(self, name: str) -> str:
        """The path of a program: on PATH, beside our own interpreter, or where cargo puts it; "" if nowhere."""
        beside = (str(Path(sys.executable).parent), str(Path(self.environ.get("HOME", "/")) / ".cargo/bin"))
        return shutil.which(name, path=os.pathsep.join((self.environ.get("PATH", ""), *beside))) or ""

    def container(self) -> str:
        """The kind of container this runs in, "" if in none."""
        if (self.root / ".dockerenv").exists():
            return "docker"
        if (self.root / "run/.containerenv").exists():
            return "podman"
        if "KUBERNETES_SERVICE_HOST" in self.environ:
            return "kubernetes"
        named = self.read("run/systemd/container") or self.environ.get("container", "")
        found = re.search(r"docker|kubepods|lxc|libpod|containerd", self.read("proc/1/cgroup") or "")
        return clean(named.strip()) or (found[0] if found else "")

    def as_root(self, command: str) -> str:
        """The command, with sudo in front for whoever is not root."""
        return command if self.uid == 0 else f"sudo {command}"


def _lines(raw: bytes) -> str:
    """Bytes as text whose lines hold nothing that a terminal would act on."""
    return "\n".join(clean(line.replace(b"\t", b" ")) for line in raw.splitlines())


# -- where packages come from

_PACKAGES: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "debian": ("apt-get install --no-install-recommends {}", {"bcc": "python3-bpfcc", "perf": "linux-perf"}),
    "ubuntu": ("apt-get install --no-install-recommends {}", {"bcc": "python3-bpfcc", "perf": "linux-tools-generic"}),
    "fedora": ("dnf install {}", {"bcc": "python3-bcc", "perf": "perf"}),
    "arch": ("pacman -S --needed {}", {"bcc": "python-bcc", "perf": "perf"}),
    "suse": ("zypper install {}", {"bcc": "python3-bcc", "perf": "perf"}),
    "alpine": ("apk add {}", {"bcc": "py3-bcc", "perf": "perf"}),
}
_FAMILY: Final = {"rhel": "fedora", "centos": "fedora", "opensuse": "suse", "sles": "suse"}


def install_command(machine: Machine, what: str) -> str:
    """The command that installs "bcc" or "perf" on this distribution, by ID and ID_LIKE of os-release(5)."""
    release = machine.read("etc/os-release") or machine.read("usr/lib/os-release") or ""
    words = dict(line.split("=", 1) for line in release.splitlines() if "=" in line)
    for word in f"{words.get('ID', '')} {words.get('ID_LIKE', '')}".replace('"', " ").split():
        family = _FAMILY.get(word, word)
        if family in _PACKAGES:
            command, names = _PACKAGES[family]
            return machine.as_root(command.format(names[what]))
    return f"install the distribution's package of {'BCC for Python 3' if what == 'bcc' else what}"
