"""Which machines have sent something, and when: what live screens are woken by, without asking the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.store.memory import AHEAD_NS

if TYPE_CHECKING:
    from aperture_tui.store.fleet_base import HostState
    from aperture_tui.store.push import Push

_MOST: Final = 100_000


class Board:
    """A row for each machine of a tenant, at most 100,000. Belongs to the event loop's thread.

    A machine whose clock is ahead of ours by more than ten seconds counts as one that is of now: it would else drag the
    end of every screen into the future. clock: Unix nanoseconds.
    """

    def __init__(self, hosts: Sequence[HostState] = (), clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self.generation = 1
        """Grows with each batch that is stored."""
        self._rows: dict[str, int] = {}
        self._services: dict[str, int] = {}
        self._shape = 0
        """Grows when another machine comes, or one is of another service."""
        self._newest = np.zeros(64, np.int64)
        self._service = np.zeros(64, np.int64)
        self._changed = np.zeros(64, np.int64)
        self._news = asyncio.Event()
        for host in sorted(hosts, key=lambda host: host.seen_ns)[-_MOST:]:
            self._note(host.name, host.service, host.newest_ns)

    def __len__(self) -> int:
        return len(self._rows)

    def stored(self, pushes: Iterable[Push]) -> None:
        """Wake those who watch the machines of these pushes."""
        self.generation += 1
        for push in pushes:
            newest = int(push.events["time_ns"].max()) + 1 if len(push.events) else 0
            newest = max(newest, *(sample.time_ns + 1 for sample in push.gauges), 0)
            self._note(push.head.agent, push.head.service, newest)
        news, self._news = self._news, asyncio.Event()
        news.set()

    def view(self, hosts: Sequence[str] = (), service: str | None = None) -> View:
        """Those of these machines, those of this service, or all."""
        return View(self, frozenset(hosts), service)

    @property
    def news(self) -> asyncio.Event:
        """Set when something is stored from now on."""
        return self._news

    def _note(self, name: str, service: str, newest_ns: int) -> None:
        row = self._rows.get(name)
        if row is None:
            row = self._new_row(name)
        number = self._services.setdefault(service, len(self._services))
        if self._service[row] != number:
            self._service[row] = number
            self._shape += 1
        believed = min(newest_ns, self._clock() + AHEAD_NS)
        self._newest[row] = max(believed, int(self._newest[row]))
        self._changed[row] = self.generation

    def _new_row(self, name: str) -> int:
        self._shape += 1
        if len(self._rows) >= _MOST:  # the machine that was not heard of for longest makes room
            row = int(self._changed.argmin())
            del self._rows[next(old for old, its in self._rows.items() if its == row)]
            self._newest[row] = 0
        else:
            row = len(self._rows)
        self._rows[name] = row
        if row == len(self._newest):
            more = min(2 * row, _MOST) - row
            self._newest, self._service, self._changed = (
                np.append(column, np.zeros(more, np.int64)) for column in (self._newest, self._service, self._changed)
            )
        return row


class View:
    """Some machines of a board, those that come later included."""

    def __init__(self, board: Board, hosts: frozenset[str], service: str | None) -> None:
        self._board = board
        self._hosts = hosts
        self._service = service
        self._shape = -1
        self._rows: NDArray[np.intp] = np.zeros(0, np.intp)

    def rows(self) -> NDArray[np.intp]:
        """(n,): which rows they are now."""
        board = self._board
        if self._shape != board._shape:
            self._shape = board._shape
            if self._hosts:
                rows = np.array([board._rows[host] for host in self._hosts if host in board._rows], np.intp)
            else:
                rows = np.arange(len(board._rows))
            if self._service is not None:
                rows = rows[board._service[rows] == board._services.get(self._service, -1)]
            self._rows = rows
        return self._rows

    @property
    def newest_ns(self) -> int:
        """The newest event or reading of theirs; 0 if there is none."""
        return int(self._board._newest[self.rows()].max(initial=0))

    def changed_since(self, generation: int) -> bool:
        """Whether something of theirs was stored after the board had this generation."""
        return bool((self._board._changed[self.rows()] > generation).any())
