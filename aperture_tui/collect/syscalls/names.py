"""Names of system calls, of this machine's own table and of the 32-bit one."""

from __future__ import annotations

import functools
import platform
from typing import TYPE_CHECKING, Final

from aperture_tui.collect.syscalls import tables

if TYPE_CHECKING:
    from collections.abc import Mapping

COMPAT: Final = 1 << 13
"""Of a number in our tables: the call is one of the 32-bit table (bpf/calls.bpf.c)."""

_TABLES: Final = {"x86_64": tables.X86_64, "aarch64": tables.AARCH64}
_COMPAT_TABLES: Final = {"x86_64": tables.I386}


def name(number: int, machine: str | None = None) -> str:
    """What a call is called; "syscall 999" if it is newer than our tables, "read (32-bit)" with COMPAT."""
    machine = machine or platform.machine()
    if number & COMPAT:
        number &= COMPAT - 1
        return f"{_by_number(_COMPAT_TABLES.get(machine, '')).get(number, f'syscall {number}')} (32-bit)"
    return _by_number(_TABLES.get(machine, "")).get(number, f"syscall {number}")


def numbers(machine: str | None = None) -> Mapping[str, int]:
    """name -> number on this machine; empty for one that has no table."""
    return {word: number for number, word in _by_number(_TABLES.get(machine or platform.machine(), "")).items()}


def compat_numbers(machine: str | None = None) -> Mapping[str, int]:
    """name -> number in the 32-bit table, without COMPAT."""
    found = _by_number(_COMPAT_TABLES.get(machine or platform.machine(), ""))
    return {word: number for number, word in found.items()}


@functools.cache
def _by_number(text: str) -> dict[int, str]:
    found: dict[int, str] = {}
    at = 0
    for word in text.split():
        if word.isdecimal():
            at = int(word)
        else:
            found[at] = word
            at += 1
    return found
