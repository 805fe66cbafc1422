"""Several threads ask one store, and each is told of its own answers alone."""

from __future__ import annotations

import threading

import pytest

from aperture_tui.store.watching import by_thread, watching


def test_each_thread_has_its_own() -> None:
    told: list[tuple[str, float]] = []
    watch = by_thread(lambda share: told.append(("screen", share)))

    def export() -> None:
        with watching(lambda share: told.append(("export", share))):
            watch(0.5)
        watch(0.6)

    thread = threading.Thread(target=export)
    watch(0.1)
    thread.start()
    thread.join()
    watch(0.9)
    assert told == [("screen", 0.1), ("export", 0.5), ("screen", 0.6), ("screen", 0.9)]


def test_what_it_raises_ends_the_answer_and_is_over_with_the_block() -> None:
    def stop(_share: float) -> None:
        raise InterruptedError

    told: list[float] = []
    watch = by_thread(told.append)
    with pytest.raises(InterruptedError), watching(stop):
        watch(0.5)
    with watching(told.append):
        with pytest.raises(InterruptedError), watching(stop):
            watch(0.5)
        watch(0.6)
    watch(1.0)
    assert told == [0.6, 1.0]
