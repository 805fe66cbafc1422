"""An aggregator's counts and state as Prometheus reads them.

No name of a machine or a peer is a label: there are as many series with a thousand agents as with one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from aperture_tui import __version__
from aperture_tui.fleet.aggregator.counts import BOUNDS_S

if TYPE_CHECKING:
    from prometheus_client import Metric

    from aperture_tui.fleet.aggregator.counts import Counts, Durations

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""What every Prometheus reads; all our names and labels are such as it allows."""
_NAMED: Final = "aperture"


@dataclass(frozen=True, slots=True)
class State:
    """How an aggregator is at a moment. agents: of the tenants that were used since it began. waiting_batches,
    damaged_batches: in the journal; nothing looks at the second again.
    """

    is_serving: bool
    queue_bytes: int
    queue_limit_bytes: int
    agents: int
    streams: int
    waiting_questions: int
    waiting_batches: int
    damaged_batches: int


def text(counts: Sequence[Metric], state: State) -> bytes:
    """The page. counts: as `counted` gives them. Reads /proc."""
    registry = CollectorRegistry()  # one for each page: none is kept, and the one of the whole process is not used
    registry.register(_Told([*counts, *_of_state(state)]))
    ProcessCollector(namespace=_NAMED, registry=registry)
    return generate_latest(registry)


def counted(counts: Counts) -> list[Metric]:
    """In the thread that counts: all that was counted until now."""
    calls = CounterMetricFamily("aperture_calls", "Calls that have ended or were refused.", labels=("method", "status"))
    for (method, status), n in counts.calls.items():
        calls.add_metric((method, status), n)
    pushes = CounterMetricFamily("aperture_pushes", "Pushes, by what became of them.", labels=("outcome",))
    for outcome, n in (
        ("stored", counts.stored),
        ("repeated", counts.repeated),
        ("incomplete", counts.incomplete),
    ):
        pushes.add_metric((outcome,), n)
    took = HistogramMetricFamily("aperture_call_seconds", "Until an answer or a refusal.", labels=("method",))
    for method, durations in counts.took.items():
        took.add_metric((method,), *_buckets(durations))
    inserts = HistogramMetricFamily("aperture_insert_seconds", "What the store took for a batch.")
    inserts.add_metric((), *_buckets(counts.inserts))
    last = GaugeMetricFamily("aperture_last_push_timestamp_seconds", "When a push was stored last.")
    if counts.stored_at:
        last.add_metric((), counts.stored_at)
    return [
        calls,
        pushes,
        took,
        inserts,
        last,
        CounterMetricFamily("aperture_stored_events", "Events that are stored.", counts.events),
        CounterMetricFamily(
            "aperture_stored_bytes", "Bytes of the pushes that are stored, as they came.", counts.bytes
        ),
        CounterMetricFamily("aperture_store_failures", "Tries at storing a batch that failed.", counts.failures),
    ]


def _of_state(state: State) -> list[Metric]:
    build = GaugeMetricFamily("aperture_build_info", "Which version this is.", labels=("version",))
    build.add_metric((__version__,), 1)
    gauges = (
        ("aperture_serving", "1 while health says SERVING.", state.is_serving),
        ("aperture_queue_bytes", "Memory that waits to be stored.", state.queue_bytes),
        ("aperture_queue_limit_bytes", "How much may wait.", state.queue_limit_bytes),
        ("aperture_agents", "Agents of the tenants that were used since the start.", state.agents),
        ("aperture_streams", "Screens that are told what comes.", state.streams),
        ("aperture_waiting_questions", "Questions that wait for a thread.", state.waiting_questions),
        ("aperture_journal_waiting_batches", "Batches that are not stored for certain.", state.waiting_batches),
        ("aperture_journal_damaged_batches", "Batches that were set aside.", state.damaged_batches),
    )
    return [build, *(GaugeMetricFamily(name, words, float(value)) for name, words, value in gauges)]


def _buckets(durations: Durations) -> tuple[list[tuple[str, float]], float]:
    """As Prometheus counts: each bucket with all below it."""
    each, total_s = durations.told()
    ends = [*map(str, BOUNDS_S), "+Inf"]
    return list(zip(ends, map(float, itertools.accumulate(each)), strict=True)), total_s


class _Told(Collector):
    """Families that are there already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
