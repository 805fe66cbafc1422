from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.collect.processes import Image
from aperture_tui.collect.python_frames import MARK
from aperture_tui.collect.stack_frames import Raw, StackFrames, expanded
from aperture_tui.profile.symbols import Symbols
from aperture_tui.symbolize.kernel import KernelSymbols
from aperture_tui.symbolize.resolver import Resolver

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


KALLSYMS = b"""\
ffffffff81000000 t __schedule
ffffffff81001000 T schedule
ffffffff81002000 T __traceiter_sched_switch
ffffffff81003000 T bpf_trace_run4
ffffffff81004000 T the_last
ffffffffc0001000 t bpf_prog_9d04a4041094158f_on_switch\t[bpf]
"""
SCHEDULED, WAY, NAMED, UNNAMED, OTHER = (
    [0xFFFFFFFF81000010, 0xFFFFFFFF81001010],
    [0xFFFFFFFF81003010, 0xFFFFFFFF81002010],
    [0xFFFFFFFFC0001010],
    [0xFFFFFFFFC0005010],
    [0xFFFFFFFFC0009010],
)


@pytest.mark.parametrize(
    ("innermost", "left"),
    [
        (NAMED + WAY, []),
        (UNNAMED + WAY, []),
        (UNNAMED + UNNAMED + WAY, []),
        (WAY, []),
        (UNNAMED + WAY + OTHER, ["[kernel+0xffffffffc0009010]"]),
        (UNNAMED, ["[kernel+0xffffffffc0005010]"]),
        ([], []),
    ],
)
def test_the_way_from_a_tracepoint_to_our_program_is_left_out(
    innermost: list[int], left: list[str], tmp_path: Path
) -> None:
    """Its own name is not known if it was loaded after the kernel's symbols were read."""
    (tmp_path / "kallsyms").write_bytes(KALLSYMS)
    symbols = Symbols()
    resolver = Resolver(symbols, kernel=KernelSymbols(str(tmp_path / "kallsyms")))
    none = np.zeros(0, np.uint64)
    stack = Raw(np.array(innermost + SCHEDULED, np.uint64), none, none, whole=True)
    (path,) = StackFrames(resolver).paths([Image(1, 0, b"init", None)], [stack], symbols)
    assert [symbols.frame_at(frame).function for frame in path[1:].tolist()] == ["schedule", "__schedule", *left]
