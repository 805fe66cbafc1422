"""The sockets that agents listen at: where they are, and whose."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import struct
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple

from aperture_tui.symbolize.served import answers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CREDENTIALS: Final = struct.Struct("=iII")
_NAME: Final = re.compile(r"(\d{1,10})\.sock")
_USER: Final = re.compile(r"\d{1,10}")
_FOLDER: Final = re.compile(r"aperture-gpu-\d{1,10}")
MAX_SOCKETS: Final = 256
"""In all; folders have their turns, so that one that is full leaves room for those of others."""
_MAX_ENTRIES: Final = 4096
_MAX_ROOTS: Final = 256


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


def doors(roots: Sequence[str] = ("",)) -> list[Door]:
    """Those of all users that this process may enter; of its own alone if it is not root's. roots: of other mount
    namespaces, as /proc/PID/root, beside "" for our own.
    """
    by_folder = [_in(folder) for root in roots for folder in _folders(root)]
    in_turn = (door for some in zip_longest(*by_folder) for door in some if door is not None)
    return list(islice(_once(in_turn), MAX_SOCKETS))


def _once(found: Iterator[Door]) -> Iterator[Door]:
    """Mount namespaces may share a folder: a socket is met by the first way to it."""
    seen = set()
    for door in found:
        with contextlib.suppress(OSError):
            facts = os.lstat(door.path)
            if (facts.st_dev, facts.st_ino) not in seen:
                seen.add((facts.st_dev, facts.st_ino))
                yield door


def other_roots() -> list[str]:
    """A way into each mount namespace that is not ours: containers, and services with a /tmp of their own."""
    seen = {_namespace("self")}
    found: list[str] = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        namespace = _namespace(pid)
        if namespace not in seen and len(found) < _MAX_ROOTS:
            seen.add(namespace)
            found.append(f"/proc/{pid}/root")
    return found


def _namespace(pid: str) -> int:
    try:
        return os.stat(f"/proc/{pid}/ns/mnt").st_ino
    except OSError:  # it has ended, or is not ours to look at: as good as our own
        return os.stat("/proc/self/ns/mnt").st_ino


def _folders(root: str) -> Iterator[str]:
    temporary = "/tmp"  # noqa: S108 - what lies there is believed only if it is its owner's alone
    for shared, name in (("/run/user", _USER), (temporary, _FOLDER)):
        if not answers(root, shared):
            continue
        with contextlib.suppress(OSError):
            for entry in os.listdir(f"{root}{shared}"):
                if name.fullmatch(entry):
                    yield f"{root}{shared}/{entry}" + ("/aperture-gpu" if name is _USER else "")


def _in(folder: str) -> list[Door]:
    """The newest first: those of programs that were killed are still there. A folder is its owner's, whoever made its
    name, and is looked into only if it is theirs alone.
    """
    with contextlib.suppress(OSError):
        facts = os.lstat(folder)
        if not stat.S_ISDIR(facts.st_mode) or facts.st_mode & 0o077 or os.geteuid() not in (0, facts.st_uid):
            return []
        with os.scandir(folder) as entries:
            found = [(_made_ns(one), one.name) for one in islice(entries, _MAX_ENTRIES) if _NAME.fullmatch(one.name)]
        return [Door(f"{folder}/{name}", facts.st_uid) for _, name in sorted(found, reverse=True)[:MAX_SOCKETS]]
    return []


def _made_ns(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_mtime_ns
    except OSError:  # it is gone
        return 0


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
