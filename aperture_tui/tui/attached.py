"""Since when each collector has been telling: a rate over a time in which nobody counted would be too low."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import Kind
from aperture_tui.store.base import CUT_SHORT

if TYPE_CHECKING:
    from aperture_tui.store.base import Span, Store

COLLECTORS: Final = {
    Kind.CPU: "cpu",
    Kind.SYSCALL: "syscall",
    Kind.LOCK: "lock",
    Kind.OFFCPU: "offcpu",
    Kind.GPU_KERNEL: "gpu_kernel",
}
"""The names that Health gives to the collectors of these kinds, in the order of the views."""
EVENTS: Final = {kind: name.removesuffix("_kernel") for kind, name in COLLECTORS.items()}
"""What --events calls them."""


def health_of(kind: Kind, health: Sequence[Health]) -> Health | None:
    """The newest word of a kind's collector; None if it has not been heard of."""
    return next((one for one in health if one.name == COLLECTORS.get(kind)), None)


def recorded(store: Store) -> frozenset[Kind]:
    """The kinds that a recording has, be there anything of them or not."""
    from aperture_tui.export.collected import collected  # late: it imports numpy

    return frozenset(collected(store))


def unsaid(span: Span, health: Sequence[Health]) -> str:
    """That a recording ends before it says what was collected, in words; "" where it says that."""
    from aperture_tui.export.collected import untold

    return f"It {CUT_SHORT}, before it said what was collected." if untold(span, health) else ""


class Attached:
    """Watches collectors come and go.

    A collector that runs when it is first asked for may have run all along. One that does not has told nothing before
    that moment, once it runs; until then, what there is comes from an earlier time or from a recording.
    """

    def __init__(self) -> None:
        self._asked: dict[Kind, int] = {}
        self._since: dict[Kind, int] = {}

    def note(self, wanted: Kind, health: Sequence[Health], end_ns: int) -> None:
        """wanted: the kind that is looked at. end_ns: the newest moment that anything is known of."""
        for kind in COLLECTORS:
            if kind is Kind.CPU:
                continue  # it runs from the beginning, and its samples have their own times
            one = health_of(kind, health)
            if one is not None and one.state is State.RUNNING:
                if kind in self._asked:
                    self._since[kind] = self._asked.pop(kind)
            elif kind is wanted:
                self._asked.setdefault(kind, end_ns)
            else:
                self._asked.pop(kind, None)

    def since(self, kind: Kind) -> int:
        """Unix nanoseconds; 0 for as long as there is anything."""
        return self._since.get(kind, 0)
