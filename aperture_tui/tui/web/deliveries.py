"""Files that the app has made for the browser: each can be fetched once."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TextIO

from textual import events

if TYPE_CHECKING:
    from textual.app import App

_MOST: Final = 8


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file. encoding: of one that gives text. app, key, name: whom to tell of its end, and how it is called there."""

    file: BinaryIO | TextIO
    file_name: str
    mime_type: str
    encoding: str
    app: App[Any]
    key: str
    name: str | None

    def read(self, size: int) -> bytes:
        """So many bytes, or characters, more; b"" at the end. Raises OSError or ValueError."""
        data = self.file.read(size)
        return data.encode(self.encoding, "replace") if isinstance(data, str) else data

    def end(self, error: BaseException | None = None) -> None:
        """Close it, and tell the app. Any thread."""
        self.file.close()
        told = (
            events.DeliveryComplete(self.key, None, self.name)
            if error is None
            else events.DeliveryFailed(self.key, error, self.name)
        )
        self.app.post_message(told)


class Deliveries:
    """Those that wait for the browser of one page: a few. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, Delivery] = OrderedDict()

    def add(self, delivery: Delivery) -> str:
        """Wait for the browser -> the key by which it is asked for."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            self._waiting[key] = delivery
            old = [self._waiting.popitem(last=False)[1] for _ in range(len(self._waiting) - _MOST)]
        for one in old:
            one.end(TimeoutError("it was not fetched"))
        return key

    def take(self, key: str) -> Delivery | None:
        """The file of this key; it is not there a second time."""
        with self._lock:
            return self._waiting.pop(key, None)

    def close(self) -> None:
        """Nobody comes any more."""
        with self._lock:
            left = list(self._waiting.values())
            self._waiting.clear()
        for one in left:
            one.file.close()
