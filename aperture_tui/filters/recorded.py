"""The chain over events that were recorded: in the order of a file, from its beginning to its end, by its own time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aperture_tui.filters.chain import LIMITS, Chain
from aperture_tui.filters.errors import FilterError
from aperture_tui.filters.reload import stamp
from aperture_tui.filters.told import ChainState
from aperture_tui.profile.health import Health, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aperture_tui.filters.spec import Spec
    from aperture_tui.profile.batch import Batch

_FIXED: Final = "what was recorded has been judged: open the recording anew to have it judged otherwise"


class Recorded:
    """A chain for whatever is recorded, a file after another. Raises FilterError as that does.

    A pass is over one file. With each the filters begin anew, so that what they say of an event depends on what is
    before it in its file, and not on what somebody has looked at before. Seconds, as of the pause after a failure, are
    those of the events. Files of filters are not looked at again, and none is switched: events that were judged by
    another program would stand beside each other. `begin` and `judge` belong to one thread at a time; the rest to any
    (`told.Controls`).

    serves: for whom the pass is that was begun last.
    """

    def __init__(self, specs: Sequence[Spec], known_tags: Sequence[str] = ()) -> None:
        """known_tags: the names of the tags that events come with."""
        self._now_ns = 0
        self.chain = Chain(specs, lambda: self._now_ns / 1e9, known_tags)
        self._stamps = {one.name: stamp(one) for one in self.chain.filters}
        self._judged = self._passed = 0
        self._failure = ""
        self._begun = False
        self.serves: object = None
        self._note_state()

    def begin(self, whom: object) -> None:
        """Another pass: filters forget what they have seen."""
        self._failure = self.failure
        if self._begun:
            for one in self.chain.filters:
                one.switch(one.on)
        self._begun, self.serves, self._now_ns = True, whom, 0

    def judge(self, batch: Batch, lost: bool = False) -> Batch:
        """What passes of the next batch of a pass. lost: events that came before it were lost.

        The time that filters are told is that of the newest event so far.
        """
        if len(batch):
            self._now_ns = max(self._now_ns, int(batch.events["time_ns"].max()))
        passed = self.chain.apply(batch, self._now_ns, lost)
        self._judged += len(batch)
        self._passed += len(passed)
        self._note_state()
        return passed

    def _note_state(self) -> None:
        """One value that is replaced, not changed: whoever reads it has all of one moment."""
        self._state = [one.at_work() for one in self.chain.filters], self._judged, self._passed

    def told(self) -> ChainState:
        """How the chain stands, as of its last batch."""
        at_work, judged, passed = self._state
        states = tuple(one.state(at) for one, at in zip(self.chain.filters, at_work, strict=True))
        return ChainState(states, LIMITS, judged, passed, fixed=True)

    def switch(self, name: str, on: bool) -> None:
        """Raises FilterError: what was judged stands."""
        raise FilterError(_FIXED)

    def reload(self, name: str) -> None:
        """Raises FilterError: what was judged stands."""
        raise FilterError(_FIXED)

    @property
    def failure(self) -> str:
        """Why a filter is, or in an earlier pass was, disabled or stopped, in one line; "" if none was."""
        failed = [one for one in self.chain.health() if one.state is State.FAILED]
        return self._failure or (f"{failed[0].name}: {failed[0].message}" if failed else "")

    def health(self) -> list[Health]:
        """Of all together, then of each filter."""
        told = self.chain.health()
        changed = [one.name for one in self.chain.filters if stamp(one) != self._stamps[one.name]]
        words = [self._failure] if self._failure and not any(one.state is State.FAILED for one in told) else []
        words += [f"{', '.join(changed)}: changed since; open the recording anew to have it at work"] if changed else []
        state = State.FAILED if self._failure else State.STOPPED
        return [Health("filters", state, "; ".join(words), self._passed), *told]

    def close(self) -> None:
        """End all programs."""
        self.chain.close()
