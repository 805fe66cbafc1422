"""Code that the kernel puts into every process: the vdso and the vsyscall page."""

from __future__ import annotations

import functools
from typing import Final

from aperture_tui.symbolize.address_space import Mapping, parse_maps
from aperture_tui.symbolize.elf import BytesSource
from aperture_tui.symbolize.images import Image, ImageKey, read_image

_MAX_BYTES: Final = 1 << 20
_COMPAT_END: Final = 1 << 32
_VSYSCALL: Final = {0: "gettimeofday", 0x400: "time", 0x800: "getcpu"}
_VSYSCALL_SIZE: Final = 0x400  # linux/arch/x86/entry/vsyscall/vsyscall_emu_64.S: three entries, 1024 bytes apart


def vsyscall_name(offset: int) -> str:
    """The function at an offset into the x86-64 vsyscall page; "" if there is none."""
    return _VSYSCALL.get(offset // _VSYSCALL_SIZE * _VSYSCALL_SIZE, "")


def vdso_key(mapping: Mapping) -> ImageKey:
    """What the image behind a vdso is known by: a kernel has one for its 64-bit processes and another for the others.

    Both may have one size.
    """
    return ImageKey(0, int(mapping.start < _COMPAT_END), 0, mapping.end - mapping.start)


def vdso_image(pid: int, mapping: Mapping) -> Image | None:
    """The symbols of a process's vdso, or None if it cannot be read.

    A kernel has one image for its 64-bit processes, so ours serves for all whose vdso has the size of ours; that of
    another size or of a 32-bit process is read from the process's memory.
    """
    data = vdso_memory(pid, mapping)
    return _parsed(data) if data else None


def vdso_memory(pid: int, mapping: Mapping) -> bytes:
    """The image of a process's vdso, an ELF file in memory; b"" if it cannot be read. See `vdso_image`."""
    own = _own()
    if len(own) == mapping.end - mapping.start and mapping.start >= _COMPAT_END:
        return own
    return _read(pid, mapping)


@functools.cache
def _own() -> bytes:
    try:
        with open("/proc/self/maps", "rb") as file:
            mappings, _ = parse_maps(file.read())
    except OSError:
        return b""
    mapping = next((m for m in mappings if m.path == "[vdso]"), None)
    return _read("self", mapping) if mapping else b""


def _read(pid: int | str, mapping: Mapping) -> bytes:
    """The memory of a mapping; b"" if it may not or cannot be read: the caller shows addresses then."""
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(mapping.start)
            return memory.read(min(mapping.end - mapping.start, _MAX_BYTES))
    except (OSError, ValueError, OverflowError):
        return b""


@functools.lru_cache(maxsize=4)
def _parsed(data: bytes) -> Image:
    return read_image(BytesSource(data))
