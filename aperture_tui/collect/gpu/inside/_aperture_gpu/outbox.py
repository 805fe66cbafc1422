"""Frames on their way: bounded, never waited for, and what finds no room is counted."""

from __future__ import annotations

import json
import socket
import struct
from collections import Counter, deque
from typing import Any

from . import wire

ROOM = 4 << 20
_WORDS = {wire.KERNELS: "kernels", wire.COPIES: "copies", wire.CALLS: "calls", wire.SYNCS: "waits"}
_SPAN = struct.Struct("<QQ")


class Outbox:
    """Owned by the agent's thread. Names and words of state may take as much room again: records say less without."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._frames: deque[memoryview] = deque()
        self._bytes = 0
        self._named: set[int] = set()
        self.dropped: dict[str, int] = Counter()
        """What -> records that were not sent."""
        self.sent = 0

    def rows(self, frame: int, rows: Any, each: int = 1) -> None:
        """Records of one layout, in as many frames as they need. each: as of wire.FRAME."""
        size = rows.dtype.itemsize
        most = (wire.MAX_FRAME - wire.FRAME.size) // size
        for at in range(0, len(rows), most):
            some = rows[at : at + most]
            if not self._put(frame, some.tobytes(), self._room, each):
                self.dropped[_WORDS.get(frame, "devices")] += len(some)

    def unrecorded(self, start_ns: int, end_ns: int) -> None:
        """A stretch of time of which nothing is told."""
        if start_ns < end_ns and not self._put(wire.UNRECORDED, _SPAN.pack(start_ns, end_ns), 2 * self._room):
            self.dropped["words"] += 1

    def name(self, number: int, text: str) -> None:
        """A name, once."""
        if number not in self._named:
            data = number.to_bytes(8, "little") + text.encode("utf-8", "backslashreplace")[: wire.MAX_TEXT]
            if self._put(wire.STRING, data, 2 * self._room):
                self._named.add(number)
            else:
                self.dropped["names"] += 1

    def knows(self, number: int) -> bool:
        """Whether a name has been sent."""
        return number in self._named

    def words(self, frame: int, told: dict[str, Any]) -> None:
        """HELLO or STATUS."""
        if not self._put(frame, json.dumps(told).encode(), 2 * self._room):
            self.dropped["words"] += 1

    def _put(self, frame: int, data: bytes, room: int, each: int = 1) -> bool:
        if self._bytes + len(data) > room:
            return False
        self._frames.append(memoryview(wire.FRAME.pack(frame, each, len(data)) + data))
        self._bytes += len(data) + wire.FRAME.size
        return True

    @property
    def waiting(self) -> int:
        """Bytes that are not sent yet."""
        return self._bytes

    def send(self, to: socket.socket) -> None:
        """As much as the other end takes now. Raises OSError if it is gone."""
        while self._frames:
            frame = self._frames[0]
            try:
                n = to.send(frame, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            self._bytes -= n
            self.sent += n
            if n < len(frame):
                self._frames[0] = frame[n:]
                return
            self._frames.popleft()
