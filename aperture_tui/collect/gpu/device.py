"""The GPUs of this machine, whoever made them: their gauges, polled from outside, which changes nothing for anybody.

None of the vendors' packages is needed to import this; what is missing is one clear line.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aperture_tui.profile.gpu import GpuSample


class GpuError(RuntimeError):
    """One clear line: why there is no GPU to be seen, and what mends it."""


class Devices(Protocol):
    """One vendor's GPUs. Owned by one thread; a reading may take tens of milliseconds."""

    def read(self) -> list[GpuSample]:
        """One reading of each GPU, of now. One that does not answer says so in its `problem`; raises nothing."""
        ...

    def close(self) -> None:
        """Let go of the library."""
        ...


class AllDevices:
    """Those of several vendors together."""

    def __init__(self, each: Sequence[Devices]) -> None:
        self._each = each

    def read(self) -> list[GpuSample]:
        """One reading of each GPU."""
        out: list[GpuSample] = []
        for one in self._each:
            behind = len(out)  # each vendor counts from 0
            for sample in one.read():
                parent = None if sample.parent is None else sample.parent + behind
                out.append(replace(sample, index=sample.index + behind, parent=parent))
        return out

    def close(self) -> None:
        """Let go of all of them."""
        for one in self._each:
            one.close()


def opened() -> Devices:
    """The GPUs of this machine. Raises GpuError with why there are none, of each vendor that was looked for."""
    from aperture_tui.collect.gpu import amd, nvml

    found: list[Devices] = []
    reasons = []
    for opener in (nvml.opened, amd.opened):
        try:
            found.append(opener())
        except GpuError as error:
            reasons.append(str(error))
    if not found:
        raise GpuError("; ".join(reasons))
    return found[0] if len(found) == 1 else AllDevices(found)
