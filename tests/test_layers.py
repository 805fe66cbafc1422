"""What a start must not cost: the arrows between the rooms are import-linter's; this is what it cannot see."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import aperture_tui

_HEAVY = ("numpy", "textual", "rich", "psutil", "zstandard", "bcc", "asyncio")

_ROOMS = {
    "cli",
    "collect",
    "export",
    "filters",
    "fleet",
    "importing",
    "profile",
    "recording",
    "store",
    "symbolize",
    "tui",
    "wire",
}


def _loads(module: str) -> set[str]:
    code = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "module", ["aperture_tui.cli.top", "aperture_tui.cli.main", "aperture_tui.cli.doctor", "aperture_tui.cli.record"]
)
def test_a_command_starts_without_anything_heavy(module: str) -> None:
    """`--help` and `--version` answer at once, and the first paint waits for nothing."""
    assert not _loads(module) & set(_HEAVY)


def test_asking_what_is_missing_needs_no_numpy() -> None:
    assert not _loads("aperture_tui.collect.requirements") & {"numpy", "bcc"}


def test_the_screens_can_be_imported_before_numpy() -> None:
    """Numpy costs more than the rest of the start: the threads that need it load it after the first paint."""
    assert "numpy" not in _loads("aperture_tui.tui.app")


def test_every_room_is_known_and_says_what_it_is() -> None:
    package = Path(aperture_tui.__file__).parent
    rooms = {path.parent.name: path.read_text() for path in package.glob("*/__init__.py")}
    assert set(rooms) == _ROOMS
    assert [name for name, text in rooms.items() if not text.startswith('"""')] == []
