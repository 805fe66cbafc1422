"""The agent is killed 50 times, while the aggregator loses answers, stacks and patience."""

from __future__ import annotations

import contextlib
import random
import subprocess
import time
from pathlib import Path

import grpc
import pytest

from aperture_tui.fleet.agent import interval
from aperture_tui.fleet.agent.spool import Spool
from aperture_tui.wire.fleet_pb2 import PushReply, PushRequest
from tests.fleet.agent.running import ended, killed, started
from tests.fleet.agent.taking import Serving, Taker, forgetful, refusing, sparing

TIMES = 50
MEAN = refusing(grpc.StatusCode.UNAVAILABLE, "cannot store it now")


def unreliable(chance: random.Random) -> object:
    """What an aggregator may do to a push without doing wrong."""

    def some(taker: Taker, request: PushRequest, context: grpc.ServicerContext) -> PushReply | None:
        time.sleep(chance.uniform(0, 0.4))  # so that there is something left behind
        drawn = chance.random()
        if drawn < 0.15:
            return forgetful(taker, request, context)
        if drawn < 0.2:
            return MEAN(taker, request, context)
        if drawn < 0.25:
            return sparing(0.1)(taker, request, context)
        if drawn < 0.3:
            taker.stacks = {0}
        return None

    return some


@pytest.mark.bpf
def test_whenever_it_is_killed_what_it_had_closed_is_stored_once(tmp_path: Path) -> None:
    """What was left open, up to its last whole block, as well. A file is known by its newest event and their number."""
    chance, taker, folder = random.Random(6), Taker(), tmp_path / "spool"
    taker.always = unreliable(chance)  # type: ignore[assignment]
    left: set[tuple[int, int]] = set()
    options = ("-F", "999", "--interval")
    with Serving(taker) as server:
        for _ in range(TIMES):
            # what is held for more than a second is written before its interval ends
            agent = started(server.address, folder, *options, chance.choice(("0.2", "0.2", "2")))
            until_begun(folder, agent)
            if chance.random() < 0.5:
                until_something_is_there(folder, left)
            else:  # whatever it is at by then: how far that is depends on the machine
                time.sleep(chance.uniform(0.1, 1.4))
            killed(agent)
            left |= {known for path in folder.glob("interval-*") if (known := _known(path)) is not None}
        before = len(taker.pushes)
        taker.always = None
        last = started(server.address, folder, *options, "0.2")
        taker.until(lambda: len(taker.pushes) > before + 3, 30)
        status, said = ended(last)
    assert status == 0, said
    stored = [
        (int(push.events["time_ns"].max()), int(push.events["weight"].sum()))
        for push in taker.pushes
        if len(push.events)
    ]
    assert len(left) > TIMES / 3, "kills left something behind"
    assert left <= set(stored), "nothing that was on the disk is lost"
    assert len({newest for newest, _ in stored}) == len(stored), "nothing is stored twice"
    ((_, seq),) = taker.stored.items()
    assert seq == len(taker.pushes), "one agent, whose pushes have no holes"
    assert {push.head.lost for push in taker.pushes} == {0}
    tried: dict[int, int] = {}
    for number, _ in taker.tried:
        tried[number] = tried.get(number, 0) + 1
    assert max(tried.values()) > 1, "some were pushed again"
    spool = Spool(folder, 1 << 30)
    assert (spool.waiting, spool.lost) == (0, 0)
    spool.close()


def until_begun(folder: Path, agent: subprocess.Popen[str]) -> None:
    """It has the spool, and is about to collect."""
    before = set(folder.glob("*.open"))
    for _ in range(1000):
        if set(folder.glob("*.open")) - before or agent.poll() is not None:
            return
        time.sleep(0.01)


def until_something_is_there(folder: Path, before: set[tuple[int, int]]) -> None:
    """A file has events in it that none of those before had."""
    for _ in range(1000):
        for path in folder.glob("interval-*"):
            with contextlib.suppress(OSError):  # it was closed, or is pushed
                if (known := _known(path)) is not None and known not in before:
                    return
        time.sleep(0.01)


def _known(path: Path) -> tuple[int, int] | None:
    """Of a file with events that can be read."""
    try:
        events = interval.read(path).events
    except interval.RecordingError:  # it was killed as it began
        return None
    return (int(events["time_ns"].max()), int(events["weight"].sum())) if len(events) else None
