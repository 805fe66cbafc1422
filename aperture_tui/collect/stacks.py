"""Stacks as the kernel sends them: once, under a hash; then frames, then nodes of the trie."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from aperture_tui.collect.python_frames import PythonFrames
from aperture_tui.profile.kinds import Flag, FrameKind
from aperture_tui.profile.symbols import Frame, Symbols

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.collect.processes import Image
    from aperture_tui.symbolize.resolver import Resolver

STACK_HEADER: Final = struct.Struct("<QQIHHHHI")
"""The start of struct stack of bpf/unwind.h: hash, start_ns, pid, words of the kernel's, of Python's, of the user's
stack, unused, flags."""

_MARK: Final = np.uint32(1 << 31)
_TOP, _EXACT = np.uint64(62), np.uint64(2)
"""The two highest bits of a user address that was interrupted, and is no return address (the vsyscall page has 3)."""

_ODD: Final = np.uint64(0x9E3779B97F4A7C15)

MAX_STACKS: Final = 1 << 15
"""Stacks remembered by hash; past it all are forgotten, and the kernel sends them again."""


class Raw(NamedTuple):
    """A stack as the kernel sent it, each part leaf first: (n,) uint64.

    python: two words a frame; user: addresses, with bit 63 where they are no return addresses. whole: the user stack
    reaches its outermost function.
    """

    kernel: NDArray[np.uint64]
    python: NDArray[np.uint64]
    user: NDArray[np.uint64]
    whole: bool

    @property
    def addresses(self) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """The user's addresses, and which of them are return addresses: (n,) each."""
        return _joined([self.user], user=True)


class Stacks:
    """What is known of the stacks of one collector, by the kernel's hash. Owned by the collecting thread."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._raw: dict[int, Raw] = {}
        self._leaving: dict[int, Raw] = {}
        self._version = 0
        self.python = PythonFrames()
        self.rebind()

    def rebind(self) -> None:
        """Forget the ids of the symbols' last generation; the addresses stay."""
        self.python.rebind()
        self._frames: dict[int, NDArray[np.uint32]] = {}
        self._astray: set[int] = set()
        self._nodes: dict[tuple[int, bytes], int] = {}

    def tend(self) -> None:
        """Before stacks are named: where the resolver knows better now, all of them are named anew."""
        version = self._resolver.tend()
        if version != self._version or self.python.opened_late:
            self._version = version
            self.python.opened_late = False
            self.rebind()

    def rotate(self) -> bool:
        """After a drain: when too many stacks are remembered, begin to forget them, and say so.

        The kernel then has to hash with another salt, so that it sends every stack again. What it sampled until it
        did is drained next time; only then are the old stacks let go.
        """
        self._leaving = {}
        if len(self._raw) <= MAX_STACKS:
            return False
        self._leaving, self._raw = self._raw, {}
        self.rebind()
        return True

    def receive(self, payload: bytes) -> None:
        """One record of the stack ring."""
        if len(payload) < STACK_HEADER.size:
            return
        key, _start, _pid, kernel, python, user, _unused, flags = STACK_HEADER.unpack_from(payload)
        words = np.frombuffer(payload, np.uint64, offset=STACK_HEADER.size)[: kernel + python + user]
        of_kernel, of_python, of_user = np.split(words, [kernel, kernel + python])
        self._raw[key] = Raw(of_kernel, of_python, of_user, bool(flags & Flag.WHOLE))

    def nodes(
        self, hashes: NDArray[np.uint64], image_of: NDArray[np.intp], images: list[Image], symbols: Symbols
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
        """The node of each sample's stack, and what is to be said of it (Flag). Both (n,)."""
        # one number for both: the hash is 64 random bits already, and a number of images is small
        mixed = hashes ^ (image_of.astype(np.uint64) * _ODD)
        _, first, inverse = np.unique(mixed, return_index=True, return_inverse=True)
        pairs = list(zip(hashes[first].tolist(), image_of[first].tolist(), strict=True))
        fresh = [(key, i) for key, i in pairs if (key, images[i].name) not in self._nodes]
        if fresh:
            self._intern(fresh, images, symbols)
        nodes = [self._nodes.get((key, images[i].name)) for key, i in pairs]
        flags = [
            Flag.NO_STACK if node is None else Flag.UNKNOWN_FRAME if key in self._astray else Flag.NONE
            for node, (key, _i) in zip(nodes, pairs, strict=True)
        ]
        if None in nodes:
            bare = {i: self._bare(images[i], symbols) for _key, i in pairs}
            nodes = [bare[i] if node is None else node for node, (_key, i) in zip(nodes, pairs, strict=True)]
        return np.array(nodes, np.uint32)[inverse], np.array(flags, np.uint16)[inverse]

    def _intern(self, fresh: list[tuple[int, int]], images: list[Image], symbols: Symbols) -> None:
        self._resolve(fresh, images, symbols)
        known = [(key, i) for key, i in fresh if key in self._frames]
        paths = [[self._process_frame(images[i], symbols), *self._frames[key].tolist()] for key, i in known]
        for (key, i), node in zip(known, symbols.stacks(paths).tolist(), strict=True):
            self._nodes[key, images[i].name] = node

    def _bare(self, image: Image, symbols: Symbols) -> int:
        """The stack of a sample that came without one: its process alone."""
        return int(symbols.stacks([[self._process_frame(image, symbols)]])[0])

    @staticmethod
    def _process_frame(image: Image, symbols: Symbols) -> int:
        return symbols.frame(Frame(symbols.strings[symbols.string(image.name)], kind=FrameKind.PROCESS))

    def _resolve(self, fresh: list[tuple[int, int]], images: list[Image], symbols: Symbols) -> None:
        """Name the addresses of the stacks that are new, one process at a time."""
        by_image: dict[int, list[tuple[int, Raw]]] = {}
        for key, i in fresh:
            raw = self._raw.get(key) or self._leaving.get(key)
            if raw is not None and key not in self._frames:
                by_image.setdefault(i, []).append((key, raw))
        for i, stacks in by_image.items():
            image = images[i]
            user = [raw.user for _key, raw in stacks]
            kernel = [raw.kernel for _key, raw in stacks]
            native, counts = self._resolver.expanded_frames(image.pid, image.space, *_joined(user, user=True))
            chains = Chains(native, counts)
            kernel_frames = self._resolver.kernel_frames(*_joined(kernel, user=False))
            marks = _split(chains.marks, user)
            paths = self.python.merged(image, [raw for _key, raw in stacks], marks, chains, symbols)
            for (key, _raw), path, inner in zip(stacks, paths, _split(kernel_frames, kernel), strict=True):
                # addresses come leaf first; paths go root first, the kernel innermost
                frames = self._frames[key] = np.concatenate([chains.expanded(path), inner[::-1]])
                if (symbols.frames["kind"][frames] == FrameKind.UNKNOWN).any():
                    self._astray.add(key)


class Chains:
    """The native frames of addresses, some with functions that are inlined there, until Python's are among them.

    frames: (m,) ids, of each address the innermost first; counts: (n,), how many each address has.
    """

    def __init__(self, frames: NDArray[np.uint32], counts: NDArray[np.intp]) -> None:
        self._frames = frames
        self._ends = np.cumsum(counts)
        self._single = len(frames) == len(counts)
        self.marks = np.arange(len(counts), dtype=np.uint32) | _MARK
        """What stands for each address in a path, no id of a frame: (n,)."""

    def functions(self, marks: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """The function that each address lies in: (k,) ids."""
        functions: NDArray[np.uint32] = self._frames[self._ends[marks & ~_MARK] - 1]
        return functions

    def expanded(self, path: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """A path, root first, of marks and of ids; with all frames of the addresses in place of the marks."""
        marked = (path & _MARK) != 0
        if self._single:
            out = path.copy()
            out[marked] = self.functions(path[marked])
            return out
        parts = [
            self._of(int(word & ~_MARK)) if mark else path[i : i + 1]
            for i, (word, mark) in enumerate(zip(path, marked, strict=True))
        ]
        return np.concatenate([np.zeros(0, np.uint32), *parts])

    def _of(self, address: int) -> NDArray[np.uint32]:
        end = int(self._ends[address])
        start = int(self._ends[address - 1]) if address else 0
        return self._frames[start:end][::-1]


def _joined(stacks: list[NDArray[np.uint64]], user: bool) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """All addresses, and which of them are return addresses: all but each stack's first and those that say so."""
    words = np.concatenate(stacks)
    returns = np.ones(len(words), bool)
    if user:
        returns = words >> _TOP != _EXACT
        words = np.where(returns, words, words & ~(_EXACT << _TOP))
    returns[np.cumsum([0, *map(len, stacks)])[:-1][[len(s) > 0 for s in stacks]]] = False
    return words, returns


def _split(frames: NDArray[np.uint32], stacks: list[NDArray[np.uint64]]) -> list[NDArray[np.uint32]]:
    return np.split(frames, np.cumsum([len(s) for s in stacks])[:-1])
