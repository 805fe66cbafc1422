"""From the spool to an aggregator: everything once and in order, whatever that and the way to it do."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import grpc
import numpy as np
import pytest

from aperture_tui.fleet.agent import outgoing
from aperture_tui.fleet.agent.spool import REFUSED, Spool
from aperture_tui.profile.health import Health, State
from aperture_tui.store.push import PushLimits
from aperture_tui.wire.fleet_pb2 import PushReply, PushRequest
from tests.fleet.agent.agents import Agent
from tests.fleet.agent.spooled import facts_of, fill, names, put, written
from tests.fleet.agent.taking import Refusal, Serving, Taker, forgetful, refusing, sparing

UNAVAILABLE = refusing(grpc.StatusCode.UNAVAILABLE, "cannot store it now")
INVALID = refusing(grpc.StatusCode.INVALID_ARGUMENT, "damaged push: nonsense")
TOO_LARGE = refusing(grpc.StatusCode.RESOURCE_EXHAUSTED, "a push of too many bytes")


pytestmark = pytest.mark.usefixtures("quick")


def test_everything_arrives_once_in_order_and_is_condensed(agent: Agent, taker: Taker, spool: Spool) -> None:
    for i in range(5):
        put(spool, facts_of([i] * 100), gauges=3)
    with agent:
        taker.until(lambda: spool.waiting == 0)
    assert taker.values() == sorted([*range(5)] * 100)
    assert [push.head.seq for push in taker.pushes] == [1, 2, 3, 4, 5]
    assert [len(push.events) for push in taker.pushes] == [1] * 5
    assert names(spool.folder) == []
    assert agent.said == [f"connected to {agent.address}, 4 intervals to push"]
    push = taker.pushes[0]
    assert (push.head.agent, push.head.service, push.head.version, push.head.boot) == (
        "build-7", "checkout", "0.1", spool.boot,
    )  # fmt: skip
    assert [host.name for host in push.hosts] == ["build-7"], "by the name that it was given"
    assert len(push.gauges) == 3


def test_a_stack_is_sent_once(agent: Agent, taker: Taker, spool: Spool) -> None:
    put(spool, facts_of([1, 2]))
    put(spool, facts_of([1, 2, 3]))
    with agent:
        taker.until(lambda: spool.waiting == 0)
    first, second = taker.pushes
    assert np.count_nonzero(first.nodes) == len(first.nodes) == 2
    assert np.count_nonzero(second.nodes) == 1
    assert len(second.nodes) == 3
    assert set(first.hashes.tolist()) < set(second.hashes.tolist())


def test_stacks_that_are_asked_for_are_sent_with_the_same_push(agent: Agent, taker: Taker, spool: Spool) -> None:
    put(spool, facts_of([1, 2]))
    with agent:
        taker.until(lambda: len(taker.pushes) == 1)
        taker.stacks = {0}
        put(spool, facts_of([1, 2]))
        put(spool, facts_of([1, 2]))
        taker.until(lambda: len(taker.pushes) == 3)
    assert [seq for seq, _ in taker.tried] == [1, 2, 2, 3]
    assert [int(np.count_nonzero(push.nodes)) for push in taker.pushes] == [2, 2, 0]


def test_many_new_stacks_are_sent_as_far_as_they_are_needed(agent: Agent, taker: Taker, spool: Spool) -> None:
    many = [fact for i in range(300) for fact in facts_of([i], f"f{i}-")]
    put(spool, many)
    with agent:
        taker.until(lambda: spool.waiting == 0)
        every = taker.pushes[0].hashes
        taker.stacks = {0, *every[:250].tolist()}  # as another agent of the service has sent them
    other = Agent(spool, agent.address)
    put(spool, many)
    put(spool, many)
    with other:
        taker.until(lambda: len(taker.pushes) == 3)
    assert [seq for seq, _ in taker.tried] == [1, 1, 2, 2, 3]
    assert [int(np.count_nonzero(push.nodes)) for push in taker.pushes] == [len(every), len(every) - 250, 0]
    assert len(taker.tried[2][1]) < len(taker.tried[1][1]), "asking costs less"


def test_an_aggregator_that_asks_for_ever_is_trouble_and_not_a_loop(agent: Agent, taker: Taker, spool: Spool) -> None:
    def always(taker: Taker, request: PushRequest, context: grpc.ServicerContext) -> PushReply:
        return PushReply(need_stacks=bytes(range(8)))

    taker.always = always
    put(spool, facts_of([1]))
    with agent:
        taker.until(lambda: "again and again" in agent.pusher.health().message)
        taker.always = None
        taker.until(lambda: len(taker.pushes) == 1)


def test_what_was_stored_without_an_answer_is_not_stored_twice(agent: Agent, taker: Taker, spool: Spool) -> None:
    fill(spool, 6)
    taker.plan.extend([forgetful, UNAVAILABLE, forgetful, forgetful])
    with agent:
        taker.until(lambda: spool.waiting == 0)
    assert taker.values() == list(range(60))
    bodies: dict[int, set[bytes]] = {}
    for seq, body in taker.tried:
        bodies.setdefault(seq, set()).add(body)
    assert all(len(some) == 1 for some in bodies.values()), "one content for each seq"


def test_while_it_is_unreachable_everything_is_kept_and_it_is_said_once(spool: Spool, taker: Taker) -> None:
    with Serving(taker) as server:
        agent, port = Agent(spool, server.address), server.port
    fill(spool, 2)
    with agent:
        taker.until(lambda: bool(agent.said))
        time.sleep(0.3)
        fill(spool, 2, 2)
        health = agent.pusher.health()
        assert health.state is State.STARTING
        assert "connection refused" in health.message
        assert health.lag_ns is not None
        assert 0 < health.lag_ns < 60e9
        with Serving(taker, port):
            taker.until(lambda: spool.waiting == 0)
    assert taker.values() == list(range(40))
    assert len(agent.said) == 2
    assert "connection refused: is the aggregator running there?: what is collected is kept meanwhile" in agent.said[0]
    assert agent.said[1] == f"connected to {agent.address}, 3 intervals to push"
    health = agent.pusher.health()
    assert (health.state, health.message, health.delivered, health.lag_ns) == (State.RUNNING, "", 40, 0)


def test_that_it_is_back_is_said_with_how_long_it_was_away(agent: Agent, taker: Taker, spool: Spool) -> None:
    with agent:
        fill(spool, 1)
        taker.until(lambda: spool.waiting == 0)
        taker.plan.extend([UNAVAILABLE] * 3)
        fill(spool, 1, 1)
        taker.until(lambda: spool.waiting == 0)
    assert agent.said[1:] == [
        f"{agent.address}: cannot store it now: what is collected is kept meanwhile",
        f"{agent.address}: connected again after 0 s",
    ]


@pytest.mark.parametrize(
    "spare", [sparing(0.4), refusing(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", ("retry-after-ms", "400"))]
)
def test_an_aggregator_that_asks_for_it_is_spared(agent: Agent, taker: Taker, spool: Spool, spare: Refusal) -> None:
    times: list[float] = []

    def timed(taker: Taker, request: PushRequest, context: grpc.ServicerContext) -> PushReply | None:
        times.append(time.monotonic())
        return spare(taker, request, context) if len(times) == 1 else None

    taker.always = timed
    fill(spool, 1)
    with agent:
        taker.until(lambda: spool.waiting == 0)
    assert 0.4 <= times[1] - times[0] < 2
    assert taker.values() == list(range(10))
    assert agent.said == [f"connected to {agent.address}"], "that is no trouble"


def test_a_token_that_is_refused_is_said_and_a_new_one_is_taken_up(
    serving: Serving, taker: Taker, spool: Spool, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")

    def guarded(taker: Taker, request: PushRequest, context: grpc.ServicerContext) -> None:
        if dict(context.invocation_metadata()).get("authorization") != "Bearer new":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is not known here")

    taker.always = guarded
    fill(spool, 2)
    agent = Agent(spool, serving.address, token)
    with agent:
        taker.until(lambda: len(taker.tried) > 2)
        assert (
            agent.pusher.health().message == f"{serving.address}: the token was refused (the token is not known here)"
        )
        token.unlink()
        taker.until(lambda: "No such file" in agent.pusher.health().message)
        token.write_text("new\n")
        taker.until(lambda: spool.waiting == 0)
    assert taker.values() == list(range(20))
    assert len([line for line in agent.said if "refused" in line]) == 1


def test_what_is_never_taken_is_counted_and_the_next_one_is_pushed(agent: Agent, taker: Taker, spool: Spool) -> None:
    fill(spool, 4)
    taker.plan.extend([lambda *_: None, INVALID])
    with agent:
        taker.until(lambda: spool.waiting == 0)
    assert taker.values() == [*range(10), *range(20, 40)]
    assert [push.head.seq for push in taker.pushes] == [1, 2, 3]
    assert (spool.lost, dict(spool.causes)) == (10, {REFUSED: 10})
    assert [push.head.lost for push in taker.pushes] == [0, 10, 10]
    assert agent.said[1] == f"10 events are lost with push 2: {agent.address}: damaged push: nonsense"
    assert len(agent.said) == 2, "that an older seq is due then is no news"
    assert agent.pusher.health().lost == {REFUSED: 10}


def test_what_is_too_large_is_pushed_in_halves(agent: Agent, taker: Taker, spool: Spool) -> None:
    def small(taker: Taker, request: PushRequest, context: grpc.ServicerContext) -> PushReply | None:
        many = len(pushes_of(request)) > 16
        return TOO_LARGE(taker, request, context) if many else None

    taker.always = small
    put(spool, facts_of(range(50)), gauges=5)
    fill(spool, 1, 100)
    with agent:
        taker.until(lambda: spool.waiting == 0)
    assert taker.values() == [*range(50), *range(1000, 1010)]
    assert spool.lost == 0
    assert [len(push.gauges) for push in taker.pushes] == [5, 0, 0, 0, 0, 1]


def pushes_of(request: PushRequest) -> list[int]:
    from aperture_tui.store.push import decoded

    return decoded(request).events["value"].tolist()


def test_one_event_that_is_too_large_is_lost_alone(agent: Agent, taker: Taker, spool: Spool) -> None:
    def no_seven(taker: Taker, request: PushRequest, context: grpc.ServicerContext) -> PushReply | None:
        return TOO_LARGE(taker, request, context) if 7 in pushes_of(request) else None

    taker.always = no_seven
    put(spool, facts_of(range(16)))
    with agent:
        taker.until(lambda: spool.waiting == 0)
    assert taker.values() == [v for v in range(16) if v != 7]
    assert spool.lost == 1


def test_what_no_aggregator_takes_is_halved_before_it_is_sent(
    agent: Agent, taker: Taker, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "LIMITS", PushLimits(events=20))
    put(spool, facts_of(range(64)))
    with agent:
        taker.until(lambda: spool.waiting == 0)
    assert [len(push.events) for push in taker.pushes] == [16] * 4
    assert len(taker.tried) == 4
    assert taker.values() == list(range(64))


def test_an_aggregator_that_lost_pushes_is_given_the_one_that_it_is_due(
    agent: Agent, taker: Taker, spool: Spool
) -> None:
    fill(spool, 5)
    with agent:
        taker.until(lambda: spool.waiting == 0)
        ((key, _),) = taker.stored.items()
        taker.stored[key] = 2  # as of yesterday's backup
        fill(spool, 2, 5)
        taker.until(lambda: spool.waiting == 0)
    assert [push.head.seq for push in taker.pushes] == [1, 2, 3, 4, 5, 3, 4]
    assert taker.values() == list(range(70))
    assert [line for line in agent.said if "push 3 is due, and not 6" in line] == agent.said[1:]
    assert spool.next_seq == 5


def test_health_goes_with_every_push(agent: Agent, taker: Taker, spool: Spool) -> None:
    path = spool.next_path()
    told = [Health("cpu", State.RUNNING, "", 4), Health("push", State.STARTING, "of another time")]
    written(path, facts_of([1]), health=told)
    spool.add(path)
    fill(spool, 1, 1)
    with agent:
        taker.until(lambda: spool.waiting == 0)
    first, second = taker.pushes
    assert [health.name for health in first.health] == ["cpu", "push"]
    own = second.health[-1]
    assert (own.name, own.state, own.delivered, own.message) == ("push", State.RUNNING, 1, "")
    assert own.lag_ns is not None


def test_it_pushes_as_seldom_as_the_aggregator_likes(agent: Agent, taker: Taker, spool: Spool) -> None:
    taker.interval_ms = 30_000
    fill(spool, 2)
    with agent:
        taker.until(lambda: spool.waiting == 0)
        taker.interval_ms = 1
        fill(spool, 1, 2)
        taker.until(lambda: spool.waiting == 0)
    assert agent.paces == [30.0, 0.01]
    assert [push.head.interval_ms for push in taker.pushes] == [10, 30_000, 30_000]


def test_at_the_end_what_waits_is_pushed(agent: Agent, taker: Taker, spool: Spool) -> None:
    with agent:
        fill(spool, 1)
        taker.until(lambda: spool.waiting == 0)
        taker.plan.extend([UNAVAILABLE])
        fill(spool, 3, 1)
    assert taker.values() == list(range(40))


def test_at_the_end_nobody_waits_for_an_aggregator_that_is_away(spool: Spool) -> None:
    with Serving(Taker()) as server:
        agent = Agent(spool, server.address)
    fill(spool, 2)
    with agent:
        Taker().until(lambda: bool(agent.said))
        began = time.monotonic()
        agent.pusher.stop(5.0)
        assert time.monotonic() - began < 1.5
    assert spool.waiting == 2


def test_at_the_end_a_push_that_hangs_is_given_up(agent: Agent, taker: Taker, spool: Spool) -> None:
    hanging = threading.Event()

    def hang(taker: Taker, request: PushRequest, context: grpc.ServicerContext) -> None:
        hanging.wait(20)

    taker.always = hang
    fill(spool, 1)
    with agent:
        taker.until(lambda: len(taker.tried) == 1)
        began = time.monotonic()
        agent.pusher.stop(0.5)
        assert 0.4 < time.monotonic() - began < 2.0
        hanging.set()
    assert spool.waiting == 1


def test_what_is_not_an_aggregator_is_said(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    server = grpc.server(__import__("concurrent.futures").futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    agent = Agent(spool, f"127.0.0.1:{port}")
    fill(spool, 1)
    with agent:
        Taker().until(lambda: bool(agent.said))
    server.stop(0).wait()
    assert "it takes no pushes: it is no aggregator, or of another version" in agent.said[0]
