"""Gauges of GPUs: now, and in the window. What nobody knows is said to be unavailable, never drawn as nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.events import Resize

from aperture_tui.profile.gpu import GpuSample
from aperture_tui.profile.host import HostSample
from aperture_tui.tui import figures
from aperture_tui.tui.cells import fit, plain
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.widgets.filters import said_rows
from aperture_tui.tui.widgets.gauges import history
from aperture_tui.tui.widgets.histogram import exactly
from aperture_tui.tui.widgets.rows import RowsView

_LABEL: Final = 12
_VALUE: Final = 20
_HOTTEST: Final = 100
_LANE_BYTES_S: Final = {1: 0.25e9, 2: 0.5e9, 3: 0.985e9, 4: 1.969e9, 5: 3.938e9, 6: 7.563e9}
"""What a lane of PCIe carries one way, by its generation (PCI Express Base Specification: rate and encoding)."""
_NONE: Final = "unavailable"

Share = Callable[[GpuSample], float | None]


def histories(samples: Sequence[HostSample]) -> dict[int, list[GpuSample | None]]:
    """By GPU, what each reading of the host has of it, oldest first; None where it has nothing."""
    found = dict.fromkeys(sorted({gpu.index for sample in samples for gpu in sample.gpus}))
    by_index = [{gpu.index: gpu for gpu in sample.gpus} for sample in samples]
    return {index: [gpus.get(index) for gpus in by_index] for index in found}


def link_bytes_s(samples: Sequence[HostSample]) -> float | None:
    """What PCIe carries one way between the host and any of the GPUs; None if it is not known, or not the same."""
    newest = next((sample.gpus for sample in reversed(samples) if sample.gpus), ())
    links = {(gpu.pcie_generation_max, gpu.pcie_lanes_max) for gpu in newest if gpu.parent is None}
    if len(links) != 1:
        return None
    ((generation, lanes),) = links
    return None if not generation or not lanes or generation not in _LANE_BYTES_S else _LANE_BYTES_S[generation] * lanes


def _part(value: float | None, most: float | None) -> float | None:
    return None if value is None or not most else value / most


def _percent(share: float | None) -> str:
    return _NONE if share is None else figures.percent(share, 1.0)


def _of(value: float | None, most: float | None, unit: str) -> str:
    if value is None:
        return _NONE
    return f"{value:,.0f}{f' of {most:,.0f}' if most else ''} {unit}"


def _memory(one: GpuSample) -> str:
    if one.memory_used_bytes is None:
        return _NONE
    total = one.memory_total_bytes
    return figures.size(one.memory_used_bytes) + (f" of {figures.size(total)}" if total else "")


_CURVES: Final[tuple[tuple[str, str, Share, Callable[[GpuSample], str]], ...]] = (
    ("busy", "good", lambda g: g.gpu_busy, lambda g: _percent(g.gpu_busy)),
    ("memory", "memory", lambda g: _part(g.memory_used_bytes, g.memory_total_bytes), _memory),
    ("SMs", "good", lambda g: g.sm_active, lambda g: _percent(g.sm_active)),
    ("occupancy", "good", lambda g: g.sm_occupancy, lambda g: _percent(g.sm_occupancy)),
    ("tensor", "user", lambda g: g.tensor_active, lambda g: _percent(g.tensor_active)),
    ("DRAM", "memory", lambda g: g.dram_active, lambda g: _percent(g.dram_active)),
    ("power", "iowait", lambda g: _part(g.power_watts, g.power_limit_watts),
     lambda g: _of(g.power_watts, g.power_limit_watts, "W")),
    ("temperature", "system", lambda g: _part(g.temperature_celsius, _HOTTEST),
     lambda g: _of(g.temperature_celsius, None, "°C")),
    ("SM clock", "history", lambda g: _part(g.sm_clock_mhz, g.sm_clock_max_mhz),
     lambda g: _of(g.sm_clock_mhz, g.sm_clock_max_mhz, "MHz")),
)  # fmt: skip
_UNITS: Final = ("SMs", "occupancy", "tensor", "DRAM")
"""What GPM alone tells."""


def gpu_rows(readings: Sequence[GpuSample | None], width: int) -> list[Spans]:
    """One GPU: what it is, then a row for each gauge. readings: oldest first, at least one is there."""
    now = next(one for one in reversed(readings) if one is not None)
    kind = f"instance of GPU {now.parent}" if now.parent is not None else plain(now.driver) and f"driver {now.driver}"
    title: list[Span] = [(f" GPU {now.index}  {plain(now.name)}", "*text"), (f"  {plain(kind)}", "muted")]
    rows = [exactly([*title, *([("  divided (MIG)", "muted")] if now.mig else [])], width)]
    if readings[-1] is None or now.problem:
        rows.append(exactly([(f"  {plain(now.problem) or 'does not answer now'}", "warning")], width))
    if now.problem:
        return rows
    unknown = all(of(one) is None for name, _, of, _ in _CURVES if name in _UNITS for one in readings if one)
    for name, colour, of, words in _CURVES:
        if unknown and name in _UNITS:
            if name == _UNITS[0]:
                rows.append(_row("units", [("unavailable: no GPM (Hopper and later)", "muted")], width))
            continue
        curve = [None if one is None else of(one) for one in readings]
        rows.append(_curve_row(name, words(now), curve, colour, width))
    return [*rows, *_text_rows(now, width)]


def _curve_row(name: str, value: str, curve: Sequence[float | None], colour: str, width: int) -> Spans:
    room = width - _LABEL - _VALUE - 3
    spans: list[Span] = [(fit(f"  {name}", _LABEL + 2), "muted"), (fit(value, min(_VALUE, width - _LABEL - 2)), "text")]
    if value == _NONE:
        spans[1] = (spans[1][0], "muted")
    if room >= 4 and any(share is not None for share in curve):
        spans.append((history(curve, room, 1)[0], colour))
    return exactly(spans, width)


def _row(name: str, words: Sequence[Span], width: int) -> Spans:
    return exactly([(fit(f"  {name}", _LABEL + 2), "muted"), *words], width)


def _text_rows(now: GpuSample, width: int) -> list[Spans]:
    """What has no curve: whether it is slowed down, and its link."""
    if now.throttled is None:
        held: Span = (_NONE, "muted")
    else:
        held = (plain(", ".join(now.throttled)), "*warning") if now.throttled else ("no", "text")
    rows = [_row("throttled", [held], width)]
    if now.parent is None:
        sent, received = _rate(now.pcie_sent_bytes_s), _rate(now.pcie_received_bytes_s)
        link = f"{_shown(now.pcie_generation)} x{_shown(now.pcie_lanes)}"
        rows.append(_row("PCIe", [(f"sent {sent}, received {received}", "text"), (f"  gen {link}", "muted")], width))
    return rows


def _rate(value: int | None) -> str:
    return "?" if value is None else f"{figures.size(value)}/s"


def _shown(value: int | None) -> str:
    return "?" if value is None else str(value)


def devices_rows(samples: Sequence[HostSample], width: int) -> list[Spans]:
    """All GPUs, one after the other."""
    each = [gpu_rows(readings, width) for readings in histories(samples).values()]
    return [row for i, rows in enumerate(each) for row in ([((" " * width, "text"),)] * (i > 0) + rows)]


class GpuGauges(RowsView, can_focus=True):
    """The gauges; they scroll."""

    SCROLLS = True
    KEYS_TITLE = "the gauges"
    DEFAULT_CSS = "GpuGauges { height: 1fr; overflow-y: auto; scrollbar-size: 0 0; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_by(-1)", "up", show=False),
        Binding("down,j", "scroll_by(1)", "down", show=False),
        Binding("pageup", "scroll_by(-10)", "page up", show=False),
        Binding("pagedown", "scroll_by(10)", "page down", show=False),
    ]

    def __init__(self, moved: Callable[[], None]) -> None:
        """moved: called when other rows are in sight."""
        super().__init__()
        self._tell_moved = moved

    def show(self, samples: Sequence[HostSample], said: Sequence[Span]) -> None:
        """Show these readings, oldest first. said: what to say where there are none of a GPU."""
        self.draw(lambda: devices_rows(samples, self.size.width) or said_rows(said, self.size.width))

    def on_resize(self, _event: Resize) -> None:
        """Another number of rows is out of sight."""
        super().on_resize(_event)
        self._tell_moved()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Say anew what lies below."""
        super().watch_scroll_y(old_value, new_value)
        self._tell_moved()

    def action_scroll_by(self, rows: int) -> None:
        """So many rows down."""
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False)

    @property
    def below(self) -> int:
        """Rows that are out of sight."""
        return max(0, len(self.shown_rows) - int(self.scroll_offset.y) - self.size.height)
