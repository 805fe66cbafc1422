"""What an aggregator's rules say, asked over its connection."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc

from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.text import clean
from aperture_tui.store.fleet_base import AlertFacts, AlertState, RuleFacts
from aperture_tui.store.remote.grpc_errors import is_unknown
from aperture_tui.store.remote.link import RemoteError
from aperture_tui.wire import fleet_pb2 as wire

if TYPE_CHECKING:
    from aperture_tui.store.remote.connection import Connection

_MOST_RULES: Final = 10_000
_MOST_ALERTS: Final = 10_000
_LONGEST: Final = 4_000
_MOST_NS: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Alerts:
    """rules: of the tenant that asks. now_ns: by the aggregator's clock. follows_rules: whether it was given any."""

    rules: tuple[RuleFacts, ...]
    now_ns: int
    follows_rules: bool


def alerts(connection: Connection, watch: Callable[[float], None]) -> Alerts:
    """All of them. Raises RemoteError."""
    try:
        reply = connection.ask("Alerts", wire.AlertsRequest(), watch)
    except RemoteError as error:
        if isinstance(error.__cause__, grpc.RpcError) and is_unknown(error.__cause__):
            words = "it does not know alerts: it is of an older version, or no aggregator"
            raise RemoteError(f"{connection.settings.address}: {words}") from error
        raise
    if len(reply.rules) > _MOST_RULES or sum(len(rule.alerts) for rule in reply.rules) > _MOST_ALERTS * 10:
        raise RemoteError(f"{connection.settings.address}: more alerts than can be listed")
    return Alerts(tuple(map(_rule, reply.rules)), min(reply.now_ns, _MOST_NS), reply.follows_rules)


def _rule(rule: wire.Rule) -> RuleFacts:
    kind = Kind(rule.kind).name.lower() if rule.kind in set(Kind) else f"kind {rule.kind}"
    return RuleFacts(
        _text(rule.name),
        kind,
        _text(rule.where),
        _text(rule.measure),
        _text(rule.by),
        _number(rule.above),
        rule.for_s,
        rule.window_s,
        min(rule.measured_ns, _MOST_NS),
        rule.left_out,
        tuple(map(_alert, rule.alerts)),
    )


def _alert(alert: wire.Alert) -> AlertFacts:
    """A state of a newer version is not known here."""
    state = AlertState(alert.state) if alert.state in set(AlertState) else AlertState.UNKNOWN
    value = alert.value if alert.HasField("value") and math.isfinite(alert.value) else None
    since_ns, least = min(alert.since_ns, _MOST_NS), _number(alert.at_least)
    return AlertFacts(_text(alert.group), state, since_ns, value, least, _text(alert.why))


def _number(value: float) -> float:
    """JSON has no others."""
    return value if math.isfinite(value) else 0.0


def _text(text: str) -> str:
    return clean(text[:_LONGEST])
