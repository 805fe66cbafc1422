"""Addresses of code that a runtime made to frames, and why frames of a runtime are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.symbolize.address_space import AddressSpace, Mapping
from aperture_tui.symbolize.answers import Found
from aperture_tui.symbolize.counts import ResolverCounts
from aperture_tui.symbolize.inline_frames import InlineFrames
from aperture_tui.symbolize.jit_code import JitCode, jit_frames
from aperture_tui.symbolize.known import Known, Part
from aperture_tui.symbolize.perf_map import PerfMap
from aperture_tui.symbolize.runtime_frames import OBJECT, RuntimeFrames
from aperture_tui.symbolize.runtimes import NAMELESS, runtime_of, runtime_of_file

_GONE = Frame("[interpreter]", "[jit]", kind=FrameKind.JIT)
"""A frame of an interpreter of which what it ran cannot be told."""
_MAX_CAUSES = 64
"""They name files: past it processes are counted together."""
_OTHER = "processes whose runtime could not be read for other reasons"
_POINTER = np.uint64(OBJECT - 1)


class JitFrames:
    """The frames of anonymous memory, or of a file that is no ELF file: by the runtime's own data, or a perf map.

    error: the last perf map that was refused, and why. version: another one than before means that code has a name by
    now that had none, or another one. unreadable: why frames of a runtime are missing -> processes.
    """

    def __init__(
        self, chains: InlineFrames, counts: ResolverCounts, runtimes: RuntimeFrames, clock: Callable[[], float]
    ) -> None:
        self.error = ""
        self.version = 0
        self.unreadable: Counter[str] = Counter()
        self._chains = chains
        self._counts = counts
        self._runtimes = runtimes
        self._clock = clock

    def find(self, symbols: Symbols, part: Part, space: AddressSpace, known: Known) -> Found:
        """The frame of each address of the part, or a chain's of what is inlined there."""
        jit = self._opened(space, known)
        chains = jit.read(part.addresses, part.is_return)
        if None in chains and jit.reader is not None:
            self._reread(jit, known, missed=True)
            chains = jit.read(part.addresses, part.is_return)
        rest = np.array([chain is None for chain in chains])
        ids, settled = np.zeros(len(chains), np.uint32), np.ones(len(chains), bool)
        for i in np.flatnonzero(~rest).tolist():
            ids[i] = self._chains.joined([symbols.frame(frame) for frame in chains[i] or ()])
        if rest.any():
            left = Part(part.pid, part.mapping, part.addresses[rest], part.is_return[rest])
            found, settled[rest] = self._by_perf_map(symbols, left, space, known, jit)
            ids[rest] = found
        return ids.tolist(), settled

    def objects(self, symbols: Symbols, words: NDArray[np.uint64], space: AddressSpace, known: Known) -> list[int]:
        """The frame behind each word that a runtime has for one: see `RuntimeReader.objects`."""
        reader = self._opened(space, known).reader
        found = [None] * len(words) if reader is None else reader.objects(words & _POINTER)
        self._counts.jit_unnamed += found.count(None)
        return [symbols.frame(_GONE if frame is None else frame) for frame in found]

    def _opened(self, space: AddressSpace, known: Known) -> JitCode:
        if known.jit is None:
            known.jit = JitCode(PerfMap(space.pid))
        jit, was_read = known.jit, known.jit.reader is not None
        if not space.ended and self._runtimes.open(jit.opening, space.pid, space.mappings) is not None and not was_read:
            self.version += jit.newly_named()
            self._take_back(known)
        return jit

    def _by_perf_map(self, symbols: Symbols, part: Part, space: AddressSpace, known: Known, jit: JitCode) -> Found:
        lookup = part.addresses - part.is_return
        names = jit.perf_map.find(lookup)
        if None in names:
            self._refresh(jit, known)
            names = jit.perf_map.find(lookup)
        unnamed = np.array([name is None for name in names])
        nowhere = not len(jit.perf_map) and jit.reader is None
        for_good = nowhere and not jit.opening.may_be
        jit.miss(lookup[unnamed])
        self._counts.jit_unnamed += int(unnamed.sum())
        if unnamed.any() and nowhere and not part.mapping.has_file and not known.told:
            self._tell(jit, space, known)
        # where a perf map is being written, a name may come with its next lines; where a runtime starts, once it has
        frames = jit_frames(part.mapping, part.addresses, names)
        return [symbols.frame(frame) for frame in frames], ~unnamed | for_good

    def tend(self, space: AddressSpace, known: Known) -> None:
        """Read what a runtime has made or added to its perf map since, of a process that has code, if it is time."""
        jit = known.jit
        if jit is None:
            return
        if jit.nameless and jit.reader is None and jit.opening.may_be:
            self._opened(space, known)
        self._reread(jit, known)
        if jit.nameless:
            self._refresh(jit, known)

    def meet(self, mapping: Mapping, known: Known) -> None:
        """Say of a process that it interprets what only its runtime could name, if this file is that runtime."""
        runtime = runtime_of_file(mapping.module)
        if runtime is not None and runtime.interprets:
            self._say(runtime.cause, known)

    def _reread(self, jit: JitCode, known: Known, missed: bool = False) -> None:
        changed = self._runtimes.refresh(jit.opening, missed)
        if changed:
            renamed = known.answers.drop(changed)
            self.version += bool(renamed) or jit.newly_named()

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

    def _tell(self, jit: JitCode, space: AddressSpace, known: Known) -> None:
        """Say why code of a process has no name."""
        runtime = runtime_of(space.mappings)
        if jit.opening.problem and runtime is not None:
            self._say(f"{runtime.name} processes that could not be read: {jit.opening.problem}", known)
        else:
            self._say(NAMELESS if runtime is None else runtime.cause, known)

    def _say(self, cause: str, known: Known) -> None:
        """Say once of a process why frames are missing."""
        if not known.told:
            if cause not in self.unreadable and len(self.unreadable) >= _MAX_CAUSES:
                cause = _OTHER
            known.told = cause
            self.unreadable[cause] += 1

    def _take_back(self, known: Known) -> None:
        if known.told:
            self.unreadable[known.told] -= 1
            if not self.unreadable[known.told]:
                del self.unreadable[known.told]
            known.told = ""
