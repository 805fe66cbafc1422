"""Stacks with one frame more: what a GPU did stands below the functions that had it done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.profile.symbols import Symbols


def with_leaves(stacks: NDArray[np.integer], frames: NDArray[np.uint32], symbols: Symbols) -> NDArray[np.uint32]:
    """stacks: (n,) nodes; frames: (n,) or (n, d), the frames below each, outermost first, 0 for none: (n,) nodes."""
    if not len(stacks):
        return stacks.astype(np.uint32)
    below = frames.reshape(len(stacks), -1)
    keys = np.column_stack((stacks.astype(np.uint32), below))
    found, which = np.unique(keys, axis=0, return_inverse=True)
    trie = symbols.trie
    paths = [[*trie.path(node), *filter(None, rest)] for node, *rest in found.tolist()]
    return symbols.stacks(paths).astype(np.uint32)[which.reshape(-1)]
