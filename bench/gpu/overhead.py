"""What the agent costs the program that it is in: pairs of the same work without and with it, in turn, in one process.

`calls` has all detail, whatever it costs; `governed` is as a session asks, where the governor leaves detail out: after
it has done so, in blocks, because that takes it seconds.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from typing import Any, Final

from aperture_tui.collect.gpu.environment import callbacks
from aperture_tui.collect.gpu.inside._aperture_gpu import wire
from bench.gpu.asking import Asking, Program, program

WORKS: Final = ("matmul", "train", "tiny", "graph")
STRETCH_S: Final = 0.5
"""How long the work of one side of a pair takes."""
SETTLE_S: Final = 4.5
"""How long the governor needs, two windows of two seconds at most."""
PAIRS: Final = 10
_FEW: Final = 3
"""Of pairs with all detail, where a session would not have that."""
_BLOCKS: Final = 2
_LIMIT: Final = 0.02
"""Of the governor: the share of a CPU that a session allows."""
_BETWEEN_S: Final = 0.3


class Reader:
    """Reads an agent's answers meanwhile, as a Session would."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ending.is_set() and self._asking.read(0.2):
            self._asking.answers.rows.clear()
            self._asking.answers.raw.clear()

    def end(self) -> None:
        """No more."""
        self._ending.set()
        self._thread.join()


def overhead(work: str) -> dict[str, Any]:
    """Of one work: each is a part of its own, so that none is lost where there is no time for the next."""
    with program(callbacks=callbacks()) as worker:
        return _pairs_of(worker, work)


def _pairs_of(worker: Program, work: str) -> dict[str, Any]:
    n = _calibrated(worker, work)
    settle = max(1, round(n * SETTLE_S / STRETCH_S))
    never = [_took(worker, work, n) for _ in range(3)]  # before anything was ever switched on
    _, pilot = _on(worker, work, [settle], _LIMIT)
    is_governed = pilot.get("level") != "calls and records"
    told: dict[str, Any] = {"n": n, "never_s": never, "pilot": pilot}
    ratios, off = [], []
    for _ in range(_FEW if is_governed else PAIRS):
        off.append(_took(worker, work, n))
        (took_s,), status = _on(worker, work, [n], 1.0)
        ratios.append(took_s / off[-1])
    told["calls"] = {"off_s": off, "status": status, **_middle(ratios)}
    if is_governed:
        told["governed"] = _governed(worker, work, n, settle)
    return told


def _governed(worker: Program, work: str, n: int, settle: int) -> dict[str, Any]:
    ratios, off = [], []
    for _ in range(_BLOCKS):
        base = [_took(worker, work, n) for _ in range(PAIRS // _BLOCKS)]
        (_, *on), status = _on(worker, work, [settle] + [n] * len(base), _LIMIT)
        off += base
        ratios += [one / other for one, other in zip(on, base, strict=True)]
    return {"off_s": off, "status": status, **_middle(ratios)}


def _took(worker: Program, work: str, n: int) -> float:
    """Seconds that so much of a work takes."""
    took_s: float = worker.do({"do": work, "n": n})["s"]
    return took_s


def _calibrated(worker: Program, work: str) -> int:
    """How much of a work takes one stretch."""
    n = 1
    took_s = _took(worker, work, n)
    while took_s < STRETCH_S / 4:
        n *= 4
        took_s = _took(worker, work, n)
    return max(1, round(n * STRETCH_S / took_s))


def _on(worker: Program, work: str, parts: list[int], limit: float) -> tuple[list[float], dict[str, Any]]:
    """Seconds that each part of the work takes while records are read, and the agent's last word."""
    asking = worker.ask(wire.WISH_CALLS, limit)
    reader = Reader(asking)
    took = [_took(worker, work, n) for n in parts]
    time.sleep(_BETWEEN_S)  # for a last word
    reader.end()
    asking.close()
    time.sleep(_BETWEEN_S)
    return took, asking.answers.status


def _middle(ratios: list[float]) -> dict[str, Any]:
    """Losses in percent, their median, and the interval that holds it nineteen times in twenty (by resampling)."""
    drawn = random.Random(1)
    medians = sorted(statistics.median(drawn.choices(ratios, k=len(ratios))) for _ in range(2000))
    low, high = (100 * (medians[i] - 1) for i in (50, 1950))
    middle = 100 * (statistics.median(ratios) - 1)
    return {"percent": [100 * (r - 1) for r in ratios], "median": middle, "low": low, "high": high}
