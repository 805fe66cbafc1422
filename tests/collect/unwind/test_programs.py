"""The C side of the unwinder: its layouts, and its two ways to the registers of a thread in the kernel."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable

import numpy as np
import pytest

from aperture_tui import resources
from aperture_tui.collect import bpf
from aperture_tui.collect.stacks import STACK_HEADER
from aperture_tui.collect.unwind import kernel_maps
from aperture_tui.collect.unwind.extents import Banks
from aperture_tui.collect.unwind.kernel_maps import ANONYMOUS, MAPPING, PENDING, REQUEST
from aperture_tui.collect.unwind.supply import Supply
from aperture_tui.profile.kinds import STOP_SHIFT, Flag, Stop
from tests.collect.collecting import FRAME_POINTERS, collecting
from tests.programs import build

SIZES = {"u64": 8, "u32": 4, "s32": 4, "u16": 2, "u8": 1}


def header() -> str:
    return (resources.folder("bpf") / "walk.h").read_text()


def fields(structure: str) -> list[tuple[str, str]]:
    """(type, name) of a structure's members up to the first array."""
    (body,) = re.findall(rf"struct {structure} \{{(.*?)\}};", header(), re.DOTALL)
    return re.findall(r"^\s+(\w+) (\w+);", body, re.MULTILINE)


def offsets(structure: str) -> dict[str, int]:
    out, at = {}, 0
    for kind, name in fields(structure):
        at = -(-at // SIZES[kind]) * SIZES[kind]
        out[name] = at
        at += SIZES[kind]
    return out


def test_the_layouts_are_those_of_the_c_structures() -> None:
    mirrored = {name: place[1] for name, place in MAPPING.fields.items()}  # type: ignore[union-attr]
    of_c = offsets("mapping")
    first, rows = of_c.pop("first"), of_c.pop("rows")
    assert mirrored == {**of_c, "table": first}
    assert rows == first + 4
    assert MAPPING.itemsize == 32
    assert {n: p[1] for n, p in REQUEST.fields.items()} == offsets("request")  # type: ignore[union-attr]
    assert [n for _t, n in fields("stack")] == [
        "hash",
        "start_ns",
        "pid",
        "kernel",
        "python",
        "user",
        "unused",
        "flags",
    ]
    assert STACK_HEADER.size == offsets("stack")["flags"] + 4 == 32


def test_the_flags_are_those_of_the_c_header() -> None:
    numbers = {name: int(value, 0) for name, value in re.findall(r"#define (\w+) (\d+|0x[0-9a-f]+)U?\b", header())}
    for flag in (Flag.KERNEL_MODE, Flag.TRUNCATED, Flag.NO_USER_STACK, Flag.WHOLE, Flag.GUESSED, Flag.FRAME_POINTERS):
        assert numbers[str(flag.name)] == flag
    stops = dict(re.findall(rf"#define (\w+) \((\d+) << {STOP_SHIFT}\)", header()))
    assert {name: int(n) for name, n in stops.items()} == {s.name: int(s) for s in Stop if s is not Stop.NONE}
    assert (numbers["PENDING"], numbers["ANONYMOUS"]) == (PENDING, ANONYMOUS)


@pytest.mark.bpf
@pytest.mark.parametrize("way", ["helper", "stack"])
def test_threads_in_the_kernel_are_unwound_from_their_saved_registers(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "stack":  # as on kernels before 5.15
        monkeypatch.setattr("platform.release", lambda: "5.14.0")
    with collecting() as kept:
        time.sleep(1)
        reading = "ulimit -t 2; exec dd if=/dev/zero of=/dev/null bs=1M status=none"  # of CPU, however fast and busy
        child = subprocess.Popen(["/bin/sh", "-c", reading])
        child.wait(timeout=60)
    events = kept.of(child.pid)
    too_early = events["time_ns"][events["flags"] >> STOP_SHIFT & 0xF == Stop.NO_TABLES]
    begun = int(too_early.max(initial=0))  # until then its tables are made, which takes what others leave
    in_kernel = events[(events["time_ns"] > begun) & (events["flags"] & Flag.KERNEL_MODE > 0)]
    assert len(in_kernel) > 200
    assert np.mean((in_kernel["flags"] & Flag.WHOLE) > 0) > 0.99
    stacks = kept.stacks(child.pid, begun)
    main = sum(n for stack, n in stacks.items() if "__libc_start_main" in " ".join(stack))
    assert main > 0.9 * stacks.total()


@pytest.mark.bpf
def test_rows_are_found_in_whatever_bank_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(Banks):
        """The first bank is full."""

        def __init__(self, size: int, most: int, make: Callable[[], bool]) -> None:
            super().__init__(size, most, make)
            assert self.take(size) == 0

    monkeypatch.setattr(kernel_maps, "Banks", Late)
    program = build("ratio", "-O2", "-fomit-frame-pointer")
    with collecting() as kept:
        child = subprocess.Popen([program, "4"], stdout=subprocess.DEVNULL)
        child.wait(timeout=60)
    events = kept.of(child.pid)
    # without the end: gcc has no rows for what runs then (__do_global_dtors_aux, _fini)
    late = events[len(events) // 2 : len(events) * 9 // 10]
    assert len(late) > 100
    assert np.mean((late["flags"] & Flag.WHOLE) > 0) > 0.99
    assert not np.any(late["flags"] & (Flag.GUESSED | Flag.FRAME_POINTERS))


def refuse_maps(monkeypatch: pytest.MonkeyPatch) -> str:
    def refused() -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("aperture_tui.collect.unwind.supply.KernelMaps", refused)
    return "needs root, or CAP_BPF"


def refuse_program(monkeypatch: pytest.MonkeyPatch) -> str:
    load = bpf.load_program

    def picky(name: str, kind: int, code: bytes, tracepoint: str = "") -> int:
        if name == "unwind":
            raise PermissionError(13, "program 'unwind' was refused: Permission denied (R2 is not to our taste)")
        return load(name, kind, code, tracepoint)

    monkeypatch.setattr(bpf, "load_program", picky)
    return "not to our taste"


@pytest.mark.bpf
@pytest.mark.parametrize("refuse", [refuse_maps, refuse_program])
def test_without_the_unwinder_stacks_are_walked_by_frame_pointers_and_say_so(
    refuse: Callable[[pytest.MonkeyPatch], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = refuse(monkeypatch)
    program = build("ratio", *FRAME_POINTERS)
    with collecting() as kept:
        child = subprocess.Popen([program, "1.5"], stdout=subprocess.DEVNULL)
        child.wait(timeout=30)
    events = kept.of(child.pid)
    assert len(events) > 300
    walked = events[(events["flags"] & Flag.WHOLE) == 0]
    assert len(walked) > 0.99 * len(events), "but for its last moments, when it has no user stack any more"
    assert ((walked["flags"] & Flag.FRAME_POINTERS) > 0).all()
    stops = walked["flags"] >> STOP_SHIFT & 0xF
    assert set(stops.tolist()) <= {Stop.UNSUPPORTED, Stop.NO_TABLES}
    assert stops[-1] == Stop.UNSUPPORTED
    (words,) = [h.message for h in kept.health if h.name in ("cpu", "unwind") and "frame pointers" in h.message]
    assert reason in words


def test_another_architecture_has_no_unwinder_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    supply = Supply()
    supply.start()
    assert supply.maps is None
    assert supply.health().message == "stacks are walked by frame pointers: there is no unwinder for aarch64 yet"
    supply.stop()
