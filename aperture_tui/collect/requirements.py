"""What this machine must offer, each probed without changing anything: what was found, and the command that mends it.

`check("cpu")` is asked before the CPU collector tries; `aperture doctor` shows everything. What stands in the way is
in the order in which it should be mended.
Sources: Documentation/admin-guide/sysctl/kernel.rst and perf-security.rst, user_namespaces(7), kernel_lockdown(7).
"""

from __future__ import annotations

import errno
import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from aperture_tui.collect import bpf
from aperture_tui.collect.machine import BPF, PERFMON, SYS_PTRACE, SYS_RESOURCE, SYSLOG, Machine, install_command
from aperture_tui.profile.text import clean

OLDEST_KERNEL: Final = (5, 8)
"""The first with the BPF ring buffer, and with CAP_BPF."""
OLDEST_PYTHON: Final = (3, 11)

_HOST_PID_NAMESPACE: Final = "pid:[4026531836]"  # PROC_PID_INIT_INO, include/linux/proc_ns.h
_UNMAPPED: Final = ["0", "0", "4294967295"]  # uid_map of the first user namespace
_FREE_OF_MEMLOCK: Final = (5, 11)  # from here on maps are charged to the memory cgroup
_NEEDED_MEMLOCK: Final = 96 << 20
_LONGEST: Final = 200


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
    version = _version(machine)
    if version == (0, 0):
        return Requirement("kernel", None, f"kernel {release or 'unknown'}", _PROFILER, blocks=_CPU)
    ok = version >= OLDEST_KERNEL
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
    if rows == _UNMAPPED:
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
        first = "run as root in a container started" if machine.uid else "start the container"
        mend = f"{first} with --privileged, or --cap-add BPF --cap-add PERFMON --cap-add SYS_PTRACE"
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
    name = "system calls"
    if not machine.live or not machine.has(BPF, PERFMON):
        return Requirement(name, None, "bpf and perf_event_open were not tried", _PROFILER, blocks=_CPU)
    attr = struct.pack("=IIQQQQQ", 1, 128, 0, 99, 0, 0, 1 << 10 | 1).ljust(128, b"\0")  # by frequency, disabled
    trials: tuple[tuple[str, Callable[[], int]], ...] = (
        ("bpf", lambda: bpf.call(bpf.MAP_CREATE, bpf.attribute("=IIIII", 2, 4, 4, 1, 0))),
        ("perf_event_open", lambda: bpf.open_perf_event(attr, bpf.online_cpus()[0])),
    )
    for call, trial in trials:
        try:
            os.close(trial())
        except OSError as error:
            found = f"the kernel refuses {call}: {error.strerror}"
            return Requirement(name, False, found, _PROFILER, _mend_system_call(machine, error.errno), _CPU)
    return Requirement(name, True, "bpf and perf_event_open answer", _PROFILER, blocks=_CPU)


def _mend_system_call(machine: Machine, code: int | None) -> str:
    if code == errno.ENOSYS:
        return "boot a kernel with CONFIG_BPF_SYSCALL=y and CONFIG_PERF_EVENTS=y"
    if machine.container():
        return "start the container with --privileged, or --security-opt seccomp=unconfined"
    return "a seccomp filter or a security module forbids it: allow @debug and bpf in the service's SystemCallFilter="


def _locked_memory(machine: Machine) -> Requirement:
    name = "locked memory"
    if _version(machine) >= _FREE_OF_MEMLOCK:
        return Requirement(name, True, "not limited: maps are charged to the control group", _PROFILER, blocks=_CPU)
    if machine.has(SYS_RESOURCE):
        return Requirement(name, True, "we raise the limit ourselves", _PROFILER, blocks=_CPU)
    row = re.search(r"^Max locked memory +(\d+|unlimited)", machine.read("proc/self/limits") or "", re.MULTILINE)
    if row is None:
        return Requirement(name, None, "unknown limit", _PROFILER, "ulimit -l unlimited", _CPU)
    ok = row[1] == "unlimited" or int(row[1]) >= _NEEDED_MEMLOCK
    found = f"the limit of locked memory is {row[1]} bytes" if ok else f"only {row[1]} bytes may be locked"
    return Requirement(name, ok, found, _PROFILER, "" if ok else "ulimit -l unlimited (as root)", _CPU)


def _pid_namespace(machine: Machine) -> Requirement:
    """Samples carry the host's process numbers; in a namespace of our own they would name the wrong processes."""
    name = "pid namespace"
    try:
        here = os.readlink(machine.root / "proc/self/ns/pid")
    except OSError:
        return Requirement(name, None, "unknown", _PROFILER, blocks=_CPU)
    if here == _HOST_PID_NAMESPACE:
        return Requirement(name, True, "the host's", _PROFILER, blocks=_CPU)
    found = "inside a pid namespace, where the host's process numbers mean other processes"
    mend = (
        "start the container with --pid=host (Kubernetes: hostPID: true)" if machine.container() else "run on the host"
    )
    return Requirement(name, False, found, _PROFILER, mend, _CPU)


_LIBRARY_FOLDERS: Final = ("usr/lib*", "usr/local/lib*", "usr/lib/*-linux-*", "lib64")


def bcc_folder(machine: Machine) -> Path | None:
    """The folder that holds the `bcc` package: of our own interpreter, or the distribution's; None if nowhere."""
    ours = (Path(folder) for folder in machine.folders if folder)
    distribution = (
        machine.root / "usr/lib/python3/dist-packages",
        *sorted(machine.root.glob("usr/lib*/python3.*/site-packages"), reverse=True),
    )
    # A package of the same name in a registry is something else: ours has the bindings to libbcc.
    return next((folder for folder in (*ours, *distribution) if (folder / "bcc" / "libbcc.py").is_file()), None)


def _bcc(machine: Machine) -> Requirement:
    mend = install_command(machine, "bcc")
    needed_for = "the CPU profiler (compiles its programs)"
    folder = bcc_folder(machine)
    if folder is None:
        return Requirement("BCC", False, "BCC for Python 3 is not installed", needed_for, mend, _CPU)
    if not any(any(machine.root.glob(f"{where}/libbcc.so.0")) for where in _LIBRARY_FOLDERS):
        return Requirement(
            "BCC", None, f"{folder}/bcc, but no libbcc.so.0 in the usual folders", needed_for, mend, _CPU
        )
    text = machine.read(str(folder / "bcc/version.py")) or ""
    version = re.search(r"__version__ *= *['\"]([^'\"]+)", text)
    return Requirement("BCC", True, f"BCC {version[1] if version else '?'}", needed_for, blocks=_CPU)


# -- what makes the picture whole, and what single features need


def _other_processes(machine: Machine) -> Requirement:
    name, needed_for = "other users' processes", "function names of every user's programs"
    ok = machine.has(SYS_PTRACE)
    if ok:
        return Requirement(name, True, "CAP_SYS_PTRACE", needed_for)
    mend = "run with sudo, or grant CAP_SYS_PTRACE as well"
    return Requirement(name, ok, f"{_who(machine)} lacks CAP_SYS_PTRACE", needed_for, mend)


def _kernel_symbols(machine: Machine) -> Requirement:
    """kallsyms_show_value of kernel/ksyms_common.c."""
    name, needed_for = "kernel symbols", "names of kernel functions"
    hidden, paranoid = machine.number("proc/sys/kernel/kptr_restrict"), machine.number(_PARANOID)
    if hidden is None:
        return Requirement(name, None, "unknown", needed_for)
    if (hidden == 0 and paranoid is not None and paranoid <= 1) or (hidden <= 1 and machine.has(SYSLOG)):
        return Requirement(name, True, f"readable (kptr_restrict is {hidden})", needed_for)
    mend = machine.as_root("sysctl -w kernel.kptr_restrict=0") if hidden > 1 else "run with sudo, or grant CAP_SYSLOG"
    return Requirement(name, False, f"hidden (kptr_restrict is {hidden})", needed_for, mend)


_PARANOID: Final = "proc/sys/kernel/perf_event_paranoid"


def _sysctl(machine: Machine, name: str, path: str) -> Requirement:
    """A limit on those without capabilities: it says why they are needed, and binds nobody who has them."""
    value = machine.number(path)
    found = "unknown" if value is None else f"{value}, which binds only those without capabilities"
    return Requirement(name, None if value is None else True, found, "nothing, given the capabilities")


def _paranoid(machine: Machine) -> Requirement:
    return _sysctl(machine, "perf_event_paranoid", _PARANOID)


def _unprivileged(machine: Machine) -> Requirement:
    return _sysctl(machine, "unprivileged_bpf_disabled", "proc/sys/kernel/unprivileged_bpf_disabled")


def _seccomp(machine: Machine) -> Requirement:
    mode = machine.status().get("Seccomp", "")
    words = {
        "0": (True, "no filter"),
        "1": (False, "strict"),
        "2": (None, "a filter; `system calls` says what it lets"),
    }
    ok, found = words.get(mode, (None, "unknown"))
    return Requirement("seccomp", ok, found, "nothing, if the system calls answer")


def _container(machine: Machine) -> Requirement:
    kind = machine.container()
    return Requirement("container", True, kind or "none", "nothing, if what is above is there")


def _mount(machine: Machine, kind: str, where: str, needed_for: str, blocks: tuple[str, ...] = ()) -> Requirement:
    found = machine.mounted(kind)
    mend = "" if found else machine.as_root(f"mount -t {kind} {kind} {where}")
    name = "bpffs" if kind == "bpf" else kind
    return Requirement(name, bool(found), found or "not mounted", needed_for, mend, blocks)


def _tracefs(machine: Machine) -> Requirement:
    return _mount(
        machine,
        "tracefs",
        "/sys/kernel/tracing",
        "locks without syscalls: without it every system call is traced for them",
    )


def _bpffs(machine: Machine) -> Requirement:
    return _mount(machine, "bpf", "/sys/fs/bpf", "pinned programs; nothing here uses it yet")


def _cgroup2(machine: Machine) -> Requirement:
    where = "/sys/fs/cgroup/unified" if machine.mounted("cgroup") else "/sys/fs/cgroup"
    return _mount(machine, "cgroup2", where, "--cgroup", ("cgroup",))


def _terminal(machine: Machine) -> Requirement:
    needed_for, term = "the screens; --once works without", machine.environ.get("TERM", "")
    if term in ("", "dumb"):
        found = "TERM is dumb" if term else "TERM is not set"
        return Requirement("terminal", False, found, needed_for, "export TERM=xterm-256color", ("screen",))
    names = ("LC_ALL", "LC_CTYPE", "LANG")
    locale = next((machine.environ[name] for name in names if machine.environ.get(name)), "")
    if locale not in ("", "C", "POSIX") and not re.search(r"utf-?8", locale, re.IGNORECASE):
        found = f"{clean(term)}, with the locale {clean(locale)}"
        return Requirement("terminal", False, found, needed_for, "export LC_ALL=C.UTF-8")
    deep = machine.environ.get("COLORTERM") in ("truecolor", "24bit") or term.endswith("-direct")
    colours = "16 million" if deep else "256" if "256" in term else "16"
    return Requirement("terminal", True, f"{clean(term)}, {colours} colours", needed_for, blocks=("screen",))


def _unwinder(machine: Machine) -> Requirement:
    needed_for = "whole stacks of programs without frame pointers"
    if machine.architecture != "x86_64":
        return Requirement("unwinder", False, f"not for {machine.architecture} yet: frame pointers only", needed_for)
    return Requirement("unwinder", True, "x86_64", needed_for)


def _kernel_locks(machine: Machine) -> Requirement:
    needed_for, version = "waits for the kernel's own locks", _version(machine)
    if version == (0, 0):
        return Requirement("kernel locks", None, "unknown kernel", needed_for)
    if version < (5, 19):
        return Requirement(
            "kernel locks", False, "no lock:contention_begin before 5.19", needed_for, "boot 5.19 or newer"
        )
    return Requirement("kernel locks", True, "lock:contention_begin", needed_for)


def _inlines(machine: Machine) -> Requirement:
    found = any((Path(folder) / "symbolic").is_dir() for folder in machine.folders)
    mend = "" if found else "pip install symbolic (in the environment that Aperture runs in)"
    words = "symbolic is there" if found else "symbolic is not installed"
    return Requirement("debug information", found, words, "inlined functions of C, C++ and Rust as frames", mend)


def _inferno(machine: Machine) -> Requirement:
    lacking = [name for name in ("inferno-flamegraph", "inferno-diff-folded") if not machine.tool(name)]
    mend = "make inferno (or cargo install inferno)" if lacking else ""
    found = f"no {', no '.join(lacking)}" if lacking else machine.tool("inferno-flamegraph")
    return Requirement("inferno", not lacking, found, "SVG flame graphs", mend, ("svg",))


def _perf(machine: Machine) -> Requirement:
    found = machine.tool("perf")
    mend = "" if found else install_command(machine, "perf")
    return Requirement("perf", bool(found), found or "not installed", "benchmarks and tests, as the reference", mend)


def _version(machine: Machine) -> tuple[int, int]:
    parts = re.match(r"(\d+)\.(\d+)", machine.read("proc/sys/kernel/osrelease") or "")
    return (int(parts[1]), int(parts[2])) if parts else (0, 0)


_PROBES: Final[tuple[Callable[[Machine], Requirement], ...]] = (
    *(_python, _kernel, _user_namespace, _capabilities, _lockdown, _system_calls, _btf),
    *(_locked_memory, _pid_namespace, _bcc),
    *(_other_processes, _kernel_symbols, _paranoid, _unprivileged, _seccomp, _container),
    *(_tracefs, _bpffs, _cgroup2, _terminal, _unwinder, _kernel_locks, _inlines, _inferno, _perf),
)


def probe(machine: Machine | None = None) -> list[Requirement]:
    """Everything, most basic first. What was found is one line, safe to show, whatever the files say."""
    from aperture_tui.collect.gpu.needs import needs

    machine = machine or Machine()
    found = [*(one(machine) for one in _PROBES), *needs(machine)]
    return [replace(one, found=clean(" ".join(one.found.split()))[:_LONGEST]) for one in found]


def check(purpose: str, machine: Machine | None = None) -> list[Requirement]:
    """What is known to stand in the way of "cpu", "cgroup", "screen" or "svg", most basic first; [] if nothing is."""
    return [one for one in probe(machine) if one.ok is False and purpose in one.blocks]


def first_problem(purpose: str, machine: Machine | None = None) -> str | None:
    """One clear line: the most basic thing that is missing, and what mends it; None if nothing is known to be."""
    missing = check(purpose, machine)
    return f"{missing[0].found}: {missing[0].mend}" if missing else None
