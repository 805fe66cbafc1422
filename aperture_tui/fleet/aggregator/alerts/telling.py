"""What is known of alerts, for screens and commands, and for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from prometheus_client.metrics_core import GaugeMetricFamily

from aperture_tui.fleet.aggregator.alerts.states import State
from aperture_tui.wire import fleet_pb2 as wire

if TYPE_CHECKING:
    from prometheus_client import Metric

    from aperture_tui.fleet.aggregator.alerts.rounds import InForce

MOST_LABELLED: Final = 1_000
"""Groups with a series of their own, of all rules together."""


def reply(in_force: Iterable[InForce], tenant: str, now_ns: int, follows_rules: bool) -> wire.AlertsReply:
    """All rules of a tenant, and of no other."""
    mine = (_rule(one) for one in in_force if one.rule.tenant == tenant)
    return wire.AlertsReply(rules=mine, now_ns=now_ns, follows_rules=follows_rules)


def _rule(one: InForce) -> wire.Rule:
    rule = one.rule
    out = wire.Rule(
        name=rule.name,
        kind=rule.kind,
        where=rule.where.text,
        measure=rule.measure,
        by=rule.by.value if rule.by else "",
        above=rule.above,
        for_s=rule.for_s,
        window_s=rule.window_s,
        measured_ns=one.measured_ns,
        left_out=one.left_out,
    )
    for alert in one.alerts.values():
        out.alerts.add(
            group=alert.group,
            state=alert.state,
            since_ns=alert.since_ns,
            value=alert.value,
            at_least=alert.at_least,
            why=alert.why,
        )
    return out


def families(in_force: Iterable[InForce], round_s: float) -> list[Metric]:
    """Of each rule how many groups fire, or are not known; of as many groups as is bearable whether each does."""
    rules = list(in_force)
    labels = ("rule", "tenant")
    firing = GaugeMetricFamily("aperture_alert_firing", "How many groups of a rule fire.", labels=labels)
    unknown = GaugeMetricFamily("aperture_alert_unknown", "How many groups of a rule are not known.", labels=labels)
    groups = GaugeMetricFamily("aperture_alert_group_firing", "1 for a group that fires.", labels=(*labels, "group"))
    for one in rules:
        named = one.rule.name, one.rule.tenant
        states = [alert.state for alert in one.alerts.values()]
        firing.add_metric(named, states.count(State.FIRING))
        unknown.add_metric(named, states.count(State.UNKNOWN))
    for one, group, state in _labelled(rules):
        groups.add_metric((one.rule.name, one.rule.tenant, group), state is State.FIRING)
    took = GaugeMetricFamily("aperture_alert_round_seconds", "How long all rules took last.", round_s)
    return [firing, unknown, groups, took]


def _labelled(rules: Iterable[InForce]) -> Iterator[tuple[InForce, str, State]]:
    room = MOST_LABELLED
    for one in rules:
        if one.rule.by is None or len(one.alerts) > room:  # of a rule all groups, or none
            continue
        room -= len(one.alerts)
        yield from ((one, alert.group, alert.state) for alert in one.alerts.values())
