"""NVIDIA's GPUs by NVML, and from Hopper on by GPM, which needs no profiler's lock and no rights.

Sources: nvidia-ml-py's pynvml.py, whose functions and units are NVML's (docs.nvidia.com/deploy/nvml-api).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from aperture_tui.collect.gpu.device import GpuError
from aperture_tui.profile.gpu import GpuProcess, GpuSample
from aperture_tui.profile.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable

_GPM: Final = {
    "sm_active": (2, 0.01),
    "sm_occupancy": (3, 0.01),
    "tensor_active": (5, 0.01),
    "dram_active": (10, 0.01),
    "fp64_active": (11, 0.01),
    "fp32_active": (12, 0.01),
    "fp16_active": (13, 0.01),
    "pcie_sent_bytes_s": (20, 1 << 20),
    "pcie_received_bytes_s": (21, 1 << 20),
    "nvlink_received_bytes_s": (60, 1 << 20),
    "nvlink_sent_bytes_s": (61, 1 << 20),
}
"""Field -> NVML_GPM_METRIC_*, and what its unit (percent, MiB/s) is of ours."""
_THROTTLES: Final = {
    0x2: "application clocks",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "thermal, by the driver",
    0x40: "thermal, by the hardware",
    0x80: "power brake",
    0x100: "display clocks",
}
"""nvmlClocksEventReason*; an idle GPU is not held back."""
_MEMORY_TEMPERATURE: Final = 82  # NVML_FI_DEV_MEMORY_TEMP
_MOST: Final = 256
"""Processes told of one GPU."""


def opened() -> Nvml:
    """NVML with its GPUs. Raises GpuError."""
    try:
        import pynvml
    except ImportError:
        raise GpuError("NVIDIA: nvidia-ml-py is not installed: pip install 'aperture-tui[gpu]'") from None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise GpuError(f"NVIDIA: no driver answers ({clean(str(error))})") from None
    devices = Nvml(pynvml)
    if not devices.count:
        devices.close()
        raise GpuError("NVIDIA: the driver has no GPU")
    return devices


class Nvml:
    """Owned by one thread. nvml: the module pynvml, initialised."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self.count: int = self._ask("DeviceGetCount") or 0
        self._driver = _text(self._ask("SystemGetDriverVersion"))
        self._gpm: dict[str, Gpm] = {}
        self._seen_us: dict[str, int] = {}

    def _ask(self, name: str, *arguments: Any) -> Any:
        """What NVML answers; None for what this GPU, this driver or this package does not have."""
        try:
            return getattr(self._nvml, f"nvml{name}")(*arguments)
        except (self._nvml.NVMLError, AttributeError):
            return None  # it is shown as unknown

    def read(self) -> list[GpuSample]:
        """One reading of each GPU, then of each instance."""
        whole, parts = [], []
        for i in range(self.count):
            try:
                handle = self._nvml.nvmlDeviceGetHandleByIndex(i)
            except self._nvml.NVMLError as error:
                whole.append(GpuSample(time.time_ns(), i, "", "unknown", "NVIDIA", problem=clean(str(error))))
                continue
            whole.append(self._reading(handle, i, None))
            if whole[-1].mig:
                parts += [(one, i) for one in self._instances(handle)]
        instances = [self._reading(one, self.count + n, (gpu, whole[gpu])) for n, (one, gpu) in enumerate(parts)]
        known = {sample.uuid for sample in (*whole, *instances)}
        for uuid in self._gpm.keys() - known:
            self._gpm.pop(uuid).close()
        return [*whole, *instances]

    def close(self) -> None:
        """Shut NVML down."""
        for gpm in self._gpm.values():
            gpm.close()
        self._gpm = {}
        self._ask("Shutdown")

    def _instances(self, handle: Any) -> list[Any]:
        most = self._ask("DeviceGetMaxMigDeviceCount", handle) or 0
        found = (self._ask("DeviceGetMigDeviceHandleByIndex", handle, i) for i in range(most))
        return [one for one in found if one is not None]

    def _reading(self, handle: Any, index: int, of: tuple[int, GpuSample] | None) -> GpuSample:
        """of: the GPU that this is an instance of."""
        ask = self._ask
        uuid, name = _text(ask("DeviceGetUUID", handle)), _text(ask("DeviceGetName", handle)) or "unknown"
        mode = None if of else ask("DeviceGetMigMode", handle)
        capability = ask("DeviceGetCudaComputeCapability", handle)
        fields: dict[str, Any] = {
            **self._busy(handle),
            **self._memory(handle),
            **({} if of else self._board(handle)),
            "processes": self._processes(handle, uuid, index),
        }
        measured = self._metrics(handle, uuid, of)
        if of is None and "pcie_sent_bytes_s" not in measured:
            measured |= self._pcie_by_counter(handle)
        return GpuSample(
            time.time_ns(),
            index,
            uuid,
            name,
            "NVIDIA",
            self._driver,
            "" if capability is None else "{}.{}".format(*capability),
            parent=of[0] if of else None,
            mig=None if mode is None else bool(mode[0]),
            **fields | measured,
        )

    def _busy(self, handle: Any) -> dict[str, Any]:
        used = self._ask("DeviceGetUtilizationRates", handle)
        coders = {name: self._ask(f"DeviceGet{name}Utilization", handle) for name in ("Encoder", "Decoder")}
        out: dict[str, Any] = {} if used is None else {"gpu_busy": used.gpu / 100, "memory_busy": used.memory / 100}
        return out | {f"{name.lower()}_busy": told[0] / 100 for name, told in coders.items() if told is not None}

    def _memory(self, handle: Any) -> dict[str, Any]:
        memory = self._ask("DeviceGetMemoryInfo", handle)
        if memory is None or not memory.total:
            return {}
        return {"memory_used_bytes": int(memory.used), "memory_total_bytes": int(memory.total)}

    def _board(self, handle: Any) -> dict[str, Any]:
        """What a board has once, however it is divided."""
        ask = self._ask
        sm, memory, volatile = 1, 2, 0  # NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_VOLATILE_ECC
        reasons = ask("DeviceGetCurrentClocksEventReasons", handle)
        if reasons is None:
            reasons = ask("DeviceGetCurrentClocksThrottleReasons", handle)  # its name before the driver 535
        return {
            "sm_clock_mhz": ask("DeviceGetClockInfo", handle, sm),
            "sm_clock_max_mhz": ask("DeviceGetMaxClockInfo", handle, sm),
            "memory_clock_mhz": ask("DeviceGetClockInfo", handle, memory),
            "memory_clock_max_mhz": ask("DeviceGetMaxClockInfo", handle, memory),
            "power_watts": _scaled(ask("DeviceGetPowerUsage", handle), 1000),
            "power_limit_watts": _scaled(ask("DeviceGetEnforcedPowerLimit", handle), 1000),
            "energy_joules": _scaled(ask("DeviceGetTotalEnergyConsumption", handle), 1000),
            "temperature_celsius": ask("DeviceGetTemperature", handle, 0),
            "memory_temperature_celsius": self._field(handle, _MEMORY_TEMPERATURE),
            "fan": _scaled(ask("DeviceGetFanSpeed", handle), 100),
            "pcie_generation": ask("DeviceGetCurrPcieLinkGeneration", handle),
            "pcie_generation_max": ask("DeviceGetMaxPcieLinkGeneration", handle),
            "pcie_lanes": ask("DeviceGetCurrPcieLinkWidth", handle),
            "pcie_lanes_max": ask("DeviceGetMaxPcieLinkWidth", handle),
            "throttled": None
            if reasons is None
            else tuple(words for bit, words in _THROTTLES.items() if reasons & bit),
            "ecc_corrected": ask("DeviceGetTotalEccErrors", handle, 0, volatile),
            "ecc_uncorrected": ask("DeviceGetTotalEccErrors", handle, 1, volatile),
        }

    def _field(self, handle: Any, number: int) -> int | None:
        values = self._ask("DeviceGetFieldValues", handle, [number])
        if not values or values[0].nvmlReturn != 0:
            return None
        return int(values[0].value.uiVal) or None  # some boards say 0 of a sensor that they do not have

    def _pcie_by_counter(self, handle: Any) -> dict[str, Any]:
        """Of the last 20 ms, and taking as long: only where there is no GPM."""
        sent, received = (self._ask("DeviceGetPcieThroughput", handle, counter) for counter in (0, 1))
        told = {"pcie_sent_bytes_s": sent, "pcie_received_bytes_s": received}
        return {name: 1024 * value for name, value in told.items() if value is not None}

    def _metrics(self, handle: Any, uuid: str, of: tuple[int, GpuSample] | None) -> dict[str, Any]:
        """What GPM says of the time since the reading before; nothing at the first, or where there is none."""
        if uuid not in self._gpm:
            instance = self._ask("DeviceGetGpuInstanceId", handle) if of else None
            owner = self._ask("DeviceGetHandleByIndex", of[0]) if of else handle
            self._gpm[uuid] = Gpm(self._nvml, self._ask, owner, instance, possible=not of or instance is not None)
        return self._gpm[uuid].read()

    def _processes(self, handle: Any, uuid: str, index: int) -> tuple[GpuProcess, ...] | None:
        """Of a GPU's processes its memory, and the newest word of what they kept busy."""
        ask = self._ask
        # by versions: the function without one refuses a driver that lacks the newest
        lists = [ask(f"DeviceGet{kind}RunningProcesses_v3", handle) for kind in ("Compute", "Graphics")]
        if all(one is None for one in lists):
            return None
        memory = {one.pid: one.usedGpuMemory for each in lists for one in each or ()}
        key = uuid or str(index)
        samples = ask("DeviceGetProcessUtilization", handle, self._seen_us.get(key, 0)) or ()
        newest = {one.pid: one for one in sorted(samples, key=lambda one: int(one.timeStamp))}
        self._seen_us[key] = max([self._seen_us.get(key, 0), *(int(one.timeStamp) for one in samples)])
        busy = {pid: (one.smUtil / 100, one.memUtil / 100) for pid, one in newest.items()}
        pids = sorted(memory, key=lambda pid: -(memory[pid] or 0))[:_MOST]
        return tuple(GpuProcess(pid, memory[pid], *busy.get(pid, (None, None))) for pid in pids)


class Gpm:
    """The performance counters of one GPU or instance: what they say of the time between two samples."""

    def __init__(self, nvml: Any, ask: Callable[..., Any], handle: Any, instance: int | None, possible: bool) -> None:
        self._nvml, self._ask, self._handle, self._instance = nvml, ask, handle, instance
        support = ask("GpmQueryDeviceSupport", handle) if possible else None
        self._samples = []
        if support is not None and support.isSupportedDevice:
            self._samples = [one for one in (ask("GpmSampleAlloc"), ask("GpmSampleAlloc")) if one is not None]
        self._has_one = False

    def read(self) -> dict[str, Any]:
        """Our names -> values, those that this GPU has."""
        if len(self._samples) < 2:
            return {}
        before, now = self._samples
        taken = (
            self._ask("GpmSampleGet", self._handle, now)
            if self._instance is None
            else self._ask("GpmMigSampleGet", self._handle, self._instance, now)
        )
        if taken is None:
            self._has_one = False
            return {}
        self._samples.reverse()
        if not self._has_one:
            self._has_one = True
            return {}
        return self._between(before, now)

    def _between(self, before: Any, now: Any) -> dict[str, Any]:
        request = self._nvml.c_nvmlGpmMetricsGet_t()
        request.version, request.numMetrics = self._nvml.NVML_GPM_METRICS_GET_VERSION, len(_GPM)
        request.sample1, request.sample2 = before, now
        for i, (metric, _) in enumerate(_GPM.values()):
            request.metrics[i].metricId = metric
        if self._ask("GpmMetricsGet", request) is None:
            return {}
        out: dict[str, Any] = {}
        for i, (name, (_, scale)) in enumerate(_GPM.items()):
            told = request.metrics[i]
            if told.nvmlReturn == 0 and told.value == told.value:  # not a number: it is not measured here
                out[name] = int(told.value * scale) if name.endswith("_s") else told.value * scale
        return out

    def close(self) -> None:
        """Give the samples back."""
        for one in self._samples:
            self._ask("GpmSampleFree", one)
        self._samples = []


def _scaled(value: int | None, by: float) -> float | None:
    return None if value is None else value / by


def _text(value: str | bytes | None) -> str:
    """Older packages give bytes."""
    return clean(value or "")
