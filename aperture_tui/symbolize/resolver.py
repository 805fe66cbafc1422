"""Addresses to frames: the one door to this room."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.profile.text import clean
from aperture_tui.symbolize.address_space import REFRESH_S, AddressSpace, Mapping, open_mapping
from aperture_tui.symbolize.counts import ResolverCounts
from aperture_tui.symbolize.debug_files import roots_of
from aperture_tui.symbolize.demangle import demangle
from aperture_tui.symbolize.elf import ElfError
from aperture_tui.symbolize.images import Image, ImageCache, ImageKey
from aperture_tui.symbolize.kernel import KernelSymbols
from aperture_tui.symbolize.perf_map import PerfMap
from aperture_tui.symbolize.vdso import vdso_image, vsyscall_name

LONGEST_S: Final = 64.0
"""A process whose maps held nothing new is left alone for twice as long as before, up to this."""
MAX_CACHED: Final = 500_000
"""Addresses remembered over all processes; past it all are forgotten."""
_FEW_RANGES: Final = 16  # more changes than these are not worth looking for one by one
_MANY_IMAGES: Final = 10_000
_UNKNOWN: Final = Frame("[unknown]", kind=FrameKind.UNKNOWN)
_KERNEL: Final = -1  # stands for the kernel where an image key is expected


_Found = tuple[list[int], NDArray[np.bool_] | bool]
"""Frame ids, and which of them may be remembered."""


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
    """What is remembered of one address space. leaf, back: address -> frame id, for leaves and return addresses."""

    leaf: dict[int, int] = field(default_factory=dict)
    back: dict[int, int] = field(default_factory=dict)
    changes: int = 0
    images: dict[Mapping, ImageKey] = field(default_factory=dict)
    closed: dict[Mapping, float] = field(default_factory=dict)
    perf_map: PerfMap | None = None

    def forget(self, ranges: Sequence[tuple[int, int]] | None) -> None:
        """Forget the addresses in these ranges, or all of them. What is known of a mapping's file stays true."""
        if ranges is None or len(ranges) > _FEW_RANGES or len(self.images) > _MANY_IMAGES:
            for remembered in (self.leaf, self.back, self.images, self.closed):
                remembered.clear()
            return
        for start, end in ranges:
            for cache in (self.leaf, self.back):
                for address in [a for a in cache if start <= a < end]:
                    del cache[address]


class Resolver:
    """Resolves addresses into frames of one Symbols. Owned by one thread, as the Symbols is.

    kernel: shared kernel symbols, or None to read them at the first kernel address. clock: seconds, for the rate
    limits.
    """

    def __init__(
        self,
        symbols: Symbols,
        *,
        kernel: KernelSymbols | None = None,
        images: ImageCache | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts = ResolverCounts()
        self._error = ""
        self._symbols = symbols
        self._kernel = KernelSymbols(clock=clock) if kernel is None else kernel
        self._images = ImageCache() if images is None else images
        self._clock = clock
        self._spaces: WeakKeyDictionary[AddressSpace, _Known] = WeakKeyDictionary()
        self._frames: dict[tuple[ImageKey | int, str, int], int] = {}
        self._kernel_known = _Known()
        self._cached = 0

    @property
    def error(self) -> str:
        """The last thing that went wrong, in one line that is safe to show; "" if nothing did."""
        return clean(self._error)

    @property
    def memory_bytes(self) -> int:
        """What the symbols of files hold; without the kernel's (6 MB) and the remembered addresses."""
        return self._images.nbytes

    def rebind(self, symbols: Symbols) -> None:
        """Go on with a new generation of symbols; what is known of files is kept."""
        self._symbols = symbols
        self._forget()

    def _forget(self) -> None:
        self._frames.clear()
        self._cached = 0
        for known in [*self._spaces.values(), self._kernel_known]:
            known.forget(None)

    # -- the kernel

    def kernel_frames(self, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]) -> NDArray[np.uint32]:
        """The frame of each kernel address: (n,) ids in the symbols. is_return: see `user_frames`."""
        known = self._kernel_known
        if known.changes != self._kernel.reads:
            self._stale_kernel()
        return self._through(known, addresses, is_return, self._kernel_miss)

    def _stale_kernel(self) -> None:
        self._kernel_known.forget(None)
        self._kernel_known.changes = self._kernel.reads
        for key in [key for key in self._frames if key[0] == _KERNEL]:
            del self._frames[key]

    def _kernel_miss(self, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]) -> _Found:
        rows = self._kernel.find(addresses - is_return)
        if self._kernel_known.changes != self._kernel.reads:
            self._stale_kernel()
        if not len(self._kernel):
            self.counts.kernel_unreadable += len(addresses)
            self._error = self._kernel.reason
        self.counts.unknown_symbol += int((rows < 0).sum())
        frames = [
            self._kernel_frame(row) if row >= 0 else self._offset("kernel", "kernel", address, FrameKind.KERNEL)
            for row, address in zip(rows.tolist(), addresses.tolist(), strict=True)
        ]
        return frames, True

    def _kernel_frame(self, row: int) -> int:
        known = self._frames.get((_KERNEL, "", row))
        if known is None:
            name, module = self._kernel.name_at(row)
            known = self._symbols.frame(Frame(demangle(name), module, kind=FrameKind.KERNEL))
            self._frames[_KERNEL, "", row] = known
        return known

    # -- processes

    def user_frames(
        self, pid: int, space: AddressSpace, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]
    ) -> NDArray[np.uint32]:
        """The frame of each user address of a process: (n,) ids in the symbols.

        addresses: (n,), of one stack or of many. is_return: (n,), True for return addresses, which are looked up one
        byte earlier because the call may be the last instruction of its function; False for the leaf of a stack and
        for what a signal interrupted. Never raises for what a process or a file does: see `counts`.
        """
        known = self._spaces.get(space)
        if known is None:
            known = self._spaces[space] = _Known()
            self.counts.maps_malformed += space.skipped

        def miss(addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]) -> _Found:
            return self._user_miss(pid, space, known, addresses, is_return)

        self._follow(space, known)
        return self._through(known, addresses, is_return, miss)

    def _follow(self, space: AddressSpace, known: _Known) -> None:
        """Forget what changed in the address space since we last looked."""
        changes, ranges = space.changes_since(known.changes)
        if changes != known.changes:
            known.forget(ranges)
            known.changes = changes

    def _through(
        self,
        known: _Known,
        addresses: NDArray[np.uint64],
        is_return: NDArray[np.bool_],
        miss: Callable[[NDArray[np.uint64], NDArray[np.bool_]], _Found],
    ) -> NDArray[np.uint32]:
        """The remembered frames, and the others by `miss`, which are then remembered."""
        pairs = list(zip(addresses.tolist(), is_return.tolist(), strict=True))
        leaf, back = known.leaf, known.back
        out = [back.get(address, -1) if called else leaf.get(address, -1) for address, called in pairs]
        if -1 not in out:
            return np.array(out, np.uint32)
        new = list(dict.fromkeys(pair for pair, frame in zip(pairs, out, strict=True) if frame < 0))
        self._cached += len(new)
        if self._cached > MAX_CACHED:
            self._forget()
        self.counts.addresses += len(new)
        missing = np.array([address for address, _ in new], np.uint64)
        frames, settled = miss(missing, np.array([called for _, called in new], bool))
        found = dict(zip(new, frames, strict=True))
        for (address, called), frame, keep in zip(new, frames, np.broadcast_to(settled, len(new)), strict=True):
            if keep:
                (back if called else leaf)[address] = frame
        return np.array([found[p] if f < 0 else f for p, f in zip(pairs, out, strict=True)], np.uint32)

    def _user_miss(
        self, pid: int, space: AddressSpace, known: _Known, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]
    ) -> _Found:
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
                found, settled[rows] = self._in_mapping(part, known)
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

    def _in_mapping(self, part: _Part, known: _Known) -> _Found:
        mapping = part.mapping
        if mapping.path == "[vsyscall]":
            return [self._vsyscall(offset) for offset in part.offsets.tolist()], True
        if mapping.path == "[vdso]":
            image = vdso_image(part.pid, mapping)
            if image is None:
                return self._offsets("vdso", "vdso", part.offsets, FrameKind.NATIVE), True
            return self._native(part, ImageKey(0, 0, 0, mapping.end - mapping.start), image, "vdso"), True
        if not mapping.has_file:
            return self._jit(part, known)
        found = self._image(part, known)
        if found is None:
            self.counts.unknown_symbol += len(part.addresses)
            return self._offsets(mapping.module, mapping.module, part.offsets, FrameKind.NATIVE), False
        key, image = found
        return (self._native(part, key, image, mapping.module), True) if image.elf else self._jit(part, known)

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
            key, image, fresh = self._images.read(open_mapping(part.pid, mapping), mapping.path, roots_of(part.pid))
        except OSError as error:
            known.closed[mapping] = now
            self.counts.files_unreadable += 1
            self._error = f"{mapping.path} of process {part.pid}: {error.strerror}"
            return None
        known.images[mapping] = key
        if fresh and image.problems:
            self.counts.elf_errors += len(image.problems)
            self._error = f"{mapping.path}: {image.problems[0]}"
        return key, image

    # -- frames

    def _native(self, part: _Part, key: ImageKey, image: Image, module: str) -> list[int]:
        """Frames of an ELF file."""
        rows, virtual = image.find(part.offsets - part.is_return)
        # the return address of a signal handler is the first byte of __restore_rt: nothing called it
        again = np.flatnonzero((rows < 0) & part.is_return)
        if len(again):
            at, exact = image.find(part.offsets[again])
            rows[again] = np.where((at >= 0) & (image.index.start[at] == exact), at, -1) if len(image.index) else -1
        out = []
        for row, address in zip(rows.tolist(), (virtual + part.is_return).tolist(), strict=True):
            known = self._frames.get((key, module, row)) if row >= 0 else None
            if known is None:
                known = self._named(key, image, module, row) if row >= 0 else None
            if known is None:
                self.counts.unknown_symbol += 1
                known = self._offset(module, module, address, FrameKind.NATIVE)
            out.append(known)
        return out

    def _named(self, key: ImageKey, image: Image, module: str, row: int) -> int | None:
        try:
            name = demangle(image.index.name_at(row))
        except ElfError as error:
            self.counts.elf_errors += 1
            self._error = f"{module}: {error}"
            return None
        known = self._frames[key, module, row] = self._symbols.frame(Frame(name, module))
        return known

    def _jit(self, part: _Part, known: _Known) -> _Found:
        """Frames of anonymous memory, or of a file that is no ELF file: a perf map may name them."""
        if known.perf_map is None:
            known.perf_map = PerfMap(part.pid)
        perf_map = known.perf_map
        lookup = part.addresses - part.is_return
        names = perf_map.find(lookup)
        if None in names:
            self._refresh_perf_map(perf_map, known)
            names = perf_map.find(lookup)
        mapping = part.mapping
        label = mapping.module if mapping.has_file else mapping.path.strip("[]")
        label = "jit" if not label or label.startswith(("anon", "//anon", "/")) else label
        module = mapping.module if mapping.has_file else f"[{label}]"
        base = part.offsets if mapping.has_file else part.addresses - np.uint64(mapping.start)
        frames = []
        for name, offset in zip(names, base.tolist(), strict=True):
            if name is None:
                frames.append(self._offset(label, module, offset, FrameKind.JIT))
            else:
                function = name.decode("utf-8", "backslashreplace")
                frames.append(self._symbols.frame(Frame(function, module, kind=FrameKind.JIT)))
        unnamed = np.array([name is None for name in names])
        self.counts.jit_unnamed += int(unnamed.sum())
        # where a perf map is being written, a name may come with its next lines
        return frames, ~unnamed | (len(perf_map) == 0)

    def _refresh_perf_map(self, perf_map: PerfMap, known: _Known) -> None:
        malformed, refused = perf_map.malformed, perf_map.refused
        if perf_map.refresh(self._clock()):
            known.leaf.clear()  # code may have been made anew where other code was
            known.back.clear()
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
        """The frame of an address that no symbol covers; for ELF files the offset is what addr2line takes."""
        return self._symbols.frame(Frame(f"[{label}+{offset:#x}]", module, kind=kind))
