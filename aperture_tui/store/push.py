"""One interval of one agent as it goes to the aggregator (proto/aperture/v1/fleet.proto), and back from strangers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import zstandard
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from aperture_tui.profile.event import EVENT
from aperture_tui.profile.packed import columns, words
from aperture_tui.profile.packed.chosen import Chosen
from aperture_tui.profile.packed.hashes import StackHashes
from aperture_tui.profile.packed.tables import MAX_DEPTH, DamagedError, Tables
from aperture_tui.profile.symbols import Symbols
from aperture_tui.profile.tags import checked
from aperture_tui.profile.text import clean
from aperture_tui.wire.fleet_pb2 import Body, PushRequest

if TYPE_CHECKING:
    from aperture_tui.profile.batch import Batch
    from aperture_tui.profile.health import Health
    from aperture_tui.profile.host import HostFacts, HostSample

BOOT_BYTES: Final = 16
_LEVEL: Final = 3
_MAX_NAME: Final = 255
"""Characters of the name of a machine or service: what a host's name may have."""


class PushError(ValueError):
    """Why a push cannot be taken, in one clear line. too_large: it was too much, not nonsense."""

    def __init__(self, words: str, too_large: bool = False) -> None:
        super().__init__(words)
        self.too_large = too_large


@dataclass(frozen=True, slots=True)
class PushLimits:
    """What one push may have. stored_bytes: as it comes. plain_bytes: unpacked. Rows of every table count as events."""

    stored_bytes: int = 4 << 20
    plain_bytes: int = 32 << 20
    events: int = 200_000
    rows: int = 500_000


@dataclass(frozen=True, slots=True)
class PushHead:
    """Whose push it is, and which. lost: events that the agent had and will never push, since `boot` began."""

    agent: str
    boot: bytes
    seq: int
    service: str = ""
    version: str = ""
    lost: int = 0
    interval_ms: int = 10_000


@dataclass(frozen=True)
class Push:
    """One push, checked.

    events: (n,) of EVENT; ids of `symbols`, but `stack` is a place in `hashes`. hashes: (k,) uint64, each once; 0 is
    the empty stack. nodes: (k,) int32, the stack in `symbols`; 0 for those that were not sent. tags: the names of the
    bits of the events' tags.
    """

    head: PushHead
    symbols: Symbols
    events: NDArray[np.void]
    hashes: NDArray[np.uint64]
    nodes: NDArray[np.int32]
    hosts: Sequence[HostFacts] = ()
    gauges: Sequence[HostSample] = ()
    health: Sequence[Health] = field(default=())
    tags: tuple[str, ...] = ()


Known = Callable[[NDArray[np.uint64]], NDArray[np.bool_]]


def encoded(
    head: PushHead,
    batch: Batch,
    known: Known,
    hosts: Sequence[HostFacts] = (),
    gauges: Sequence[HostSample] = (),
    health: Sequence[Health] = (),
    of: StackHashes | None = None,
) -> tuple[PushRequest, NDArray[np.uint64]]:
    """A push, and the hashes of all its stacks. known: tells, (k,) hashes -> (k,) bool, which need not be sent.

    of: the hashes of the batch's Symbols, if they are at hand.
    """
    of = of or StackHashes(batch.symbols)
    stacks, place = np.unique(batch.events["stack"], return_inverse=True)
    hashes = of.of(stacks)
    sent = ~known(hashes) & (hashes != 0)
    events = batch.events.copy()
    events["stack"] = np.where(sent, stacks, 0)[place]
    payloads, events = Chosen(batch.symbols, 0).numbered(events)
    nodes = np.zeros(len(stacks), np.uint32)
    nodes[place] = events["stack"]
    events["stack"] = place
    body = Body(
        symbols=payloads,
        stack_hash=hashes.astype("<u8").tobytes(),
        stack_node=nodes.astype("<u4").tobytes(),
        events=len(events),
        columns=columns.packed(events),
        hosts=words.from_hosts(hosts),
        gauges=words.from_gauges(gauges),
        health=words.from_health(health),
        tags=batch.tags,
    )
    data = zstandard.ZstdCompressor(_LEVEL).compress(body.SerializeToString())
    request = PushRequest(
        agent=head.agent,
        boot=head.boot,
        seq=head.seq,
        service=head.service,
        version=head.version,
        lost=head.lost,
        interval_ms=head.interval_ms,
        body=data,
    )
    return request, hashes


def decoded(request: PushRequest, limits: PushLimits = PushLimits()) -> Push:
    """What a push says, all of it checked. Raises PushError."""
    head = head_of(request)
    body = _body(request.body, limits)
    if body.events > limits.events:
        raise PushError(f"{body.events:,} events in one push: at most {limits.events:,} are taken", too_large=True)
    symbols = Symbols()
    tables = Tables(0, symbols, limits.rows)
    try:
        for payload in body.symbols:
            tables.extend(payload)
        hashes = columns.array(body.stack_hash, "<u8")
        nodes = columns.array(body.stack_node, "<u4")
        events = columns.unpacked(body.columns, body.events, EVENT)
        places = events["stack"].copy()
        events["stack"] = 0
        named = tables.remapped(events)
        named_nodes = tables.stacks(nodes)
        tags = checked(body.tags)
    except (DamagedError, ValueError) as error:
        raise PushError(f"damaged push: {error}") from error
    if len(named) < len(events):
        raise PushError("damaged push: an event that refers to what is not there")
    named["stack"] = places
    _check_stacks(symbols, places, hashes, named_nodes)
    return Push(head, symbols, named, hashes, named_nodes, *_words(body), tags)


def head_of(request: PushRequest) -> PushHead:
    """Whose push it is, and which: checked, but nothing else of it is. Raises PushError."""
    if len(request.boot) != BOOT_BYTES:
        raise PushError(f"a push without a boot of {BOOT_BYTES} bytes")
    if not 0 < request.seq < 1 << 63:
        raise PushError("a push without a seq: they count from 1")
    names = {}
    for name, text in (("agent", request.agent), ("service", request.service), ("version", request.version)):
        if len(text) > _MAX_NAME:
            raise PushError(f"a push whose {name} has more than {_MAX_NAME} characters")
        names[name] = clean(text)
    if not names["agent"]:
        raise PushError("a push without the name of its agent")
    lost = min(request.lost, (1 << 63) - 1)
    return PushHead(boot=request.boot, seq=request.seq, lost=lost, interval_ms=request.interval_ms, **names)


def _body(data: bytes, limits: PushLimits) -> Body:
    if len(data) > limits.stored_bytes:
        raise PushError(f"a push of {len(data):,} bytes: at most {limits.stored_bytes:,} are taken", too_large=True)
    try:
        plain = unpacked(data, limits.plain_bytes)
        return Body.FromString(plain)
    except TooLargeError as error:
        words = f"a push of more than {limits.plain_bytes:,} bytes unpacked: not taken"
        raise PushError(words, too_large=True) from error
    except (zstandard.ZstdError, DecodeError) as error:
        raise PushError("a push that cannot be unpacked") from error


class TooLargeError(ValueError):
    """More than is unpacked."""


def unpacked(data: bytes, most: int) -> bytes:
    """What zstd packed, all of it. Raises zstandard.ZstdError and TooLargeError."""
    if zstandard.frame_content_size(data) > most:
        raise TooLargeError(f"more than {most:,} bytes")
    return zstandard.ZstdDecompressor(max_window_size=1 << 27).decompress(data, max_output_size=most)


def _check_stacks(
    symbols: Symbols, places: NDArray[np.uint32], hashes: NDArray[np.uint64], nodes: NDArray[np.int32]
) -> None:
    """That every event has a stack, and every stack that was sent the hash that it is called by. Raises PushError."""
    if len(hashes) != len(nodes) or (len(places) and int(places.max()) >= len(hashes)):
        raise PushError("damaged push: an event without a stack")
    if len(np.unique(hashes)) < len(hashes):
        raise PushError("damaged push: a stack twice")
    sent = np.flatnonzero(nodes)
    if len(sent) and int(symbols.trie.depth[nodes[sent]].max()) >= MAX_DEPTH:
        raise PushError(f"a stack of more than {MAX_DEPTH:,} frames: cut it where it was taken")
    if (StackHashes(symbols).of(nodes[sent]) != hashes[sent]).any():
        raise PushError("damaged push: a stack by the hash of another")


def _words(body: Body) -> tuple[Sequence[HostFacts], Sequence[HostSample], Sequence[Health]]:
    hosts = words.hosts(body.hosts) if body.hosts else []
    gauges = words.gauges(body.gauges) if body.gauges else []
    health = words.health(body.health) if body.health else []
    if hosts is None or gauges is None or health is None:
        raise PushError("damaged push: words that are none of a host, a reading or a collector")
    return hosts, gauges, health
