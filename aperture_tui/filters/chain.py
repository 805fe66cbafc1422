"""Filters in order: what one lets pass the next one sees.

`apply` is the whole of it, for replay and export; a live session has it work in a thread of its own (`worker`).
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.filters import abi
from aperture_tui.filters.engine import Engine
from aperture_tui.filters.errors import FilterError
from aperture_tui.filters.filter import Filter
from aperture_tui.filters.redaction import Redactor, union
from aperture_tui.filters.tags import ChainTags
from aperture_tui.filters.told import Limits
from aperture_tui.profile.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from aperture_tui.filters.spec import Spec
    from aperture_tui.profile.health import Health

LIMITS: Final = Limits(abi.MEMORY_BYTES, int(1e9 * abi.TICKS * abi.TICK_S) + abi.GRACE_NS, abi.LOG_LINES_PER_S)


class Judged(NamedTuple):
    """A batch that has been through all filters. hidden: (m,) bool of its first m frames; None hides none."""

    batch: Batch
    hidden: NDArray[np.bool_] | None


class Chain:
    """The filters of these specs. `judge` belongs to one thread, `finish` to that which hands batches to sinks.

    known_tags: the names of the tags that events come with, as of a recording, that of bit 0 first. Raises FilterError
    for the first spec that is no filter.
    """

    def __init__(
        self, specs: Sequence[Spec], clock: Callable[[], float] = time.monotonic, known_tags: Sequence[str] = ()
    ) -> None:
        self._lost = False
        self._redactor = Redactor()
        self._tags = ChainTags(known_tags)
        self._engine = Engine()
        self.filters: list[Filter] = []
        try:
            for spec, name in zip(specs, _names([spec.title for spec in specs]), strict=True):
                self.filters.append(Filter(self._engine, self._tags, spec, name, clock))
        except BaseException:
            self.close()
            raise

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of the bits of EVENT.tags, that of bit 0 first. Only grows."""
        return self._tags.names

    @property
    def failure(self) -> str:
        """Why nothing passes any more, in one line; "" while something does."""
        return next((f"{one.name}: {one.health().message}" for one in self.filters if one.stopped and one.on), "")

    def apply(self, batch: Batch, now_ns: int = 0, lost: bool = False) -> Batch:
        """What passes of a batch; see `judge`."""
        return self.finish(self.judge(batch, now_ns, lost))

    def judge(self, batch: Batch, now_ns: int = 0, lost: bool = False) -> Judged:
        """Put a batch through all filters.

        now_ns: Unix nanoseconds when it was drained; 0 is the time of its newest event. lost: events were lost before.
        """
        symbols, events = batch.symbols, batch.events
        if batch.tags:  # those of a recording
            events = self._tags.taken(events, batch.tags)
        lost, self._lost = lost or self._lost, False
        if not len(events):
            self._lost = lost
            return Judged(batch, None)
        now_ns = now_ns or int(events["time_ns"].max())
        with self._engine.clock:  # once for all calls
            for one in self.filters:
                before = one.counters.lost
                events = one.judge(symbols, events, now_ns, lost)
                if one.counters.lost > before:
                    lost = self._lost = True
                if not len(events):
                    break
        hidden = union([one.hidden(symbols) for one in self.filters])
        return Judged(batch if events is batch.events else Batch(symbols, events), hidden)

    def finish(self, judged: Judged) -> Batch:
        """The batch as sinks may see it: with the same Symbols, or, once a filter has hidden a name, with our own, and
        with the names of its tags.
        """
        out, tags = self._redactor.batch(*judged), self.tags
        return Batch(out.symbols, out.events, tags) if tags else out

    def named(self, name: str) -> Filter:
        """The filter of this name. Raises FilterError."""
        for one in self.filters:
            if one.name == name:
                return one
        raise FilterError(f"no filter is called {name!r}")

    def facts(self) -> list[dict[str, str]]:
        """For the header of a recording: which programs are at work. Not how they are configured: it may be secret."""
        return [
            {"file": one.spec.path.name, "sha256": one.sha256, "on_error": one.spec.on_error.value}
            for one in self.filters
        ]

    def health(self) -> list[Health]:
        """The line of truth of each filter, in order."""
        return [one.health() for one in self.filters]

    def close(self) -> None:
        """End all programs. Nothing may be judged any more."""
        for one in self.filters:
            one.close()
        self._engine.close()

    def __enter__(self) -> Chain:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _names(titles: Sequence[str]) -> list[str]:
    """Different names for all: of equal ones the second is NAME#2."""
    seen: Counter[str] = Counter()
    out = []
    for title in titles:
        seen[title] += 1
        out.append(title if seen[title] == 1 else f"{title}#{seen[title]}")
    return out
