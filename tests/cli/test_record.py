"""`aperture record` where what it collects with does not end."""

from __future__ import annotations

from pathlib import Path

import pytest

from aperture_tui.cli import record
from aperture_tui.recording.replay import replay


class Hanging:
    """A session on a file system that does not answer."""

    failure = "collecting hangs"

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def start(self) -> None:
        pass

    def stop(self) -> bool:
        return False


def test_a_file_that_a_thread_may_still_write_to_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two that write at once tear each other's blocks; one that was not closed can be read all the same."""
    monkeypatch.setattr("aperture_tui.collect.requirements.first_problem", lambda _: None)
    monkeypatch.setattr("aperture_tui.session.Session", Hanging)
    path = tmp_path / "x.aperture"
    assert record.run(["--duration", "0.1", "-o", str(path)]) == 1
    assert capsys.readouterr().err == "aperture record: collecting hangs (no events were recorded)\n"
    assert "without having been closed" in replay(path).health()[-1].message
