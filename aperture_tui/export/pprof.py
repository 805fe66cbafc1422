"""pprof's profiles: `go tool pprof`, Pyroscope, Parca, speedscope and others read them.

The format is https://github.com/google/pprof/blob/main/proto/profile.proto; its messages are in proto/pprof/.

- Two values a sample: how many, and nanoseconds. The query's measure stands last and is `default_sample_type`, since
  some readers begin with the one and some with the other.
- Process and thread are labels and no frames, so that a function is one function whoever calls it: `pid` and `tid`
  (numbers), `comm`, `thread`, `cgroup`, `container`, `tags`; and, by the kind of events, `syscall`, `reason` or `lock`.
  What is unknown has no label. `go tool pprof -tagroot=comm,thread` makes frames of them, `-tagfocus=comm=web` narrows.
- A location is a function at a line; addresses are not kept. So there is nothing that a reader could still look up,
  and every mapping, one a module without a range, says that it has its functions. It says that it has its files and
  lines if all its locations do. Inlined functions are locations of their own.
- A function without a name is called by its module in brackets, and then its `system_name` is empty.
- The innermost location is the system call of syscall, and `[runnable]` where offcpu waited for a CPU.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Final

from aperture_tui import __version__
from aperture_tui.export import samples
from aperture_tui.export.collected import losses_of, time_range
from aperture_tui.export.names import COUNTED, frame_name
from aperture_tui.export.samples import Paths, Place, Samples, watched
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Measure
from aperture_tui.wire import pprof_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from aperture_tui.profile.query import Query
    from aperture_tui.profile.symbols import Frame
    from aperture_tui.store.base import Store

_NAMED: Final = {Kind.OFFCPU: "reason", Kind.SYSCALL: "syscall", Kind.LOCK: "lock"}
"""The label that an event's name has."""


def of_query(store: Store, query: Query) -> bytes:
    """The profile of a query in its gzip envelope. Raises re.error."""
    return gzip.compress(profile(store, query).SerializeToString(), mtime=0)


def profile(store: Store, query: Query) -> pprof_pb2.Profile:
    """The profile of a query. Raises re.error."""
    found = samples.of_query(store, query)
    tables = _Tables()
    out = tables.profile
    types = [(COUNTED[query.kind], "count"), ("cpu" if query.kind is Kind.CPU else "time", "nanoseconds")]
    values = [found.counts.tolist(), found.times_ns.tolist()]
    if query.measure is Measure.COUNT:
        types.reverse()
        values.reverse()
    for name, unit in types:
        out.sample_type.add(type=tables.string(name), unit=tables.string(unit))
    out.default_sample_type = tables.string(types[-1][0])
    if period := _period_ns(found, query):
        out.period = period
        out.period_type.type, out.period_type.unit = tables.string("cpu"), tables.string("nanoseconds")
    start, end = time_range(store, query)
    out.time_nanos, out.duration_nanos = start, end - start
    out.comment.extend(tables.string(line) for line in _comments(store, query))
    _add_samples(tables, found, list(zip(*values, strict=True)), store.watch)
    tables.finish()
    return out


def _period_ns(found: Samples, query: Query) -> int:
    """The time between two samples of a CPU; 0 where there is none, or more than one."""
    if query.kind is not Kind.CPU or not len(found) or not found.counts.all():
        return 0
    periods = found.times_ns // found.counts
    return int(periods[0]) if (periods == periods[0]).all() else 0


def _comments(store: Store, query: Query) -> list[str]:
    """Who wrote it, of which machine, and what is not in it."""
    lines = [f"aperture {__version__}"]
    lines += [f"host: {host.name} (Linux {host.kernel}, {host.cpus} CPUs)" for host in store.hosts()]
    for loss in losses_of(store, (query.kind,)):
        lines += [f"{loss.source}: {loss.message}"] if loss.message else []
        lines += [f"lost: {cause}: {n}" for cause, n in loss.counts.items()]
    return lines


def _add_samples(
    tables: _Tables, found: Samples, values: list[tuple[int, ...]], watch: Callable[[float], None]
) -> None:
    """values: a sample's, one for each type."""
    paths = Paths(found.symbols)
    ids: dict[Place, list[int]] = {}
    for row, value in zip(watched(found.rows, watch), values, strict=True):
        place = paths.place(row)
        if place not in ids:  # outermost first, so that the first module is mostly the program's
            ids[place] = [tables.location(frame) for frame in paths.path(place)][::-1]
        sample = tables.profile.sample.add(location_id=ids[place], value=value)
        for key, told in _labels(found, row).items():
            if isinstance(told, str):
                sample.label.add(key=tables.string(key), str=tables.string(told))
            else:
                sample.label.add(key=tables.string(key), num=told)


def _labels(found: Samples, row: np.void) -> dict[str, str | int]:
    """What is known of the process, the thread and the event."""
    process, strings = found.symbols.process_at(int(row["process"])), found.symbols.strings
    told: dict[str, str | int] = {
        "comm": process.name,
        "pid": int(row["pid"]),
        "tid": int(row["tid"]),
        "thread": strings[row["thread"]],
        "cgroup": process.cgroup,
        "container": process.container,
    }
    told["tags"] = ", ".join(found.symbols.tag_sets[row["tags"]])
    if name := _NAMED.get(Kind(row["kind"])):
        told[name] = strings[row["name"]]
    return {key: value for key, value in told.items() if value}


class _Tables:
    """A profile that grows: every text, module, function and place once. Ids begin with 1, those of texts with 0."""

    def __init__(self) -> None:
        self.profile = pprof_pb2.Profile()
        self._strings: dict[str, int] = {}
        self._mappings: dict[str, int] = {}
        self._functions: dict[tuple[str, str, str], int] = {}
        self._locations: dict[tuple[str, str, str, int], int] = {}
        self.string("")

    def string(self, text: str) -> int:
        return self._strings.setdefault(text, len(self._strings))

    def location(self, frame: Frame) -> int:
        """Of functions with one name in one module, kernel's and programs' alike."""
        key = frame.function, frame.module, frame.file, frame.line
        known = self._locations.get(key)
        if known is None:
            known = self._locations[key] = len(self._locations) + 1
            location = self.profile.location.add(id=known, mapping_id=self._mapping(frame))
            location.line.add(function_id=self._function(frame), line=frame.line)
        return known

    def _function(self, frame: Frame) -> int:
        key = frame_name(frame), frame.function, frame.file
        known = self._functions.get(key)
        if known is None:
            known = self._functions[key] = len(self._functions) + 1
            name, system_name, filename = map(self.string, key)
            self.profile.function.add(id=known, name=name, system_name=system_name, filename=filename)
        return known

    def _mapping(self, frame: Frame) -> int:
        """The module's, which says that it has files and lines as long as all its locations do."""
        if not frame.module:
            return 0
        known = self._mappings.get(frame.module)
        if known is None:
            known = self._mappings[frame.module] = len(self._mappings) + 1
            self.profile.mapping.add(
                id=known,
                filename=self.string(frame.module),
                has_functions=True,
                has_filenames=True,
                has_line_numbers=True,
            )
        mapping = self.profile.mapping[known - 1]
        mapping.has_filenames &= bool(frame.file)
        mapping.has_line_numbers &= bool(frame.line)
        return known

    def finish(self) -> None:
        """Write the texts."""
        self.profile.string_table.extend(self._strings)
