"""The `bpf` marker: a run without BPF must say so, and must fail where BPF is required."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent

_RUN = """
import sys, pytest
from aperture_tui.collect import requirements
lacking = requirements.Requirement("capabilities", False, "user 7 lacks CAP_BPF", "", "run with sudo", ("cpu",))
requirements.probe = lambda machine=None: [lacking]
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "tests.conftest", sys.argv[1]]))
"""

_TESTS = """
import pytest

@pytest.mark.bpf
def test_in_the_kernel(): pass

def test_elsewhere(): pass
"""


def _outcome(folder: Path, **environ: str) -> tuple[int, str]:
    (folder / "test_it.py").write_text(_TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = bpf: needs the kernel\n")
    kept = {name: value for name, value in os.environ.items() if name not in ("APERTURE_REQUIRE_BPF", "PYTEST_ADDOPTS")}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(folder)],
        env={**kept, "PYTHONPATH": str(_ROOT), **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_without_bpf_the_reason_is_counted(tmp_path: Path) -> None:
    status, said = _outcome(tmp_path)
    assert status == pytest.ExitCode.OK
    assert "1 skipped: BPF programs cannot be loaded: user 7 lacks CAP_BPF: run with sudo" in said
    assert "1 passed, 1 skipped" in said.splitlines()[-1]


def test_where_bpf_is_required_its_absence_fails(tmp_path: Path) -> None:
    status, said = _outcome(tmp_path, APERTURE_REQUIRE_BPF="1")
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "1 passed, 1 error" in said.splitlines()[-1]
    assert "user 7 lacks CAP_BPF: run with sudo" in said
