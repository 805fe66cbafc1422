"""The files of an agent's spool: what their names say, and which of them belong together.

A closed file has the numbers of the first and the last interval in it, and over how many seconds it was condensed:
`interval-000000000007-000000000012-60s.aperture`. So what was merged says by its name what is in it, and a crash before
the others are deleted leaves nothing to be stored twice.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aperture_tui.fleet.agent import interval
from aperture_tui.recording.blocks import RecordingError

MERGING: Final = "interval.merging"
"""What is being merged; it is nothing until it has a name of its own."""
STEPS_S: Final = (60, 600)
"""Into stretches of so many seconds what waits is condensed when there is no room."""

_CLOSED: Final = re.compile(r"interval-(\d{12})-(\d{12})(?:-(\d{1,6})s)?\.aperture")
_OPEN: Final = re.compile(r"interval-(\d{12})\.open")
_MERGED_BYTES: Final = 4 << 20
"""What is merged at a time has no more, unless it is one file: it takes twenty times as much memory."""


class SpoolError(RuntimeError):
    """One clear line: why a folder cannot be a spool, and what mends it."""


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """One closed file. first, last: the numbers of the intervals in it. step_s: condensed over so long, or 0.

    closed_ns: when the last of them ended, Unix nanoseconds.
    """

    path: Path
    first: int
    last: int
    step_s: int
    bytes: int
    closed_ns: int

    def holds(self, other: SpoolFile) -> bool:
        """Whether all of the other is in this one as well."""
        return self.path != other.path and self.first <= other.first and other.last <= self.last


def open_name(number: int) -> str:
    """Of an interval that is being written."""
    return f"interval-{number:012d}.open"


def merged_name(first: int, last: int, step_s: int) -> str:
    """Of several intervals."""
    return f"interval-{first:012d}-{last:012d}-{step_s}s.aperture"


def prepare(folder: Path) -> None:
    """Make the folder, for our eyes alone. One that others may read is refused. Raises SpoolError, or OSError."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    facts = folder.stat()
    if not stat.S_ISDIR(facts.st_mode):
        raise SpoolError(f"{folder}: not a folder")
    if facts.st_uid != os.geteuid():
        raise SpoolError(
            f"{folder} belongs to user {facts.st_uid}: give it to user {os.geteuid()}, or use another --spool"
        )
    if facts.st_mode & 0o077:
        raise SpoolError(f"{folder} is open to other users: chmod 700 {folder}, or use another --spool")


def found(folder: Path, done: int, head: str, say: Callable[[str], None]) -> list[SpoolFile]:
    """The closed files, oldest first. What was being written is closed; what is of no use any more is deleted.

    done: nothing up to this number is, but the file of this name, head. say: told in lines of what cannot be used.
    Raises OSError.
    """
    (folder / MERGING).unlink(missing_ok=True)
    files = sorted((_facts(path) for path in _ours(folder, _CLOSED)), key=lambda one: one.first)
    out = [
        file
        for file in files
        if file.path.name == head or (file.last > done and not any(other.holds(file) for other in files))
    ]
    for file in files:
        if file not in out:
            file.path.unlink()
    number = max([done, *(file.last for file in out)])
    for path in sorted(_ours(folder, _OPEN)):
        number += 1  # its own, unless it could not be closed when it should have been
        one = closed(path, max(number, _number(path)), say)
        if one is not None:
            out.append(one)
            number = one.last
    return out


def closed(path: Path, number: int, say: Callable[[str], None]) -> SpoolFile | None:
    """A file that was being written, as this interval from now on; None if there is nothing in it. Raises OSError."""
    try:
        empty = interval.is_empty(path)
    except RecordingError as error:
        if path.stat().st_size:  # else it was killed as it began
            say(str(error))
        empty = True
    if empty:
        path.unlink()
        return None
    target = path.with_name(f"interval-{number:012d}-{number:012d}.aperture")
    path.rename(target)
    synchronize(path.parent)
    return _facts(target)


def synchronize(folder: Path) -> None:
    """Wait until the disk has the names in it. Raises OSError."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def mergeable(files: Sequence[SpoolFile]) -> tuple[list[SpoolFile], int]:
    """Which of them, oldest first, are to become one, and over how many seconds; [] if all are merged.

    Those that were never condensed come first, and if there is but one of a stretch: that alone makes it smaller.
    """
    for before, step_s in ((0, STEPS_S[0]), (STEPS_S[0], STEPS_S[1])):
        for group in _stretches(files, before, step_s):
            if len(group) > 1 or not before:
                return group, step_s
    return [], 0


def _stretches(files: Sequence[SpoolFile], before: int, step_s: int) -> Iterator[list[SpoolFile]]:
    """Neighbours of one step that ended in the same stretch, up to what can be merged at a time."""
    group: list[SpoolFile] = []
    for file in files:
        if group and (
            file.step_s != before
            or file.closed_ns // (step_s * 10**9) != group[0].closed_ns // (step_s * 10**9)
            or sum(one.bytes for one in (*group, file)) > _MERGED_BYTES
        ):
            yield group
            group = []
        if file.step_s == before:
            group.append(file)
    if group:
        yield group


def _ours(folder: Path, name: re.Pattern[str]) -> list[Path]:
    """Regular files with a name that we give; nothing else is ever touched."""
    paths = [path for path in folder.iterdir() if name.fullmatch(path.name)]
    return [path for path in paths if stat.S_ISREG(path.lstat().st_mode)]


def _number(path: Path) -> int:
    return int(path.stem.removeprefix("interval-"))


def _facts(path: Path) -> SpoolFile:
    match = _CLOSED.fullmatch(path.name)
    assert match is not None  # noqa: S101 - only those are asked about
    facts = path.stat()
    return SpoolFile(path, int(match[1]), int(match[2]), int(match[3] or 0), facts.st_size, facts.st_mtime_ns)
