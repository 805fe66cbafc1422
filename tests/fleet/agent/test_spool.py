"""What waits to be pushed: in order, in bounded room, and whole whenever the agent is killed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from aperture_tui.fleet.agent import interval, spool_files
from aperture_tui.fleet.agent.spool import MERGED, NO_ROOM, UNREADABLE, Spool, SpoolError
from aperture_tui.profile.kinds import ROLE_SHIFT, Kind, Role
from tests.fleet.agent.spooled import facts_of, names, put, values, written
from tests.store.conformance import HOST, SH
from tests.store.facts import T0, Fact

MINUTE = 1_700_000_040
"""Unix seconds: a whole minute, the fifth of its ten."""
BIG = 1 << 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "spool"


def test_the_oldest_comes_first_and_goes_when_it_is_stored(folder: Path) -> None:
    spool = Spool(folder, BIG)
    assert spool.begin() is None
    put(spool, facts_of([1, 2]))
    put(spool, facts_of([3]))
    head = spool.begin()
    assert head is not None
    assert (head.seq, values(spool), spool.begin()) == (1, [1, 2], head)
    spool.stored()
    head = spool.begin()
    assert head is not None
    assert (head.seq, values(spool), spool.waiting) == (2, [3], 1)
    spool.stored()
    assert (spool.begin(), spool.waiting, spool.lost, names(folder)) == (None, 0, 0, [])


def test_what_was_told_beside_events_is_there(folder: Path) -> None:
    spool = Spool(folder, BIG)
    put(spool, facts_of([1]), gauges=3)
    spool.begin()
    found = spool.contents()
    assert list(found.hosts) == [HOST]
    assert len(found.gauges) == 3


def test_after_a_restart_it_is_the_same_agent_with_the_same_push(folder: Path) -> None:
    spool = Spool(folder, BIG)
    put(spool, facts_of([1]))
    spool.begin()
    spool.stored()
    put(spool, facts_of([2]))
    put(spool, facts_of([3]))
    head, boot = spool.begin(), spool.boot
    spool.lose(7, NO_ROOM)
    spool.stored()
    head = spool.begin()
    spool.close()
    again = Spool(folder, BIG)
    assert (again.boot, again.head, values(again), again.lost) == (boot, head, [3], 7)
    again.stored()
    put(again, facts_of([4]))
    head = again.begin()
    assert head is not None
    assert (head.seq, values(again)) == (4, [4])


def test_a_number_is_never_given_twice(folder: Path) -> None:
    """The names of files that are done with must not come again."""
    seen = set()
    for value in range(3):
        spool = Spool(folder, BIG)
        put(spool, facts_of([value]))
        head = spool.begin()
        assert head is not None
        seen.add(head.file)
        spool.stored()
        spool.close()
    assert len(seen) == 3


def test_what_a_killed_agent_left_open_is_pushed_up_to_its_last_whole_block(folder: Path) -> None:
    spool = Spool(folder, BIG)
    path = spool.next_path()
    written(path, facts_of([1, 2]), gauges=1, close=False)
    whole = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"ApBk\x02half of a block")
    empty = spool.next_path()
    empty.write_bytes(b"")
    spool.close()
    said: list[str] = []
    again = Spool(folder, BIG, said.append)
    assert again.begin() is not None
    assert values(again) == [1, 2]
    assert (again.waiting, said) == (1, [])
    assert names(folder) == ["interval-000000000001-000000000001.aperture"]
    assert (folder / names(folder)[0]).stat().st_size > whole


def test_a_file_of_which_nothing_can_be_read_is_said_and_dropped(folder: Path) -> None:
    spool = Spool(folder, BIG)
    spool.next_path().write_bytes(b"\x89APERTUR and then nonsense")
    spool.close()
    said: list[str] = []
    assert Spool(folder, BIG, said.append).waiting == 0
    assert len(said) == 1
    assert "interval-000000000001.open" in said[0]


def test_the_folder_is_for_its_owner_alone(folder: Path, tmp_path: Path) -> None:
    Spool(folder, BIG).close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o750)
    with pytest.raises(SpoolError, match=f"open to other users: chmod 700 {folder}"):
        Spool(folder, BIG)
    (tmp_path / "file").write_text("")
    with pytest.raises((SpoolError, OSError), match=r"not a folder|Not a directory|File exists"):
        Spool(tmp_path / "file", BIG)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_the_folder_of_somebody_else_is_not_taken(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o700)
    os.chown(folder, 12345, 12345)
    with pytest.raises(SpoolError, match="belongs to user 12345: give it to user 0"):
        Spool(folder, BIG)


def test_two_agents_cannot_have_one_spool(folder: Path) -> None:
    spool = Spool(folder, BIG)
    with pytest.raises(SpoolError, match="another agent is using this spool") as caught:
        Spool(folder, BIG)
    assert "\n" not in str(caught.value)
    spool.close()
    Spool(folder, BIG).close()


def test_files_that_are_not_ours_stay(folder: Path, tmp_path: Path) -> None:
    folder.mkdir(parents=True, mode=0o700)
    victim = tmp_path / "victim"
    victim.write_bytes(b"x")
    others = ["notes.txt", "aperture-20260101T000000Z.aperture", "interval-1.open", "interval-000000000001.open.bak"]
    for name in others:
        (folder / name).write_text("x")
    (folder / "interval-000000000009.open").symlink_to(victim)
    (folder / "interval-000000000901-000000000901.aperture").symlink_to(victim)
    (folder / "interval-000000000902-000000000903-60s.aperture").mkdir()
    before = names(folder)
    spool = Spool(folder, 1)
    for value in range(3):
        put(spool, facts_of([value]))
    spool.trim()
    assert [name for name in names(folder) if name in before] == before
    assert victim.read_bytes() == b"x"


# -- bounded room


def minutes(spool: Spool, n: int, first: int = MINUTE, of: int = 6) -> None:
    """So many minutes of intervals with six events each that are alike, and one that is not."""
    for i in range(n * of):
        alike = facts_of([0] * 200)
        put(spool, [*alike, *facts_of([i + 1])], first + i * 60 // of, gauges=10)


def test_what_is_oldest_is_merged_before_anything_is_lost(folder: Path) -> None:
    spool = Spool(folder, BIG)
    minutes(spool, 25)
    room = spool.bytes
    spool.close()
    spool = Spool(folder, room - 1)
    spool.trim()
    assert spool.bytes < room
    assert spool.waiting > 100, "no more is merged than has to be"
    assert names(folder)[0] == "interval-000000000001-000000000006-60s.aperture"
    spool.close()
    spool = Spool(folder, room // 8)
    spool.trim()
    assert spool.bytes < room // 8
    assert names(folder)[:2] == [
        "interval-000000000001-000000000036-600s.aperture",
        "interval-000000000037-000000000096-600s.aperture",
    ]
    assert (spool.lost, spool.causes.total(), spool.degraded[MERGED] > 60) == (0, 0, True)
    assert all_of(spool) == sorted([0] * 200 * 150 + list(range(1, 151)))


def all_of(spool: Spool) -> list[int]:
    """The values of all events in it, which is empty then."""
    out: list[int] = []
    while spool.begin():
        events = spool.contents().events
        out += [v for v, n in zip(events["value"].tolist(), events["weight"].tolist(), strict=True) for _ in range(n)]
        spool.stored()
    return sorted(out)


def test_when_all_is_merged_the_oldest_goes_and_is_counted(folder: Path) -> None:
    spool = Spool(folder, 60_000)
    total = 0
    for i in range(300):
        put(spool, facts_of(range(i * 50, i * 50 + 50)), MINUTE + 10 * i)
        total += 50
        spool.trim()
        assert spool.bytes <= 60_000
    assert spool.lost > 0
    assert spool.causes[NO_ROOM] == spool.lost
    lost = spool.lost
    spool.close()
    spool = Spool(folder, BIG)
    assert spool.lost == lost
    left = all_of(spool)
    assert left == list(range(total - len(left), total)), "what is newest is left, without a hole"
    assert len(left) + lost == total


def test_what_is_being_pushed_is_neither_merged_nor_dropped(folder: Path) -> None:
    spool = Spool(folder, 1)
    put(spool, facts_of([1]), MINUTE)
    head = spool.begin()
    for i in range(3):
        put(spool, facts_of([2 + i]), MINUTE + 10 * i)
    spool.trim()
    assert (spool.head, values(spool), spool.waiting, spool.lost) == (head, [1], 1, 3)


def test_a_merged_file_has_the_newest_words_and_fewer_readings(folder: Path) -> None:
    spool = Spool(folder, BIG)
    for i in range(6):
        put(spool, facts_of([i]), MINUTE + 10 * i, gauges=10)
    found = [path for path in folder.iterdir() if path.suffix == ".aperture"]
    interval.merged(sorted(found), folder / "merged", 60 * 10**9, {})
    one = interval.read(folder / "merged")
    assert list(one.hosts) == [HOST]
    assert len(one.gauges) == 1
    assert interval.counted(folder / "merged") == 6


def test_of_a_damaged_file_the_rest_is_merged_and_the_loss_counted(folder: Path) -> None:
    said: list[str] = []
    spool = Spool(folder, 3000, said.append)
    for i in range(3):
        put(spool, [fact for v in range(100) for fact in facts_of([100 * i + v], f"g{i}")], MINUTE + 10 * i)
    damaged = folder / names(folder)[1]
    data = bytearray(damaged.read_bytes())
    at = data.index(b"ApBk\x02") + 40
    data[at : at + 4] = bytes(byte ^ 255 for byte in data[at : at + 4])
    damaged.write_bytes(data)
    spool.trim()
    assert any("damaged block" in line for line in said)
    left = all_of(spool)
    assert left == [v for v in range(300) if not 100 <= v < 200][-len(left) :]


def test_a_merge_that_cannot_be_written_costs_the_oldest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    spool = Spool(folder, 1500, said.append)
    for i in range(4):
        put(spool, facts_of([i]), MINUTE + 10 * i)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("aperture_tui.recording.writer.os.write", full)
    spool.trim()
    monkeypatch.undo()
    assert "cannot be merged: cannot write the recording: No space left on device" in said[0]
    assert spool.bytes <= 1500
    assert 0 < spool.lost < 4
    assert all_of(spool) == list(range(spool.lost, 4))


# -- in parts


def test_halves_are_pushed_one_after_the_other_also_over_restarts(folder: Path) -> None:
    spool = Spool(folder, BIG)
    put(spool, facts_of(range(10)), gauges=2)
    put(spool, facts_of([10]))
    spool.begin()
    assert spool.halve(10)
    assert spool.halve(10)
    parts, seqs, gauges = [], [], 0
    while head := spool.begin():
        parts.append(spool.contents().events["value"].tolist())
        gauges += len(spool.contents().gauges)
        seqs.append(head.seq)
        spool.close()
        spool = Spool(folder, BIG)
        assert spool.head == head
        spool.stored()
    assert parts == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10]]
    assert seqs == [1, 2, 3, 4, 5, 6]
    assert gauges == 2 + 1, "once each"
    assert names(folder) == []


def test_one_event_has_no_halves(folder: Path) -> None:
    spool = Spool(folder, BIG)
    put(spool, facts_of([1, 2]))
    spool.begin()
    assert spool.halve(2)
    assert not spool.halve(2)
    assert spool.drop("x") == 1
    assert values(spool) == [2]
    assert spool.lost == 1


def test_a_new_agent_goes_on_with_the_rest(folder: Path) -> None:
    spool = Spool(folder, BIG)
    boot = spool.boot
    put(spool, facts_of(range(4)))
    spool.begin()
    spool.halve(4)
    spool.renew(is_stored=True)
    head = spool.begin()
    assert head is not None
    assert (spool.boot != boot, head.seq, values(spool)) == (True, 1, [2, 3])
    spool.renew(is_stored=False)
    head = spool.begin()
    assert head is not None
    assert (head.seq, values(spool)) == (1, [2, 3])


def test_what_was_closed_late_keeps_its_place_at_the_end(folder: Path) -> None:
    """A file that could not be closed when it should have been has a number that is done with."""
    spool = Spool(folder, BIG)
    late = spool.next_path()
    written(late, facts_of([1]))
    put(spool, facts_of([2]))
    spool.begin()
    spool.stored()
    spool.close()
    again = Spool(folder, BIG)
    assert again.begin() is not None
    assert values(again) == [1]


def test_in_flight_words_of_a_merged_minute_are_the_newest_of_it(folder: Path) -> None:
    spool = Spool(folder, 1)
    going = Role.IN_FLIGHT << ROLE_SHIFT
    for i in range(3):
        put(spool, [Fact(T0 + i, SH, kind=Kind.LOCK, flags=going, value=i)], MINUTE + i)
    group, step_s = spool_files.mergeable(spool._free())
    assert spool._merge(group, step_s)
    spool.begin()
    assert values(spool) == [2]
    assert spool.causes[UNREADABLE] == 0
