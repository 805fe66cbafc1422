"""The functions of libcuda that give work to a GPU, and where their arguments say how much (cuda.h of CUDA 13)."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple


class Shape(enum.IntEnum):
    """How the arguments are read (bpf/gpu.bpf.c)."""

    PLAIN = 0
    LAUNCH = 1
    """Function, grid, block, shared memory."""
    LAUNCH_EX = 2
    """CUlaunchConfig, function."""
    BYTES_2 = 3
    """The amount is the second argument; the third; the fifth."""
    BYTES_3 = 4
    BYTES_5 = 5


class Call(NamedTuple):
    """A function. unit: bytes of what its amount counts; 0: it has none."""

    name: str
    shape: Shape
    unit: int = 0


_COPIES: Final = ("HtoD", "DtoH", "DtoD")
CALLS: Final = (
    Call("cuLaunchKernel", Shape.LAUNCH),
    Call("cuLaunchKernelEx", Shape.LAUNCH_EX),
    Call("cuLaunchCooperativeKernel", Shape.LAUNCH),
    Call("cuGraphLaunch", Shape.PLAIN),
    *(Call(f"cuMemcpy{way}{how}_v2", Shape.BYTES_3, 1) for how in ("", "Async") for way in _COPIES),
    Call("cuMemcpy", Shape.BYTES_3, 1),
    Call("cuMemcpyAsync", Shape.BYTES_3, 1),
    Call("cuMemcpyPeer", Shape.BYTES_5, 1),
    Call("cuMemcpyPeerAsync", Shape.BYTES_5, 1),
    *(Call(f"cuMemcpy{how}_v2", Shape.PLAIN) for how in ("2D", "2DAsync", "3D", "3DAsync")),
    *(Call(f"cuMemsetD{bits}_v2", Shape.BYTES_3, bits // 8) for bits in (8, 16, 32)),
    *(Call(f"cuMemsetD{bits}Async", Shape.BYTES_3, bits // 8) for bits in (8, 16, 32)),
)
"""By their numbers; the order is that of cookies alone and is stored nowhere."""
_OF_STREAMS: Final = ("", "_ptsz", "_ptds")
"""Each may be there once more, for programs compiled with a default stream for each thread."""
SHAPE_BITS: Final = 8


def cookies() -> dict[str, int]:
    """Exported name -> what a probe at it is told."""
    return {
        name + suffix: i << SHAPE_BITS | call.shape
        for i, call in enumerate(CALLS)
        for name in (call.name,)
        for suffix in _OF_STREAMS
    }


def shown(call: Call) -> str:
    """Its name without the version of its arguments, which says nothing to a reader."""
    return call.name.removesuffix("_v2")


LAUNCHES: Final = frozenset(i for i, call in enumerate(CALLS) if call.shape in (Shape.LAUNCH, Shape.LAUNCH_EX))
"""Numbers of those that launch one kernel."""
