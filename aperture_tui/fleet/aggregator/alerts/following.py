"""The file of rules, which is read again when it changes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from aperture_tui.fleet.aggregator.alerts.rules import Rule, RulesError, parsed
from aperture_tui.fleet.aggregator.refusal import LOG
from aperture_tui.profile.text import clean

_MAX_FILE: Final = 1 << 20


class RulesFile:
    """`rules` are those of the file as it was when it was right last. `refresh` may be called from any one thread."""

    def __init__(self, path: str) -> None:
        """Raises RulesError."""
        self._path = path
        self._complaint = ""
        self._seen = _state(path)
        self.rules: tuple[Rule, ...] = _read(path)

    def refresh(self) -> None:
        """Read it again if it is another one. A broken one changes nothing, and is told of once."""
        try:
            state = _state(self._path)
            if state == self._seen:
                return
            self.rules = _read(self._path)
            self._seen, self._complaint = state, ""
            LOG.info("%s: read again, %d rules", clean(self._path), len(self.rules))
        except RulesError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                LOG.error("%s; the former %d rules stay in force", error, len(self.rules))


def _state(path: str) -> tuple[int, ...]:
    """What tells one content of a file from the next. Raises RulesError."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise RulesError(f"{clean(path)}: {error.strerror}") from error
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read(path: str) -> tuple[Rule, ...]:
    """Raises RulesError."""
    name = clean(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise RulesError(f"{name}: {error.strerror}") from error
    if len(data) > _MAX_FILE:
        raise RulesError(f"{name}: more than {_MAX_FILE >> 20} MB")
    try:
        return parsed(data.decode())
    except UnicodeDecodeError as error:
        raise RulesError(f"{name}: not a text") from error
    except RulesError as error:
        raise RulesError(f"{name}: {error}") from error
