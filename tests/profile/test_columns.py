from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aperture_tui.profile.event import EVENT
from aperture_tui.profile.packed import columns
from aperture_tui.profile.symbols import FRAME

OLDER = np.dtype([*((name, EVENT[name]) for name in (EVENT.names or ())[:-2]), ("cpu", "<u4")])
"""EVENT before there were tags."""


@given(hnp.arrays(np.uint8, st.integers(0, 20).map(lambda n: n * EVENT.itemsize)))
def test_events_come_back_as_they_were(data: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> None:
    events = data.view(EVENT)
    packed = columns.packed(events)
    assert columns.unpacked(packed, len(events), EVENT).tobytes() == events.tobytes()
    assert packed == columns.packed(events.view(OLDER)), "the CPU and the tags are where the CPU was"


def test_what_was_packed_before_there_were_tags_has_none() -> None:
    older = np.zeros(3, OLDER)
    older["cpu"], older["pid"] = (1, 2, 511), (7, 8, 9)
    events = columns.unpacked(columns.packed(older), 3, EVENT)
    assert events["cpu"].tolist() == [1, 2, 511]
    assert events["pid"].tolist() == [7, 8, 9]
    assert not events["tags"].any()


def test_other_records_and_lengths_that_do_not_fit() -> None:
    frames = np.ones(2, FRAME)
    assert columns.unpacked(columns.packed(frames), 2, FRAME).tobytes() == frames.tobytes()
    with pytest.raises(ValueError, match="are not 2 records"):
        columns.unpacked(bytes(145), 2, EVENT)
