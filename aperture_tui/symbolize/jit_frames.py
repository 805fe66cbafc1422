"""Addresses of code that a runtime made to frames, and why frames of a runtime are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from aperture_tui.profile.symbols import Symbols
from aperture_tui.symbolize.address_space import AddressSpace, Mapping
from aperture_tui.symbolize.answers import Found
from aperture_tui.symbolize.counts import ResolverCounts
from aperture_tui.symbolize.jit_code import JitCode, jit_frames
from aperture_tui.symbolize.known import Known, Part
from aperture_tui.symbolize.perf_map import PerfMap
from aperture_tui.symbolize.runtimes import NAMELESS, runtime_of, runtime_of_file


class JitFrames:
    """The frames of anonymous memory, or of a file that is no ELF file: a perf map may name them.

    error: the last perf map that was refused, and why. version: another one than before means that code has a name by
    now that had none. unreadable: why frames of a runtime are missing -> processes.
    """

    def __init__(self, counts: ResolverCounts, clock: Callable[[], float]) -> None:
        self.error = ""
        self.version = 0
        self.unreadable: Counter[str] = Counter()
        self._counts = counts
        self._clock = clock

    def find(self, symbols: Symbols, part: Part, space: AddressSpace, known: Known) -> Found:
        """The frame of each address of the part."""
        if known.jit is None:
            known.jit = JitCode(PerfMap(part.pid))
        jit = known.jit
        lookup = part.addresses - part.is_return
        names = jit.perf_map.find(lookup)
        if None in names:
            self._refresh(jit, known)
            names = jit.perf_map.find(lookup)
        unnamed = np.array([name is None for name in names])
        nowhere = not len(jit.perf_map)
        jit.miss(lookup[unnamed])
        self._counts.jit_unnamed += int(unnamed.sum())
        if unnamed.any() and nowhere and not part.mapping.has_file and not known.told:
            runtime = runtime_of(space.mappings)
            self._tell(NAMELESS if runtime is None else runtime.cause, known)
        # where a perf map is being written, a name may come with its next lines
        frames = jit_frames(part.mapping, part.addresses, names)
        return [symbols.frame(frame) for frame in frames], ~unnamed | nowhere

    def tend(self, known: Known) -> None:
        """Read what was added to the perf map of a process that has code without a name, if it is time."""
        if known.jit is not None and known.jit.nameless:
            self._refresh(known.jit, known)

    def meet(self, mapping: Mapping, known: Known) -> None:
        """Say of a process that it interprets what only its runtime could name, if this file is that runtime."""
        runtime = runtime_of_file(mapping.module)
        if runtime is not None and runtime.interprets:
            self._tell(runtime.cause, known)

    def _refresh(self, jit: JitCode, known: Known) -> None:
        perf_map = jit.perf_map
        malformed, refused = perf_map.malformed, perf_map.refused
        if perf_map.refresh(self._clock()):
            known.answers.clear()  # code may have been made anew where other code was
            self.version += jit.newly_named()
            self._take_back(known)
        self._counts.perf_map_malformed += perf_map.malformed - malformed
        if perf_map.refused and not refused:
            self._counts.perf_maps_refused += 1
            self.error = perf_map.refused

    def _tell(self, cause: str, known: Known) -> None:
        """Say once of a process why frames are missing."""
        if not known.told:
            known.told = cause
            self.unreadable[cause] += 1

    def _take_back(self, known: Known) -> None:
        if known.told:
            self.unreadable[known.told] -= 1
            known.told = ""
