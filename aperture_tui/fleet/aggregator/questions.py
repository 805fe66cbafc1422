"""Threads in which answers are found: few, each question with its deadline, nobody's work done in vain."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

import grpc

from aperture_tui.fleet.aggregator.refusal import Refused, later

T = TypeVar("T")

THREADS: Final = 4
DEADLINE_S: Final = 30.0
"""Of a question that has none of its own."""
_LONGEST_S: Final = 120.0
_WAITING: Final = 200
"""Questions that may wait for a thread."""


class GoneError(RuntimeError):
    """Nobody waits for this answer any more."""


class _Question:
    """One question while it is answered; `gone` is set by the event loop's thread, and read by the other one."""

    def __init__(self, ends: float) -> None:
        self.ends = ends
        self.gone = False


class Questions:
    """Belongs to the event loop's thread, but for `watch`."""

    def __init__(self, threads: int = THREADS, waiting: int = _WAITING) -> None:
        self._pool = ThreadPoolExecutor(threads, "answer")
        self._free = asyncio.Semaphore(threads)
        self._waiting, self._most = 0, waiting
        self._asked = threading.local()

    async def answer(self, find: Callable[[], T], remaining_s: float | None) -> T:
        """What `find` gives, called in a thread. remaining_s: how long the caller waits; None if that is not known.

        Raises Refused when it is too late, or too many wait, and what `find` raises.
        """
        if self._waiting >= self._most:
            raise later(f"more than {self._most} questions wait for an answer", 2.0)
        patience = min(DEADLINE_S if remaining_s is None else remaining_s, _LONGEST_S)
        question = _Question(time.monotonic() + patience)
        try:
            async with asyncio.timeout(patience):
                self._waiting += 1
                try:
                    await self._free.acquire()
                finally:
                    self._waiting -= 1
                return await self._run(question, find)
        except TimeoutError as error:
            raise Refused(grpc.StatusCode.DEADLINE_EXCEEDED, f"no answer within {patience:.0f} s") from error
        finally:
            question.gone = True

    def watch(self, _share: float) -> None:
        """What a store calls while it reads. Raises GoneError if nobody waits for its answer any more."""
        question: _Question | None = getattr(self._asked, "question", None)
        if question is not None and (question.gone or time.monotonic() > question.ends):
            raise GoneError

    @property
    def waiting(self) -> int:
        """How many wait for a thread."""
        return self._waiting

    def close(self) -> None:
        """Ends the threads when they have nothing to do any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, question: _Question, find: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()

        def freed(_: Future[T]) -> None:  # when the thread has ended, not when its caller has
            loop.call_soon_threadsafe(self._free.release)

        future = self._pool.submit(self._found, question, find)
        future.add_done_callback(freed)
        return await asyncio.wrap_future(future)

    def _found(self, question: _Question, find: Callable[[], T]) -> T:
        self._asked.question = question
        try:
            self.watch(0.0)
            return find()
        finally:
            self._asked.question = None
