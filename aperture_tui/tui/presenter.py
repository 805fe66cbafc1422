"""The thread between the store and the screen.

The screen posts the newest request into a slot and goes on; the presenter asks the store, at once for a new request
and at the refresh rate otherwise, and leaves the newest answer in another slot. Both slots hold one thing: whoever is
slow skips, and nothing queues up. Of a recording there is nothing new to ask for: only requests are answered. numpy is
imported here, after the first paint.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from aperture_tui.profile.text import clean
from aperture_tui.store.watching import by_thread
from aperture_tui.tui.density.model import NO_SCALE
from aperture_tui.tui.forms.model import TREE
from aperture_tui.tui.gpu.model import NO_LANES
from aperture_tui.tui.model import ViewRequest, ViewSnapshot
from aperture_tui.tui.terminal import name_thread

if TYPE_CHECKING:
    from aperture_tui.store.base import Store
    from aperture_tui.store.remote.store import RemoteStore
    from aperture_tui.tui.density.answer import InTime

_STALE_S: Final = 0.5
"""An answer that has waited longer for a screen that could not paint is made again."""
_FIRST_S: Final = 0.05
"""How soon to look again while the store holds nothing: somebody waits for the first picture."""


class _SupersededError(Exception):
    """Nobody waits for this answer any more."""


class Presenter:
    """Owns the store's questions. `ask`, `take`, `set_rate` and `stop` belong to the screen's thread.

    connect: gives the store; may take its time, and may raise. notify: called in the presenter's thread when an answer
    waits; it must only post a message. recorded: what the store holds never changes. remote: it is a RemoteStore.
    baseline: opens the recording that pictures may be compared with.
    """

    def __init__(
        self,
        connect: Callable[[], Store],
        notify: Callable[[], None],
        refresh_hz: float,
        recorded: bool = False,
        remote: bool = False,
        baseline: Callable[[], Store] | None = None,
    ) -> None:
        self._connect = connect
        self._notify = notify
        self._recorded, self._remote, self._baseline = recorded, remote, baseline
        self._period_s = 1 / refresh_hz
        self._lock = threading.Condition()
        self._request: ViewRequest | None = None
        self._asked = False
        self._answer: ViewSnapshot | None = None
        self._given_at = 0.0
        self._overdue = False
        self._stopping = False
        self.store: Store | None = None
        """What is asked, once it is there: for who asks it in a thread of their own (`store.watching`)."""
        self._thread = threading.Thread(target=self._run, name="presenter", daemon=True)

    def start(self) -> None:
        """Connect, then answer."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End, after what is being done."""
        with self._lock:
            self._stopping = True
            self._lock.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def ask(self, request: ViewRequest) -> None:
        """Answer this from now on, first at once."""
        with self._lock:
            if request != self._request:
                self._request = request
                self._asked = True
                self._lock.notify()

    def set_rate(self, refresh_hz: float) -> None:
        """Answer so often."""
        with self._lock:
            if self._period_s != 1 / refresh_hz:
                self._period_s = 1 / refresh_hz
                self._lock.notify()

    def take(self) -> ViewSnapshot | None:
        """The newest answer, if it was not taken before. One that has grown old is not given: a new one comes."""
        with self._lock:
            answer, self._answer = self._answer, None
            waited = time.monotonic() - self._given_at
            if answer is not None and waited > _STALE_S and not (self._recorded or answer.fatal):
                answer, self._overdue = None, True
            self._lock.notify()
        return answer

    def _run(self) -> None:
        try:
            store = self._connect()
        except Exception as error:  # whatever keeps it from starting is shown in place, as one line
            self._give(ViewSnapshot(ViewRequest(1), error=one_line(error), fatal=True))
            return
        name_thread("ui: presenter")  # now: collecting threads that it has started would be called the same
        store.watch = by_thread(self._go_on)
        self.store = store
        answers = self._answers(store)
        last: ViewSnapshot | None = None
        more = False
        due = time.monotonic()
        while (work := self._next(due, more)) is not None:
            request, tick = work
            started = time.perf_counter()
            try:
                snapshot = answers.answer(request, fresh=tick)
            except _SupersededError:
                continue
            except Exception as error:  # shown as one line, with the last good answer; the next tick tries again
                shown = last if last is not None and _is_alike(last.request, request) else ViewSnapshot(request)
                snapshot = replace(shown, request=request, error=one_line(error))
            else:
                last = snapshot
            more = snapshot.density is not None and snapshot.density.more and not snapshot.error
            self._give(replace(snapshot, cost_ms=1e3 * (time.perf_counter() - started)))
            if tick:
                due = time.monotonic() + (self._period() if snapshot.span.events else _FIRST_S)

    def _answers(self, store: Store) -> InTime:
        from aperture_tui.tui.density.answer import InTime

        if self._remote:
            from aperture_tui.tui.remote_answer import RemoteAnswers

            of_remote = RemoteAnswers(cast("RemoteStore", store))
            return InTime(of_remote, store, recorded=False, interval_ns=of_remote.interval_ns)
        from aperture_tui.tui.answer import Answers

        return InTime(Answers(store, self._recorded, self._baseline), store, self._recorded)

    def _go_on(self, _share: float) -> None:
        """Asked by a store at each step of a long answer. Raises _SupersededError to end it."""
        with self._lock:
            if self._stopping or self._asked:
                raise _SupersededError

    def _period(self) -> float:
        with self._lock:
            return self._period_s

    def _next(self, due: float, more: bool) -> tuple[ViewRequest, bool] | None:
        """Wait for something to do -> the request and whether fresh data is due; None at the end.

        more: the last answer was a part of what was asked for.
        """
        with self._lock:
            while not self._stopping:
                late = time.monotonic() - due
                # a screen that has not taken the last one is too slow
                tick = (late >= 0 or self._overdue) and self._answer is None and not self._recorded
                if self._request is not None and (self._asked or tick or (more and self._answer is None)):
                    self._asked = self._overdue = False
                    return self._request, tick
                idle = late >= 0 or self._request is None or self._recorded
                self._lock.wait(None if idle else -late)
        return None

    def _give(self, answer: ViewSnapshot) -> None:
        with self._lock:
            first = self._answer is None
            self._answer, self._given_at = answer, time.monotonic()
        if first:
            self._notify()


def _is_alike(one: ViewRequest, other: ViewRequest) -> bool:
    """Whether the answer to one may stand for that to another: only its size, order or search is different."""
    same = {"width": 0, "zoom": (), "by_weight": False, "search": "", "lanes": NO_LANES, "form": TREE}
    same["scale"] = NO_SCALE
    return replace(one, **same) == replace(other, **same)  # type: ignore[arg-type]


def one_line(error: BaseException) -> str:
    """An error as a reader of the screen needs it."""
    said = str(error)
    if isinstance(error, OSError) and error.strerror:  # not its number, and the file first, as the commands say it
        said = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = clean(" ".join(said.split())) or type(error).__name__
    return text if isinstance(error, OSError | ValueError | RuntimeError) else f"{type(error).__name__}: {text}"
