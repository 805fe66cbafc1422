"""The agent's spool: intervals that wait on the disk to be pushed, oldest first, in bounded room.

The collecting thread closes files, the pushing thread takes the oldest. What is being pushed, and as which push, stands
in the ledger before it is sent, and its file goes when the aggregator has it; so whenever the agent is killed, nothing
that was closed is lost, and nothing is stored twice.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aperture_tui.fleet.agent import interval, spool_files
from aperture_tui.fleet.agent.ledger import Head, Ledger, LedgerError, LedgerFile
from aperture_tui.fleet.agent.spool_files import SpoolError, SpoolFile
from aperture_tui.recording.blocks import RecordingError

if TYPE_CHECKING:
    from aperture_tui.fleet.agent.interval import Interval

NO_ROOM: Final = "events: no room in the spool"
UNWRITTEN: Final = "events: could not be written"
UNREADABLE: Final = "events: damaged in the spool"
REFUSED: Final = "events: refused by the aggregator"
"""Why events are lost."""
MERGED: Final = "intervals: merged to make room"
DAMAGED: Final = "files: damaged in the spool"
"""What happened to files."""

_LEDGER: Final = "ledger"
_LEFT: Final = 0.9
"""Of the room is left in use once more had to be made."""


class Spool:
    """The folder. Its methods are marked with the thread that they belong to.

    lost: events that will never be pushed, since the spool was made; `causes` of those since this agent began.
    degraded: files that were merged, and damaged ones, since then. changed: set when a file was closed.
    """

    def __init__(self, folder: Path, limit_bytes: int, say: Callable[[str], None] = lambda _: None) -> None:
        """Take what is there. say: told in lines what should be known. Raises SpoolError, or OSError."""
        self.folder = folder
        self._limit = limit_bytes
        self._say = say
        self._lock = threading.Lock()
        self.changed = threading.Event()
        self.causes: Counter[str] = Counter()
        self.degraded: Counter[str] = Counter()
        self._newest: tuple[str, Interval] | None = None  # the name of its file
        spool_files.prepare(folder)
        try:
            self._ledger = LedgerFile(folder / _LEDGER)
        except LedgerError as error:
            raise SpoolError(str(error)) from error
        self.lost = self._ledger.present.lost
        try:
            self._files = self._recovered()
        except BaseException:
            self.close()
            raise
        self._number = max([self._ledger.present.done, *(file.last for file in self._files)])

    @property
    def boot(self) -> bytes:
        """What the aggregator knows this spool by."""
        return self._ledger.present.boot

    @property
    def head(self) -> Head | None:
        """What is being pushed."""
        return self._ledger.present.head

    @property
    def next_seq(self) -> int:
        """What the next push that is begun will be called."""
        return self._ledger.present.next

    @property
    def waiting(self) -> int:
        """Files that are not pushed yet."""
        with self._lock:
            return len(self._files)

    @property
    def bytes(self) -> int:
        """Of these."""
        with self._lock:
            return sum(file.bytes for file in self._files)

    @property
    def oldest_ns(self) -> int | None:
        """When the oldest of them was closed, Unix nanoseconds; None if there is none."""
        with self._lock:
            return self._files[0].closed_ns if self._files else None

    def close(self) -> None:
        """Let others have the folder."""
        self._ledger.close()

    def lose(self, events: int, cause: str) -> None:
        """Events will never be pushed; any thread. In the ledger it stands with the next push."""
        with self._lock:
            self.lost += events
            self.causes[cause] += events

    # -- of the collecting thread

    def next_path(self) -> Path:
        """Where the next interval is to be written."""
        self._number += 1
        return self.folder / spool_files.open_name(self._number)

    def add(self, path: Path, contents: Interval | None = None) -> None:
        """What was written there is whole. contents: just that, if it is at hand. Raises OSError.

        It saves reading the file, which costs more than all else of a push, and is kept until the next one comes.
        """
        file = spool_files.closed(path, int(path.stem.removeprefix("interval-")), self._damaged)
        if file is not None:
            with self._lock:
                self._files.append(file)
                self._newest = None if contents is None else (file.path.name, contents)
            self.changed.set()

    # -- of the pushing thread

    def begin(self) -> Head | None:
        """What is to be pushed: what was begun and is not stored yet, else the oldest file. Raises OSError."""
        with self._lock:
            oldest = self._files[0] if self._files else None
        if self.head is None and oldest is not None:
            seq = self._ledger.present.next
            self._save(head=Head(oldest.path.name, seq), next=seq + 1)
        return self.head

    def contents(self) -> Interval:
        """The events that are being pushed, with what was told beside them. Raises RecordingError, or OSError."""
        head = self._begun()
        if not head.end and (at_hand := self._at_hand(head)) is not None:
            return at_hand
        found = interval.read(self.folder / head.file)
        if found.damage and not head.first:
            self._damaged(f"{head.file}: {found.damage}")
        if head.end:
            found = replace(found, events=found.events[head.first : head.end])
        return replace(found, hosts=(), gauges=(), unread=0) if head.first else found

    def _at_hand(self, head: Head) -> Interval | None:
        """The contents of its file, once, if that is the newest one."""
        with self._lock:
            if self._newest is None or self._newest[0] != head.file:
                return None
            (_, found), self._newest = self._newest, None
        return found

    def stored(self, unread: int = 0) -> None:
        """The aggregator has it. unread: events of it that could not be read. Raises OSError."""
        self._advance(unread, UNREADABLE)

    def drop(self, cause: str) -> int:
        """It can never be pushed: how many events that is. Raises OSError."""
        head = self._begun()
        events = head.end - head.first if head.end else _counted(self.folder / head.file)
        self._advance(events, cause)
        return events

    def halve(self, of: int) -> bool:
        """Push half as many events at a time. of: those of its file. False if there are no two. Raises OSError."""
        head = self._begun()
        end = head.end or of
        if end - head.first < 2:
            return False
        self._save(head=replace(head, end=(head.first + end) // 2, of=head.of or of))
        return True

    def renumber(self, seq: int) -> None:
        """It is to be pushed as this one, which is due. Raises OSError."""
        self._save(head=replace(self._begun(), seq=seq), next=seq + 1)

    def renew(self, is_stored: bool) -> None:
        """From now on be somebody whom nobody knows. is_stored: what is being pushed. Raises OSError."""
        if is_stored:
            self._advance()
        head = self.head and replace(self.head, seq=1)
        self._save(boot=Ledger.new().boot, head=head, next=2 if head else 1)

    def trim(self) -> None:
        """Make room if there is too little: merge what is oldest, and when all is merged let go of it."""
        if self.bytes <= self._limit:
            return
        while self.bytes > self._limit * _LEFT:
            group, step_s = spool_files.mergeable(self._free())
            if not (group and self._merge(group, step_s)) and not self._drop_oldest():
                return

    # -- for itself

    def _recovered(self) -> list[SpoolFile]:
        """The files that are there, with the ledger in accord."""
        if self._ledger.damaged:
            self._say(f"{self.folder}: its ledger cannot be read: from now on this is a new agent to the aggregator")
        head = self.head
        files = spool_files.found(self.folder, self._ledger.present.done, head.file if head else "", self._damaged)
        if head is not None and head.file not in {file.path.name for file in files}:
            self._say(f"{self.folder}: {head.file} is gone, which was being pushed")
            self._save(head=None)
        return files

    def _damaged(self, line: str) -> None:
        """A file of which not everything can be read. line: which, and why."""
        self.degraded[DAMAGED] += 1
        self._say(line)

    def _begun(self) -> Head:
        head = self.head
        assert head is not None  # noqa: S101 - nobody asks before `begin` said that there is something
        return head

    def _save(self, losing: int = 0, cause: str = "", **changed: Any) -> None:
        """Write the ledger, with so many events lost. Raises OSError; then nothing has changed."""
        with self._lock:
            lost = self.lost + losing
        self._ledger.save(replace(self._ledger.present, **changed, lost=lost))
        if losing:
            self.lose(losing, cause)

    def _advance(self, losing: int = 0, cause: str = "") -> None:
        """What was being pushed is done with: on to the rest of its file, or to no file."""
        head, seq = self._begun(), self._ledger.present.next
        if head.end < head.of:
            end = min(head.of, head.end + head.end - head.first)
            rest = replace(head, seq=seq, first=head.end, end=end)
            self._save(losing, cause, head=rest, next=seq + 1)
            return
        with self._lock:
            files = [file for file in self._files if file.path.name == head.file]
        self._remove(files, losing, cause, head=None)

    def _remove(self, files: Sequence[SpoolFile], losing: int, cause: str, **changed: Any) -> None:
        """Be done with files. Raises OSError; then nothing has changed."""
        done = max([self._ledger.present.done, *(file.last for file in files)])
        self._save(losing, cause, done=done, **changed)
        with self._lock:
            self._files = [file for file in self._files if file not in files]
        for file in files:
            with contextlib.suppress(OSError):  # the next start deletes it, by the ledger
                file.path.unlink()

    # -- making room

    def _free(self) -> list[SpoolFile]:
        """All but what is being pushed, oldest first."""
        name = self.head.file if self.head is not None else ""
        with self._lock:
            return [file for file in self._files if file.path.name != name]

    def _merge(self, group: Sequence[SpoolFile], step_s: int) -> bool:
        """Make them one file; False if it cannot be written."""
        first, last = group[0], group[-1]
        temporary = self.folder / spool_files.MERGING
        path = self.folder / spool_files.merged_name(first.first, last.last, step_s)
        try:
            temporary.unlink(missing_ok=True)
            merged = interval.merged([file.path for file in group], temporary, step_s * 10**9, {})
            os.utime(temporary, ns=(last.closed_ns, last.closed_ns))
            temporary.rename(path)
            spool_files.synchronize(self.folder)
            size = path.stat().st_size
        except OSError as error:
            self._say(f"{self.folder}: intervals cannot be merged: {error.strerror}")
            return False
        for line in merged.damage:
            self._damaged(line)
        self.lose(merged.unread, UNREADABLE)
        self.degraded[MERGED] += len(group)
        one = SpoolFile(path, first.first, last.last, step_s, size, last.closed_ns)
        with self._lock:
            at = self._files.index(first)
            self._files[at : at + len(group)] = [one]
        for file in group:
            with contextlib.suppress(OSError):  # its number is within that of the other: the next start deletes it
                file.path.unlink()
        return True

    def _drop_oldest(self) -> bool:
        """Let go of the oldest files, as many as have to go; False if none can."""
        files: list[SpoolFile] = []
        excess = self.bytes - self._limit * _LEFT
        for file in self._free():
            if excess > 0:
                files.append(file)
                excess -= file.bytes
        try:
            if files:
                self._remove(files, sum(_counted(file.path) for file in files), NO_ROOM)
        except OSError as error:
            self._say(f"{self.folder}: {error.strerror}")
            return False
        return bool(files)


def _counted(path: Path) -> int:
    """The events in a file; of one that cannot be read nobody knows how many, and 0 are counted."""
    try:
        return interval.counted(path)
    except (RecordingError, OSError):
        return 0


__all__ = ["NO_ROOM", "REFUSED", "UNREADABLE", "UNWRITTEN", "Spool", "SpoolError"]
