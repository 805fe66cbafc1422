"""Intervals that become one: what their tags are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aperture_tui.fleet.agent import interval
from aperture_tui.profile.batch import Batch
from aperture_tui.profile.symbols import Symbols
from aperture_tui.profile.tags import names_of
from aperture_tui.recording.writer import Writer
from tests.store.conformance import SH, STACK
from tests.store.facts import T0, Fact, batch_of


def written(path: Path, names: tuple[str, ...], tags: list[int]) -> Path:
    """A file with an event for each of these words, of weights 1, 2, 4, ..."""
    batch = batch_of([Fact(T0, SH, stack=STACK, weight=1 << i) for i in range(len(tags))], Symbols())
    batch.events["tags"] = np.array(tags)
    writer = Writer(path)
    writer.append(Batch(batch.symbols, batch.events, names))
    writer.close()
    return path


def told(one: interval.Interval) -> dict[tuple[str, ...], int]:
    """Weights by tags."""
    events = one.events
    sets = [tuple(sorted(names_of(bits, one.tags))) for bits in events["tags"].tolist()]
    return dict(zip(sets, events["weight"].tolist(), strict=True))


def test_an_agent_that_begins_anew_may_have_other_filters(tmp_path: Path) -> None:
    paths = [
        written(tmp_path / "1", ("slow", "odd"), [0, 1, 3]),
        written(tmp_path / "2", ("odd",), [1, 0]),
        written(tmp_path / "3", (), [0]),
    ]
    merged = interval.merged(paths, tmp_path / "all", 10**9, {})
    assert merged.damage == []
    one = interval.read(tmp_path / "all")
    assert told(one) == {(): 1 + 2 + 1, ("slow",): 2, ("odd", "slow"): 4, ("odd",): 1}


def test_tags_that_have_no_room_are_said(tmp_path: Path) -> None:
    many = tuple(f"tag{i:02}" for i in range(16))
    paths = [written(tmp_path / "1", many, [0xFFFF]), written(tmp_path / "2", ("last", "tag03"), [3])]
    (line,) = interval.merged(paths, tmp_path / "all", 10**9, {}).damage
    assert "without their tags last" in line
    assert told(interval.read(tmp_path / "all")) == {many: 1, ("tag03",): 1}
