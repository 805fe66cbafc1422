"""perf as the reference: it copies a piece of the stack with each sample and unwinds it afterwards, by libunwind."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from aperture_tui.symbolize.demangle import demangle
from tests.truth.stacks import Call

HZ: Final = 997
"""Not our own rate: the two samplers drift through each other instead of standing in each other's way."""

_HEADER: Final = re.compile(r"^(?P<comm>\S.*?) +(?P<pid>-?\d+)/(?P<tid>-?\d+) +(?P<time>\d+\.\d+): *$")
_FRAME: Final = re.compile(r"^\s+(?P<ip>[0-9a-f]+) (?P<function>\[unknown\]|.*?) \((?P<module>/.*|\[.*\]|[^()]*)\)$")
_KERNEL: Final = re.compile(r"^\[(?!vdso|vsyscall|unknown|heap|stack)[a-z0-9_.]+\]$|\.ko(\.[gx]z|\.zst)?$")
"""The kernel and its modules: `[kernel.kallsyms]`, `[nf_tables]`, or a file."""


class PerfSample(NamedTuple):
    """One sample. The user stack only, root first; addresses are offsets in the file, of the call for a caller."""

    pid: int
    tid: int
    monotonic_s: float
    calls: tuple[Call, ...]
    addresses: tuple[int, ...]


def missing() -> str:
    """Why perf cannot be asked; "" if it can."""
    return "" if shutil.which("perf") else "no perf: apt-get install linux-perf"


def record(out: Path, graph: str, *command: str | Path) -> list[str]:
    """The command line that records a program and what it starts.

    graph: `dwarf,BYTES`, or `fp` for code that has frame pointers and no tables. cpu-clock is the clock that we use
    too; with any other one the kernel might not give equal samples in a virtual machine.
    """
    options = ["-q", "-e", "cpu-clock", "-F", str(HZ), "--call-graph", graph, "-k", "CLOCK_MONOTONIC"]
    return ["perf", "record", *options, "-o", str(out), "--", *map(str, command)]


def unwind(data: Path) -> Path:
    """A file with what was recorded, unwound, in place of the recording, which is large.

    perf's own limit of 127 frames is lifted; inlined functions are left out, as we have none; names stay mangled,
    because perf demangles neither every Rust name nor C++ with its arguments.
    """
    options = ["--no-inline", "--no-demangle", "--max-stack", "1024", "-F", "comm,pid,tid,time,ip,sym,dso"]
    text = data.with_suffix(".txt")
    with text.open("wb") as out:
        subprocess.run(["perf", "script", "-i", str(data), *options], check=True, stdout=out, stderr=subprocess.DEVNULL)
    data.unlink()
    return text


def samples(text: Path) -> list[PerfSample]:
    """What `unwind` wrote."""
    return list(parse(text.read_text("utf-8", "replace")))


def parse(text: str) -> Iterator[PerfSample]:
    """The samples in `perf script -F comm,pid,tid,time,ip,sym,dso`. Raises ValueError at a line of another kind."""
    header: re.Match[str] | None = None
    frames: list[re.Match[str]] = []
    for line in [*text.splitlines(), ""]:
        if not line.strip():
            if header is not None:
                yield _sample(header, frames)
            header, frames = None, []
        elif found := _FRAME.match(line):
            frames.append(found)
        elif found := _HEADER.match(line):
            header = found
        else:
            raise ValueError(f"not understood in perf's output: {line!r}")


def _sample(header: re.Match[str], frames: list[re.Match[str]]) -> PerfSample:
    user = [frame for frame in reversed(frames) if not _KERNEL.search(frame["module"])]
    return PerfSample(
        int(header["pid"]),
        int(header["tid"]),
        float(header["time"]),
        tuple(_call(frame["function"], frame["module"]) for frame in user),
        tuple(int(frame["ip"], 16) for frame in user),
    )


def _call(function: str, module: str) -> Call:
    module = module.removesuffix(" (deleted)")
    name = "" if function == "[unknown]" else demangle(function.encode())
    return Call(name, "" if module == "[unknown]" else module.rsplit("/", 1)[-1])
