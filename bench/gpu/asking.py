"""A program with the agent in it, asked without a Session around it; and recordings of what it answers."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.collect.gpu.environment import environment
from aperture_tui.collect.gpu.frames import LAYOUTS, ROWS, Frames
from aperture_tui.collect.gpu.inside._aperture_gpu import wire

MAGIC: Final = b"APERTURE GPU RECORDING 1\n"
"""Of a recording: then a line of JSON, then frames as they came (wire.py)."""
_LONGEST_S: Final = 20.0
"""Before an agent is given up that does not say that it is on: to load CUPTI takes it seconds."""
FAILURES: Final = (RuntimeError, OSError, ValueError)
"""What a program or its agent can do to the one who asks: end, hang, leave, speak otherwise than in wire.py."""
COUNTED: Final = {wire.KERNELS: "kernels", wire.COPIES: "copies", wire.CALLS: "calls", wire.SYNCS: "waits"}
"""Frames whose records are counted."""
ROOT: Final = Path(__file__).parents[2]
WORK = Path(__file__).with_name("work.py")
"""The program that works."""


@dataclass
class Answers:
    """What an agent has said. raw: the frames, for a recording."""

    frames: Frames = field(default_factory=Frames)
    rows: dict[int, list[NDArray[np.void]]] = field(default_factory=dict)
    hello: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    raw: bytearray = field(default_factory=bytearray)

    def take(self, data: bytes) -> None:
        """Some bytes more."""
        self.raw += data
        for told in self.frames.feed(data):
            if told.frame == wire.HELLO:
                self.hello = told.words
            elif told.frame == wire.STATUS:
                self.status = told.words
            else:
                self.rows.setdefault(told.frame, []).append(told.rows)

    def of(self, frame: int) -> NDArray[np.void]:
        """All records of one layout."""
        return np.concatenate([np.zeros(0, ROWS[frame]), *self.rows.get(frame, [])])


class Asking:
    """A conversation with one agent."""

    def __init__(self, path: Path, wish: int, limit: float = 1.0) -> None:
        self.answers = Answers()
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(str(path))
        self._connection.sendall(wire.REQUEST.pack(wire.MAGIC, wish, round(limit * 1e6)))

    def read(self, seconds: float) -> bool:
        """What comes in this time -> whether the agent is still there."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            if select.select([self._connection], [], [], left)[0]:
                data = self._connection.recv(1 << 20)
                if not data:
                    return False
                self.answers.take(data)
        return True

    def until_on(self) -> None:
        """Until its records are switched on. Raises RuntimeError with why they are not."""
        ends = time.monotonic() + _LONGEST_S
        while not self.answers.hello:
            if time.monotonic() > ends or not self.read(0.1):
                raise RuntimeError(self.answers.status.get("aside") or "the agent does not answer")

    def close(self) -> None:
        """It switches them off."""
        self._connection.close()


class Program:
    """bench/gpu/work.py, or another program that takes a line of JSON and answers with one."""

    def __init__(self, command: list[str], callbacks: str, folder: Path, **environ: str) -> None:
        env = {**os.environ, **environ}
        env |= environment(callbacks, {**env, "APERTURE_GPU": str(folder)}) if callbacks else {}
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (env.get("PYTHONPATH", ""), str(ROOT))))
        self._folder = folder
        self._hung = ""
        self._process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def do(self, what: dict[str, Any], seconds: float = 120.0) -> dict[str, Any]:
        """Have it do something -> its answer. Raises TimeoutError, or RuntimeError if it ended.

        One that hung is not asked again: what it answers late would be taken for another answer.
        """
        assert self._process.stdin and self._process.stdout  # noqa: PT018 - pipes, both
        if self._hung:
            raise RuntimeError(self._hung)
        line = ""
        with suppress(BrokenPipeError):  # it has ended: as if it said nothing
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
            if not select.select([self._process.stdout], [], [], seconds)[0]:
                self._hung = f"no answer to {what} in {seconds:g} s"
                raise TimeoutError(self._hung)
            line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"it ended with {self._ended()} at {what}")
        told: dict[str, Any] = json.loads(line)
        if "error" in told:
            raise RuntimeError(told["error"])
        return told

    def ask(self, wish: int = wire.WISH_CALLS, limit: float = 1.0) -> Asking:
        """Begin a conversation; its records are on. Raises RuntimeError with why they are not, or OSError."""
        if self._hung or self.died is not None:
            raise RuntimeError(self._hung or f"it ended with {self.died} before it was asked")
        asking = Asking(self._folder / f"{self._process.pid}.sock", wish, limit)
        try:
            asking.until_on()
        except FAILURES:
            asking.close()
            raise
        return asking

    @property
    def died(self) -> int | None:
        """The status that it ended with; None while it is there."""
        return self._process.poll()

    def end(self) -> None:
        """Let it end; a hung one is killed."""
        assert self._process.stdin
        with suppress(BrokenPipeError):  # a question that an ended one has not taken
            self._process.stdin.close()
        self._ended()

    def _ended(self) -> int:
        try:
            return self._process.wait(0 if self._hung else 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


@contextmanager
def program(*arguments: str, callbacks: str, **environ: str) -> Iterator[Program]:
    """work.py with the agent; callbacks "" is without."""
    with tempfile.TemporaryDirectory(prefix="aperture-bench-gpu-") as folder:
        command = [sys.executable, str(WORK), *arguments]
        made = Program(command, callbacks, Path(folder) / "agents", **environ)
        try:
            yield made
        finally:
            made.end()


def recording(answers: Answers, header: dict[str, Any]) -> bytes:
    """A recording without what tells one machine from another. header: JSON types."""
    frames, at, out = bytes(answers.raw), 0, bytearray()
    while at + wire.FRAME.size <= len(frames):
        kind, each, length = wire.FRAME.unpack_from(frames, at)
        body = frames[at + wire.FRAME.size : at + wire.FRAME.size + length]
        if kind == wire.DEVICES:
            rows = np.frombuffer(body, LAYOUTS[kind]).copy()
            rows["uuid"] = np.zeros(1, "V16")
            body = rows.tobytes()
        if len(body) == length:
            out += wire.FRAME.pack(kind, each, length) + body
        at += wire.FRAME.size + length
    return MAGIC + json.dumps({**header, "hello": answers.hello}).encode() + b"\n" + bytes(out)


def replayed(data: bytes) -> tuple[dict[str, Any], Answers]:
    """The header of a recording, and what was answered. Raises ValueError for what is none."""
    if not data.startswith(MAGIC):
        raise ValueError("not a recording of an agent, or of another version")
    header, _, frames = data[len(MAGIC) :].partition(b"\n")
    answers = Answers()
    answers.take(frames)
    told: dict[str, Any] = json.loads(header)
    return told, answers
