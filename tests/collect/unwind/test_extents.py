from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.collect.unwind.extents import Extents

SIZE = 40


@given(st.lists(st.one_of(st.integers(1, SIZE), st.integers(0, 9).map(lambda i: -i - 1)), max_size=60))
def test_it_behaves_as_a_row_of_seats(steps: list[int]) -> None:
    """n takes n elements; -i-1 gives back the i-th of those that are held."""
    extents, seats, held = Extents(SIZE), [False] * SIZE, []
    for step in steps:
        if step > 0:
            room = next((i for i in range(SIZE - step + 1) if not any(seats[i : i + step])), None)
            assert extents.take(step) == room
            if room is not None:
                seats[room : room + step] = [True] * step
                held.append((room, step))
        elif -step - 1 < len(held):
            first, n = held.pop(-step - 1)
            extents.give(first, n)
            seats[first : first + n] = [False] * n
        assert extents.free == seats.count(False)


@pytest.mark.parametrize(("first", "n"), [(0, 1), (5, 10), (9, 2), (15, 6), (19, 2), (12, 0)])
def test_what_is_not_taken_cannot_be_given(first: int, n: int) -> None:
    extents = Extents(20)
    assert extents.take(20) == 0
    extents.give(0, 10)
    with pytest.raises(ValueError, match="not taken"):
        extents.give(first, n)
    assert extents.free == 10
