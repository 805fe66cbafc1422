"""The files whose tables are to be built, and the child processes that build them."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from aperture_tui.collect.unwind.table import MAX_ANSWER, FileTable, unpacked, without_rows
from aperture_tui.symbolize.confined import Patience, start

if TYPE_CHECKING:
    import subprocess

    from aperture_tui.symbolize.images import ImageKey

_PATIENCE_S: Final = 60.0
"""Of CPU time, and without any, for one file."""
_MAX_WAITING: Final = 4096
_LARGE_BYTES: Final = 1 << 20
"""Call frames of 180,000 rows, in some 100 ms."""
_MOST_CHILDREN: Final = 4
_CPUS_EACH: Final = 4
"""Large files have a child for so many CPUs: PyTorch's are 6 s of work, in children of up to 270 MB."""
_CHILD: Final = "aperture_tui.collect.unwind.build_child"


class _Job(NamedTuple):
    """A file that waits. size: bytes of its call frames. wanted: how many processes' mappings wait for it now."""

    key: ImageKey
    fd: int
    size: int
    wanted: Callable[[], int]


class Builder:
    """Files in lanes, one for the small and some for the large, each with a child of its own while it has work.

    A 500 MB library holds up neither the small files nor any process: its other files have their rows.
    """

    def __init__(self, cpus: int | None = None) -> None:
        """cpus: of this machine, if it is not said."""
        self._small = Lane([])
        large: list[_Job] = []
        n = max(1, min(_MOST_CHILDREN, (cpus or os.cpu_count() or 1) // _CPUS_EACH))
        self._large = [Lane(large, largest_first=i > 0 and i == n - 1) for i in range(n)]

    @property
    def _lanes(self) -> tuple[Lane, ...]:
        return self._small, *self._large

    def submit(self, key: ImageKey, fd: int, size: int, wanted: Callable[[], int]) -> bool:
        """Have a file's table built; takes the descriptor over. False if too many are waiting.

        size: bytes of its call frames. wanted: how much it is waited for, asked when the next file is chosen.
        """
        return (self._small if size < _LARGE_BYTES else self._large[0]).submit(key, fd, size, wanted)

    @property
    def waiting(self) -> int:
        """Files without an answer."""
        queued = self._small.queued + self._large[0].queued  # the large lanes have one queue
        return queued + sum(lane.busy for lane in self._lanes)

    @property
    def sockets(self) -> frozenset[socket.socket]:
        """What to poll for answers; another set when a child starts or ends."""
        return frozenset(lane.socket for lane in self._lanes if lane.socket is not None)

    @property
    def cpu_s(self) -> float:
        """CPU seconds of children that have ended."""
        return sum(lane.cpu_s for lane in self._lanes)

    @property
    def died(self) -> int:
        """Files whose child ended, or took too long."""
        return sum(lane.died for lane in self._lanes)

    def advance(self) -> list[tuple[ImageKey, FileTable]]:
        """Take what is answered, and give the children their next files. Does not wait."""
        return [answer for lane in self._lanes for answer in lane.advance()]

    def close(self) -> None:
        """End the children and forget the queues."""
        for lane in self._lanes:
            lane.close()


class Lane:
    """Files that wait, and the child that works on them, one at a time: what most processes wait for comes first, of
    those the smallest. Owned by one thread.
    """

    def __init__(self, waiting: list[_Job], largest_first: bool = False) -> None:
        """waiting: several lanes may share it. largest_first: of those that are waited for as much: what takes longest
        is then done as soon as can be.
        """
        self._sign = -1 if largest_first else 1
        self.died = 0
        self.cpu_s = 0.0
        self.socket: socket.socket | None = None
        self._waiting = waiting
        self._child: subprocess.Popen[bytes] | None = None
        self._job: _Job | None = None
        self._patience: Patience | None = None

    def submit(self, key: ImageKey, fd: int, size: int, wanted: Callable[[], int]) -> bool:
        """See `Builder.submit`."""
        if len(self._waiting) >= _MAX_WAITING:
            os.close(fd)
            return False
        self._waiting.append(_Job(key, fd, size, wanted))
        return True

    @property
    def queued(self) -> int:
        """Files that wait for a child."""
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether its child works on a file."""
        return self._job is not None

    def advance(self) -> list[tuple[ImageKey, FileTable]]:
        """Take what is answered, and give the child its next file. Does not wait."""
        done = []
        if self.socket is not None:
            datagram, fds = b"", list[int]()
            try:
                datagram, fds, _flags, _from = socket.recv_fds(self.socket, MAX_ANSWER, 1)
                told = True
            except BlockingIOError:
                told = self._job is not None and self._is_too_long
            except OSError:
                told = True
            if told and (answer := self._answer(datagram, fds)) is not None:
                done.append(answer)
        if self._waiting and self._job is None:
            self._next()
        return done

    @property
    def _is_too_long(self) -> bool:
        return self._patience is not None and self._patience.is_over()

    def _answer(self, datagram: bytes, fds: list[int]) -> tuple[ImageKey, FileTable] | None:
        """What the child said, b"" if it has ended; None if the file is to be tried again, or there was none."""
        job, self._job = self._job, None
        try:
            if datagram and fds and job is not None:
                found = unpacked(datagram, fds[0])
                os.close(job.fd)
                return job.key, found
        except (ValueError, OSError):
            pass  # as bad as no answer at all: counted below
        finally:
            for fd in fds:
                os.close(fd)
        ended_well = self._end(kill=bool(datagram) or self._is_too_long)
        if job is None:
            return None
        if ended_well:  # it was about to end for want of work when this came
            self._waiting.append(job)
            return None
        os.close(job.fd)
        self.died += 1
        return job.key, without_rows("its table could not be built: the builder ended, or took too long")

    def _next(self) -> None:
        job = min(self._waiting, key=lambda job: (-job.wanted(), self._sign * job.size))
        self._waiting.remove(job)
        try:
            connection = self.socket or self._start()
            socket.send_fds(connection, [b"table"], [job.fd])
        except OSError:  # it has just ended for want of work: again, with a new one
            self._end(kill=True)
            self._waiting.append(job)
            return
        self._job, self._patience = job, Patience(self._child.pid, _PATIENCE_S) if self._child else None

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._child = start(_CHILD, [str(theirs.fileno())], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        self.socket = ours
        return ours

    def _end(self, kill: bool) -> bool:
        """Let the child go -> whether it ended by itself and well."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None
        child, self._child = self._child, None
        if child is None:
            return False
        if kill:
            os.kill(child.pid, signal.SIGKILL)  # Popen.kill would take an ended child's exit, and its CPU time with it
        _pid, status, usage = os.wait4(child.pid, 0)  # its socket is closed: it ends, if it has not
        child.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_s += usage.ru_utime + usage.ru_stime
        return child.returncode == 0

    def close(self) -> None:
        """End the child and forget the queue."""
        self._end(kill=True)
        for job in (*self._waiting, *([self._job] if self._job else [])):
            os.close(job.fd)
        self._waiting.clear()
        self._job = None
