from __future__ import annotations

from dataclasses import replace

from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Measure, Query
from aperture_tui.profile.symbols import Process, Symbols
from aperture_tui.store.memory import MemoryStore
from aperture_tui.tui import latency_lines
from aperture_tui.tui.model import Latencies, LatencyKey, LatencyLine
from aperture_tui.tui.recent import Recent
from tests.store.facts import T0, Fact, batch_of
from tests.tui.waiting import LOCKS, MMAP, PIDS, SECOND, START_NS, SYSCALLS, TABLE, filled

END = START_NS + 12 * SECOND


def _asked(kind: Kind, in_flight: bool = False, **narrowed: object) -> Latencies:
    query = replace(Query(kind, start_ns=START_NS, end_ns=END), **narrowed)  # type: ignore[arg-type]
    return latency_lines.latencies(filled(in_flight=in_flight), query, Recent())


def _line(found: Latencies, process: str, name: str) -> LatencyLine:
    return next(line for line in found.lines if (line.told.process, line.key.name) == (process, name))


def test_a_row_for_each_process_and_call_and_their_sums() -> None:
    found = _asked(Kind.SYSCALL)
    assert len(found.lines) == len(SYSCALLS)
    assert found.total_count == 12 * sum(load.calls for load in SYSCALLS)
    assert found.total_ns == sum(line.told.time_ns for line in found.lines)
    assert _line(found, "python3", "ioctl").told.count == 12 * 2000
    assert _line(found, "gunicorn", "epoll_wait").in_flight is None


def test_what_is_in_flight_stands_in_its_row_or_in_one_of_its_own() -> None:
    found = _asked(Kind.SYSCALL, in_flight=True)
    reading = _line(found, "postgres", "pread64")
    assert reading.in_flight is not None
    assert (reading.in_flight.count, reading.in_flight.maximum_ns, reading.in_flight.tid) == (3, 40 * SECOND, 2103)
    only = _line(found, "perl", "read")
    assert (only.told.count, only.told.time_ns) == (0, 0)
    assert only.in_flight is not None
    assert found.total_count == _asked(Kind.SYSCALL).total_count, "what has not ended is not counted as if it had"
    oldest = _line(found, "sshd", "poll").in_flight
    assert oldest is not None
    assert oldest.at_least


def test_rows_that_are_cut_are_counted_and_none_of_them_is_first_by_anything() -> None:
    """Many processes with much time each; few with many calls, one error, or one long call, and little time."""
    symbols = Symbols()
    many = [Fact(T0 + i, Process(100 + i, T0), kind=Kind.SYSCALL, name="read", duration_ns=10**9) for i in range(700)]
    often = Fact(T0, Process(1, T0), kind=Kind.SYSCALL, name="getppid", duration_ns=10**6, weight=5000)
    store = MemoryStore(recorded=True)
    store.append(batch_of([*many, often], symbols))
    found = latency_lines.latencies(store, Query(Kind.SYSCALL), Recent())
    assert len(found.lines) + found.left_out == 701
    assert 0 < found.left_out < 201
    assert "getppid" in {line.key.name for line in found.lines}
    assert found.total_count == 5700, "of all, also those cut off"


def test_holders_and_wakers_stand_with_their_lock() -> None:
    found = _asked(Kind.LOCK)
    table = _line(found, "postgres", "mutex table_lock")
    assert table.holders == ((2101, 240), (2104, 240))
    assert table.wakers == ((2104, 720),)
    assert _line(found, "postgres", "rwlock").holders == ()


def test_the_other_side_of_a_kernel_lock_may_be_another_process() -> None:
    found = _asked(Kind.LOCK, pids=(PIDS["gunicorn"],))
    (line,) = found.lines
    assert line.key.value == MMAP
    assert line.wakers == ((2399, 144),), "a thread of java"


def test_who_holds_a_lock_for_longer_than_the_view_is_still_known() -> None:
    store = filled(in_flight=True)
    last = Query(Kind.LOCK, start_ns=END - SECOND // 10, end_ns=END)
    found = latency_lines.latencies(store, last, Recent())
    (line,) = [line for line in found.lines if line.key.value == TABLE]
    assert line.in_flight is not None
    assert line.holders == ((2101, 240), (2104, 240))


def test_the_stacks_of_one_lock_are_those_of_its_process() -> None:
    store = filled()
    for load in LOCKS[:7]:
        start = START_NS - (PIDS[load.process] - 1000) * SECOND
        key = LatencyKey(PIDS[load.process], start, load.name, load.value)
        (told,) = (one for one in store.latencies(Query(Kind.LOCK)) if latency_lines.key_of(one) == key)
        assert (
            store.call_tree(latency_lines.of_lock(Query(Kind.LOCK, measure=Measure.TIME), key)).weight == told.time_ns
        )


def test_rates_of_the_last_seconds_are_noted_once_a_second() -> None:
    recent: Recent[LatencyKey] = Recent()
    store, query = filled(), Query(Kind.SYSCALL, start_ns=START_NS, end_ns=END + 1)
    for end in (END - 2 * SECOND, END - 2 * SECOND + 1, END - SECOND, END):
        if recent.is_due(end):
            recent.note(end, latency_lines.rates(store, query, end))
    line = _line(latency_lines.latencies(store, query, recent), "python3", "ioctl")
    assert line.recent == (2000.0, 2000.0, 2000.0)
