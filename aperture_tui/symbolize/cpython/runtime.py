"""The threads of an interpreter, and where each keeps its PyThreadState for the kernel to find it.

CPython stores a thread's state in thread-specific data (PEP 539; `autoTSSkey`), under a key that differs from process
to process. glibc keeps the values of 32 keys in a block of {sequence, data} pairs, and the pointers to the blocks in
struct pthread (nptl/descr.h), whose address is the thread pointer, pthread_self() and PyThreadState.thread_id.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from aperture_tui.symbolize.cpython.errors import CPythonError, CPythonNotReady
from aperture_tui.symbolize.cpython.layout import Layout
from aperture_tui.symbolize.process_memory import Memory, read

_MAX_INTERPRETERS: Final = 64
_MAX_THREADS: Final = 512  # of all interpreters together
_CHECKED: Final = 32  # threads whose thread-specific data is looked at
_BLOCKS: Final = 32
_KEYS: Final = 32  # of a block
_PAIR: Final = 16  # bytes
_SELF: Final = 16  # tcbhead_t.self in sysdeps/x86_64/nptl/tls.h: the thread pointer itself


class ThreadState(NamedTuple):
    """A PyThreadState and its thread's pthread_self()."""

    address: int
    thread: int


def thread_states(memory: Memory, layout: Layout, runtime: int) -> list[ThreadState]:
    """The first thread states of a process. runtime: address of `_PyRuntime`.

    Raises CPythonNotReady if there are none, CPythonError if the lists are not what the layout says.
    """
    interpreter = _word(memory, runtime + layout.interpreters_head)
    out: list[ThreadState] = []
    seen: set[int] = set()
    seen_threads: set[int] = set()
    while interpreter and interpreter not in seen and len(seen) < _MAX_INTERPRETERS:
        seen.add(interpreter)
        out.extend(_threads_of(memory, layout, interpreter, seen_threads))
        interpreter = _word(memory, interpreter + layout.interpreter_next)
    if not out:
        raise CPythonNotReady(f"CPython 3.{layout.minor} has no thread state yet")
    return out


def _threads_of(memory: Memory, layout: Layout, interpreter: int, seen: set[int]) -> list[ThreadState]:
    """Those that have a thread. seen: the states that were looked at until now, with a thread or without."""
    size = max(layout.thread_next, layout.thread_interpreter, layout.thread_id) + 8
    state = _word(memory, interpreter + layout.threads_head)
    out: list[ThreadState] = []
    while state and state not in seen and len(seen) < _MAX_THREADS:
        seen.add(state)
        data = read(memory, state, size)
        if data is None:
            break  # the list is being changed
        (owner,) = struct.unpack_from("<Q", data, layout.thread_interpreter)
        if owner != interpreter:
            raise CPythonError(f"CPython 3.{layout.minor} with thread states of an unknown layout")
        (thread,) = struct.unpack_from("<Q", data, layout.thread_id)
        if thread:
            out.append(ThreadState(state, thread))
        (state,) = struct.unpack_from("<Q", data, layout.thread_next)
    return out


def find_slot(memory: Memory, states: Sequence[ThreadState], specific: int) -> tuple[int, int]:
    """Where the threads keep their states: (Walk.tsd_blocks, Walk.tsd_value).

    specific: offset of the pointers to the blocks in struct pthread. The slot is the one that holds the own state of
    most threads (extension modules keep it under keys of theirs as well) and no thread's something else.
    Raises CPythonNotReady if there is none.
    """
    addresses = {state.address for state in states}
    living = _living(memory, states[-_CHECKED:])  # a list begins with the newest thread: the main one is at its end
    pointers = memory.read_many([s.thread + specific for s in living], [8 * _BLOCKS] * len(living))
    places = [
        (state, block, pointer)
        for state, row in zip(living, pointers, strict=True)
        if row is not None
        for block, pointer in enumerate(np.frombuffer(row, "<u8").tolist())
        if pointer
    ]
    blocks = memory.read_many([pointer for _, _, pointer in places], [_KEYS * _PAIR] * len(places))
    holds: Counter[tuple[int, int]] = Counter()
    refused: set[tuple[int, int]] = set()
    for (state, block, _), data in zip(places, blocks, strict=True):
        if data is None:
            continue
        for key, value in enumerate(np.frombuffer(data, "<u8")[1::2].tolist()):
            if value == state.address:
                holds[block, key] += 1
            elif value and value not in addresses:
                refused.add((block, key))
    found = [(-count, slot) for slot, count in holds.items() if slot not in refused]
    if not found:
        raise CPythonNotReady("no thread of CPython keeps its state where it is looked for")
    _, (block, key) = min(found)
    return specific + 8 * block, key * _PAIR + 8


def _living(memory: Memory, states: Sequence[ThreadState]) -> list[ThreadState]:
    """Those whose thread is still there: its descriptor holds its own address."""
    heads = memory.read_many([state.thread for state in states], [_SELF + 8] * len(states))
    return [
        state
        for state, head in zip(states, heads, strict=True)
        if head is not None and head[:8] == head[_SELF:] == struct.pack("<Q", state.thread)
    ]


def _word(memory: Memory, address: int) -> int:
    data = read(memory, address, 8)
    if data is None:
        raise CPythonError("the state of CPython cannot be read")
    return int.from_bytes(data, "little")
