"""What waits for a slow browser, and what is left out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.tui.web.outgoing import Outgoing


def test_what_is_read_at_once_comes_whole() -> None:
    """Together, in order, and nothing is skipped."""
    outgoing = Outgoing()
    outgoing.put(b"one ")
    outgoing.put(b"two")
    flight = outgoing.take()
    assert flight is not None
    assert flight.data == b"one two"
    assert outgoing.take() is None
    outgoing.arrived(flight.number)
    outgoing.put(b"three")
    assert (outgoing.take() or flight).data == b"three"
    assert outgoing.skipped == 0
    assert not outgoing.wants_whole()


def test_a_browser_that_does_not_read_gets_a_whole_picture_later() -> None:
    """Of what it missed nothing is kept."""
    outgoing = Outgoing(window=10, kept=10)
    outgoing.put(b"x" * 10)
    flight = outgoing.take()
    assert flight is not None
    for _ in range(100):
        outgoing.put(b"y" * 6)
    assert outgoing.take() is None
    assert outgoing.waiting > 100
    assert outgoing.skipped == 100
    assert not outgoing.wants_whole()  # it would have to wait behind what is on its way
    outgoing.arrived(flight.number)
    assert outgoing.wants_whole()
    assert not outgoing.wants_whole()
    outgoing.put(b"whole")
    assert (outgoing.take() or flight).data == b"whole"


def test_what_is_left_out_before_anything_was_sent_is_made_good_at_once() -> None:
    """Nothing is on its way whose arrival could be waited for."""
    outgoing = Outgoing(window=10, kept=10)
    for _ in range(3):
        outgoing.put(b"x" * 11)
    assert outgoing.skipped == 3
    assert outgoing.take() is None
    assert outgoing.wants_whole()


def test_a_picture_larger_than_all_bounds_is_sent() -> None:
    """Or a large screen would never have one."""
    outgoing = Outgoing(window=10, kept=10)
    outgoing.put(b"cursor")
    outgoing.put(b"z" * 1000)
    flight = outgoing.take()
    assert flight is not None
    assert len(flight.data) == 1006


@given(st.lists(st.one_of(st.integers(1, 40), st.just("take"), st.just("pong")), max_size=200))
def test_it_is_bounded_and_never_says_half_of_what_happened(steps: list[int | str]) -> None:
    """Whatever the order: what is sent is either without a gap, or a whole picture follows."""
    window, kept, largest = 50, 60, 40
    outgoing = Outgoing(window, kept)
    flights: list[tuple[int, bytes]] = []
    written = sent = 0
    for step in steps:
        if isinstance(step, int):
            outgoing.put(b"a" * step)
            written += step
        elif step == "take":
            if (flight := outgoing.take()) is not None:
                flights.append(flight)
                sent += len(flight.data)
        elif flights:
            outgoing.arrived(flights.pop(0)[0])
            if outgoing.wants_whole():
                written = sent = 0
        on_the_way = sum(len(data) for _, data in flights)
        assert on_the_way < window + kept + largest
        assert outgoing._waiting_bytes <= kept + largest
        assert outgoing._incomplete or sent + outgoing._waiting_bytes == written
