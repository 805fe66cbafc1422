"""What filters do now, and did in the last seconds: noted while the screens run. Belongs to the screens' thread."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from aperture_tui.filters.told import ChainState, Controls

EVERY_S: Final = 0.5
"""Between two notes."""
_NOW: Final = 2
"""Notes that are now: drains come a few times a second, and one note may have one more of them than the next."""
_KEPT: Final = 30


class Flow(NamedTuple):
    """Cumulative. gone: events that did not go on, whatever the reason. ns: that they took."""

    events: int = 0
    gone: int = 0
    ns: int = 0


class Pace(NamedTuple):
    """What a filter does now. rate: events a second that come, None while that is not known. dropped: the share of them
    that does not go on, ns_per_event: what one takes, None while none come. history: that share in each note, oldest
    first.
    """

    rate: float | None = None
    dropped: float | None = None
    ns_per_event: float | None = None
    history: tuple[float | None, ...] = ()


class _Notes:
    """Of one filter, or of the whole chain."""

    def __init__(self) -> None:
        self._flows: deque[tuple[float, Flow]] = deque(maxlen=_NOW + 1)
        self._history: deque[float | None] = deque(maxlen=_KEPT)

    def add(self, at_s: float, flow: Flow) -> None:
        if self._flows:
            self._history.append(_share(self._flows[-1][1], flow))
        self._flows.append((at_s, flow))

    @property
    def pace(self) -> Pace:
        if len(self._flows) < 2:
            return Pace()
        (then_s, then), (now_s, now) = self._flows[0], self._flows[-1]
        n, passed_s = now.events - then.events, now_s - then_s
        rate = n / passed_s if passed_s > 0 else None
        return Pace(rate, _share(then, now), (now.ns - then.ns) / n if n else None, tuple(self._history))


def _share(then: Flow, now: Flow) -> float | None:
    n = now.events - then.events
    return (now.gone - then.gone) / n if n else None


class Filtering:
    """The filters behind the screens, if there are any.

    source: gives what controls them; None before they are at work, and where there are none. clock: monotonic seconds.
    state: how they stood when they were last looked at, None for none. pace: of all of them together.
    """

    def __init__(
        self, source: Callable[[], Controls | None] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.state: ChainState | None = None
        self.pace = Pace()
        self._source = source
        self._clock = clock
        self._controls: Controls | None = None
        self._notes: defaultdict[str, _Notes] = defaultdict(_Notes)
        self._chain = _Notes()

    @property
    def possible(self) -> bool:
        """Whether there may be any: what is shown is not an aggregator's, for one."""
        return self._source is not None

    def of(self, name: str) -> Pace:
        """What one of them does now."""
        return self._notes[name].pace

    def look(self) -> ChainState | None:
        """How they stand now."""
        controls = self._source() if self._source is not None else None
        if controls is not None and controls is not self._controls:  # others, of which nothing was noted
            self._notes.clear()
            self._chain, self.pace = _Notes(), Pace()
        self._controls = controls or self._controls  # those of a session that has ended had a last word
        self.state = None if self._controls is None else self._controls.told()
        return self.state

    def note(self) -> None:
        """Look, and note what they have done since the last time."""
        state, now_s = self.look(), self._clock()
        if state is None:
            return
        self._chain.add(now_s, Flow(state.events_in, state.events_in - state.events_out))
        self.pace = self._chain.pace
        for one in state.filters:
            told = one.at_work.counters
            self._notes[one.name].add(now_s, Flow(told.events_in, told.events_in - told.events_out, told.ns))

    def switch(self, name: str, on: bool) -> None:
        """Switch one of them."""
        if self._controls is not None:
            self._controls.switch(name, on)
            self.look()

    def reload(self, name: str) -> None:
        """Put to work what its file has now."""
        if self._controls is not None:
            self._controls.reload(name)
            self.look()
