"""Samples of a Java program that was started without any flag: whole, with its methods, inlined or not, in order."""

from __future__ import annotations

import subprocess
import time
from collections import Counter

import numpy as np
import pytest

from aperture_tui.profile.kinds import STOPS, Flag, Stop
from aperture_tui.symbolize.address_space import executable_mappings
from aperture_tui.symbolize.hotspot.reader import JavaReader, opener
from tests.collect.collecting import Kept, collecting
from tests.programs.java import VERSIONS, java_of, running
from tests.truth.stacks import why

pytestmark = pytest.mark.bpf

QUIET_S, PATIENCE_S = 2.0, 40.0
"""Without new code, and it is compiled as it is going to stay."""
COVERED_S, SECONDS = 1.0, 4.0
"""Until it has its tables, and how long it is looked at then."""
C1 = ("-XX:TieredStopAtLevel=1", "-XX:CompileCommand=dontinline,Busy.*")
"""What it inlines it names where the runtime may stop a thread alone, which is not in the loops of this program."""
RECURSION = ("Busy.run", "turn", "lambda", *["Busy.descend"] * 21)
LEAVES = ("Busy.one", "Busy.three")


def settle(pid: int) -> None:
    """Until it has compiled what it is going to compile."""
    reader = opener()(pid, executable_mappings(pid))
    assert isinstance(reader, JavaReader)
    began = changed = time.monotonic()
    while time.monotonic() - changed < QUIET_S and time.monotonic() - began < PATIENCE_S:
        time.sleep(0.1)
        if reader.refresh():
            changed = time.monotonic()


def plain(name: str) -> str:
    """Of a lambda and its class what is not made up by the runtime."""
    if "$$Lambda" in name:
        return name.rpartition(".")[2]
    return "lambda" if "lambda$" in name else name


def chains(kept: Kept, pid: int, since_ns: int) -> Counter[tuple[str, ...]]:
    """The Java methods of each sample of the two threads that work, from Busy.run inwards."""
    found: Counter[tuple[str, ...]] = Counter()
    for names, n in kept.stacks(pid, since_ns).items():
        if "Busy.run" in names:
            found[tuple(map(plain, names[names.index("Busy.run") :]))] += n
    return found


def spent(java: subprocess.Popen[str]) -> tuple[int, int]:
    """Nanoseconds of the program's own clock that it has spent in `one` and in `three` so far."""
    assert java.stdin is not None
    assert java.stdout is not None
    java.stdin.write("\n")
    java.stdin.flush()
    one, three = map(int, java.stdout.readline().split())
    return one, three


@pytest.mark.parametrize(
    ("version", "options"),
    [("", ()), ("", ("-Xint",)), ("", C1), *((version, ()) for version in VERSIONS)],
    ids=["java", "interpreted", "C1", *VERSIONS],
)
def test_java_without_a_flag_is_whole_and_named(version: str, options: tuple[str, ...]) -> None:
    with running(java_of(version), *options) as java:
        settle(java.pid)
        with collecting(events=("cpu",), pids=(java.pid,)) as kept:
            time.sleep(COVERED_S)
            before = spent(java)
            since_ns = time.time_ns()
            time.sleep(SECONDS)
            in_one, in_three = (now - then for now, then in zip(spent(java), before, strict=True))
    events = kept.of(java.pid)
    flags = events["flags"][events["time_ns"] > since_ns]
    found = chains(kept, java.pid, since_ns)
    of_work = found.total()
    said = [(one.name, one.message, one.degraded) for one in kept.health if one.name in ("unwind", "naming")]
    assert of_work > 500, f"{kept.stacks(java.pid).most_common(3)}; {said}"
    assert np.count_nonzero(flags & Flag.WHOLE) > 0.99 * len(flags)
    assert np.count_nonzero(flags & Flag.GUESSED) < 0.01 * len(flags)
    right = {(*RECURSION, leaf) for leaf in LEAVES}
    wrong = Counter({chain: n for chain, n in found.items() if chain not in right})
    assert wrong.total() < 0.03 * of_work, f"{wrong.most_common(3)}; {said}"
    three, one = found[(*RECURSION, "Busy.three")], found[(*RECURSION, "Busy.one")]
    assert abs(three / (three + one) - in_three / (in_three + in_one)) < 0.03
    above = Counter[str]()
    for names, n in kept.stacks(java.pid, since_ns).items():
        if "Busy.run" in names:
            above[plain(names[names.index("Busy.run") - 1])] += n
    assert above["Busy.main"] + above["lambda"] > 0.99 * of_work, above
    assert min(above["Busy.main"], above["lambda"]) > 0.2 * of_work, "two threads that do the same"


@pytest.mark.parametrize("version", ["21", "25"])
def test_of_a_virtual_thread_what_is_on_the_stack_is_right_and_the_rest_is_said_to_be_elsewhere(version: str) -> None:
    with running(java_of(version), name="Virtual") as java:
        settle(java.pid)
        with collecting(events=("cpu",), pids=(java.pid,)) as kept:
            time.sleep(COVERED_S)
            since_ns = time.time_ns()
            time.sleep(SECONDS)
    ends: Counter[str] = Counter()
    for batch in kept.batches:
        for event in batch.events[(batch.events["pid"] == java.pid) & (batch.events["time_ns"] > since_ns)]:
            functions = [batch.symbols.frame_at(f).function for f in batch.symbols.trie.path(int(event["stack"]))]
            if "Virtual.burn" in functions:
                inner = functions[functions.index("Virtual.run") :] if "Virtual.run" in functions else functions
                right = inner[:13] == ["Virtual.run", *["Virtual.descend"] * 11, "Virtual.burn"]
                ends[why(int(event["flags"])) if right else f"not what was called: {functions}"] += 1
    assert ends.total() > 500
    assert ends["whole"] + ends[STOPS[Stop.FROZEN]] > 0.97 * ends.total(), ends.most_common(4)
    assert ends[STOPS[Stop.FROZEN]] > 0, "they all have yielded"
