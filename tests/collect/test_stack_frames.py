from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.collect.python_frames import MARK
from aperture_tui.collect.stack_frames import expanded

CHAINS = st.lists(st.lists(st.integers(1, 1000), min_size=1, max_size=4), max_size=12)
"""Of each address the frames, the innermost first."""


@given(CHAINS, st.data())
def test_marks_give_way_to_the_frames_of_their_address(chains: list[list[int]], data: st.DataObject) -> None:
    words = st.integers(1, 1000)
    if chains:
        words |= st.integers(0, len(chains) - 1).map(lambda address: address | int(MARK))
    paths = data.draw(st.lists(st.lists(words, max_size=8), min_size=1, max_size=6))
    frames = np.array([frame for chain in chains for frame in chain], np.uint32)
    counts = np.array([len(chain) for chain in chains], np.intp)
    found = expanded([np.array(path, np.uint32) for path in paths], frames, counts)
    wanted = [
        [f for word in path for f in (reversed(chains[word & ~int(MARK)]) if word & int(MARK) else (word,))]
        for path in paths
    ]
    assert [path.tolist() for path in found] == wanted
