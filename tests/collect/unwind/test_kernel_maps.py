"""What the kernel's maps do where there is no room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aperture_tui.collect.unwind import kernel_maps
from aperture_tui.collect.unwind.kernel_maps import PYTHON, KernelMaps

pytestmark = pytest.mark.bpf


@pytest.fixture
def maps(monkeypatch: pytest.MonkeyPatch) -> Iterator[KernelMaps]:
    """With room for two processes, in each map."""
    monkeypatch.setattr(kernel_maps, "_PROCESSES", 2)
    monkeypatch.setattr(kernel_maps, "_PYTHONS", 2)
    made = KernelMaps()
    yield made
    made.close()


def test_a_process_without_room_is_said_to_have_none(maps: KernelMaps) -> None:
    walk = bytes(PYTHON.size)
    assert [maps.read_python(pid, walk) for pid in (1, 2, 3, 1)] == [True, True, False, True]
    assert [maps.point(pid, 0, 1) for pid in (1, 2, 3, 1)] == [True, True, False, True]
