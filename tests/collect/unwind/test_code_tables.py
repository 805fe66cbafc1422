"""Rows of code that a Java runtime makes, in the kernel's maps, with a real one; no sampling."""

from __future__ import annotations

import numpy as np
import pytest

from aperture_tui.collect.unwind.code_tables import CodeTables
from aperture_tui.collect.unwind.kernel_maps import ANONYMOUS
from aperture_tui.profile.kinds import Stop
from aperture_tui.symbolize.address_space import executable_mappings
from aperture_tui.symbolize.hotspot import unwind_rows
from tests.collect.unwind.covering import Kernel
from tests.collect.unwind.test_coverage import until
from tests.programs.java import java_of, running

pytestmark = pytest.mark.bpf


def code_rows(kernel: Kernel, pid: int) -> np.ndarray:
    """What the kernel has for a process's code, with addresses in place of pcs."""
    placed = kernel.coverage.code.of(pid, next(m for m in executable_mappings(pid) if m.path == ""))
    assert placed is not None
    with kernel.maps._window(placed.extent.first, placed.extent.rows) as rows:
        return rows.copy()


def of_code(kernel: Kernel, pid: int) -> list[np.void]:
    """Its mappings that have rows and no file."""
    base = kernel.coverage.code._caches[pid].base
    return [m for m in kernel.mappings(pid) if m["bias"] == base]


def met(kernel: Kernel, pid: int) -> None:
    kernel.coverage.cover(pid, Stop.NO_ROW)


def settle(kernel: Kernel) -> bool:
    kernel.coverage.advance()
    return True


def test_java_code_has_rows_as_soon_as_java_has_started(kernel: Kernel) -> None:
    with running(java_of()) as java:
        kernel.coverage.cover(java.pid, Stop.NO_TABLES)
        until(lambda: settle(kernel) and bool(of_code(kernel, java.pid)))
        assert all(m["table"] != ANONYMOUS for m in of_code(kernel, java.pid))
        cache = kernel.coverage.code._caches[java.pid]
        reader = cache.opening.reader
        assert reader is not None
        code = reader.code_frames()
        expected = unwind_rows.with_gaps(
            unwind_rows.rows_of(code, cache.base, reader.read), code, cache.base, cache.base
        )
        assert np.array_equal(code_rows(kernel, java.pid), expected)


def test_code_that_is_made_later_has_rows_once_the_kernel_has_met_it(kernel: Kernel) -> None:
    with running(java_of()) as java:
        kernel.coverage.cover(java.pid, Stop.NO_TABLES)
        until(lambda: settle(kernel) and bool(of_code(kernel, java.pid)))
        cache = kernel.coverage.code._caches[java.pid]
        before = cache.placed.extent
        until(lambda: met(kernel, java.pid) or cache.placed.extent is not before)  # it goes on compiling
        after = cache.placed.extent
        assert after.first != before.first, "beside the old ones, which somebody may be looking into"
        assert {int(m["table"]) for m in of_code(kernel, java.pid)} == {after.first | after.rows << 32}


def test_rows_of_a_process_that_has_ended_are_freed(kernel: Kernel) -> None:
    with running(java_of()) as java:
        kernel.coverage.cover(java.pid, Stop.NO_TABLES)
        kernel.wait()
        until(lambda: settle(kernel) and bool(of_code(kernel, java.pid)))
        taken, rows = kernel.maps.free_rows.taken, kernel.coverage.code._caches[java.pid].placed.extent.rows
        assert rows > 500
    until(lambda: java.pid not in kernel.maps.slices())
    for _ in range(3):
        kernel.coverage.sweep()
    assert kernel.maps.free_rows.taken == taken - rows
    assert not kernel.coverage.code._caches


def test_processes_whose_rows_find_no_room_are_counted_once_and_tried_again_after_pauses(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, now = 0, 0.0

    def full(_rows: int) -> None:
        nonlocal asked
        asked += 1

    code = CodeTables(kernel.maps, kernel.files, lambda: now)
    with running(java_of()) as one, running(java_of()) as other, monkeypatch.context() as patch:
        patch.setattr(kernel.files, "room", full)
        for java in (one, other):
            for moment in (100.0, 100.01, 200.0, 200.01, 300.0):
                now = moment
                assert not code.look(java.pid, executable_mappings(java.pid))
        assert asked == 2 * 3
        assert code.counts == {"code caches whose rows found no room": 2}
        assert now < code.due < float("inf")
        assert not code.waiting()
        patch.undo()
        now = 400.0
        assert set(code.waiting()) == {one.pid, other.pid}
        assert code.look(one.pid, executable_mappings(one.pid))
        assert code.counts == {"code caches whose rows found no room": 1}
        code.keep([one.pid])
        assert code.counts == {}
