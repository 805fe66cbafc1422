"""A terminal that can be slow or stop: `python -m tests.tui.reading FD RATE BUFFER LOG` reads a pseudo terminal.

It reads so many bytes a second at most (0: all at once). With a buffer it takes all that fits there at once, and draws
at that rate: the way of a slow SSH line, whose buffers nobody can look into. What was drawn, and when, goes into a
log; the question for synchronized updates is answered when it is drawn.
"""

from __future__ import annotations

import os
import select
import struct
import sys
import time
from pathlib import Path
from typing import NamedTuple

ASK, ANSWER = b"\x1b[?2026$p", b"\x1b[?2026;2$y"
_HEAD = struct.Struct("=dI")
_TICK_S = 0.01


class Drawn(NamedTuple):
    """Bytes that the terminal drew. at: CLOCK_MONOTONIC, seconds."""

    at: float
    data: bytes


def log_of(file: Path) -> list[Drawn]:
    """What a terminal has drawn so far."""
    data, at, found = file.read_bytes() if file.exists() else b"", 0, []
    while at + _HEAD.size <= len(data):
        when, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if at + size > len(data):
            break
        found.append(Drawn(when, data[at : at + size]))
        at += size
    return found


def read(fd: int, rate: float, buffer: int, log: Path, answers: bool) -> None:
    """Until the other end is closed."""
    waiting, tail = bytearray(), b""
    room = rate * _TICK_S
    left, before = room, time.monotonic()
    with log.open("wb", buffering=0) as out:
        while True:
            now = time.monotonic()
            left = min(room * 10, left + rate * (now - before)) if now - before < 1 else room  # time stopped is lost
            before = now
            wanted = max(buffer - len(waiting), 0) if buffer else int(left) if rate else 1 << 16
            if wanted and select.select([fd], [], [], _TICK_S)[0]:
                try:
                    waiting += os.read(fd, wanted)
                except OSError:
                    return
            elif not wanted:
                time.sleep(_TICK_S)
            draws = bytes(waiting[: int(left)] if rate else waiting)
            if not draws:
                continue
            del waiting[: len(draws)]
            left -= len(draws)
            out.write(_HEAD.pack(time.monotonic(), len(draws)) + draws)
            asked = (tail + draws).count(ASK)
            tail = (tail + draws)[-(len(ASK) - 1) :]
            if answers and asked:
                os.write(fd, ANSWER * asked)


if __name__ == "__main__":
    read(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5] == "answers")
