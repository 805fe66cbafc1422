"""A child that copies files of one file system that may not answer, and what is said to it and by it.

Whoever has such a file open, or waits for it, may not be able to end: a request that a daemon of FUSE has taken is
waited out even by who was killed, and closing asks too. So this process never opens one. The child may be left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from typing import Any, Final, NamedTuple

from aperture_tui.symbolize.confined import start

READY: Final = b"ready"
MOST_BYTES: Final = 1 << 16
"""Of a request or an answer."""
_CHILD: Final = "aperture_tui.symbolize.copying_child"
_FACTS: Final = ("st_mode", "st_ino", "st_dev", "st_nlink", "st_uid", "st_gid", "st_size")
_TIMES: Final = ("st_atime_ns", "st_mtime_ns", "st_ctime_ns")


class Answer(NamedTuple):
    """What became of a file. error: a number of errno, 0 if none. whole: whether all of it was copied, if any was."""

    error: int
    facts: os.stat_result | None = None
    whole: bool = False


def packed(answer: Answer) -> bytes:
    """A datagram."""
    facts = answer.facts and [getattr(answer.facts, name) for name in (*_FACTS, *_TIMES)]
    return json.dumps([answer.error, facts, answer.whole]).encode()


def unpacked(datagram: bytes) -> Answer:
    """The inverse of `packed`. Raises ValueError for anything else."""
    error, facts, whole = json.loads(datagram)
    if facts is None:
        return Answer(error)
    times = dict(zip(_TIMES, facts[len(_FACTS) :], strict=True))
    seconds = [ns // 1_000_000_000 for ns in times.values()]
    return Answer(error, os.stat_result((*facts[: len(_FACTS)], *seconds), times), whole)


class Copier:
    """The child, and the one file that it works on. Raises OSError where it cannot be started."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._child = start(_CHILD, [str(theirs.fileno())], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        self._socket = ours
        self._copied = 0
        self._memory = -1
        self.is_killed = False
        self.is_ready = False
        """Whether it has begun to listen: what it was given until then it could not answer."""
        self.moved_at = time.monotonic()
        """When it was last seen to get on."""

    def give(self, place: list[Any], memory: int, most: int) -> None:
        """Have it look at a file, and copy up to so many bytes into this memory, which stays the caller's; -1 for none.
        place: see `copying_child`. Raises OSError."""
        words = [json.dumps([most, *place]).encode()]
        socket.send_fds(self._socket, words, [memory] if memory >= 0 else [], socket.MSG_DONTWAIT)
        self._memory, self._copied, self.moved_at = memory, 0, time.monotonic()

    def answer(self, patience_s: float = 0.0) -> Answer | None:
        """What became of the file, waiting for it so long; None as long as nothing has. EOFError: the child is gone."""
        self._socket.settimeout(patience_s)
        try:
            datagram = self._socket.recv(MOST_BYTES)
        except (BlockingIOError, TimeoutError):
            self._look()
            return None
        except OSError:
            datagram = b""
        if datagram == READY:
            self.is_ready, self.moved_at = True, time.monotonic()
            return None
        if not datagram:
            raise EOFError
        try:
            return unpacked(datagram)
        except (ValueError, TypeError) as error:
            raise EOFError from error

    def _look(self) -> None:
        """Whether more of the file has come."""
        copied = os.fstat(self._memory).st_blocks if self._memory >= 0 else 0
        if copied != self._copied:
            self._copied, self.moved_at = copied, time.monotonic()

    def kill(self) -> None:
        """It may go on to wait for its file system; see `is_gone`."""
        if not self.is_killed and self._child.returncode is None:
            self.is_killed = True
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(signal.SIGKILL)

    @property
    def is_gone(self) -> bool:
        """Whether it has ended. Does not wait."""
        return self._child.poll() is not None

    def close(self) -> None:
        """Say nothing to it any more: it ends as soon as it can."""
        self._socket.close()
