"""A fleet on one machine: an aggregator on chDB, this machine's own agent, 50 simulated ones, and the screens on them.

`make fleet-demo`. Everything is in a folder that is removed at the end; with no terminal it lists the machines, and
ends.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

APERTURE: Final = str(Path(sys.executable).parent / "aperture")
_AGENTS: Final = 50
_INTERVAL_S: Final = 5
_START_S: Final = 60
_FIRST_S: Final = 15
"""Until the first pushes of all are stored."""


def main() -> int:
    """Start everything, show it, end everything."""
    folder = Path(tempfile.mkdtemp(prefix="aperture-fleet-"))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    try:
        with fleet(folder) as address:
            if sys.stdin.isatty() and sys.stdout.isatty():
                return subprocess.call([f"{APERTURE}-top", "--remote", address])
            return subprocess.call([APERTURE, "query", "hosts", "--remote", address])
    except RuntimeError as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def fleet(folder: Path) -> Iterator[str]:
    """All of it, with its files in a folder -> the aggregator's address, once all have pushed. Raises RuntimeError."""
    with contextlib.ExitStack() as programs:
        address = programs.enter_context(_aggregator(folder))
        _say(f"{_AGENTS} simulated agents, and this machine's own")
        load = [sys.executable, "-m", "bench.fleet.load", "--remote", address, "--agents", str(_AGENTS)]
        programs.enter_context(_running(folder, "load", [*load, "--interval", str(_INTERVAL_S), "--duration", "0"]))
        where = ["--remote", address, "--service", "this-machine", "--spool", str(folder / "spool")]
        agent = [APERTURE, "agent", *where, "--interval", str(_INTERVAL_S), "--events", "all"]
        ours = programs.enter_context(_running(folder, "agent", agent))
        time.sleep(_FIRST_S)
        if ours.poll() is not None:
            _say(f"without this machine: {(folder / 'agent.log').read_text().strip()}")
        yield address


@contextlib.contextmanager
def _aggregator(folder: Path) -> Iterator[str]:
    """Its address, once it listens."""
    where = ["--listen", "127.0.0.1:0", "--store", f"chdb://{folder / 'store'}", "--state", str(folder / "journal")]
    with _running(folder, "aggregator", [APERTURE, "aggregator", *where]) as process:
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            said = (folder / "aggregator.log").read_text()
            if found := re.search(r"listening on (\S+:\d+)", said):
                _say(said.strip())
                yield found[1]
                return
            if process.poll() is not None:
                raise RuntimeError(said.strip() or "the aggregator ended at once")
            time.sleep(0.1)
        raise RuntimeError("the aggregator does not listen")


@contextlib.contextmanager
def _running(folder: Path, name: str, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program that is ended when the demonstration is."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _say(words: str) -> None:
    print(f"fleet-demo: {words}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
