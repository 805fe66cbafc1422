"""The text that `perf script` prints, with stacks or without.

Times are seconds of a clock that began at some boot: their differences are kept, and the last sample is put at the
moment of the file. A single number behind the comm is the thread's (perf prints the process's only with -F +pid):
then the pid is unknown, and threads of one comm are taken for one process.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aperture_tui.importing.gathered import MAX_EVENTS, Gathered
from aperture_tui.importing.owners import Owner, numbered, place
from aperture_tui.importing.perf_events import chosen, is_tracepoint
from aperture_tui.importing.perf_lines import (
    BARE,
    FRAME,
    HEADER,
    TIMELESS,
    Place,
    place_of,
    printed_frame,
    printed_source,
)
from aperture_tui.importing.source import ImportingError
from aperture_tui.importing.stacks import Frames, Paths, text_of
from aperture_tui.profile.batch import empty
from aperture_tui.profile.host import HostFacts
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.symbols import ROOT, Process, Symbols
from aperture_tui.profile.text import clean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.importing.source import Source

_LOOKED_AT: Final = 200
_CACHED_LINES: Final = 1_000_000
_MAX_THREADS: Final = 1_000_000
_MAX_EVENT_NAMES: Final = 1000
_MAX_ID: Final = (1 << 32) - 1
_MAX_CPU: Final = (1 << 16) - 1  # what an event holds
_MAX_TIME: Final = (1 << 63) - 1
_NO_TIME: Final = -1
_RECORD: Final = b"PERF_RECORD_"
_IDLE: Final = b"swapper"
_RECORD_LINE: Final = re.compile(rb"(\d: +|\d +)PERF_RECORD_")  # what is no sample: --show-task-events and the like
_FACT: Final = re.compile(rb"# (hostname|os release|nrcpus online|total memory) : (.{1,200})")


def recognised(lines: list[bytes]) -> bool:
    """Whether the first lines of a file look like this."""
    above = b""
    for line in lines[:_LOOKED_AT]:
        if HEADER.fullmatch(line):
            return True
        if line.startswith(b"\t") and above[:1].strip() and FRAME.fullmatch(line):
            return BARE.fullmatch(above) is not None or TIMELESS.fullmatch(above) is not None
        above = line if line.strip() else b""
    return False


def read(source: Source, time_ns: int) -> Gathered:
    """The whole file; its last sample is at `time_ns`. Raises ImportingError."""
    samples = _Samples()
    for lines in source.lines():
        samples.take(lines)
    samples.end()
    return samples.gathered(time_ns, source.long_lines)


_Who = tuple[bytes, bytes | None, bytes]
"""A thread as it is printed: comm, pid and tid."""


class _FrameIds(dict[bytes, int]):
    """Frames by their lines; -1 for what is no frame. inlined: those whose module is that of the next frame."""

    def __init__(self, frames: Frames) -> None:
        super().__init__()
        self.inlined: set[int] = set()
        self._frames = frames
        self._places: dict[Place | None, int] = {}

    def __missing__(self, line: bytes) -> int:
        if len(self) > _CACHED_LINES:
            self.clear()
        place = place_of(line)
        known = self._places.get(place)
        if known is None and place is not None:
            known = self._known(place)
        self[line] = -1 if known is None else known
        return self[line]

    def _known(self, place: Place) -> int:
        if len(self._places) > _CACHED_LINES:
            self._places.clear()
        printed = printed_frame(place)
        known = self._places[place] = self._frames.id_of(printed.frame)
        if printed.inlined:
            self.inlined.add(known)
        return known


class _Samples:
    """Lines as they come: columns of what each sample is."""

    def __init__(self) -> None:
        self._symbols = Symbols()
        self._frames = Frames(self._symbols)
        self._ids = _FrameIds(self._frames)
        self._paths = Paths()
        self._whos: dict[_Who, int] = {}
        self._events: dict[bytes, int] = {}
        self._tracepoints: set[bytes] = set()
        self._who, self._event, self._path, self._cpu = array("I"), array("I"), array("I"), array("I")
        self._time, self._period = array("q"), array("Q")
        self._header: tuple[bytes | Any, ...] | None = None
        self._stack: list[int] = []
        self._located: dict[tuple[int, bytes], int] = {}
        self._placed: dict[tuple[int, int], int] = {}
        self._facts: dict[bytes, bytes] = {}
        self._bad = self._frameless = 0

    def take(self, lines: list[bytes]) -> None:
        """Some lines."""
        ids = self._ids
        for line in lines:
            if line[:1] == b"\t":
                self._stack.append(ids[line])
            elif self._stack and line[:2] == b"  ":
                self._locate(line)
            elif line and not line.isspace():
                self.end()
                self._begin(line)
            else:
                self.end()

    def _begin(self, line: bytes) -> None:
        if line[:1] == b"#":
            if (fact := _FACT.fullmatch(line)) and len(self._facts) < 10:
                self._facts[fact[1]] = fact[2]
            return
        found = HEADER.fullmatch(line) or TIMELESS.fullmatch(line) or BARE.fullmatch(line)
        if found is None or (not found["tid"] and line.rstrip().endswith((b":", b")"))):
            self._bad += 1
        elif _RECORD not in line or not _RECORD_LINE.search(line):
            self._header = found.groups()

    def _locate(self, line: bytes) -> None:
        """The line of the source that the frame above is at."""
        key = self._stack[-1], line
        known = self._located.get(key)
        if known is None:
            if len(self._located) > _CACHED_LINES:
                self._located.clear()
            known = self._located[key] = self._at(*key)
        self._stack[-1] = known

    def _at(self, frame: int, line: bytes) -> int:
        where = printed_source(line)
        if where is None or frame < 0:
            return frame
        known = self._frames.id_of(self._symbols.frame_at(frame)._replace(file=where[0], line=where[1]))
        if frame in self._ids.inlined:
            self._ids.inlined.add(known)
        return known

    def end(self) -> None:
        """No more lines of this sample."""
        header, stack = self._header, self._stack
        self._header, self._stack = None, []
        if header is None:
            self._bad += len(stack)
            return
        comm, pid, tid, cpu, seconds, fraction, period, event, rest = header
        event = (event or b"")[:-1]
        self._add((comm, pid, tid), cpu, event, period)
        if rest and not stack and event not in self._tracepoints and not rest.isspace():
            stack = [self._ids[b" " + rest]]
        if -1 in stack:
            self._frameless += stack.count(-1)
            stack = [frame for frame in stack if frame >= 0]
        if self._ids.inlined and not self._ids.inlined.isdisjoint(stack):
            self._place_inlined(stack)
        stack.reverse()
        self._path.append(self._paths.index(stack))
        time = int(seconds) * 10**9 + int(fraction.ljust(9, b"0")) if seconds else _NO_TIME
        self._time.append(min(time, _MAX_TIME))

    def _add(self, who: _Who, cpu: bytes | None, event: bytes, period: bytes | None) -> None:
        whos, events = self._whos, self._events
        self._who.append(whos.setdefault(who, len(whos)))
        if event not in events:
            self._new_event(event)
        self._event.append(events[event])
        self._cpu.append(min(int(cpu), _MAX_CPU) if cpu else 0)
        self._period.append(int(period) if period else 0)
        if len(self._who) > MAX_EVENTS or len(whos) > _MAX_THREADS:
            raise ImportingError(f"more than {MAX_EVENTS:,} samples, or {_MAX_THREADS:,} threads")

    def _new_event(self, event: bytes) -> None:
        self._events[event] = len(self._events)
        if len(self._events) > _MAX_EVENT_NAMES:
            raise ImportingError(f"more than {_MAX_EVENT_NAMES:,} kinds of events")
        if is_tracepoint(text_of(event)):
            self._tracepoints.add(event)

    def _place_inlined(self, stack: list[int]) -> None:
        """Give inlined frames the module and kind of the function that they are in, the next one outwards."""
        inlined, into = self._ids.inlined, ROOT
        for i in range(len(stack) - 1, -1, -1):
            if stack[i] not in inlined:
                into = stack[i]
                continue
            key = stack[i], into
            known = self._placed.get(key)
            if known is None:
                if len(self._placed) > _CACHED_LINES:
                    self._placed.clear()
                known = self._placed[key] = self._inlined_into(*key)
            stack[i] = known

    def _inlined_into(self, frame: int, into: int) -> int:
        if into == ROOT:
            return frame
        outer = self._symbols.frame_at(into)
        return self._frames.id_of(self._symbols.frame_at(frame)._replace(module=outer.module, kind=outer.kind))

    def gathered(self, time_ns: int, long_lines: int) -> Gathered:
        """The samples of the event that is shown."""
        if not len(self._who):
            raise ImportingError("no sample in it")
        counts = Counter(self._event)
        shown = chosen([(text_of(event), counts[i]) for event, i in self._events.items()])
        idle = np.array([comm == _IDLE and not _id(pid) for comm, pid, _ in self._whos])[np.array(self._who)]
        of_event = np.isin(np.array(self._event), shown.names)
        kept = np.flatnonzero(of_event & ~idle)
        if not len(kept):
            raise ImportingError("no sample in it but of idle CPUs")
        events = empty(len(kept))
        events["time_ns"] = _moments(np.array(self._time), time_ns)[kept]
        events["kind"] = Kind.CPU
        events["weight"] = 1
        events["cpu"] = np.array(self._cpu)[kept]
        if shown.timed:
            events["duration_ns"] = events["maximum_ns"] = np.array(self._period)[kept]
        whos, who = list(self._whos), np.array(self._who)[kept]
        owners = _owners(whos, np.bincount(who, minlength=len(whos)).tolist())
        place(events, owners, who, self._frames, self._paths, np.array(self._path)[kept])
        lost = {"unreadable lines": self._bad + long_lines, "unreadable frames": self._frameless}
        degraded = {"stacks cut": self._paths.cut, "samples of idle CPUs left out": int((of_event & idle).sum())}
        message = f"perf script: {shown.message}"
        return Gathered(self._symbols, events, message, lost, degraded, self._hosts())

    def _hosts(self) -> tuple[HostFacts, ...]:
        """The machine, where the file begins with perf's header."""
        facts = {key: clean(value).strip() for key, value in self._facts.items()}
        if not facts.get(b"hostname"):
            return ()
        cpus, memory = facts.get(b"nrcpus online", ""), facts.get(b"total memory", "").removesuffix(" kB")
        sizes = [int(text) if text.isascii() and text.isdigit() and len(text) < 15 else 0 for text in (cpus, memory)]
        return (HostFacts(facts[b"hostname"], facts.get(b"os release", ""), sizes[0], sizes[1] << 10),)


def _moments(times: NDArray[np.int64], end_ns: int) -> NDArray[np.uint64]:
    """(n,) Unix nanoseconds: the newest time at the end, the others as long before it as they were, none before 1.

    times: (n,) of some clock, or _NO_TIME.
    """
    newest = int(times.max(initial=0))
    since = np.where(times == _NO_TIME, 0, newest - times)
    moments: NDArray[np.uint64] = np.maximum(end_ns - since, 1).astype(np.uint64)
    return moments


def _id(text: bytes | None) -> int:
    """A pid or tid; 0 for -1, which is unknown, and for what is none."""
    return max(0, min(int(text), _MAX_ID)) if text else 0


def _owners(whos: list[_Who], weights: list[int]) -> list[Owner]:
    """A process is called by its main thread's comm where that was seen, else by the commonest of its threads'.

    weights: samples of each thread.
    """
    votes: dict[int, tuple[bool, int, bytes]] = {}
    for (comm, raw, tid), weight in zip(whos, weights, strict=True):
        pid = _id(raw)
        if pid and weight:
            votes[pid] = max(votes.get(pid, (False, 0, b"")), (tid == raw, weight, comm))
    processes = []
    for comm, raw, tid in whos:
        pid = _id(raw)
        name = text_of(votes[pid][2] if pid in votes and tid != raw else comm)
        processes.append(Process(pid, 0 if pid else 1, name))
    threads = zip(numbered(processes), whos, strict=True)
    return [Owner(process, _id(tid), text_of(comm)) for process, (comm, _, tid) in threads]
