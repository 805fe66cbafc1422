"""Files on a file system that can be told not to answer, for tests: see `fuse_server`."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_SERVER = Path(__file__).parent / "fuse_server.py"


class Served:
    """A mounted folder. It is seen in a mount namespace of its own alone, so that nothing else can get stuck in it."""

    def __init__(self, folder: Path, *files: Path) -> None:
        """Raises RuntimeError where it cannot be mounted."""
        self.folder = folder
        words = [
            "unshare",
            "-m",
            "--propagation",
            "private",
            sys.executable,
            str(_SERVER),
            str(folder),
            *map(str, files),
        ]
        self._server = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        if self._said() != "mounted":
            self.end()
            raise RuntimeError("it could not be mounted")

    @property
    def pid(self) -> int:
        """Of the process that serves, which has the mount namespace."""
        return self._server.pid

    def inside(self, *words: str | Path) -> list[str]:
        """The command line that runs another one where the folder is seen."""
        return ["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", "--", *map(str, words)]

    def hold(self) -> None:
        """Answer nothing from now on."""
        self._tell("hold")

    def go(self) -> None:
        """Answer what has been asked, and everything from now on."""
        self._tell("go")

    def _tell(self, command: str) -> None:
        assert self._server.stdin is not None
        self._server.stdin.write(f"{command}\n")
        assert self._said() == command

    def _said(self) -> str:
        assert self._server.stdout is not None
        return self._server.stdout.readline().strip()

    def end(self) -> None:
        """End the server; with it the kernel ends the connection, and whoever waits for it has an error."""
        self._server.kill()
        self._server.communicate()


@contextlib.contextmanager
def served(folder: Path, *files: Path) -> Iterator[Served]:
    """Serve copies of these files. Skips where that cannot be done."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"/dev/fuse cannot be opened: {error.strerror}")
    if shutil.which("nsenter") is None or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("a mount namespace needs root, and unshare and nsenter of util-linux")
    folder.mkdir()
    server = Served(folder, *files)
    try:
        yield server
    finally:
        server.end()
