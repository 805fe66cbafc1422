"""Chains for the screens: one that stands still, for pictures, and real ones, given events by the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from aperture_tui.filters.chain import LIMITS
from aperture_tui.filters.log import Level, Line
from aperture_tui.filters.spec import OnError, Spec
from aperture_tui.filters.told import AtWork, ChainState, Counters, FilterState, Program, Standing
from aperture_tui.filters.worker import Worker
from tests.filters.wat import KEEP_ALL, LOG, ONLY_PID_42, PID, batch, chain, each, log, module, on_batch, tags
from tests.tui.synthetic import SECOND, START_NS

EVIL = "\\x1b[31mred\\x1b]0;title\\x07"
DIGEST = "a984e6f1719e9631c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00"


def told(
    name: str,
    config: str = "{}",
    counters: Counters | None = None,
    standing: Standing = Standing.RUNNING,
    reason: str = "",
    on_error: OnError = OnError.KEEP,
    of_tags: tuple[str, ...] = (),
    memory_bytes: int = 2_600_000,
    **rest: object,
) -> FilterState:
    """One filter."""
    program = Program(DIGEST, 14_336, "1.0", of_tags)
    at_work = AtWork(program, standing, reason, 0.0, counters or Counters(), memory_bytes)
    return FilterState(name, Spec(Path(f"/srv/filters/{name}.wasm"), config, on_error), at_work, **rest)  # type: ignore[arg-type]


def line(seconds: float, level: Level, text: str, ours: bool = False) -> Line:
    return Line(START_NS + int(seconds * SECOND), level, text, ours)


LINES = (
    line(0, Level.INFO, "configured for nginx"),
    line(1.5, Level.WARNING, f"a name that is none: {EVIL}"),
    line(2, Level.ERROR, "it gave up (unreachable: a panic or an abort)", ours=True),
    line(
        3, Level.DEBUG, "视频 " + "a long line that has to be wrapped, for what stands at its end may matter most; " * 3
    ),
)
FILTERS = (
    told("process_name", '{"name":"nginx"}', Counters(120_000, 40_000, 80_000, calls=400, ns=900_000_000), log=LINES),
    told(
        "rate_limit",
        '{"events_per_second":500}',
        Counters(40_000, 30_000, 10_000, weighed=12_000, calls=400, ns=400_000_000),
    ),
    told("slow_syscalls", "{}", Counters(30_000, 30_000, tagged=77, calls=400, ns=300_000_000), of_tags=("slow",)),
    told(
        "mine",
        "{}",
        Counters(30_000, 30_000, unfiltered=4_000, errors=3, restarts=2, calls=397, ns=5_000_000_000),
        Standing.WAITING,
        "it took too long and was stopped",
        memory_bytes=0,
        retry_s=3.6,
    ),
    told("redact", '{"functions":["secret_"]}', on=False, memory_bytes=0),
    told("old", counters=Counters(30_000, 30_000, calls=9, ns=9_000_000), reload_error="not a valid module: cut off"),
    told("broken", standing=Standing.DISABLED, reason="it divided by zero", on_error=OnError.DROP, memory_bytes=0),
)
STILL = ChainState(FILTERS, LIMITS, 120_000, 30_000)


class Still:
    """Filters that tell what the test gives them."""

    def __init__(self, state: ChainState = STILL) -> None:
        self.state = state

    def told(self) -> ChainState:
        return self.state

    def go_on(self, *gone: int) -> None:
        """A hundred more events, of which each filter lets so many go."""
        came, filters = 100, []
        for one, n in zip(self.state.filters, gone, strict=True):
            if not one.on:
                filters.append(one)
                continue
            counters = one.at_work.counters
            counters = replace(counters, events_in=counters.events_in + came, ns=counters.ns + 100_000)
            counters.events_out += came - n
            counters.dropped += n
            filters.append(replace(one, at_work=one.at_work._replace(counters=counters)))
            came -= n
        state = self.state
        self.state = replace(
            state, filters=tuple(filters), events_in=state.events_in + 100, events_out=state.events_out + came
        )

    def switch(self, name: str, on: bool) -> None:
        raise AssertionError(f"{name} is only looked at")

    def reload(self, name: str) -> None:
        raise AssertionError(f"{name} is only looked at")


EVEN_PIDS = f"(i32.eqz (i32.and (i32.load {PID} (local.get $event)) (i32.const 1)))"
SAYS = "hello"
CHATTY = module(
    each(KEEP_ALL, before=log("(i32.const 512)", f"(i32.const {len(SAYS)})")),
    LOG,
    f'(data (i32.const 512) "{SAYS}")',
    tags("slow,web"),
)
ONLY_42, EVEN, TRAPS = module(each(ONLY_PID_42)), module(each(EVEN_PIDS)), module(on_batch("(unreachable)"))


@contextmanager
def at_work(folder: Path, *wasm: bytes, on_error: OnError = OnError.KEEP) -> Iterator[Worker]:
    """A real chain of these, called f0, f1, …"""
    worker = Worker(chain(folder, *wasm, on_error=on_error))
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


def judged(worker: Worker, events: int = 100) -> None:
    """Have it decide about some more, half of them with even pids, and two in a hundred of pid 42."""
    worker.put(batch(events))
    assert worker.settle(20)
    worker.take()
