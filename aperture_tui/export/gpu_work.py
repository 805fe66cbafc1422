"""Kernels, copies and calls of a report in plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aperture_tui.export.gpus import percent
from aperture_tui.export.names import amount_bytes, amount_ns, number
from aperture_tui.export.table import Column, table, wrapped
from aperture_tui.profile.gpu_use import CopyUse, KernelUse, copy_uses, kernel_uses
from aperture_tui.profile.occupancy import Factor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aperture_tui.profile.gpu_launch import Launch
    from aperture_tui.profile.latency import Latency
    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import Store

ROWS: Final = 20
_FACTORS: Final = {
    Factor.WARPS: "warps",
    Factor.REGISTERS: "registers",
    Factor.SHARED_MEMORY: "shared memory",
    Factor.BLOCKS: "blocks",
}


def kernels(store: Store, query: Query, width: int) -> list[str]:
    """The table of kernels, most time first; [] where there is nothing."""
    found = kernel_uses(store.latencies(query))
    if not found:
        return []
    title = f"GPU kernels: {sum(use.count for use in found):,}, {amount_ns(sum(use.time_ns for use in found))}"
    return [*wrapped(title, width), *table(_kernel_columns(found[:ROWS]), width), *_rest(found, "kernels")]


def _kernel_columns(listed: Sequence[KernelUse]) -> list[Column]:
    most = [use.launches[0][0] for use in listed]
    return [
        Column("%", [f"{100 * use.share:.1f}" for use in listed]),
        Column("total", [amount_ns(use.time_ns) for use in listed]),
        Column("calls", [f"{use.count:,}" for use in listed]),
        Column("mean", [amount_ns(use.mean_ns) for use in listed]),
        Column("p99", [amount_ns(use.quantile(0.99)) for use in listed], 5),
        Column("max", [amount_ns(use.maximum_ns) for use in listed]),
        Column("occupancy", [percent(one.occupancy) for one in most], 2),
        Column("limited by", [limits(one) for one in most], 3, left=True),
        Column("threads", [str(one.threads or "?") for one in most], 6),
        Column("pid", [number(use.pid) for use in listed], 4),
        Column("kernel", [use.name or "[unknown]" for use in listed], left=True, room=24),
    ]


def limits(launch: Launch) -> str:
    """What a launch's occupancy is limited by, in words; "" if it is not known, or full."""
    if launch.occupancy is None or launch.occupancy >= 1:
        return ""
    return ", ".join(words for factor, words in _FACTORS.items() if factor in launch.limited_by)


def copies(store: Store, query: Query, width: int) -> list[str]:
    """The table of copies, most time first; [] where there is nothing."""
    found = copy_uses(store.latencies(query))
    if not found:
        return []
    total, time_ns = sum(use.bytes for use in found), sum(use.time_ns for use in found)
    title = f"GPU copies: {sum(use.count for use in found):,}, {amount_bytes(total)}, {amount_ns(time_ns)}"
    return [*wrapped(title, width), *table(_copy_columns(found[:ROWS]), width), *_rest(found, "directions")]


def _copy_columns(listed: Sequence[CopyUse]) -> list[Column]:
    return [
        Column("total", [amount_ns(use.time_ns) for use in listed]),
        Column("copies", [f"{use.count:,}" for use in listed]),
        Column("bytes", [amount_bytes(use.bytes) for use in listed]),
        Column("GB/s", ["?" if use.bytes_s is None else f"{use.bytes_s / 1e9:.3g}" for use in listed]),
        Column("max", [amount_ns(use.maximum_ns) for use in listed], 2),
        Column("pid", [number(use.pid) for use in listed], 3),
        Column("direction", [use.name or "[unknown]" for use in listed], left=True),
    ]


def calls(store: Store, query: Query, width: int) -> list[str]:
    """The table of calls, most often first; [] where there is nothing. Probes count calls and do not time them."""
    found = sorted(_calls(store.latencies(query)), key=lambda use: (-use.count, -use.time_ns, use.name, use.pid))
    if not found:
        return []
    title = f"GPU calls: {sum(use.count for use in found):,}"
    columns = [
        Column("calls", [f"{use.count:,}" for use in found[:ROWS]]),
        Column("total", [amount_ns(use.time_ns) if use.time_ns else "?" for use in found[:ROWS]]),
        Column("max", [amount_ns(use.maximum_ns) if use.time_ns else "?" for use in found[:ROWS]], 2),
        Column("pid", [number(use.pid) for use in found[:ROWS]]),
        Column("call", [use.name or "[unknown]" for use in found[:ROWS]], left=True),
        Column("process", [use.process or "[unknown]" for use in found[:ROWS]], left=True),
    ]
    return [*wrapped(title, width), *table(columns, width), *_rest(found, "calls")]


def _calls(told: Sequence[Latency]) -> list[CopyUse]:
    """By process and function, whatever was launched or copied by it."""
    return copy_uses(told)


def _rest(found: Sequence[object], words: str) -> list[str]:
    return [f"and {len(found) - ROWS:,} more {words}"] if len(found) > ROWS else []
