"""200 kills at random moments of writing: every file opens, and nothing that was flushed is lost."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from aperture_tui.profile.health import Health
from aperture_tui.profile.query import Query
from aperture_tui.recording.replay import replay

TIMES = 200


def test_whenever_it_is_killed_what_was_flushed_is_there(tmp_path: Path) -> None:
    told = killed(tmp_path, TIMES, 7)
    assert len(told) == TIMES
    flushed_in_all = 0
    for path, flushed, given in told:
        if not Path(path).exists() or not given:
            assert not flushed
            continue
        values, health = held(path)
        assert flushed <= len(values) <= given
        assert not health.lost, "whole blocks were damaged"
        flushed_in_all += flushed
    assert flushed_in_all > 10_000


@pytest.mark.parametrize("seed", range(3))
def test_whatever_of_its_end_the_disk_has_lost_the_rest_is_there(tmp_path: Path, seed: int) -> None:
    """A kill does not part what is written at once; a power failure does."""
    for path, *_ in killed(tmp_path, 8, seed):
        if Path(path).is_dir() or not Path(path).exists():
            continue
        chance, before = random.Random(path), held(path)[0]
        size = os.path.getsize(path)
        for length in sorted((chance.randrange(1000, max(1001, size)) for _ in range(5)), reverse=True):
            os.truncate(path, min(size, length))
            values, health = held(path)
            assert values == before[: len(values)]
            assert not health.lost
            assert "cut off" in health.message or "without having been closed" in health.message


def killed(folder: Path, times: int, seed: int) -> list[tuple[str, int, int]]:
    """Where was written, the events that were flushed and those that were given away, of each."""
    command = [sys.executable, "-m", "tests.recording.crashing", str(folder), str(times), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def held(path: str) -> tuple[list[int], Health]:
    """The numbers of the events that can be read, from 0 without a hole, and the file's own word."""
    store = replay(path)
    _, events = store.selected(Query())
    values = sorted(events["value"].tolist())
    assert values == list(range(len(values))), "a hole, or one twice"
    assert store.call_tree(Query()).weight == len(values)
    health = store.health()[-1]
    store.close()
    return values, health
