"""Code that a runtime made in one process: named by its own data or a perf map, now or later, or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame
from aperture_tui.symbolize.address_space import Mapping
from aperture_tui.symbolize.answers import offset_frame
from aperture_tui.symbolize.perf_map import PerfMap, jit_frame
from aperture_tui.symbolize.runtime_frames import Opening, RuntimeReader

_MANY_NAMELESS: Final = 4_096


@dataclass(slots=True)
class JitCode:
    """What is known of it. nameless: addresses that had no name when they were looked up; not all of them."""

    perf_map: PerfMap
    opening: Opening = field(default_factory=Opening)
    nameless: set[int] = field(default_factory=set)

    @property
    def reader(self) -> RuntimeReader | None:
        """The runtime's own data, if they can be read."""
        return self.opening.reader

    def read(self, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]) -> list[tuple[Frame, ...] | None]:
        """What the runtime says of these addresses: see `RuntimeReader.frames`."""
        return [None] * len(addresses) if self.reader is None else self.reader.frames(addresses, is_return)

    def miss(self, addresses: NDArray[np.uint64]) -> None:
        """Remember that there was no name for these."""
        if len(self.nameless) < _MANY_NAMELESS:
            self.nameless.update(addresses.tolist())

    def newly_named(self) -> bool:
        """Whether some code has a name by now that had none."""
        asked = list(self.nameless)
        addresses = np.array(asked, np.uint64)
        both = zip(self.read(addresses, np.zeros(len(asked), bool)), self.perf_map.find(addresses), strict=True)
        named = [address for address, found in zip(asked, both, strict=True) if found != (None, None)]
        self.nameless.difference_update(named)
        return bool(named)


def jit_frames(mapping: Mapping, addresses: NDArray[np.uint64], names: list[bytes | None]) -> list[Frame]:
    """The frames of addresses in a mapping without an ELF file behind it. names: see `PerfMap.find`."""
    label = mapping.module if mapping.has_file else mapping.path.strip("[]")
    label = "jit" if not label or label.startswith(("anon", "//anon", "/")) else label
    module = mapping.module if mapping.has_file else f"[{label}]"
    start = mapping.start - mapping.offset if mapping.has_file else mapping.start
    offsets = addresses - np.uint64(start % 2**64)
    return [
        offset_frame(label, module, offset, FrameKind.JIT) if name is None else jit_frame(name, module)
        for name, offset in zip(names, offsets.tolist(), strict=True)
    ]
