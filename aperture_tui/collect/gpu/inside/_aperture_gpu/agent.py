"""The thread that listens. It owns the socket, and CUPTI while somebody asks; it is ended before each fork and begins
anew afterwards, so that a program that forks has as many threads as it would have without.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from . import wire
from .door import listening, may_ask, received, send_away, waited

_TICK_S = 0.25
_STATUS_S = 1.0
_AGAIN_S = 5.0
"""Before CUPTI is tried again that could not be had."""
_ENOUGH = 50
"""How many times as long as looking for the driver takes it is not looked for again."""
_PATIENCE_S = 5.0
"""How long a fork, or the end of the program, waits for the agent's thread: it may hang in CUPTI."""
_LAST_S = 1.0
"""How long the end of the program may wait for the last records to be taken."""


class Agent:
    """One of a process. begin, and what is called at forks and at the end, belong to whichever thread does these."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._thread: threading.Thread | None = None
        self._listener: socket.socket | None = None
        self._asked: _Asked | None = None
        self._path = ""
        self._wake: Any = None
        self._has_begun = self._is_of_other = False
        """Somebody has asked in this process; in one that it was forked from."""
        self._since_ns = 0
        """Before that the process can have had no GPU do anything."""

    def begin(self) -> None:
        """Listen from now on; or not at all, if the folder cannot be trusted."""
        self._start()
        os.register_at_fork(before=self._pause, after_in_parent=self._resume, after_in_child=self._anew)
        atexit.register(self._finish)

    # -- the thread's life

    def _start(self) -> None:
        self._since_ns = time.time_ns()
        self._listener, self._path = listening(self._folder)
        self._resume()

    def _resume(self) -> None:
        if self._listener is None:
            return
        if self._thread is not None:  # it hung when it was to end, and need not any more
            with contextlib.suppress(OSError):
                self._wake[0].recv(64, socket.MSG_DONTWAIT)
            return
        try:
            self._wake = socket.socketpair()
            self._thread = threading.Thread(target=self._run, name="aperture-gpu", daemon=True)
            with no_signals():
                self._thread.start()
        except (OSError, RuntimeError) as error:  # no more files or threads: it goes on unseen
            self._thread = None
            self._give_up(error)

    def _pause(self) -> None:
        """Afterwards there is no thread, unless it hangs."""
        if self._thread is None or self._thread is threading.current_thread():
            return
        with contextlib.suppress(OSError):  # it has been woken so often that it must hang
            self._wake[1].send(b"\0", socket.MSG_DONTWAIT)
        self._thread.join(_PATIENCE_S)
        if self._thread.is_alive():
            return
        for end in self._wake:
            end.close()
        self._thread = None

    def _anew(self) -> None:
        """In a child: what the parent has is the parent's, and CUPTI has no thread here that it could wait for."""
        self._thread = None
        for end in self._wake or ():
            end.close()
        self._is_of_other = self._is_of_other or self._has_begun
        if self._asked is not None:
            self._asked.connection.close()
            self._asked = None
        if self._listener is not None:
            self._listener.close()
        try:
            self._start()
        except (OSError, RuntimeError):  # no more threads or files: it goes on unseen
            self._listener = None

    def _finish(self) -> None:
        """The program ends: what CUPTI still has is told, if somebody takes it soon."""
        self._pause()
        if self._asked is not None and self._thread is None:
            self._asked.finish()
        self._close()

    # -- in the thread

    def _run(self) -> None:
        try:
            self._listen()
        except Exception as error:  # whatever it is, the program has to go on
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        say(error)
        if self._asked is not None:
            self._asked.connection.close()
            self._asked = None
        self._close()

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            with contextlib.suppress(OSError):  # somebody has cleaned up before
                os.unlink(self._path)

    def _listen(self) -> None:
        listener, wake = self._listener, self._wake[0]
        assert listener is not None  # noqa: S101 - it is made before the thread
        deaf_until = 0.0
        while True:
            asked = self._asked
            wait_for = {wake: select.POLLIN}
            if time.monotonic() >= deaf_until:
                wait_for[listener] = select.POLLIN
            if asked is not None:
                wait_for[asked.connection] = select.POLLIN | (select.POLLOUT if asked.is_late else 0)
            ready = waited(wait_for, asked.next_s() if asked else None if listener in wait_for else _TICK_S)
            if wake in ready:
                return
            if asked is not None and not asked.step(bool(ready.get(asked.connection, 0) & ~select.POLLOUT)):
                self._asked = None
            if listener in ready and not self._accept(listener):  # after the one before has left
                deaf_until = time.monotonic() + _STATUS_S

    def _accept(self, listener: socket.socket) -> bool:
        """False if nobody can be let in: who waits goes on to wait, and would be ready again at once."""
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return True
        except OSError:  # no more files
            return False
        self._answer(connection)
        return True

    def _answer(self, connection: socket.socket) -> None:
        request = received(connection) if may_ask(connection) else None
        if request is None:
            connection.close()
        elif request[0] != wire.MAGIC:
            send_away(connection, "it is of another version: start its program anew")
        elif self._asked is not None:
            send_away(connection, "another session hears it")
        elif self._is_of_other:
            send_away(connection, "its process was forked from one whose GPU was looked at, and cannot have CUPTI")
        else:
            self._has_begun = True
            self._asked = _Asked(connection, self._since_ns, *request[1:])


class _Asked:
    """Somebody asks. collecting: None while CUPTI cannot be had. since_ns: when the process began. millionths: of the
    limit.
    """

    def __init__(self, connection: socket.socket, since_ns: int, wish: int, millionths: int) -> None:
        from .outbox import Outbox  # not before somebody asks: most programs are never asked

        self.connection = connection
        self._wish, self._limit = wish, millionths / 1e6
        self._outbox = Outbox()
        self._collecting: Any = None
        self._why = self._why_aside = ""
        self._due = self._told = self._not_before = 0.0
        self._clocks = _clocks()
        self._has_cuda = False
        self._now_ns = time.time_ns
        self._until_ns = since_ns
        """As of Collecting, while there is none."""

    @property
    def is_late(self) -> bool:
        """Whether something waits to be sent: a socket takes less at once than is told between two ticks."""
        return self._outbox.waiting > 0

    def next_s(self) -> float:
        """Seconds until there is something to do."""
        return max(0.0, self._due - time.monotonic())

    def step(self, spoken: bool) -> bool:
        """What is due -> False if nobody asks any more."""
        now = time.monotonic()
        if spoken and self._has_left():
            self._leave()
            return False
        if now >= self._due:
            try:
                self._collect()
            except Exception as error:  # whatever it is: the program goes on, and who asks is told
                self._fail(error)
            self._due = time.monotonic() + (_TICK_S if self._collecting is None else self._collecting.pause_s)
            if now - self._told >= _STATUS_S:
                self._told = now
                self._outbox.words(wire.STATUS, self._status())
        try:
            self._outbox.send(self.connection)
        except OSError:
            self._leave()
            return False
        return True

    def _collect(self) -> None:
        clocks, before = _clocks(), self._clocks
        self._clocks = clocks
        if self._collecting is not None:
            wall, process, own = (now - then for now, then in zip(clocks, before))
            self._collecting.tick(wall, own, process - own)
        elif not self._has_cuda:
            self._look(clocks[0])
        else:
            if clocks[0] >= 1e9 * self._not_before:
                self._begin()
            if self._collecting is None:
                self._miss()

    def _look(self, now_ns: int) -> None:
        """For the driver: in a program with very many mappings that takes its time."""
        self._why = "no CUDA in this process yet"
        if now_ns >= 1e9 * self._not_before:
            looked_ns, self._has_cuda = self._now_ns(), has_cuda()
            self._until_ns = self._until_ns if self._has_cuda else looked_ns  # without, it has had no GPU do anything
            self._not_before = time.monotonic() + _ENOUGH * (time.monotonic_ns() - now_ns) / 1e9
            self._not_before *= not self._has_cuda

    def _miss(self) -> None:
        """The process has CUDA, and what it does with it is not known."""
        now_ns = self._now_ns()
        self._outbox.unrecorded(self._until_ns, now_ns)
        self._until_ns = now_ns

    def _begin(self) -> None:
        from .attached import AsideError
        from .session import Collecting

        try:
            self._collecting = Collecting(self._outbox, self._wish, self._limit, self._until_ns)
        except AsideError as error:
            self._stand_aside(str(error))
            return
        self._why, self._now_ns = "", self._collecting.now_ns
        self._outbox.words(wire.HELLO, self._collecting.hello())
        self._clocks = _clocks()  # what is imported once is no cost that goes on

    def _stand_aside(self, why: str) -> None:
        """For a while. Of which GPUs nothing is known is told nevertheless."""
        from .devices import devices

        if not self._why_aside:
            self._outbox.rows(wire.DEVICES, devices())
        self._why = self._why_aside = why
        self._not_before = time.monotonic() + _AGAIN_S

    def _fail(self, error: Exception) -> None:
        """CUPTI is left as it is found: nothing more is asked of it for this one who asks."""
        say(error)
        failed, self._collecting = self._collecting, None
        self._why = f"its agent failed, and records nothing more: {error!r}"
        self._not_before = math.inf
        if failed is not None:
            self._until_ns = failed.known.sure_ns
            _end(failed)

    def _status(self) -> dict[str, Any]:
        if self._collecting is None:
            return {"aside": self._why, "dropped": dict(self._outbox.dropped)}
        told: dict[str, Any] = self._collecting.status()
        return told

    def _has_left(self) -> bool:
        try:
            return not self.connection.recv(64, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _leave(self) -> None:
        if self._collecting is not None:
            _end(self._collecting)
        self.connection.close()

    def finish(self) -> None:
        """The last word."""
        if self._collecting is not None:
            _end(self._collecting, last=True)
        elif self._has_cuda:
            self._miss()
        self._outbox.words(wire.STATUS, {**self._status(), "ended": True})
        until = time.monotonic() + _LAST_S
        with contextlib.suppress(OSError):  # the other end is gone
            while self._outbox.waiting and time.monotonic() < until:
                self._outbox.send(self.connection)
                waited({self.connection: select.POLLOUT}, 0.05)
        self.connection.close()


@contextlib.contextmanager
def no_signals() -> Iterator[None]:
    """A thread that is started meanwhile is given none: they are for the program's own threads, which may have blocked
    them to wait for them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(collecting: Any, last: bool = False) -> None:
    try:
        collecting.end(last)
    except Exception as error:
        say(error)


def say(error: Exception) -> None:
    """To whoever looks for an error in the agent: the program says nothing of it."""
    if os.environ.get("APERTURE_GPU_DEBUG"):
        sys.stderr.write("aperture: " + repr(error) + "\n")


def _clocks() -> Any:
    """ns: of the wall, of all CPUs that the process had, of those that this thread had."""
    return time.monotonic_ns(), time.process_time_ns(), time.thread_time_ns()


def has_cuda() -> bool:
    """Whether this process has the driver loaded."""
    with open("/proc/self/maps") as maps:
        return any("libcuda.so" in line for line in maps)
