"""The screens over an aggregator in a real terminal, driven as a person would."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aperture_tui.store.fleet_base import HostState
from tests.cli.test_screens import Terminal
from tests.store.served import TOKEN, Aggregator, serving
from tests.tui.synthetic import SECOND, START_NS
from tests.tui.waiting import filled

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux: apt-get install tmux")
NOW_NS = START_NS + 14 * SECOND


@pytest.fixture
def aggregator() -> Aggregator:
    hosts = [HostState(f"web-{i}", "shop", seen_ns=NOW_NS, events=1, interval_ms=10_000) for i in range(3)]
    return Aggregator(filled(), hosts, now_ns=lambda: NOW_NS)


@pytest.fixture
def terminal(aggregator: Aggregator, tmp_path: Path) -> Iterator[Terminal]:
    (tmp_path / "token").write_text(TOKEN)
    with serving(aggregator) as address:
        top = [sys.executable, "-m", "aperture_tui.cli.top", "--remote", address]
        terminal = Terminal(tmp_path, [*top, "--token-file", str(tmp_path / "token")])
        yield terminal
        terminal.close()


def test_from_the_hosts_to_one_of_them_and_out(terminal: Terminal) -> None:
    terminal.until(lambda: "3 hosts in 1 service" in terminal.text(), "the hosts")
    terminal.press("Down", "Enter")
    terminal.until(lambda: "web-1" in terminal.text().splitlines()[1] and "gunicorn" in terminal.text(), "the icicle")
    terminal.resize(60, 15)
    terminal.until(lambda: "gunicorn" in terminal.text(), "the icicle in another size")
    terminal.press("0")
    terminal.until(lambda: "HOST" in terminal.text(), "the hosts again")
    terminal.press("q")
    terminal.until(lambda: "STATUS=0" in terminal.text(), "the end")


def test_an_aggregator_that_goes_away_writes_nothing_on_the_screen(tmp_path: Path, aggregator: Aggregator) -> None:
    """gRPC's library has much to say of it, and would say it there."""
    (tmp_path / "token").write_text(TOKEN)
    with serving(aggregator) as address:
        top = [sys.executable, "-m", "aperture_tui.cli.top", "--remote", address, "--host", "web-2"]
        terminal = Terminal(tmp_path, [*top, "--token-file", str(tmp_path / "token")])
        terminal.until(lambda: "gunicorn" in terminal.text(), "the icicle")
    try:
        terminal.until(lambda: "! lost for" in terminal.text(), "that it is lost")
        rows = terminal.text().splitlines()
        assert "gunicorn" in terminal.text(), "the last picture stays"
        assert rows[0].startswith(" aperture")
        assert not any("goaway" in row.lower() or "chttp2" in row for row in rows)
        terminal.press("q")
        terminal.until(lambda: "STATUS=0" in terminal.text(), "the end")
    finally:
        terminal.close()
