"""A server for tests: the shim of http_shim.py as a process of its own, on loopback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType

import pytest


class Server:
    """One server over a folder; it may go away and come back at the same port."""

    def __init__(self, folder: Path, password: str = "", config: Path | None = None) -> None:
        for package in ("chdb", "aiohttp"):
            pytest.importorskip(package, reason=f"{package} is not installed: pip install -r requirements-dev.lock")
        self._words = [sys.executable, "-m", "tests.store.clickhouse.http_shim", str(folder), "--password", password]
        self._words += ["--config", str(config)] if config else []
        self.port = 0
        self._process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        """Come up; the second time where it was before."""
        words = [*self._words, "--port", str(self.port)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def stop(self) -> None:
        """Go away."""
        if self._process is not None:
            self._process.communicate(timeout=60)
            self._process = None

    def url(self, user: str = "default") -> str:
        """Where it is."""
        return f"clickhouse://{user}@127.0.0.1:{self.port}"

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
