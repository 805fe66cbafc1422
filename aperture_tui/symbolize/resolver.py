"""Addresses to frames: the one door to this room."""

from __future__ import annotations

import errno
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.profile.text import clean
from aperture_tui.symbolize.address_space import REFRESH_S, AddressSpace, Mapping, open_mapping
from aperture_tui.symbolize.answers import Found, offset_frame
from aperture_tui.symbolize.awaited import Awaited
from aperture_tui.symbolize.counts import ResolverCounts
from aperture_tui.symbolize.debug_files import roots_of
from aperture_tui.symbolize.images import Image, ImageCache, ImageKey, Opened
from aperture_tui.symbolize.inline_frames import InlineFrames
from aperture_tui.symbolize.inlines import Inlines
from aperture_tui.symbolize.jit_frames import JitFrames
from aperture_tui.symbolize.kernel import KernelSymbols
from aperture_tui.symbolize.kernel_cache import KernelCache
from aperture_tui.symbolize.kernel_frames import KernelFrames
from aperture_tui.symbolize.known import Known, Part
from aperture_tui.symbolize.native_frames import NativeFrames
from aperture_tui.symbolize.runtime_frames import RuntimeFrames, are_objects
from aperture_tui.symbolize.runtime_readers import openers
from aperture_tui.symbolize.served import SERVED, NotAnsweringError
from aperture_tui.symbolize.together import Shared, SharedAnswers, by_file, located
from aperture_tui.symbolize.vdso import vdso_image, vdso_key, vsyscall_name

LONGEST_S: Final = 64.0
"""A process whose maps held nothing new is left alone for twice as long as before, up to this."""
MAX_CACHED: Final = 500_000
"""Addresses remembered over all processes; past it all are forgotten."""
_NOWHERE, _OBJECT = -1, -2
"""Instead of the index of a mapping."""
_UNKNOWN: Final = Frame("[unknown]", kind=FrameKind.UNKNOWN)


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
        self.inlines = Inlines() if inlines is None else inlines
        """The tables of inlined functions, for what became of them."""
        self._awaited: Awaited[AddressSpace] = Awaited()
        self._error = ""
        self._symbols = symbols
        kernel = KernelSymbols(clock=clock, cache=KernelCache) if kernel is None else kernel
        self._kernel = KernelFrames(kernel, self.counts)
        self._images = ImageCache() if images is None else images
        self._chains = InlineFrames(self.inlines)
        self._native = NativeFrames(self._chains, self.counts)
        self._jit = JitFrames(self._chains, self.counts, RuntimeFrames(openers(), clock), clock)
        self._clock = clock
        self._spaces: WeakKeyDictionary[AddressSpace, Known] = WeakKeyDictionary()
        self._shared = SharedAnswers()
        self._cached = 0
        self._version = self._jit_version = 0
        self._is_known = True
        """Whether what is remembered now says of every file what it was called, since the symbols began."""
        self.changed: frozenset[str] | None = frozenset()
        """What the newest version differs in from the one before: frames of these modules; None: of any."""

    @property
    def error(self) -> str:
        """The last thing that went wrong, in one line that is safe to show; "" if nothing did."""
        return clean(self._error or self._jit.error or self._native.error or self._kernel.error)

    @property
    def unreadable(self) -> Counter[str]:
        """Why frames of a runtime are missing -> processes."""
        return self._jit.unreadable

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
        self._is_known = True

    def tend(self) -> int:
        """Take in what was made ready meanwhile; to be called now and then, such as with every drain.

        -> a version of the answers: another one than before means that some addresses have other frames now.
        """
        key = self.inlines.tend()
        modules = set() if key is None else self._shared.forget(key)
        arrived = self._arrived()
        for space, known in self._spaces.items():
            if key is not None:
                mapped = [mapping for mapping, image in known.images.items() if image == key]
                modules.update(mapping.module for mapping in mapped)
                known.answers.forget([(mapping.start, mapping.end) for mapping in mapped])
            self._jit.tend(space, known)
        is_jit = self._jit.version != self._jit_version
        self._jit_version = self._jit.version
        self._version += key is not None or bool(arrived)
        self.changed = None if is_jit or not self._is_known else frozenset(modules | arrived)
        return self._version + self._jit.version

    def _arrived(self) -> set[str]:
        """Ask again for the files that did not answer; -> the modules of those that have come."""
        SERVED.tend()
        modules = set()
        for space, mapping in self._awaited.take():
            known = self._known(space)
            known.closed.pop(mapping, None)
            if self._image(space, mapping, known) is not None:
                modules.add(mapping.module)
        return modules

    def close(self) -> None:
        """Let go of what is being made ready."""
        self.inlines.close()
        self._images.clear()

    def _forget(self) -> None:
        self._native.forget()
        self._shared.clear()
        self._chains.forget()
        self._kernel.forget()
        self._cached = 0
        self._is_known = False
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
        self, space: AddressSpace, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]
    ) -> NDArray[np.uint32]:
        """The function that each user address of a process lies in: (n,) ids in the symbols, one an address.

        See `expanded_frames`, which also has what is inlined there.
        """
        return self._chains.outer(self._user([space], np.zeros(len(addresses), np.intp), addresses, is_return))

    def expanded_frames(
        self,
        spaces: Sequence[AddressSpace],
        owner: NDArray[np.intp],
        addresses: NDArray[np.uint64],
        is_return: NDArray[np.bool_],
    ) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
        """The frames of user addresses of many processes, inlined functions as frames of their own.

        spaces: at most 65,536, the oldest first. owner: (n,), the place of each address's space among them.
        addresses: (n,), of any number of stacks. is_return: (n,), True for return addresses, which are looked up one
        byte earlier because the call may be the last instruction of its function; False for the leaf of a stack, for
        what a signal interrupted, and for what is no address (`runtime_frames.OBJECT`). -> (m,) ids in the symbols, in
        the order of the addresses and, as they go from leaf to root, the innermost inlined function of an address first
        and the function itself last; and (n,) how many of them each address has, one at least. Never raises for what a
        process or a file does: see `counts`.
        """
        return self._chains.expanded(self._user(spaces, owner, addresses, is_return))

    def _user(
        self,
        spaces: Sequence[AddressSpace],
        owner: NDArray[np.intp],
        addresses: NDArray[np.uint64],
        is_return: NDArray[np.bool_],
    ) -> NDArray[np.uint32]:
        """What lies in files is looked up once for all that have the file mapped, the rest process by process."""
        if self._cached > MAX_CACHED:
            self._forget()
        lookup = addresses - is_return
        at = located(spaces, owner, lookup)
        ids = np.zeros(len(addresses), np.uint32)
        alone = np.ones(len(addresses), bool)
        for shared in by_file(spaces, owner, at, lookup):
            found = self._in_file(shared, is_return[shared.rows])
            if found is not None:
                ids[shared.rows] = found
                alone[shared.rows] = False
        ended = np.array([space.ended for space in spaces], bool)
        nowhere = (at < 0) & ended[owner] & (lookup < np.uint64(1 << 48))  # nothing can be asked about it any more
        ids[nowhere] = self._symbols.frame(_UNKNOWN)
        self.counts.unknown_module += int(np.count_nonzero(nowhere))
        rest = np.flatnonzero(alone & ~nowhere)
        rest = rest[np.argsort(owner[rest], kind="stable")]
        for rows in np.split(rest, np.flatnonzero(np.diff(owner[rest])) + 1) if len(rest) else ():
            space = spaces[int(owner[rows[0]])]
            ids[rows] = self._of_space(space, addresses[rows], is_return[rows])
        return ids

    def _in_file(self, shared: Shared, is_return: NDArray[np.bool_]) -> NDArray[np.uint32] | None:
        """Frames of one file, (n,); None if they depend on the process. `shared.offsets`: of what is looked up."""
        for space, mapping in shared.seen:
            opened = self._image(space, mapping, self._known(space))
            if opened is not None:
                break
        else:
            return self._nameless(mapping.module, shared.offsets + is_return)
        key, image = opened
        if not image.elf:
            return None
        base = np.uint64((mapping.start - mapping.offset) % 2**64)

        def miss(offsets: NDArray[np.uint64], back: NDArray[np.bool_]) -> list[int]:
            self.counts.addresses += len(offsets)
            part = Part(space.pid, mapping, offsets + back + base, back)
            return self._native.find(self._symbols, part, key, image, mapping.module)

        same = key.changed_ns <= shared.ended_ns  # to those that had ended by then it was another file
        found = self._count(self._shared.through(key, mapping.module, shared.offsets[same], is_return[same], miss))
        if same.all():
            return found
        ids = np.empty(len(same), np.uint32)
        ids[same] = found
        ids[~same] = self._nameless(mapping.module, (shared.offsets + is_return)[~same])
        return ids

    def _of_space(
        self, space: AddressSpace, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]
    ) -> NDArray[np.uint32]:
        known = self._known(space)
        self._follow(space, known)
        miss = partial(self._user_miss, space, known)
        return self._count(known.answers.through(addresses, is_return, miss))

    def _known(self, space: AddressSpace) -> Known:
        known = self._spaces.get(space)
        if known is None:
            known = self._spaces[space] = Known()
            self.counts.maps_malformed += space.skipped
        return known

    def _follow(self, space: AddressSpace, known: Known) -> None:
        """Forget what changed in the address space since we last looked."""
        changes, ranges = space.changes_since(known.changes)
        if changes != known.changes:
            known.forget(ranges)
            known.changes = changes

    def _user_miss(
        self, space: AddressSpace, known: Known, addresses: NDArray[np.uint64], is_return: NDArray[np.bool_]
    ) -> Found:
        self.counts.addresses += len(addresses)
        lookup = addresses - is_return
        objects = are_objects(addresses)
        where = np.where(objects, _OBJECT, space.find(lookup))
        read = True
        if (where == _NOWHERE).any():
            read = self._refresh(space)
            self._follow(space, known)
            where = np.where(objects, _OBJECT, space.find(lookup))
        found: list[int]
        frames = [0] * len(addresses)
        settled = np.full(len(addresses), read)
        for index in np.unique(where).tolist():
            rows = np.flatnonzero(where == index)
            if index == _OBJECT:
                found, settled[rows] = self._jit.objects(self._symbols, addresses[rows], space, known), False
            elif index == _NOWHERE:
                self.counts.unknown_module += len(rows)
                found = [self._symbols.frame(_UNKNOWN)] * len(rows)
            else:
                part = Part(space.pid, space.mapping_at(index), addresses[rows], is_return[rows])
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

    def _in_mapping(self, part: Part, space: AddressSpace, known: Known) -> Found:
        mapping = part.mapping
        if mapping.path == "[vsyscall]":
            return [self._vsyscall(offset) for offset in part.offsets.tolist()], True
        if mapping.path == "[vdso]":
            image = vdso_image(part.pid, mapping)
            if image is None:
                return self._offsets("vdso", "vdso", part.offsets, FrameKind.NATIVE), True
            return self._native.find(self._symbols, part, vdso_key(mapping), image, "vdso"), True
        if not mapping.has_file:
            return self._jit.find(self._symbols, part, space, known)
        found = self._image(space, mapping, known)
        if found is None:
            return self._nameless(mapping.module, part.offsets).tolist(), False
        key, image = found
        return (
            (self._native.find(self._symbols, part, key, image, mapping.module), True)
            if image.elf
            else self._jit.find(self._symbols, part, space, known)
        )

    def _image(self, space: AddressSpace, mapping: Mapping, known: Known) -> tuple[ImageKey, Image] | None:
        """The image of a mapping, read now if need be; None if its file cannot be opened, or is another one by now."""
        key = known.images.get(mapping)
        image = self._images.get(key) if key is not None else None
        if key is not None and image is not None:
            return key, image
        now = self._clock()
        if now - known.closed.get(mapping, -REFRESH_S) < REFRESH_S:
            return None
        try:
            opened = self._images.mapped(space.pid, mapping)
            if opened is None:
                opened = self._images.read(open_mapping(space.pid, mapping), mapping.path, roots_of(space.pid))
            if opened.key.changed_ns > space.ended_ns:
                raise OSError(errno.ESTALE, "the file has changed since the process ended")
        except NotAnsweringError:
            known.closed[mapping] = now
            self._awaited.add(space, mapping)
            return None
        except OSError as error:
            known.closed[mapping] = now
            self.counts.files_unreadable += 1
            self._error = f"{mapping.path} of process {space.pid}: {error.strerror}"
            return None
        known.images[mapping] = opened.key
        self._first_sight(opened, mapping, known)
        return opened.key, opened.image

    def _first_sight(self, opened: Opened, mapping: Mapping, known: Known) -> None:
        if opened.debug:
            self.inlines.want(opened.key, opened.debug)
        if opened.fresh and opened.image.problems:
            self.counts.elf_errors += len(opened.image.problems)
            self._error = f"{mapping.path}: {opened.image.problems[0]}"
        self._jit.meet(mapping, known)

    # -- frames

    def _vsyscall(self, offset: int) -> int:
        name = vsyscall_name(offset)
        if name:
            return self._symbols.frame(Frame(name, "vsyscall"))
        return self._offset("vsyscall", "vsyscall", offset, FrameKind.NATIVE)

    def _nameless(self, module: str, offsets: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """Frames of a file that cannot be asked, (n,): what it is called, and where in it."""
        self.counts.unknown_symbol += len(offsets)
        return np.array(self._offsets(module, module, offsets, FrameKind.NATIVE), np.uint32)

    def _offsets(self, label: str, module: str, offsets: NDArray[np.uint64], kind: FrameKind) -> list[int]:
        return [self._offset(label, module, offset, kind) for offset in offsets.tolist()]

    def _offset(self, label: str, module: str, offset: int, kind: FrameKind) -> int:
        return self._symbols.frame(offset_frame(label, module, offset, kind))
