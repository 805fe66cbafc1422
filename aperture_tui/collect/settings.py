"""What is collected: the user's choices, as every collector needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

EVENTS: Final = ("cpu", "offcpu", "syscall", "lock", "gpu")
"""What can be asked for, by the names of profile.kinds.Kind; `gpu` is all kinds that begin so."""
GPU_RECORDS: Final = ("gpu_kernel", "gpu_copy")
"""What agents in programs record: names of Health, and of profile.kinds.Kind."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Filtered in the kernel, all of it.

    hz: CPU samples a second. pids: these processes alone, and what they start from now on. cgroups: directories of
    control groups (version 2), with all below them. events: collected from the beginning to the end; what a screen
    wants for a while comes on top. syscalls: names; only these are measured, () is all. syscall_stacks: of so many
    calls one has its user stack taken as well, 0 is none. min_block_ns: shorter waits are counted together, without
    stacks. wait_stacks: whether the stacks of waits are taken at all. gpu_limit: what recording a GPU may cost its
    program, as a share of the CPU that it uses; from 1 on everything is recorded, whatever it costs.
    """

    hz: int = 99
    pids: tuple[int, ...] = ()
    cgroups: tuple[str, ...] = ()
    events: tuple[str, ...] = ("cpu",)
    syscalls: tuple[str, ...] = ()
    syscall_stacks: int = 0
    min_block_ns: int = 0
    wait_stacks: bool = True
    gpu_limit: float = 0.02
