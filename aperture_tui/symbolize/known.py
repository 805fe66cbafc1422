"""What is remembered of one address space, and what is asked of one of its mappings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.address_space import Mapping
from aperture_tui.symbolize.answers import Answers
from aperture_tui.symbolize.images import ImageKey
from aperture_tui.symbolize.jit_code import JitCode

_MANY_IMAGES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Part:
    """The addresses of one request that lie in one mapping: (n,) each."""

    pid: int
    mapping: Mapping
    addresses: NDArray[np.uint64]
    is_return: NDArray[np.bool_]

    @property
    def offsets(self) -> NDArray[np.uint64]:
        """File offsets of the addresses, modulo 2**64."""
        return self.addresses + np.uint64((self.mapping.offset - self.mapping.start) % 2**64)


@dataclass(slots=True)
class Known:
    """What is remembered of one address space. told: why frames of its runtime are missing, once that was said."""

    answers: Answers = field(default_factory=Answers)
    changes: int = 0
    images: dict[Mapping, ImageKey] = field(default_factory=dict)
    closed: dict[Mapping, float] = field(default_factory=dict)
    jit: JitCode | None = None
    told: str = ""

    def forget(self, ranges: Sequence[tuple[int, int]] | None) -> None:
        """Forget the addresses in these ranges, or all of them. What is known of a mapping's file stays true."""
        if self.answers.forget(ranges) or len(self.images) + len(self.closed) > _MANY_IMAGES:
            self.answers.clear()
            self.images.clear()
            self.closed.clear()
