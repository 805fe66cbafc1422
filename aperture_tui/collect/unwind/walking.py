"""Loading a program that walks user stacks: with the unwinder of bpf/unwind.h, or where that is refused, without."""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aperture_tui.collect import bpf, btf, compiler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aperture_tui.collect.object_code import ProgramSpec
    from aperture_tui.collect.unwind.kernel_maps import KernelMaps

TAILS: Final = ("unwind", "python", "copy")
"""The tail calls of bpf/walk.h, by their place in the map `tails`; the last is of bpf/cpu.bpf.c alone."""
_WITHOUT: Final = ("stacks are walked by frame pointers", "no Python frames", "no whole stacks of new processes")
"""What there is without each of them."""
_MEMBERS: Final = (
    *("pid", "tgid", "group_leader", "start_boottime", "self_exec_id"),
    *("flags", "mm", "stack", "thread", "signal"),
)


@dataclass(frozen=True)
class Walker:
    """A program that walks stacks, loaded. `finish` has to be called for it to have its unwinder.

    refused: why it has none, in one line, or "".
    """

    loaded: bpf.Loaded
    tails: tuple[ProgramSpec, ...] = ()
    refused: str = ""

    def finish(self) -> str:
        """Load the tails, the larger part by far -> why they were refused, in one line, or "".

        The verifier takes a tenth of a second for them, in which the first samples can be taken: without tables there
        is nothing to be unwound by anyway.
        """
        for tail in self.tails:
            try:
                fd = bpf.add(self.loaded, tail)
            except OSError as error:
                return _words(error, tail.name)
            place = TAILS.index(tail.name)
            bpf.update(self.loaded.maps["tails"], struct.pack("=I", place), struct.pack("=I", fd))
        return ""


def load(
    program: Callable[[Mapping[str, int]], compiler.Source],
    maps: KernelMaps | None,
    sizes: Mapping[str, int],
    given: Mapping[str, int],
) -> Walker:
    """Load a program, made by `source`. maps: None for no unwinder. sizes, given: as of `bpf.load`.

    Raises OSError, CompileError or BtfError.
    """
    refused = ""
    if maps is not None:
        code = compiler.object_code(program(maps.defines))
        try:
            loaded = bpf.load(code, sizes, {**given, **maps.fds}, later=TAILS)
        except OSError as error:
            if error.errno == errno.EPERM:
                raise
            refused = _words(error, TAILS[0])
        else:
            tails = sorted((one for one in code.programs if one.name in TAILS), key=lambda one: TAILS.index(one.name))
            return Walker(loaded, tuple(tails))
    return Walker(bpf.load(compiler.object_code(program({})), sizes, given), refused=refused)


def _words(error: OSError, tail: str) -> str:
    return f"{_WITHOUT[TAILS.index(tail)]}: {bpf.explain(error)}"


def source(
    programs: Mapping[str, int], name: str, kind: int, sizes: Mapping[str, int], tracepoint: str = ""
) -> compiler.Source:
    """What is compiled. kind: the type of the programs that walk; tracepoint: theirs, if it is bpf.PROG_TRACING.
    sizes: KernelMaps.defines, or nothing for no unwinder. Raises BtfError.
    """
    tails = dict.fromkeys(TAILS[:2], kind) if sizes else {}
    return compiler.Source(name, {**programs, **tails}, {"UNWIND_ROWS": 0, **task_defines(), **sizes}, tracepoint)


def task_defines() -> dict[str, int]:
    """What the programs have to know of the kernel's structures. Raises BtfError."""
    defines = {f"TASK_{member.upper()}": at for member, at in btf.member_offsets("task_struct", _MEMBERS).items()}
    thread = defines.pop("TASK_THREAD")
    defines["X86"] = int(os.uname().machine == "x86_64")
    try:
        defines["TASK_FSBASE"] = thread + btf.member_offsets("thread_struct", ("fsbase",))["fsbase"]
    except btf.BtfError:
        defines["TASK_FSBASE"] = 0  # another architecture: there is no unwinder for it
    defines["SIGNAL_LIVE"] = btf.member_offsets("signal_struct", ("live",))["live"]
    return defines
