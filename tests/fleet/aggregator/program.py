"""`aperture aggregator` as it is started, and agents that push to it without rest."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from aperture_tui.wire.fleet_pb2 import PushRequest
from aperture_tui.wire.fleet_pb2_grpc import IngestStub

_OPTIONS = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 100))


class Program:
    """An aggregator, over chDB in a folder unless another store is given, and what it says. first: its first line."""

    def __init__(self, folder: Path, *arguments: str, listen: str = "127.0.0.1:0", store: str = "") -> None:
        stores = ["--store", store or f"chdb://{folder / 'db'}", "--state", str(folder / "journal")]
        command = [sys.executable, "-m", "aperture_tui.cli.main", "aggregator", "--listen", listen, *stores, *arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.first = self.process.stderr.readline()
        while self.first and " WARNING " in self.first:
            self.first = self.process.stderr.readline()
        self._second = self.process.stderr.readline() if "--http" in arguments else ""

    @property
    def address(self) -> str:
        found = re.search(r"listening on (\S+:\d+) ", self.first)
        assert found, self.first
        return found[1]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    @property
    def http_port(self) -> int:
        found = re.search(r"http://\S+:(\d+)/metrics", self._second)
        assert found, self.first + self._second
        return int(found[1])

    def peak_mb(self) -> int:
        """The most memory that it ever had, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s*(\d+) kB", status)
        assert found
        return int(found[1]) // 1024

    def kill(self) -> str:
        """As a crash would; what it had said."""
        self.process.kill()
        return self.ended()[1]

    def ended(self) -> tuple[int, str]:
        """Its exit status, and all that it said. One that goes on for a minute is killed."""
        assert self.process.stderr is not None
        too_long = threading.Timer(60, self.process.kill)
        too_long.start()
        said = self.process.stderr.read()  # not by communicate, which does not see what came with an earlier line
        too_long.cancel()
        return self.process.wait(), self.first + self._second + said


@contextmanager
def held_port() -> Iterator[int]:
    """One of loopback that nobody else is given meanwhile, whether an aggregator listens at it or not."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as listeners do: beside one that does not listen
        one.bind(("127.0.0.1", 0))
        yield int(one.getsockname()[1])


def held(folder: Path, tenant: str = "default") -> dict[str, Any]:
    """What `looking` finds in an aggregator's folder, when that has ended."""
    command = [sys.executable, "-m", "tests.fleet.aggregator.looking", str(folder / "db"), tenant]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@dataclass
class Agent:
    """Pushes one after the other, each until it is acknowledged. make: the push of a seq. last: where it ends.

    acknowledged: how far it is. statuses: those of what was refused.
    """

    address: str
    make: Callable[[int], PushRequest]
    last: int = 1 << 62
    pause_s: float = 0.0
    acknowledged: int = 0
    statuses: list[grpc.StatusCode] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)
    _made: dict[int, PushRequest] = field(default_factory=dict)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """After the push under way."""
        self.gone.set()
        self._thread.join()

    def wait(self, timeout: float = 60) -> None:
        """Until all is acknowledged."""
        self._thread.join(timeout)
        assert not self._thread.is_alive(), f"push {self.acknowledged + 1} is not acknowledged: {self.statuses[-5:]}"

    def _run(self) -> None:
        with grpc.insecure_channel(self.address, _OPTIONS) as channel:
            stub = IngestStub(channel)
            while self.acknowledged < self.last and not self.gone.is_set():
                request = self.make(self.acknowledged + 1)
                try:
                    reply = stub.Push(request, timeout=20, wait_for_ready=True)
                    assert reply.stored == request.seq, f"{reply.stored} is stored, {request.seq} was sent"
                    self.acknowledged = reply.stored
                    time.sleep(self.pause_s)
                except grpc.RpcError as error:
                    self.statuses.append(error.code())
                    delays = [int(value) for key, value in error.trailing_metadata() or () if key == "retry-after-ms"]
                    self.delays += [one / 1000 for one in delays]
                    time.sleep(0.05)
