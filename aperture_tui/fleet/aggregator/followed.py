"""A file of the operator's that is read again when it changes: tokens, rules of alerts."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Final, Generic, TypeVar

from aperture_tui.fleet.aggregator.refusal import LOG
from aperture_tui.profile.text import clean

_Value = TypeVar("_Value", bound=Sized)


class FollowedFile(Generic[_Value]):
    """`value` is what the file said when it was right last. `refresh` may be called from any one thread.

    parse: of its text; raises `error`, whose words are one clear line. things: what it is full of, in words. secret:
    that everybody may read it is warned of. most_bytes: a larger one is refused.
    """

    def __init__(
        self,
        path: str,
        parse: Callable[[str], _Value],
        error: type[ValueError],
        things: str,
        most_bytes: int,
        secret: bool = False,
    ) -> None:
        """Raises `error`."""
        self._path: Final = path
        self._parse: Final = parse
        self._error: Final = error
        self._things: Final = things
        self._most_bytes: Final = most_bytes
        self._is_secret: Final = secret
        self._complaint = ""
        self._seen = self._state()
        self.value: _Value = self._read()

    def refresh(self) -> None:
        """Read it again if it is another one. A broken one changes nothing, and is told of once."""
        try:
            state = self._state()
            if state == self._seen:
                return
            self.value = self._read()
            self._seen, self._complaint = state, ""
            LOG.info("%s: read again, %d %s", clean(self._path), len(self.value), self._things)
        except self._error as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                LOG.error("%s; the former %d %s stay in force", error, len(self.value), self._things)

    def _state(self) -> tuple[int, ...]:
        """What tells one content of the file from the next."""
        try:
            found = os.stat(self._path)
        except OSError as error:
            raise self._error(f"{clean(self._path)}: {error.strerror}") from error
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def _read(self) -> _Value:
        name = clean(self._path)
        try:
            with Path(self._path).open("rb") as file:
                if self._is_secret and os.fstat(file.fileno()).st_mode & stat.S_IROTH:
                    LOG.warning("%s can be read by everybody: chmod 600 %s", name, name)
                data = file.read(self._most_bytes + 1)
        except OSError as error:
            raise self._error(f"{name}: {error.strerror}") from error
        if len(data) > self._most_bytes:
            raise self._error(f"{name}: more than {self._most_bytes >> 20} MB")
        try:
            return self._parse(data.decode())
        except UnicodeDecodeError as error:
            raise self._error(f"{name}: not a text") from error
        except self._error as error:
            raise self._error(f"{name}: {error}") from error
