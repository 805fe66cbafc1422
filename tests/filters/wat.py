"""Filters as WebAssembly text, put together from parts, and events to give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import wasmtime
from numpy.typing import NDArray

from aperture_tui.filters.chain import Chain
from aperture_tui.filters.spec import OnError, Spec
from aperture_tui.profile.batch import Batch, empty
from aperture_tui.profile.symbols import Symbols

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MEMORY = '(memory (export "memory") 1)'
VERSION = '(func (export "ap_abi_version") (result i32) (i32.const 0x10000))'
ALLOC = """
(global $top (mut i32) (i32.const 4096))
(func $alloc (export "ap_alloc") (param $n i32) (result i32) (local $at i32)
  (local.set $at (i32.and (i32.add (global.get $top) (i32.const 63)) (i32.const -64)))
  (global.set $top (i32.add (local.get $at) (local.get $n)))
  (if (i32.gt_u (i32.add (i32.shr_u (global.get $top) (i32.const 16)) (i32.const 1)) (memory.size)) (then
    (if (i32.lt_s (memory.grow (i32.sub (i32.add (i32.shr_u (global.get $top) (i32.const 16)) (i32.const 1))
      (memory.size))) (i32.const 0)) (then (return (i32.const 0))))))
  (local.get $at))
"""
"""Regions of memory that grows as needed, from 4,096 on; what is below is the module's."""

PID, WEIGHT, TIME = "offset=32", "offset=56", "offset=0"
"""Where an event has its fields."""
KEEP_ALL = "(i32.const 1)"
ONLY_PID_42 = f"(i32.eq (i32.load {PID} (local.get $event)) (i32.const 42))"


def on_batch(body: str) -> str:
    """The export that is called for a batch. $h: the header. body: gives 0, or an error."""
    return f'(func (export "ap_on_batch") (param $h i32) (result i32) {body})'


def each(verdict: str, tag: str = "(i32.const 0)", before: str = "", after: str = "(i32.const 0)") -> str:
    """ap_on_batch over all events. verdict, tag: i32 expressions for the event at $event. before: of the batch."""
    return f"""
(func (export "ap_on_batch") (param $h i32) (result i32)
  (local $event i32) (local $verdict i32) (local $tag i32) (local $left i32) (local $k i32)
  {before}
  (local.set $left (i32.load offset=16 (local.get $h)))
  (local.set $event (i32.add (local.get $h) (i32.load offset=20 (local.get $h))))
  (local.set $verdict (i32.add (local.get $h) (i32.load offset=24 (local.get $h))))
  (local.set $tag (i32.add (local.get $h) (i32.load offset=28 (local.get $h))))
  (block $done (loop $next
    (br_if $done (i32.eqz (local.get $left)))
    (i32.store (local.get $verdict) {verdict})
    (i32.store (local.get $tag) {tag})
    (local.set $event (i32.add (local.get $event) (i32.const 72)))
    (local.set $verdict (i32.add (local.get $verdict) (i32.const 4)))
    (local.set $tag (i32.add (local.get $tag) (i32.const 4)))
    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
    (br $next)))
  {after})
"""


def log(text_at: str, size: str, level: str = "(i32.const 2)") -> str:
    """A call of aperture.log, for a module with LOG."""
    return f"(call $log {level} {text_at} {size})"


LOG = '(import "aperture" "log" (func $log (param i32 i32 i32)))'


def module(batch: str = "", *more: str, memory: str = MEMORY, version: str = VERSION, alloc: str = ALLOC) -> bytes:
    """A module of these parts. batch: its ap_on_batch; by default it leaves the verdicts as they are. more: the rest,
    imports first."""
    imports = [part for part in more if part.startswith("(import")]
    rest = [part for part in more if not part.startswith("(import")]
    parts = [*imports, memory, version, alloc, batch or on_batch("(i32.const 0)"), *rest]
    return bytes(wasmtime.wat2wasm(f"(module {' '.join(parts)})"))


def tags(names: str) -> str:
    """Its ap_tags, with the names at 256."""
    return f'(data (i32.const 256) "{names}\\00") (func (export "ap_tags") (result i32) (i32.const 256))'


CONFIGURED = """
(global $kept (mut i32) (i32.const 0))
(func (export "ap_configure") (param $at i32) (param $n i32) (result i32)
  (global.set $kept (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)))
  (i32.eq (global.get $kept) (i32.const 9)))
"""
"""Takes a configuration of one digit, and refuses 9."""


def spec(folder: Path, wasm: bytes, on_error: OnError = OnError.KEEP, config: str = "{}", name: str = "f") -> Spec:
    """A filter of a file that is written now."""
    path = folder / f"{name}.wasm"
    path.write_bytes(wasm)
    return Spec(path, config, on_error)


def chain(
    folder: Path, *wasm: bytes, on_error: OnError = OnError.KEEP, clock: Callable[[], float] | None = None
) -> Chain:
    """A chain of these modules, called f0, f1, …"""
    specs = [spec(folder, data, on_error, name=f"f{i}") for i, data in enumerate(wasm)]
    return Chain(specs) if clock is None else Chain(specs, clock)


def events(n: int) -> NDArray[np.void]:
    """n events with different times, pids 0 to 49, weight 2 and a duration of 10."""
    out = empty(n)
    out["time_ns"] = 1_000 + np.arange(n)
    out["pid"], out["tid"] = np.arange(n) % 50, np.arange(n)
    out["weight"], out["duration_ns"], out["maximum_ns"], out["kind"] = 2, 10, 10, 1
    return out


def batch(n: int, symbols: Symbols | None = None) -> Batch:
    """The same as a batch, of tables of their own if there are none."""
    return Batch(symbols or Symbols(), events(n))


class Time:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
