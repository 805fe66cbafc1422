"""What the agent costs the program that it is in: pairs of the same work without and with it, in turn, in one process.

`records` and `calls` have all detail, whatever it costs; `governed` is as a session asks: where the governor leaves
detail out, after it has done so.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections import Counter
from pathlib import Path
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
_FEW: Final = 4
_LIMIT: Final = 0.02
"""Of the governor: the share of a CPU that a session allows."""
_BETWEEN_S: Final = 0.3
_ARMS: Final = {"records": (0, 1.0), "calls": (wire.WISH_CALLS, 1.0), "governed": (wire.WISH_CALLS, _LIMIT)}


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


def overhead(out: Path) -> dict[str, Any]:
    """Of each work."""
    told: dict[str, Any] = {}
    for work in WORKS:
        try:
            with program(callbacks=callbacks()) as worker:
                told[work] = _pairs_of(worker, work)
        except (RuntimeError, TimeoutError, OSError) as error:
            told[work] = {"error": str(error)}
    return told


def _pairs_of(worker: Program, work: str) -> dict[str, Any]:
    n = _calibrated(worker, work)
    settle = max(1, round(n * SETTLE_S / STRETCH_S))
    never = [worker.do({"do": work, "n": n})["s"] for _ in range(3)]  # before anything was ever switched on
    _, pilot = _on(worker, work, n, "governed", settle)
    is_governed = pilot.get("level") != "calls and records"
    drawn = random.Random(1)
    arms = ["governed"] * PAIRS + ["calls"] * _FEW + ["records"] * _FEW if is_governed else []
    arms = arms or ["calls"] * PAIRS + ["records"] * (PAIRS // 2)
    ratios: dict[str, list[float]] = {}
    levels: Counter[str] = Counter()
    off: list[float] = []
    for arm in drawn.sample(arms, len(arms)):
        off.append(worker.do({"do": work, "n": n})["s"])
        took_s, status = _on(worker, work, n, arm, settle if arm == "governed" else 0)
        levels[f"{arm}: {status.get('level', '?')}"] += 1
        ratios.setdefault(arm, []).append(took_s / off[-1])
    share = {arm: {"percent": [100 * (r - 1) for r in some], **_middle(some)} for arm, some in sorted(ratios.items())}
    return {"n": n, "never_s": never, "off_s": off, "on": share, "levels": dict(levels), "pilot": pilot}


def _calibrated(worker: Program, work: str) -> int:
    """How much of a work takes one stretch."""
    n = 1
    took_s: float = worker.do({"do": work, "n": n})["s"]
    while took_s < STRETCH_S / 4:
        n *= 4
        took_s = worker.do({"do": work, "n": n})["s"]
    return max(1, round(n * STRETCH_S / took_s))


def _on(worker: Program, work: str, n: int, arm: str, settle: int) -> tuple[float, dict[str, Any]]:
    """Seconds that the work takes while records are read, and the agent's word. settle: how much is done before."""
    asking = worker.ask(*_ARMS[arm])
    reader = Reader(asking)
    if settle:
        worker.do({"do": work, "n": settle})
    took_s: float = worker.do({"do": work, "n": n})["s"]
    time.sleep(_BETWEEN_S)  # for a last word
    reader.end()
    asking.close()
    time.sleep(_BETWEEN_S)
    return took_s, asking.answers.status


def _middle(ratios: list[float]) -> dict[str, Any]:
    """The median loss in percent, and the interval that holds it nineteen times in twenty (by resampling)."""
    drawn = random.Random(1)
    medians = sorted(statistics.median(drawn.choices(ratios, k=len(ratios))) for _ in range(2000))
    low, high = (100 * (medians[i] - 1) for i in (50, 1950))
    return {"median_percent": 100 * (statistics.median(ratios) - 1), "low_percent": low, "high_percent": high}
