"""An agent that says what another one once said: `python -m bench.tour.gpu_agent RECORDING SECONDS`. Then it ends.

The recording is one of `python -m bench.gpu fixtures`; its clock is moved, so that it all happened just now.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aperture_tui.collect.gpu.finding import folder_of_user
from aperture_tui.collect.gpu.inside._aperture_gpu import wire
from bench.gpu.asking import MAGIC


def frames(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, how many each stands for, body) of a recording."""
    data = data[len(MAGIC) :].partition(b"\n")[2]
    at = 0
    while at + wire.FRAME.size <= len(data):
        kind, each, length = wire.FRAME.unpack_from(data, at)
        at += wire.FRAME.size
        yield kind, each, data[at : at + length]
        at += length


def moved(hello: dict[str, Any], to_ns: int) -> bytes:
    """A greeting by which what happened as it was said happened at this Unix time."""
    _, its_ns = hello["clock_ns"]
    return json.dumps({**hello, "clock_ns": [to_ns, its_ns]}).encode()


def said(data: bytes, at_ns: int) -> Iterator[bytes]:
    """The frames that are sent at once; the last word of itself goes on."""
    for kind, each, body in frames(data):
        if kind == wire.STATUS:
            continue
        told = moved(json.loads(body), at_ns) if kind == wire.HELLO else body
        yield wire.FRAME.pack(kind, each, len(told)) + told


def main() -> None:
    """Wait to be asked, answer, and have a word a second, until nobody listens any more or the time is over."""
    data = Path(sys.argv[1]).read_bytes()
    until = time.monotonic() + float(sys.argv[2])
    words = [body for kind, _, body in frames(data) if kind == wire.STATUS]
    folder = Path(folder_of_user(os.geteuid()))
    folder.mkdir(mode=0o700, exist_ok=True)
    door = folder / f"{os.getpid()}.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(door))
        try:
            listening.listen(1)
            listening.settimeout(max(0.1, until - time.monotonic()))
            asked, _ = listening.accept()
            with asked:
                asked.recv(wire.REQUEST.size)
                asked.sendall(b"".join(said(data, time.time_ns() - 1_000_000_000)))
                while time.monotonic() < until and not select.select([asked], [], [], 1.0)[0]:
                    asked.sendall(b"".join(wire.FRAME.pack(wire.STATUS, 0, len(word)) + word for word in words[-1:]))
        finally:
            door.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
