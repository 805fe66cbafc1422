"""Pushes that nobody who means well would send."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import zstandard

from aperture_tui.profile.event import EVENT
from aperture_tui.profile.packed.tables import HEAD
from aperture_tui.wire.fleet_pb2 import Body, PushRequest
from tests.fleet.aggregator.pushing import push

NEVER = "INVALID_ARGUMENT"
TOO_MUCH = "RESOURCE_EXHAUSTED"
_BOMB = 2 << 30


def changed(request: PushRequest, change: Callable[[Body], object]) -> PushRequest:
    """The push with another body."""
    body = Body.FromString(zstandard.decompress(request.body))
    change(body)
    out = PushRequest()
    out.CopyFrom(request)
    out.body = zstandard.compress(body.SerializeToString())
    return out


def column(name: str) -> tuple[int, str]:
    """Where the column of three events begins, and what its numbers are."""
    names = list(EVENT.names or ())
    return 3 * sum(EVENT[before].itemsize for before in names[: names.index(name)]), EVENT[name].str


def event_says(name: str, value: int) -> Callable[[Body], None]:
    """The first of three events has this."""

    def change(body: Body) -> None:
        at, kind = column(name)
        new = np.array([value], kind).tobytes()
        body.columns = body.columns[:at] + new + body.columns[at + len(new) :]

    return change


def symbols_say(place: int, value: int) -> Callable[[Body], None]:
    """The head of the symbols has this."""

    def change(body: Body) -> None:
        fields = [*HEAD.unpack_from(body.symbols[0])]
        fields[place] = value
        body.symbols[0] = HEAD.pack(*fields) + body.symbols[0][HEAD.size :]

    return change


def _loop(body: Body) -> None:
    """The parent of the first node is the last."""
    payload, fields = bytearray(body.symbols[0]), HEAD.unpack_from(body.symbols[0])
    strings, frames, nodes, processes = fields[2::2]
    at = len(payload) - processes * 24 - 8 * nodes
    assert struct.unpack_from("<I", payload, at) == (0,)
    struct.pack_into("<I", payload, at, nodes)
    body.symbols[0] = bytes(payload)
    assert strings
    assert frames


def _set(**fields: object) -> Callable[[Body], None]:
    def change(body: Body) -> None:
        for name, value in fields.items():
            setattr(body, name, value)

    return change


def _bomb(declared: bool) -> bytes:
    packer = zstandard.ZstdCompressor(1).compressobj(_BOMB if declared else -1)
    zeros = bytes(16 << 20)
    return b"".join([*(packer.compress(zeros) for _ in range(_BOMB // len(zeros))), packer.flush()])


def _with(**fields: object) -> PushRequest:
    request = push(1, "evil")
    for name, value in fields.items():
        setattr(request, name, value)
    return request


def cases() -> dict[str, tuple[bytes, str]]:
    """By name: the message, and how it is refused."""
    good = push(1, "evil")
    bodies: dict[str, Callable[[Body], object]] = {
        "fewer events than it says": _set(events=199_999),
        "more events than it says": _set(events=2),
        "more symbols than it has": symbols_say(2, 1 << 31),
        "symbols that are not the first": symbols_say(1, 7),
        "many nodes": symbols_say(6, 1 << 30),
        "a loop in the trie": _loop,
        "a thread that is not there": event_says("thread", 1 << 20),
        "a process that is not there": event_says("process", (1 << 32) - 1),
        "a stack that is not there": event_says("stack", 9),
        "a node that is not there": _set(stack_node=struct.pack("<I", 1 << 31)),
        "a forged hash": _set(stack_hash=struct.pack("<Q", 12345)),
        "the hash of nothing for something": _set(stack_hash=bytes(8)),
        "a hash cut short": _set(stack_hash=b"abc"),
        "a stack twice": lambda body: _set(stack_hash=2 * body.stack_hash, stack_node=2 * body.stack_node)(body),
        "hosts that are none": _set(hosts=b'[{"name": 7}]'),
        "hosts that are nested": _set(hosts=b"[" * 1_000_000),
        "a reading that is none": _set(gauges=b'[{"time_ns": 1e999}]'),
        "no number": _set(gauges=b'[{"time_ns": 1, "cpu_user": NaN}]'),
        "no health": _set(health=b'{"a": 1}'),
        "symbols that are none": lambda body: body.symbols.append(b"x"),
    }
    requests = {name: (changed(good, change), NEVER) for name, change in bodies.items()}
    requests |= {
        "very many events": (changed(good, _set(events=(1 << 32) - 1)), TOO_MUCH),
        "an agent of a megabyte": (_with(agent="a" * 1_000_000), NEVER),
        "a service of a megabyte": (_with(service="s" * 1_000_000), NEVER),
        "no agent": (_with(agent=""), NEVER),
        "half a boot": (_with(boot=bytes(8)), NEVER),
        "a large boot": (_with(boot=bytes(1_000_000)), NEVER),
        "no seq": (_with(seq=0), NEVER),
        "a seq past all": (_with(seq=(1 << 64) - 1), NEVER),
        "no body": (_with(body=b""), NEVER),
        "a body that is not packed": (_with(body=b"plain"), NEVER),
        "a body cut short": (_with(body=good.body[:-5]), NEVER),
        "a window of two gigabytes": (_with(body=b"\x28\xb5\x2f\xfd\x00\xa8" + bytes(50)), NEVER),
        "a body too large": (_with(body=bytes((4 << 20) + 1)), TOO_MUCH),
        "a bomb": (_with(body=_bomb(declared=True)), TOO_MUCH),
        "a bomb that does not say so": (_with(body=_bomb(declared=False)), NEVER),
    }
    out = {name: (request.SerializeToString(), status) for name, (request, status) in requests.items()}
    out["noise"] = np.random.default_rng(5).bytes(3000), NEVER
    out["a message cut short"] = good.SerializeToString()[:-20], NEVER
    return out
