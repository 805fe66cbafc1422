"""CUPTI in this process by hand: what the agent records with, without its thread, its budget and its conversation."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Final

from cupti import cupti

from aperture_tui.collect.gpu.inside._aperture_gpu.attached import Attached
from aperture_tui.collect.gpu.inside._aperture_gpu.governor import launches
from aperture_tui.collect.gpu.inside._aperture_gpu.source import Calls, Native
from bench.gpu.asking import COUNTED

_WITH_CALLS: Final = {"kernels": (False, False), "calls": (True, False), "driver": (True, True)}
"""What can be recorded: whether calls of the runtime are, and those of the driver."""


class Switched:
    """Nothing is recorded at first. callbacks: a library, see environment.callbacks(). Raises OSError."""

    def __init__(self, callbacks: str) -> None:
        cupti.get_timestamp()  # loads libcupti
        self._source = Native(cupti, callbacks)
        self._attached = Attached(cupti, self._source, Calls(cupti))

    def to(self, what: str) -> dict[str, Any]:
        """what: of _WITH_CALLS; "off"; "drain", which goes on as before -> what was left, as taken() tells it.

        Raises AsideError, and KeyError for anything else.
        """
        if what == "drain":
            return self.taken()
        self._attached.end()
        if what != "off":
            self._attached.wants_calls, self._attached.wants_driver = _WITH_CALLS[what]
            self._attached.begin()
        return self.taken()

    def taken(self) -> dict[str, Any]:
        """Everything that CUPTI has: counts of records by name, and of the launches that they are of; the ms that it
        took; since the beginning how often CUPTI had no buffer, and what could not be done.
        """
        began = time.perf_counter()
        self._attached.flush(0)
        counts: Counter[str] = Counter()
        for frame, rows in self._source.take():
            counts[COUNTED[frame]] += len(rows)
            counts["launches"] += launches({frame: rows})
        took_ms = 1e3 * (time.perf_counter() - began)
        return {"counts": +counts, "ms": took_ms, "refused": self._source.refused, "failed": self._attached.failed}
