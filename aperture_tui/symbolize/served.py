"""Files of file systems that may not answer: asked for in children, waited for shortly, copied into memory.

Nothing here opens such a file, so no thread of this process can get stuck in one. See `mounts` and `copying`.
"""

from __future__ import annotations

import errno
import os
import re
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aperture_tui.profile.text import clean
from aperture_tui.symbolize.copying import Answer, Copier
from aperture_tui.symbolize.mounts import MOUNTS, Mount, Mounts
from aperture_tui.symbolize.opening import open_in_mount, open_in_root
from aperture_tui.symbolize.source import FileSource

if TYPE_CHECKING:
    from aperture_tui.symbolize.mapping import Mapping

ANSWER_S: Final = 0.5
"""A file system of which nothing has come for so long is said not to answer."""
PATIENCE_S: Final = 1.0
"""How long all threads together wait for answers, at first; then _SHARE of the time that passes."""
_SHARE: Final = 0.05
_START_S: Final = 10.0
"""Before a child that does not listen yet is given up: the machine may be busy."""
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
"""After the first pause, and twice as long each time, up to this, one that does not answer is asked anew."""
_BELIEVED_S: Final = 60.0
"""Facts of a file are asked for again after this time: on a server it may be written to while programs run it."""
_FAILED_S: Final = 1.0
_HELD_S: Final = 5.0
"""How long a copy is held for all that want to read it."""
_IDLE_S: Final = 30.0
_MAX_BYTES: Final = 128 << 20
"""Of one copy, and of those that are held when another one is asked for."""
_MAX_FILES: Final = 4096
_MAX_CHILDREN: Final = 16
_MAX_TOLD: Final = 3
_ROOT_OF: Final = re.compile(r"/proc/(\d+)/root")


class NotAnsweringError(OSError):
    """The file system does not answer, or has not yet: to be tried again."""


@dataclass(slots=True)
class _Copy:
    """What is known of a file. fd: of its copy, if one was made and is still held, else -1. place: by which it was
    sought. at: when it was told."""

    answer: Answer
    fd: int
    place: list[Any]
    at: float


@dataclass(slots=True)
class _Server:
    """A file system, and the child that asks it. asked, place: the file that it works on. memory: for a copy of it, or
    -1. retry_at: when it is asked anew, if it is silent. unknown: files that were wanted meanwhile."""

    name: str
    copier: Copier | None = None
    asked: Hashable = None
    place: list[Any] = field(default_factory=list)
    memory: int = -1
    silent: bool = False
    pause_s: float = _FIRST_PAUSE_S
    retry_at: float = 0.0
    used_at: float = 0.0
    unknown: set[Hashable] = field(default_factory=set)


class ServedFiles:
    """Any thread may ask; one that has to wait keeps the others waiting, for PATIENCE_S in all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._servers: dict[Hashable, _Server] = {}
        self._copies: dict[Hashable, _Copy] = {}
        self._leaving: list[Copier] = []
        self._patience_s = PATIENCE_S
        self._earned_at = time.monotonic()

    def facts(self, mount: Mount, pid: int, mapping: Mapping) -> os.stat_result:
        """What stat says of the file behind a mapping. Raises OSError; NotAnsweringError to be asked again."""
        with self._lock:
            return self._facts(self._mapped(mount, pid, mapping, contents=False))

    def opened(self, mount: Mount, pid: int, mapping: Mapping) -> FileSource:
        """A copy of the file behind a mapping. Raises OSError; NotAnsweringError to be asked again."""
        with self._lock:
            return self._source(self._mapped(mount, pid, mapping, contents=True))

    def opened_in_root(self, mount: Mount, root: str, path: str, *, follow: bool) -> FileSource:
        """A copy of the file at a path: see `opening.open_in_root`. mount: what it leads into, as far as that is known.
        Raises OSError; NotAnsweringError to be asked again."""
        with self._lock:
            key, request = (root, path, follow), ["path", root, path, follow]
            return self._source(self._get(mount, key, request, _FAILED_S, contents=True))

    def tend(self) -> None:
        """Take in what has come; ask anew what is silent; let go of what nobody needs. Does not wait."""
        with self._lock:
            now = time.monotonic()
            for server in self._servers.values():
                self._advance(server)
                if server.copier is not None and server.asked is None and now - server.used_at > _IDLE_S:
                    self._drop(server)
            for copy in self._copies.values():
                if copy.fd >= 0 and now - copy.at > _HELD_S:
                    os.close(copy.fd)
                    copy.fd = -1
            self._leaving = [copier for copier in self._leaving if not copier.is_gone]

    def words(self) -> str:
        """What does not answer now, in one line; "" if nothing is known of that kind."""
        with self._lock:
            silent = [server for server in self._servers.values() if server.silent]
            told = "; ".join(
                f"files of {server.name} do not answer{_names_of(len(server.unknown))}" for server in silent[:_MAX_TOLD]
            )
            more = len(silent) - _MAX_TOLD
            return f"{told}; and {more} file systems more" if more > 0 else told

    def close(self) -> None:
        """Forget everything, and have the children end; who waits for its file system is left to itself."""
        with self._lock:
            for server in self._servers.values():
                self._drop(server, kill=True)
            self._servers.clear()
            for key in list(self._copies):
                self._forget(key)
            self._patience_s = PATIENCE_S
            self._leaving = [copier for copier in self._leaving if not copier.is_gone]

    # -- files

    def _mapped(self, mount: Mount, pid: int, mapping: Mapping, *, contents: bool) -> _Copy:
        key = (mapping.device, mapping.inode, mapping.path)
        fields = (mapping.start, mapping.end, mapping.offset, mapping.path, mapping.device, mapping.inode)
        return self._get(mount, key, ["mapped", pid, *fields], _BELIEVED_S, contents=contents)

    def _get(self, mount: Mount, key: Hashable, place: list[Any], believed_s: float, *, contents: bool) -> _Copy:
        """What is known of a file, asked for if need be. Raises NotAnsweringError."""
        server = self._server(mount)
        self._advance(server)
        copy = self._known(key, place, contents)
        if copy is None:
            self._wait(server)  # for what was asked by others
            self._ask(server, key, place, contents)
            self._wait(server)
            copy = self._known(key, place, contents)
        elif time.monotonic() - copy.at > believed_s:
            self._ask(server, key, place, contents)
        if copy is None:
            if len(server.unknown) < _MAX_FILES:
                server.unknown.add(key)
            raise NotAnsweringError(errno.ETIMEDOUT, "its file system does not answer", server.name)
        return copy

    def _known(self, key: Hashable, place: list[Any], contents: bool) -> _Copy | None:
        """What a file was told to be, if that is enough. What failed through a process that has ended, say, need not
        through another."""
        copy = self._copies.get(key)
        if copy is None:
            return None
        if copy.answer.error:
            return copy if copy.place == place and time.monotonic() - copy.at < _FAILED_S else None
        return copy if copy.fd >= 0 or not contents else None

    @staticmethod
    def _facts(copy: _Copy) -> os.stat_result:
        if copy.answer.facts is None:
            raise OSError(copy.answer.error, os.strerror(copy.answer.error))
        return copy.answer.facts

    def _source(self, copy: _Copy) -> FileSource:
        return FileSource(os.dup(copy.fd), self._facts(copy), whole=copy.answer.whole)

    def _forget(self, key: Hashable) -> None:
        copy = self._copies.pop(key)
        if copy.fd >= 0:
            os.close(copy.fd)

    # -- file systems

    def _server(self, mount: Mount) -> _Server:
        number = mount.device, mount.point
        server = self._servers.get(number)
        if server is None:
            if len(self._servers) >= _MAX_FILES:
                self._drop(self._servers.pop(next(iter(self._servers))), kill=True)
            server = self._servers[number] = _Server(clean(mount.point) or _device(mount.device))
        server.used_at = time.monotonic()
        return server

    def _ask(self, server: _Server, key: Hashable, place: list[Any], contents: bool) -> None:
        """Give a file to the file system's child, if that has nothing else to do. contents: it is to be copied too."""
        held = (
            sum(os.fstat(copy.fd).st_blocks * 512 for copy in self._copies.values() if copy.fd >= 0) if contents else 0
        )
        if server.asked is None and held < _MAX_BYTES and (server.copier is not None or self._may_start()):
            server.asked, server.place = key, place
            self._give(server, contents)

    def _may_start(self) -> bool:
        """Whether another child may be started, after one that has nothing to do was ended if need be."""
        running = [server for server in self._servers.values() if server.copier is not None]
        idle = [server for server in running if server.asked is None]
        if len(running) >= _MAX_CHILDREN and idle:
            self._drop(min(idle, key=lambda server: server.used_at))
            return True
        return len(running) + len(self._leaving) < 2 * _MAX_CHILDREN and len(running) < _MAX_CHILDREN

    def _give(self, server: _Server, contents: bool) -> None:
        """Have the child begin with what is asked."""
        try:
            server.memory = os.memfd_create("aperture-copy", os.MFD_CLOEXEC) if contents else -1
            if server.copier is None:
                server.copier = Copier()
            server.copier.give(server.place, server.memory, _MAX_BYTES)
        except OSError as error:
            self._settle(server, Answer(error.errno or errno.EIO))
            self._drop(server)

    def _settle(self, server: _Server, answer: Answer) -> None:
        """The child's word of what it was asked."""
        key, fd = server.asked, server.memory
        server.asked, server.memory, server.silent, server.pause_s = None, -1, False, _FIRST_PAUSE_S
        server.unknown.clear()
        if answer.error and fd >= 0:
            os.close(fd)
        if key in self._copies:
            self._forget(key)
        elif len(self._copies) >= _MAX_FILES:
            self._forget(next(iter(self._copies)))
        self._copies[key] = _Copy(answer, -1 if answer.error else fd, server.place, time.monotonic())

    def _wait(self, server: _Server) -> None:
        """Until the file system has answered what it was asked, or for as long as there is patience."""
        began = time.monotonic()
        self._patience_s = min(PATIENCE_S, self._patience_s + (began - self._earned_at) * _SHARE)
        until = began + self._patience_s
        while server.asked is not None and not server.silent and time.monotonic() < until:
            self._look(server, min(0.05, until - time.monotonic()))
        self._earned_at = time.monotonic()
        self._patience_s -= self._earned_at - began

    def _look(self, server: _Server, patience_s: float = 0.0) -> None:
        """Take in what a child says, or that it says nothing."""
        copier = server.copier
        if copier is None or server.asked is None:
            return
        try:
            answer = copier.answer(max(0.0, patience_s))
        except EOFError:
            if not server.silent:  # it died of what it read; who was killed for its silence is followed by another
                self._settle(server, Answer(errno.EIO))
                self._drop(server)
            return
        now = time.monotonic()
        if answer is not None:
            self._settle(server, answer)
            if copier.is_killed:
                self._drop(server)
        elif not server.silent and now - copier.moved_at > ANSWER_S:
            server.silent, server.retry_at = True, now + server.pause_s
            if server.asked not in self._copies:
                server.unknown.add(server.asked)

    def _advance(self, server: _Server) -> None:
        """Take in what has come; ask anew what is silent. Does not wait."""
        self._look(server)
        if not server.silent:
            return
        copier, due = server.copier, server.retry_at
        if copier is not None and not copier.is_killed:  # it may have begun to get on
            due = max(due, copier.moved_at + (server.pause_s if copier.is_ready else _START_S))
        if time.monotonic() >= due:
            self._retry(server)

    def _retry(self, server: _Server) -> None:
        """Ask anew by another child. One that cannot even be killed waits for a daemon: then there is nothing to do."""
        copier = server.copier
        if copier is not None:
            copier.kill()
            if not copier.is_gone:
                return
            self._drop(server)
        contents = server.memory >= 0
        if contents:
            os.close(server.memory)
        server.pause_s = min(2 * server.pause_s, _LONGEST_PAUSE_S)
        server.retry_at = time.monotonic() + server.pause_s
        self._give(server, contents)

    def _drop(self, server: _Server, kill: bool = False) -> None:
        """Let go of a file system's child."""
        copier, server.copier = server.copier, None
        if copier is not None:
            if kill:
                copier.kill()
            copier.close()
            if not copier.is_gone:
                self._leaving.append(copier)
        if kill and server.memory >= 0:
            os.close(server.memory)
            server.memory = -1


def open_below(root: str, path: str, *, follow: bool = True) -> FileSource:
    """The file at a path, as of `opening.open_in_root`; a copy of it where the path leads into what may not answer.

    root: a folder of ours, or /proc/PID/root. Raises OSError; NotAnsweringError to be asked again.
    """
    seen = _seen_from(root)
    if seen is None:
        raise FileNotFoundError(errno.ENOENT, "the process has ended", root)
    mounts, base = seen
    mount = mounts.on_the_way(_joined(base, path))
    if mount is None and not mounts.served:
        return FileSource(open_in_root(root, path, follow=follow))
    if mount is None:
        try:
            point = mounts.point_above(path) if base == "/" else "/"
            return FileSource(open_in_mount(root, point, path, follow=follow))
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            mount = Mount(0, base, "", served=True)  # by links it may lead anywhere
    return SERVED.opened_in_root(mount, root, path, follow=follow)


def answers(root: str, folder: str) -> bool:
    """Whether a folder below a root, as of `open_below`, can be looked at without fear, as far as its name says."""
    seen = _seen_from(root)
    return seen is not None and seen[0].on_the_way(_joined(seen[1], folder)) is None


def _seen_from(root: str) -> tuple[Mounts, str] | None:
    """The mounts that a root is among, and where there; None if its process has ended."""
    of_process = _ROOT_OF.fullmatch(root)
    return MOUNTS.of(int(of_process[1])) if of_process is not None else (MOUNTS.ours(), root)


def _joined(base: str, path: str) -> str:
    return f"{base.rstrip('/')}/{path.lstrip('/')}"


def _device(number: int) -> str:
    return f"device {os.major(number)}:{os.minor(number)} (mounted nowhere)"


def _names_of(files: int) -> str:
    """What is missing; "" where all that is wanted was known before."""
    return f": names of {files} file{'s' * (files > 1)} unknown" if files else ""


SERVED: Final = ServedFiles()
"""Of this process: threads that read files share its patience, and what it knows."""
