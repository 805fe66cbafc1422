"""Folded stacks: one line a stack, `process;outer;…;leaf weight`.

Written by stackcollapse-*.pl (https://github.com/brendangregg/FlameGraph), inferno, py-spy's `raw`, async-profiler's
`collapsed`, and by `export.folded`. The file tells neither times nor pids, nor what it counts: weights are taken for
samples, and the first frame for the process.
"""

from __future__ import annotations

import re
from array import array
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.importing.gathered import MAX_WEIGHT, Gathered, spread
from aperture_tui.importing.owners import NOBODY, Owner, numbered, place
from aperture_tui.importing.source import ImportingError
from aperture_tui.importing.stacks import MAX_FRAMES, Frames, Paths, text_of
from aperture_tui.profile.batch import empty
from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.symbols import Frame, Process, Symbols

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.importing.source import Source

_NO_STACK: Final = b"[no stack]"
_UNKNOWN: Final = "[unknown]"
_NUMBER: Final = rb"\d+(?:\.\d*)?(?:[eE][-+]?\d+)?"
_LINE: Final = re.compile(rb"\S.*[ \t]" + _NUMBER + rb"[ \t]*")
_TWO: Final = re.compile(rb"\S.*[ \t]" + _NUMBER + rb"[ \t]+" + _NUMBER + rb"[ \t]*")
_LOOKED_AT: Final = 200
_PYTHON: Final = re.compile(r"(.+) \(([^()]+\.pyx?|<[^()<>]+>):(\d{1,9})\)")  # py-spy: function (file:line)
_MARKS: Final = {
    "_[k]": FrameKind.KERNEL,
    "_[j]": FrameKind.JIT,
    "_[i]": FrameKind.NATIVE,  # inlined
    "_[0]": FrameKind.RUNTIME,  # async-profiler: interpreted, and compiled by C1
    "_[1]": FrameKind.JIT,
}


def recognised(lines: list[bytes], sure: bool) -> bool:
    """Whether the first lines of a file look like this. sure: its name says so, and it may do without a semicolon."""
    some = [line for line in lines if not line.strip().isdigit() and not line.isspace() and line][:_LOOKED_AT]
    like = sum(_LINE.fullmatch(line) is not None for line in some)
    return like > 0 and like >= 0.9 * len(some) and (sure or any(b";" in line for line in some))


def read(source: Source, time_ns: int) -> Gathered:
    """The whole file, all of it at one moment. Raises ImportingError."""
    _refuse_difference(source.head)
    symbols = Symbols()
    stacks = _Stacks(symbols)
    for lines in source.lines():
        stacks.take(lines)
    return stacks.gathered(time_ns, source.long_lines)


def _refuse_difference(head: bytes) -> None:
    """inferno-diff-folded and difffolded.pl end every line with two numbers."""
    lines = [line for line in head.split(b"\n")[:_LOOKED_AT] if line.strip()]
    if lines and all(_TWO.fullmatch(line.rstrip(b"\r")) for line in lines):
        raise ImportingError("the difference of two profiles: give each of them to `aperture diff` instead")


class _FrameIds(dict[bytes, int]):
    """Frames by their text in the file."""

    def __init__(self, frames: Frames) -> None:
        super().__init__()
        self._frames = frames

    def __missing__(self, raw: bytes) -> int:
        known = self[raw] = self._frames.id_of(_frame(text_of(raw)))
        return known


def _frame(text: str) -> Frame:
    kind = _MARKS.get(text[-4:])
    if kind is not None:
        text = text[:-4]
    if text in ("", _UNKNOWN):
        return Frame("", kind=kind or FrameKind.UNKNOWN)
    if kind is None and (python := _PYTHON.fullmatch(text)):
        return Frame(python[1], file=python[2], line=int(python[3]), kind=FrameKind.PYTHON)
    return Frame(text, kind=kind or FrameKind.NATIVE)


class _Stacks:
    """Lines as they come: for each the process, the path below it and the weight."""

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._frames = Frames(symbols)
        self._ids = _FrameIds(self._frames)
        self._paths = Paths()
        self._names: list[str | None] = [None]
        self._firsts: dict[bytes, tuple[int, int]] = {_NO_STACK: (0, 1)}  # -> process, where its path begins
        self._whose, self._path = array("I"), array("I")
        self._weights = array("d")  # exact up to MAX_WEIGHT
        self._bad = self._impossible = self._rounded = 0

    def take(self, lines: list[bytes]) -> None:
        """Some lines."""
        frame, index, firsts = self._ids.__getitem__, self._paths.index, self._firsts
        for line in lines:
            stack, _, number = line.rpartition(b" ")
            if not (number.isdigit() and len(number) < 16 and stack):
                stack, number = self._odd(line)
                if not stack:
                    continue
            path = stack.split(b";")
            process, begin = firsts.get(path[0]) or self._first(path[0])
            self._whose.append(process)
            self._path.append(index([*map(frame, path[begin:])]))
            self._weights.append(float(number))

    def _first(self, raw: bytes) -> tuple[int, int]:
        """The number of the process that a first frame names. One that has a line of a source names none: py-spy's."""
        if len(self._names) > MAX_FRAMES:
            raise ImportingError(f"more than {MAX_FRAMES:,} different processes")
        text = text_of(raw)
        known = self._firsts[raw] = len(self._names), 0 if _PYTHON.fullmatch(text) else 1
        self._names.append(text if known[1] and text != _UNKNOWN else "")
        return known

    def _odd(self, line: bytes) -> tuple[bytes, bytes]:
        """The stack and weight of a line that is not as usual; an empty stack if it has none."""
        parts = line.strip().rsplit(None, 1)
        if len(parts) == 1 and line[:1].isspace():
            parts = [_NO_STACK, *parts]  # as py-spy writes them
        if len(parts) < 2 or not re.fullmatch(_NUMBER, parts[1]):
            self._bad += bool(parts)
            return b"", b""
        weight = float(parts[1])
        if not weight < MAX_WEIGHT:
            self._impossible += 1
            return b"", b""
        self._rounded += not weight.is_integer()
        return parts[0], parts[1]

    def gathered(self, time_ns: int, long_lines: int) -> Gathered:
        """Equal stacks as one event, or as many as the weight needs."""
        whose, path, weights, small = self._summed()
        if not len(weights):
            raise ImportingError("no stack with a weight of one or more in it")
        of, parts = spread(weights)
        events = empty(len(of))
        events["time_ns"] = time_ns
        events["kind"] = Kind.CPU
        events["weight"] = parts
        place(events, self._owners(), whose[of], self._frames, self._paths, path[of])
        message = "folded stacks: no times, no pids; the first frame is taken for the process, weights for samples"
        lost = {
            "unreadable lines": self._bad + long_lines,
            "impossible weights": self._impossible,
            "stacks of less than half a sample": small,
        }
        degraded = {"weights rounded to whole samples": self._rounded, "stacks cut": self._paths.cut}
        return Gathered(self._symbols, events, message, lost, degraded)

    def _summed(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64], int]:
        """The process, the path and the weight of each distinct stack; how many weigh nothing when rounded."""
        whose, path = np.array(self._whose, np.uint64), np.array(self._path, np.uint64)
        pairs, of = np.unique(whose << np.uint64(32) | path, return_inverse=True)
        sums = np.zeros(len(pairs))
        np.add.at(sums, of, np.array(self._weights))
        whole = np.rint(np.minimum(sums, MAX_WEIGHT)).astype(np.int64)
        kept = whole > 0
        small = int(np.count_nonzero(~kept & (sums > 0)))
        return pairs[kept] >> np.uint64(32), pairs[kept] & np.uint64(0xFFFFFFFF), whole[kept], small

    def _owners(self) -> list[Owner]:
        named = [NOBODY if name is None else Process(0, 1, name) for name in self._names]
        return [Owner(process) for process in numbered(named)]
