"""speedscope's own format, for https://www.speedscope.app and `speedscope FILE`.

The schema is https://www.speedscope.app/file-format-schema.json; what it means is told at
https://github.com/jlfwong/speedscope/wiki/Importing-from-custom-sources.

- The first profile is of all processes, each with its name as the outermost frame: what is going on here? Those behind
  it are of one process each, the most first, without that frame, and together weigh as much as the first: to look for a
  function in one program, since the sandwich view adds up all callers of a profile. Where there is one process, there
  is its profile alone.
- A profile is a sum: nothing in it is in the order of time. Its stacks are in the order of their weight, at each depth,
  so that "time order", the view that speedscope begins with, looks as "left heavy" does.
- Frames are functions, as in folded stacks: lines of one function are one frame. It has the line if there is but one,
  and its module for a file where the file is not known.
- Weights are nanoseconds or of no unit. They are exact here; a reader in JavaScript adds up to 2^53 exactly.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from aperture_tui import __version__
from aperture_tui.export import samples
from aperture_tui.export.names import frame_name
from aperture_tui.export.samples import Paths, Place, watched
from aperture_tui.profile.query import Measure
from aperture_tui.profile.symbols import Frame
from aperture_tui.profile.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import Store

SCHEMA: Final = "https://www.speedscope.app/file-format-schema.json"
_UNKNOWN: Final = "[unknown]"

Stack = tuple[int, ...]
"""Indices of frames, outermost first."""


def document(store: Store, query: Query, title: str = "") -> dict[str, Any]:
    """The stacks of a query in its measure as JSON types. Raises re.error."""
    frames = _Frames()
    by_process = _stacks_by_process(store, query, frames)
    names = {process: f"{name or _UNKNOWN} {process[0]}" for process, (name, _) in by_process.items()}
    heaviest = sorted(by_process, key=lambda process: (-sum(by_process[process][1].values()), process))
    profiles = [_profile(names[process], by_process[process][1], query) for process in heaviest]
    if len(profiles) != 1:
        profiles.insert(0, _profile("all processes", _together(by_process.values(), frames), query))
    return {
        "$schema": SCHEMA,
        "name": clean(title) or "aperture",
        "exporter": f"aperture {__version__}",
        "activeProfileIndex": 0,
        "shared": {"frames": frames.listed()},
        "profiles": profiles,
    }


def _stacks_by_process(
    store: Store, query: Query, frames: _Frames
) -> dict[tuple[int, int], tuple[str, dict[Stack, int]]]:
    """(pid, start) -> the process's name, and the weights of its stacks."""
    found = samples.of_query(store, query)
    paths, processes = Paths(found.symbols), found.symbols.processes
    weights = found.times_ns if query.measure is Measure.TIME else found.counts
    known: dict[Place, Stack] = {}
    out: dict[tuple[int, int], tuple[str, dict[Stack, int]]] = {}
    for row, weight in zip(watched(found.rows, store.watch), weights.tolist(), strict=True):
        if not weight:
            continue
        place = paths.place(row)
        if place not in known:
            known[place] = tuple(frames.index(frame) for frame in paths.path(place))
        process = int(row["process"])
        key = int(row["pid"]), int(processes[process]["start_ns"])
        if key not in out:
            out[key] = found.symbols.process_at(process).name, defaultdict(int)
        out[key][1][known[place]] += weight
    return out


def _together(parts: Iterable[tuple[str, Mapping[Stack, int]]], frames: _Frames) -> dict[Stack, int]:
    """The stacks of all processes below frames of their names."""
    out: dict[Stack, int] = defaultdict(int)
    for name, stacks in parts:
        root = frames.index(Frame(name or _UNKNOWN))
        for stack, weight in stacks.items():
            out[root, *stack] += weight
    return out


def _profile(name: str, stacks: Mapping[Stack, int], query: Query) -> dict[str, Any]:
    order = heaviest_first(stacks)
    return {
        "type": "sampled",
        "name": name,
        "unit": "nanoseconds" if query.measure is Measure.TIME else "none",
        "startValue": 0,
        "endValue": sum(stacks.values()),
        "samples": [list(stack) for stack in order],
        "weights": [stacks[stack] for stack in order],
    }


def heaviest_first(stacks: Mapping[Stack, int]) -> list[Stack]:
    """The stacks so that at each depth those below the heaviest frame come first, and what is alike stands together."""
    nodes: dict[tuple[int, int], int] = {}
    totals = [0]
    ways: dict[Stack, list[int]] = {}
    for stack, weight in stacks.items():
        node, way = 0, []
        for frame in stack:
            node = nodes.setdefault((node, frame), len(totals))
            if node == len(totals):
                totals.append(0)
            totals[node] += weight
            way.append(node)
        ways[stack] = way
    return sorted(stacks, key=lambda stack: [(-totals[node], node) for node in ways[stack]])


class _Frames:
    """The functions that were met, and the lines in them."""

    def __init__(self) -> None:
        self._index: dict[tuple[str, str], int] = {}
        self._lines: list[set[int]] = []

    def index(self, frame: Frame) -> int:
        key = frame_name(frame), frame.file or frame.module
        known = self._index.setdefault(key, len(self._index))
        if known == len(self._lines):
            self._lines.append(set())
        self._lines[known].add(frame.line)
        return known

    def listed(self) -> list[dict[str, Any]]:
        out: list[dict[str, Any]] = []
        for (name, file), lines in zip(self._index, self._lines, strict=True):
            one: dict[str, Any] = {"name": name}
            if file:
                one["file"] = file
            if len(lines) == 1 and (line := next(iter(lines))):
                one["line"] = line
            out.append(one)
        return out
