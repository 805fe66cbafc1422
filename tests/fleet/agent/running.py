"""The agent as a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

_COMMAND = [sys.executable, "-m", "aperture_tui.cli.main", "agent"]


def started(address: str, spool: Path, *options: str) -> subprocess.Popen[str]:
    """It runs, and pushes there."""
    return subprocess.Popen(
        [*_COMMAND, "--remote", address, "--spool", str(spool), *options], stderr=subprocess.PIPE, text=True
    )


def ended(agent: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Asked to end: its exit status, and what it said."""
    agent.send_signal(signal.SIGTERM)
    _, said = agent.communicate(timeout=30)
    return agent.returncode, said.splitlines()


def killed(agent: subprocess.Popen[str]) -> None:
    """At once."""
    agent.kill()
    agent.communicate()
