"""The sockets that agents listen at: where they are, and whose."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_CREDENTIALS: Final = struct.Struct("=iII")
_NAME: Final = re.compile(r"(\d{1,10})\.sock")
_FOLDER: Final = re.compile(r"aperture-gpu-(\d{1,10})")
MAX_SOCKETS: Final = 256


class Door(NamedTuple):
    """A socket. uid: whose folder it lies in."""

    path: str
    uid: int


class RefusedError(OSError):
    """Nobody is there any more, or somebody else than its folder says."""


def folder_of_user(uid: int) -> str:
    """Where a user's agents are to listen."""
    own = f"/run/user/{uid}"
    return f"{own}/aperture-gpu" if os.path.isdir(own) else f"/tmp/aperture-gpu-{uid}"  # noqa: S108 - 0700, and checked


def doors(root: str = "") -> list[Door]:
    """Those of all users that this process may enter; of one's own if it is not root's. root: of another mount
    namespace, as /proc/PID/root.
    """
    return [door for folder in _folders(root) for door in _in(*folder)][:MAX_SOCKETS]


def _folders(root: str) -> Iterator[tuple[str, int]]:
    with contextlib.suppress(OSError):
        for name in os.listdir(f"{root}/run/user"):
            if name.isdecimal():
                yield f"{root}/run/user/{name}/aperture-gpu", int(name)
    with contextlib.suppress(OSError):
        shared = f"{root}/tmp"  # noqa: S108 - what lies there is believed only if it is its user's alone
        for name in os.listdir(shared):
            if found := _FOLDER.fullmatch(name):
                yield f"{shared}/{name}", int(found[1])


def _in(folder: str, uid: int) -> Iterator[Door]:
    """A folder is believed only if it is its user's alone: anybody can make one in /tmp."""
    with contextlib.suppress(OSError):
        facts = os.lstat(folder)
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != uid or facts.st_mode & 0o077:
            return
        if os.geteuid() not in (0, uid):
            return
        for name in sorted(os.listdir(folder)):
            if _NAME.fullmatch(name):
                yield Door(f"{folder}/{name}", uid)


def connected(door: Door) -> tuple[socket.socket, int]:
    """A connection, and the pid of who listens, as this process sees it. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        connection.connect(door.path)
        pid, uid, _ = _CREDENTIALS.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        if uid != door.uid or pid <= 0 or pid == os.getpid():
            raise RefusedError(f"{door.path} is not who its folder says")
    except OSError:
        connection.close()
        raise
    return connection, pid
