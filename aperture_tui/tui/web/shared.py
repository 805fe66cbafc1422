"""One store for several readers, each of which asks in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from aperture_tui.store.base import Estimate, Store


class _Callbacks(threading.local):
    """What each thread that asks is told by."""

    def __init__(self) -> None:
        self.watch: Callable[[float], None] = lambda _: None
        self.note: Callable[[Estimate], None] = lambda _: None


class Shared:
    """A store as one of several readers has it: `watch` and `note` are the reader's own, in whose thread a store calls
    them. Everything else is the store's.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._of = _Callbacks()
        store.watch = lambda share: self._of.watch(share)
        store.note = lambda estimate: self._of.note(estimate)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @property
    def watch(self) -> Callable[[float], None]:
        """Told how far an answer is, in the thread that asks."""
        return self._of.watch

    @watch.setter
    def watch(self, watch: Callable[[float], None]) -> None:
        self._of.watch = watch

    @property
    def note(self) -> Callable[[Estimate], None]:
        """Told how exact an answer is, in the thread that asks."""
        return self._of.note

    @note.setter
    def note(self, note: Callable[[Estimate], None]) -> None:
        self._of.note = note


def shared(store: Store) -> Store:
    """The store, for any number of readers."""
    return cast("Store", Shared(store))
