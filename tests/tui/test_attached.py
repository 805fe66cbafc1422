from __future__ import annotations

from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import Kind
from aperture_tui.tui.attached import Attached

CPU = Health("cpu", State.RUNNING)
ABSENT = [CPU]
STARTING = [CPU, Health("syscall", State.STARTING)]
RUNNING = [CPU, Health("syscall", State.RUNNING)]


def test_a_collector_told_nothing_before_it_was_asked_for() -> None:
    attached = Attached()
    attached.note(Kind.CPU, ABSENT, 100)
    attached.note(Kind.SYSCALL, ABSENT, 200)
    attached.note(Kind.SYSCALL, STARTING, 300)
    assert attached.since(Kind.SYSCALL) == 0, "what there is may be of an earlier time"
    attached.note(Kind.SYSCALL, RUNNING, 400)
    assert attached.since(Kind.SYSCALL) == 200


def test_one_that_runs_already_may_have_run_all_along() -> None:
    attached = Attached()
    attached.note(Kind.SYSCALL, RUNNING, 400)
    assert attached.since(Kind.SYSCALL) == 0
    attached.note(Kind.CPU, RUNNING, 400)
    assert attached.since(Kind.CPU) == 0


def test_each_time_it_is_attached_counts_anew() -> None:
    attached = Attached()
    for wanted, health, now in (
        (Kind.SYSCALL, ABSENT, 100),
        (Kind.SYSCALL, RUNNING, 200),
        (Kind.CPU, RUNNING, 300),
        (Kind.CPU, ABSENT, 400),
        (Kind.SYSCALL, ABSENT, 500),
        (Kind.SYSCALL, RUNNING, 600),
    ):
        attached.note(wanted, health, now)
    assert attached.since(Kind.SYSCALL) == 500


def test_a_wish_that_was_given_up_is_forgotten() -> None:
    attached = Attached()
    attached.note(Kind.SYSCALL, ABSENT, 100)
    attached.note(Kind.CPU, ABSENT, 200)
    attached.note(Kind.CPU, RUNNING, 300)  # a recording wants it, not this screen
    assert attached.since(Kind.SYSCALL) == 0
