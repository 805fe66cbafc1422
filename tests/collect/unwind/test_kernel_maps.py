"""What the kernel's maps do where there is no room."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from aperture_tui.collect.unwind import kernel_maps
from aperture_tui.collect.unwind.kernel_maps import INTERPRETER, KernelMaps
from tests.collect.unwind.known_files import rows_at

pytestmark = pytest.mark.bpf


@pytest.fixture
def maps(monkeypatch: pytest.MonkeyPatch) -> Iterator[KernelMaps]:
    """With room for two processes, in each map."""
    monkeypatch.setattr(kernel_maps, "_PROCESSES", 2)
    monkeypatch.setattr(kernel_maps, "_INTERPRETERS", 2)
    made = KernelMaps()
    yield made
    made.close()


def test_a_process_without_room_is_said_to_have_none(maps: KernelMaps) -> None:
    walk = bytes(INTERPRETER.size)
    assert [maps.read_interpreter(pid, walk) for pid in (1, 2, 3, 1)] == [True, True, False, True]
    assert [maps.point(pid, 0, 1) for pid in (1, 2, 3, 1)] == [True, True, False, True]


def test_a_bank_is_made_when_files_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_maps, "_ROWS", (1 << 12,))
    maps = KernelMaps()
    alone = maps.nbytes
    places = [maps.free_rows.take(3000) for _ in range(5)]
    assert places == [0, 1 << 12, 2 << 12, 3 << 12, None]
    assert maps.nbytes == pytest.approx(alone + 3 * 8 * (1 << 12), rel=0.1)
    rows = [np.arange(3000, dtype=np.uint64) + i for i in range(4)]
    for first, of_file in zip(places, rows, strict=False):
        maps.write_rows(first, of_file)  # type: ignore[arg-type]
    for first, of_file in zip(places, rows, strict=False):
        assert np.array_equal(rows_at(maps, first, 3000), of_file)  # type: ignore[arg-type]
    maps.close()
