"""Threads that stand still, walked from here: they do not run, and so the kernel's programs cannot walk them.

A thread that blocked before its process had tables, or before anybody looked, is not seen again while it is stuck: in a
deadlock, in a read that nobody answers. It is the one that people look for. /proc tells where it sits, its stack is
read out of its memory, and the rows are those that the kernel uses. Native frames only: those of CPython are not read.
"""

from __future__ import annotations

import contextlib
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from aperture_tui.collect.stack_frames import Raw
from aperture_tui.collect.unwind.at_rest import StackMemory, at_rest
from aperture_tui.collect.unwind.table_walk import Code, Walked, walk
from aperture_tui.profile.kinds import STOP_SHIFT, Flag, Stop, stop_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.collect.stacks import Stacks
    from aperture_tui.collect.unwind.files import Placed
    from aperture_tui.collect.unwind.supply import Supply

_PROGRAM_32: Final = 1 << 32
"""No mapping of a 32-bit program ends above it, and of a 64-bit one the vdso does."""
_MAX_WAITING: Final = 1024
_MAX_KNOWN: Final = 1 << 14
"""Threads that are remembered with their stacks."""
_PAUSES_S: Final = (0.4, 6.0)
"""Between the first time that a thread is asked for and the second, and so on: tables are made meanwhile. After these
what there is is told, and each pause is twice the one before."""
_LONGEST_PAUSE_S: Final = 60.0
_FORGET_S: Final = 60.0
"""Where very many threads wait, each is wanted less often: collect.waits."""
_SHARE: Final = 0.05
"""CPU seconds a second that the supply's thread takes for it."""
_Key = tuple[int, int]
"""(tid, when it began to wait, CLOCK_MONOTONIC)"""


@dataclass(frozen=True)
class _Answer:
    """hash: of the stack in this address space. words: (n,), addresses as the kernel sends them. time_ns: a moment at
    which the thread was at rest, CLOCK_MONOTONIC."""

    hash: int
    words: NDArray[np.uint64]
    flags: int
    time_ns: int


@dataclass(slots=True)
class _Asked:
    """How often a thread was asked for, when it may be again, when it was last wanted; both time.monotonic."""

    tries: int = 0
    again_s: float = 0.0
    wanted_s: float = 0.0
    answer: _Answer | None = None

    @property
    def is_final(self) -> bool:
        """Whether there is no better answer to come."""
        return self.answer is not None and stop_of(self.answer.flags) is not Stop.NO_TABLES

    @property
    def may_be_told(self) -> bool:
        """Whether there is no better answer to come, or not soon."""
        return self.tries > len(_PAUSES_S) or self.is_final

    @property
    def pause_s(self) -> float:
        """Before it may be asked for again."""
        last = len(_PAUSES_S) - 1
        doubled = min(max(0, self.tries - last), 16)  # more than is ever used
        return min(_LONGEST_PAUSE_S, _PAUSES_S[min(self.tries, last)] * (1 << doubled))


class Standstill:
    """Owned by the collecting thread; the walks are done in the supply's, what was asked for last first: behind
    thousands of threads that wait for work, one that has just got stuck would be told of late.

    That a thread stood still while its stack was read is seen to there; that it stood still in the wait that was meant,
    here: it had been asked for after it began, and was walked before a moment at which it is known to go on.
    """

    def __init__(self, supply: Supply, stacks: Stacks, wanted: bool = True) -> None:
        """wanted: whether stacks of waits are taken at all."""
        self._supply = supply
        self._stacks = stacks
        self._wanted = wanted
        self._known: dict[_Key, _Asked] = {}
        self._tended_s = 0.0
        self._lock = threading.Lock()
        self._waiting: dict[_Key, int] = {}
        """With the pid. This, `_answers` and `_counts` belong to whoever has the lock."""
        self._answers: dict[_Key, _Answer | None] = {}
        self._counts: Counter[str] = Counter()
        self._second, self._spent_s = 0, 0.0  # the supply's thread's

    @property
    def counts(self) -> dict[str, int]:
        """Cause -> threads that could not be walked."""
        with self._lock:
            return dict(self._counts)

    # -- asking

    def fill(self, records: NDArray[np.void], began_ns: NDArray[np.uint64], until_ns: NDArray[np.uint64] | int) -> None:
        """Give threads that wait their stacks where the kernel could not walk them, or not by tables, as far as they
        are known by now; the others are asked for.

        records: (n,) with `pid`, `tid`, `stack` and `flags`, changed in place. began_ns: (n,), when each began to wait,
        as the kernel has it. until_ns: until when it waited, at least; for (n,), they are over: nobody is asked for.
        """
        flags, none = records["flags"], records["stack"] == 0
        too_early = flags >> STOP_SHIFT & 0xF == Stop.NO_TABLES
        wanting = np.flatnonzero((none | too_early | (flags & Flag.FRAME_POINTERS != 0)) & (flags & Flag.WHOLE == 0))
        if not len(wanting):
            return
        over = not isinstance(until_ns, int)
        until = np.broadcast_to(until_ns, len(records))
        for i in wanting.tolist():
            who = int(records["pid"][i]), int(records["tid"][i])
            found = self.stack_of(*who, int(began_ns[i]), int(until[i]), ask=not over)
            if found is not None and (none[i] or found[1] & Flag.WHOLE):
                records["stack"][i], records["flags"][i] = self._merged(found, records[i])

    def _merged(self, found: tuple[int, int], record: np.void) -> tuple[int, int]:
        """With the kernel's and Python's part of what the kernel could take of the same wait."""
        before, user = self._stacks.raw(int(record["stack"])), self._stacks.raw(found[0])
        if before is None or user is None or not len(before.kernel) + len(before.python):
            return found
        both = _hash(struct.pack("=QQ", found[0], int(record["stack"])))
        self._stacks.put(both, Raw(before.kernel, before.python, user.user, user.whole))
        return both, found[1] | int(record["flags"]) & Flag.KERNEL_MODE

    def stack_of(self, pid: int, tid: int, began_ns: int, until_ns: int, ask: bool = True) -> tuple[int, int] | None:
        """The stack of a thread that waited from then until then, at least: its hash among the known stacks, and its
        Flags. None while there is none. ask: have it walked, then.
        """
        if self._supply.maps is None or not self._wanted:
            return None
        now_s = time.monotonic()
        self._take(now_s)
        key = tid, began_ns
        one = self._known.get(key)
        if one is None:
            if not ask or len(self._known) >= _MAX_KNOWN:
                return None
            one = self._known[key] = _Asked()
        one.wanted_s = now_s
        if ask and not one.is_final:
            self._ask(key, pid, one, now_s)
        answer = one.answer
        if answer is None or not one.may_be_told or not len(answer.words) or answer.time_ns >= until_ns:
            return None
        none = np.zeros(0, np.uint64)
        self._stacks.put(answer.hash, Raw(none, none, answer.words, bool(answer.flags & Flag.WHOLE)))
        return answer.hash, answer.flags

    def _ask(self, key: _Key, pid: int, one: _Asked, now_s: float) -> None:
        if now_s < one.again_s:
            return
        one.again_s = float("inf")
        with self._lock:
            idle = not self._waiting
            if len(self._waiting) >= _MAX_WAITING:
                oldest = next(iter(self._waiting))
                del self._waiting[oldest]
                self._known[oldest].again_s = 0.0
            self._waiting[key] = pid
        if idle:
            self._supply.later(self._answer)

    def tend(self) -> None:
        """At every drain: have the walks go on that there was no time for, and forget what nobody wants any more."""
        if self._supply.maps is None:
            return
        now_s = time.monotonic()
        self._take(now_s)
        if now_s - self._tended_s > 1.0:
            self._tended_s = now_s
            with self._lock:
                left = bool(self._waiting)
                wanted = {key: one for key, one in self._known.items() if now_s - one.wanted_s < _FORGET_S}
                self._waiting = {key: pid for key, pid in self._waiting.items() if key in wanted}
            self._known = wanted
            if left:
                self._supply.later(self._answer)

    def _take(self, now_s: float) -> None:
        with self._lock:
            answers, self._answers = self._answers, {}
        for key, answer in answers.items():
            one = self._known.get(key)
            if one is not None:
                one.answer = answer or one.answer
                one.again_s = now_s + one.pause_s
                one.tries += 1

    # -- in the supply's thread

    def _answer(self) -> None:
        """Walk those that wait, as long as this second's time lasts."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._spent_s = second, 0.0
        began_s = time.thread_time() - self._spent_s
        walks = _Walks(self._supply)
        while time.thread_time() - began_s < _SHARE:
            with self._lock:
                if not self._waiting:
                    break
                key, pid = self._waiting.popitem()
            answer, problem = None, ""
            try:
                answer = walks.answer(pid, key[0])
            except PermissionError:
                problem = "stacks of threads at rest that are not ours to read"
            except (OSError, ValueError):
                pass  # it has ended meanwhile
            with self._lock:
                self._answers[key] = answer
                if problem:
                    self._counts[problem] += 1
        self._spent_s = time.thread_time() - began_s


class _Space(NamedTuple):
    """A process's code. seed: what tells its stacks from equal addresses elsewhere. code: as of `walk`."""

    seed: bytes
    program_32: bool
    code: Callable[[int], Code | None]


class _Walks:
    """Some walks, one after the other, with what they have in common: threads sit in the same few places. In the
    supply's thread, of which they take so little time that what is kept here needs no limit.
    """

    def __init__(self, supply: Supply) -> None:
        self._supply = supply
        self._spaces: dict[int, _Space | None] = {}
        self._code_in = cache(supply.code)

    def answer(self, pid: int, tid: int) -> _Answer | None:
        """A thread's stack; None if it runs, or has run meanwhile. Raises OSError if it is gone."""
        before = at_rest(pid, tid)
        if before is None:
            return None
        time_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        if pid not in self._spaces:
            self._spaces[pid] = self._space(pid)
        space = self._spaces[pid]
        if space is None:
            return None
        if space.program_32:
            walked = Walked((), Stop.FOREIGN << STOP_SHIFT | Flag.NO_USER_STACK)
        else:
            with contextlib.closing(StackMemory(pid, tid)) as memory:
                memory.word(before.sp)  # all of a usual stack at once
                walked = walk(space.code, memory.word, before.pc, before.sp)
            if at_rest(pid, tid, again=True) != before:
                return None
        words = np.array(walked.addresses, np.uint64)
        return _Answer(_hash(space.seed + words.tobytes()), words, walked.flags, time_ns)

    def _space(self, pid: int) -> _Space | None:
        covered = self._supply.mappings_of(pid)
        if covered is None:
            return None
        mappings, files = covered
        seed = struct.pack("=Q", pid) + mappings.tobytes()
        code = cache(lambda pc: self._code(mappings, files, pc))
        return _Space(seed, int(mappings["end"].max()) <= _PROGRAM_32, code)

    def _code(self, mappings: NDArray[np.void], files: list[Placed | None], pc: int) -> Code | None:
        """What bpf/unwind.h finds."""
        at = int(mappings["start"].searchsorted(np.uint64(pc), "right")) - 1
        if at < 0 or pc >= int(mappings["end"][at]):
            return None
        placed = files[at]
        found = self._code_in(placed, pc - int(mappings["bias"][at]) & 0xFFFFFFFF) if placed is not None else None
        return found or Code(int(mappings["table"][at]) & 0xFFFFFFFF, 0)  # of no file, or of one that has no rows


def _hash(data: bytes) -> int:
    """Never 0, which is no stack."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little") or 1
