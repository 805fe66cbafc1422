"""What is behind the screens of `aperture-top`, and behind its reports: a session, or what was recorded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from aperture_tui.cli.arguments import Parser, filters, recorded_filters, settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from aperture_tui.filters.recorded import Recorded
    from aperture_tui.filters.told import Controls
    from aperture_tui.recording.writer import Writer
    from aperture_tui.session import Session
    from aperture_tui.store.base import Store

_LEAVE_S: Final = 1.0
"""How long a session is waited for whose last drain nobody has a use for."""


class Collecting:
    """The session behind a command: a store, and a recording if one was asked for."""

    def __init__(self, parser: Parser, chosen: argparse.Namespace, live: bool = False) -> None:
        self._parser = parser
        self._live = live
        self._chosen = chosen
        self._filters = filters(parser, chosen)  # here: wrong usage ends the program before there are screens
        if chosen.record and (problem := _unwritable(chosen.record)):
            parser.error(f"--record {chosen.record}: {problem}")
        self._session: Session | None = None
        self._writer: Writer | None = None

    def begin(self) -> Store:
        """Start collecting -> the store. Everything heavy is imported here. Raises SessionError or OSError."""
        from aperture_tui.session import Session, facts
        from aperture_tui.store.memory import MemoryStore

        what = settings(self._parser, self._chosen, live=self._live)
        store = MemoryStore()
        sinks: dict[str, Any] = {"memory": store}
        if self._chosen.record:
            sinks["recording"] = self._recording(facts(what, self._filters))
        session = Session(what, sinks, filters=self._filters)
        session.start()
        self._session = session
        return store

    def _recording(self, facts: Mapping[str, Any]) -> Writer | _NotBegun:
        """A sink for what is recorded: on a full disk one that says so, for what is shown is needed all the more."""
        from aperture_tui.recording.writer import Writer

        try:
            self._writer = Writer(self._chosen.record, facts)
        except OSError as error:
            return _NotBegun(error)
        return self._writer

    def want(self, events: frozenset[str]) -> None:
        """Collect these beside what is collected anyway. Before there is a session nothing happens: ask again then."""
        if self._session is not None:
            self._session.want(events)

    def filters(self) -> Controls | None:
        """Those at work, None while there are none."""
        return None if self._session is None else self._session.filters

    def end(self) -> str:
        """Stop, if it was started -> what failed meanwhile, in one line, or ""."""
        if self._session is None:
            return ""
        if self._live and not self._chosen.record:  # what comes last is for screens that are gone
            failure = self._session.failure
            self._session.stop(_LEAVE_S)
            return failure
        has_ended = self._session.stop()
        if self._writer is not None and has_ended:  # what else has failed: what was recorded is whole
            try:
                self._writer.close()
            except OSError as error:
                return self._session.failure or str(error)
        return self._session.failure


class _NotBegun:
    """In place of a recording that could not be begun: the session hears why, and tells it as of any sink."""

    lost = 0

    def __init__(self, error: OSError) -> None:
        why = os.strerror(error.errno) if error.errno else error
        self._error = OSError(error.errno, f"nothing is recorded: {why}", error.filename)

    def _refuse(self, _: object) -> None:
        raise self._error

    append = append_gauges = set_health = set_hosts = _refuse


def _unwritable(path: str) -> str:
    """Why no file can be written there, whatever room there is; "" where nothing is known against it."""
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path):
        return "it is a folder: give a file"
    if not os.path.isdir(folder):
        return f"there is no folder {folder}"
    there = path if os.path.exists(path) else folder
    may = os.access(there, os.W_OK, effective_ids=True)
    return "" if may else f"{'it' if there == path else f'the folder {folder}'} cannot be written"


class Recording:
    """What was recorded, behind the screens. filters: what it goes through first."""

    def __init__(self, parser: Parser, chosen: argparse.Namespace) -> None:
        self._path = chosen.replay
        self.filters: Recorded | None = recorded_filters(parser, chosen)

    def begin(self) -> Store:
        """The store. Raises RuntimeError with one clear line."""
        from aperture_tui.cli.opening import OpeningError, opened

        try:
            return opened(self._path, filters=self.filters)
        except OpeningError as error:
            raise RuntimeError(str(error)) from error

    def end(self) -> str:
        """What failed meanwhile, in one line, or ""."""
        return self.filters.failure if self.filters is not None else ""
