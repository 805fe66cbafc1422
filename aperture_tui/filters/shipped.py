"""The filters that come with the package, by name. Free of numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aperture_tui.filters.errors import FilterError

WORDS: Final = {
    "cgroup": "one control group and those below it alone: path",
    "process_name": "processes with a text in their name, or all others: name, drop",
    "rate_limit": "at most so many events a second of a process, of which some stand for more: events_per_second",
    "redact": "hides the names of functions that have a text in them: functions (a list)",
    "slow_syscalls": "of system calls those that took as long, tagged `slow`: at_least_us",
    "stack_frame": "events whose stack has a function with a text in its name: function",
    "time_sample": "one in so many windows of time of each thread, standing for all: every, window_ms",
}
"""What each does, and its settings."""
FOLDER: Final = Path(__file__).parent / "ready"


def shipped() -> dict[str, Path]:
    """Name -> file, sorted; without those that are another one in another language."""
    files = {path.stem: path for path in sorted(FOLDER.glob("*.wasm"))}
    return {name: path for name, path in files.items() if name.rpartition("_")[0] not in files}


def found(name: str) -> Path:
    """A file as it is named, or that of a filter which is called so. Raises FilterError."""
    if name.endswith(".wasm") or "/" in name:
        return Path(name)
    known = shipped()
    if name not in known:
        raise FilterError(f"{name!r} is no file *.wasm, and none of {', '.join(known)}")
    return known[name]
