"""Loading a program that walks user stacks: with the unwinder of bpf/unwind.h, or where that is refused, without."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Final

from aperture_tui.collect import bpf, btf, compiler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aperture_tui.collect.unwind.kernel_maps import KernelMaps

TAILS: Final = ("unwind", "python")
"""The tail calls of bpf/unwind.h, by their place in the map `tails`."""
_MEMBERS: Final = ("group_leader", "start_boottime", "self_exec_id", "tgid", "flags", "mm", "stack", "thread")


def load(
    programs: Mapping[str, int], name: str, kind: int, maps: KernelMaps | None, sizes: Mapping[str, int]
) -> tuple[bpf.Loaded, str]:
    """Load bpf/NAME.bpf.c -> what was loaded, and why it is without an unwinder, in one line; "" where it has one.

    kind: the type of the programs that walk; maps: None for no unwinder. Raises OSError, CompileError or BtfError.
    """
    refused = ""
    if maps is not None:
        code = compiler.object_code(source(programs, name, kind, maps.defines))
        try:
            loaded = bpf.load(code, sizes, given=maps.fds)
        except OSError as error:
            if error.errno == errno.EPERM:
                raise
            refused = f"stacks are walked by frame pointers: {bpf.explain(error)}"
        else:
            for place, tail in enumerate(TAILS):
                bpf.update(loaded.maps["tails"], struct.pack("=I", place), struct.pack("=I", loaded.programs[tail]))
            return loaded, ""
    return bpf.load(compiler.object_code(source(programs, name, kind, {})), sizes), refused


def source(programs: Mapping[str, int], name: str, kind: int, sizes: Mapping[str, int]) -> compiler.Source:
    """What is compiled. sizes: KernelMaps.defines, or nothing for no unwinder. Raises BtfError."""
    tails = dict.fromkeys(TAILS, kind) if sizes else {}
    return compiler.Source(name, {**programs, **tails}, {"UNWIND_ROWS": 0, **_task_defines(), **sizes})


def _task_defines() -> dict[str, int]:
    defines = {f"TASK_{member.upper()}": at for member, at in btf.member_offsets("task_struct", _MEMBERS).items()}
    thread = defines.pop("TASK_THREAD")
    try:
        defines["TASK_FSBASE"] = thread + btf.member_offsets("thread_struct", ("fsbase",))["fsbase"]
    except btf.BtfError:
        defines["TASK_FSBASE"] = 0  # another architecture: there is no unwinder for it
    return defines
