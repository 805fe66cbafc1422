"""Python frames that cannot be named are counted, until they can be."""

from __future__ import annotations

import os

import numpy as np

from aperture_tui.collect.processes import Image
from aperture_tui.collect.python_frames import PythonFrames
from aperture_tui.collect.stack_frames import Raw
from aperture_tui.profile.symbols import Symbols
from aperture_tui.symbolize.address_space import AddressSpace

NONE = np.zeros(0, np.uint64)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def named(python: PythonFrames, image: Image) -> list[np.ndarray] | None:
    """A stack of three Python frames that are nowhere, and no native ones."""
    raw = Raw(NONE, np.full(6, 8, np.uint64), NONE, whole=True)
    return python.merged(image, [raw], np.zeros(0, np.uint32), NONE, np.array([0, 0]), Symbols())


def test_frames_of_a_process_that_cannot_be_read_count_until_it_can() -> None:
    clock = Clock()
    python = PythonFrames(clock)
    space = AddressSpace(os.getpid())
    image = Image(os.getpid(), 0, b"python", space)
    for missed in (3, 6):
        assert named(python, image) is None
        assert +python.counts == {"Python frames of processes that could not be read": missed}
    space.refresh()
    assert named(python, image) is None, "it is not tried again at once"
    assert not python.opened_late
    clock.now = 1.0
    (path,) = named(python, image) or ()
    assert path.tolist() == []
    assert python.opened_late, "all stacks are to be named anew"
    assert +python.counts == {"Python frames whose code was gone": 3}


def test_a_process_that_is_read_at_once_is_not_late() -> None:
    python = PythonFrames(Clock())
    assert named(python, Image(os.getpid(), 0, b"python", AddressSpace.read(os.getpid()))) is not None
    assert not python.opened_late
