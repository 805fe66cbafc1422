"""What CUPTI costs a program for each record and each launch: governor.py's constants come from here.

One program that CUPTI never touches, and for each work one in which it is switched by hand: after a step the program is
not what it was, which is what the steps after it measure.
"""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from aperture_tui.collect.gpu.environment import callbacks
from bench.gpu.asking import FAILURES, Program, program
from bench.gpu.overhead import FIRST_S, WAIT_S, Stretches, Took, calibrated, in_turn, on_few_cpus, warm

WORKS: Final = ("train", "tiny", "graph", "matmul")
SWITCHES: Final = {"kernels": ("kernels", "copies"), "calls": ("calls",), "driver": ("calls",)}
"""What is recorded, from less to more: the records among which its cost is divided."""
PAIRS: Final = 4
"""Of each step."""
STRETCH_S: Final = 0.3
"""Of work: half of what an overhead is measured by, for there are four works of seven steps here."""
RECORDED: Final = {"graph": 0.05}
"""The part of a stretch that is done where it is recorded: a million records a second find no room otherwise."""
ENDS_S = 135.0
"""After the beginning, as in overhead. The limit is 150 seconds, see PARTS."""


def prices(out: Path) -> dict[str, Any]:
    """Work -> step -> its loss, as in overhead, and its records; "prices": what follows from these."""
    ends = time.monotonic() + ENDS_S
    with ExitStack() as stack:
        with on_few_cpus():
            control, *subjects = (stack.enter_context(program(callbacks="")) for _ in range(1 + len(WORKS)))
        warm((control, *subjects), "tiny", 1, FIRST_S)
        return {work: _of_work(work, control, subject, ends) for work, subject in zip(WORKS, subjects, strict=True)}


def _of_work(work: str, control: Program, subject: Program, ends: float) -> dict[str, Any]:
    try:
        warm((control, subject), work, 1, FIRST_S)
        doing = Stretches(work, calibrated(control, work, STRETCH_S), ends)
    except FAILURES as error:
        return {"error": str(error)}
    warm((control, subject), work, doing.n, WAIT_S)
    part = replace(doing, n=max(1, round(doing.n * RECORDED.get(work, 1.0))))
    told: dict[str, Any] = {"n": doing.n, "never": doing.pairs(control, subject, PAIRS)}
    for switch in SWITCHES:
        told[switch] = _step(switch, control, doing, subject, part)
        told[f"off_after_{switch}"] = _step("off", control, doing, subject, doing)
    return told | {"prices": {switch: price(told, switch) for switch in SWITCHES}}


def _step(switch: str, control: Program, doing: Stretches, subject: Program, part: Stretches) -> dict[str, Any]:
    """Pairs after a switch, the subject's of a part and scaled to the whole; what was recorded is taken in between."""
    scale = doing.n / part.n
    taken: list[dict[str, Any]] = []

    def of_subject() -> Took:
        took = part.took(subject)
        taken.append(subject.do({"switch": "drain"}, WAIT_S))
        return Took(scale * took.s, scale * took.cpu_s)

    try:
        before = subject.do({"switch": switch, "callbacks": callbacks()}, FIRST_S)
    except FAILURES as error:
        return {"error": str(error)}
    told = in_turn(lambda: doing.took(control), of_subject, PAIRS)
    if taken:
        names = sorted({name for one in taken for name in one["counts"]})
        told["records"] = {
            name: scale * statistics.fmean(one["counts"].get(name, 0) for one in taken) for name in names
        }
        told["drain_ms"] = statistics.fmean(one["ms"] for one in taken)
        told |= {"refused": taken[-1]["refused"] - before["refused"], "failed": taken[-1]["failed"]}
    return told


def price(told: dict[str, Any], switch: str) -> dict[str, float | None]:
    """In ns, of the steps of one work: what a record costs beyond what remains when all is off again, and what remains
    for each launch. A call's is with its kernel's. None where there are no records, or a step has failed.
    """
    on, off = told[switch], told[f"off_after_{switch}"]
    records = on.get("records", {})
    on_ns, off_ns = _more_ns(on), _more_ns(off)
    n, launched = sum(records.get(name, 0) for name in SWITCHES[switch]), records.get("launches", 0)
    return {
        "record": None if on_ns is None or off_ns is None or not n else (on_ns - off_ns) / n,
        "launch": None if off_ns is None or not launched else off_ns / launched,
    }


def _more_ns(step: dict[str, Any]) -> float | None:
    """By how much the subject's stretch is longer than the control's."""
    if not step.get("subject_s"):
        return None
    return 1e9 * (statistics.fmean(step["subject_s"]) - statistics.fmean(step["control_s"]))
