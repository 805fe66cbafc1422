"""Who is told how far an answer is, where several threads ask one store."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_of_thread = threading.local()


def by_thread(watch: Callable[[float], None]) -> Callable[[float], None]:
    """A `Store.watch` for a store that others ask as well: of a thread in `watching` theirs is called, else this."""

    def told(share: float) -> None:
        getattr(_of_thread, "watch", watch)(share)

    return told


@contextlib.contextmanager
def watching(watch: Callable[[float], None]) -> Iterator[None]:
    """What this thread asks meanwhile tells this function how far it is; what it raises ends that answer alone."""
    before = getattr(_of_thread, "watch", None)
    _of_thread.watch = watch
    try:
        yield
    finally:
        if before is None:
            del _of_thread.watch
        else:
            _of_thread.watch = before


__all__ = ["by_thread", "watching"]
