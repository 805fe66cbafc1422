"""Symbols in a program's memory, read back from there after they grew at random."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from aperture_tui.filters import abi
from aperture_tui.filters.engine import Engine
from aperture_tui.filters.errors import FaultError
from aperture_tui.filters.guest import Guest, NoRoomError
from aperture_tui.filters.log import Log
from aperture_tui.filters.module import Module, compiled
from aperture_tui.filters.tables import Layout, Rows
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Process, Symbols
from tests.filters.wat import events, module

_SMALL = Rows(strings=8, text=64, frames=8, stacks=8, processes=4)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as one:
        yield one


@pytest.fixture(scope="module")
def passing(engine: Engine) -> Module:
    return compiled(engine, module())


def _header(guest: Guest) -> NDArray[np.void]:
    return np.frombuffer(guest.instance.read(guest._arena, abi.HEADER.itemsize), abi.HEADER)[0]


def _table(guest: Guest, name: str, dtype: np.dtype[np.void]) -> NDArray[np.void]:
    header = _header(guest)
    size = int(header[f"n_{name}"]) * dtype.itemsize
    return np.frombuffer(guest.instance.read(guest._arena + int(header[name]), size), dtype)


def _assert_equal(guest: Guest, symbols: Symbols) -> None:
    places = _table(guest, "strings", abi.STRING).tolist()
    texts = [guest.instance.read(guest._arena + offset, length).decode() for offset, length in places]
    assert texts == list(symbols.strings)
    assert _table(guest, "frames", abi.FRAME).tolist() == symbols.frames.tolist()
    assert _table(guest, "processes", abi.PROCESS).tolist() == symbols.processes.tolist()
    nodes = _table(guest, "stacks", abi.NODE)
    trie = symbols.trie
    assert nodes["parent"][1:].tolist() == trie.parent[1:].tolist()
    assert nodes["parent"][0] == 0
    assert nodes["frame"].tolist() == trie.frame.tolist()


_words = st.text("aé日\x1b", max_size=6)
_frames = st.builds(Frame, _words, _words, _words, st.integers(0, 9), st.sampled_from(FrameKind))
_steps = st.lists(
    st.one_of(
        _words,
        st.builds(Process, st.integers(1, 9), st.integers(0, 9), _words, _words, _words),
        st.lists(_frames, max_size=5),
        st.just(None),
    ),
    max_size=25,
)


@given(_steps)
def test_tables_in_the_program_are_those_of_the_session_however_they_grew(
    engine: Engine, passing: Module, steps: list[str | Process | list[Frame] | None]
) -> None:
    """None begins a new generation of Symbols. An arena that is too small is made anew, as a filter does."""
    symbols, capacity = Symbols(), _SMALL
    guest = Guest(engine, passing, "{}", Log(), capacity)
    for step in steps:
        if step is None:
            symbols = Symbols()
        elif isinstance(step, str):
            symbols.string(step)
        elif isinstance(step, Process):
            symbols.process(step)
        else:
            symbols.stacks([[symbols.frame(frame) for frame in step]])
        try:
            judged = guest.judge(symbols, events(1), 1, False)
        except NoRoomError as error:
            capacity = error.capacity
            guest.close()
            guest = Guest(engine, passing, "{}", Log(), capacity)
            judged = guest.judge(symbols, events(1), 1, False)
            assert judged.first_frame == 0
        _assert_equal(guest, symbols)
    guest.close()


def test_only_what_is_new_is_written(engine: Engine, passing: Module) -> None:
    """A program may rely on what it has seen; and a session's tables are too large to be copied for each batch."""
    symbols = Symbols()
    guest = Guest(engine, passing, "{}", Log())
    symbols.frame(Frame("first"))
    guest.judge(symbols, events(1), 1, False)
    frames = guest._arena + int(_header(guest)["frames"])
    guest.instance.write(frames, b"\xff" * abi.FRAME.itemsize)
    symbols.frame(Frame("second"))
    assert guest.judge(symbols, events(1), 1, False).first_frame == 2
    assert guest.instance.read(frames, 4) == b"\xff" * 4
    assert guest.judge(symbols, events(1), 1, False).hidden is None
    guest.close()


def test_a_large_arena_costs_the_pages_that_are_touched(engine: Engine, passing: Module) -> None:
    guest = Guest(engine, passing, "{}", Log())
    guest.judge(Symbols(), events(10), 1, False)
    assert guest.instance.memory_bytes > 12 << 20
    assert guest.memory_bytes < 2 << 20
    guest.close()


def test_tables_that_do_not_fit_into_what_a_program_may_have_are_refused(engine: Engine, passing: Module) -> None:
    huge = Rows(1 << 22, 1 << 26, 1 << 20, 1 << 20, 1 << 14)
    assert Layout.of(huge).size > abi.MEMORY_BYTES
    with pytest.raises(FaultError, match="MB for the session's tables; it may have 64 MB"):
        Guest(engine, passing, "{}", Log(), huge)


def test_the_header_says_where_everything_is(engine: Engine, passing: Module) -> None:
    guest = Guest(engine, passing, "{}", Log())
    symbols, some = Symbols(), events(3)
    for sequence, (lost, flags) in enumerate([(False, 2), (True, 1), (False, 0)]):
        guest.judge(symbols, some, 77, lost)
        header = _header(guest)
        assert [int(header[name]) for name in ("magic", "major", "minor", "header_size", "event_size")] == [
            abi.MAGIC, 1, 0, 128, 72,
        ]  # fmt: skip
        assert (int(header["n_events"]), int(header["now_ns"]), int(header["flags"])) == (3, 77, flags)
        assert (int(header["sequence"]), int(header["generation"])) == (sequence, 1)
        at = guest._arena
        assert guest.instance.read(at + int(header["events"]), 216) == some.tobytes()
        assert guest.instance.read(at + int(header["verdicts"]), 12) == np.ones(3, "<u4").tobytes()
        assert guest.instance.read(at + int(header["tags"]), 12) == bytes(12)
        assert not any(int(header[name]) % 8 for name in ("events", "strings", "frames", "stacks", "processes"))
    guest.judge(Symbols(), some, 77, False)
    assert int(_header(guest)["generation"]) == 2
    guest.close()
