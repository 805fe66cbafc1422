"""What the pusher makes of a spool that is damaged, copied, or on a full disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from aperture_tui.fleet.agent.spool import UNREADABLE, Spool
from tests.fleet.agent.agents import Agent
from tests.fleet.agent.spooled import facts_of, fill, names, put
from tests.fleet.agent.taking import Serving, Taker, forgetful

pytestmark = pytest.mark.usefixtures("quick")


def test_a_copy_of_a_spool_becomes_an_agent_of_its_own(serving: Serving, taker: Taker, tmp_path: Path) -> None:
    """As when a machine is put back to a snapshot: what is collected since must not pass for what was stored."""
    spool = Spool(tmp_path / "spool", 1 << 30)
    boot = spool.boot
    fill(spool, 1)
    spool.close()
    data = {path: path.read_bytes() for path in spool.folder.iterdir()}
    spool = Spool(spool.folder, 1 << 30)
    with Agent(spool, serving.address):
        fill(spool, 4, 1)
        taker.until(lambda: spool.waiting == 0)
    spool.close()
    for path, content in data.items():
        path.write_bytes(content)
    spool = Spool(spool.folder, 1 << 30)
    fill(spool, 1, 10)
    agent = Agent(spool, serving.address)
    with agent:
        taker.until(lambda: spool.waiting == 0)
    assert spool.boot != boot
    assert any("this is a new agent now" in line for line in agent.said)
    assert set(range(100, 110)) <= set(taker.values())


def test_a_damaged_file_is_said_and_the_others_are_pushed(agent: Agent, taker: Taker, spool: Spool) -> None:
    fill(spool, 3)
    damaged = spool.folder / names(spool.folder)[1]
    damaged.write_bytes(b"nonsense" * 100)
    with agent:
        taker.until(lambda: spool.waiting == 0)
    assert taker.values() == [*range(10), *range(20, 30)]
    assert [push.head.seq for push in taker.pushes] == [1, 2]
    assert len([line for line in agent.said if "not a recording" in line]) == 1
    assert agent.pusher.health().degraded == {"files: damaged in the spool": 1}


def test_a_file_that_is_gone_does_not_hold_up_the_others(agent: Agent, taker: Taker, spool: Spool) -> None:
    fill(spool, 3)
    (spool.folder / names(spool.folder)[0]).unlink()
    with agent:
        taker.until(lambda: spool.waiting == 0)
    assert taker.values() == list(range(10, 30))
    assert any("No such file" in line for line in agent.said)


def test_events_that_are_damaged_are_counted(serving: Serving, taker: Taker, tmp_path: Path) -> None:
    said: list[str] = []
    spool = Spool(tmp_path / "spool", 1 << 30, said.append)
    agent = Agent(spool, serving.address)
    put(spool, facts_of(range(100)))
    path = spool.folder / names(spool.folder)[0]
    data = bytearray(path.read_bytes())
    at = data.index(b"ApBk\x01") + 60  # in the symbols
    data[at] ^= 255
    path.write_bytes(data)
    with agent:
        taker.until(lambda: spool.waiting == 0)
    assert spool.causes[UNREADABLE] == 100
    assert len(said) == 1
    assert "100 events without their symbols skipped" in said[0]
    assert agent.pusher.health().degraded == {"files: damaged in the spool": 1}


def test_a_full_disk_is_trouble_that_ends(
    agent: Agent, taker: Taker, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(spool, 2)
    full = True
    save = spool._ledger.save

    def failing(ledger: object) -> None:
        if full:
            raise OSError(28, "No space left on device")
        save(ledger)  # type: ignore[arg-type]

    monkeypatch.setattr(spool._ledger, "save", failing)
    with agent:
        taker.until(lambda: "No space left on device" in agent.pusher.health().message)
        full = False
        taker.until(lambda: spool.waiting == 0)
    assert taker.values() == list(range(20))


def test_after_a_restart_it_goes_on_with_what_it_began(serving: Serving, taker: Taker, spool: Spool) -> None:
    fill(spool, 3)
    taker.plan.extend([lambda *_: None, forgetful])
    taker.always = None
    agent = Agent(spool, serving.address)
    way = agent.pusher
    way.start()
    taker.until(lambda: len(taker.pushes) == 2)
    way.stop(0.0)
    spool.close()
    again = Spool(spool.folder, 1 << 30)
    with Agent(again, serving.address):
        taker.until(lambda: again.waiting == 0)
    assert taker.values() == list(range(30))
