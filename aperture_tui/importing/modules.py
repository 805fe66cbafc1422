"""What the name of a module tells of its code, as perf and what reads its recordings write it."""

from __future__ import annotations

import re
from typing import Final

from aperture_tui.profile.kinds import FrameKind

_NO_KERNEL: Final = "vdso|vsyscall|unknown|heap|stack|anon|uprobes|vectors"  # in brackets as well
_KERNEL: Final = re.compile(
    rf"\[(?!{_NO_KERNEL})[A-Za-z0-9_.\-]+\](_\S*)?|.*\.ko(\.[gx]z|\.zst)?|.*/vmlinux[^/]*|/proc/kcore|bpf_prog_\w+"
)
_JIT: Final = re.compile(r"(.*/)?perf-\d+\.map|(.*/)?jitted-\d+-\d+\.so|//anon|\[anon.*|anon_inode.*")


def kind_of(module: str) -> FrameKind:
    """The kind of the frames of a module; NATIVE for any other, and for none."""
    if _KERNEL.fullmatch(module):
        return FrameKind.KERNEL
    return FrameKind.JIT if _JIT.fullmatch(module) else FrameKind.NATIVE
