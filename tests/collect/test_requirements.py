from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.collect import requirements
from aperture_tui.collect.machine import Machine, install_command
from aperture_tui.collect.requirements import Requirement, check, first_problem, probe
from aperture_tui.profile.text import clean

_ALL = "000001ffffffffff"
_NONE = "0000000000000000"
_MOUNTS = """\
proc /proc proc rw 0 0
sysfs /sys sysfs rw 0 0
securityfs /sys/kernel/security securityfs rw 0 0
tracefs /sys/kernel/tracing tracefs rw 0 0
bpf /sys/fs/bpf bpf rw 0 0
cgroup2 /sys/fs/cgroup cgroup2 rw 0 0
"""

Change = Callable[[Path], None]


def _write(root: Path, path: str, content: str | bytes) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content if isinstance(content, bytes) else content.encode())


def _healthy(root: Path) -> Machine:
    """A Debian machine, seen by root, with everything."""
    files = {
        "etc/os-release": 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12"\n',
        "proc/sys/kernel/osrelease": "6.1.0-21-amd64\n",
        "proc/sys/kernel/perf_event_paranoid": "3\n",
        "proc/sys/kernel/kptr_restrict": "1\n",
        "proc/sys/kernel/unprivileged_bpf_disabled": "2\n",
        "proc/self/status": f"Name:\tpython\nCapEff:\t{_ALL}\nSeccomp:\t0\n",
        "proc/self/uid_map": "         0          0 4294967295\n",
        "proc/self/mounts": _MOUNTS,
        "proc/self/limits": "Max locked memory         8388608              8388608              bytes     \n",
        "proc/1/cgroup": "0::/init.scope\n",
        "sys/kernel/security/lockdown": "none [integrity] confidentiality\n",
        "sys/kernel/btf/vmlinux": "",
        "usr/lib/python3/dist-packages/bcc/libbcc.py": "",
        "usr/lib/python3/dist-packages/bcc/version.py": "__version__ = '0.26.0'\n",
        "usr/lib/x86_64-linux-gnu/libbcc.so.0": "",
    }
    for path, content in files.items():
        _write(root, path, content)
    (root / "proc/self/ns").mkdir()
    (root / "proc/self/ns/pid").symlink_to("pid:[4026531836]")
    environ = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PATH": "", "HOME": str(root)}
    return Machine(root, environ, uid=0, python=(3, 12, 3), folders=())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return _healthy(tmp_path)


def _named(machine: Machine, name: str) -> Requirement:
    return next(one for one in probe(machine) if one.name == name)


def _capabilities(held: str) -> Change:
    return lambda root: _write(root, "proc/self/status", f"CapEff:\t{held}\nSeccomp:\t0\n")


def _removed(path: str) -> Change:
    return lambda root: (root / path).unlink()


def _pid_namespace(root: Path) -> None:
    (root / "proc/self/ns/pid").unlink()
    (root / "proc/self/ns/pid").symlink_to("pid:[4026532201]")


def test_nothing_stands_in_the_way_on_a_healthy_machine(machine: Machine) -> None:
    assert check("cpu", machine) == []
    assert check("cgroup", machine) == []
    assert first_problem("cpu", machine) is None


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda root: _write(root, "proc/sys/kernel/osrelease", "5.4.0-150-generic\n"),
            "kernel 5.4.0-150-generic: boot a kernel of 5.8 or newer (BPF ring buffer)",
        ),
        (
            _removed("sys/kernel/btf/vmlinux"),
            "no /sys/kernel/btf/vmlinux: boot a kernel built with CONFIG_DEBUG_INFO_BTF=y "
            "(every current distribution's is)",
        ),
        (
            lambda root: _write(root, "sys/kernel/security/lockdown", "none integrity [confidentiality]\n"),
            "kernel lockdown is confidentiality, which forbids profiling: "
            "boot with lockdown=integrity or without lockdown",
        ),
        (
            lambda root: _write(root, "proc/self/uid_map", "0 1000 1\n"),
            "inside a user namespace, where root is not the machine's root: run on the host, or in a rootful container",
        ),
        (
            _capabilities(_NONE),
            "this root lacks CAP_BPF and CAP_PERFMON: run as root outside this restricted shell or service "
            "(its capability bounding set lacks them)",
        ),
        (
            _pid_namespace,
            "inside a pid namespace, where the host's process numbers mean other processes: run on the host",
        ),
        (
            lambda root: shutil.rmtree(root / "usr/lib/python3"),
            "BCC for Python 3 is not installed: apt-get install --no-install-recommends python3-bpfcc",
        ),
    ],
)
def test_each_thing_that_is_missing_is_one_line_with_what_mends_it(change: Change, line: str, machine: Machine) -> None:
    change(machine.root)
    assert first_problem("cpu", machine) == line


def test_the_most_basic_problem_comes_first(machine: Machine) -> None:
    shutil.rmtree(machine.root / "usr/lib/python3")
    _capabilities(_NONE)(machine.root)
    _write(machine.root, "proc/sys/kernel/osrelease", "4.19.0\n")
    assert [one.name for one in check("cpu", machine)] == ["kernel", "capabilities", "locked memory", "BCC"]


def test_a_user_is_told_to_use_sudo(machine: Machine) -> None:
    _capabilities(_NONE)(machine.root)
    user = replace(machine, uid=1000)
    line = "user 1000 lacks CAP_BPF and CAP_PERFMON: run with sudo, or grant CAP_BPF and CAP_PERFMON"
    assert first_problem("cpu", user) == line
    assert install_command(user, "bcc").startswith("sudo apt-get install ")


@pytest.mark.parametrize(
    ("held", "enough"),
    [
        ((39, 38), True),
        ((21,), True),  # CAP_SYS_ADMIN stands for both
        ((39,), False),
        ((38,), False),
    ],
)
def test_capabilities_without_root_are_enough(held: tuple[int, ...], enough: bool, machine: Machine) -> None:
    _capabilities(f"{sum(1 << one for one in held):016x}")(machine.root)
    assert (check("cpu", replace(machine, uid=1000)) == []) is enough


def test_partial_rights_are_shown_for_what_they_cost(machine: Machine) -> None:
    _capabilities(f"{1 << 39 | 1 << 38:016x}")(machine.root)
    user = replace(machine, uid=1000)
    assert _named(user, "other users' processes").ok is False
    assert _named(user, "kernel symbols").mend == "run with sudo, or grant CAP_SYSLOG"


@pytest.mark.parametrize(
    ("restrict", "paranoid", "held", "readable"),
    [
        ("0", "1", _NONE, True),
        ("0", "2", _NONE, False),
        ("0", "2", _ALL, True),
        ("1", "1", _NONE, False),
        ("1", "4", _ALL, True),
        ("2", "-1", _ALL, False),
    ],
)
def test_kernel_symbols_follow_the_kernels_own_rule(
    restrict: str, paranoid: str, held: str, readable: bool, machine: Machine
) -> None:
    _write(machine.root, "proc/sys/kernel/kptr_restrict", restrict)
    _write(machine.root, "proc/sys/kernel/perf_event_paranoid", paranoid)
    _capabilities(held)(machine.root)
    assert _named(machine, "kernel symbols").ok is readable


@pytest.mark.parametrize(
    "mark",
    [
        lambda root: _write(root, ".dockerenv", ""),
        lambda root: _write(root, "run/.containerenv", ""),
        lambda root: _write(root, "run/systemd/container", "lxc\n"),
        lambda root: _write(root, "proc/1/cgroup", "12:cpu:/kubepods/burstable/pod1\n"),
    ],
)
def test_in_a_container_the_flags_of_its_start_are_named(mark: Change, machine: Machine) -> None:
    mark(machine.root)
    _capabilities(_NONE)(machine.root)
    _pid_namespace(machine.root)
    mends = {one.name: one.mend for one in check("cpu", machine)}
    assert "--cap-add BPF --cap-add PERFMON" in mends["capabilities"]
    assert mends["pid namespace"] == "start the container with --pid=host (Kubernetes: hostPID: true)"


def test_before_5_11_locked_memory_counts_unless_we_may_raise_it(machine: Machine) -> None:
    _write(machine.root, "proc/sys/kernel/osrelease", "5.10.0-28-amd64")
    assert _named(machine, "locked memory").ok is True
    _capabilities(f"{1 << 39 | 1 << 38:016x}")(machine.root)
    assert _named(machine, "locked memory").mend == "ulimit -l unlimited (as root)"
    _write(machine.root, "proc/self/limits", "Max locked memory         unlimited            unlimited     bytes\n")
    assert _named(machine, "locked memory").ok is True


def test_unmounted_file_systems_come_with_their_mount_command(machine: Machine) -> None:
    _write(machine.root, "proc/self/mounts", "proc /proc proc rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n")
    _removed("sys/kernel/security/lockdown")(machine.root)
    assert _named(machine, "tracefs").mend == "mount -t tracefs tracefs /sys/kernel/tracing"
    assert _named(machine, "bpffs").mend == "mount -t bpf bpf /sys/fs/bpf"
    assert _named(machine, "cgroup2").mend == "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified"
    assert _named(machine, "lockdown").ok is None
    assert check("cpu", machine) == []
    assert [one.name for one in check("cgroup", machine)] == ["cgroup2"]


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ("ID=ubuntu\nID_LIKE=debian\n", "apt-get install --no-install-recommends python3-bpfcc"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "apt-get install --no-install-recommends python3-bpfcc"),
        ("ID=fedora\n", "dnf install python3-bcc"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "dnf install python3-bcc"),
        ("ID=arch\n", "pacman -S --needed python-bcc"),
        ('ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n', "zypper install python3-bcc"),
        ("ID=alpine\n", "apk add py3-bcc"),
        ("ID=plan9\n", "install the distribution's package of BCC for Python 3"),
        ("", "install the distribution's package of BCC for Python 3"),
    ],
)
def test_bcc_is_named_as_the_distribution_names_it(release: str, command: str, machine: Machine) -> None:
    _write(machine.root, "etc/os-release", release)
    assert install_command(machine, "bcc") == command


def test_a_package_that_is_only_called_bcc_is_not_bcc(machine: Machine, tmp_path: Path) -> None:
    _write(tmp_path / "site", "bcc/__init__.py", "")
    shutil.rmtree(machine.root / "usr/lib/python3")
    assert _named(replace(machine, folders=(str(tmp_path / "site"),)), "BCC").ok is False


def test_bcc_is_found_where_other_distributions_put_it(machine: Machine) -> None:
    source = machine.root / "usr/lib/python3/dist-packages"
    target = machine.root / "usr/lib/python3.13/site-packages"
    target.parent.mkdir(parents=True)
    source.rename(target)
    assert requirements.bcc_folder(machine) == target
    assert _named(machine, "BCC").found == "BCC 0.26.0"


@pytest.mark.parametrize(
    ("environ", "ok", "found"),
    [
        ({"TERM": "xterm"}, True, "xterm, 16 colours"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, True, "xterm-256color, 16 million colours"),
        ({"TERM": "dumb"}, False, "TERM is dumb"),
        ({}, False, "TERM is not set"),
        ({"TERM": "xterm", "LC_ALL": "de_DE.ISO-8859-1"}, False, "xterm, with the locale de_DE.ISO-8859-1"),
    ],
)
def test_the_terminal(environ: dict[str, str], ok: bool, found: str, machine: Machine) -> None:
    terminal = _named(replace(machine, environ=environ), "terminal")
    assert (terminal.ok, terminal.found) == (ok, found)


def test_the_unwinder_is_for_one_architecture_yet(machine: Machine) -> None:
    assert _named(replace(machine, architecture="x86_64"), "unwinder").ok is True
    arm = _named(replace(machine, architecture="aarch64"), "unwinder")
    assert (arm.ok, arm.found) == (False, "not for aarch64 yet: frame pointers only")
    assert not check("cpu", replace(machine, architecture="aarch64")), "it is no reason not to begin"


def test_the_library_for_debug_information_is_named(machine: Machine) -> None:
    assert _named(machine, "debug information").mend.startswith("pip install symbolic")
    (machine.root / "site" / "symbolic").mkdir(parents=True)
    there = replace(machine, folders=(str(machine.root / "site"),))
    assert _named(there, "debug information").ok is True


def test_tools_are_found_where_cargo_puts_them(machine: Machine) -> None:
    assert _named(machine, "inferno").mend == "make inferno (or cargo install inferno)"
    for name in ("inferno-flamegraph", "inferno-diff-folded"):
        _write(machine.root, f".cargo/bin/{name}", "#!/bin/sh\n")
        (machine.root / f".cargo/bin/{name}").chmod(0o755)
    assert _named(machine, "inferno").ok is True


def test_an_empty_tree_is_unknown_not_a_crash(tmp_path: Path) -> None:
    found = probe(Machine(tmp_path, {}, 0, (3, 11, 0), ()))
    assert {one.name for one in found if one.ok is None} >= {"kernel", "capabilities", "pid namespace"}


_CORRUPTIBLE = (
    "etc/os-release",
    "proc/sys/kernel/osrelease",
    "proc/sys/kernel/kptr_restrict",
    "proc/self/status",
    "proc/self/uid_map",
    "proc/self/mounts",
    "proc/self/limits",
    "proc/1/cgroup",
    "run/systemd/container",
    "sys/kernel/security/lockdown",
    "usr/lib/python3/dist-packages/bcc/version.py",
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine of which one file at a time says anything at all."""
    return _healthy(tmp_path_factory.mktemp("hostile"))


@given(path=st.sampled_from(_CORRUPTIBLE), content=st.binary(max_size=200))
def test_nothing_that_a_file_says_crashes_a_probe_or_reaches_the_terminal(
    hostile: Machine, path: str, content: bytes
) -> None:
    file = hostile.root / path
    before = file.read_bytes() if file.exists() else b""
    _write(hostile.root, path, content)
    try:
        for one in probe(hostile):
            assert clean(f"{one.found}{one.mend}") == f"{one.found}{one.mend}"
            json.dumps(one.as_json())
    finally:
        file.write_bytes(before)


# -- the real kernel


@pytest.mark.bpf
def test_the_kernel_answers_when_asked() -> None:
    assert _named(Machine(), "system calls").ok is True


def _under(*command: str) -> dict[str, dict[str, object]]:
    """What the doctor finds inside `command`: the same code, really in other circumstances."""
    code = "from aperture_tui.cli.doctor import run; run(['--json'])"
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]} of util-linux")
    done = subprocess.run([*command, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if not done.stdout:
        pytest.skip(f"{command[0]} is not allowed here: {done.stderr.strip()[:80]}")
    return {row["name"]: row for row in json.loads(done.stdout)}


_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@_root
def test_root_with_a_narrowed_bounding_set_is_recognised() -> None:
    found = _under("setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin", "--inh-caps=-bpf,-perfmon,-sys_admin")
    assert found["capabilities"]["ok"] is False
    assert found["system calls"]["ok"] is None


@_root
def test_a_user_namespace_is_recognised_for_all_its_capabilities() -> None:
    found = _under("unshare", "--user", "--map-root-user")
    assert found["capabilities"]["ok"] is True
    assert found["user namespace"]["ok"] is False


@_root
def test_a_pid_namespace_is_recognised() -> None:
    assert _under("unshare", "--pid", "--fork", "--mount-proc")["pid namespace"]["ok"] is False
