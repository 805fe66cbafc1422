"""What is collected becomes intervals in the spool, whatever the disk does."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from aperture_tui.fleet.agent import interval_writer
from aperture_tui.fleet.agent.interval import Interval
from aperture_tui.fleet.agent.interval_writer import IntervalWriter
from aperture_tui.fleet.agent.spool import UNWRITTEN, Spool
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostSample
from aperture_tui.profile.symbols import Symbols
from aperture_tui.recording import writer as recording_writer
from tests.fleet.agent.spooled import facts_of, values
from tests.store.conformance import HOST
from tests.store.facts import T0, batch_of

HEALTH = Health("cpu", State.RUNNING, "", 4, {"ring full": 3})


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of intervals, which stands still."""
    at = [1000.0]
    monkeypatch.setattr(interval_writer.time, "monotonic", lambda: at[0])
    return at


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", 1 << 30)


def give(writer: IntervalWriter, *some: int) -> None:
    writer.append(batch_of(facts_of(some), Symbols()))


def taken(spool: Spool) -> list[list[int]]:
    """The values of each interval."""
    out = []
    while spool.begin():
        out.append(values(spool))
        spool.stored()
    return out


def test_each_interval_is_a_file_and_the_first_is_as_long_as_it_is_told(spool: Spool, now: list[float]) -> None:
    writer = IntervalWriter(spool, {}, 10.0, first_s=3.0)
    for second in range(25):
        give(writer, second)
        now[0] += 1
    writer.close()
    assert taken(spool) == [[0, 1, 2], [*range(3, 13)], [*range(13, 23)], [23, 24]]
    assert writer.lost == 0


def test_an_interval_may_change_its_length(spool: Spool, now: list[float]) -> None:
    writer = IntervalWriter(spool, {}, 1.0)
    writer.interval_s = 2.0
    for second in range(5):
        give(writer, second)
        now[0] += 1
    writer.close()
    assert taken(spool) == [[0], [1, 2], [3, 4]]


def test_words_are_in_every_interval_and_readings_end_them_where_nothing_happens(
    spool: Spool, now: list[float]
) -> None:
    writer = IntervalWriter(spool, {"host": "x"}, 10.0)
    writer.set_hosts([HOST])
    writer.set_health([HEALTH])
    for second in range(30):
        writer.append_gauges(HostSample(T0 + second))
        now[0] += 1
    writer.close()
    found = []
    while spool.begin():
        found.append(spool.contents())
        spool.stored()
    assert [len(one.gauges) for one in found] == [10, 10, 10]
    assert all(list(one.hosts) == [HOST] and list(one.health) == [HEALTH] for one in found)


def test_fewer_readings_are_kept_where_they_are_to_be_few(spool: Spool, now: list[float]) -> None:
    writer = IntervalWriter(spool, {}, 100.0, gauges_s=10.0)
    for i in range(40):
        writer.append_gauges(HostSample(T0 + i))
        now[0] += 1.01 if i % 2 else 0.99
    writer.close()
    spool.begin()
    assert [one.time_ns - T0 for one in spool.contents().gauges] == [0, 10, 20, 30]


def test_an_interval_with_very_much_in_it_is_several(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interval_writer, "_FULL_BYTES", 5000)
    monkeypatch.setattr(recording_writer, "_FLUSH_BYTES", 1)
    writer = IntervalWriter(spool, {}, 1000.0)
    for i in range(100):
        give(writer, *range(10 * i, 10 * i + 10))
    writer.close()
    assert spool.waiting > 3
    assert sorted(v for some in taken(spool) for v in some) == list(range(1000))


class Disk:
    """That is full when it is told so. errors: how often it was."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self.errors = 0
        self._write = os.write
        monkeypatch.setattr(recording_writer.os, "write", self.write)

    def write(self, file: int, data: bytes) -> int:
        if self.full:
            self.errors += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._write(file, data)


def test_on_a_full_disk_it_goes_on_and_what_is_lost_is_counted(
    spool: Spool, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_writer, "_FLUSH_BYTES", 1)
    disk, said = Disk(monkeypatch), list[str]()
    writer = IntervalWriter(spool, {}, 10.0, say=said.append)
    writer.set_hosts([HOST])
    for second in range(60):
        disk.full = 15 <= second < 35
        give(writer, second)
        writer.append_gauges(HostSample(T0 + second))
        now[0] += 1
    writer.close()
    assert disk.errors > 2
    assert taken(spool) == [[*range(10)], [*range(10, 15)], [*range(40, 50)], [*range(50, 60)]]
    assert (writer.lost, spool.lost, dict(spool.causes)) == (25, 25, {UNWRITTEN: 25})
    assert said == [
        f"{spool.folder}: cannot write the recording: No space left on device: "
        "what is collected now is lost, and counted",
        f"{spool.folder}: can be written again",
    ]
    assert writer.problem == ""


def test_that_there_is_room_for_a_beginning_is_no_news(
    spool: Spool, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_writer, "_FLUSH_BYTES", 1)
    disk, said = Disk(monkeypatch), list[str]()
    writer = IntervalWriter(spool, {}, 10.0, say=said.append)
    for second in range(60):
        disk.full = second % 10 > 2 and second < 35
        give(writer, second)
        now[0] += 1
    writer.close()
    assert len(said) == 2
    assert taken(spool) == [[0, 1, 2], [10, 11, 12], [20, 21, 22], [30, 31, 32], [*range(40, 50)], [*range(50, 60)]]
    assert spool.lost == 28


def test_a_disk_that_is_full_at_the_end_of_an_interval_costs_its_end(
    spool: Spool, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    writer = IntervalWriter(spool, {}, 10.0)
    give(writer, 1)
    now[0] += 2
    give(writer, 2)  # both are written now
    give(writer, 3)
    disk.full = True
    writer.close()
    assert "No space left" in writer.problem
    assert taken(spool) == [[1, 2]]
    assert spool.lost == 1


def test_a_spool_that_is_gone_is_said_and_costs_no_more_than_what_it_cannot_take(
    spool: Spool, now: list[float]
) -> None:
    said: list[str] = []
    writer = IntervalWriter(spool, {}, 10.0, say=said.append)
    moved = spool.folder.rename(spool.folder.with_name("elsewhere"))
    for second in range(20):
        give(writer, second)
        now[0] += 1
    assert "No such file" in said[0]
    moved.rename(spool.folder)
    for second in range(20, 30):
        give(writer, second)
        now[0] += 1
    writer.close()
    assert writer.lost >= 10
    assert taken(spool)[-1] == [*range(20, 30)]


def test_what_is_not_closed_is_there_after_a_kill(spool: Spool, now: list[float]) -> None:
    symbols = Symbols()
    writer = IntervalWriter(spool, {}, 1000.0)
    for value in range(4):
        writer.append(batch_of(facts_of([value]), symbols))
        now[0] += 0.6
    spool.close()
    again = Spool(spool.folder, 1 << 30)
    again.begin()
    assert values(again) == [0, 1, 2], "what came in the last second was not written yet"


def test_what_is_at_hand_to_be_pushed_is_what_the_file_has(spool: Spool, now: list[float]) -> None:
    """A newer interval, symbols of two generations or a loss: then the file is read."""
    symbols = Symbols()
    writer = IntervalWriter(spool, {}, 10.0)
    writer.set_hosts([HOST])
    writer.set_health([HEALTH])
    for second in range(3):
        writer.append(batch_of(facts_of([second, 5, 5]), symbols))
        writer.append_gauges(HostSample(T0 + second))
        now[0] += 1
    writer.close()
    head = spool.begin()
    assert head is not None
    held, again = spool.contents(), spool.contents()
    assert held.symbols is symbols
    assert again.symbols is not symbols, "it is at hand once"
    assert told(held) == told(again)


def told(one: Interval) -> tuple[object, ...]:
    """All that it says."""
    symbols, events = one.symbols, one.events
    names = [name for name in events.dtype.names or () if name not in ("process", "thread", "name", "stack")]
    rows = [
        (
            *(event[name].item() for name in names),
            symbols.process_at(int(event["process"])),
            symbols.strings[event["thread"]],
            [symbols.frame_at(frame) for frame in symbols.trie.path(int(event["stack"]))],
        )
        for event in events
    ]
    return sorted(rows), list(one.hosts), list(one.gauges), list(one.health), one.unread, one.damage


def test_of_two_generations_the_file_has_all(spool: Spool, now: list[float]) -> None:
    writer = IntervalWriter(spool, {}, 10.0)
    give(writer, 1)
    give(writer, 2)
    writer.close()
    assert taken(spool) == [[1, 2]]
