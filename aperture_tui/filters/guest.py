"""A filter's program ready for batches: an instance that was configured, with the arena that batches go through."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aperture_tui.filters import abi
from aperture_tui.filters.errors import FaultError, FilterError, one_line
from aperture_tui.filters.instance import Instance
from aperture_tui.filters.tables import FIRST, Layout, Rows, Tables
from aperture_tui.profile.tags import LONGEST_TAG, MAX_TAGS

if TYPE_CHECKING:
    from aperture_tui.filters.engine import Engine
    from aperture_tui.filters.log import Log
    from aperture_tui.filters.module import Module
    from aperture_tui.profile.symbols import Symbols

_BEFORE: Final = np.repeat(np.array([1, 0], "<u4"), abi.MAX_BATCH).tobytes()
"""Verdicts and tags as a program finds them: of its middle 4 bytes an event to either side."""
_FEW: Final = 256
"""Events up to which putting everything together costs less than copying it piece by piece."""
_WEIGHED_EVERY: Final = 64  # calls


class Judged(NamedTuple):
    """What a program said of a batch: n uint32 each, as bytes. tags: None if it has none to give.

    hidden: (m,) bool of the frames from first_frame on, those that were new to the program: which names to hide.
    """

    verdicts: bytes
    tags: bytes | None
    first_frame: int
    hidden: NDArray[np.bool_] | None


class NoRoomError(FaultError):
    """The tables have outgrown the arena. capacity: what would do."""

    def __init__(self, capacity: Rows) -> None:
        super().__init__("the tables have outgrown its arena")
        self.capacity = capacity


class Guest:
    """One thread at a time may use it; any may read memory_bytes, the size of its memory without the part of the
    arena that was never touched, as it was lately. version: of the ABI, that it was built for. tags: the names of its
    tags, that of bit 0 first.

    Raises FaultError when the program fails on its way, FilterError when it refuses its configuration or does not keep
    the contract.
    """

    def __init__(self, engine: Engine, module: Module, config: str, log: Log, capacity: Rows = FIRST) -> None:
        layout = Layout.of(capacity)
        if layout.size > abi.MEMORY_BYTES:
            needed = f"{layout.size >> 20} MB for the session's tables"
            raise FaultError(f"it would need {needed}; it may have {abi.MEMORY_BYTES >> 20} MB")
        with engine.clock:
            self.instance = Instance(engine, module, log)
            try:
                self.version = self._checked_version()
                self._arena = self.instance.reserved(layout.size)
                if "ap_configure" in module.exports:
                    self._configure(config.encode(), log)
                self.tags = self._tag_names() if "ap_tags" in module.exports else ()
            except BaseException:
                self.close()
                raise
        self._layout = layout
        self._header = _header(layout)
        self._n, self._events, self._tags = self._header["n_events"], self._header["events"], self._header["tags"]
        self._flags = self._header["flags"]
        self._now, self._sequence = self._header["now_ns"], self._header["sequence"]
        self._flags[0] = abi.FIRST_BATCH
        self._calls = 0
        self._tables = Tables(layout, self._header)
        self._weigh()

    def judge(self, symbols: Symbols, events: NDArray[np.void], now_ns: int, lost: bool) -> Judged:
        """Have the program decide about a batch: (n,) of EVENT, contiguous, n at most MAX_BATCH.

        The engine's clock must be entered. lost: events were lost before it. Raises FaultError, after which the
        instance must not be used again, but for NoRoomError, for which it was not asked.
        """
        n, instance, ticks = len(events), self.instance, abi.TICKS
        first_frame = -1
        if (news := self._tables.news(symbols)) is not None:
            if (capacity := self._tables.needed(news)) is not None:
                raise NoRoomError(capacity)
            rows, first_frame = self._tables.write(symbols, news, instance.base + self._arena)
            ticks += rows // abi.ROWS_PER_TICK
            self._weigh()
        self._n[0] = n
        self._tags[0] = tags = self._layout.batch + 4 * n
        self._events[0] = tags + 4 * n
        self._now[0] = now_ns
        if lost:
            self._flags[0] |= abi.LOST_BEFORE
        self._copy_in(n, events)
        if error := instance.call("ap_on_batch", self._arena, ticks=ticks):
            raise FaultError(f"ap_on_batch gave the error {error}")
        self._flags[0] = 0
        self._sequence[0] = self._calls = self._calls + 1
        if not self._calls % _WEIGHED_EVERY:
            self._weigh()
        return self._read(n, tags, first_frame)

    def _copy_in(self, n: int, events: NDArray[np.void]) -> None:
        """The header, and behind it verdicts, tags and events."""
        at = self.instance.base + self._arena
        before = _BEFORE[4 * (abi.MAX_BATCH - n) : 4 * (abi.MAX_BATCH + n)]
        if n <= _FEW:
            data = self._header.tobytes() + before + events.tobytes()
            ctypes.memmove(at, data, len(data))
            return
        head = self._header.tobytes() + before
        ctypes.memmove(at, head, len(head))
        ctypes.memmove(at + len(head), events.ctypes.data, events.nbytes)

    def _read(self, n: int, tags_at: int, first_frame: int) -> Judged:
        """Verdicts and tags: the arena is inside of its memory, which never shrinks, though it may have moved."""
        at, layout = self.instance.base + self._arena, self._layout
        verdicts = ctypes.string_at(at + layout.batch, 4 * n)
        tags = ctypes.string_at(at + tags_at, 4 * n) if self.tags else None
        if first_frame < 0:
            return Judged(verdicts, tags, first_frame, None)
        marks = ctypes.string_at(at + layout.redacted + first_frame, self._tables.held.frames - first_frame)
        return Judged(verdicts, tags, first_frame, np.frombuffer(marks, np.uint8) != 0)

    def _weigh(self) -> None:
        untouched = self._layout.size - Layout.of(self._tables.held).size
        self.memory_bytes = self.instance.memory_bytes - untouched

    def _checked_version(self) -> str:
        version = self.instance.call("ap_abi_version")
        major, minor = version >> 16, version & 0xFFFF
        if major != abi.MAJOR or minor > abi.MINOR:
            ours = f"{abi.MAJOR}.{abi.MINOR}"
            raise FilterError(f"it was built for version {major}.{minor} of the filter ABI; this is {ours}")
        return f"{major}.{minor}"

    def _configure(self, config: bytes, log: Log) -> None:
        at = self.instance.reserved(len(config))
        self.instance.write(at, config)
        before = log.said_ever
        if code := self.instance.call("ap_configure", at, len(config)):
            why = log.lines[-1].text if log.said_ever > before else f"ap_configure gave {code}"
            raise FilterError(f"it refuses its configuration {one_line(config, 80)}: {one_line(why, 150)}")

    def _tag_names(self) -> tuple[str, ...]:
        at = self.instance.call("ap_tags")
        try:
            text = self.instance.text(at, abi.MAX_TAGS_TEXT).decode()
        except UnicodeDecodeError:
            raise FilterError("the names of its tags are not UTF-8") from None
        names = tuple(one_line(name, LONGEST_TAG) for name in text.split(",")) if text.strip() else ()
        if len(names) > MAX_TAGS:
            raise FilterError(f"it has {len(names)} tags: there may be {MAX_TAGS}")
        if "" in names or len(set(names)) < len(names):
            raise FilterError(f"its tags are not {len(names)} different names: {one_line(text, 80)}")
        return names

    def close(self) -> None:
        """Give its memory back."""
        self.instance.close()


def _header(layout: Layout) -> NDArray[np.void]:
    out = np.zeros(1, abi.HEADER)
    for name in ("strings", "frames", "stacks", "processes", "redacted"):
        out[name] = getattr(layout, name)
    out["verdicts"] = layout.batch
    out["magic"], out["major"], out["minor"] = abi.MAGIC, abi.MAJOR, abi.MINOR
    out["header_size"], out["event_size"] = abi.HEADER.itemsize, abi.EVENT.itemsize
    return out
