from __future__ import annotations

from itertools import pairwise

import pytest

from aperture_tui.tui.widgets.latency_columns import COLUMNS, ColumnSet, columns, in_flight_text, lock_label

SECOND = 10**9
MS = 10**6


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 300])
@pytest.mark.parametrize("which", ColumnSet)
def test_columns_stand_apart_and_under_their_headings(width: int, which: ColumnSet) -> None:
    placed = columns(width, which)
    assert placed[0].at == 1
    assert all(b.at == a.at + a.width + 1 for a, b in pairwise(placed))
    assert placed[-1].at + placed[-1].width <= width


def _titles(width: int, which: ColumnSet) -> list[str]:
    return [placed.column.title for placed in columns(width, which)]


def test_what_an_incident_is_about_stays_when_the_screen_is_narrow() -> None:
    assert _titles(40, ColumnSet.SYSCALLS) == ["PROCESS", "SYSCALL", "TOTAL", "IN FLIGHT"]
    assert _titles(40, ColumnSet.LOCKS) == ["LOCK", "PROCESS", "TOTAL", "IN FLIGHT"]
    assert {"CALLS/S", "~P99"} <= set(_titles(60, ColumnSet.SYSCALLS))
    assert {"WAITS", "HELD BY"} <= set(_titles(60, ColumnSet.LOCKS))
    assert {"ERR %", "MAX", "PID"} <= set(_titles(80, ColumnSet.SYSCALLS))
    assert {"~P99", "TIMEOUTS", "HELD BY"} <= set(_titles(80, ColumnSet.LOCKS))
    for which in ColumnSet:
        assert _titles(120, which) == [column.title for column in COLUMNS[which]], "all of them"


@pytest.mark.parametrize(
    ("name", "value", "width", "expected"),
    [
        ("mutex table_lock", 0x55, 30, "mutex table_lock"),
        ("mutex table_lock", 0x55, 12, "table_lock"),
        ("mutex", 0x7F3A12345678, 30, "mutex 0x7f3a12345678"),
        ("mutex", 0x7F3A12345678, 12, "mutex …45678"),
        ("mutex", 0x7F3A12345678, 9, "…12345678"),
        ("futex pi", 0x1234, 30, "futex pi 0x1234"),
        ("kernel spinlock", 0x1234, 30, "kernel spinlock 0x1234"),
        ("kernel rwsem read", 0x1234, 30, "kernel rwsem read 0x1234"),
        ("kernel rwsem write mmap_lock", 0x1234, 12, "mmap_lock"),
        ("kernel rwsem read", 0xFFFF888104C3D2A8, 26, "kernel rwsem read …4c3d2a8"),
        ("kernel rwsem read", 0xFFFF888104C3D2A8, 17, "rwsem read …3d2a8"),
        ("kernel rwsem read", 0xFFFF888104C3D2A8, 12, "…88104c3d2a8"),
        ("mutex \x1b[2J", 0x1234, 30, r"mutex \x1b[2J"),
    ],
)
def test_a_lock_is_named_by_what_tells_it_apart(name: str, value: int, width: int, expected: str) -> None:
    assert lock_label(name, value, width) == expected


@pytest.mark.parametrize(
    ("threads", "age_ns", "at_least", "width", "mono", "expected"),
    [
        (3, 40 * SECOND, False, 13, False, "3 · 40 s"),
        (3, 40 * SECOND, True, 13, False, "3 · ≥40 s"),
        (3, 40 * SECOND, True, 13, True, "!! 3 · ≥40 s"),
        (3, 2 * SECOND, False, 13, True, "! 3 · 2.0 s"),
        (3, 5 * MS, False, 13, True, "3 · 5.0 ms"),
        (1200, 119 * 60 * SECOND, False, 11, False, "…·119 min"),
        (1200, 119 * 60 * SECOND, True, 11, True, "!!≥119 min"),
    ],
)
def test_the_age_of_what_goes_on_is_never_cut(
    threads: int, age_ns: int, at_least: bool, width: int, mono: bool, expected: str
) -> None:
    assert in_flight_text(threads, age_ns, at_least, width, mono) == expected
