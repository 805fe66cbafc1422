"""What a child that reads hostile files may still do."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aperture_tui.symbolize.confined import Patience, cpu_s, start
from tests.stopping import stop

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")


def said(code: str) -> list[str]:
    """The words that a process prints which has given up its rights after `code`."""
    code = f"import ctypes, os, resource\nfrom aperture_tui.symbolize.confined import drop_rights, limit\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


STATUS = (
    "fields = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
    "print(*(''.join(fields[name].split()) for name in ('NoNewPrivs', 'CapPrm', 'CapEff', 'CapAmb')))\n"
)


@ROOT_ONLY
def test_root_becomes_nobody_without_groups_and_ends_with_its_parent() -> None:
    code = (
        "drop_rights()\n"
        "orphaned = ctypes.c_int()\n"
        "ctypes.CDLL(None).prctl(2, ctypes.byref(orphaned))  # PR_GET_PDEATHSIG\n"
        "print(*os.getresuid(), *os.getresgid(), len(os.getgroups()), orphaned.value)\n"
    )
    words = said(code + STATUS)
    assert words == [*["65534"] * 6, "0", str(int(signal.SIGKILL)), "1", *["0" * 16] * 3]


@ROOT_ONLY
def test_capabilities_are_given_up_by_who_is_not_root_as_well() -> None:
    """A service may have been given them as ambient ones."""
    assert said("os.geteuid = lambda: 1000\ndrop_rights()\n" + STATUS) == ["1", *["0" * 16] * 3]


@pytest.mark.parametrize("may_raise", [False, True])
def test_a_lower_limit_stays(may_raise: bool) -> None:
    """Of root as well, who could raise it, and of others, to whom the kernel would refuse it."""
    first, second = ("", "drop_rights()\n") if may_raise else ("drop_rights()\n", "")
    code = (
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        f"{first}limit({{resource.RLIMIT_AS: 2 << 30, resource.RLIMIT_CORE: 0}})\n{second}"
        "print(*resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CORE)[0])"
    )
    assert list(map(int, said(code))) == [1 << 30, 1 << 30, 0]


def test_a_limit_is_set_for_good() -> None:
    soft, hard = map(int, said("limit({resource.RLIMIT_CPU: 7})\nprint(*resource.getrlimit(resource.RLIMIT_CPU))"))
    most = resource.getrlimit(resource.RLIMIT_CPU)[1]
    assert (soft, hard) == ((7, 8) if most == resource.RLIM_INFINITY or most > 7 else (soft, most))


def test_it_hears_nothing_of_the_terminal_and_imports_nothing_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "calendar.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    child = start("calendar", ["2000"], [])
    assert os.getpgid(child.pid) == child.pid
    assert os.getsid(child.pid) == os.getsid(0), "in another session nice would mean nothing (sched_autogroup)"
    assert child.wait() == 0


def test_a_child_that_gets_little_is_waited_for_however_late_it_is() -> None:
    clock = [0.0]
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        patience = Patience(child.pid, 60, lambda: clock[0])
        for _ in range(3):
            clock[0] += 59
            _await_more(child.pid)
            assert not patience.is_over()
        stop(child.pid)
        clock[0] += 1
        assert not patience.is_over()
        clock[0] += 60
        assert patience.is_over()
        os.kill(child.pid, signal.SIGCONT)
        _await_more(child.pid)
        assert patience.is_over()
        child.kill()
    assert cpu_s(child.pid) == 0


def test_a_child_that_gets_much_is_not_waited_for_for_ever() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        patience = Patience(child.pid, 0.2, lambda: 0.0)
        assert not patience.is_over()
        until = cpu_s(child.pid) + 0.2
        while cpu_s(child.pid) < until:
            time.sleep(0.01)
        assert patience.is_over()
        child.kill()


def _await_more(pid: int) -> None:
    before = cpu_s(pid)
    while cpu_s(pid) == before:
        time.sleep(0.001)
