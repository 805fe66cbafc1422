"""A GPU and its gauges. Free of numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from aperture_tui.profile.text import clean


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """What one process uses of a GPU. Shares are of the GPU (0 to 1); None is unknown.

    sm_busy: of the time in which the multiprocessors worked for it. memory_busy: in which memory was read or written.
    """

    pid: int
    memory_used_bytes: int | None = None
    sm_busy: float | None = None
    memory_busy: float | None = None


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One reading of one GPU, or of one instance of a GPU that is divided (MIG). None is unknown, never zero.

    index: its number on this machine, as the driver counts; instances are behind all GPUs. parent: the index of the
    GPU that an instance is a part of. uuid: what it is told apart by on every machine. mig: whether it is divided.

    All that ends in _busy or _active is a share, 0 to 1. gpu_busy: of the time in which a kernel ran, however small;
    memory_busy: in which memory was read or written, whatever the rate: no bandwidth can be had from it.
    sm_active: of the multiprocessors that had work; sm_occupancy: of the warps that could have been resident;
    tensor_active, fp16_active, fp32_active, fp64_active: of the time in which these units worked; dram_active: of the
    bandwidth of its memory. These are known from Hopper on.

    pcie_*_bytes_s, nvlink_*_bytes_s: sent by the GPU, and received. throttled: why its clocks are lower than they could
    be, () if they are not. ecc_*: errors of its memory since the driver was loaded. problem: why nothing is known.
    """

    time_ns: int
    index: int
    uuid: str
    name: str
    vendor: str = ""
    driver: str = ""
    compute_capability: str = ""
    parent: int | None = None
    mig: bool | None = None
    gpu_busy: float | None = None
    memory_busy: float | None = None
    encoder_busy: float | None = None
    decoder_busy: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    sm_clock_mhz: int | None = None
    sm_clock_max_mhz: int | None = None
    memory_clock_mhz: int | None = None
    memory_clock_max_mhz: int | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    energy_joules: float | None = None
    temperature_celsius: int | None = None
    memory_temperature_celsius: int | None = None
    fan: float | None = None
    pcie_sent_bytes_s: int | None = None
    pcie_received_bytes_s: int | None = None
    pcie_generation: int | None = None
    pcie_generation_max: int | None = None
    pcie_lanes: int | None = None
    pcie_lanes_max: int | None = None
    nvlink_sent_bytes_s: int | None = None
    nvlink_received_bytes_s: int | None = None
    sm_active: float | None = None
    sm_occupancy: float | None = None
    tensor_active: float | None = None
    fp16_active: float | None = None
    fp32_active: float | None = None
    fp64_active: float | None = None
    dram_active: float | None = None
    throttled: tuple[str, ...] | None = None
    ecc_corrected: int | None = None
    ecc_uncorrected: int | None = None
    processes: tuple[GpuProcess, ...] | None = None
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        """A dict of JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> GpuSample:
        """The inverse of `as_json`; what is unknown may be absent.

        Raises KeyError, TypeError, AttributeError or ValueError on anything else.
        """
        known = _fields(cls, row, ("throttled", "processes"))
        if row.get("throttled") is not None:
            known["throttled"] = tuple(clean(_text(reason)) for reason in row["throttled"])
        if row.get("processes") is not None:
            known["processes"] = tuple(GpuProcess(**_fields(GpuProcess, one, ())) for one in row["processes"])
        return cls(**known)


_MAX: Final = 1 << 63
_NEEDED: Final = ("time_ns", "index", "uuid", "name", "pid")


def _fields(kind: type[GpuSample] | type[GpuProcess], row: Mapping[str, Any], apart: tuple[str, ...]) -> dict[str, Any]:
    """The plain fields, each of the type that the class says."""
    known: dict[str, Any] = {}
    for name, field in kind.__dataclass_fields__.items():
        value = row[name] if name in _NEEDED else row.get(name)
        if value is not None and name not in apart:
            known[name] = _READERS[str(field.type).partition(" ")[0]](value)
    return known


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MAX:
        raise ValueError(f"not a number of this kind: {value!r}")
    return value


def _real(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e18:
        raise ValueError(f"not a number: {value!r}")
    return float(value)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"not a truth value: {value!r}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not a text: {value!r}")
    return clean(value)


_READERS: Final = {"int": _whole, "float": _real, "bool": _truth, "str": _text}
