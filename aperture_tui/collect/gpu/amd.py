"""AMD's GPUs by the optional package amdsmi. Untested on hardware: written from the package's own functions (7.0.2),
and every reading says so.
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any, Final

from aperture_tui.collect.gpu.device import GpuError
from aperture_tui.profile.gpu import GpuProcess, GpuSample
from aperture_tui.profile.text import clean

VENDOR: Final = "AMD (untested)"
_MOST: Final = 256


def opened() -> Amd:
    """amdsmi with its GPUs. Raises GpuError."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # it complains there, and stdout carries data only
            import amdsmi
    except ImportError:
        raise GpuError("AMD: amdsmi is not installed") from None
    except Exception as error:  # without its library the package fails with a KeyError of the library's name
        raise GpuError(f"AMD: amdsmi has no library ({type(error).__name__}: {clean(str(error))})") from None
    try:
        amdsmi.amdsmi_init()
        handles = list(amdsmi.amdsmi_get_processor_handles())
    except Exception as error:  # its exceptions have no common base in all its versions
        raise GpuError(f"AMD: no driver answers ({clean(str(error))})") from None
    if not handles:
        raise GpuError("AMD: the driver has no GPU")
    return Amd(amdsmi, handles)


class Amd:
    """Owned by one thread. smi: the module amdsmi, initialised."""

    def __init__(self, smi: Any, handles: list[Any]) -> None:
        self._smi = smi
        self._handles = handles

    def _ask(self, name: str, *arguments: Any) -> Any:
        """What amdsmi answers; None for what it does not know."""
        try:
            return getattr(self._smi, f"amdsmi_{name}")(*arguments)
        except Exception:  # each version has other ones
            return None

    def read(self) -> list[GpuSample]:
        """One reading of each GPU."""
        return [self._reading(handle, i) for i, handle in enumerate(self._handles)]

    def close(self) -> None:
        """Shut amdsmi down."""
        self._ask("shut_down")

    def _reading(self, handle: Any, index: int) -> GpuSample:
        asic = _known(self._ask("get_gpu_asic_info", handle))
        driver = _known(self._ask("get_gpu_driver_info", handle))
        fields = {**self._use(handle), **self._clocks(handle), **self._board(handle)}
        return GpuSample(
            time.time_ns(),
            index,
            clean(str(self._ask("get_gpu_device_uuid", handle) or "")),
            clean(str(asic.get("market_name", "unknown"))),
            VENDOR,
            clean(str(driver.get("driver_version", ""))),
            clean(str(asic.get("target_graphics_version", ""))),
            processes=self._processes(handle),
            **{name: value for name, value in fields.items() if value is not None},
        )

    def _use(self, handle: Any) -> dict[str, Any]:
        activity = _known(self._ask("get_gpu_activity", handle))
        memory = _known(self._ask("get_gpu_vram_usage", handle))
        return {
            "gpu_busy": _number(activity, "gfx_activity", 0.01),
            "memory_busy": _number(activity, "umc_activity", 0.01),
            "memory_used_bytes": _whole(memory, "vram_used", 1 << 20),
            "memory_total_bytes": _whole(memory, "vram_total", 1 << 20),
        }

    def _clocks(self, handle: Any) -> dict[str, Any]:
        kinds = getattr(self._smi, "AmdSmiClkType", None)
        out: dict[str, Any] = {}
        for name, kind in (("sm_clock", "GFX"), ("memory_clock", "MEM")):
            clock = _known(self._ask("get_clock_info", handle, getattr(kinds, kind, None)))
            out |= {f"{name}_mhz": _whole(clock, "clk"), f"{name}_max_mhz": _whole(clock, "max_clk")}
        return out

    def _board(self, handle: Any) -> dict[str, Any]:
        power = _known(self._ask("get_power_info", handle))
        errors = _known(self._ask("get_gpu_total_ecc_count", handle))
        link = _known(self._ask("get_pcie_info", handle))
        sensor = getattr(getattr(self._smi, "AmdSmiTemperatureType", None), "EDGE", None)
        metric = getattr(getattr(self._smi, "AmdSmiTemperatureMetric", None), "CURRENT", None)
        temperature = self._ask("get_temp_metric", handle, sensor, metric)
        return {
            "power_watts": _number(power, "current_socket_power") or _number(power, "average_socket_power"),
            "temperature_celsius": temperature if isinstance(temperature, int) and temperature > 0 else None,
            "pcie_lanes": _whole(_known(link.get("pcie_metric")), "pcie_width"),
            "pcie_lanes_max": _whole(_known(link.get("pcie_static")), "max_pcie_width"),
            "ecc_corrected": _whole(errors, "correctable_count"),
            "ecc_uncorrected": _whole(errors, "uncorrectable_count"),
        }

    def _processes(self, handle: Any) -> tuple[GpuProcess, ...] | None:
        told = self._ask("get_gpu_process_list", handle)
        if told is None:
            return None
        rows = (_known(one) for one in told[:_MOST])
        return tuple(
            GpuProcess(int(row["pid"]), _whole(_known(row.get("memory_usage")), "vram_mem"))
            for row in rows
            if "pid" in row
        )


def _known(told: Any) -> dict[str, Any]:
    """What it says, without what it says it does not know."""
    return {name: value for name, value in told.items() if value != "N/A"} if isinstance(told, dict) else {}


def _number(told: dict[str, Any], name: str, scale: float = 1) -> float | None:
    value = told.get(name)
    return value * scale if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(told: dict[str, Any], name: str, scale: int = 1) -> int | None:
    value = _number(told, name, scale)
    return None if value is None else int(value)
