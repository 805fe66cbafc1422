"""What the view of GPUs says where there is nothing: how to have it, and what is missing. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import Kind
from aperture_tui.tui.attached import health_of, unsaid
from aperture_tui.tui.model import ViewSnapshot
from aperture_tui.tui.palette import Span

_KINDS: Final = (Kind.GPU_KERNEL, Kind.GPU_COPY)
_RUN: Final = "aperture gpu run -- python train.py"


class Here(NamedTuple):
    """What this machine has for GPUs. driver: that of one is loaded. missing: of `aperture doctor`, each in a line."""

    driver: bool = False
    missing: tuple[str, ...] = ()


def has_gpu(snapshot: ViewSnapshot | None) -> bool:
    """Whether what is looked at has to do with a GPU."""
    if snapshot is None:
        return False
    kinds = snapshot.pushed if snapshot.pushed is not None else snapshot.recorded
    if kinds is not None and any(kind in kinds for kind in _KINDS):
        return True
    told = health_of(Kind.GPU_KERNEL, snapshot.health)
    return any(sample.gpus for sample in snapshot.gauges) or (told is not None and told.delivered > 0)


def no_work(snapshot: ViewSnapshot, here: Here | None) -> list[Span]:
    """Why there are no kernels and no copies, and how to have some. here: of a live session."""
    if snapshot.pushed is not None:
        return _not_told("No GPU work was pushed", "agents push them with --events gpu", snapshot.pushed)
    if snapshot.recorded is not None:
        if why := unsaid(snapshot.span, snapshot.health):
            return [("No GPU work in this recording", "*text"), (why, "muted")]
        return _not_told("No GPU work in this recording", "record them with --events gpu", snapshot.recorded)
    told = health_of(Kind.GPU_KERNEL, snapshot.health)
    return [("No kernels or copies" if _is_ready(told) else "No kernels or copies yet", "*text"), *_live(told, here)]


def _is_ready(told: Health | None) -> bool:
    return told is not None and told.state is not State.STARTING


def _live(told: Health | None, here: Here | None) -> list[Span]:
    said = told.message if told is not None else "the collector of GPU events is not attached"
    lines: list[Span] = []
    if told is not None and told.state is State.FAILED:
        lines.append((f"The collector failed: {said}", "error"))
    elif told is not None and told.state is State.RUNNING and not said:
        lines.append(("A program tells of its GPU, but of nothing in this window. ] makes it longer.", "text"))
        return lines
    elif said and "gpu run" not in said:
        lines.append((f"{said[0].upper()}{said[1:]}.", "muted"))
    lines += [
        ("Programs tell what they have a GPU do when they are started by", "text"),
        (f"  {_RUN}", "*accent"),
        ("aperture gpu devices: the GPUs here. --events gpu: watch them from the start, in every view.", "text"),
    ]
    missing = here.missing if here is not None else ()
    lines += [("Missing here (aperture doctor has more):", "text")] * bool(missing)
    return [*lines, *((f"  {one}", "warning") for one in missing)]


def _not_told(title: str, how: str, kinds: frozenset[Kind]) -> list[Span]:
    if any(kind in kinds for kind in _KINDS):
        return [(f"{title} in this window", "*text"), ("] makes it longer, < and > look earlier and later.", "muted")]
    return [
        (title, "*text"),
        (f"Such events were not collected: {how},", "muted"),
        (f"of programs that were started by  {_RUN}", "muted"),
    ]


def no_gauges(snapshot: ViewSnapshot, here: Here | None) -> list[Span]:
    """Why there are no gauges."""
    if snapshot.is_of_many:
        return [("Gauges are of one machine: choose one in Hosts.", "muted")]
    if snapshot.pushed is not None or snapshot.recorded is not None:
        return [("No reading of a GPU in this window: unavailable.", "muted")]
    lines: list[Span] = [("No reading of a GPU: unavailable. aperture gpu devices says why.", "muted")]
    missing: Sequence[str] = here.missing if here is not None else ()
    return [*lines, *((f"  {one}", "warning") for one in missing)]
