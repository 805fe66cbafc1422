"""Makes results.csv out of CUDA's header: `python -m tests.profile.occupancy.make_table FOLDER [ROWS] > results.csv`.

FOLDER has cuda_occupancy.h: nvidia/cu13/include of the package nvidia-cuda-runtime (the table here: version 13.0.96).
The header is NVIDIA's and stays there; the results are figures. Launches are drawn with a fixed seed, many at the
edges where a limit begins to bind. Each line: compute capability, threads of a block, registers of a thread, static and
dynamic shared memory of a block, then blocks a multiprocessor and the header's limiting factors.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

DEVICES: Final = {
    (7, 0): (2048, 98304, 98304, 0),
    (7, 5): (1024, 65536, 65536, 0),
    (8, 0): (2048, 167936, 166912, 1024),
    (8, 6): (1536, 102400, 101376, 1024),
    (8, 7): (1536, 167936, 166912, 1024),
    (8, 9): (1536, 102400, 101376, 1024),
    (9, 0): (2048, 233472, 232448, 1024),
    (10, 0): (2048, 233472, 232448, 1024),
    (12, 0): (1536, 102400, 101376, 1024),
}
"""Threads and shared memory of a multiprocessor, shared memory that a block may opt in to, and what is reserved of it,
as cudaGetDeviceProperties tells them (CUDA C++ Programming Guide, technical specifications per compute capability)."""
_ROWS: Final = 450
_PROGRAM: Final = r"""
#include "cuda_occupancy.h"
#include <cstdio>
int main() {
    int major, minor, threads, registers, fixed, dynamic, most, shared, optin, reserved;
    while (scanf("%d %d %d %d %d %d %d %d %d %d", &major, &minor, &most, &shared, &optin, &reserved, &threads,
                 &registers, &fixed, &dynamic) == 10) {
        cudaOccDeviceProp device; cudaOccFuncAttributes function; cudaOccDeviceState state; cudaOccResult result{};
        device.computeMajor = major; device.computeMinor = minor; device.maxThreadsPerBlock = 1024;
        device.maxThreadsPerMultiprocessor = most; device.regsPerBlock = device.regsPerMultiprocessor = 65536;
        device.warpSize = 32; device.sharedMemPerBlock = 49152; device.sharedMemPerMultiprocessor = shared;
        device.numSms = 100; device.sharedMemPerBlockOptin = optin; device.reservedSharedMemPerBlock = reserved;
        function.maxThreadsPerBlock = 1024; function.numRegs = registers; function.sharedSizeBytes = fixed;
        function.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN; function.maxDynamicSharedSizeBytes = dynamic;
        function.numBlockBarriers = 1;
        int rc = cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device, &function, &state, threads, dynamic);
        if (rc) return rc;
        printf("%d.%d,%d,%d,%d,%d,%d,%u\n", major, minor, threads, registers, fixed, dynamic,
               result.activeBlocksPerMultiprocessor, result.limitingFactors);
    }
}
"""


def launches(drawn: random.Random, n: int, optin: int) -> list[tuple[int, int, int, int]]:
    """threads, registers, static and dynamic shared memory of n launches."""
    out = []
    for _ in range(n):
        threads = drawn.choice((drawn.randint(1, 1024), 32 * drawn.randint(1, 32), 2 ** drawn.randint(0, 10)))
        registers = drawn.choice(
            (drawn.randint(0, 255), 8 * drawn.randint(2, 31), drawn.choice((32, 64, 128, 168, 255)))
        )
        fixed = drawn.choice((0, drawn.randint(0, 49152), 128 * drawn.randint(0, 384), 1024 * drawn.randint(0, 48)))
        room = optin - fixed
        dynamic = drawn.choice((0, 0, drawn.randint(0, room), room, min(room, 1024 * drawn.randint(0, 227))))
        out.append((threads, registers, fixed, dynamic))
    return out


def main(include: str, rows: int) -> None:
    """Print the table."""
    drawn = random.Random(1)
    lines = [
        " ".join(map(str, (*capability, *device, *launch)))
        for capability, device in DEVICES.items()
        for launch in launches(drawn, rows, device[2])
    ]
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "oracle.cpp", Path(folder) / "oracle"
        source.write_text(_PROGRAM)
        subprocess.run(["g++", "-w", "-I", include, str(source), "-o", str(program)], check=True)
        done = subprocess.run([str(program)], input="\n".join(lines), capture_output=True, text=True, check=True)
    print("capability,threads,registers,static,dynamic,blocks,factors")
    print(done.stdout, end="")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else _ROWS)
