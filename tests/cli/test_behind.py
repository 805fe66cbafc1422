"""What is behind the screens: the recording that a session makes meanwhile."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aperture_tui.cli import top
from aperture_tui.cli.behind import Collecting
from aperture_tui.collect.cpu import CpuCollector
from aperture_tui.profile.event import EVENT
from aperture_tui.recording.replay import replay
from aperture_tui.session import LONGEST_STOP_S

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


@pytest.mark.parametrize("recorded", [False, True])
def test_the_last_drain_is_waited_for_where_somebody_has_a_use_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: bool
) -> None:
    """On a machine full of others it takes half a minute."""
    begun, may_end = threading.Event(), threading.Event()

    def long(self: CpuCollector, symbols: object) -> NDArray[np.void]:
        begun.set()
        while not may_end.is_set():  # at work
            pass
        return np.zeros(0, EVENT)

    record = ["--record", str(tmp_path / "it.aperture")] if recorded else []
    parser = top._parser()
    behind = Collecting(parser, parser.parse_args(record), live=True)
    behind.begin()
    monkeypatch.setattr(CpuCollector, "events", long)
    assert begun.wait(30)
    if recorded:
        threading.Timer(3.0, may_end.set).start()
    assert behind.end() == ""
    assert behind._session is not None
    assert behind._session._thread.is_alive() != recorded
    may_end.set()
    assert behind._session.stop()


def test_a_signal_leaves_a_recording_the_time_that_its_session_may_take() -> None:
    assert top._CLOSE_S > LONGEST_STOP_S
