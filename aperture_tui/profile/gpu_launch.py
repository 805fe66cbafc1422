"""What is told of one launch of a kernel, beside its name: as a number in an event's `value`, and as a frame.

The number says what the occupancy is made of; the frame, innermost in the stack, how large the grid was: so kernels of
the same name are one box of a flame graph, and what was different between their launches stands below it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.occupancy import Factor
from aperture_tui.profile.symbols import Frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHARED_UNIT: Final = 128
_FIELDS: Final = {"threads": 11, "registers": 8, "shared": 11, "blocks": 6, "limited_by": 4, "warps": 7}
"""name -> bits, from the lowest on: 47, which a number of JSON holds."""
_SHIFT: Final = {name: sum(list(_FIELDS.values())[:i]) for i, name in enumerate(_FIELDS)}
UNKNOWN_BLOCKS: Final = (1 << _FIELDS["blocks"]) - 1


@dataclass(frozen=True, slots=True)
class Launch:
    """threads: of a block, 0 is unknown. registers: of a thread, 0 is unknown. shared_bytes: of a block, static and
    dynamic, rounded up to SHARED_UNIT.

    blocks: that fit a multiprocessor at once; limited_by: why no more do; warps: that it has room for. All of a GPU
    whose multiprocessors are known; else blocks is None.
    """

    threads: int
    registers: int = 0
    shared_bytes: int = 0
    blocks: int | None = None
    limited_by: Factor = Factor.NONE
    warps: int = 0

    @property
    def occupancy(self) -> float | None:
        """The share of the warps that can be resident at once, 0 to 1; None if it is not known."""
        if self.blocks is None or not self.warps or not self.threads:
            return None
        return self.blocks * -(-self.threads // 32) / self.warps

    def packed(self) -> int:
        """As an event's value."""
        parts = {
            "threads": self.threads,
            "registers": self.registers,
            "shared": -(-self.shared_bytes // SHARED_UNIT),
            "blocks": UNKNOWN_BLOCKS if self.blocks is None else self.blocks,
            "limited_by": int(self.limited_by),
            "warps": self.warps,
        }
        return sum(min(part, (1 << _FIELDS[name]) - 1) << _SHIFT[name] for name, part in parts.items())

    @classmethod
    def unpacked(cls, value: int) -> Launch:
        """The inverse; whatever the number is."""
        part = {name: value >> _SHIFT[name] & (1 << bits) - 1 for name, bits in _FIELDS.items()}
        return cls(
            part["threads"],
            part["registers"],
            part["shared"] * SHARED_UNIT,
            None if part["blocks"] == UNKNOWN_BLOCKS else part["blocks"],
            Factor(part["limited_by"]),
            part["warps"],
        )


_STREAM_BITS: Final = 24
CORRELATION_MASK: Final = 0xFFFF
"""Of the number by which a call and what it had the GPU do know each other, what an event's `cpu` has of it. It tells
calls of one thread apart that are not 65,536 calls of the process away from each other."""


def lane(device: int, stream: int) -> int:
    """Where on a machine's GPUs a kernel or a copy was, as an event's `aux`."""
    return min(device, 0xFF) << _STREAM_BITS | stream & (1 << _STREAM_BITS) - 1


def device_and_stream(lane: int) -> tuple[int, int]:
    """The inverse."""
    return lane >> _STREAM_BITS, lane & (1 << _STREAM_BITS) - 1


def devices_and_streams(lanes: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same of (n,) of them."""
    wide = lanes.astype("i8")
    return wide >> _STREAM_BITS, wide & (1 << _STREAM_BITS) - 1


class Shape(NamedTuple):
    """Blocks of a grid and threads of a block, in three dimensions."""

    grid: tuple[int, int, int]
    block: tuple[int, int, int]


def shape_frame(shape: Shape) -> Frame:
    """The frame that tells of it: `<<<(64,1,1),(256,1,1)>>>`, as it is written in CUDA."""
    grid, block = (",".join(map(str, one)) for one in shape)
    return Frame(f"<<<({grid}),({block})>>>", kind=FrameKind.GPU)


def is_shape(frame: Frame) -> bool:
    """Whether a frame tells of a launch's shape and not of a kernel."""
    return frame.kind is FrameKind.GPU and frame.function.startswith("<<<")
