"""GPUs and their gauges in plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aperture_tui.export.names import amount_bytes
from aperture_tui.export.table import Column, fitted, table, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aperture_tui.profile.gpu import GpuProcess, GpuSample

_UNKNOWN: Final = "?"
_LABEL: Final = 14
_PROCESSES: Final = 20


def text(samples: Sequence[GpuSample], width: int = 80) -> str:
    """A paragraph for each GPU and instance, in lines of at most `width` cells; "?" is what nobody knows."""
    lines: list[str] = []
    for sample in samples:
        lines += [""] if lines else []
        lines += [part for line in _device(sample) for part in wrapped(line, width, 0, _LABEL)]
        lines += _processes(sample.processes, width)
    return "".join(f"{fitted(line, width)}\n" for line in lines)


def _device(one: GpuSample) -> Iterator[str]:
    kind = (
        f"instance of GPU {one.parent}" if one.parent is not None else f"{one.vendor}, driver {one.driver or _UNKNOWN}"
    )
    capability = f", compute capability {one.compute_capability}" if one.compute_capability else ""
    divided = ", divided (MIG)" if one.mig else ""
    yield f"GPU {one.index}  {one.name}  ({kind}{capability}{divided})"
    if one.problem:
        yield _labelled("unknown", one.problem)
        return
    yield _labelled("uuid", one.uuid or _UNKNOWN)
    yield _labelled("busy", f"{percent(one.gpu_busy)} of the time some kernel ran; memory {percent(one.memory_busy)}")
    yield _labelled("memory", f"{_bytes(one.memory_used_bytes)} of {_bytes(one.memory_total_bytes)}")
    yield _labelled("units", _units(one))
    if one.parent is None:
        yield from _board(one)


def _units(one: GpuSample) -> str:
    told = {
        "SMs": one.sm_active,
        "occupancy": one.sm_occupancy,
        "tensor": one.tensor_active,
        "FP16": one.fp16_active,
        "FP32": one.fp32_active,
        "FP64": one.fp64_active,
        "memory bandwidth": one.dram_active,
    }
    if all(share is None for share in told.values()):
        return "unknown: this GPU, or its driver, has no GPM (Hopper and later)"
    return ", ".join(f"{name} {percent(share)}" for name, share in told.items())


def _board(one: GpuSample) -> Iterator[str]:
    clocks = f"SM {_of(one.sm_clock_mhz, one.sm_clock_max_mhz)} MHz"
    yield _labelled("clocks", f"{clocks}, memory {_of(one.memory_clock_mhz, one.memory_clock_max_mhz)} MHz")
    held = "unknown" if one.throttled is None else ", ".join(one.throttled) or "no"
    yield _labelled("held back", held)
    yield _labelled("power", f"{_of(_round(one.power_watts), _round(one.power_limit_watts))} W")
    memory = f", memory {one.memory_temperature_celsius} °C" if one.memory_temperature_celsius is not None else ""
    yield _labelled("temperature", f"{_shown(one.temperature_celsius)} °C{memory}")
    lanes = _of(one.pcie_lanes, one.pcie_lanes_max)
    link = f"generation {_of(one.pcie_generation, one.pcie_generation_max)}, lanes {lanes}"
    yield _labelled("PCIe", f"{link}; sent {_rate(one.pcie_sent_bytes_s)}, received {_rate(one.pcie_received_bytes_s)}")
    if one.nvlink_sent_bytes_s is not None or one.nvlink_received_bytes_s is not None:
        received = _rate(one.nvlink_received_bytes_s)
        yield _labelled("NVLink", f"sent {_rate(one.nvlink_sent_bytes_s)}, received {received}")
    yield _labelled("ECC", f"corrected {_shown(one.ecc_corrected)}, uncorrected {_shown(one.ecc_uncorrected)}")


def _processes(told: Sequence[GpuProcess] | None, width: int) -> list[str]:
    if told is None:
        return [_labelled("processes", "unknown")]
    if not told:
        return [_labelled("processes", "none")]
    some = told[:_PROCESSES]
    cells: dict[str, Callable[[GpuProcess], str]] = {
        "pid": lambda one: str(one.pid),
        "memory": lambda one: _bytes(one.memory_used_bytes),
        "SM %": lambda one: percent(one.sm_busy),
        "memory %": lambda one: percent(one.memory_busy),
    }
    lines = table([Column(title, [cell(one) for one in some]) for title, cell in cells.items()], width - 2)
    more = [f"  and {len(told) - len(some):,} more"] if len(told) > len(some) else []
    return [*(f"  {line}" for line in lines), *more]


def percent(share: float | None) -> str:
    """A share of 0 to 1: "12 %", "0.5 %"; "?" if it is unknown."""
    if share is None:
        return _UNKNOWN
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def _round(value: float | None) -> int | None:
    return None if value is None else round(value)


def _of(value: int | None, most: int | None) -> str:
    return f"{_shown(value)} of {_shown(most)}"


def _shown(value: int | None) -> str:
    return _UNKNOWN if value is None else f"{value:,}"


def _bytes(value: int | None) -> str:
    return _UNKNOWN if value is None else amount_bytes(value)


def _rate(value: int | None) -> str:
    return _UNKNOWN if value is None else f"{amount_bytes(value)}/s"


def _labelled(label: str, value: str) -> str:
    return f"  {label:<{_LABEL - 2}}{value}"
