"""An agent without collectors, and an aggregator that only takes: for the tests of pushing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aperture_tui.fleet.agent import trouble
from aperture_tui.fleet.agent.spool import Spool
from tests.fleet.agent.agents import Agent
from tests.fleet.agent.taking import Serving, Taker


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for minutes."""
    monkeypatch.setattr(trouble, "_FIRST_DELAY_S", 0.02)
    monkeypatch.setattr(trouble, "_LAST_DELAY_S", 0.1)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", 1 << 30)


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
def serving(taker: Taker) -> Iterator[Serving]:
    with Serving(taker) as server:
        yield server


@pytest.fixture
def agent(spool: Spool, serving: Serving) -> Agent:
    return Agent(spool, serving.address)
