"""The thread that takes what agents send, as it comes: a socket holds far less than is told between two drains."""

from __future__ import annotations

import os
import select
import socket
import threading
from typing import Final

_AT_ONCE: Final = 1 << 16
MOST: Final = 16 << 20
"""Bytes of one agent between two drains: what is more stays with it, and is bounded and counted there."""
MOST_OF_ALL: Final = 128 << 20
"""Of all agents together: there may be hundreds, and none is to be trusted."""
_LOOK_S: Final = 0.1
"""How soon one is read again that had filled its room."""


class Inbox:
    """What one agent has sent since it was taken. Any thread may put and take."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._data = bytearray()
        self._ended = False

    def __len__(self) -> int:
        return len(self._data)

    @property
    def has_room(self) -> bool:
        """Whether more is taken of it."""
        return len(self._data) < MOST and not self._ended

    def put(self, data: bytes) -> None:
        """Some bytes more; none: there is no more to come."""
        with self._lock:
            self._data += data
            self._ended = self._ended or not data

    def take(self) -> tuple[bytes, bool]:
        """Everything until now, and whether it is all that there will be."""
        with self._lock:
            data, self._data = self._data, bytearray()
            return bytes(data), self._ended


class Reading:
    """The thread. `follow`, `leave` and `end` belong to the collecting thread; the connections stay that one's."""

    def __init__(self) -> None:
        self._inboxes: dict[socket.socket, Inbox] = {}
        self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._reading = threading.Lock()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="gpu agents", daemon=True)

    def follow(self, connection: socket.socket) -> Inbox:
        """Read one more."""
        inbox = Inbox()
        self._inboxes = {**self._inboxes, connection: inbox}
        if self._thread.ident is None:
            self._thread.start()
        self._nudge()
        return inbox

    def leave(self, connection: socket.socket) -> None:
        """Read it no more; then it may be closed."""
        self._inboxes = {one: inbox for one, inbox in self._inboxes.items() if one is not connection}
        self._nudge()
        with self._reading:  # whoever reads it now has done so
            pass

    def end(self) -> None:
        """Read nothing more."""
        self._ending = True
        if self._thread.ident is not None:
            self._nudge()
            self._thread.join()
        for end in self._wake:
            os.close(end)

    def _nudge(self) -> None:
        try:
            os.write(self._wake[1], b"\0")
        except BlockingIOError:  # it is full of nudges
            return

    def _run(self) -> None:
        while not self._ending:
            with self._reading:
                is_room = sum(map(len, self._inboxes.values())) < MOST_OF_ALL
                waiting = [one for one, inbox in self._inboxes.items() if inbox.has_room and is_room]
                is_full = len(waiting) < len(self._inboxes)
                poll = select.poll()
                by_number = {one.fileno(): one for one in waiting}
                for number in (self._wake[0], *by_number):
                    poll.register(number, select.POLLIN)
            ready = {number for number, _ in poll.poll(_LOOK_S * 1000 if is_full else None)}
            with self._reading:
                if self._wake[0] in ready:
                    os.read(self._wake[0], 1 << 12)
                for number in ready & by_number.keys():
                    self._read(by_number[number])

    def _read(self, connection: socket.socket) -> None:
        inbox = self._inboxes.get(connection)
        if inbox is None:  # it was left meanwhile
            return
        try:
            inbox.put(connection.recv(_AT_ONCE))
        except BlockingIOError:
            return
        except OSError:
            inbox.put(b"")
