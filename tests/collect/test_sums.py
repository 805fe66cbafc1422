"""Sums out of the kernel: none is lost, and none told twice."""

from __future__ import annotations

import os
import struct
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from aperture_tui.collect import bpf, calls, sums
from aperture_tui.collect.object_code import MapSpec
from aperture_tui.collect.settings import Settings
from aperture_tui.collect.sums import TOOK, Slots, Sums, slot_count
from aperture_tui.collect.syscalls.names import numbers
from tests.collect.c_structures import assert_mirrors, layout
from tests.collect.standing import standing
from tests.truth.told import started

KEY = np.dtype([("address", "<u8"), ("tid", "<u4"), ("kind", "<u4")])
ENTRIES = 1 << 15


def test_the_layout_is_that_of_the_c_structure() -> None:
    assert_mirrors(np.dtype(TOOK), layout("took.h", "took"))


class Tables:
    """The maps of bpf/took.h with one kind of sums; what programs do with them is done from here."""

    def __init__(self, entries: int = ENTRIES) -> None:
        value = np.dtype(TOOK).itemsize
        self.entries = entries
        self.maps = {
            spec.name: bpf.create_map(spec)
            for spec in (
                MapSpec("epoch", bpf.MAP_ARRAY, 4, 4, 1, 0),
                MapSpec("entries", bpf.MAP_ARRAY, 4, 8, 1, 0),
                MapSpec("things_0", bpf.MAP_HASH, KEY.itemsize, value, entries, 0),
                MapSpec("things_1", bpf.MAP_HASH, KEY.itemsize, value, entries, 0),
            )
        }
        self.sums = Sums(self.maps, {"things": KEY}, entries)

    @property
    def epoch(self) -> int:
        (which,) = struct.unpack("=I", bpf.lookup(self.maps["epoch"], bytes(4), 4) or b"")
        return int(which)

    def add(self, keys: range) -> None:
        """One of each, in the table that is being filled."""
        row, took = np.zeros(1, KEY), np.zeros(1, TOOK)
        for key in keys:
            row["address"], row["tid"] = key, key & 7
            took["n"], took["total_ns"], took["comm"] = 1, key, b"thing"
            bpf.update(self.maps[f"things_{self.epoch}"], row.tobytes(), took.tobytes())
        made = self.made + len(keys)
        bpf.update(self.maps["entries"], bytes(4), struct.pack("=Q", made))

    @property
    def made(self) -> int:
        (made,) = struct.unpack("=Q", bpf.lookup(self.maps["entries"], bytes(4), 8) or b"")
        return int(made)


@pytest.fixture
def tables(request: pytest.FixtureRequest) -> Iterator[Tables]:
    made = Tables(getattr(request, "param", ENTRIES))
    yield made
    for fd in made.maps.values():
        os.close(fd)


def read_until(tables: Tables, n: int, seconds: float = 5) -> list[np.ndarray]:
    """What comes, read by read, until there are so many rows."""
    found: list[np.ndarray] = []
    until = time.monotonic() + seconds
    while sum(map(len, found)) < n and time.monotonic() < until:
        rows = tables.sums.read()
        if rows is not None:
            found.append(rows["things"])
        time.sleep(0.02)
    return found


@pytest.mark.bpf
def test_each_entry_comes_once_with_its_key_and_its_sums(tables: Tables) -> None:
    tables.add(range(1, 11))
    (rows,) = [part for part in read_until(tables, 10) if len(part)]
    assert sorted(rows["address"].tolist()) == list(range(1, 11))
    assert (rows["total_ns"] == rows["address"]).all()
    assert (rows["tid"] == rows["address"] & np.uint64(7)).all()
    assert set(rows["comm"].tolist()) == {b"thing"}
    again = read_until(tables, 1, seconds=0.5)
    assert sum(map(len, again)) == 0


@pytest.mark.bpf
def test_a_table_is_read_whole_however_many_entries_it_has(tables: Tables) -> None:
    """20,000 are read in five chunks, whose ends fall into the midst of the hash's own chains."""
    tables.add(range(20_000))
    parts = [part for part in read_until(tables, 20_000) if len(part)]
    assert [len(part) for part in parts] == [20_000], "in one read: what stays behind is in the way of what comes"
    assert sorted(parts[0]["address"].tolist()) == list(range(20_000))


@pytest.mark.bpf
def test_what_was_summed_until_the_end_comes_with_the_last_read(tables: Tables) -> None:
    tables.sums.read()  # changes over
    tables.add(range(5))
    while tables.sums.read() is None:  # and over again, before the last ones
        time.sleep(0.02)
    tables.add(range(100, 103))
    seen = Counter(tables.sums.read_last()["things"]["address"].tolist())
    assert seen == Counter([*range(5), *range(100, 103)])


@pytest.mark.bpf
def test_the_last_read_needs_no_other_before_it(tables: Tables) -> None:
    tables.add(range(3))
    assert sorted(tables.sums.read_last()["things"]["address"].tolist()) == [0, 1, 2]


@pytest.mark.bpf
def test_a_table_rests_before_it_is_read(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that looked its entry up before the change may still add to it."""
    monkeypatch.setattr(sums, "_REST_S", 0.4)
    tables.add(range(1))
    assert tables.sums.read() is None
    changed, epoch = time.monotonic(), tables.epoch
    row, took = np.zeros(1, KEY), np.zeros(1, TOOK)
    took["n"] = 2
    bpf.update(tables.maps[f"things_{1 - epoch}"], row.tobytes(), took.tobytes())  # it adds to it
    while (rows := tables.sums.read()) is None:
        assert tables.epoch == epoch, "nor is the other one changed for it meanwhile"
        time.sleep(0.02)
    assert time.monotonic() - changed >= 0.4
    assert rows["things"]["n"].tolist() == [2]


@pytest.mark.bpf
@pytest.mark.parametrize("tables", [1000], indirect=True)
def test_a_table_that_fills_up_is_changed_over_before_its_time(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "_FIRST_S", 0.0)
    monkeypatch.setattr(sums, "_EVERY_S", 3600.0)
    before = tables.epoch
    tables.add(range(500))
    tables.sums.read()
    assert tables.epoch == before, "half full: there is time"
    tables.add(range(500, 502))
    tables.sums.read()
    assert tables.epoch != before
    assert tables.made == 0, "counted anew since"
    assert sum(map(len, read_until(tables, 502))) == 502


@pytest.mark.bpf
@pytest.mark.parametrize("first_s", [0.0, 3600.0], ids=["once a second", "at every drain"])
def test_the_time_of_sums_is_the_end_of_their_own_interval(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, first_s: float
) -> None:
    """What was counted by then is in it, what was counted since is not: it also holds for rare drains."""
    monkeypatch.setattr(sums, "_FIRST_S", first_s)
    monkeypatch.setattr(sums, "_EVERY_S", 0.1)
    added: dict[int, int] = {}
    seen = 0
    for key in range(8):
        tables.add(range(key, key + 1))
        added[key] = time.monotonic_ns()
        time.sleep(0.15)
        before = time.monotonic_ns()
        rows = tables.sums.read()
        if rows is not None and len(rows["things"]):
            seen += 1
            latest = max(added[address] for address in rows["things"]["address"].tolist())
            later = [at for address, at in added.items() if address > max(rows["things"]["address"].tolist())]
            assert latest <= tables.sums.time_ns <= min([*later, before])
    assert seen > 4


@pytest.mark.bpf
@pytest.mark.parametrize("every_s", [0.0, 0.25], ids=["changed over as often as can be", "now and then"])
def test_calls_on_all_cpus_are_counted_exactly_across_changes(monkeypatch: pytest.MonkeyPatch, every_s: float) -> None:
    monkeypatch.setattr(sums, "_EVERY_S", every_s)
    monkeypatch.setattr(sums, "_FIRST_S", 0.0)
    processes, threads, getppids = 2, 2, 1_500_000
    seen: Counter[int] = Counter()
    reads = 0
    number = numbers()["getppid"]

    def take(rows: dict[str, np.ndarray] | None) -> int:
        if rows is None:
            return 0
        found = rows["calls"]
        for pid, call, n in zip(found["pid"].tolist(), found["call"].tolist(), found["n"].tolist(), strict=True):
            seen[pid] += n * (call >> 32 & (1 << 14) - 1 == number)
        return 1

    with standing(Settings(), unwinder=False) as common:
        collector = calls.CallCollector(common, ("syscall",))
        collector.start()
        assert collector._tables is not None
        with started("calls", getppids, 0, threads) as one, started("calls", getppids, 0, threads) as other:
            programs = (one, other)
            assert len(programs) == processes
            for program in programs:
                program.go()
            while any(program.process.poll() is None for program in programs):
                reads += take(collector._tables.read())
                time.sleep(0.01)
        collector.finish()
        take(collector._tables.read_last())
        health = collector.health()
        collector.stop()
    assert {program.pid: seen[program.pid] for program in programs} == dict.fromkeys(
        (program.pid for program in programs), getppids * threads
    )
    assert all(word.lost_total == 0 for word in health)
    assert reads >= 2


@pytest.mark.bpf
def test_what_finds_no_room_is_counted_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "CALL_ENTRIES", 8)
    with standing(Settings(), unwinder=False) as common:
        collector = calls.CallCollector(common, ("syscall",))
        collector.start()
        with started("calls", 20_000, 1000, 8) as program:
            program.run()
        collector.finish()
        assert collector._tables is not None
        rows = collector._tables.read_last()["calls"]
        (health,) = collector.health()
        collector.stop()
    known = numbers()
    ours = rows[rows["pid"] == program.pid]
    of = ours["call"] >> np.uint64(32) & np.uint64((1 << 14) - 1)
    seen = sum(int(ours["n"][of == known[name]].sum()) for name in ("getppid", "open"))
    lost = health.lost["calls: table full"]
    assert lost > 0
    assert seen + lost >= 8 * 21_000, "what is lost and what is delivered make up the whole"
    assert len(rows) <= 16


# -- slots


SLOT = np.dtype([("start_ns", "<u8"), ("tid", "<u4"), ("what", "<u4")])


@pytest.fixture
def slots() -> Iterator[tuple[int, Slots]]:
    fd = bpf.create_map(MapSpec("slots", bpf.MAP_ARRAY, 4, SLOT.itemsize, 256, bpf.MMAPABLE))
    made = Slots(fd, SLOT, 256)
    yield fd, made
    made.close()
    os.close(fd)


@pytest.mark.bpf
def test_slots_tell_what_began_before_a_moment_and_goes_on(slots: tuple[int, Slots]) -> None:
    fd, read = slots
    for tid, start in ((3, 100), (4, 200), (5, 0), (6, 300)):
        bpf.update(fd, struct.pack("=I", tid), struct.pack("=QII", start, tid, 7))
    found = read.since(250)
    assert sorted(found["tid"].tolist()) == [3, 4], "one has no beginning, another one began later"
    bpf.update(fd, struct.pack("=I", 3), struct.pack("=QII", 0, 3, 7))
    assert found["start_ns"][found["tid"] == 3] == [100], "a copy"
    assert read.since(250)["tid"].tolist() == [4]
    assert read.since(1 << 63)["tid"].tolist() == [4, 6]


class _EndsMeanwhile(np.ndarray):
    """A place whose wait ends after it was found to go on, and before it is copied."""

    def __getitem__(self, key: object) -> np.ndarray:
        if isinstance(key, str):
            return np.array([100, 200], np.uint64)
        return np.array([(0, 1, 7), (200, 2, 7)], SLOT)


@pytest.mark.bpf
def test_what_ends_while_the_slots_are_read_does_not_go_on(slots: tuple[int, Slots]) -> None:
    _, read = slots
    read._slots = np.zeros(2, SLOT).view(_EndsMeanwhile)
    assert read.since(250)["tid"].tolist() == [2]


@pytest.mark.bpf
def test_slots_tell_whose_a_place_is(slots: tuple[int, Slots]) -> None:
    fd, read = slots
    bpf.update(fd, struct.pack("=I", 3), struct.pack("=QII", 0, 259, 0))
    assert read.tid_of(np.array([3, 259, 4], np.uint32)).tolist() == [259, 259, 0]


def test_there_is_a_place_for_every_thread_that_there_can_be() -> None:
    with open("/proc/sys/kernel/pid_max") as file:
        most = int(file.read())
    n = slot_count(1 << 22)
    assert n & (n - 1) == 0
    assert most <= n < 2 * most
    assert slot_count(1 << 10) == 1 << 10
