"""A host of a few lines, for filters alone: what docs say of the interface, read a second time.

It shares no code with the profiler's own engine, so that an error in one of them is not an error in both.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import wasmtime
from numpy.typing import NDArray

EVENT: Final = np.dtype(
    [
        ("time_ns", "<u8"),
        ("duration_ns", "<u8"),
        ("maximum_ns", "<u8"),
        ("value", "<u8"),
        ("pid", "<u4"),
        ("tid", "<u4"),
        ("process", "<u4"),
        ("thread", "<u4"),
        ("name", "<u4"),
        ("stack", "<u4"),
        ("weight", "<u4"),
        ("aux", "<u4"),
        ("kind", "<u2"),
        ("flags", "<u2"),
        ("cpu", "<u2"),
        ("tags", "<u2"),
    ]
)
SLICE: Final = np.dtype([("offset", "<u4"), ("length", "<u4")])
FRAME: Final = np.dtype([(name, "<u4") for name in ("function", "module", "file", "line", "kind")])
NODE: Final = np.dtype([("parent", "<u4"), ("frame", "<u4")])
PROCESS: Final = np.dtype(
    [("start_ns", "<u8"), ("pid", "<u4"), ("name", "<u4"), ("cgroup", "<u4"), ("container", "<u4")]
)
HEADER: Final = np.dtype(
    [
        ("magic", "<u4"),
        ("major", "<u2"),
        ("minor", "<u2"),
        ("header_size", "<u4"),
        ("event_size", "<u4"),
        ("n_events", "<u4"),
        ("events", "<u4"),
        ("verdicts", "<u4"),
        ("tags", "<u4"),
        ("generation", "<u4"),
        ("flags", "<u4"),
        ("now_ns", "<u8"),
        ("sequence", "<u8"),
        ("unused", "<u8"),
        ("n_strings", "<u4"),
        ("strings", "<u4"),
        ("n_frames", "<u4"),
        ("frames", "<u4"),
        ("n_stacks", "<u4"),
        ("stacks", "<u4"),
        ("n_processes", "<u4"),
        ("processes", "<u4"),
        ("redacted", "<u4"),
        ("rest", "<u4", (7,)),
    ]
)
MAGIC: Final = int.from_bytes(b"APB1", "little")
BATCH: Final = 16_384
ROOM: Final = 8 << 20
MEMORY: Final = 64 << 20
ROWS: Final = 1 << 15

Signature = tuple[list[str], list[str]]
EXPORTS: Final[dict[str, Signature]] = {
    "ap_abi_version": ([], ["i32"]),
    "ap_alloc": (["i32"], ["i32"]),
    "ap_configure": (["i32", "i32"], ["i32"]),
    "ap_tags": ([], ["i32"]),
    "ap_on_batch": (["i32"], ["i32"]),
}
IMPORTS: Final[dict[tuple[str, str | None], Signature]] = {
    ("aperture", "log"): (["i32"] * 3, []),
    ("env", "abort"): (["i32"] * 4, []),
}


@dataclass
class Tables:
    """The rows of one generation. They only grow: a batch is given how many of them there are."""

    strings: list[bytes]
    frames: NDArray[np.void]
    stacks: NDArray[np.void]
    processes: NDArray[np.void]


@dataclass
class Batch:
    events: NDArray[np.void]
    tables: Tables
    generation: int = 1


@dataclass
class Decided:
    verdicts: NDArray[np.uint32]
    tags: NDArray[np.uint32]
    redacted: NDArray[np.uint8]


def signature(kind: wasmtime.FuncType) -> Signature:
    return [str(one) for one in kind.params], [str(one) for one in kind.results]


@dataclass
class Filter:
    """One instance. `log` is what it said."""

    wasm: Path
    settings: dict[str, Any] | bytes = field(default_factory=dict)
    """As they are, or as the bytes of JSON."""
    log: list[tuple[int, str]] = field(default_factory=list)
    damage: Callable[[NDArray[np.void]], None] | None = None
    """Changes a header after it was written."""

    def __post_init__(self) -> None:
        self.store = wasmtime.Store()
        self.store.set_limits(memory_size=MEMORY)
        module = wasmtime.Module.from_file(self.store.engine, str(self.wasm))
        linker = wasmtime.Linker(self.store.engine)
        i32 = wasmtime.ValType.i32()
        linker.define_func("aperture", "log", wasmtime.FuncType([i32] * 3, []), self._log)
        linker.define_func("env", "abort", wasmtime.FuncType([i32] * 4, []), self._abort)
        exports = linker.instantiate(self.store, module).exports(self.store)
        self.memory: Any = exports["memory"]
        self.exports: Any = exports
        self.sequence = 0
        text = self.settings if isinstance(self.settings, bytes) else json.dumps(self.settings).encode()
        at = self.call("ap_alloc", max(1, len(text)))
        self.bytes(at, len(text))[:] = np.frombuffer(text, np.uint8)
        self.refused = self.call("ap_configure", at, len(text))
        self.arena = self.call("ap_alloc", ROOM)
        assert at != 0
        assert self.arena != 0
        assert at % 64 == self.arena % 64 == 0

    def _log(self, level: int, at: int, length: int) -> None:
        self.log.append((level, self.bytes(at, length).tobytes().decode()))

    def _abort(self, message: int, file: int, line: int, column: int) -> None:
        raise RuntimeError(f"abort at {line}:{column}")

    def call(self, name: str, *arguments: int) -> int:
        out: int = self.exports[name](self.store, *arguments)
        return out & 0xFFFF_FFFF

    def bytes(self, at: int, length: int) -> NDArray[np.uint8]:
        """A view of its memory. Taken anew each time, since memory moves when it grows."""
        whole = np.frombuffer(self.memory.get_buffer_ptr(self.store), np.uint8)
        assert at + length <= len(whole)
        return whole[at : at + length]

    def tags(self) -> list[str]:
        at = self.call("ap_tags")
        text = self.bytes(at, min(1025, self.memory.data_len(self.store) - at)).tobytes().split(b"\0")[0].decode()
        return text.split(",") if text else []

    def run(self, batch: Batch) -> Decided:
        """What it says about a batch."""
        error, decided = self.try_run(batch)
        assert error == 0, self.log
        return decided

    def try_run(self, batch: Batch) -> tuple[int, Decided]:
        """The code it gives, and what it wrote."""
        n, tables = len(batch.events), batch.tables
        texts = b"".join(tables.strings)
        header = np.zeros(1, HEADER)
        places: dict[str, tuple[int, NDArray[Any]]] = {}
        at = HEADER.itemsize

        def place(name: str, rows: NDArray[Any], room: int) -> None:
            nonlocal at
            header[name] = at
            places[name] = (at, rows)
            at = (at + room * rows.dtype.itemsize + 63) // 64 * 64

        place("events", batch.events, BATCH)
        place("verdicts", np.ones(n, "<u4"), BATCH)
        place("tags", np.zeros(n, "<u4"), BATCH)
        place("redacted", np.zeros(len(tables.frames), np.uint8), ROWS)
        place("frames", tables.frames, ROWS)
        place("stacks", tables.stacks, ROWS)
        place("processes", tables.processes, ROWS)
        slices = np.zeros(len(tables.strings), SLICE)
        slices["length"] = [len(text) for text in tables.strings]
        slices["offset"] = at + ROWS * SLICE.itemsize + np.cumsum(slices["length"]) - slices["length"]
        place("strings", slices, ROWS)
        assert at + len(texts) <= ROOM
        places["texts"] = (at, np.frombuffer(texts, np.uint8))

        for name, value in {
            "magic": MAGIC,
            "major": 1,
            "header_size": HEADER.itemsize,
            "event_size": EVENT.itemsize,
            "n_events": n,
            "n_strings": len(tables.strings),
            "n_frames": len(tables.frames),
            "n_stacks": len(tables.stacks),
            "n_processes": len(tables.processes),
            "generation": batch.generation,
            "flags": 2 if self.sequence == 0 else 0,
            "sequence": self.sequence,
            "now_ns": int(batch.events["time_ns"].max()) if n else 0,
        }.items():
            header[name] = value
        if self.damage is not None:
            self.damage(header)
        self.sequence += 1

        for place_at, rows in [(0, header), *places.values()]:
            raw = rows.tobytes()
            self.bytes(self.arena + place_at, len(raw))[:] = np.frombuffer(raw, np.uint8)
        error = self.call("ap_on_batch", self.arena)

        def read(name: str, kind: str, count: int) -> NDArray[Any]:
            size = np.dtype(kind).itemsize
            return self.bytes(self.arena + places[name][0], count * size).copy().view(kind)

        return error, Decided(
            read("verdicts", "<u4", n), read("tags", "<u4", n), read("redacted", "u1", len(tables.frames))
        )
