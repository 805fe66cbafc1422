"""The tables of kernels, copies and idle gaps: what stands in their columns, and what is said of a row in full."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.binding import Binding, BindingType

from aperture_tui.tui import figures
from aperture_tui.tui.cells import fit, plain
from aperture_tui.tui.gpu.kernel_names import shortened
from aperture_tui.tui.gpu.model import Gap, KernelRow, Scope
from aperture_tui.tui.gpu.table import GpuTable, Whole
from aperture_tui.tui.palette import Span
from aperture_tui.tui.widgets.gauges import bar
from aperture_tui.tui.widgets.placing import Column

if TYPE_CHECKING:
    from aperture_tui.profile.gpu_launch import Launch
    from aperture_tui.profile.gpu_use import CopyUse

_HOST: Final = ("host to device", "device to host")
Words = tuple[str, list[str]]
"""What a row is, and facts about it."""


def _text(text: str, key: str = "text") -> list[Span]:
    return [(text, key)] if text else [("?", "muted")]


def _process(name: str, pid: int) -> list[Span]:
    return _text(f"{plain(name)} {pid}" if pid else plain(name), "muted")


# -- kernels


def _occupancy(row: KernelRow) -> float:
    known = row.use.launches[0][0].occupancy
    return -1.0 if known is None else known


def _occupancy_cell(row: KernelRow, _whole: Whole, _width: int) -> list[Span]:
    share = _occupancy(row)
    return [("?", "muted")] if share < 0 else [(f"{100 * share:.0f} %", "text" if share >= 0.5 else "warning")]


def _limits(launch: Launch) -> str:
    """What its occupancy is limited by, in words."""
    from aperture_tui.export.gpu_work import limits  # late: it imports numpy

    return limits(launch)


def _limit_cell(row: KernelRow, _whole: Whole, _width: int) -> list[Span]:
    if _occupancy(row) < 0:
        return [("?", "muted")]
    return [(_limits(row.use.launches[0][0]) or "–", "text")]


def _extent(of: str, row: KernelRow) -> list[Span]:
    return _text(f"{of}{' …' if row.shapes > 1 else ''}" if of else "")


def _block(row: KernelRow) -> str:
    """As its shape tells it; where only the number of its threads is known, that."""
    return row.block or str(row.use.launches[0][0].threads or "")


KERNELS: Final[tuple[Column[KernelRow, Whole], ...]] = (
    Column("KERNEL", "name", 0, 12, 90, lambda r, _, w: [(shortened(r.use.name, w), "text")], left=True, part=0.24),
    Column("CALLS", "calls", 3, 6, 6, lambda r, _, w: _text(figures.short(r.use.count)), lambda r: r.use.count),
    Column("TOTAL", "total", 1, 7, 7, lambda r, _, w: _text(figures.latency(r.use.time_ns)), lambda r: r.use.time_ns),
    Column("%", "", 4, 5, 5, lambda r, _, w: _text(f"{100 * r.use.share:.1f}")),
    Column("SHARE", "", 9, 8, 16, lambda r, whole, w: bar([(r.use.share, "good")], w, whole.mono), left=True),
    Column("MEAN", "mean", 2, 7, 7, lambda r, _, w: _text(figures.latency(r.use.mean_ns)), lambda r: r.use.mean_ns),
    Column("~P99", "p99", 5, 7, 7, lambda r, _, w: _text(figures.latency(r.use.quantile(0.99))),
           lambda r: r.use.quantile(0.99)),
    Column("MAX", "max", 8, 7, 7, lambda r, _, w: _text(figures.latency(r.use.maximum_ns)),
           lambda r: r.use.maximum_ns),
    Column("OCCUP.", "occupancy", 6, 7, 7, _occupancy_cell, _occupancy),
    Column("LIMITED BY", "", 7, 13, 24, _limit_cell, left=True),
    Column("GRID", "", 10, 9, 14, lambda r, _, w: _extent(r.grid, r)),
    Column("BLOCK", "", 10, 8, 12, lambda r, _, w: _extent(_block(r), r)),
    Column("PROCESS", "process", 11, 12, 22, lambda r, _, w: _process(r.use.process, r.use.pid), left=True),
)  # fmt: skip


class KernelTable(GpuTable[KernelRow]):
    """Kernels by process, most time first."""

    KEYS_TITLE = "the table of kernels"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "who launched it", key_display="enter")]
    COLUMNS: ClassVar[Any] = KERNELS
    SORTS = ("total", "calls", "mean", "p99", "max", "occupancy", "name")

    def key_of(self, row: KernelRow) -> Hashable:
        """Its process and name."""
        return row.use.pid, row.use.start_ns, row.use.process, row.use.name


def kernel_words(row: KernelRow) -> Words:
    """A kernel in full: first what a narrow table leaves out."""
    use, (launch, _, _) = row.use, row.use.launches[0]
    share = launch.occupancy
    facts = [f"grid {row.grid or '?'} block {_block(row) or '?'}"]
    facts += [f"{row.shapes} shapes"] if row.shapes > 1 else []
    facts.append(f"occupancy {'?' if share is None else f'{100 * share:.0f} %'} in theory")
    facts += [f"limited by {_limits(launch)}"] if _limits(launch) else []
    facts.append(f"{launch.registers or '?'} registers")
    facts += [f"{figures.size(launch.shared_bytes)} shared"] if launch.shared_bytes else []
    facts += [f"{use.process or '?'} {use.pid or ''}".strip(), f"mean {figures.latency(use.mean_ns)}"]
    return use.name or "[unknown]", facts


# -- copies


def _route(use: CopyUse) -> tuple[str, str]:
    """The direction, and the kind of the host's memory."""
    direction, _, memory = use.name.partition(", ")
    return direction, memory


def _rate(use: CopyUse) -> float:
    return -1.0 if use.bytes_s is None else use.bytes_s


def _of_link(use: CopyUse, whole: Whole) -> float | None:
    """The share of what the link carries; None where that is not known, or not what it goes over."""
    if not _route(use)[0].startswith(_HOST) or whole.link_bytes_s is None or use.bytes_s is None:
        return None
    return use.bytes_s / whole.link_bytes_s


def _link_cell(use: CopyUse, whole: Whole, _width: int) -> list[Span]:
    if not _route(use)[0].startswith(_HOST):
        return [("–", "muted")]
    share = _of_link(use, whole)
    return [("?", "muted")] if share is None else [(f"{100 * share:.0f} %", "text")]


def _rate_cell(use: CopyUse, _whole: Whole, _width: int) -> list[Span]:
    return [("?", "muted")] if use.bytes_s is None else [(f"{use.bytes_s / 1e9:.3g}", "text")]


def _memory_cell(use: CopyUse, _whole: Whole, _width: int) -> list[Span]:
    memory = _route(use)[1]
    if memory:
        return [(memory, "warning" if memory == "pageable" else "text")]
    return [("?", "muted")] if _route(use)[0].startswith(_HOST) else [("–", "muted")]


COPIES: Final[tuple[Column[CopyUse, Whole], ...]] = (
    Column("DIRECTION", "name", 0, 14, 22, lambda u, _, w: _text(_route(u)[0]), left=True),
    Column("MEMORY", "", 4, 8, 9, _memory_cell, left=True),
    Column("COPIES", "copies", 5, 6, 6, lambda u, _, w: _text(figures.short(u.count)), lambda u: u.count),
    Column("BYTES", "bytes", 2, 8, 8, lambda u, _, w: _text(figures.size(u.bytes)), lambda u: u.bytes),
    Column("GB/S", "rate", 1, 6, 6, _rate_cell, _rate),
    Column("OF LINK", "", 7, 7, 7, _link_cell),
    Column("TOTAL", "total", 3, 7, 7, lambda u, _, w: _text(figures.latency(u.time_ns)), lambda u: u.time_ns),
    Column("MAX", "max", 8, 7, 7, lambda u, _, w: _text(figures.latency(u.maximum_ns)), lambda u: u.maximum_ns),
    Column("PROCESS", "process", 9, 12, 24, lambda u, _, w: _process(u.process, u.pid), left=True),
)


class CopyTable(GpuTable["CopyUse"]):
    """Copies by process and direction, most time first."""

    KEYS_TITLE = "the table of copies"
    COLUMNS: ClassVar[Any] = COPIES
    SORTS = ("total", "bytes", "rate", "copies", "max", "name")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is nothing behind a row that could be looked into."""
        return action != "choose"

    def key_of(self, row: CopyUse) -> Hashable:
        """Its process and direction."""
        return row.pid, row.start_ns, row.process, row.name


def copy_words(use: CopyUse, whole: Whole) -> Words:
    """Copies in full."""
    rate = "? GB/s" if use.bytes_s is None else f"{use.bytes_s / 1e9:.3g} GB/s"
    share = _of_link(use, whole)
    facts = [rate]
    if share is not None and whole.link_bytes_s is not None:
        facts.append(f"{100 * share:.0f} % of the {whole.link_bytes_s / 1e9:.3g} GB/s that PCIe carries")
    facts += [f"{use.count:,} copies", figures.size(use.bytes), f"{figures.size(use.bytes / max(1, use.count))} each"]
    return use.name or "[unknown]", [*facts, f"{use.process or '?'} {use.pid or ''}".strip()]


# -- gaps

_SCOPES: Final = {
    Scope.NONE: "waiting: no thread on a CPU",
    Scope.SHORT: "? (too short to be sampled)",
    Scope.UNKNOWN: "?",
}


def cause(gap: Gap) -> str:
    """What the CPU did meanwhile, in words; of what is no gap, why not."""
    if gap.unrecorded:
        return "not recorded"
    if gap.scope in _SCOPES:
        return _SCOPES[gap.scope]
    return gap.leaf or "[unknown]"


def causes_words(gaps: Sequence[Gap]) -> str:
    """What the CPU did during most of their time: "CPU then: collate 61 %, waiting 20 %"."""
    sums: dict[str, int] = {}
    for gap in (one for one in gaps if not one.unrecorded):
        sums[cause(gap)] = sums.get(cause(gap), 0) + gap.length_ns
    most = sorted(sums.items(), key=lambda item: -item[1])[:2]
    told = [f"{shortened(words, 32)} {figures.share(ns, sum(sums.values()))}" for words, ns in most]
    return f"CPU then: {', '.join(told)}" if told else ""


def _cause_cell(gap: Gap, _whole: Whole, width: int) -> list[Span]:
    words = shortened(cause(gap), width) if gap.leaf else cause(gap)
    if gap.caller and len(words) + 5 < width:
        words += f" ← {plain(gap.caller)}"
    return [(fit(words, width), "text" if gap.scope in (Scope.THREAD, Scope.PROCESS) else "muted")]


def _seen_cell(gap: Gap, _whole: Whole, _width: int) -> list[Span]:
    if not gap.of:
        return [("–", "muted")]
    return [(f"{figures.short(gap.samples)} of {figures.short(gap.of)}", "muted")]


def _length_cell(gap: Gap, _whole: Whole, _width: int) -> list[Span]:
    length = figures.latency(gap.length_ns)
    return [(f"?{length}", "warning") if gap.unrecorded else (f"{'≥' if gap.more else ''}{length}", "text")]


def _launcher(gap: Gap, _whole: Whole, _width: int) -> list[Span]:
    return _text(f"{plain(gap.process) or '?'} {gap.tid or gap.pid}" if gap.pid else "", "muted")


def at_text(at_ns: int, start_ns: int) -> str:
    """ "+1.234 s": a moment of the window."""
    return f"+{(at_ns - start_ns) / 1e9:.3f} s"


GAPS: Final[tuple[Column[Gap, Whole], ...]] = (
    Column("IDLE", "length", 0, 8, 8, _length_cell, lambda g: g.length_ns),
    Column("GPU", "gpu", 5, 3, 3, lambda g, _, w: _text(str(g.device)), lambda g: -g.device),
    Column("AT", "time", 3, 10, 12, lambda g, whole, w: _text(at_text(g.start_ns, whole.start_ns)),
           lambda g: -g.start_ns),
    Column("CPU MEANWHILE", "cause", 1, 12, 64, _cause_cell, left=True, part=0.26),
    Column("SEEN", "", 4, 9, 11, _seen_cell),
    Column("UNTIL", "", 6, 12, 44, lambda g, _, w: _text(shortened(g.after, w) if g.after else ""), left=True),
    Column("LAUNCHER", "", 7, 12, 24, _launcher, left=True),
)  # fmt: skip


class GapTable(GpuTable[Gap]):
    """Idle gaps, the longest first, and times that were not recorded."""

    KEYS_TITLE = "the table of gaps"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "on the timeline", key_display="enter")]
    COLUMNS: ClassVar[Any] = GAPS
    SORTS = ("length", "cause", "time")

    def key_of(self, row: Gap) -> Hashable:
        """Its GPU and beginning."""
        return row.device, row.start_ns


def gap_words(gap: Gap, whole: Whole) -> Words:
    """A gap in full."""
    if gap.unrecorded:
        name = f"not recorded {figures.latency(gap.length_ns)} at {at_text(gap.start_ns, whole.start_ns)}"
        return f"GPU {gap.device} {name}", ["what it did is not known: it is no idle time"]
    name = f"idle {'≥ ' if gap.more else ''}{figures.latency(gap.length_ns)} at {at_text(gap.start_ns, whole.start_ns)}"
    meanwhile = cause(gap) + (f" ← {gap.caller}" if gap.caller else "")
    facts = [f"CPU: {meanwhile}", gap.scope.value]
    facts += [f"{gap.samples:,} of {gap.of:,} samples"] if gap.of else []
    facts += [f"after {shortened(gap.before, 40)}"] if gap.before else []
    facts += [f"until {shortened(gap.after, 40)}"] if gap.after else []
    return f"GPU {gap.device} {name}", facts


__all__ = ["CopyTable", "GapTable", "KernelTable", "copy_words", "gap_words", "kernel_words"]
