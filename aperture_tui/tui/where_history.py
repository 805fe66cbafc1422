"""The filter lines that were used, in a file of one's own: what cannot be read or written there is only not kept.

The file is nobody else's: not read if another user could have written it, not written where another user's files are,
as when root works with somebody's home.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

from aperture_tui.profile.where import LONGEST, WhereError, parse

MOST: Final = 100
_BYTES: Final = 4 * MOST * LONGEST
_NAME: Final = "filter-lines"


def place() -> Path:
    """The folder that it is in: $XDG_STATE_HOME/aperture."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".local" / "state") / "aperture"


class WhereHistory:
    """The lines, oldest first. Belongs to the screens' thread. kept: why they are not in a file, "" if they are."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._lines: list[str] | None = None
        self.problem = ""

    @property
    def lines(self) -> list[str]:
        """Read when they are first asked for."""
        if self._lines is None:
            self._lines = []
            with contextlib.suppress(RuntimeError, OSError):  # no home
                self._folder = self._folder or place()
                self._lines = _read(self._folder / _NAME)
        return self._lines

    def add(self, line: str) -> None:
        """One more, the newest; the same line is there once."""
        lines = [one for one in self.lines if one != line]
        self._lines = [*lines, line][-MOST:]
        if self._folder is None:
            return
        try:
            _write(self._folder, self._lines)
            self.problem = ""
        except OSError as error:
            self.problem = f"not kept: {error.strerror or error}"


def _read(file: Path) -> list[str]:
    """Its lines, as far as they are any. Raises OSError."""
    opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(opened, "rb") as stream:
        told = os.fstat(opened)
        if not stat.S_ISREG(told.st_mode) or told.st_uid != os.geteuid() or told.st_mode & 0o022:
            return []
        text = stream.read(_BYTES).decode("utf-8", "replace")
    return [line for line in text.split("\n") if line and _is_line(line)][-MOST:]


def _is_line(line: str) -> bool:
    try:
        return bool(parse(line))
    except WhereError:
        return False


def _write(folder: Path, lines: list[str]) -> None:
    """Whole or not at all. Raises OSError."""
    _own(folder)
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    name = f".{_NAME}-{os.urandom(8).hex()}"
    try:
        told = os.fstat(opened)
        if told.st_uid != os.geteuid() or told.st_mode & 0o022:
            raise PermissionError(0, f"{folder} is not this user's own")
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=opened)
        try:
            with open(file, "w", encoding="utf-8") as stream:
                stream.write("".join(f"{line}\n" for line in lines))
            os.rename(name, _NAME, src_dir_fd=opened, dst_dir_fd=opened)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=opened)
            raise
    finally:
        os.close(opened)


def _own(folder: Path) -> None:
    """Make the folder, where it would be in one of this user's own. Raises OSError."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if there != folder and os.stat(there).st_uid != os.geteuid():
        raise PermissionError(0, f"{there} is another user's")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
