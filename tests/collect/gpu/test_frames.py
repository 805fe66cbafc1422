"""The socket's protocol: what an agent says comes back, and what a stranger says does no harm."""

from __future__ import annotations

import contextlib
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.collect.gpu import activity
from aperture_tui.collect.gpu.frames import LAYOUTS, MAX_NAMES, ROWS, Frames, ProtocolError
from aperture_tui.collect.gpu.inside._aperture_gpu import wire
from aperture_tui.collect.gpu.inside._aperture_gpu.outbox import Outbox
from aperture_tui.collect.gpu.launched import Launches, Likeness, likeness, located
from aperture_tui.collect.recent import MOMENT
from aperture_tui.profile.event import EVENT
from aperture_tui.profile.symbols import Symbols

NOW = 1_700_000_000_000_000_000


def frame(kind: int, body: bytes) -> bytes:
    return wire.FRAME.pack(kind, 0, len(body)) + body


def rows(kind: int, *values: dict[str, int]) -> np.ndarray:
    out = np.zeros(len(values), LAYOUTS[kind])
    for row, told in zip(out, values, strict=True):
        for name, value in told.items():
            row[name] = value
    return out


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_every_field_lies_on_its_natural_boundary(layout: int) -> None:
    dtype = LAYOUTS[layout]
    ends = 0
    for name in dtype.names or ():
        kind, offset = (dtype.fields or {})[name][:2]
        assert offset == ends, "no gaps: the struct of another language has none"
        assert offset % kind.alignment == 0
        ends = offset + kind.itemsize
    assert dtype.itemsize % max((dtype.fields or {})[name][0].alignment for name in dtype.names or ()) == 0


def test_layouts_change_only_with_their_number() -> None:
    """Readers and writers of different versions meet: who changes a layout has to change MAGIC."""
    sizes = {number: layout.itemsize for number, layout in LAYOUTS.items()}
    assert (wire.MAGIC, sizes) == (
        b"APGPU\x00\x003",
        {wire.DEVICES: 72, wire.KERNELS: 88, wire.COPIES: 56, wire.CALLS: 40, wire.SYNCS: 32, wire.UNRECORDED: 16},
    )


class _Socket:
    """Takes at most so many bytes at once, and then none until it is asked again."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = bytearray()
        self._room = most

    def send(self, data: memoryview, flags: int) -> int:
        if not self._room:
            self._room = self.most
            raise BlockingIOError
        n = min(len(data), self._room)
        self._room -= n
        self.taken += data[:n]
        return n


@given(
    st.lists(st.integers(1, 40_000), max_size=4), st.integers(1, 100_000), st.lists(st.integers(1, 5000), max_size=20)
)
def test_what_the_outbox_sends_is_what_is_received_however_it_is_cut(
    sizes: list[int], most: int, cuts: list[int]
) -> None:
    outbox, to = Outbox(), _Socket(most)
    outbox.name(7, "gemm \x1b[31m")
    outbox.words(wire.STATUS, {"aside": ""})
    for n in sizes:
        outbox.rows(wire.KERNELS, rows(wire.KERNELS, *({"name": 7, "correlation": i} for i in range(min(n, 50)))))
    while outbox.waiting:
        outbox.send(to)  # type: ignore[arg-type]  # as much of a socket as it needs
    frames, told, at = Frames(), [], 0
    for cut in [*cuts, len(to.taken)]:
        told += frames.feed(bytes(to.taken[at : at + cut]))
        at += cut
    told += frames.feed(bytes(to.taken[at:]))
    assert frames.names == {7: "gemm \\x1b[31m"}
    assert [one.words for one in told if one.frame == wire.STATUS] == [{"aside": ""}]
    assert sum(len(one.rows) for one in told if one.frame == wire.KERNELS) == sum(min(n, 50) for n in sizes)


def test_what_finds_no_room_is_counted_and_names_find_some() -> None:
    outbox = Outbox(room=1000)
    many = rows(wire.KERNELS, *({"correlation": i} for i in range(11)))
    outbox.rows(wire.KERNELS, many)
    assert outbox.dropped == {}
    outbox.rows(wire.KERNELS, many)
    outbox.rows(wire.COPIES, rows(wire.COPIES, *({"bytes": 1} for _ in range(3))))
    assert outbox.dropped == {"kernels": 11, "copies": 3}
    outbox.name(1, "n")
    assert outbox.knows(1)
    outbox.name(2, "n" * 2000)
    assert not outbox.knows(2)
    assert outbox.dropped["names"] == 1


@given(st.integers(0, wire.MOST_EACH), st.booleans())
def test_a_record_that_stands_for_several_is_so_many_events_of_its_own_duration(each: int, pauses: bool) -> None:
    outbox, to = Outbox(), _Socket(1 << 20)
    outbox.rows(wire.KERNELS, rows(wire.KERNELS, {"start_ns": NOW, "end_ns": NOW + 7}), each | wire.PAUSES * pauses)
    outbox.send(to)  # type: ignore[arg-type]  # as much of a socket as it needs
    frames = Frames()
    (told,) = frames.feed(bytes(to.taken))
    assert told.rows["pauses"].tolist() == [pauses]
    (event,) = _events([told.rows], wire.KERNELS, frames)
    n = max(each, 1)  # 0 is of recordings from before there was such a number
    assert [int(event[name]) for name in ("weight", "duration_ns", "maximum_ns", "time_ns")] == [n, 7 * n, 7, NOW]


def test_frames_of_later_versions_are_left_out() -> None:
    frames = Frames()
    told = list(frames.feed(frame(4711, b"what is this") + frame(wire.HELLO, b'{"python": "3.14"}')))
    assert [one.words for one in told] == [{"python": "3.14"}]


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<HHI", wire.KERNELS, 0, wire.MAX_FRAME + 1),
        frame(wire.KERNELS, b"x" * 87),
        frame(wire.STRING, b"short"),
        frame(wire.STRING, b"x" * (wire.MAX_TEXT + 9)),
        frame(wire.STATUS, b"[]"),
        frame(wire.STATUS, b"{"),
        frame(wire.STATUS, b'{"share": NaN}'),
        frame(wire.STATUS, b"[" * 100_000),
    ],
)
def test_who_breaks_the_rules_is_not_heard_further(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(Frames().feed(data))


def test_names_are_bounded() -> None:
    frames = Frames()
    list(frames.feed(b"".join(frame(wire.STRING, i.to_bytes(8, "little") + b"n") for i in range(MAX_NAMES))))
    with pytest.raises(ProtocolError, match="too many names"):
        list(frames.feed(frame(wire.STRING, bytes(8) + b"n")))


def _launches(kind: int, kept: np.ndarray) -> np.ndarray:
    """What is known of how they came about, which is nothing."""
    launches = Launches().of(kept["correlation"])
    columns = activity.KERNEL_LIKENESS if kind == wire.KERNELS else activity.COPY_LIKENESS
    return Likeness().lend(launches, likeness(kept, launches["tid"], columns), kept["start_ns"])


def _events(told: list[np.ndarray], kind: int, frames: Frames) -> np.ndarray:
    """As the collector does, as far as no process is needed."""
    symbols = Symbols()
    names = activity.Names(symbols, frames.names)
    whole = np.concatenate([np.zeros(0, ROWS[kind]), *told])
    kept, _ = activity.sane(whole, 0, NOW)
    made = {
        wire.KERNELS: lambda: activity.kernels(kept, names, {}),
        wire.COPIES: lambda: activity.copies(kept, symbols),
        wire.CALLS: lambda: activity.calls(kept, names),
        wire.SYNCS: lambda: activity.waits(kept, symbols),
    }[kind]()
    if kind in (wire.KERNELS, wire.COPIES):
        calls = _launches(kind, kept)["call"]
        made["stack"] = activity.below(np.zeros(len(made), np.uint32), kept, calls, made, names)
    if kind == wire.CALLS:
        known = np.zeros(2, MOMENT)
        known["time_ns"] = NOW, NOW + 1
        assert len(located(kept, known, 50_000_000)) == len(kept)
    assert (made["stack"] < len(symbols.trie)).all()
    assert (made["name"] < len(symbols.strings)).all()
    return made


@given(st.binary(max_size=4096))
def test_noise_is_refused_or_left_out(data: bytes) -> None:
    frames = Frames()
    with contextlib.suppress(ProtocolError):
        list(frames.feed(data))
    assert len(frames.names) <= len(data) // 16


@given(st.sampled_from([wire.KERNELS, wire.COPIES, wire.CALLS, wire.SYNCS]), st.data())
def test_records_of_whatever_numbers_become_events_that_can_be_shown(kind: int, data: st.DataObject) -> None:
    layout = LAYOUTS[kind]
    n = data.draw(st.integers(0, 4))
    body = data.draw(st.binary(min_size=n * layout.itemsize, max_size=n * layout.itemsize))
    records = np.frombuffer(body, layout).copy()
    if "start_ns" in (layout.names or ()) and data.draw(st.booleans()):
        records["start_ns"], records["end_ns"] = NOW, NOW + 5  # so that they are looked at further
    frames = Frames()
    told = [one.rows for one in frames.feed(frame(kind, records.tobytes()))]
    made = _events(told, kind, frames)
    assert made.dtype == EVENT
    assert (made["duration_ns"] <= 1 << 63).all()


def test_a_record_without_sense_is_counted() -> None:
    hour = 3_600_000_000_000
    told = rows(
        wire.KERNELS,
        {"start_ns": NOW - 50, "end_ns": NOW},
        {"start_ns": 0, "end_ns": 0},
        {"start_ns": NOW, "end_ns": NOW - 1},
        {"start_ns": NOW + 2 * hour, "end_ns": NOW + 2 * hour},
        {"start_ns": (1 << 64) - 1, "end_ns": (1 << 64) - 1},
    )
    kept, odd = activity.sane(told, 0, NOW)
    assert (len(kept), odd) == (1, 4)
    kept, odd = activity.sane(rows(wire.KERNELS, {"start_ns": 100, "end_ns": 200}), NOW - 300, NOW)
    assert kept["start_ns"].tolist() == [NOW - 200]  # its clock is not Unix time, and the hello says what it is


def test_json_of_a_status_is_checked_where_it_is_used() -> None:
    from aperture_tui.collect.gpu.status import dropped, text

    words = json.loads('{"dropped": {"kernels": 3, "copies": -1, "calls": "many", "\\u001b": 1}, "aside": 7}')
    assert dropped(words) == {"kernels": 3, "records": 1}
    assert text(words, "aside") == ""
