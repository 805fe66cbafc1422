"""The way to an aggregator: how it is reached, and what is known of it. Free of numpy and gRPC, as the screens are."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aperture_tui.store.fleet_base import HostState

DEADLINE_S: Final = 10.0
"""How long an answer is waited for."""
SLOW_S: Final = 1.0
"""An answer that takes longer is worth a word."""
STALE_INTERVALS: Final = 3
"""A machine that has not pushed for so many of its intervals is not heard of any more."""


INTERVAL_MS: Final = 10_000
"""Of machines that do not say how often they push."""


class RemoteError(RuntimeError):
    """Why there is no answer, in one clear line."""


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """How an aggregator is reached. address: HOST:PORT. token: a bearer token, "" for none.

    authority, certificate, key: PEM; without an authority those that the system trusts are believed. tls: without it
    everything, the token too, can be read on the way.
    """

    address: str
    token: str = ""
    tls: bool = True
    authority: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Focus:
    """Which machines are looked at: these, or those of a service; with neither all of them."""

    hosts: tuple[str, ...] = ()
    service: str | None = None

    @property
    def is_fleet(self) -> bool:
        """Whether it is all of them."""
        return not self.hosts and self.service is None

    @property
    def is_one(self) -> bool:
        """Whether it is one machine, whose processes have their numbers."""
        return len(self.hosts) == 1


FLEET: Final = Focus()
"""All of them."""


class LinkState(enum.Enum):
    """How well an aggregator answers."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    SLOW = "slow"
    """The last answer took more than a second, or the one that is waited for has."""
    STALE = "stale"
    """It answers, but what is looked at pushes nothing any more."""
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Link:
    """What is known now. now_ns: the aggregator's clock, 0 while that is not known. why: it is lost, in one line.

    since_s: for how long it has been connecting, lost, or without news; of a slow one, how long an answer takes.
    hosts: how many machines are looked at, 0 while that is not known.
    """

    state: LinkState = LinkState.CONNECTING
    since_s: float = 0.0
    why: str = ""
    now_ns: int = 0
    hosts: int = 0


def is_stale(seen_ns: int, interval_ms: int, now_ns: int) -> bool:
    """Whether a machine has missed so many pushes that it may be gone. All times by the aggregator's clock."""
    return now_ns - seen_ns > STALE_INTERVALS * (interval_ms or INTERVAL_MS) * 1_000_000


@dataclass(frozen=True, slots=True)
class Fleet:
    """All machines of an aggregator, and what time it was by its clock when it told them, Unix nanoseconds."""

    hosts: tuple[HostState, ...] = ()
    now_ns: int = 0
