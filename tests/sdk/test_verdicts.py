"""The shipped filters, against numpy, on 100,000 events in batches whose tables grow and begin anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.sdk.host import Batch, Decided, Filter
from tests.sdk.made_up import batches
from tests.sdk.toolchain import READY

EVENTS = 100_000

Verdicts = NDArray[np.uint32]


def _named(batch: Batch, text: bytes) -> NDArray[np.bool_]:
    names = [batch.tables.strings[name] for name in batch.tables.processes["name"].tolist()]
    named = np.array([text in name for name in names])
    out: NDArray[np.bool_] = named[batch.events["process"]]
    return out


def process_name(batch: Batch) -> Verdicts:
    return _named(batch, b"nginx").astype(np.uint32)


def without_process_name(batch: Batch) -> Verdicts:
    return (~_named(batch, b"nginx")).astype(np.uint32)


def stack_frame(batch: Batch) -> Verdicts:
    strings, frames, stacks = batch.tables.strings, batch.tables.frames, batch.tables.stacks
    has = np.array([b"json" in strings[function] for function in frames["function"].tolist()])
    hit = [False] * len(stacks)
    for node, (parent, frame) in enumerate(stacks.tolist()):
        hit[node] = node > 0 and (hit[parent] or bool(has[frame]))
    out: Verdicts = np.array(hit, np.uint32)[batch.events["stack"]]
    return out


def cgroup(batch: Batch) -> Verdicts:
    paths = [batch.tables.strings[path] for path in batch.tables.processes["cgroup"].tolist()]
    within = np.array([path == b"/pods/a" or path.startswith(b"/pods/a/") for path in paths], np.uint32)
    out: Verdicts = within[batch.events["process"]]
    return out


def slow_syscalls(batch: Batch) -> Verdicts:
    passes: NDArray[np.bool_] = (batch.events["kind"] != 3) | (batch.events["maximum_ns"] >= 1_000_000)
    return passes.astype(np.uint32)


def time_sample(batch: Batch) -> Verdicts:
    every, window_ns = np.uint64(7), np.uint64(5_000_000)
    window = batch.events["time_ns"] // window_ns
    x = (window // every) * np.uint64(0x9E3779B97F4A7C15)
    x ^= batch.events["tid"].astype(np.uint64) * np.uint64(0xD1B54A32D192ED03)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    drawn = ((x >> np.uint64(32)) * every) >> np.uint64(32)
    return np.where(drawn == window % every, every, 0).astype(np.uint32)


def everything(batch: Batch) -> Verdicts:
    return np.ones(len(batch.events), np.uint32)


CASES: dict[str, tuple[dict[str, Any], Callable[[Batch], Verdicts]]] = {
    "process_name": ({"name": "nginx"}, process_name),
    "process_name_c": ({"name": "nginx"}, process_name),
    "process_name_as": ({"name": "nginx"}, process_name),
    "process_name, dropping": ({"name": "nginx", "drop": True}, without_process_name),
    "process_name_c, dropping": ({"name": "nginx", "drop": True}, without_process_name),
    "process_name_as, dropping": ({"name": "nginx", "drop": True}, without_process_name),
    "stack_frame": ({"function": "json"}, stack_frame),
    "time_sample": ({"every": 7, "window_ms": 5}, time_sample),
    "slow_syscalls": ({}, slow_syscalls),
    "slow_syscalls_c": ({}, slow_syscalls),
    "cgroup": ({"path": "/pods/a"}, cgroup),
    "redact": ({"functions": ["secret", "licence"]}, everything),
}


@pytest.fixture(scope="module")
def made_up() -> list[Batch]:
    made = list(batches(EVENTS))
    assert sum(len(batch.events) for batch in made) == EVENTS
    assert {batch.generation for batch in made} == {1, 2}
    return made


def decided(name: str, settings: dict[str, Any], made_up: list[Batch]) -> list[Decided]:
    guest = Filter(READY / f"{name}.wasm", settings)
    assert guest.refused == 0, guest.log
    out = [guest.run(batch) for batch in made_up]
    assert not guest.log
    return out


@pytest.mark.parametrize("case", CASES)
def test_verdicts_are_those_of_numpy(case: str, made_up: list[Batch]) -> None:
    settings, reference = CASES[case]
    expected = np.concatenate([reference(batch) for batch in made_up])
    said = np.concatenate([one.verdicts for one in decided(case.partition(",")[0], settings, made_up)])
    assert reference is everything or 0.05 < (expected != 0).mean() < 0.95, "a test that tells something"
    np.testing.assert_array_equal(said, expected)


@pytest.mark.parametrize("name", ["slow_syscalls", "slow_syscalls_c"])
def test_slow_calls_are_tagged(name: str, made_up: list[Batch]) -> None:
    for batch, one in zip(made_up, decided(name, {"at_least_us": 1_000}, made_up), strict=True):
        slow = (batch.events["kind"] == 3) & (batch.events["maximum_ns"] >= 1_000_000)
        np.testing.assert_array_equal(one.tags, slow.astype(np.uint32))


def test_frames_are_redacted_when_they_are_new(made_up: list[Batch]) -> None:
    seen, generation, hidden = 0, 0, 0
    said = decided("redact", {"functions": ["secret", "licence"]}, made_up)
    for batch, one in zip(made_up, said, strict=True):
        seen = seen if batch.generation == generation else 0
        generation = batch.generation
        names = [batch.tables.strings[function] for function in batch.tables.frames["function"].tolist()]
        secret = np.array([b"secret" in name or b"licence" in name for name in names])
        secret[:seen] = False
        np.testing.assert_array_equal(one.redacted, secret.astype(np.uint8))
        seen, hidden = len(names), hidden + int(secret.sum())
    assert hidden > 100


def _limited(batches: list[Batch], limit: int) -> Verdicts:
    """The rate limiter, event by event."""
    freely = limit // 2
    step = (limit - freely) // 15
    spent: dict[tuple[int, int], list[int]] = {}
    out = []
    for batch in batches:
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


def test_rates_are_limited(made_up: list[Batch]) -> None:
    said = np.concatenate([one.verdicts for one in decided("rate_limit", {"events_per_second": 100}, made_up)])
    np.testing.assert_array_equal(said, _limited(made_up, 100))
    assert said.max() > 4
    assert abs(int(said.sum()) - EVENTS) < 0.02 * EVENTS, "the kept ones stand for the others"
