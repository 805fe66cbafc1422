"""Opening what was recorded: our own files and folders of them, and profiles of other tools."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from aperture_tui.filters.recorded import Recorded
    from aperture_tui.store.base import Store


class OpeningError(Exception):
    """One clear line: what cannot be opened, and why."""


def opened(path: str, watch: Callable[[float], None] | None = None, filters: Recorded | None = None) -> Store:
    """A recording, a folder of them, or what another tool has written, as a store. Raises OpeningError.

    watch: told how much has been read, 0 to 1, of a file that is read at once, and later of what each answer needs.
    filters: what all its events go through before any answer has them.
    """
    from aperture_tui.recording.replay import RecordingError, is_recording, replay

    try:
        ours = os.path.isdir(path) or (os.path.isfile(path) and is_recording(path))  # a pipe is read but once
        store: Store = replay(path, filters) if ours else _imported(path, watch, filters)
    except RecordingError as error:
        raise OpeningError(str(error)) from error
    except OSError as error:
        raise OpeningError(f"{path}: {error.strerror or error}") from error
    if watch is not None:
        store.watch = watch
    return store


def _imported(path: str, watch: Callable[[float], None] | None, filters: Recorded | None) -> Store:
    """What is not ours: its readers are imported only for it. Raises OpeningError."""
    from aperture_tui.importing.opened import ImportingError, imported

    try:
        other = imported(path, watch=watch, filters=filters)
    except ImportingError as error:
        raise OpeningError(str(error)) from error
    if other is None and os.path.isfile(path) and not os.path.getsize(path):
        raise OpeningError(f"{path}: this file is empty")
    if other is None:
        raise OpeningError(f"{path}: not a recording of aperture, nor folded stacks, pprof or the text of perf script")
    return other
