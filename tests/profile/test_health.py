"""What tells that something was lost since one asked last."""

from __future__ import annotations

from aperture_tui.profile.health import Health, Losses, State


def word(name: str, **lost: int) -> Health:
    return Health(name, State.RUNNING, lost=lost)


def test_more_is_lost_than_before() -> None:
    losses = Losses()
    assert not losses.rose([word("cpu", ring=0), word("lock")])
    assert losses.rose([word("cpu", ring=0), word("lock", full=2)])
    assert not losses.rose([word("cpu", ring=0), word("lock", full=2)])
    assert losses.rose([word("cpu", ring=1)]), "one that grew, beside one that says nothing"
    assert not losses.rose([word("lock", full=2), word("cpu", ring=1)]), "that has said it before"
    assert losses.rose([word("new", full=1)])
