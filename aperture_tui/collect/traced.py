"""What collectors have in common that trace: a program at tracepoints, which sums until it is drained."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect import bpf, btf, compiler
from aperture_tui.collect.common import CollectorError
from aperture_tui.collect.unwind import walking
from aperture_tui.profile.event import EVENT
from aperture_tui.profile.health import Health, State

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.collect.common import Common
    from aperture_tui.collect.sums import Sums
    from aperture_tui.profile.symbols import Symbols

ENTRIES: Final = 1 << 15
"""Different things that a table has room for between two drains."""


class Traced:
    """Owned by the collecting thread, but for `start`. Subclasses load, name and count.

    names: of its words of health, the first of which has the cost.
    """

    def __init__(self, common: Common, names: tuple[str, ...]) -> None:
        self.name = "+".join(names)
        self._names = names
        self._common = common
        self._state, self._message = State.STARTING, "loading the BPF program"
        self._loaded: list[bpf.Loaded] = []
        self._maps: dict[str, int] = {}
        self._limits: list[str] = []
        self._attached: list[int] = []
        self._held = contextlib.ExitStack()
        self._sums: dict[str, NDArray[np.void]] | None = None
        self._tables: Sums | None = None
        self._last = False
        self._cpu_ns = 0
        self._last_words: list[Health] = []

    # -- for subclasses

    def load(self) -> None:
        """Load with `take`, `hold` what is mapped, make `_tables`, attach with `attach`.

        Raises OSError, CompileError or BtfError.
        """
        raise NotImplementedError

    def named(self, sums: Mapping[str, NDArray[np.void]] | None, symbols: Symbols) -> list[NDArray[np.void]]:
        """Events of what was summed, and of what goes on: arrays of EVENT. sums: by table; None if there are no new."""
        raise NotImplementedError

    def words(self) -> list[Health]:
        """What is to be said of each of the names; cost is added."""
        raise NotImplementedError

    def take(
        self,
        source: Callable[[Mapping[str, int]], compiler.Source],
        sizes: Mapping[str, int] | None = None,
        given: Mapping[str, int] | None = None,
    ) -> Mapping[str, int]:
        """Load programs whole -> their descriptors. given: maps that others have already.

        Raises OSError, CompileError or BtfError.
        """
        walker = self._common.load(source, sizes or {}, given)
        self._loaded.append(walker.loaded)
        self._maps.update(walker.loaded.maps)
        self.hold(walker.loaded.close)
        self.limit(walker.finish() or walker.refused)
        return walker.loaded.programs

    def hold(self, let_go: Callable[[], None]) -> None:
        """Keep what is let go of in this way, the last first."""
        self._held.callback(let_go)

    def limit(self, words: str) -> None:
        """Say what it goes on without; "" is nothing."""
        if words and words not in self._limits:
            self._limits.append(words)

    def attach(self, fd: int) -> None:
        """Keep what holds a program at its place."""
        self._attached.append(fd)

    # -- as a Collector

    def start(self) -> None:
        """Load, attach, begin. Raises CollectorError."""
        with contextlib.ExitStack() as undo:
            undo.callback(self._held.close)
            undo.callback(self._detach)
            try:
                self.load()
            except (OSError, compiler.CompileError, btf.BtfError) as error:
                text = bpf.explain(error) if isinstance(error, OSError) else str(error)
                self._state, self._message = State.FAILED, text
                raise CollectorError(text) from error
            undo.pop_all()
        self._state, self._message = State.RUNNING, "; ".join(self._limits)

    def finish(self) -> None:
        """Detach: what was counted until now is read whole."""
        self._detach()
        self._last = True

    def _detach(self) -> None:
        for fd in self._attached:
            os.close(fd)
        self._attached = []

    def stop(self) -> None:
        """Detach, and let go of everything. It also goes by itself when the process dies."""
        self._detach()
        if self._state is State.RUNNING:
            self._last_words = [replace(word, state=State.STOPPED) for word in self.health()]
            self._state = State.STOPPED
            self._held.close()

    def read(self) -> None:
        """Take what has been summed."""
        if self._tables is None:
            return
        began = time.thread_time_ns()
        self._sums = self._tables.read_last() if self._last else self._tables.read()
        self._cpu_ns += time.thread_time_ns() - began

    def events(self, symbols: Symbols) -> NDArray[np.void]:
        """What there is since the last time: (n,) of EVENT with ids in `symbols`."""
        began = time.thread_time_ns()
        sums, self._sums = self._sums, None
        events = np.concatenate([np.zeros(0, EVENT), *self.named(sums, symbols)])
        self._cpu_ns += time.thread_time_ns() - began
        return events

    @property
    def programs(self) -> list[int]:
        """Descriptors of what runs in the kernel. The run time of tail calls is in that of who makes them."""
        return [fd for loaded in self._loaded for name, fd in loaded.programs.items() if name not in walking.TAILS]

    def health(self) -> list[Health]:
        """Losses by cause, and cost."""
        if self._state is not State.RUNNING:
            return self._last_words or [Health(name, self._state, self._message) for name in self._names]
        words = self.words()
        missed = sum(bpf.missed_runs(fd) for fd in self.programs)
        lost = {**words[0].lost, "events: the program was running already": missed} if missed else words[0].lost
        words[0] = replace(
            words[0], lost=lost, cpu_ns=self._cpu_ns, memory_bytes=sum(loaded.nbytes for loaded in self._loaded)
        )
        return words
