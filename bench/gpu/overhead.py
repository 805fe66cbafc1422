"""What the agent costs the program that it is in: the same work in turn in two programs, one with it and one without.

CUPTI leaves a program slower than it was even when everything is off again, so that "without" is a program that it
never touched. The agent records in moments: its cost comes in lumps, and what is compared are sums over many seconds,
of the wall and of the CPU that the whole program had. The latter is what a program pays that is bound by launching, and
does not depend on who else is on the machine. All are on the same few CPUs; a third one works under torch.profiler.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from aperture_tui.collect.gpu.environment import callbacks
from aperture_tui.collect.gpu.inside._aperture_gpu import wire
from aperture_tui.collect.settings import Settings
from bench.gpu.asking import COUNTED, FAILURES, Asking, Program, program

WORKS: Final = ("matmul", "train", "tiny", "graph")
STRETCH_S: Final = 0.6
"""How long the work of one side of a pair takes: many times what a question and its answer take."""
APART_S: Final = 0.2
"""At most between two pairs, by chance: the agent comes and goes at its own beat, and pairs must not fall into it."""
SETTLE_S: Final = 4.0
"""Of work before what is governed is measured: the agent finds out what its records cost here."""
ALIKE_PAIRS: Final = 4
"""That show how alike the programs are, before and after: five seconds."""
GOVERNED_PAIRS: Final = 16
"""Ten seconds of work each, so that several of the agent's moments are among them."""
FEW_PAIRS: Final = 3
"""Where everything is recorded: the cost is large, and is there in each of them."""
PEER_PAIRS: Final = 2
"""Of torch.profiler: as large, and it takes seconds to take in each stretch."""
LAST_WORD_S: Final = 0.3
"""For what an agent still has to say before a conversation is closed; its thread wakes four times a second."""
QUIET_S: Final = 0.5
"""After a conversation is closed: the agent switches CUPTI off."""
FIRST_S: Final = 60.0
"""For a first answer: torch is imported, and three programs do it at once."""
WAIT_S: Final = 20.0
"""For any other: thirty times a stretch. Who takes longer hangs."""
ENDS_S = 90.0
"""After the beginning: what is not done then is left out, and the rest is told. The limit is 100 seconds, see PARTS."""
_RESAMPLED: Final = 2000
"""Draws for an interval: its ends are then known to a few hundredths of its width."""

CPUS: Final = 4
"""That all programs have: what they run on must not tell one from another."""


class Took(NamedTuple):
    """Seconds of a stretch of work: by the wall, and of all CPUs that the program had meanwhile."""

    s: float
    cpu_s: float


Pair = tuple[Took, Took]
"""Of control and of subject."""


class Reader:
    """Reads an agent's answers meanwhile, as a Session would, and counts them.

    counts: records of each kind; its own thread writes it, others may look.
    """

    def __init__(self, asking: Asking) -> None:
        self.counts: Counter[str] = Counter()
        self._asking = asking
        self._why = ""
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._ending.is_set() and self._asking.read(0.2):
                self._count()
        except (OSError, ValueError) as error:  # the program is gone, or its agent breaks the rules
            self._why = str(error)
        self._count()

    def _count(self) -> None:
        answers = self._asking.answers
        for frame, rows in answers.rows.items():
            if frame in COUNTED:
                self.counts[COUNTED[frame]] += sum(map(len, rows))
        answers.rows.clear()
        answers.raw.clear()

    def end(self) -> None:
        """No more."""
        self._ending.set()
        self._thread.join()

    def close(self) -> dict[str, Any]:
        """End the conversation, after a last word -> that word, the counts, and why it was over before."""
        time.sleep(LAST_WORD_S)
        self.end()
        self._asking.close()
        told = {"status": self._asking.answers.status, "counts": dict(self.counts)}
        return told | ({"over": self._why} if self._why else {})


@dataclass(frozen=True)
class Stretches:
    """The same amount of one work, in whichever program. ends: monotonic seconds, none goes on beyond."""

    work: str
    n: int
    ends: float

    def took(self, worker: Program, **how: Any) -> Took:
        """One. Raises one of FAILURES."""
        left = self.ends - time.monotonic()
        if left < 2 * STRETCH_S:
            raise TimeoutError("no time was left")
        return _took(worker, self.work, self.n, min(left, WAIT_S), **how)

    def pairs(self, control: Program, subject: Program, n: int, **how: Any) -> dict[str, Any]:
        """See in_turn(). how: more of what the subject is asked."""
        return in_turn(lambda: self.took(control), lambda: self.took(subject, **how), n, APART_S)

    def heard(self, control: Program, subject: Program, n: int, limit: float, settle_s: float) -> dict[str, Any]:
        """Pairs while somebody hears the subject's agent, after so much of its work, or one stretch."""
        try:
            reader = Reader(subject.ask(wire.WISH_CALLS, limit))
        except FAILURES as error:
            return {"error": str(error)}
        told: dict[str, Any] = {}
        try:
            settled = time.monotonic() + settle_s
            self.took(subject)
            while time.monotonic() < settled:
                self.took(subject)
            before = dict(reader.counts)
            told = {"counts_at_first": before} | self.pairs(control, subject, n)
        except FAILURES as error:
            told = {"error": str(error)}
        told |= reader.close()
        time.sleep(QUIET_S)
        return told

    def beside(self, control: Program, peer: Program) -> dict[str, Any]:
        """Pairs without and with torch.profiler, which has begun once before, as the agent has."""
        try:
            _took(peer, self.work, 1, WAIT_S, peer=True)
        except FAILURES as error:
            return {"error": str(error)}
        return self.pairs(control, peer, PEER_PAIRS, peer=True)


def overhead(work: str) -> dict[str, Any]:
    """Of one work: each is a part of its own, so that none is lost where there is no time for the next.

    What is lost of one step is said there, as its "error"; the others are told.
    """
    ends = time.monotonic() + ENDS_S
    with ExitStack() as stack:
        with on_few_cpus():
            control, subject, peer = (stack.enter_context(program(callbacks=one)) for one in ("", callbacks(), ""))
        workers = (control, subject, peer)
        warm(workers, work, 1, FIRST_S)
        doing = Stretches(work, calibrated(control, work, STRETCH_S), ends)
        warm(workers, work, doing.n, WAIT_S)
        return {
            "n": doing.n,
            "before": doing.pairs(control, subject, ALIKE_PAIRS),
            "governed": doing.heard(control, subject, GOVERNED_PAIRS, Settings().gpu_limit, SETTLE_S),
            "after": doing.pairs(control, subject, ALIKE_PAIRS),
            "everything": doing.heard(control, subject, FEW_PAIRS, 1.0, 0.0),
            "after_everything": doing.pairs(control, subject, FEW_PAIRS),
            "peer": doing.beside(control, peer),
            "after_peer": doing.pairs(control, peer, PEER_PAIRS),
        }


@contextmanager
def on_few_cpus() -> Iterator[None]:
    """What is started meanwhile has these alone, for good."""
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(every)[-CPUS:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, every)


def warm(workers: Sequence[Program], work: str, n: int, seconds: float) -> None:
    """Have all do it at the same time: each has its first answer behind it when it is compared."""

    def do(worker: Program) -> None:
        with suppress(*FAILURES):  # it says so again when it is measured
            worker.do({"do": work, "n": n}, seconds)

    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(do, workers))


def _took(worker: Program, work: str, n: int, patience_s: float, **how: Any) -> Took:
    told = worker.do({"do": work, "n": n, **how}, patience_s)
    return Took(told["s"], told["cpu_s"])


def calibrated(worker: Program, work: str, stretch_s: float) -> int:
    """How much of a work takes one stretch. Raises one of FAILURES."""
    n = 1
    took_s = _took(worker, work, n, WAIT_S).s
    while took_s < stretch_s / 4:
        n *= 4
        took_s = _took(worker, work, n, WAIT_S).s
    return max(1, round(n * stretch_s / took_s))


def in_turn(control: Callable[[], Took], subject: Callable[[], Took], n: int, apart_s: float = 0.0) -> dict[str, Any]:
    """Pairs, whose first is in turn, too -> the loss of those that came about, and as "error" what stopped them.

    Both do their work and tell its seconds. apart_s: at most between two pairs, by chance.
    """
    drawn = random.Random(1)
    done: list[Pair] = []
    stopped = {}
    try:
        for i in range(n):
            if i % 2:
                with_it = subject()
                done.append((control(), with_it))
            else:
                without = control()
                done.append((without, subject()))
            time.sleep(drawn.uniform(0, apart_s))
    except FAILURES as error:
        stopped["error"] = str(error)
    return loss(done) | stopped


def loss(pairs: Sequence[Pair]) -> dict[str, Any]:
    """The seconds, by how many percent their sums differ, and the interval that holds it nineteen times in twenty, by
    resampling of pairs. Where there are no pairs, none of that. "cpu": the same of CPU time.
    """
    return _loss([(one.s, other.s) for one, other in pairs]) | {
        "cpu": _loss([(one.cpu_s, other.cpu_s) for one, other in pairs])
    }


def _loss(pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    told: dict[str, Any] = {"control_s": [pair[0] for pair in pairs], "subject_s": [pair[1] for pair in pairs]}
    if not pairs:
        return told
    drawn = random.Random(1)
    resampled = sorted(_percent(drawn.choices(pairs, k=len(pairs))) for _ in range(_RESAMPLED))
    low, high = (resampled[round(share * _RESAMPLED)] for share in (0.025, 0.975))
    return told | {"percent": _percent(pairs), "low": low, "high": high}


def _percent(pairs: Sequence[tuple[float, float]]) -> float:
    without = sum(pair[0] for pair in pairs)
    return 100 * (sum(pair[1] for pair in pairs) / without - 1) if without else 0.0


_WORDS: Final = {
    "before": "before",
    "governed": "governed",
    "after": "after",
    "everything": "everything",
    "after_everything": "after that",
    "peer": "torch.profiler",
    "after_peer": "after that",
}


def summary(told: dict[str, Any]) -> str:
    """One line of an answer of overhead(); "" of any other."""
    return ", ".join(f"{word} {_said(step, told[step])}" for step, word in _WORDS.items() if step in told)


def _said(step: str, told: dict[str, Any]) -> str:
    if "percent" not in told:
        return "failed"
    interval = ""
    if step == "governed":
        interval = f" ({told['low']:.1f} to {told['high']:.1f}; CPU {told['cpu']['percent']:+.1f} %)"
    percent = told["percent"]
    stopped = " until it failed" if "error" in told else ""
    return f"{percent:+.{1 if abs(percent) < 10 else 0}f} %{interval}{stopped}"
