"""Stacks as the kernel sends them: once, under a hash; then frames, then nodes of the trie."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Symbols

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.collect.processes import Image
    from aperture_tui.symbolize.resolver import Resolver

STACK_HEADER: Final = struct.Struct("<QQIHH")
"""The start of struct stack of bpf/*.bpf.c: hash, start_ns, pid, number of user and of kernel addresses."""

MAX_STACKS: Final = 1 << 15
"""Stacks remembered by hash; past it all are forgotten, and the kernel sends them again."""


class Stacks:
    """What is known of the stacks of one collector, by the kernel's hash. Owned by the collecting thread."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._raw: dict[int, tuple[NDArray[np.uint64], int]] = {}
        self._leaving: dict[int, tuple[NDArray[np.uint64], int]] = {}
        self.rebind()

    def rebind(self) -> None:
        """Forget the ids of the symbols' last generation; the addresses stay."""
        self._frames: dict[int, NDArray[np.uint32]] = {}
        self._nodes: dict[tuple[int, bytes], int] = {}

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
        key, _start, _pid, user, kernel = STACK_HEADER.unpack_from(payload)
        addresses = np.frombuffer(payload, np.uint64, offset=STACK_HEADER.size)[: user + kernel]
        self._raw[key] = (addresses, min(user, len(addresses)))

    def nodes(
        self, hashes: NDArray[np.uint64], image_of: NDArray[np.intp], images: list[Image], symbols: Symbols
    ) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        """The node of each sample's stack, and which of them have none but their process's name. Both (n,)."""
        keys = np.empty(len(hashes), [("hash", "<u8"), ("image", "<i8")])
        keys["hash"], keys["image"] = hashes, image_of
        distinct, inverse = np.unique(keys, return_inverse=True)
        pairs: list[tuple[int, int]] = distinct.tolist()
        fresh = [(key, i) for key, i in pairs if (key, images[i].name) not in self._nodes]
        self._resolve(fresh, images)
        empty = np.zeros(0, np.uint32)
        named = {
            image.name: symbols.frame(Frame(symbols.strings[symbols.string(image.name)], kind=FrameKind.PROCESS))
            for image in images
        }
        paths = [[named[images[i].name], *self._frames.get(key, empty).tolist()] for key, i in fresh]
        for (key, i), node in zip(fresh, symbols.stacks(paths).tolist(), strict=True):
            if key in self._frames:
                self._nodes[key, images[i].name] = node
        bare = {name: int(symbols.stacks([[frame]])[0]) for name, frame in named.items()}
        nodes = [self._nodes.get((key, images[i].name), bare[images[i].name]) for key, i in pairs]
        absent = [key not in self._frames for key, _i in pairs]
        return np.array(nodes, np.uint32)[inverse], np.array(absent, bool)[inverse]

    def _resolve(self, fresh: list[tuple[int, int]], images: list[Image]) -> None:
        """Name the addresses of the stacks that are new, one process at a time."""
        by_image: dict[int, list[tuple[int, NDArray[np.uint64], int]]] = {}
        for key, i in fresh:
            raw = self._raw.get(key) or self._leaving.get(key)
            if raw is not None and key not in self._frames:
                by_image.setdefault(i, []).append((key, *raw))
        for i, stacks in by_image.items():
            image = images[i]
            user = [addresses[:split] for _key, addresses, split in stacks]
            kernel = [addresses[split:] for _key, addresses, split in stacks]
            user_frames = self._resolver.user_frames(image.pid, image.space, *_joined(user))
            kernel_frames = self._resolver.kernel_frames(*_joined(kernel))
            pieces = zip(stacks, _split(user_frames, user), _split(kernel_frames, kernel), strict=True)
            for (
                key,
                *_,
            ), outer, inner in pieces:  # addresses come leaf first; paths go root first, the kernel innermost
                self._frames[key] = np.concatenate([outer[::-1], inner[::-1]])


def _joined(stacks: list[NDArray[np.uint64]]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """All addresses, and which of them are return addresses: all but each stack's first."""
    returns = np.ones(sum(map(len, stacks)), bool)
    returns[np.cumsum([0, *map(len, stacks)])[:-1][[len(s) > 0 for s in stacks]]] = False
    return np.concatenate(stacks), returns


def _split(frames: NDArray[np.uint32], stacks: list[NDArray[np.uint64]]) -> list[NDArray[np.uint32]]:
    return np.split(frames, np.cumsum([len(s) for s in stacks])[:-1])
