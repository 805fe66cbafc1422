"""How calls end, as their callers see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_INTERRUPTED: Final = 4  # EINTR
_RESTARTS: Final = range(512, 517)
"""ERESTARTSYS to ERESTART_RESTARTBLOCK (include/linux/errno.h): what EINTR is inside of the kernel."""


def outcomes(error: NDArray[np.integer]) -> NDArray[np.integer]:
    """errno of each call: (n,), 0 for success. error: as the tracepoint tells it, less its sign."""
    return np.where(np.isin(error, _RESTARTS), _INTERRUPTED, error)
