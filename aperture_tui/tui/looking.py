"""What the user looks at: one immutable value that all screens share, and the steps that change it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Group
from aperture_tui.profile.where import EVERYTHING, Where
from aperture_tui.store.remote.link import FLEET, Focus
from aperture_tui.tui.density.model import NO_SCALE, Scale
from aperture_tui.tui.forms.model import TREE, Form, Which
from aperture_tui.tui.gpu.model import Stretch
from aperture_tui.tui.model import Baseline, LatencyKey, Path, ProcessKey, ViewRequest
from aperture_tui.tui.playhead import Held, Playhead
from aperture_tui.tui.search import Search

WINDOWS: Final[tuple[float | None, ...]] = (10.0, 30.0, 60.0, 300.0, None)
"""Seconds that `[` and `]` choose from; None is all that is held."""
LONG_WINDOWS: Final[tuple[float | None, ...]] = (
    *WINDOWS[:-1], 900.0, 3600.0, 6 * 3600.0, 86400.0, 7 * 86400.0, 30 * 86400.0, None,
)  # fmt: skip
"""The same where months are held."""
RATES: Final = (0.5, 1.0, 2.0, 4.0, 10.0)
"""Refreshes a second that `-` and `+` choose from."""


@dataclass(frozen=True)
class Looking:
    """The window, where it ends, the process, the zoom, the order, the search.

    group: by what stacks are told apart. lock: the stacks of this one alone. wakers: whose stacks. focus: of which
    machines. base: what it is compared with. absolute: by weights and not by shares. stretch: what of the window the
    lanes of GPUs show, None for all. form: how the call tree is shown. outer: the zoom that both sides of a function
    were opened from. where: the filter line, which holds whatever is looked at. scale: what the timeline shows, but for
    its columns.
    """

    window_s: float | None = 30.0
    process: ProcessKey | None = None
    zoom: Path = ()
    by_weight: bool = False
    search: Search | None = None
    time: Playhead = field(default_factory=Playhead)
    group: Group = Group.PROCESS
    lock: LatencyKey | None = None
    wakers: bool = False
    focus: Focus = FLEET
    base: Baseline | None = None
    absolute: bool = False
    stretch: Stretch | None = None
    form: Form = TREE
    outer: Path = ()
    where: Where = EVERYTHING
    scale: Scale = NO_SCALE

    def request(self, width: int, processes: bool, kind: Kind = Kind.CPU) -> ViewRequest:
        """What to ask the presenter for, for an icicle of this width."""
        return ViewRequest(
            width=width,
            window_s=self.window_s,
            process=self.process,
            zoom=self.zoom,
            by_weight=self.by_weight,
            search=self.search.source if self.search else "",
            end_ns=self.time.at_ns,
            processes=processes,
            kind=kind,
            group=self.group,
            wakers=self.wakers,
            lock=self.lock,
            focus=self.focus,
            base=self.base,
            absolute=self.absolute,
            form=self.form,
            where=self.where,
        )

    @property
    def past(self) -> bool:
        """Whether it is not the newest that is looked at."""
        return self.time.at_ns is not None

    def longer(self, step: int, long: bool = False) -> Looking:
        """The next longer (1) or shorter (-1) window. long: months are held."""
        return replace(self, window_s=neighbour(LONG_WINDOWS if long else WINDOWS, self.window_s, step), stretch=None)

    def window_of(self, held: Held) -> float:
        """The seconds that the window has, of what is held."""
        return (held.end_ns - held.start_ns) / 1e9 if self.window_s is None else self.window_s

    def of(self, focus: Focus) -> Looking:
        """Other machines, at the same time. What was chosen of the ones before is left behind."""
        return self if focus == self.focus else replace(self.only(None).elsewhere(), focus=focus, search=None)

    def only(self, process: ProcessKey | None) -> Looking:
        """One process alone, or all. A zoom belongs to what it was made in."""
        return self if process == self.process else replace(self, process=process, zoom=(), lock=None)

    def filtered(self, where: Where) -> Looking:
        """What a filter line lets pass. A zoom belongs to what it was made in."""
        return self if where == self.where else replace(self, where=where, zoom=())

    def of_lock(self, lock: LatencyKey | None) -> Looking:
        """The waits for one lock alone, or for all."""
        return self if lock == self.lock else replace(self, lock=lock, zoom=())

    def other_side(self) -> Looking:
        """The stacks of wakers in place of those that waited, and back."""
        return replace(self, wakers=not self.wakers, zoom=())

    def against(self, start_ns: int, end_ns: int) -> Looking:
        """From now on compared with what is looked at, which was then. Half-open, Unix nanoseconds."""
        return replace(self, base=Baseline(start_ns, end_ns, self.process, self.focus))

    def grouped(self, tags: bool) -> Looking:
        """Stacks by the next thing: process, thread, if there are any tags, control group, container, module."""
        groups = [group for group in Group if tags or group is not Group.TAG]
        after = groups.index(self.group) + 1 if self.group in groups else 0
        last = after == len(groups)
        shape = replace(self.form.shape, by_module=last and not self.form.shape.by_module)
        group = groups[0] if last or self.form.shape.by_module else groups[after]
        return replace(self, group=group, zoom=(), outer=(), form=replace(self.form, shape=shape, function=None))

    def formed(self, form: Form) -> Looking:
        """Another form. A zoom is kept where it means the same there."""
        if form.function is not None:
            outer = self.zoom if self.form.function is None else self.outer
            return replace(self, form=form, zoom=(), outer=outer)
        zoom = self.zoom if self.form.function is None else self.outer
        kept = (self.form.which is Which.CALLERS) == (form.which is Which.CALLERS)
        return replace(self, form=form, zoom=zoom if kept else (), outer=())

    def elsewhere(self) -> Looking:
        """Events of another kind: what belongs to these alone is left behind."""
        form = replace(self.form, function=None)
        return replace(self, zoom=(), lock=None, wakers=False, stretch=None, form=form, outer=())

    def back(self) -> Looking:
        """One step out: of the zoom, both sides of a function, the search, the wakers, the lock, the process, the
        filter line, the comparison.
        """
        if self.zoom:
            least = 0 if self.form.function is None else 2  # the function, or that it is its callers, and one more
            return replace(self, zoom=self.zoom[:-1] if len(self.zoom) > least else ())
        if self.form.function is not None:
            return self.formed(replace(self.form, function=None))
        if self.search is not None:
            return replace(self, search=None)
        if self.wakers:
            return self.other_side()
        if self.lock is not None:
            return self.of_lock(None)
        if self.process is not None:
            return self.only(None)
        if self.where:
            return self.filtered(EVERYTHING)
        return replace(self, base=None)


def neighbour(choices: tuple[float | None, ...], now: float | None, step: int) -> float | None:
    """The choice that is `step` places after the present one, or after the one nearest to it."""
    sizes = [float("inf") if choice is None else choice for choice in choices]
    value = float("inf") if now is None else now
    if value in sizes:
        at = sizes.index(value) + step
    else:
        above = sum(1 for size in sizes if size < value)
        at = above if step > 0 else above - 1
    return choices[max(0, min(len(choices) - 1, at))]
