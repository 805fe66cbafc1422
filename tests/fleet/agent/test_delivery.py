"""One push: by TLS or without, with the token and the certificates of the moment, and what an answer means."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import pytest

from aperture_tui.fleet.agent.delivery import AccessError, Answer, Delivery, Verdict
from aperture_tui.fleet.agent.known_stacks import KnownStacks
from aperture_tui.profile.symbols import Symbols
from aperture_tui.store.push import PushHead, encoded
from aperture_tui.store.remote.link import RemoteSettings
from aperture_tui.wire.fleet_pb2 import PushReply, PushRequest
from tests.fleet.agent.spooled import facts_of
from tests.fleet.agent.taking import Serving, Taker, refusing, sparing
from tests.fleet.aggregator.serving import Authority, InThread
from tests.store.facts import batch_of

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
CODE = grpc.StatusCode


def push(seq: int = 1) -> PushRequest:
    head = PushHead("build-7", bytes(16), seq)
    return encoded(head, batch_of(facts_of([seq]), Symbols()), lambda hashes: np.zeros(len(hashes), bool))[0]


def plain(address: str) -> Delivery:
    return Delivery(address, lambda: RemoteSettings(address, tls=False))


@pytest.mark.parametrize(
    ("plan", "verdict", "words"),
    [
        (refusing(CODE.UNAVAILABLE, "nothing can be stored now"), Verdict.UNREACHABLE, "nothing can be stored now"),
        (sparing(1.5), Verdict.LATER, "busy"),
        (refusing(CODE.UNAVAILABLE, "x", ("retry-after-ms", "1500")), Verdict.LATER, "x"),
        (refusing(CODE.UNAVAILABLE, "x", ("retry-after-ms", "soon")), Verdict.UNREACHABLE, "x"),
        (refusing(CODE.UNAVAILABLE, "x", ("grpc-status-details-bin", b"\xff")), Verdict.UNREACHABLE, "x"),
        (refusing(CODE.RESOURCE_EXHAUSTED, "so many bytes"), Verdict.TOO_LARGE, "so many bytes"),
        (refusing(CODE.RESOURCE_EXHAUSTED, "x", ("retry-after-ms", "1500")), Verdict.LATER, "x"),
        (refusing(CODE.INVALID_ARGUMENT, "a push without a boot"), Verdict.NEVER, "a push without a boot"),
        (refusing(CODE.PERMISSION_DENIED, "it may only read"), Verdict.UNWELCOME, "it may only read"),
        (refusing(CODE.FAILED_PRECONDITION, "push 7 is due"), Verdict.NOT_DUE, "push 7 is due"),
        (refusing(CODE.INTERNAL, "a\x1b[2Jb\nc"), Verdict.UNREACHABLE, "a\\x1b[2Jb c"),
    ],
)
def test_every_status_means_something(plan: Callable[..., PushReply], verdict: Verdict, words: str) -> None:
    taker = Taker()
    taker.plan.append(plan)
    with Serving(taker) as server:
        way = plain(server.address)
        answer = way.push(push())
        assert (answer.verdict, answer.delay_s) == (verdict, 1.5 if verdict is Verdict.LATER else 0.0)
        assert words in answer.words
        assert answer.words.startswith(server.address)
        assert "\n" not in answer.words
        assert answer.number == (7 if verdict is Verdict.NOT_DUE else 0)
        assert way.push(push()) == Answer(Verdict.STORED, number=1)
        way.close()


def test_an_answer_that_is_none_is_not_believed() -> None:
    taker = Taker()
    taker.plan.extend([lambda *_: PushReply(stored=3), lambda *_: PushReply(need_stacks=b"123")])
    with Serving(taker) as server:
        way = plain(server.address)
        assert "has not stored push 4" in way.push(push(4)).words
        assert "an answer that is none" in way.push(push()).words
        way.close()


def test_nobody_waits_for_ever() -> None:
    taker = Taker()
    with Serving(taker) as server:
        way = plain(server.address)
        taker.always = lambda *_: time.sleep(1)  # type: ignore[func-returns-value]
        assert way.push(push(), 0.2) == Answer(Verdict.UNREACHABLE, f"{server.address}: no answer")
        way.close()
    way = plain(server.address)
    assert "connection refused" in way.push(push()).words
    way.close()


def test_a_push_that_is_given_up_ends_at_once() -> None:
    taker = Taker()
    taker.always = lambda *_: time.sleep(2)  # type: ignore[func-returns-value]
    with Serving(taker) as server:
        way = plain(server.address)
        giving_up = threading.Timer(0.3, way.cancel)
        giving_up.start()
        began = time.monotonic()
        assert way.push(push()) == Answer(Verdict.UNREACHABLE, f"{server.address}: given up")
        assert time.monotonic() - began < 1.5
        way.close()


def test_a_new_token_is_taken_up_on_the_same_connection() -> None:
    taker, tokens, peers = Taker(), ["one", "two"], set[str]()
    taker.always = lambda _, __, context: peers.add(context.peer())  # type: ignore[func-returns-value]
    with Serving(taker) as server:
        way = Delivery(server.address, lambda: RemoteSettings(server.address, tokens.pop(0), tls=False))
        assert [way.push(push(seq)).verdict for seq in (1, 2)] == [Verdict.STORED] * 2
        way.close()
    assert [metadata["authorization"] for metadata in taker.metadata] == ["Bearer one", "Bearer two"]
    assert len(peers) == 1


@needs_openssl
def test_certificates_are_checked_and_renewed_ones_taken_up(tmp_path: Path) -> None:
    """Also our own, where the aggregator asks for one."""
    authority = Authority(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    stranger = Authority(other)
    certificate, key = authority.issue("agg")
    credentials = grpc.ssl_server_credentials([(key, certificate)], authority.pem, require_client_auth=True)
    given: list[RemoteSettings] = []
    with Serving(Taker(), credentials=credentials) as server:
        way = Delivery(server.address, lambda: given[-1])
        given.append(RemoteSettings(server.address, authority=stranger.pem))
        assert "of no authority that is trusted: name that with --tls-ca" in way.push(push()).words
        given.append(RemoteSettings(server.address, authority=authority.pem))
        assert way.push(push()).verdict is Verdict.UNREACHABLE
        own, own_key = authority.issue("agent")
        given.append(RemoteSettings(server.address, authority=authority.pem, certificate=own, key=own_key))
        assert way.push(push()).verdict is Verdict.STORED
        way.close()


def test_certificates_that_cannot_be_read_are_said() -> None:
    def gone() -> RemoteSettings:
        raise AccessError("/etc/ca.pem: No such file or directory")

    assert Delivery("agg:1", gone).push(push()) == Answer(Verdict.UNWELCOME, "/etc/ca.pem: No such file or directory")


def test_without_tls_that_is_said_where_it_is_expected() -> None:
    with Serving(Taker()) as server:
        way = Delivery(server.address, lambda: RemoteSettings(server.address, tls=True))
        assert "it does not speak TLS: --insecure does without" in way.push(push()).words
        way.close()


def test_the_aggregator_of_this_house_answers_as_is_expected(tmp_path: Path) -> None:
    aggregator = InThread(tmp_path)
    try:
        way = plain(aggregator.address)
        first = way.push(push(3))
        assert (first.verdict, first.number) == (Verdict.STORED, 3), "the first of a boot may have any seq"
        assert (way.push(push(3)).verdict, way.push(push(9)).number) == (Verdict.STORED, 4)
        head = PushHead("build-7", bytes(16), 4)
        unsent, hashes = encoded(head, batch_of(facts_of([9]), Symbols()), lambda h: np.ones(len(h), bool))
        asked = way.push(unsent)
        assert asked.verdict is Verdict.NEEDS_STACKS
        assert asked.stacks is not None
        assert asked.stacks.tolist() == hashes.tolist()
        unsent.boot = b"short"
        assert way.push(unsent).verdict is Verdict.NEVER
        large = push(4)
        large.body = bytes(4 << 20) + b"x"
        assert way.push(large).verdict is Verdict.TOO_LARGE
        large.body = bytes(20 << 20)
        assert way.push(large).verdict is Verdict.TOO_LARGE
        way.close()
    finally:
        aggregator.close()


def test_known_stacks_are_bounded_and_those_used_last_stay() -> None:
    known = KnownStacks(most=100)
    always = np.arange(10, dtype=np.uint64)
    for begin in range(100, 5000, 20):
        known.add(np.append(always, np.arange(begin, begin + 20, dtype=np.uint64)))
        assert len(known) <= 100
        assert known(always).all()
    assert known(np.arange(4980, 5000, dtype=np.uint64)).all()
    assert not known(np.arange(100, 1000, dtype=np.uint64)).any()
    known.forget(np.array([3], np.uint64))
    assert known(always).tolist() == [True] * 3 + [False] + [True] * 6
    known.clear()
    assert not known(always).any()
