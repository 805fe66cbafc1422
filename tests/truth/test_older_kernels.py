"""What is compiled for older kernels tells the same: the ways of theirs that it goes are open on this one, too."""

from __future__ import annotations

import pytest

from tests.truth import test_locks, test_offcpu, test_syscalls

pytestmark = pytest.mark.bpf


@pytest.fixture(params=["5.8.0", "5.14.0"], autouse=True)
def older(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.release", lambda: request.param)


def test_calls() -> None:
    test_syscalls.test_counts_are_the_programs_own(20_000, 1_000, 8)
    test_syscalls.test_sampled_stacks_leave_the_counts_exact()


def test_waits() -> None:
    test_locks.test_waits_for_a_mutex_are_the_programs_own(4, 5000, 50)
    test_locks.test_who_ends_a_wait_is_told_with_where_it_did("mutex")


def test_time_off_the_cpu() -> None:
    test_offcpu.test_shares_of_sleeping_reading_and_spinning()
    test_offcpu.test_each_of_two_threads_that_play_ping_pong_is_woken_by_the_other((0, test_offcpu.LAST_CPU))
