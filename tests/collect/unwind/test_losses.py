"""What finds no room in the unwinder's maps is counted and told."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from aperture_tui.collect.unwind import kernel_maps
from aperture_tui.collect.unwind.supply import Supply
from aperture_tui.profile.health import State

pytestmark = pytest.mark.bpf


def test_a_forked_process_that_finds_no_room_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_maps, "_PROCESSES", 4)
    supply = Supply()
    supply.start()
    try:
        assert supply.health().state is State.RUNNING
        assert supply.health().lost == {"forked processes: maps full": 0}
        assert supply.maps is not None
        source = "import os, sys; sys.stdin.readline(); pid = os.fork(); pid and os.waitpid(pid, 0)"
        parent = subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE)
        time.sleep(0.3)  # its exec is over
        assert supply.maps.point(parent.pid, 0, 1)
        taken = [pid for pid in (1, 2, 3, os.getpid()) if supply.maps.point(pid, 0, 1)]
        assert len(taken) == 3, "there was room for four"
        parent.communicate(b"\n", timeout=20)
        assert supply.health().lost == {"forked processes: maps full": 1}
    finally:
        supply.stop()
    assert supply.health().lost == {"forked processes: maps full": 1}, "the last word knows it as well"
