"""What an agent must not forget, whatever becomes of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from aperture_tui.fleet.agent.ledger import LedgerFile
from aperture_tui.fleet.agent.spool import Spool
from tests.fleet.agent.spooled import facts_of, put, values

BIG = 1 << 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "spool"


def test_a_ledger_that_was_torn_is_what_it_was_before(folder: Path) -> None:
    spool = Spool(folder, BIG)
    boot = spool.boot
    put(spool, facts_of([1]))
    head = spool.begin()
    spool.close()
    ledger = LedgerFile(folder / "ledger")
    place = ledger.present.number % 2 * 4096
    ledger.close()
    with (folder / "ledger").open("r+b") as file:
        file.seek(place + 20)
        file.write(b"????")
    again = Spool(folder, BIG)
    assert again.boot == boot
    assert (again.head, again.begin()) == (None, head), "as if it had not been begun"


def test_a_ledger_that_cannot_be_read_makes_a_new_agent_and_is_said(folder: Path) -> None:
    spool = Spool(folder, BIG)
    boot = spool.boot
    put(spool, facts_of([1]))
    spool.begin()
    spool.close()
    (folder / "ledger").write_bytes(b"nonsense")
    said: list[str] = []
    again = Spool(folder, BIG, said.append)
    assert again.boot != boot
    assert [line for line in said if "ledger cannot be read" in line] == said != []
    assert again.begin() is not None
    assert values(again) == [1]


def test_a_ledger_needs_no_more_room_once_it_is_made(folder: Path) -> None:
    spool = Spool(folder, BIG)
    before = (folder / "ledger").stat()
    for value in range(20):
        put(spool, facts_of([value]))
        spool.begin()
        spool.stored()
    after = (folder / "ledger").stat()
    assert (after.st_size, after.st_blocks, after.st_ino) == (before.st_size, before.st_blocks, before.st_ino)
    assert b'"next": 21' in (folder / "ledger").read_bytes(), "people can read it"


def test_a_file_that_somebody_deleted_while_it_was_pushed_is_said(folder: Path) -> None:
    spool = Spool(folder, BIG)
    put(spool, facts_of([1]))
    head = spool.begin()
    spool.close()
    assert head is not None
    (folder / head.file).unlink()
    said: list[str] = []
    again = Spool(folder, BIG, said.append)
    assert (again.begin(), again.next_seq) == (None, 2)
    assert "is gone" in said[0]
