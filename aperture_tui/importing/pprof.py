"""pprof: the protobuf of https://github.com/google/pprof/blob/main/proto/profile.proto, gzipped or not.

Samples have no times: all are put at the end of the profile. Nothing in it is followed without a look: ids may be
missing, doubled or 0, and indexes may point anywhere.
"""

from __future__ import annotations

import itertools
from array import array
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from aperture_tui.importing.gathered import MAX_EVENTS, MAX_WEIGHT, Gathered, spread
from aperture_tui.importing.owners import Owner, numbered, place
from aperture_tui.importing.pprof_tables import Locations, Texts, parsed
from aperture_tui.importing.pprof_values import Meaning, ValueType, meaning
from aperture_tui.importing.protobuf import DamagedError, Field, fields, signed
from aperture_tui.importing.source import ImportingError
from aperture_tui.importing.stacks import Frames, Paths
from aperture_tui.profile.batch import empty
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.symbols import Process, Symbols
from aperture_tui.store.selection import LONGEST_NS
from aperture_tui.wire import pprof_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from aperture_tui.importing.source import Source

PPROF_BYTES: Final = 256 << 20
"""What is read at most, unpacked."""
_TOP: Final = pprof_pb2.Profile
_PARTS: Final = frozenset({1, 2, 3, 4, 5, 6, 11})  # fields that are messages or texts
_NUMBERS: Final = frozenset({7, 8, 9, 10, 12, 13, 14, 15})
_LISTS: Final = frozenset({13})  # numbers that may be packed
_LOOKED_AT: Final = 1000
_MAX_FIELDS: Final = 4_000_000
_MAX_LABELS: Final = 64  # of one sample that are looked at
_MAX_ID: Final = (1 << 32) - 1
_MAX_TIME: Final = 1 << 63
_NO_TYPES: Final = "it does not say what its samples are, or the names of that are missing"
_RUNNABLE: Final = "runnable"  # a reason that our own export tells by a frame as well, which is no function
_CONTENTION: Final = "contention"  # why threads were blocked, where the file does not say it

# What is written by perf_data_converter, OpenTelemetry and Parca, Datadog, and export.pprof.
_PID: Final = ("pid", "process_id", "process id")
_TID: Final = ("tid", "thread_id", "thread id")
_PROCESS: Final = ("comm", "process_name", "process name", "process", "executable")
_THREAD: Final = ("thread", "thread_name", "thread name", "thread_comm")
_WHY: Final = ("reason", "lock")
_CGROUP: Final = ("cgroup",)
_CONTAINER: Final = ("container", "container_id", "container id")


class _Who(NamedTuple):
    """Whose a sample is, as far as its labels tell; why: what it waited for."""

    pid: int = 0
    tid: int = 0
    process: str = ""
    thread: str = ""
    cgroup: str = ""
    container: str = ""
    why: str = ""


def recognised(head: bytes) -> bool:
    """Whether the first bytes of a file are fields that a profile has, and are no text."""
    if not any(byte < 9 or 13 < byte < 27 for byte in head[:256]):
        return False
    found = 0
    try:
        for field in itertools.islice(fields(head), _LOOKED_AT):
            if not _of_profile(field.number, field.value < 0):
                return False
            found += 1
    except DamagedError as damaged:
        # the head ends inside of a field, which is a profile's as well: its tag is one byte
        tag = head[damaged.at]
        return (
            _of_profile(tag >> 3, tag & 7 == 2) and tag & 7 in (0, 2) and (found > 0 or len(head) - damaged.at > 1024)
        )
    return found > 0


def _of_profile(number: int, part: bool) -> bool:
    return number in _PARTS or number in _LISTS if part else number in _NUMBERS


def read(source: Source, time_ns: int) -> Gathered:
    """The whole file. time_ns: when it is from, where it does not say so. Raises ImportingError."""
    data = source.everything(PPROF_BYTES)
    parts: dict[int, list[Field]] = defaultdict(list)
    numbers: dict[int, int] = {}
    damaged = 0
    try:
        for n, field in enumerate(fields(data)):
            if n > _MAX_FIELDS:
                raise ImportingError(f"more than {_MAX_FIELDS:,} samples, names and locations")
            if field.value < 0:
                parts[field.number].append(field)
            else:
                numbers[field.number] = signed(field.value)
    except DamagedError as error:
        damaged = len(data) - error.at
    return _Profile(data, parts, numbers).gathered(time_ns, damaged)


class _Profile:
    """A file whose outermost fields are known: where its parts lie, and its numbers."""

    def __init__(self, data: bytes, parts: dict[int, list[Field]], numbers: Mapping[int, int]) -> None:
        self._data, self._parts, self._numbers = data, parts, numbers
        self._texts = Texts(data, parts[_TOP.STRING_TABLE_FIELD_NUMBER])
        self._symbols = Symbols()
        self._frames = Frames(self._symbols)
        self._locations = Locations(data, parts, self._texts, self._frames)
        self._paths = Paths()
        self._whos: dict[_Who, int] = {}
        self._labels: dict[bytes, int] = {}
        self._runnable: set[int] = set()
        self._who, self._path = array("I"), array("I")
        self._weight, self._time = array("q"), array("q")
        self._damaged = self._negative = self._huge = 0

    def gathered(self, time_ns: int, damaged_bytes: int) -> Gathered:
        """All samples. damaged_bytes: at the end of the file."""
        types = self._types()
        samples = self._parts[_TOP.SAMPLE_FIELD_NUMBER]
        if not types or not samples:
            raise ImportingError(_NO_TYPES if not types else "no samples in it")
        if len(samples) > MAX_EVENTS:
            raise ImportingError(f"more than {MAX_EVENTS:,} samples")
        means = self._meaning(types)
        for part in samples:
            sample = parsed(pprof_pb2.Sample, self._data, part)
            if sample is None or len(sample.value) != len(types):
                self._damaged += 1
            else:
                self._take(sample, means)
        if not len(self._weight):
            raise ImportingError(f"no sample in it that is readable and not 0 ({means.message})")
        events = self._events(means, self._moment(time_ns))
        lost = {
            "unreadable samples": self._damaged,
            "negative samples": self._negative,
            "impossible samples": self._huge,
            "damaged bytes": damaged_bytes,
        }
        degraded = {
            "unreadable functions and locations": self._locations.damaged,
            "functions and locations that are not there": self._locations.lost,
            "names that are not there": self._texts.lost,
            "stacks cut": self._paths.cut,
        }
        return Gathered(self._symbols, events, means.message, lost, degraded)

    def _types(self) -> list[ValueType]:
        """What a sample's values are. Where the names of these are not there, nothing else is worth reading."""
        known = self._texts.lost
        types = [self._value_type(part) for part in self._parts[_TOP.SAMPLE_TYPE_FIELD_NUMBER]]
        if self._texts.lost > known or not all(one.type for one in types):
            raise ImportingError(_NO_TYPES)
        return types

    def _value_type(self, part: Field) -> ValueType:
        found = parsed(pprof_pb2.ValueType, self._data, part)
        return ValueType("", "") if found is None else ValueType(self._texts[found.type], self._texts[found.unit])

    def _meaning(self, types: Sequence[ValueType]) -> Meaning:
        periods = self._parts[_TOP.PERIOD_TYPE_FIELD_NUMBER]
        period_type = self._value_type(periods[-1]) if periods else ValueType("", "")
        default = self._texts[self._numbers.get(_TOP.DEFAULT_SAMPLE_TYPE_FIELD_NUMBER, 0)]
        return meaning(types, default, period_type, self._numbers.get(_TOP.PERIOD_FIELD_NUMBER, 0))

    def _moment(self, time_ns: int) -> int:
        """The end of the profile, Unix nanoseconds; `time_ns` where the file does not say it."""
        begin, length = (
            self._numbers.get(n, 0) for n in (_TOP.TIME_NANOS_FIELD_NUMBER, _TOP.DURATION_NANOS_FIELD_NUMBER)
        )
        end = begin + max(length, 0)
        return end if begin > 0 and end < _MAX_TIME else time_ns

    def _take(self, sample: pprof_pb2.Sample, means: Meaning) -> None:
        weight, time = means.of(sample.value)
        if weight < 0 or time < 0:
            self._negative += 1
        elif weight >= MAX_WEIGHT or time >= LONGEST_NS:
            self._huge += 1
        elif weight or time:
            whose = self._who_of(sample)
            path = self._locations.path(sample.location_id)
            if whose in self._runnable and path and self._symbols.frame_at(path[-1]).function == f"[{_RUNNABLE}]":
                path.pop()
            self._weight.append(weight)
            self._time.append(time)
            self._path.append(self._paths.index(path))
            self._who.append(whose)

    def _who_of(self, sample: pprof_pb2.Sample) -> int:
        """The number of whose it is; labels that were met before are not read again."""
        labels = sample.label[:_MAX_LABELS]
        raw = b"".join(label.SerializeToString() for label in labels)
        known = self._labels.get(raw)
        if known is None:
            told: dict[str, str | int] = {}
            for label in labels:
                told.setdefault(self._texts[label.key].lower(), self._texts[label.str] if label.str else label.num)
            who = _Who(
                _number(told, _PID),
                _number(told, _TID),
                *(_word(told, keys) for keys in (_PROCESS, _THREAD, _CGROUP, _CONTAINER, _WHY)),
            )
            known = self._whos.setdefault(who, len(self._whos))
            if who.why == _RUNNABLE:
                self._runnable.add(known)
            if len(self._labels) < MAX_EVENTS >> 3:
                self._labels[raw] = known
        return known

    def _events(self, means: Meaning, moment_ns: int) -> NDArray[np.void]:
        """(n,) of EVENT."""
        of, weights = spread(np.array(self._weight, np.int64))
        first = np.concatenate([[True], of[1:] != of[:-1]])  # of those that share a weight one has the time
        whose = np.array(self._who)[of]
        events = empty(len(of))
        events["time_ns"] = moment_ns
        events["kind"] = means.kind
        events["weight"] = weights
        events["duration_ns"] = events["maximum_ns"] = np.where(first, np.array(self._time, np.int64)[of], 0)
        if means.kind is Kind.OFFCPU:
            names = [self._symbols.string(who.why or _CONTENTION) for who in self._whos]
            events["name"] = np.array(names, np.uint32)[whose]
        place(events, self._owners(), whose, self._frames, self._paths, np.array(self._path)[of])
        return events

    def _owners(self) -> list[Owner]:
        """A file that names no process is of one: it is called by its program."""
        program = "" if any(who.process for who in self._whos) else self._locations.program.rpartition("/")[2]
        processes = [
            Process(who.pid, 0 if who.pid else 1, who.process or program, who.cgroup, who.container)
            for who in self._whos
        ]
        threads = zip(numbered(processes), self._whos, strict=True)
        return [Owner(process, who.tid, who.thread) for process, who in threads]


def _number(told: Mapping[str, str | int], keys: Sequence[str]) -> int:
    """The first of these labels that is a pid or tid; 0 if none is."""
    for key in keys:
        value = told.get(key, 0)
        if isinstance(value, str):
            value = int(value) if value.isascii() and value.isdigit() and len(value) < 11 else 0
        if 0 < value <= _MAX_ID:
            return value
    return 0


def _word(told: Mapping[str, str | int], keys: Sequence[str]) -> str:
    """The first of these labels that is a text; "" if none is."""
    return next((value for key in keys if isinstance(value := told.get(key), str) and value), "")
