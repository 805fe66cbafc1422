"""A MemoryStore of synthetic GPU work: a training loop that no GPU ever ran, with samples of its CPU and gauges."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from aperture_tui.profile.batch import Batch, empty
from aperture_tui.profile.gpu import GpuSample
from aperture_tui.profile.gpu_launch import Launch, Shape, lane, shape_frame
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.kinds import ROLE_SHIFT, UNRECORDED, FrameKind, Kind
from aperture_tui.profile.occupancy import Factor
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.memory import MemoryStore
from tests.tui.synthetic import SECOND, START_NS

US, MS = 1_000, 1_000_000
PID, TID, LOADER = 4242, 4242, 4250
N, P, K = FrameKind.NATIVE, FrameKind.PYTHON, FrameKind.KERNEL

GEMM = "void cutlass::Kernel2<cutlass_80_tensorop_f16_s16816gemm_f16_128x64_nn>(Params)"
ELEMENTWISE = "void at::native::vectorized_elementwise_kernel<4, at::native::AddFunctor<float>>(int, float)"
SOFTMAX = "softmax_warp_forward(float*, float const*, int)"
OPTIMIZER = "multi_tensor_apply_kernel(TensorListMetadata, AdamFunctor)"
TO_DEVICE, TO_HOST = "host to device, pageable", "device to host, pinned"

LAUNCHES = {
    GEMM: (Launch(256, 168, 49152, 2, Factor.SHARED_MEMORY, 64), Shape((128, 16, 1), (256, 1, 1))),
    ELEMENTWISE: (Launch(128, 32, 0, 16, Factor.WARPS | Factor.BLOCKS, 64), Shape((4096, 1, 1), (128, 1, 1))),
    SOFTMAX: (Launch(1024, 40, 1024), Shape((512, 1, 1), (32, 32, 1))),
    OPTIMIZER: (Launch(512, 64, 0, 2, Factor.REGISTERS, 64), Shape((320, 1, 1), (512, 1, 1))),
}
TRAIN = [
    Frame("python3", kind=FrameKind.PROCESS),
    Frame("<module>", "", "/home/ml/train.py", 90, P),
    Frame("train_step", "", "/home/ml/train.py", 41, P),
]
FORWARD = [*TRAIN, Frame("forward", "", "/home/ml/model.py", 88, P), Frame("cuLaunchKernel", "libcuda.so.1")]
STEP = [*TRAIN, Frame("step", "", "/home/ml/optim.py", 12, P), Frame("cuLaunchKernel", "libcuda.so.1")]
COLLATE = [*TRAIN, Frame("collate", "", "/home/ml/data.py", 7, P), Frame("__memmove_avx_unaligned_erms", "libc.so.6")]
RUNNING = tuple(Health(name, State.RUNNING, lost={}) for name in ("cpu", "gpu_kernel", "gpu_copy"))
NOBODY = "no program tells of its GPU: start it by `aperture gpu run -- COMMAND`"


class Work:
    """Events of synthetic work, and the tables that they share."""

    def __init__(self) -> None:
        self.symbols = Symbols()
        self._process = self.symbols.process(Process(PID, START_NS - 60 * SECOND, "python3"))
        self._rows: list[tuple[int, ...]] = []

    def add(
        self,
        kind: Kind,
        at_ns: int,
        took_ns: int,
        name: str = "",
        stack: Sequence[Frame] = TRAIN,
        *,
        device: int = 0,
        stream: int = 7,
        value: int = 0,
        tid: int = TID,
        weight: int = 1,
        maximum_ns: int | None = None,
        flags: int = 0,
    ) -> None:
        """One event. maximum_ns: None is took_ns."""
        (node,) = self.symbols.stacks([[self.symbols.frame(frame) for frame in stack]])
        text = self.symbols.string(name) if name else 0
        longest = took_ns if maximum_ns is None else maximum_ns
        place = lane(device, stream)
        self._rows.append((kind, at_ns, took_ns, longest, text, int(node), place, value, tid, weight, flags))

    def kernel(self, name: str, at_ns: int, took_ns: int, stack: Sequence[Frame] = FORWARD, **where: int) -> None:
        """A kernel with all that is known of its launch."""
        launch, shape = LAUNCHES[name]
        frames = [*stack, Frame(name, kind=FrameKind.GPU), shape_frame(shape)]
        self.add(Kind.GPU_KERNEL, at_ns, took_ns, name, frames, value=launch.packed(), **where)

    def sampled(self, name: str, at_ns: int, own_ns: int, stands_for: int, **where: int) -> None:
        """A kernel that stands for several of its duration."""
        self.kernel(name, at_ns, own_ns * stands_for, weight=stands_for, maximum_ns=own_ns, **where)

    def unrecorded(self, at_ns: int, took_ns: int, device: int = 0) -> None:
        """A time of which nobody knows what it did."""
        self.add(Kind.GPU_KERNEL, at_ns, took_ns, device=device, stream=0, flags=UNRECORDED << ROLE_SHIFT)

    def batch(self) -> Batch:
        """All of them."""
        events = empty(len(self._rows))
        columns = zip(*self._rows, strict=True)
        for column, values in zip(
            ("kind", "time_ns", "duration_ns", "maximum_ns", "name", "stack", "aux", "value", "tid", "weight", "flags"),
            columns,
            strict=True,
        ):
            events[column] = np.array(values)
        events["pid"], events["process"] = PID, self._process
        return Batch(self.symbols, events)


def _step(work: Work, at: int, device: int) -> None:
    """A step of 100 ms: 12 ms of loading while the GPU does nothing, then a forward pass, then the optimizer."""
    copied = at + 12 * MS
    work.add(Kind.GPU_COPY, copied, 4 * MS, TO_DEVICE, device=device, stream=13, value=48 << 20)
    begun = copied + 4 * MS + 100 * US
    for layer in range(6):
        gemm = begun + layer * 10 * MS
        work.kernel(GEMM, gemm, 7 * MS, device=device)
        work.kernel(ELEMENTWISE, gemm + 7 * MS, 1500 * US, device=device)
        work.kernel(SOFTMAX, gemm + 8600 * US, 900 * US, device=device)
    work.kernel(OPTIMIZER, begun + 62 * MS, 15 * MS, STEP, device=device)
    work.add(Kind.GPU_COPY, begun + 70 * MS, 50 * US, TO_HOST, device=device, stream=14, value=1 << 20)
    work.add(Kind.GPU_COPY, begun + 78 * MS, 200 * US, "memset", device=device, value=64 << 20)
    for sample in range(10):
        cpu = at + sample * 10 * MS
        work.add(Kind.CPU, cpu, 10 * MS, stack=COLLATE if sample < 2 else FORWARD)


def in_moments() -> MemoryStore:
    """Ten seconds of two GPUs: of the first 100 ms of every three seconds were recorded, of the second everything."""
    work = Work()
    for moment in range(0, 10, 3):
        for i in range(10):
            work.sampled(GEMM, START_NS + moment * SECOND + i * 10 * MS, 7 * MS, 30)
    for i in range(100):
        work.kernel(SOFTMAX, START_NS + i * 100 * MS, 60 * MS, device=1)
    return stored([work.batch()])


def taken_over() -> MemoryStore:
    """Ten seconds of two GPUs; what the first did from 4.05 s to 6 s nobody recorded."""
    work = Work()
    for step in range(100):
        for device in (0, 1):
            if device or not 40 <= step < 60:
                _step(work, START_NS + step * 100 * MS, device)
    for piece in range(4050, 6000, 500):
        work.unrecorded(START_NS + piece * MS, min(500, 6000 - piece) * MS)
    return stored([work.batch()], devices=2)


@lru_cache(4)
def _batch(seconds: int, devices: int) -> Batch:
    work = Work()
    for step in range(10 * seconds):
        if step % 37 == 30:  # nothing at all, and nobody on a CPU
            continue
        for device in range(devices):
            _step(work, START_NS + step * 100 * MS + device * 30 * MS, device)
    return work.batch()


def gauge(second: int, devices: int) -> HostSample:
    """A reading; of every second GPU little is known."""
    wave = float(np.sin(second / 2.0) * 0.5 + 0.5)
    known = GpuSample(
        START_NS + second * SECOND, 0, "GPU-synthetic-0", "Synthetic H200", "NVIDIA", "580.1", "9.0", mig=False,
        gpu_busy=0.6 + 0.3 * wave, memory_used_bytes=int((60 + 20 * wave) * 2**30), memory_total_bytes=141 << 30,
        sm_clock_mhz=1755, sm_clock_max_mhz=1980, power_watts=410 + 200 * wave, power_limit_watts=700,
        temperature_celsius=61, pcie_sent_bytes_s=1 << 29, pcie_received_bytes_s=6 << 30, pcie_generation=5,
        pcie_generation_max=5, pcie_lanes=16, pcie_lanes_max=16, sm_active=0.5 + 0.3 * wave, sm_occupancy=0.31,
        tensor_active=0.22 * wave, dram_active=0.4, throttled=("power cap",),
    )  # fmt: skip
    unknown = GpuSample(
        START_NS + second * SECOND, 1, "GPU-synthetic-1", "Synthetic T4", "NVIDIA", "580.1", gpu_busy=0.1,
        pcie_generation_max=5, pcie_lanes_max=16, throttled=(),
    )  # fmt: skip
    return HostSample(
        START_NS + second * SECOND,
        cpu_user=0.4,
        own_cpu=0.004,
        own_memory_bytes=62 << 20,
        gpus=(known, unknown)[:devices],
    )


def synthetic(
    seconds: int = 10, devices: int = 2, health: Sequence[Health] = RUNNING, gauges: bool = True
) -> MemoryStore:
    """A store with so many seconds of it, on so many synthetic GPUs."""
    return stored([_batch(seconds, devices)], seconds, devices if gauges else 0, health)


def stored(
    batches: Sequence[Batch], seconds: int = 10, devices: int = 0, health: Sequence[Health] = RUNNING
) -> MemoryStore:
    """A store with these batches."""
    store = MemoryStore(recorded=True)
    for batch in batches:
        store.append(batch)
    for second in range(seconds + 1):
        store.append_gauges(gauge(second, devices))
    store.set_health(health)
    store.set_hosts([HostFacts("trainer-7", "6.8.0", 8, 16 << 30)])
    return store
