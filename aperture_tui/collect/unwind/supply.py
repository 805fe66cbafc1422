"""The supply: processes that the kernel asks for get their mappings and rows.

The kernel asks when a sample meets a process without tables, or an address in none of its mappings (bpf/unwind.h).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import random
import select
import selectors
import socket
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aperture_tui.collect import bpf, btf, compiler
from aperture_tui.collect.compiler import Source
from aperture_tui.collect.unwind import walking
from aperture_tui.collect.unwind.coverage import Coverage
from aperture_tui.collect.unwind.files import Files
from aperture_tui.collect.unwind.kernel_maps import KernelMaps
from aperture_tui.collect.unwind.table_walk import Code
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import STOP_SHIFT, Stop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from aperture_tui.collect.unwind.files import Placed
    from aperture_tui.symbolize.address_space import Mapping as Mapped
    from aperture_tui.symbolize.images import ImageKey

_ROUND_S: Final = (0.02, 0.06)
"""Between two looks at what the kernel asks for, at random. A sample that woke this thread would decide what runs at
the next one: of the shell in a loop of `/bin/true` beside two busy threads half of the samples went to its children."""
_SWEEP_S: Final = 2.0
_SHARE_OF_A_CPU: Final = 0.02
"""Of each CPU, what the thread may take on average; a storm of short-lived processes is not followed at any price."""
_BURST_S: Final = 0.5
"""CPU seconds that it may take at once, when it starts."""
_FIRST_PICTURE_S: Final = 0.2
"""Before it begins: on a busy machine its first burst would hold up the first picture by as much. Not where processes
are expected: of a Python that runs for 0.4 s, more than half would have no Python frames."""
_TRACEPOINTS: Final = {
    "sched_process_fork": "on_fork",
    "sched_process_exec": "on_exec",
    "sched_process_exit": "on_exit",
}


class Supply:
    """Started and stopped by the session; `changed` and `health` may be called by any thread."""

    name = "unwind"

    def __init__(self, walkers: Sequence[Callable[[Mapping[str, int]], Source]] = ()) -> None:
        """walkers: the sources of programs that are going to walk stacks, by `KernelMaps.defines`."""
        self._walkers = walkers
        self.maps: KernelMaps | None = None
        """What programs that unwind are loaded with; None until it is started, and where it could not be."""
        self._state, self._message = State.STARTING, ""
        self._fault = ""
        self._last_word: Health | None = None
        self._changed = OrderedDict[int, int]()
        self._work: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    # -- started and stopped

    def start(self) -> None:
        """Make the maps, attach, begin. Where that is refused, the health says why, and stacks go without."""
        if platform.machine() != "x86_64":
            self._fail(f"there is no unwinder for {platform.machine()} yet")
            return
        try:
            maps = KernelMaps()
        except OSError as error:
            self._fail(bpf.explain(error))
            return
        try:
            # the others' are compiled along, where they are not in the cache, and are there when they are asked for
            sources = [source(), *(walker(maps.defines) for walker in self._walkers)]
            self._loaded = bpf.load(compiler.object_codes(sources)[0], given=maps.fds)
            programs = self._loaded.programs
            self._tracepoints = [bpf.open_raw_tracepoint(point, programs[name]) for point, name in _TRACEPOINTS.items()]
        except (OSError, compiler.CompileError, btf.BtfError) as error:
            maps.close()
            self._fail(bpf.explain(error) if isinstance(error, OSError) else str(error))
            return
        self.maps, self._state = maps, State.RUNNING
        self._files = Files(maps)
        self._coverage = Coverage(maps, self._files)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._guarded, name="unwind", daemon=True, args=(maps,))
        self._cpu_ns = 0
        self._thread.start()

    def _fail(self, reason: str) -> None:
        self._state, self._message = State.FAILED, f"stacks are walked by frame pointers: {reason}"

    def stop(self) -> None:
        """Detach, and end the thread and its child."""
        if self._state is not State.RUNNING or self.maps is None:
            return
        self._stopping.set()
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        self._last_word = self.health() if self._fault else replace(self.health(), state=State.STOPPED)
        self._state = State.STOPPED
        for fd in (*self._tracepoints, self._wake):
            os.close(fd)
        self._files.close()
        self._loaded.close()
        self.maps.close()
        self.maps = None

    def later(self, work: Callable[[], None]) -> None:
        """Have the thread do this before anything else."""
        self._work.append(work)
        os.eventfd_write(self._wake, 1)

    def mappings_of(self, pid: int) -> tuple[NDArray[np.void], list[Placed | None]] | None:
        """For work given to `later`: cover a process -> its mappings, (n,) of MAPPING, and the files behind them; None
        where that cannot be.
        """
        self._coverage.cover(pid, Stop.NONE)
        return self._coverage.mappings_of(pid)

    def learn(self, pid: int, mapping: Mapped) -> None:
        """Have the rows of a file made, whether or not the process that had mapped it lives."""
        self.later(lambda: self._learn(pid, mapping))

    def _learn(self, pid: int, mapping: Mapped) -> None:
        self._files.of(pid, mapping)

    def placed(self, key: ImageKey) -> Placed | None:
        """A file that is known, or a process's code. Any thread may ask."""
        if self._state is not State.RUNNING:
            return None
        return self._files.known(key) or self._coverage.code.known(key)

    def code(self, placed: Placed, relative: int) -> Code | None:
        """What bpf/unwind.h finds in a file, by an address less its bias; None if it has lost its place meanwhile. Any
        thread may ask."""
        word, extent = placed.word, placed.extent
        row = self.maps.row(*extent, relative) if extent.rows and self.maps is not None else 0
        there = self.placed(placed.key) is placed and placed.extent is extent
        return Code(word & 0xFFFFFFFF, row) if there else None

    def changed(self, times_ns: Mapping[int, int]) -> None:
        """These processes have new mappings, or another program: those that have tables are looked at again, but for
        those that were looked at since. times_ns: of each pid, CLOCK_MONOTONIC."""
        if self._state is State.RUNNING:
            covered = {pid: at for pid, at in times_ns.items() if self._coverage.covers(pid)}
            self._look_at({pid: at for pid, at in covered.items() if not self._coverage.has_read(pid, at)})

    def expect(self, pids: Iterable[int]) -> None:
        """Stacks of these processes are going to be walked: they need not be asked for."""
        if self._state is State.RUNNING:
            self._look_at(dict.fromkeys(pids, time.clock_gettime_ns(time.CLOCK_MONOTONIC)))

    def _look_at(self, times_ns: Mapping[int, int]) -> None:
        if times_ns:
            with self._lock:
                self._changed.update((pid, max(at, self._changed.get(pid, 0))) for pid, at in times_ns.items())
            os.eventfd_write(self._wake, 1)

    # -- the thread

    def _guarded(self, maps: KernelMaps) -> None:
        try:
            self._run(maps)
        except Exception as error:  # a fault of ours: what is covered stays, and the collectors go on
            self._fault = f"no process is given tables any more: {type(error).__name__}: {error}"

    def _run(self, maps: KernelMaps) -> None:
        self._await_first_picture()
        swept = earned = time.monotonic()
        tokens_s = _BURST_S
        share = _SHARE_OF_A_CPU * (os.cpu_count() or 1)
        with selectors.EpollSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            answers: frozenset[socket.socket] = frozenset()
            while not self._stopping.is_set():
                if (sockets := self._files.builder.sockets) != answers:
                    for ended in answers - sockets:
                        selector.unregister(ended)
                    for new in sockets - answers:
                        selector.register(new, selectors.EVENT_READ)
                    answers = sockets
                until = min(swept + _SWEEP_S, self._coverage.due)
                pause = random.uniform(*_ROUND_S)  # noqa: S311  # no secret
                if selector.select(max(0.0, min(until - time.monotonic(), pause))):
                    with contextlib.suppress(BlockingIOError):  # it is an answer of the builder's
                        os.eventfd_read(self._wake)
                before, earned = earned, time.monotonic()
                tokens_s = min(_BURST_S, tokens_s + (earned - before) * share)
                began = time.thread_time_ns()
                while self._work:
                    self._work.popleft()()
                self._cpu_ns += time.thread_time_ns() - began
                began = time.thread_time_ns()
                # in debt it does not even look who asks: that itself may take all that is earned
                if tokens_s >= 0 and (self._changed or maps.has_requests):
                    self._take_requests(maps, tokens_s)
                self._coverage.advance()
                if time.monotonic() - swept >= _SWEEP_S:
                    swept = time.monotonic()
                    self._coverage.sweep()
                spent = time.thread_time_ns() - began
                self._cpu_ns += spent
                tokens_s -= spent / 1e9
                if tokens_s < 0:
                    self._stopping.wait(0.1)

    def _await_first_picture(self) -> None:
        """Or that processes are expected, and that the programs to walk their stacks may be completed."""
        until = time.monotonic() + _FIRST_PICTURE_S
        woken = select.poll()
        woken.register(self._wake, select.POLLIN)
        while not self._stopping.is_set() and not (self._changed and self._work):
            if not woken.poll(max(0.0, 1000 * (until - time.monotonic()))):
                return
            os.eventfd_read(self._wake)
        os.eventfd_write(self._wake, 1)  # it is what the first look is for

    def _take_requests(self, maps: KernelMaps, tokens_s: float) -> None:
        """Look at the processes that were asked for, and at those that have changed: at one at least.

        Those first that were asked for most often: they have most samples, and are there still when it is their turn.
        Those that have changed wait in a queue of which one at a time is taken: that costs the same however many wait.
        """
        requests = maps.requests()
        pids = requests["pid"].tolist()
        stops = dict(zip(pids, (requests["stop"] >> STOP_SHIFT).tolist(), strict=True))
        asked = Counter(pids).most_common()
        often = [pid for pid, times in asked if times > 1]
        once = [pid for pid, times in asked if times == 1]
        began, looked = time.thread_time(), set[int]()
        for pid in itertools.chain(often, self._take_changed(), once):
            if pid in looked:
                continue
            with self._lock:
                self._changed.pop(pid, None)
            self._coverage.cover(pid, stops.get(pid, Stop.NONE))
            looked.add(pid)
            if time.thread_time() - began > tokens_s:
                break
        self._coverage.pass_over(len(stops.keys() - looked))
        if self._changed:
            os.eventfd_write(self._wake, 1)

    def _take_changed(self) -> Iterator[int]:
        """What has changed and was not looked at since, one after the other: of it nobody may ever say it again."""
        while True:
            with self._lock:
                if not self._changed:
                    return
                pid, at_ns = self._changed.popitem(last=False)
            if not self._coverage.has_read(pid, at_ns):
                yield pid

    # -- telling

    @property
    def programs(self) -> list[int]:
        """Descriptors of the programs that follow processes; none where it does not run."""
        return list(self._loaded.programs.values()) if self._state is State.RUNNING else []

    def health(self) -> Health:
        """What is covered, what could not be, what it costs."""
        if self._state is not State.RUNNING or self.maps is None:
            return self._last_word or Health(self.name, self._state, self._message)
        pending = self._files.pending
        return Health(
            self.name,
            State.FAILED if self._fault else self._state,
            self._fault or (f"{pending} unwind tables are being made" if pending else ""),
            delivered=self._coverage.installed,
            lost={"forked processes: maps full": bpf.counters(self._loaded.maps["unwind_lost"], 1)[0]},
            degraded=self._coverage.degraded,
            cpu_ns=self._cpu_ns + int(self._files.builder.cpu_s * 1e9),
            memory_bytes=self.maps.nbytes,
        )


def source() -> Source:
    """bpf/unwind.bpf.c. Raises BtfError."""
    programs = dict.fromkeys(_TRACEPOINTS.values(), bpf.PROG_RAW_TRACEPOINT)
    return Source("unwind", programs, walking.task_defines())
