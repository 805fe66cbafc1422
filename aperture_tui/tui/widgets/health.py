"""The health line: what each collector says of itself, what was lost, and what the profiler costs."""

from __future__ import annotations

from collections.abc import Sequence

from aperture_tui.profile.completeness import Completeness
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostSample
from aperture_tui.store.base import Span as Held
from aperture_tui.tui import figures
from aperture_tui.tui.cells import fit, plain, width_of
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.widgets.rows import RowsView
from aperture_tui.tui.widgets.stacks import is_enough, part_of_line

_LAG_NS = 2_000_000_000
"""Data that is older than this when it arrives is worth a colour."""


def health_row(
    health: Sequence[Health],
    own: HostSample | None,
    held: Held,
    stacks: Completeness,
    width: int,
    error: str = "",
    recorded: bool = False,
    many: bool = False,
) -> Spans:
    """One row; trouble comes first and is cut last. recorded: it is the word of a session that is over. many: of many
    machines together, whose own costs are not added up.
    """
    parts = [[(f" ! {plain(error)} ", "*error")]] if error else []
    for one in sorted(health, key=_is_whole if recorded else _is_well):
        part = _one(one, recorded)
        if part not in parts:  # who wrote a recording and who reads it have one name, and mostly one word
            parts.append(part)
    whole = part_of_line(stacks)
    if whole and not is_enough(stacks):
        parts.append(whole)
    if held.limit:
        dropped = figures.count(held.dropped_events)
        parts.append([(f" kept {plain(held.limit)}, older let go ({dropped})", "muted")])
    if not many:
        parts.append(_own(own, recorded))
    if whole and is_enough(stacks) and _cells(parts) + _cells([whole]) + 2 <= width:
        parts.append(whole)
    return _joined(parts, width)


def _is_well(health: Health) -> bool:
    return health.state is not State.FAILED and not health.lost_total


def _is_whole(health: Health) -> bool:
    """The same of a session that is over, where a message is of something that is missing."""
    return _is_well(health) and not health.message


def _one(health: Health, recorded: bool) -> list[Span]:
    """One part. recorded: that it runs no more goes without saying, and how late it was at the end says nothing."""
    name = plain(health.name)
    if health.state is State.FAILED:
        return [(f" ! {name} failed: {plain(health.message)} ", "*error")]
    if health.state is State.STARTING:
        return [(f" {name} ", "text"), (plain(health.message) or "starting", "accent")]
    spans = [(f" {name} ", "text")]
    if health.state is State.STOPPED and not recorded:
        spans.append(("stopped ", "warning"))
    if health.lost_total:
        spans = [(f" ! {name} lost {figures.count(health.lost_total)} ", "*error")]
    elif recorded and health.message:
        spans = [(f" ! {name}", "warning")]
    else:
        spans.append(_no_loss(health))
    if health.degraded:
        partial = sum(health.degraded.values())
        spans.append((f" partial {figures.count(partial)}", "warning" if partial else "muted"))
    if health.lag_ns is not None and not recorded:
        spans.append((f" lag {figures.duration(health.lag_ns)}", "muted" if health.lag_ns < _LAG_NS else "warning"))
    if health.message:
        spans.append((f" {plain(health.message)}", "warning"))
    return spans


def _no_loss(health: Health) -> Span:
    """Known to be none, or not known; a sink that names no cause cannot lose."""
    if health.lost:
        return "lost 0", "good"
    return ("ok", "good") if health.lag_ns is None else ("lost ?", "warning")


def _own(own: HostSample | None, recorded: bool) -> list[Span]:
    """What the profiler itself takes, or took while it recorded: its CPU in the user's terms, its memory."""
    cpu = "?" if own is None or own.own_cpu is None else figures.percent(own.own_cpu, 1)
    memory = "?" if own is None or own.own_memory_bytes is None else figures.size(own.own_memory_bytes)
    return [
        (f" {'recorder' if recorded else 'own'} CPU ", "muted"),
        (cpu, "text"),
        (" memory ", "muted"),
        (memory, "text"),
    ]


def _cells(parts: list[list[Span]]) -> int:
    """What the parts take when joined."""
    return sum(width_of(text) for part in parts for text, _ in part) + 2 * (len(parts) - 1)


def _joined(parts: list[list[Span]], width: int) -> Spans:
    out: list[Span] = []
    left = width
    for i, part in enumerate(parts):
        for text, key in ([(" │", "faint")] if i else []) + part:
            if left <= 0:
                return tuple(out)
            cells = width_of(text)
            if cells > left:
                text, cells = fit(text, left), left
            out.append((text, key))
            left -= cells
    return (*out, (" " * left, "text")) if left > 0 else tuple(out)


class HealthLine(RowsView):
    """The health line; a click shows all of it in full, as its key does."""

    DEFAULT_CSS = "HealthLine { height: 1; }"

    def show(
        self,
        health: Sequence[Health],
        own: HostSample | None,
        held: Held,
        stacks: Completeness,
        error: str = "",
        recorded: bool = False,
        many: bool = False,
    ) -> None:
        """Say this."""
        self.draw(lambda: [health_row(health, own, held, stacks, self.size.width, error, recorded, many)])

    async def on_click(self) -> None:
        """In full."""
        await self.app.run_action("app.health")
