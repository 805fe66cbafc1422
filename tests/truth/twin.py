"""Names for a program without symbols, out of a twin that was built alike and not stripped."""

from __future__ import annotations

import bisect
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.truth.stacks import Call

_ADDRESS: Final = re.compile(r"^\[.*\+0x([0-9a-f]+)\]$")
_SEGMENT: Final = re.compile(r"LOAD +0x(\w+) 0x(\w+) 0x\w+ 0x(\w+) 0x\w+ R[ W]E")
"""A line of `readelf -lW` for code: offset, address, (physical address,) size."""


class Twin:
    """The functions of an unstripped file by address."""

    def __init__(self, program: Path) -> None:
        rows = [line.split() for line in _output("nm", "-n", "-S", "--defined-only", str(program)).splitlines()]
        self._rows = [(int(r[0], 16), int(r[1], 16), r[3]) for r in rows if len(r) == 4 and r[2] in "tTwW"]
        self._starts = [row[0] for row in self._rows]
        segments = _SEGMENT.findall(_output("readelf", "-lW", str(program)))
        self._segments = [tuple(int(word, 16) for word in segment) for segment in segments]

    def name_at(self, address: int) -> str:
        """The function that covers an address; "" if none does."""
        i = bisect.bisect_right(self._starts, address) - 1
        if i < 0:
            return ""
        start, size, name = self._rows[i]
        return name if address < start + size else ""

    def address_of(self, offset: int) -> int:
        """The address of a byte of the file's code; perf tells places as offsets where it knows no symbol table."""
        for start, address, size in self._segments:
            if start <= offset < start + size:
                return offset - start + address
        return 0

    def our_calls(self, calls: Iterable[tuple[str, str]], module: str) -> tuple[Call, ...]:
        """Our frames named: `[module+0x1234]` is where a function begins in the file."""
        out = []
        for function, where in calls:
            found = _ADDRESS.match(function) if where == module else None
            out.append(Call(self.name_at(int(found[1], 16)) if found else function, where))
        return tuple(out)

    def perf_calls(self, calls: Iterable[Call], addresses: Iterable[int], module: str) -> tuple[Call, ...]:
        """perf's frames named."""
        out = []
        for call, offset in zip(calls, addresses, strict=True):
            nameless = call.module == module and not call.function
            out.append(Call(self.name_at(self.address_of(offset)), module) if nameless else call)
        return tuple(out)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
