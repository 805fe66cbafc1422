"""The socket that the agent listens at: where it is, who may ask there, and in which words."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import socket
import stat
import struct
from typing import Any

from . import wire

_CREDENTIALS = struct.Struct("=iII")
_SWEPT = 64
"""Sockets of others that are looked at in our folder."""


def listening(folder: str) -> Any:
    """A socket in a folder that belongs to this user alone, and its path. Raises OSError."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    facts = os.lstat(folder)
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
        raise PermissionError(f"{folder} does not belong to this user alone")
    sweep(folder)
    path = os.path.join(folder, f"{os.getpid()}.sock")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # of one that had this number before
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.bind(path)
    listener.listen(4)
    listener.setblocking(False)
    return listener, path


def sweep(folder: str) -> None:
    """Take away sockets of programs that were killed: nobody listens there, and nobody of their number is alive."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder)[:_SWEPT]:
            number, _, suffix = name.partition(".")
            path = os.path.join(folder, name)
            if suffix == "sock" and number.isdecimal() and not os.path.exists(f"/proc/{number}") and is_left(path):
                os.unlink(path)


def is_left(path: str) -> bool:
    """Whether it is a socket, and nobody listens there: those of another container may be alive."""
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as trying:
        return trying.connect_ex(path) == errno.ECONNREFUSED


def may_ask(connection: socket.socket) -> bool:
    """Whether the other end is root's or this user's own."""
    _, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return uid in (0, os.geteuid())


def received(connection: socket.socket) -> Any:
    """What is asked for: magic, wish, millionths; None if it is not asked in words like ours. They come at once, or not
    at all. From then on the connection is waited for no more.
    """
    connection.settimeout(0.5)
    try:
        data = connection.recv(wire.REQUEST.size, socket.MSG_WAITALL)
    except OSError:
        return None
    connection.setblocking(False)  # each send would wait as long, and then fail as if the other end had left
    if len(data) != wire.REQUEST.size or not data.startswith(wire.FAMILY):
        return None
    return wire.REQUEST.unpack(data)


def send_away(connection: socket.socket, why: str) -> None:
    """Say why, in frames that all versions know, and no more."""
    import json  # not before somebody asks

    told = json.dumps({"sent_away": why}).encode()
    with contextlib.suppress(OSError):
        connection.send(wire.FRAME.pack(wire.STATUS, 1, len(told)) + told, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    connection.close()


def waited(sockets: dict[socket.socket, int], seconds: float | None) -> dict[socket.socket, int]:
    """Those that are ready, and for what. Not select(): that knows no descriptor beyond 1,023."""
    poll = select.poll()
    by_number = {one.fileno(): one for one in sockets}
    for number, one in by_number.items():
        poll.register(number, sockets[one])
    ready = poll.poll(None if seconds is None else math.ceil(1000 * seconds))
    return {by_number[number]: events for number, events in ready}
