"""The log of a server: lines on stderr, one for each matter, whatever strangers write into it."""

from __future__ import annotations

import logging
import time
from typing import Final

from aperture_tui.profile.text import clean

_NOISY: Final = ("grpc", "asyncio", "concurrent", "clickhouse_connect", "urllib3")
"""Others, of which errors alone are told."""


class OneLine(logging.Formatter):
    """`2026-01-31T12:00:00Z WARNING words`; of an exception its name and words, and no traceback."""

    def __init__(self) -> None:
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        told = clean(record.getMessage())
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            told = f"{told.splitlines()[0] if told else ''}: {type(error).__name__}: {clean(str(error))}"
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        return f"{at} {record.levelname} {told}"


def to_stderr() -> None:
    """From now on all that is logged goes there."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine())
    handler.addFilter(_is_told)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def _is_told(record: logging.LogRecord) -> bool:
    """Asked of each line, for a level is set again by whoever likes: clickhouse_connect does urllib3's."""
    return record.levelno >= logging.ERROR or record.name.partition(".")[0] not in _NOISY
