"""What is behind the screens: the recording that a session makes meanwhile."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from aperture_tui.cli import top
from aperture_tui.collect.cpu import CpuCollector
from aperture_tui.recording.replay import replay

pytestmark = pytest.mark.bpf


def test_a_collector_that_fails_leaves_the_recording_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    events, until = CpuCollector.events, time.monotonic() + 1.5

    def broken(self: CpuCollector, symbols: object) -> object:
        if time.monotonic() > until:
            raise RuntimeError("the ring is gone")
        return events(self, symbols)  # type: ignore[arg-type]  # what it is given

    monkeypatch.setattr(CpuCollector, "events", broken)
    path = tmp_path / "busy.aperture"
    assert top.main(["--once", "--duration", "2.5", "--record", str(path)]) == 1
    assert "RuntimeError: the ring is gone" in capsys.readouterr().err
    assert not replay(path).span().cut_short, "its index is there, and the last second"
