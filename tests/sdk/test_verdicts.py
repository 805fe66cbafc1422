"""The shipped filters, against numpy, on what was recorded; and on made-up events, whose tables begin anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from aperture_tui.filters.chain import Chain
from aperture_tui.filters.spec import Spec
from aperture_tui.recording.reader import Reader
from tests.sdk import made_up, recorded
from tests.sdk.host import Batch, Decided, Filter
from tests.sdk.record import RECORDED
from tests.sdk.toolchain import READY

EVENTS: Final = 100_000

Verdicts = NDArray[np.uint32]


@dataclass(frozen=True)
class Asked:
    """What the filters are asked for: texts that some of the events have, and others not."""

    process: str
    function: str
    hidden: tuple[str, str]


SOURCES: Final = {
    "recorded": Asked("python3", "serve", ("encode", "depth")),
    "made up": Asked("nginx", "json", ("secret", "licence")),
}


@lru_cache(maxsize=2)
def batches(source: str) -> list[Batch]:
    """At least 100,000 events; the made-up ones of two generations of tables, with whatever an event may hold."""
    out = list(recorded.batches() if source == "recorded" else made_up.batches(EVENTS))
    assert sum(len(batch.events) for batch in out) >= EVENTS
    assert {batch.generation for batch in out} == ({1} if source == "recorded" else {1, 2})
    return out


def _named(batch: Batch, text: bytes) -> NDArray[np.bool_]:
    names = [batch.tables.strings[name] for name in batch.tables.processes["name"].tolist()]
    named = np.array([text in name for name in names])
    out: NDArray[np.bool_] = named[batch.events["process"]]
    return out


def process_name(batch: Batch, asked: Asked) -> Verdicts:
    return _named(batch, asked.process.encode()).astype(np.uint32)


def without_process_name(batch: Batch, asked: Asked) -> Verdicts:
    return (~_named(batch, asked.process.encode())).astype(np.uint32)


def stack_frame(batch: Batch, asked: Asked) -> Verdicts:
    strings, frames, stacks = batch.tables.strings, batch.tables.frames, batch.tables.stacks
    has = np.array([asked.function.encode() in strings[function] for function in frames["function"].tolist()])
    hit = [False] * len(stacks)
    for node, (parent, frame) in enumerate(stacks.tolist()):
        hit[node] = node > 0 and (hit[parent] or bool(has[frame]))
    out: Verdicts = np.array(hit, np.uint32)[batch.events["stack"]]
    return out


def cgroup(batch: Batch, _: Asked) -> Verdicts:
    paths = [batch.tables.strings[path] for path in batch.tables.processes["cgroup"].tolist()]
    within = np.array([path == b"/pods/a" or path.startswith(b"/pods/a/") for path in paths], np.uint32)
    out: Verdicts = within[batch.events["process"]]
    return out


def slow_syscalls(batch: Batch, _: Asked) -> Verdicts:
    passes: NDArray[np.bool_] = (batch.events["kind"] != 3) | (batch.events["maximum_ns"] >= 1_000_000)
    return passes.astype(np.uint32)


def time_sample(batch: Batch, _: Asked) -> Verdicts:
    every, window_ns = np.uint64(7), np.uint64(5_000_000)
    window = batch.events["time_ns"] // window_ns
    x = (window // every) * np.uint64(0x9E3779B97F4A7C15)
    x ^= batch.events["tid"].astype(np.uint64) * np.uint64(0xD1B54A32D192ED03)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    drawn = ((x >> np.uint64(32)) * every) >> np.uint64(32)
    return np.where(drawn == window % every, every, 0).astype(np.uint32)


def everything(batch: Batch, _: Asked) -> Verdicts:
    return np.ones(len(batch.events), np.uint32)


CASES: Final[dict[str, Callable[[Batch, Asked], Verdicts]]] = {
    "process_name": process_name,
    "process_name_c": process_name,
    "process_name_as": process_name,
    "process_name, dropping": without_process_name,
    "process_name_c, dropping": without_process_name,
    "process_name_as, dropping": without_process_name,
    "stack_frame": stack_frame,
    "time_sample": time_sample,
    "slow_syscalls": slow_syscalls,
    "slow_syscalls_c": slow_syscalls,
    "cgroup": cgroup,
    "redact": everything,
}


def settings(case: str, asked: Asked) -> dict[str, Any]:
    name, _, dropping = case.partition(", ")
    return {
        "process_name": {"name": asked.process, **({"drop": True} if dropping else {})},
        "stack_frame": {"function": asked.function},
        "time_sample": {"every": 7, "window_ms": 5},
        "slow_syscalls": {},
        "cgroup": {"path": "/pods/a"},
        "redact": {"functions": list(asked.hidden)},
    }[name.removesuffix("_c").removesuffix("_as")]


def decided(name: str, chosen: dict[str, Any], given: list[Batch]) -> list[Decided]:
    guest = Filter(READY / f"{name}.wasm", chosen)
    assert guest.refused == 0, guest.log
    out = [guest.run(batch) for batch in given]
    assert not guest.log
    return out


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("case", CASES)
def test_verdicts_are_those_of_numpy(case: str, source: str) -> None:
    asked, given, reference = SOURCES[source], batches(source), CASES[case]
    expected = np.concatenate([reference(batch, asked) for batch in given])
    chosen = settings(case, asked)
    said = np.concatenate([one.verdicts for one in decided(case.partition(",")[0], chosen, given)])
    assert reference is everything or 0.05 < (expected != 0).mean() < 0.95, "a test that tells something"
    np.testing.assert_array_equal(said, expected)


@pytest.mark.parametrize("case", [case for case in CASES if case != "redact"])
def test_the_profiler_lets_the_same_events_pass(case: str) -> None:
    """Its own engine, given the recording as it is."""
    asked = SOURCES["recorded"]
    expected = np.concatenate([CASES[case](batch, asked) for batch in batches("recorded")])
    spec = Spec(READY / f"{case.partition(',')[0]}.wasm", json.dumps(settings(case, asked)))
    with Chain([spec]) as chain, Reader(RECORDED) as reader:
        pairs = [(batch.events, chain.apply(batch).events) for batch in reader.batches()]
    wanted = np.concatenate([before for before, _ in pairs])[expected != 0]
    wanted["weight"] *= expected[expected != 0]
    passed = np.concatenate([after for _, after in pairs])
    for column in ("time_ns", "pid", "tid", "stack", "value", "weight"):
        np.testing.assert_array_equal(passed[column], wanted[column])


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", ["slow_syscalls", "slow_syscalls_c"])
def test_slow_calls_are_tagged(name: str, source: str) -> None:
    given, tagged = batches(source), 0
    for batch, one in zip(given, decided(name, {"at_least_us": 1_000}, given), strict=True):
        slow = (batch.events["kind"] == 3) & (batch.events["maximum_ns"] >= 1_000_000)
        np.testing.assert_array_equal(one.tags, slow.astype(np.uint32))
        tagged += int(slow.sum())
    assert tagged > 100


@pytest.mark.parametrize("source", SOURCES)
def test_frames_are_redacted_when_they_are_new(source: str) -> None:
    seen, generation, hidden = 0, 0, 0
    asked, given = SOURCES[source], batches(source)
    for batch, one in zip(given, decided("redact", {"functions": list(asked.hidden)}, given), strict=True):
        seen = seen if batch.generation == generation else 0
        generation = batch.generation
        names = [batch.tables.strings[function] for function in batch.tables.frames["function"].tolist()]
        secret = np.array([any(text.encode() in name for text in asked.hidden) for name in names])
        secret[:seen] = False
        np.testing.assert_array_equal(one.redacted, secret.astype(np.uint8))
        seen, hidden = len(names), hidden + int(secret.sum())
    assert hidden > (1 if source == "recorded" else 100)


def _limited(given: list[Batch], limit: int) -> Verdicts:
    """The rate limiter, event by event."""
    freely = limit // 2
    step = (limit - freely) // 15
    spent: dict[tuple[int, int], list[int]] = {}
    out = []
    for batch in given:
        for time_ns, process in zip(batch.events["time_ns"].tolist(), batch.events["process"].tolist(), strict=True):
            row = spent.setdefault((batch.generation, process), [0, 0, 0])
            if time_ns // 10**9 > row[0]:
                row[:] = [time_ns // 10**9, 0, 0]
            if row[1] < freely:
                row[1] += 1
                out.append(1)
                continue
            step_now = (row[1] - freely) // step
            if step_now == 15 or row[2] > 0:
                row[2] -= 1
                out.append(0)
                continue
            row[1] += 1
            row[2] = 2**step_now + 2 ** ((row[1] - freely) // step) - 1
            out.append(2 * 2**step_now)
    return np.array(out, np.uint32)


@pytest.mark.parametrize("source", SOURCES)
def test_rates_are_limited(source: str) -> None:
    given = batches(source)
    said = np.concatenate([one.verdicts for one in decided("rate_limit", {"events_per_second": 100}, given)])
    np.testing.assert_array_equal(said, _limited(given, 100))
    assert said.max() > 4
    assert abs(int(said.sum()) - len(said)) < 0.02 * len(said), "the kept ones stand for the others"
