"""Programs under measurement: started, ended and paid for by wait4."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from bench import procfs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

END_S: Final = 60.0
"""How long a program may take to end before it is killed."""


class FailedError(Exception):
    """A program did not do what it was started for; the text is its own last line."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that has ended. cpu_s: user and system, its ended children included. peak_rss_bytes: of the largest.

    The kernel carries the peak of the process that started it over the exec, so no figure is below the harness's own.
    """

    status: int
    cpu_s: float
    peak_rss_bytes: int


def environment() -> dict[str, str]:
    """The environment of what is measured: without a switch that would keep Python from caching bytecode."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Program:
    """A running program in a session of its own. began_ns: CLOCK_MONOTONIC just before the exec."""

    def __init__(self, command: Sequence[str], scratch: Path, extra: dict[str, str] | None = None) -> None:
        self.command = command
        self._errors = (scratch / "stderr").open("w+b")
        self.began_ns = time.monotonic_ns()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            env={**environment(), **(extra or {})},
            cwd=scratch,
        )
        self.pid = self._process.pid

    def wait_for_perf_event(self, timeout_s: float = 30.0) -> float:
        """Seconds from exec until it holds a perf event. Raises FailedError."""
        return self.wait_until(procfs.holds_perf_event, "no perf event", timeout_s)

    def wait_until(self, true_of: Callable[[int], bool], otherwise: str, timeout_s: float = 30.0) -> float:
        """Seconds from exec until something is true of the process. Raises FailedError, also when it ends."""
        while time.monotonic_ns() - self.began_ns < timeout_s * 1e9:
            if true_of(self.pid):
                return (time.monotonic_ns() - self.began_ns) / 1e9
            if ended := self._reap(os.WNOHANG):
                raise FailedError(self._last_words(ended.status))
            time.sleep(0.004)
        self.kill()
        raise FailedError(f"{otherwise} within {timeout_s:.0f} s")

    def end(self, number: int = signal.SIGINT) -> Ended:
        """Ask it to end, wait, and pay. Raises FailedError if it has already failed, or does not end."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            raise FailedError("it was gone before its time") from None
        return self.wait(END_S)

    def wait(self, timeout_s: float) -> Ended:
        """Wait for its end. Raises FailedError when it takes longer: then it is killed."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            if ended := self._reap(os.WNOHANG):
                self._errors.close()
                return ended
            time.sleep(0.02)
        self.kill()
        raise FailedError(f"did not end within {timeout_s:.0f} s")

    def kill(self) -> None:
        """End it at once, if it still runs."""
        if self._process.returncode is None:
            os.kill(self.pid, signal.SIGKILL)  # Popen would wait for one that has just ended by itself
            self._reap(0)
        self._errors.close()

    def _reap(self, options: int) -> Ended | None:
        pid, status, usage = os.wait4(self.pid, options)
        if pid == 0:
            return None
        self._process.returncode = os.waitstatus_to_exitcode(status)  # Popen must not wait for it again
        return Ended(self._process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)

    def _last_words(self, status: int) -> str:
        lines = last_lines(self._errors)
        self._errors.close()
        return lines[-1] if lines else f"ended with status {status}"


def last_lines(file: IO[bytes]) -> list[str]:
    """The lines of what a program has said, without empty ones."""
    file.seek(0)
    text = file.read(1 << 16).decode("utf-8", "replace")
    return [line.strip() for line in text.splitlines() if line.strip()]
