"""An export at work, in a thread of its own: the store is asked as the screen asked it, and a file written.

Memory is bounded as the exporters bound it: by what a store gives in one answer. JSON goes to the file in pieces.
"""

from __future__ import annotations

import enum
import gc
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.text import clean
from aperture_tui.store.base import Estimate
from aperture_tui.store.watching import watching
from aperture_tui.tui.estimate_words import estimate_words
from aperture_tui.tui.presenter import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from aperture_tui.export.written import Written
    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import Store
    from aperture_tui.store.remote.link import Focus
    from aperture_tui.store.remote.store import RemoteStore
    from aperture_tui.tui.taking.subject import Subject

_WIDTH: Final = 100
"""Cells of a line of text in a file."""
_DEADLINE_S: Final = 120.0
"""How long an aggregator may take for each of its answers."""
_KEPT_S: Final = 30.0
_SLICES: Final = 100_000
"""Of a timeline: some 20 MB, and four times that of memory, which is what a live session has as well."""


class State(enum.Enum):
    """How an export stands."""

    WORKING = "working"
    DONE = "done"
    FAILED = "failed"
    EXISTS = "exists"
    """A file has its name, and nobody said that it may be replaced."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Progress:
    """How it stands now. words: what is being done, or why it failed. share: done of it, 0 for unknown.

    size: bytes of the file. lacks: what its reader has to know.
    """

    state: State
    words: str = ""
    share: float = 0.0
    size: int = 0
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Order:
    """What to export. form: the name of a format. what: None of a picture, which is there already."""

    form: str
    path: Path
    replace: bool
    what: Subject | None = None
    picture: bytes = b""


class _CancelledError(Exception):
    """Nobody wants it any more."""


class Export:
    """One export. How it stands is one value that its thread replaces; all else here may be called from any thread.

    store: what is looked at; None for a picture.
    """

    def __init__(self, order: Order, store: Store | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.order = order
        self._progress = Progress(State.WORKING, "asking")
        self._store = store
        self._cancelled = threading.Event()
        self._clock = clock
        self._began = clock()
        self._thread = threading.Thread(target=self._run, name="export", daemon=True)

    @property
    def progress(self) -> Progress:
        """How it stands: of what was cancelled at once that it was, whatever its thread still has to end."""
        now = self._progress
        if self._cancelled.is_set() and now.state is State.WORKING:
            return Progress(State.CANCELLED)
        return now

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return self._clock() - self._began

    @property
    def is_at_work(self) -> bool:
        """Whether its thread still does something: what was cancelled may go on to the end of a step."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def cancel(self) -> None:
        """Leave nothing behind. A step that cannot be ended goes on, and what it makes is thrown away."""
        self._cancelled.set()

    def stop(self, timeout_s: float) -> None:
        """The same, and wait so long for it: what is half written is taken away."""
        self.cancel()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    # -- in the thread

    def _run(self) -> None:
        try:
            with watching(self._go_on), _uncollected():
                self._progress = self._exported()
        except _CancelledError:
            self._progress = Progress(State.CANCELLED)
        except FileExistsError:
            self._progress = Progress(State.EXISTS)
        except OSError as error:
            name = clean(self.order.path.name)
            self._progress = Progress(State.FAILED, f"{name}: {clean(error.strerror or str(error))}")
        except Exception as error:  # whatever an exporter or an aggregator has to say of it is one line on the screen
            self._progress = Progress(State.FAILED, one_line(error))

    def _go_on(self, share: float) -> None:
        """Told by whatever takes long. Raises _CancelledError."""
        if self._cancelled.is_set():
            raise _CancelledError
        self._progress = Progress(State.WORKING, self._progress.words, share)

    def _step(self, words: str) -> None:
        self._progress = Progress(State.WORKING, words)
        self._go_on(0.0)

    def _exported(self) -> Progress:
        from aperture_tui.export.new_file import invoking_user, new_file

        order = self.order
        lacks: list[str] = []
        size = 0
        with new_file(order.path, replace=order.replace, owner=invoking_user()) as file:
            for piece in self._pieces(lacks):
                file.write(piece)
                size += len(piece)
                self._go_on(0.0)
        return Progress(State.DONE, size=size, lacks=tuple(map(clean, lacks)))

    def _pieces(self, lacks: list[str]) -> Iterator[bytes]:
        """The file. lacks: gets what its reader has to know."""
        what, store = self.order.what, self._store
        if what is None or store is None:
            yield self.order.picture
            return
        with ExitStack() as stack:
            asked = _Asked(what, store, self._go_on, stack)
            self._step("reading")
            written = asked.written(self.order.form)
            lacks += [*written.lacks, *asked.caveats()]
            self._step("writing")
            yield from written.pieces


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without collections of cycles, of which exporters make none, but so many objects that each would be long, and the
    screen stand still meanwhile: measured, 260 ms instead of 55 for one key in a hundred.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _Asked:
    """The questions of a subject, to the store that is looked at, or over a connection of our own to its aggregator.

    Trees on the screen are pruned there, and those of a file are whole.
    """

    def __init__(self, what: Subject, store: Store, watch: Callable[[float], None], stack: ExitStack) -> None:
        self._what, self._watch = what, watch
        self._local = store
        self._estimate = Estimate()
        self._aggregator: RemoteStore | None = None
        if what.remote:
            self._aggregator = _connected(cast("RemoteStore", store))
            stack.callback(self._aggregator.close)

    def _of(self, query: Query, focus: Focus) -> tuple[Store, Query]:
        """What to ask, and for what."""
        if self._aggregator is None:
            return self._local, query
        self._aggregator.watch = self._watch
        store = self._aggregator.of(focus)
        store.note = self._note
        return store, store.mine(query)

    def _note(self, estimate: Estimate) -> None:
        self._estimate = self._estimate.worse(estimate)

    def written(self, form: str) -> Written:
        """The file, in a format of the subject."""
        from aperture_tui.export.formats import DIFFERENCES
        from aperture_tui.export.written import Asked, written

        what = self._what
        if what.against is not None and form in DIFFERENCES:
            return self._difference(form)
        if len(what.queries) > 1:
            return self._together(form)
        store, query = self._of(what.queries[0], what.focus)
        return written(
            Asked(store, query, what.title, self._kinds(form), _WIDTH, slices=_SLICES, watch=self._watch), form
        )

    def _kinds(self, form: str) -> tuple[Kind, ...]:
        """A timeline and a report of GPUs have their copies and calls as well."""
        from aperture_tui.export.collected import GPU

        if self._what.kind is Kind.GPU_KERNEL:
            return GPU if form in ("perfetto", "text") else ()
        return (self._what.kind,)

    def _difference(self, form: str) -> Written:
        from aperture_tui.export.comparison import Side, caveats, compared
        from aperture_tui.export.written import Written, by_of, difference
        from aperture_tui.profile.comparable import Per

        what = self._what
        before = self._of(what.against or what.queries[0], what.base_focus)
        after = self._of(what.queries[0], what.focus)
        per = Per.RUN if what.absolute else Per.SHARE
        comparison = compared(Side("the baseline", *before), Side(what.title, *after), per)
        done = difference(comparison, form, by_of(what.kind), width=_WIDTH, watch=self._watch)
        return Written(done.pieces, caveats(comparison))

    def _together(self, form: str) -> Written:
        """Several questions as one: lines of stacks can be added."""
        from aperture_tui.export import folded, svg
        from aperture_tui.export.names import unit
        from aperture_tui.export.written import Written

        asked = (self._of(query, self._what.focus) for query in self._what.queries)
        text = folded.together(folded.of_query(store, query) for store, query in asked)
        if form == "svg":
            title, counted = self._what.title, unit(self._what.queries[0])
            text = svg.flame_graph(text, title=title, unit=counted, watch=self._watch)
        return Written([text.encode()])

    def caveats(self) -> list[str]:
        """What its reader has to know."""
        from aperture_tui.export.written import caveats

        store, query = self._of(self._what.queries[0], self._what.focus)
        told = caveats(store, query, self._kinds("perfetto"))
        return [*filter(None, [estimate_words(self._estimate)]), *told]


def _connected(store: RemoteStore) -> RemoteStore:
    """The same aggregator over a connection of our own, which has time, and whose trees are whole."""
    from aperture_tui.store.remote.store import RemoteStore

    settings = store.connection.settings
    return RemoteStore.open(settings, deadline_s=_DEADLINE_S, nodes=None, kept_s=_KEPT_S)
