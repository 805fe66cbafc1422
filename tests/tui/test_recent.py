from __future__ import annotations

from aperture_tui.tui.recent import LOOKED_BACK, Past, Recent

SECOND = 1_000_000_000


def test_a_note_is_due_once_a_second() -> None:
    recent: Recent[str] = Recent()
    assert recent.is_due(5 * SECOND)
    recent.note(5 * SECOND, {"a": 1.0})
    assert not recent.is_due(5 * SECOND + SECOND // 2)
    assert recent.is_due(6 * SECOND)


def test_values_are_kept_oldest_first_and_only_so_many() -> None:
    recent: Recent[str] = Recent()
    for i in range(1, 40):
        recent.note(i * SECOND, {"a": float(i)})
    assert recent["a"] == tuple(float(i) for i in range(24, 40))


def test_who_pauses_has_a_gap_and_who_stops_is_forgotten() -> None:
    recent: Recent[str] = Recent()
    recent.note(1 * SECOND, {"a": 1.0, "b": 2.0})
    recent.note(2 * SECOND, {"b": 2.0})
    recent.note(3 * SECOND, {"a": 3.0, "b": 2.0})
    assert recent["a"] == (1.0, 0.0, 3.0)
    for i in range(4, 30):
        recent.note(i * SECOND, {"b": 2.0})
    assert recent["a"] == ()
    assert len(recent._values) == 1


def test_what_was_noted_before_another_view_is_not_the_last_seconds() -> None:
    recent: Recent[str] = Recent()
    recent.note(1 * SECOND, {"a": 1.0})
    recent.note(60 * SECOND, {"a": 2.0})
    assert recent["a"] == (2.0,)


def test_the_seconds_before_a_moment_are_asked_for_once() -> None:
    asked: list[int] = []

    def busy(end_ns: int) -> dict[str, float]:
        asked.append(end_ns // SECOND)
        return {"a": float(end_ns // SECOND)}

    past = Past(busy)
    assert past.before(103 * SECOND + 7, 100 * SECOND)["a"] == (101.0, 102.0, 103.0)
    assert past.before(104 * SECOND, 100 * SECOND)["a"] == (101.0, 102.0, 103.0, 104.0)
    assert past.before(102 * SECOND, 100 * SECOND)["a"] == (101.0, 102.0), "nothing of what came later"
    assert asked == [101, 102, 103, 104]
    assert past.before(500 * SECOND, 100 * SECOND)["a"][-1] == 500.0
    assert len(asked) == 4 + LOOKED_BACK, "as far back as is shown"
    past.forget()
    past.before(500 * SECOND, 100 * SECOND)
    assert len(asked) == 4 + 2 * LOOKED_BACK
