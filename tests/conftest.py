"""What every test shares: the `bpf` marker, hypothesis's settings, and a count of what was skipped and why."""

from __future__ import annotations

import os
from collections import Counter
from functools import lru_cache

import pytest
from hypothesis import settings

from aperture_tui.collect import requirements

settings.register_profile("aperture", deadline=None, print_blob=True)  # a busy machine is not a failure
settings.load_profile("aperture")


@lru_cache(maxsize=1)
def _bpf_problem() -> str | None:
    return requirements.first_problem("cpu")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `bpf` need a kernel that lets us; with APERTURE_REQUIRE_BPF=1 its absence is a failure."""
    if item.get_closest_marker("bpf") is None:
        return
    problem = _bpf_problem()
    if problem is None:
        return
    if os.environ.get("APERTURE_REQUIRE_BPF", "") not in ("", "0"):
        pytest.fail(f"APERTURE_REQUIRE_BPF is set, and BPF programs cannot be loaded: {problem}", pytrace=False)
    pytest.skip(f"BPF programs cannot be loaded: {problem}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each reason to skip, so that a run without BPF or inferno does not look like a whole one."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        words = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[words.removeprefix("Skipped: ")] += 1
    if reasons:
        terminalreporter.section("not tested")
    for reason, n in reasons.most_common():
        terminalreporter.line(f"{n} skipped: {reason}")


_LAST = (
    "tests/fleet/",
    "tests/store/clickhouse/",
    "tests/store/test_remote.py",
    "tests/cli/test_remote",
    "tests/tui/test_remote.py",
)
"""Where ClickHouse runs in this process, or on this machine: its threads go on working, and open and close files."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What ClickHouse has a part in comes last: what is measured of this machine is not to be its background work."""
    items.sort(key=lambda item: item.nodeid.startswith((*_LAST, "tests/test_bench_fleet.py")))
