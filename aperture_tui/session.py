"""A profiling session: collectors in, sinks out, one thread between them.

The collecting thread owns the collectors, the Symbols and the order of things: every interval it drains, hands the
batch to each sink, and tells the health. The kernel's rings are the only queues, and they are bounded. A collector or
sink that fails is marked as failed, with its reason, and the others go on.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from aperture_tui import heap
from aperture_tui.collect import bpf, cpu, host, requirements
from aperture_tui.collect.attached import Attached
from aperture_tui.collect.btf import BtfError
from aperture_tui.collect.clock import Clock
from aperture_tui.collect.common import CollectorError, Common
from aperture_tui.collect.compiler import CompileError
from aperture_tui.collect.run_times import RunTimes
from aperture_tui.collect.settings import Settings
from aperture_tui.collect.unwind.supply import Supply
from aperture_tui.profile.batch import Batch
from aperture_tui.profile.health import Health, Losses, State
from aperture_tui.profile.symbols import GROWTH_BYTES, Symbols
from aperture_tui.symbolize.resolver import Resolver
from aperture_tui.symbolize.served import SERVED
from aperture_tui.working import worked_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from aperture_tui.filters.chain import Chain
    from aperture_tui.filters.told import Controls
    from aperture_tui.filters.worker import Worker
    from aperture_tui.profile.host import HostFacts, HostSample

_INTERVAL_S: Final = 0.25
UNSEEN_RESTING_S: Final = 1.0
"""Between drains while nothing new happens, where nobody looks; the rings hold five seconds."""
_FIRST_DRAINS_S: Final = 0.1
"""The first second is drained more often: somebody is waiting for the first picture."""
_SOONER_S: Final = 0.05
"""By so much the very first drain comes earlier: a CPU that is busy has some samples by then."""
_TELL_S: Final = 1.0
_STOP_S: Final = 10.0
"""Without any work of the thread, or of whom it waits for, after which it is said to hang."""
LONGEST_STOP_S: Final = 60.0
_ATTACHING, _UNWINDING = "attach", "unwind"
"""Threads that are waited for in the end: those that load collectors, and the supply's."""
_SWITCH_S: Final = 0.0005
"""How long a thread at work, mostly the collecting one, keeps another waiting after each system call, mostly that which
gives new processes their unwind tables. Twenty short reads took 37 ms with the usual 5 ms, 0.7 with this (measured)."""
_FILTERED_S: Final = 0.02
"""How long a drain waits for its filters: most are done by then, and what is shown is not one drain behind."""
_TRIM_FIRST, _TRIM_EVERY = 4, 10
"""Tellings after which memory is given back: soon after the symbol tables were read, then every ten seconds."""


def facts(settings: Settings, filters: Chain | None = None) -> dict[str, Any]:
    """For the header of a recording, JSON types: the machine, its clocks, what is collected how, and filtered by what.

    filters: as they are now; one may be replaced later.
    """
    clocks = {"unix_ns": time.CLOCK_REALTIME, "boottime_ns": time.CLOCK_BOOTTIME, "monotonic_ns": time.CLOCK_MONOTONIC}
    return {
        "host": asdict(host.facts()),
        "clocks": {name: time.clock_gettime_ns(clock) for name, clock in clocks.items()},
        "collectors": asdict(settings),
        **({} if filters is None else {"filters": filters.facts()}),
    }


class SessionError(RuntimeError):
    """One clear line: why nothing can be collected, and what mends it."""


class Sink(Protocol):
    """Where batches go. All methods are called by the collecting thread; OSError marks the sink as failed."""

    @property
    def lost(self) -> int:
        """Events that it was given and will never have."""
        ...

    def append(self, batch: Batch) -> None:
        """Take the events of one drain."""
        ...

    def append_gauges(self, sample: HostSample) -> None:
        """Take one reading of the host."""
        ...

    def set_health(self, health: Sequence[Health]) -> None:
        """Take the newest word of every collector and sink."""
        ...

    def set_hosts(self, hosts: Sequence[HostFacts]) -> None:
        """Take the facts of the machine."""
        ...


@dataclass(slots=True)
class _Output:
    """A sink and what became of it."""

    name: str
    sink: Sink
    health: Health = field(init=False)

    def __post_init__(self) -> None:
        self.health = Health(self.name, State.RUNNING)


class Session:
    """Start it, let it run, stop it. `start`, `want` and `stop` belong to one caller; everything else, but what only
    tells, to its thread.
    """

    def __init__(
        self,
        settings: Settings,
        sinks: dict[str, Sink],
        interval_s: float = _INTERVAL_S,
        filters: Chain | None = None,
        resting_s: float = 0.0,
    ) -> None:
        """interval_s: between drains; resting_s: while no name is urgent, if longer. filters: what every batch goes
        through before a sink has it; they belong to the session from now on.
        """
        self._settings = settings
        self._clock = Clock.now()
        self._symbols = Symbols()
        self._limit = GROWTH_BYTES
        self._carrying = False
        self._resolver = Resolver(self._symbols)
        self._supply = Supply([cpu.source] if "cpu" in settings.events else [])
        self._run_times = RunTimes()
        self._told = 0.0
        self._tellings = 0
        self._outputs = [_Output(name, sink) for name, sink in sinks.items()]
        self._interval_s, self._most_rests = interval_s, max(0, round(resting_s / interval_s) - 1)
        self._worker = None if filters is None else _worker(filters)
        self._losses = Losses()
        self._failure: Health | None = None
        self._failed = ""
        """As of the last telling."""
        self._stopping = threading.Event()
        self._waits_for = {_ATTACHING}
        self._thread = threading.Thread(target=self._run, name="collect", daemon=True)

    def start(self) -> None:
        """Attach, then collect in a thread. Raises SessionError, also where no sink is left that takes anything."""
        if problem := requirements.first_problem("cpu"):
            raise SessionError(problem)
        heap.keep_large_apart()
        sys.setswitchinterval(_SWITCH_S)
        self._each(lambda sink: sink.set_hosts([host.facts()]))
        failed = [health.message for health in self._outputs_health() if health.state is State.FAILED]
        if failed and len(failed) == len(self._outputs):
            raise SessionError(failed[0])
        self._supply.start()
        try:
            self._common = Common(self._settings, self._clock, self._resolver, self._supply)
        except (OSError, CompileError, BtfError) as error:
            self._supply.stop()
            raise SessionError(bpf.explain(error) if isinstance(error, OSError) else str(error)) from error
        self._run_times.follow(self._supply.name, self._supply.programs)
        self._attached = Attached(self._common, self._run_times)
        self._gauges = host.HostGauges(self._clock, self._run_times.total_ns, lambda: self._common.gpus())
        try:
            self._attached.start(self._settings.events)
        except CollectorError as error:
            self._supply.stop()
            self._common.close()
            raise SessionError(str(error)) from error
        if self._worker is not None:
            self._worker.start()
        self._thread.start()

    def want(self, events: frozenset[str]) -> None:
        """Have these collectors attached, beside those of the settings, from now on. Returns at once."""
        self._attached.want(events)

    def stop(self, patience_s: float = LONGEST_STOP_S) -> bool:
        """Drain a last time, detach, and wait for the thread while it works; it may hang on a dead file system.

        patience_s: how long at most. -> whether it has ended: until then the sinks are its own.
        """
        self._stopping.set()
        before, began = -1, time.monotonic()
        seen = began
        while self._thread.is_alive():
            now = time.monotonic()
            at_work = [self._thread, *(one for one in threading.enumerate() if one.name in self._waits_for)]
            if (worked := worked_ns(at_work)) != before:
                before, seen = worked, now
            if now - seen >= _STOP_S or now - began >= patience_s:
                break
            self._thread.join(min(_STOP_S / 10, patience_s))
        return not self._thread.is_alive()

    @property
    def filters(self) -> Controls | None:
        """The filters until they have ended; None without any. Any thread may ask, and use what it gets."""
        return self._worker

    @property
    def failure(self) -> str:
        """Why a collector, a filter or a sink has failed, in one line; "" if none has. It may be a second old."""
        if self._stopping.is_set() and self._thread.is_alive():
            return "collecting hangs, most likely on a file system that does not answer; what came last is lost"
        if self._thread.is_alive():
            return self._failed
        return _failed([self._failure, *self._attached.health(), *self._outputs_health()]) or self._failed

    def _outputs_health(self) -> list[Health]:
        return [output.health for output in self._outputs]

    def _run(self) -> None:
        began = time.monotonic()
        try:
            self._resolver.prepare()  # while the first samples come
            passed, rests = time.monotonic() - began + _SOONER_S, 0
            while not self._stopping.is_set():
                early = time.monotonic() - began < 1
                pause_s = min(_FIRST_DRAINS_S, self._interval_s) if early else self._interval_s
                self._stopping.wait(max(0.0, pause_s - passed))
                passed = 0.0
                rests = 0 if early or not self._may_rest(rests) else rests + 1
                if not rests:
                    self._tick()
            self._attached.finish()
            self._tick()
            self._end_filters()
        except Exception as error:  # a fault of ours: nothing is collected any more, which must not look like rest
            self._crash(error)
        finally:
            self._end_filters()
            self._run_times.leave(self._supply.name)
            self._waits_for.add(_UNWINDING)  # not before: it works whether or not this thread hangs
            self._supply.stop()  # first: it may be loading a part of the others' programs
            self._attached.stop()
            self._run_times.close()
            self._resolver.close()
            SERVED.close()
            self._common.close()

    def _may_rest(self, rests: int) -> bool:
        """Whether a drain may be left out after so many: names are read while processes live, and none is urgent now.

        No process has begun, ended or loaded code; where a stack is new, one drain is left out and no more.
        """
        if self._stopping.is_set() or time.monotonic() - self._told >= _TELL_S:  # a recording is written once a second
            return False
        if not self._attached.only_samples or not self._common.processes.are_quiet:
            return False
        return rests < (min(1, self._most_rests) if self._common.stacks.are_new else self._most_rests)

    def _crash(self, error: Exception) -> None:
        """The thread ends: say so wherever somebody still listens."""
        self._failure = Health("session", State.FAILED, f"{type(error).__name__}: {error}")
        with contextlib.suppress(Exception):  # it may be a sink that is at fault
            self._tell()

    def _tick(self) -> None:
        delivered = False
        for events in self._attached.drain(self._symbols):
            if len(events):
                self._give(Batch(self._symbols, events), first=not delivered)
                delivered = True
        self._deliver_filtered()
        if delivered:  # not before: what is left of a drain has ids of the tables that it began with
            self._keep_bounded()
        now = time.monotonic()
        if now - self._told >= _TELL_S:
            self._told = now
            sample = self._gauges.read()
            self._each(lambda sink: sink.append_gauges(sample))
            self._tell()
        elif self._stopping.is_set() or self._attached.changed:  # no gauges: shares of so short a time say nothing
            self._tell()

    def _tell(self) -> None:
        """Everybody's health."""
        supply = replace(self._supply.health(), bpf_ns=self._run_times.ns(self._supply.name))
        attached = self._attached.health()
        collectors = [*attached, supply, self._common.health()]
        if self._failure is not None:
            collectors.insert(0, self._failure)
        for output in self._outputs:
            if output.health.state is State.RUNNING and output.sink.lost:
                output.health = replace(output.health, lost={"events: could not be written": output.sink.lost})
        filters = self._worker.health() if self._worker is not None else []
        health = [*collectors, *filters, *self._outputs_health()]
        self._each(lambda sink: sink.set_health(health))
        self._failed = _failed([self._failure, *attached, *filters, *self._outputs_health()])
        self._tellings += 1
        if self._tellings % _TRIM_EVERY == _TRIM_FIRST:
            heap.give_back()

    def _give(self, batch: Batch, first: bool) -> None:
        """To the filters, if there are some; they give it back when they are done. first: of this drain.

        That one is said to come after what was lost since the drain before: it is not known in front of which events
        of a drain others are missing.
        """
        if self._worker is None:
            self._deliver(batch)
        else:
            self._worker.put(batch, lost=first and self._losses.rose(self._attached.health()))

    def _deliver_filtered(self) -> None:
        """What the filters are done with; what they are not is delivered after the next drain."""
        if self._worker is not None:
            self._worker.settle(_FILTERED_S)
            for batch in self._worker.take():
                self._deliver(batch)

    def _end_filters(self) -> None:
        """Let what they have come through, and say what they let pass."""
        worker = self._worker
        if worker is not None:
            for batch in worker.stop():
                self._deliver(batch)
            self._tell()
            self._worker = None

    def _deliver(self, batch: Batch) -> None:
        for output in self._outputs:
            if output.health.state is State.RUNNING:
                delivered = output.health.delivered + len(batch)
                output.health = replace(output.health, delivered=delivered)
            else:
                lost = output.health.lost.get("events: sink failed", 0) + len(batch)
                output.health = replace(output.health, lost={"events: sink failed": lost})
        self._each(lambda sink: sink.append(batch))

    def _keep_bounded(self) -> None:
        if self._carrying:  # what the sinks hold came along: by how much that may grow is what counts
            self._carrying = False
            self._limit = self._symbols.nbytes + GROWTH_BYTES
        if self._symbols.nbytes > self._limit:
            self._begin_generation()

    def _begin_generation(self) -> None:
        """Fresh Symbols: the tables are full. Sinks carry over what they still need with the next batch."""
        self._carrying = True
        self._symbols = Symbols()
        self._resolver.rebind(self._symbols)
        self._common.stacks.rebind()

    def _each(self, give: Callable[[Sink], None]) -> None:
        for output in self._outputs:
            if output.health.state is not State.RUNNING:
                continue
            try:
                give(output.sink)
            except OSError as error:
                words = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
                lost = output.sink.lost
                output.health = replace(
                    output.health,
                    state=State.FAILED,
                    message=words,
                    delivered=max(0, output.health.delivered - lost),
                    lost={"events: sink failed": lost} if lost else {},
                )


def _failed(words: Iterable[Health | None]) -> str:
    return next((f"{one.name}: {one.message}" for one in words if one is not None and one.state is State.FAILED), "")


def _worker(chain: Chain) -> Worker:
    from aperture_tui.filters.worker import Worker  # most sessions have no filters

    return Worker(chain)
