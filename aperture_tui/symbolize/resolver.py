"""Addresses to frames: the one door to this room."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.profile.text import clean
from aperture_tui.symbolize.address_space import REFRESH_S, AddressSpace, Mapping, open_mapping
from aperture_tui.symbolize.answers import Answers, Found, offset_frame
from aperture_tui.symbolize.counts import ResolverCounts
from aperture_tui.symbolize.debug_files import roots_of
from aperture_tui.symbolize.demangle import demangle
from aperture_tui.symbolize.elf import ElfError
from aperture_tui.symbolize.images import Image, ImageCache, ImageKey, Opened
from aperture_tui.symbolize.inline_frames import InlineFrames
from aperture_tui.symbolize.inlines import Inlines
from aperture_tui.symbolize.jit_code import JitCode, jit_frames
from aperture_tui.symbolize.kernel import KernelSymbols
from aperture_tui.symbolize.kernel_frames import KernelFrames
from aperture_tui.symbolize.perf_map import PerfMap
from aperture_tui.symbolize.runtimes import NAMELESS, runtime_of, runtime_of_file
from aperture_tui.symbolize.vdso import vdso_image, vdso_key, vsyscall_name

LONGEST_S: Final = 64.0
"""A process whose maps held nothing new is left alone for twice as long as before, up to this."""
MAX_CACHED: Final = 500_000
"""Addresses remembered over all processes; past it all are forgotten."""
_MANY_IMAGES: Final = 10_000
_UNKNOWN: Final = Frame("[unknown]", kind=FrameKind.UNKNOWN)


@dataclass(frozen=True, slots=True)
class _Part:
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
class _Known:
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


class Resolver:
    """Resolves addresses into frames of one Symbols. Owned by one thread, as the Symbols is.

    kernel: shared kernel symbols, or None to read them at the first kernel address. inlines: tables of inlined
    functions; nothing is made before the first `tend`. clock: seconds, for the rate limits.
    """

    def __init__(
        self,
        symbols: Symbols,
        *,
        kernel: KernelSymbols | None = None,
        images: ImageCache | None = None,
        inlines: Inlines | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts = ResolverCounts()
        self.unreadable: Counter[str] = Counter()
        """Why frames of a runtime are missing -> processes."""
        self.inlines = Inlines() if inlines is None else inlines
        """The tables of inlined functions, for what became of them."""
        self._error = ""
        self._symbols = symbols
        self._kernel = KernelFrames(KernelSymbols(clock=clock) if kernel is None else kernel, self.counts)
        self._images = ImageCache() if images is None else images
        self._chains = InlineFrames(self.inlines)
        self._clock = clock
        self._spaces: WeakKeyDictionary[AddressSpace, _Known] = WeakKeyDictionary()
        self._frames: dict[tuple[ImageKey, str, int], int] = {}
        self._cached = 0
        self._version = 0

    @property
    def error(self) -> str:
        """The last thing that went wrong, in one line that is safe to show; "" if nothing did."""
        return clean(self._error or self._kernel.error)

    @property
    def memory_bytes(self) -> int:
        """What the symbols of files hold; without the kernel's (6 MB) and the remembered addresses."""
        return self._images.nbytes + self.inlines.nbytes

    def prepare(self) -> None:
        """Read the kernel's symbols, which takes a tenth of a second, before the first address asks for them."""
        self._kernel.prepare()

    def rebind(self, symbols: Symbols) -> None:
        """Go on with a new generation of symbols; what is known of files is kept."""
        self._symbols = symbols
        self._forget()

    def tend(self) -> int:
        """Take in what was made ready meanwhile; to be called now and then, such as with every drain.

        -> a version of the answers: another one than before means that some addresses have other frames now.
        """
        key = self.inlines.tend()
        for known in self._spaces.values():
            if key is not None:
                known.answers.forget([(m.start, m.end) for m, image in known.images.items() if image == key])
            if known.jit is not None and known.jit.nameless:
                self._refresh_perf_map(known.jit, known)
        self._version += key is not None
        return self._version

    def close(self) -> None:
        """Let go of what is being made ready."""
        self.inlines.close()
        self._images.clear()

    def _forget(self) -> None:
        self._frames.clear()
        self._chains.forget()
        self._kernel.forget()
        self._cached = 0
        for known in self._spaces.values():
            known.forget(None)

    def _count(self, found: tuple[NDArray[np.uint32], int]) -> NDArray[np.uint32]:
        self._cached += found[1]
        return found[0]

    def kernel_frames(self, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]) -> NDArray[np.uint32]:
        """The frame of each kernel address: (n,) ids in the symbols. is_return: see `frames`."""
        if self._cached > MAX_CACHED:
            self._forget()
        return self._count(self._kernel.find(self._symbols, addresses, is_return))

    # -- processes

    def user_frames(
        self, pid: int, space: AddressSpace, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]
    ) -> NDArray[np.uint32]:
        """The function that each user address of a process lies in: (n,) ids in the symbols, one an address.

        See `expanded_frames`, which also has what is inlined there.
        """
        return self._chains.outer(self._user(pid, space, addresses, is_return))

    def expanded_frames(
        self, pid: int, space: AddressSpace, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]
    ) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
        """The frames of user addresses of a process, inlined functions as frames of their own.

        addresses: (n,), of one stack or of many. is_return: (n,), True for return addresses, which are looked up one
        byte earlier because the call may be the last instruction of its function; False for the leaf of a stack and
        for what a signal interrupted. -> (m,) ids in the symbols, in the order of the addresses and, as they go from
        leaf to root, the innermost inlined function of an address first and the function itself last; and (n,) how
        many of them each address has, one at least. Never raises for what a process or a file does: see `counts`.
        """
        return self._chains.expanded(self._user(pid, space, addresses, is_return))

    def _user(
        self, pid: int, space: AddressSpace, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]
    ) -> NDArray[np.uint32]:
        if self._cached > MAX_CACHED:
            self._forget()
        known = self._spaces.get(space)
        if known is None:
            known = self._spaces[space] = _Known()
            self.counts.maps_malformed += space.skipped
        self._follow(space, known)
        miss = partial(self._user_miss, pid, space, known)
        return self._count(known.answers.through(addresses, is_return, miss))

    def _follow(self, space: AddressSpace, known: _Known) -> None:
        """Forget what changed in the address space since we last looked."""
        changes, ranges = space.changes_since(known.changes)
        if changes != known.changes:
            known.forget(ranges)
            known.changes = changes

    def _user_miss(
        self, pid: int, space: AddressSpace, known: _Known, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]
    ) -> Found:
        self.counts.addresses += len(addresses)
        lookup = addresses - is_return
        where = space.find(lookup)
        read = True
        if (where < 0).any():
            read = self._refresh(space)
            self._follow(space, known)
            where = space.find(lookup)
        frames = [0] * len(addresses)
        settled = np.full(len(addresses), read)
        for index in np.unique(where).tolist():
            rows = np.flatnonzero(where == index)
            if index < 0:
                self.counts.unknown_module += len(rows)
                found: list[int] = [self._symbols.frame(_UNKNOWN)] * len(rows)
            else:
                part = _Part(pid, space.mapping_at(index), addresses[rows], is_return[rows])
                found, settled[rows] = self._in_mapping(part, space, known)
            for row, frame in zip(rows.tolist(), found, strict=True):
                frames[row] = frame
        return frames, settled

    def _refresh(self, space: AddressSpace) -> bool:
        """Read the maps again if that is due; False if it is not, and the answer may be another soon."""
        if space.ended:
            return True
        now = self._clock()
        if space.read_at is not None and now - space.read_at < space.patience_s:
            return False
        space.read_at = now
        # walks by frame pointers meet addresses that are none: what was in vain is tried less and less often
        space.patience_s = min(2 * space.patience_s, LONGEST_S)
        try:
            if space.refresh():
                space.patience_s = REFRESH_S
        except OSError as error:
            self.counts.maps_unreadable += 1
            self._error = f"maps of process {space.pid}: {error.strerror}"
        self.counts.maps_malformed += space.skipped
        return True

    def _in_mapping(self, part: _Part, space: AddressSpace, known: _Known) -> Found:
        mapping = part.mapping
        if mapping.path == "[vsyscall]":
            return [self._vsyscall(offset) for offset in part.offsets.tolist()], True
        if mapping.path == "[vdso]":
            image = vdso_image(part.pid, mapping)
            if image is None:
                return self._offsets("vdso", "vdso", part.offsets, FrameKind.NATIVE), True
            return self._native(part, vdso_key(mapping), image, "vdso"), True
        if not mapping.has_file:
            return self._jit(part, space, known)
        found = self._image(part, known)
        if found is None:
            self.counts.unknown_symbol += len(part.addresses)
            return self._offsets(mapping.module, mapping.module, part.offsets, FrameKind.NATIVE), False
        key, image = found
        return (self._native(part, key, image, mapping.module), True) if image.elf else self._jit(part, space, known)

    def _image(self, part: _Part, known: _Known) -> tuple[ImageKey, Image] | None:
        """The image of a mapping, read now if need be; None if its file cannot be opened."""
        mapping = part.mapping
        key = known.images.get(mapping)
        image = self._images.get(key) if key is not None else None
        if key is not None and image is not None:
            return key, image
        now = self._clock()
        if now - known.closed.get(mapping, -REFRESH_S) < REFRESH_S:
            return None
        try:
            opened = self._images.mapped(part.pid, mapping)
            if opened is None:
                opened = self._images.read(open_mapping(part.pid, mapping), mapping.path, roots_of(part.pid))
        except OSError as error:
            known.closed[mapping] = now
            self.counts.files_unreadable += 1
            self._error = f"{mapping.path} of process {part.pid}: {error.strerror}"
            return None
        known.images[mapping] = opened.key
        self._first_sight(opened, mapping, known)
        return opened.key, opened.image

    def _first_sight(self, opened: Opened, mapping: Mapping, known: _Known) -> None:
        if opened.debug is not None:
            self.inlines.want(opened.key, opened.debug)
        if opened.fresh and opened.image.problems:
            self.counts.elf_errors += len(opened.image.problems)
            self._error = f"{mapping.path}: {opened.image.problems[0]}"
        runtime = runtime_of_file(mapping.module)
        if runtime is not None and runtime.interprets:
            self._tell(runtime.cause, known)

    def _tell(self, cause: str, known: _Known) -> None:
        """Say once of a process why frames are missing."""
        if not known.told:
            known.told = cause
            self.unreadable[cause] += 1

    def _take_back(self, known: _Known) -> None:
        if known.told:
            self.unreadable[known.told] -= 1
            known.told = ""

    # -- frames

    def _native(self, part: _Part, key: ImageKey, image: Image, module: str) -> list[int]:
        """Frames of an ELF file."""
        rows, virtual = image.find(part.offsets - part.is_return)
        # the return address of a signal handler is the first byte of __restore_rt: nothing called it
        again = np.flatnonzero((rows < 0) & part.is_return)
        if len(again):
            at, exact = image.find(part.offsets[again])
            rows[again] = np.where((at >= 0) & (image.index.start[at] == exact), at, -1) if len(image.index) else -1
        nodes = self._chains.nodes(key, virtual)
        starts = image.function_starts(virtual, virtual + part.is_return)
        out = []
        for row, start, node in zip(rows.tolist(), starts.tolist(), nodes, strict=True):
            known = self._named(key, image, module, row) if row >= 0 else None
            if known is None:
                self.counts.unknown_symbol += 1
                known = self._offset(module, module, start, FrameKind.NATIVE)
            out.append(self._chains.chain(self._symbols, key, module, known, node) if node else known)
        return out

    def _named(self, key: ImageKey, image: Image, module: str, row: int) -> int | None:
        """The frame of a symbol; None if its name cannot be read any more."""
        known = self._frames.get((key, module, row))
        if known is not None:
            return known
        try:
            name = demangle(image.index.name_at(row))
        except ElfError as error:
            self.counts.elf_errors += 1
            self._error = f"{module}: {error}"
            return None
        known = self._frames[key, module, row] = self._symbols.frame(Frame(name, module))
        return known

    def _jit(self, part: _Part, space: AddressSpace, known: _Known) -> Found:
        """Frames of anonymous memory, or of a file that is no ELF file: a perf map may name them."""
        if known.jit is None:
            known.jit = JitCode(PerfMap(part.pid))
        jit = known.jit
        lookup = part.addresses - part.is_return
        names = jit.perf_map.find(lookup)
        if None in names:
            self._refresh_perf_map(jit, known)
            names = jit.perf_map.find(lookup)
        unnamed = np.array([name is None for name in names])
        nowhere = not len(jit.perf_map)
        jit.miss(lookup[unnamed])
        self.counts.jit_unnamed += int(unnamed.sum())
        if unnamed.any() and nowhere and not part.mapping.has_file and not known.told:
            runtime = runtime_of(space.mappings)
            self._tell(NAMELESS if runtime is None else runtime.cause, known)
        # where a perf map is being written, a name may come with its next lines
        frames = jit_frames(part.mapping, part.addresses, names)
        return [self._symbols.frame(frame) for frame in frames], ~unnamed | nowhere

    def _refresh_perf_map(self, jit: JitCode, known: _Known) -> None:
        """Read what was added to a perf map, if it is time."""
        perf_map = jit.perf_map
        malformed, refused = perf_map.malformed, perf_map.refused
        if perf_map.refresh(self._clock()):
            known.answers.clear()  # code may have been made anew where other code was
            self._version += jit.newly_named()
            self._take_back(known)
        self.counts.perf_map_malformed += perf_map.malformed - malformed
        if perf_map.refused and not refused:
            self.counts.perf_maps_refused += 1
            self._error = perf_map.refused

    def _vsyscall(self, offset: int) -> int:
        name = vsyscall_name(offset)
        if name:
            return self._symbols.frame(Frame(name, "vsyscall"))
        return self._offset("vsyscall", "vsyscall", offset, FrameKind.NATIVE)

    def _offsets(self, label: str, module: str, offsets: NDArray[np.uint64], kind: FrameKind) -> list[int]:
        return [self._offset(label, module, offset, kind) for offset in offsets.tolist()]

    def _offset(self, label: str, module: str, offset: int, kind: FrameKind) -> int:
        return self._symbols.frame(offset_frame(label, module, offset, kind))
