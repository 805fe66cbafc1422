"""What this machine must offer, each probed without changing anything: what was found, and the command that mends it.

`check("cpu")` is asked before the CPU collector tries; `aperture doctor` shows everything. Files are read below a
root folder, so that the probes run on a tree made by hand as well as on a live system.
Sources: Documentation/admin-guide/sysctl/kernel.rst and perf-security.rst, capabilities(7), user_namespaces(7),
kernel_lockdown(7).
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aperture_tui.collect import bpf
from aperture_tui.profile.text import clean

DAC_READ_SEARCH, SYS_PTRACE, SYS_ADMIN, SYSLOG, PERFMON, BPF = 2, 19, 21, 34, 38, 39
"""Capability numbers (include/uapi/linux/capability.h)."""

OLDEST_KERNEL: Final = (5, 8)
"""The ring buffer and CAP_BPF."""
OLDEST_PYTHON: Final = (3, 11)

_HOST_PID_NAMESPACE: Final = "pid:[4026531836]"  # PROC_PID_INIT_INO, include/linux/proc_ns.h
_UNMAPPED: Final = ("0", "0", "4294967295")  # uid_map of the first user namespace
_LARGEST_READ: Final = 1 << 20
_ENOSYS: Final = 38
_SYSTEM_CALLS_OF: Final = {"docker": "--security-opt seccomp=unconfined", "": "see its service's SystemCallFilter="}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that the machine offers or lacks.

    ok: None when it cannot be known from here. found: what is there, a phrase that can stand alone. needed_for: who
    cannot do without. mend: the command or the step that gives it; "" when nothing is to be done.
    blocks: the purposes ("cpu", "cgroup", "screen", "svg") that are impossible without it.
    """

    name: str
    ok: bool | None
    found: str
    needed_for: str
    mend: str = ""
    blocks: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """A dict of JSON types, with the fields' names."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"blocks": list(self.blocks)}


@dataclass(frozen=True)
class Machine:
    """What the probes look at. The default is this machine and this process."""

    root: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    uid: int = field(default_factory=os.geteuid)
    python: tuple[int, int, int] = field(default_factory=lambda: sys.version_info[:3])
    folders: tuple[str, ...] = field(default_factory=lambda: tuple(sys.path))
    """Where Python modules are looked for."""

    @property
    def live(self) -> bool:
        """Whether the kernel that runs may be asked, beyond what files say."""
        return self.root == Path("/")

    def read(self, path: str) -> str | None:
        """The text of a file, at most 1 MiB of it; None if it is not there or not readable."""
        try:
            with open(self.root / path, "rb") as opened:
                return clean_lines(opened.read(_LARGEST_READ))
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


def clean_lines(raw: bytes) -> str:
    """Bytes as text whose lines hold nothing that a terminal would act on."""
    return "\n".join(clean(line.replace(b"\t", b" ")) for line in raw.splitlines())


# -- where packages come from

_PACKAGES: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "debian": ("apt-get install -y --no-install-recommends {}", {"bcc": "python3-bpfcc", "perf": "linux-perf"}),
    "ubuntu": ("apt-get install -y --no-install-recommends {}", {"bcc": "python3-bpfcc", "perf": "linux-tools-generic"}),
    "fedora": ("dnf install -y {}", {"bcc": "python3-bcc", "perf": "perf"}),
    "arch": ("pacman -S --needed {}", {"bcc": "python-bcc", "perf": "perf"}),
    "suse": ("zypper install -y {}", {"bcc": "python3-bcc", "perf": "perf"}),
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


# -- what the CPU profiler needs, most basic first

_CPU: Final = ("cpu",)
_PROFILER: Final = "the CPU profiler"


def _python(machine: Machine) -> Requirement:
    ok = machine.python[:2] >= OLDEST_PYTHON
    found = "Python " + ".".join(map(str, machine.python))
    mend = "" if ok else "install Python 3.11 or newer, then make PYTHON=/path/to/it top"
    return Requirement("Python", ok, found, "everything", mend, ("cpu", "screen"))


def _kernel(machine: Machine) -> Requirement:
    release = (machine.read("proc/sys/kernel/osrelease") or "").strip()
    parts = re.match(r"(\d+)\.(\d+)", release)
    if parts is None:
        return Requirement("kernel", None, f"kernel {release or 'unknown'}", _PROFILER, blocks=_CPU)
    ok = (int(parts[1]), int(parts[2])) >= OLDEST_KERNEL
    mend = "" if ok else "boot a kernel of 5.8 or newer (BPF ring buffer)"
    return Requirement("kernel", ok, f"kernel {release}", _PROFILER, mend, _CPU)


def _btf(machine: Machine) -> Requirement:
    ok = (machine.root / "sys/kernel/btf/vmlinux").exists()
    if ok:
        return Requirement("BTF", True, "the kernel describes its types", _PROFILER, blocks=_CPU)
    sysfs = machine.mounted("sysfs")
    mend = "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (every current distribution's is)"
    if not sysfs:
        mend = machine.as_root("mount -t sysfs sysfs /sys")
    return Requirement("BTF", False, "no /sys/kernel/btf/vmlinux", _PROFILER, mend, _CPU)


def _user_namespace(machine: Machine) -> Requirement:
    rows = (machine.read("proc/self/uid_map") or "").split()
    if not rows:
        return Requirement("user namespace", None, "unknown", _PROFILER, blocks=_CPU)
    if tuple(rows) == _UNMAPPED:
        return Requirement("user namespace", True, "the host's", _PROFILER, blocks=_CPU)
    found = "inside a user namespace, where root is not the machine's root"
    return Requirement("user namespace", False, found, _PROFILER, "run on the host, or in a rootful container", _CPU)


def _capabilities(machine: Machine) -> Requirement:
    name = "capabilities"
    ok = machine.has(BPF, PERFMON)
    if ok is None:
        return Requirement(name, None, "no readable /proc/self/status", _PROFILER, "mount -t proc proc /proc", _CPU)
    if ok:
        found = "root" if machine.uid == 0 else f"user {machine.uid} with CAP_BPF and CAP_PERFMON"
        return Requirement(name, True, found, _PROFILER, blocks=_CPU)
    if machine.container():
        mend = "start the container with --privileged, or --cap-add BPF --cap-add PERFMON --cap-add SYS_PTRACE"
    elif machine.uid:
        mend = "run with sudo, or grant CAP_BPF and CAP_PERFMON"
    else:
        mend = "run as root outside this restricted shell or service (its capability bounding set lacks them)"
    return Requirement(name, False, f"{_who(machine)} lacks CAP_BPF and CAP_PERFMON", _PROFILER, mend, _CPU)


def _who(machine: Machine) -> str:
    return f"user {machine.uid}" if machine.uid else "this root"


def _lockdown(machine: Machine) -> Requirement:
    text = machine.read("sys/kernel/security/lockdown")
    if text is None:
        if machine.mounted("securityfs"):
            return Requirement("lockdown", True, "this kernel has no lockdown", _PROFILER, blocks=_CPU)
        mend = machine.as_root("mount -t securityfs securityfs /sys/kernel/security")
        return Requirement("lockdown", None, "unknown: securityfs is not mounted", _PROFILER, mend, _CPU)
    found = re.search(r"\[(\w+)\]", text)
    mode = found[1] if found else text.strip()
    if mode != "confidentiality":
        return Requirement("lockdown", True, f"lockdown is {mode}, which lets profilers read", _PROFILER, blocks=_CPU)
    mend = "boot with lockdown=integrity or without lockdown"
    said = "kernel lockdown is confidentiality, which forbids profiling"
    return Requirement("lockdown", False, said, _PROFILER, mend, _CPU)


def _system_calls(machine: Machine) -> Requirement:
    """Ask the kernel itself: a map of four bytes and a stopped clock, both let go at once."""
    name, kind = "bpf and perf_event_open", machine.container()
    if not machine.live or not machine.has(BPF, PERFMON):
        return Requirement(name, None, "not tried", _PROFILER, blocks=_CPU)
    attr = struct.pack("=IIQQQQQ", 1, 128, 0, 99, 0, 0, 1 << 10 | 1).ljust(128, b"\0")
    trials: tuple[tuple[str, Callable[[], int]], ...] = (
        ("bpf", lambda: bpf.call(bpf.MAP_CREATE, bpf.attribute("=IIIII", 2, 4, 4, 1, 0))),
        ("perf_event_open", lambda: bpf.open_perf_event(attr, bpf.online_cpus()[0])),
    )
    for call, trial in trials:
        try:
            os.close(trial())
        except OSError as error:
            mend = "boot a kernel with CONFIG_BPF_SYSCALL=y and CONFIG_PERF_EVENTS=y"
            if error.errno != _ENOSYS:
                mend = f"a seccomp filter or a security module forbids it: {_SYSTEM_CALLS_OF.get(kind) or _SYSTEM_CALLS_OF['']}"
            return Requirement(name, False, f"the kernel refuses {call}: {error.strerror}", _PROFILER, mend, _CPU)
    return Requirement(name, True, "both answer", _PROFILER, blocks=_CPU)


