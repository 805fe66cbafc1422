"""Stacks as the kernel sends them: once, under a hash; then frames, then nodes of the trie. One ring for all."""

from __future__ import annotations

import itertools
import os
import struct
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.collect import bpf
from aperture_tui.collect.budget import Budget
from aperture_tui.collect.object_code import MapSpec
from aperture_tui.collect.ring import Ring
from aperture_tui.collect.stack_frames import Raw, StackFrames
from aperture_tui.profile.kinds import Flag, FrameKind
from aperture_tui.profile.symbols import ROOT, Frame, Symbols
from aperture_tui.profile.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from aperture_tui.collect.processes import Image
    from aperture_tui.symbolize.resolver import Resolver

STACK_HEADER: Final = struct.Struct("<QQIHHHHI")
"""The start of struct stack of bpf/walk.h: hash, start_ns, pid, words of the kernel's, of Python's, of the user's
stack, unused, flags."""

_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_WHOLE: Final = int(Flag.WHOLE)
_AT_ONCE: Final = 256
"""Stacks that are named together, before the clock is looked at."""

MAX_STACKS: Final = 1 << 14
"""Stacks remembered by hash, as many as the kernel does; past it all are forgotten, and the kernel sends them again."""
MAX_BYTES: Final = 8 << 20
"""Past so much of them as well: deep stacks of Python are ten times as long as others."""
LINGER_S: Final = 3.0
"""How long the hashes of stacks that are being forgotten may still come: in tables that are drained every second."""


class StackMaps:
    """The maps of bpf/stacks.h, by name, and the ring among them. Raises OSError."""

    def __init__(self, ring_bytes: int) -> None:
        bpf.raise_locked_memory_limit()
        self.fds: dict[str, int] = {}
        self._salt = 0
        try:
            for spec in (
                MapSpec("stack_ring", bpf.MAP_RING, 0, 0, ring_bytes, 0),
                MapSpec("stack_known", bpf.MAP_LRU_HASH, 8, 1, 16_384, 0),
                MapSpec("stack_salt", bpf.MAP_ARRAY, 4, 8, 1, 0),
                MapSpec("stack_lost", bpf.MAP_PERCPU_ARRAY, 4, 8, 1, 0),
            ):
                self.fds[spec.name] = bpf.create_map(spec)
            self.ring = Ring(self.fds["stack_ring"], ring_bytes)
        except OSError:
            self._close_maps()
            raise

    @property
    def lost(self) -> int:
        """Times that a stack found no room in the ring; it is sent again with what has it next."""
        return bpf.counters(self.fds["stack_lost"], 1)[0]

    def send_again(self) -> None:
        """Have the kernel hash in another way from now on, so that every stack comes again."""
        self._salt += 1
        bpf.update(self.fds["stack_salt"], bytes(4), struct.pack("=Q", self._salt))

    def close(self) -> None:
        """Let go of everything; programs that are still loaded keep the maps."""
        self.ring.close()
        self._close_maps()

    def _close_maps(self) -> None:
        for fd in self.fds.values():
            os.close(fd)
        self.fds = {}


class Stacks:
    """What is known of stacks, by the kernel's hash. Owned by the collecting thread."""

    def __init__(self, resolver: Resolver, maps: StackMaps, budget: Budget | None = None) -> None:
        self.maps = maps
        self._resolver = resolver
        self._sent: dict[int, bytes] = {}  # as in the ring: arrays of a stack take four times as much
        self._sent_bytes = 0
        self._leaving: dict[int, bytes] = {}
        self._leave_at = 0.0
        self._version = 0
        self._naming = StackFrames(resolver)
        self._budget = Budget() if budget is None else budget
        self.unnamed = 0
        """Stacks that there was no time to name when samples had them; each time that it was so."""
        self.rebind()

    def rebind(self) -> None:
        """Forget the ids of the symbols' last generation; the addresses stay."""
        self._naming.python.rebind()
        self._nodes: dict[bytes, dict[int, int]] = {}  # the process's name -> hash -> node
        self._named: dict[int, int] = {}  # hash -> the node that it had first, under whatever name
        self._astray: set[int] = set()
        self._changed: set[str] = set()

    @property
    def are_new(self) -> bool:
        """Whether the kernel has sent some since the last update."""
        return self.maps.ring.waiting > 0

    def update(self) -> None:
        """Take in what the kernel has sent; what the resolver knows better now is named anew."""
        for payload in self.maps.ring.payloads():
            self._receive(payload)
        version = self._resolver.tend()
        changed = self._resolver.changed if version != self._version else frozenset()
        if changed is None or self._naming.python.opened_late:
            self._naming.python.opened_late = False
            self.rebind()
        else:
            self._changed |= changed
        self._version = version
        self._budget.begin()

    @property
    def python_counts(self) -> dict[str, int]:
        """Cause -> Python frames that are not shown as they should be."""
        return {cause: n for cause, n in self._naming.python.counts.items() if n}

    def rotate(self) -> None:
        """After a drain: when too many stacks are remembered, begin to forget them.

        The kernel then sends every stack again. What it had counted under the old hashes by then is drained for
        LINGER_S more; only then are the old stacks let go.
        """
        now = time.monotonic()
        if self._leaving and now > self._leave_at:
            self._leaving = {}
        patience = 2 if self._leaving else 1
        if len(self._sent) > MAX_STACKS * patience or self._sent_bytes > MAX_BYTES * patience:
            self._leaving, self._sent, self._sent_bytes = self._sent, {}, 0
            self._leave_at = now + LINGER_S
            self.rebind()
            self.maps.send_again()

    def put(self, key: int, raw: Raw) -> None:
        """A stack that did not come through the ring. It is forgotten like the others: put it again before each use."""
        if key not in self._sent:
            sizes = len(raw.kernel), len(raw.python), len(raw.user)
            header = STACK_HEADER.pack(key, 0, 0, *sizes, 0, _WHOLE if raw.whole else 0)
            self._keep(key, header + np.concatenate(raw[:3]).astype(np.uint64).tobytes())

    def raw(self, key: int) -> Raw | None:
        """What is known of a stack in addresses."""
        payload = self._sent.get(key) or self._leaving.get(key)
        if payload is None:
            return None
        _key, _start, _pid, kernel, python, user, _unused, flags = STACK_HEADER.unpack_from(payload)
        words = np.frombuffer(payload, np.uint64, offset=STACK_HEADER.size)[: kernel + python + user]
        ends = kernel + python
        return Raw(words[:kernel], words[kernel:ends], words[ends:], bool(flags & _WHOLE))

    def _receive(self, payload: bytes) -> None:
        if len(payload) >= STACK_HEADER.size:
            self._keep(STACK_HEADER.unpack_from(payload)[0], payload)

    def _keep(self, key: int, payload: bytes) -> None:
        self._sent_bytes += len(payload) - len(self._sent.get(key, b""))
        self._sent[key] = payload

    def nodes(
        self, hashes: NDArray[np.uint64], image_of: NDArray[np.intp], images: list[Image], symbols: Symbols
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
        """The node of each sample's stack, and what is to be said of it (Flag). Both (n,)."""
        # one number for both: the hash is 64 random bits already, and a number of images is small
        mixed = hashes ^ (image_of.astype(np.uint64) * _ODD)
        _, first, inverse = np.unique(mixed, return_index=True, return_inverse=True)
        pairs = list(zip(hashes[first].tolist(), image_of[first].tolist(), strict=True))
        if self._changed:
            self._forget_changed(symbols)
        of = [self._nodes.setdefault(image.name, {}) for image in images]
        fresh = [(key, i) for key, i in pairs if key not in of[i]]
        if fresh:
            self._intern(fresh, images, symbols)
        nodes = [of[i].get(key) for key, i in pairs]
        flags = [
            Flag.NO_STACK if node is None else Flag.UNKNOWN_FRAME if key in self._astray else Flag.NONE
            for node, (key, _i) in zip(nodes, pairs, strict=True)
        ]
        if None in nodes:
            names = {images[i].name for node, (_key, i) in zip(nodes, pairs, strict=True) if node is None}
            bare = self._bare(names, symbols)
            nodes = [bare[images[i].name] if n is None else n for n, (_key, i) in zip(nodes, pairs, strict=True)]
        return np.array(nodes, np.uint32)[inverse], np.array(flags, np.uint16)[inverse]

    def _forget_changed(self, symbols: Symbols) -> None:
        """Forget the nodes of the stacks that have a frame of the modules that are named better now."""
        modules = [symbols.known_string(clean(module)) for module in self._changed]
        self._changed = set()
        trie, is_changed = symbols.trie, np.isin(symbols.frames["module"], modules)
        at = np.fromiter(self._named.values(), np.int64, len(self._named))
        through = np.zeros(len(at), bool)
        while at.any():
            through |= is_changed[trie.frame[at]]
            at = np.maximum(trie.parent[at], ROOT)
        gone = set(itertools.compress(self._named, through.tolist()))
        for key in gone:
            del self._named[key]
        for known in self._nodes.values():
            for key in gone.intersection(known):
                del known[key]
        self._astray -= gone

    def _intern(self, fresh: list[tuple[int, int]], images: list[Image], symbols: Symbols) -> None:
        found = self._resolve(fresh, images, symbols)
        mine = {name: self._process_frame(name, symbols) for name in {images[i].name for _key, i in fresh}}
        trie = symbols.trie
        paths, known = [], []
        for key, i in fresh:
            path, node = found.get(key), self._named.get(key)
            if path is None and node is not None:  # under another process's name
                path = np.array([0, *trie.path(node)[1:]], np.uint32)
            if path is not None:
                path = path.copy()
                path[0] = mine[images[i].name]
                paths.append(path)
                known.append((key, images[i].name))
        for (key, name), node in zip(known, symbols.stacks(paths).tolist(), strict=True):
            self._nodes[name][key] = node
            self._named.setdefault(key, node)

    def _bare(self, names: Iterable[bytes], symbols: Symbols) -> dict[bytes, int]:
        """The stacks of samples that came without one: their processes alone, by their names."""
        frames = {name: [self._process_frame(name, symbols)] for name in names}
        return dict(zip(frames, symbols.stacks(list(frames.values())).tolist(), strict=True))

    @staticmethod
    def _process_frame(name: bytes, symbols: Symbols) -> int:
        return symbols.frame(Frame(symbols.strings[symbols.string(name)], kind=FrameKind.PROCESS))

    def _resolve(
        self, fresh: list[tuple[int, int]], images: list[Image], symbols: Symbols
    ) -> dict[int, NDArray[np.uint32]]:
        """The frames of the stacks that are new, root first, behind a place for the process's.

        Many at a time, until there is no time left.
        """
        new = {key: i for key, i in fresh if key not in self._named and (key in self._sent or key in self._leaving)}
        keys = sorted(new, key=new.__getitem__)  # the stacks of a process together
        found: dict[int, NDArray[np.uint32]] = {}
        for start in range(0, len(keys), _AT_ONCE):
            if start and self._budget.is_spent:
                self.unnamed += len(keys) - start
                break
            some = keys[start : start + _AT_ONCE]
            raws = [raw for key in some if (raw := self.raw(key)) is not None]
            paths = self._naming.paths([images[new[key]] for key in some], raws, symbols)
            self._note_astray(some, paths, symbols)
            found.update(zip(some, paths, strict=True))
        return found

    def _note_astray(self, keys: list[int], paths: list[NDArray[np.uint32]], symbols: Symbols) -> None:
        unknown = symbols.frames["kind"][np.concatenate(paths)] == FrameKind.UNKNOWN
        astray = np.logical_or.reduceat(unknown, np.cumsum([0, *map(len, paths)])[:-1])
        self._astray.update(itertools.compress(keys, astray.tolist()))
