"""Time of which nobody knows what a program had its GPUs do, as events: without them it would be drawn as idleness.

What its agent says itself (nobody had asked yet, another profiler has CUPTI, it has failed) comes as spans. Of one that
has gone without a last word, what it did since its last one is not known; and if the program lives on, it is not known
from then on.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from aperture_tui.profile.event import EVENT
from aperture_tui.profile.gpu_launch import lane
from aperture_tui.profile.kinds import ROLE_SHIFT, UNRECORDED, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

_TICK_NS: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_PIECE_NS: Final = 500_000_000
"""Of a long span: whoever asks for a range finds what began shortly before it (tui/gpu/answer.py)."""
_MOST_NS: Final = 900_000_000_000
"""Of one span, the newest part: a session's memory goes back no further."""


class Stretch(NamedTuple):
    """Unix nanoseconds, half-open."""

    start_ns: int
    end_ns: int


class Heard:
    """Until when it is known what an agent's program did. Owned by the collecting thread.

    since_ns: what was before is of no interest.
    """

    def __init__(self, now_ns: int, since_ns: int = 0) -> None:
        self._since_ns = since_ns
        self._until_ns = now_ns
        self._has_spoken = False

    @property
    def untold_ns(self) -> int:
        """Since when nothing was told of what it did."""
        return self._until_ns if self._has_spoken else self._since_ns

    def word(self, status: dict[str, object], offset_ns: int, now_ns: int) -> None:
        """Its newest word of itself. offset_ns: what to add to its times."""
        self._has_spoken = self._has_spoken or (bool(status) and "sent_away" not in status)
        until = status.get("until_ns")
        if isinstance(until, int) and not isinstance(until, bool) and 0 <= until < 1 << 62:
            self._until_ns = max(self._until_ns, min(until + offset_ns, now_ns))

    def told(self, spans: NDArray[np.void], now_ns: int) -> list[Stretch]:
        """What it says that it does not know. spans: of frames.ROWS, at our clock."""
        starts = np.maximum(spans["start_ns"].astype(np.int64), self._since_ns)
        ends = np.minimum(spans["end_ns"].astype(np.int64), now_ns)
        out: list[Stretch] = []
        for start, end in sorted(zip(starts.tolist(), ends.tolist(), strict=True)):
            if out and start <= out[-1].end_ns:
                out[-1] = out[-1]._replace(end_ns=max(end, out[-1].end_ns))
            elif start < end:
                out.append(Stretch(start, end))
        self._until_ns = max(self._until_ns, *(one.end_ns for one in out), 0)
        return out

    def silent(self, now_ns: int) -> list[Stretch]:
        """It has gone without a last word, or is gone."""
        if not self._has_spoken:
            return []
        since, self._until_ns = self._until_ns, max(self._until_ns, now_ns)
        return [Stretch(since, now_ns)]


def events(stretches: Iterable[Stretch], devices: Iterable[int]) -> NDArray[np.void]:
    """(n,) of EVENT without who. devices: the machine's numbers of the GPUs that are concerned."""
    pieces = [piece for one in stretches for piece in _pieces(one)]
    places = [lane(device, 0) for device in sorted(set(devices))]
    out = np.zeros(len(pieces) * len(places), EVENT)
    if len(out):
        out["time_ns"] = np.repeat([piece.start_ns for piece in pieces], len(places))
        out["duration_ns"] = np.repeat([piece.end_ns - piece.start_ns for piece in pieces], len(places))
        out["maximum_ns"], out["weight"], out["kind"] = out["duration_ns"], 1, Kind.GPU_KERNEL
        out["aux"] = np.tile(places, len(pieces))
        out["flags"] = UNRECORDED << ROLE_SHIFT
    return out


def _pieces(one: Stretch) -> list[Stretch]:
    start = max(one.start_ns, one.end_ns - _MOST_NS)
    return [Stretch(at, min(at + _PIECE_NS, one.end_ns)) for at in range(start, one.end_ns, _PIECE_NS)]


def started_ns(pid: int) -> int:
    """When a process began, CLOCK_BOOTTIME, to a tick; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/task/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return 0 if fields[0] in (b"Z", b"X") else int(fields[19]) * _TICK_NS
    except (OSError, IndexError, ValueError):
        return 0
