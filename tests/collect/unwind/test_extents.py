from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.collect.unwind.extents import Banks, Extents

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


@given(st.lists(st.one_of(st.integers(1, SIZE + 1), st.integers(0, 9).map(lambda i: -i - 1)), max_size=60))
def test_banks_are_made_when_they_are_needed_and_no_more_than_there_may_be(steps: list[int]) -> None:
    made: list[int] = []

    def make() -> bool:
        made.append(len(made))
        return True

    banks, seats, held = Banks(SIZE, 3, make), [False] * 3 * SIZE, []
    for step in steps:
        if step > 0:
            rooms = (i for i in range(3 * SIZE - step + 1) if i % SIZE + step <= SIZE and not any(seats[i : i + step]))
            room, before = next(rooms, None), len(made)
            assert banks.take(step) == room
            if room is not None:
                assert len(made) == max(before, room // SIZE + 1)
                seats[room : room + step] = [True] * step
                held.append((room, step))
        elif -step - 1 < len(held):
            first, n = held.pop(-step - 1)
            banks.give(first, n)
            seats[first : first + n] = [False] * n
        assert banks.taken == seats.count(True)


def test_without_memory_for_another_bank_there_is_no_room() -> None:
    banks = Banks(10, 4, iter([True, False, True]).__next__)
    assert [banks.take(10) for _ in range(3)] == [0, None, 10]
    with pytest.raises(ValueError, match="no bank"):
        banks.give(20, 1)
