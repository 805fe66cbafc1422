"""Which collectors are attached: those of the settings always, others while somebody looks at what they collect."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from aperture_tui.collect.common import Collector, CollectorError, Common
from aperture_tui.collect.run_times import RunTimes
from aperture_tui.collect.settings import GPU_RECORDS
from aperture_tui.profile.health import Health, State

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aperture_tui.collect.calls import CallCollector
    from aperture_tui.profile.symbols import Symbols

LINGER_S: Final = 5.0
"""How long a collector stays attached that nobody wants any more: people go back and forth between screens."""

Unit = tuple[str, ...]
"""Kinds of events that one program serves."""
_CALLS: Final = ("calls", "CallCollector")
_COLLECTORS: Final[Mapping[Unit, tuple[str, str]]] = {
    ("cpu",): ("cpu", "CpuCollector"),
    ("offcpu",): ("offcpu", "OffCpuCollector"),
    ("syscall",): _CALLS,
    ("lock",): _CALLS,
    ("kernel locks",): ("contention", "ContentionCollector"),
    ("syscall", "lock"): _CALLS,
    ("gpu_call",): ("gpu.launches", "LaunchCollector"),
    GPU_RECORDS: ("gpu.receiver", "ActivityCollector"),
}
"""Module and class; imported when first wanted."""


def _made(unit: Unit, common: Common) -> Collector:
    place = _COLLECTORS[unit]
    kind = getattr(importlib.import_module(f"aperture_tui.collect.{place[0]}"), place[1])
    collector: Collector = kind(common, unit) if place is _CALLS else kind(common)
    return collector


def units(events: Iterable[str], without: Iterable[str] = ()) -> set[Unit]:
    """The programs that serve these kinds: syscalls and locks together are one; the kernel's own locks another one;
    what is seen of GPUs several.

    without: kinds that are not to be had.
    """
    wanted = set(events)
    if "lock" in wanted:
        wanted.add("kernel locks")
    if "gpu" in wanted:
        wanted = wanted - {"gpu"} | {"gpu_call", *GPU_RECORDS}
    wanted.difference_update(without)
    both: Unit = ("syscall", "lock")
    found: set[Unit] = {(one,) for one in wanted.difference(both, GPU_RECORDS)}
    together = (tuple(one for one in of if one in wanted) for of in (both, GPU_RECORDS))
    return found | set(filter(None, together))


@dataclass(slots=True)
class _Start:
    """A collector that is loaded in a thread of its own: compiling takes a second, and the rings fill meanwhile."""

    collector: Collector
    thread: threading.Thread
    failure: str = ""


class Attached:
    """Owned by the collecting thread, but for `want`; `start` comes before that thread."""

    def __init__(self, common: Common, run_times: RunTimes) -> None:
        self._common = common
        self._run_times = run_times
        self._always: frozenset[str] = frozenset()
        self._wanted: frozenset[str] = frozenset()
        self._unwanted_at: dict[str, float] = {}
        self._running: dict[Unit, Collector] = {}
        self._starting: dict[Unit, _Start] = {}
        self._leaving: set[Unit] = set()
        """Of those that run: finished, to be read a last time."""
        self._words: dict[str, Health] = {}
        """The last word of those that run no more, by name; what it counts is added to when they run again."""
        self._stopping = False
        self.changed = False
        """Whether the last drain attached or detached something."""

    def start(self, events: Iterable[str]) -> None:
        """Attach what is to stay. Raises CollectorError if nothing of it can be."""
        self._always = frozenset(events)
        failures = []
        for unit in sorted(units(events)):
            collector = _made(unit, self._common)
            try:
                collector.start()
            except CollectorError as error:
                failures.append(error)
                self._fail(unit, str(error))
            else:
                self._run(unit, collector)
        if failures and not self._running:
            raise failures[0]

    def want(self, events: frozenset[str]) -> None:
        """These as well, from the next drain on; what was wanted before stays for LINGER_S. Any thread may say so."""
        self._wanted = events

    # -- draining

    @property
    def only_samples(self) -> bool:
        """Whether CPUs are sampled, and nothing else is, or is to be."""
        only_cpu = self._running.keys() == {("cpu",)}
        return only_cpu and not self._starting and not self._leaving and self._wanted <= {"cpu"}

    def drain(self, symbols: Symbols) -> Iterator[NDArray[np.void]]:
        """The events of each collector, named while the processes live. One that fails is detached, and says why."""
        self.changed = False
        if not self._stopping:
            self._change()
        running = dict(self._running)
        for unit, collector in running.items():
            self._guarded(unit, collector.read)
        self._common.update()
        for unit, collector in running.items():
            if unit in self._running:
                events = self._guarded(unit, lambda one=collector: one.events(symbols))  # type: ignore[misc]
                if events is not None:
                    yield events
        for unit in list(self._leaving):
            self._detach(unit)
        self._common.tidy()
        self._run_times.drain(dear=any(unit != ("cpu",) for unit in self._running))

    def _guarded(self, unit: Unit, work: Callable[[], NDArray[np.void] | None]) -> NDArray[np.void] | None:
        try:
            return work()
        except Exception as error:  # the others go on, and the screens say why nothing new comes of this one
            self._detach(unit)
            self._fail(unit, f"{type(error).__name__}: {error}")
            return None

    def _change(self) -> None:
        self._take_in()
        failed = [name for name, word in self._words.items() if word.state is State.FAILED]
        wanted = units(self._always | self._lingering(), failed)
        for unit in wanted - self._running.keys() - self._starting.keys():
            self._begin(unit)
        # what takes over from another one is running before that is detached
        for unit in self._running.keys() - wanted:
            if not any(set(unit) & set(other) for other in self._starting):
                self._leaving.add(unit)
                self._guarded(unit, self._running[unit].finish)

    def _take_in(self) -> None:
        """Those that have started, or failed to, since the last time."""
        for unit, start in list(self._starting.items()):
            if not start.thread.is_alive():
                del self._starting[unit]
                self.changed = True
                if start.failure:
                    self._fail(unit, start.failure)
                else:
                    self._run(unit, start.collector)

    def _lingering(self) -> frozenset[str]:
        """What is wanted, or was until a while ago."""
        now = time.monotonic()
        for name in self._wanted:
            self._unwanted_at[name] = now + LINGER_S
        self._unwanted_at = {name: at for name, at in self._unwanted_at.items() if now < at}
        return frozenset(self._unwanted_at)

    def _begin(self, unit: Unit) -> None:
        collector = _made(unit, self._common)
        for other, before in self._running.items():
            if set(unit) & set(other):  # of calls, both of them
                cast("CallCollector", collector).follow(cast("CallCollector", before))

        def work() -> None:
            try:
                collector.start()
            except CollectorError as error:
                start.failure = str(error)
            except Exception as error:  # a fault of ours must not look like a slow start
                start.failure = f"{type(error).__name__}: {error}"

        start = _Start(collector, threading.Thread(target=work, name="attach", daemon=True))
        self._starting[unit] = start
        self.changed = True
        start.thread.start()

    def _run(self, unit: Unit, collector: Collector) -> None:
        self._running[unit] = collector
        self._run_times.follow(unit[0], collector.programs)

    def _fail(self, unit: Unit, reason: str) -> None:
        served = {name for other in self._running for name in other}
        for name in set(unit) - served:
            self._words[name] = replace(self._since_the_beginning(Health(name, State.FAILED)), message=reason)

    def _detach(self, unit: Unit) -> None:
        collector = self._running.pop(unit)
        self._leaving.discard(unit)
        if not any(unit[0] == other[0] for other in self._running):  # else another one has taken over the name
            self._run_times.leave(unit[0])
        collector.stop()
        self.changed = True
        for word in collector.health():
            self._words[word.name] = replace(self._since_the_beginning(word), state=State.STOPPED)

    def _since_the_beginning(self, word: Health) -> Health:
        """With what was counted while the collector was attached before."""
        before = self._words.get(word.name)
        return word if before is None else added(before, word)

    # -- ending

    def finish(self) -> None:
        """Before the last drain."""
        self._stopping = True
        for start in self._starting.values():
            start.thread.join()
        self._take_in()
        for unit, collector in list(self._running.items()):
            self._guarded(unit, collector.finish)

    def stop(self) -> None:
        """Detach all of them."""
        self.finish()
        for unit in list(self._running):
            self._detach(unit)

    # -- telling

    def health(self) -> list[Health]:
        """The word of every kind that runs, starts, has failed or was detached."""
        words = dict(self._words)
        starting = [Health(name, State.STARTING, f"attaching {name}") for unit in self._starting for name in unit]
        running = [word for collector in list(self._running.values()) for word in collector.health()]
        for word in starting + running:
            words[word.name] = added(words[word.name], word) if word.name in words else word
        return [replace(word, bpf_ns=self._run_times.ns(word.name)) for word in words.values()]


def added(before: Health, word: Health) -> Health:
    """A word with what an earlier one has counted. Unknown and known is known: the part that is."""
    return replace(
        word,
        delivered=before.delivered + word.delivered,
        lost=_sum(before.lost, word.lost),
        degraded=_sum(before.degraded, word.degraded),
        cpu_ns=None if before.cpu_ns is None and word.cpu_ns is None else (before.cpu_ns or 0) + (word.cpu_ns or 0),
    )


def _sum(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    return {cause: before.get(cause, 0) + now.get(cause, 0) for cause in {**before, **now}}
