"""Programs that tell of a synthetic GPU, started by the real `aperture gpu run`, and a real Session that hears them."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aperture_tui.collect.settings import Settings
from aperture_tui.profile.health import Health, State
from aperture_tui.session import Session
from tests.collect.collecting import Kept
from tests.programs import build

HERE: Final = Path(__file__).parent
LONGEST_S: Final = 30.0


@dataclass
class Target:
    """A synthetic program that is ready."""

    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    def work(self, line: str = "go") -> dict[str, Any]:
        """Have it do its work once -> what it did. line: what it is told. Raises TimeoutError where it hangs."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], 2 * LONGEST_S)[0]:
            self.process.kill()
            raise TimeoutError("it does not come back from its work")
        told: dict[str, Any] = json.loads(self.process.stdout.readline())
        return told

    def end(self) -> None:
        """Have it end by itself."""
        assert self.process.stdin
        self.process.stdin.close()
        assert self.process.wait(LONGEST_S) == 0


def libraries(folder: Path) -> tuple[Path, Path]:
    """A synthetic libcuda.so.1 and libcupti.so.13."""
    out = []
    for name, program in (("libcuda.so.1", "synthetic_libcuda"), ("libcupti.so.13", "synthetic_cupti")):
        out.append(folder / name)
        if not out[-1].exists():
            shutil.copy(build(program, "-O2", "-shared", "-fPIC", "-Wno-unused-variable"), out[-1])
    return out[0], out[1]


@contextmanager
def target(
    folder: Path,
    launches: int = 100,
    threads: int = 1,
    pause_us: int = 0,
    options: tuple[str, ...] = (),
    before: tuple[str, ...] = (),
    script: Path = HERE / "synthetic_target.py",
    **environ: str,
) -> Iterator[Target]:
    """`aperture gpu run -- python synthetic_target.py`, ready to work; it does not outlive the block.

    before: a command that becomes the one behind it.
    """
    libcuda, libcupti = libraries(folder)
    root = str(HERE.parents[2])
    path = os.pathsep.join((str(HERE / "synthetic_cupti"), root, *filter(None, sys.path)))
    env = {**os.environ, "PYTHONPATH": path, "SYNTHETIC_CUPTI": str(libcupti), "SYNTHETIC_CUDA": str(libcuda)}
    env |= environ
    arguments = [str(script), str(libcuda), str(libcupti), *map(str, (launches, threads, pause_us))]
    command = [sys.executable, "-m", "aperture_tui.cli.main", "gpu", "run", *options, "--", sys.executable, *arguments]
    with subprocess.Popen(
        [*before, *command], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            assert process.stderr
            line = process.stdout.readline()
            assert line, process.stderr.read()
            assert json.loads(line) == {"ready": True}
            yield Target(process)
        finally:
            process.kill()


@contextmanager
def hearing(program: Target, until: str | None = "", **settings: Any) -> Iterator[Kept]:
    """A session that has found this program's agent: its health has these words, or "" once all is told; None: at once.

    It hears no other: another run of these tests may be going on. Everything is recorded, unless there is a gpu_limit.
    """
    kept = Kept()
    chosen = {"events": ("gpu",), "pids": (program.pid,), "gpu_limit": 1.0, **settings}
    session = Session(Settings(**chosen), {"kept": kept, "memory": kept.store})
    session.start()
    try:
        if until is not None:
            await_words(kept, until)
        yield kept
    finally:
        session.stop()
    assert session.failure == ""


def await_words(kept: Kept, words: str) -> Health:
    """Until the health of gpu_kernel has these words; of "" until it has none to say."""
    ends = time.monotonic() + LONGEST_S
    while True:
        health = kept.health_of("gpu_kernel")
        is_running = health is not None and health.state is State.RUNNING
        if health is not None and is_running and (words in health.message if words else not health.message):
            return health
        assert time.monotonic() < ends, f"{words!r} is not in {health}"
        time.sleep(0.05)


def settle(kept: Kept, kernels: int) -> None:
    """Until so many kernels have come."""
    ends = time.monotonic() + 15
    while (health := kept.health_of("gpu_kernel")) is None or health.delivered + health.lost_total < kernels:
        assert time.monotonic() < ends, health
        time.sleep(0.05)
