"""What `readelf --debug-dump=frames-interp` says of a file, as the low halves of unwind rows."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .conftest import need

_CIE = re.compile(r'([0-9a-f]+) [0-9a-f]+ [0-9a-f]+ CIE "(.*)" cf=.* ra=(\d+)')
_FDE = re.compile(r"[0-9a-f]+ [0-9a-f]+ [0-9a-f]+ FDE cie=([0-9a-f]+) pc=([0-9a-f]+)\.\.([0-9a-f]+)")
_ROW = re.compile(r"([0-9a-f]{16}) (.*)")
_OFFSET = re.compile(r"(rsp|rbp)([+-]\d+)")

ANY = 0xFFFFFFFF
"""Stands for an expression: readelf does not say which."""

Cells = tuple[str, str, str]  # CFA, rbp, return address


@dataclass
class Expected:
    """pc: (n,) ELF virtual addresses, three for each of readelf's rows: its first, one inside, its last.

    rules: (n,) the low halves of the rows that hold there, or ANY. rows: how many readelf has.
    """

    pc: list[int] = field(default_factory=list)
    rules: list[int] = field(default_factory=list)
    rows: int = 0

    def arrays(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """pc and rules."""
        return np.array(self.pc, np.uint64), np.array(self.rules, np.uint64)


def readelf_frames(path: Path | str) -> Expected:
    """Run readelf on a file, without following links to its debug file."""
    need("readelf")
    text = subprocess.run(["readelf", "-wFN", str(path)], capture_output=True, text=True, check=False).stdout
    expected = Expected()
    for start, end, signal, rows in _functions(text):
        marks = sorted({pc: cells for pc, cells in rows if pc < end}.items())  # of rows at one pc the last holds
        ends = [pc for pc, _ in marks[1:]] + [end]
        for (pc, cells), stop in zip(marks, ends, strict=True):
            assert start <= pc < stop
            expected.rows += 1
            expected.pc += [pc, (pc + stop) // 2, stop - 1]
            expected.rules += [_rules(cells, signal)] * 3
    return expected


def _functions(text: str) -> Iterator[tuple[int, int, bool, list[tuple[int, Cells]]]]:
    """(start, end, whether a signal frame, rows) of each function."""
    initial: dict[str, tuple[bool, Cells]] = {}
    for part in text.split("\n\n"):
        lines = part.strip("\n").split("\n")
        rows = [found for line in lines for found in _cells(line, lines)]
        if found := _CIE.match(lines[0]):
            initial[found[1]] = ("S" in found[2], rows[0][1] if rows else ("", "", ""))
        elif found := _FDE.match(lines[0]):
            start, end = int(found[2], 16), int(found[3], 16)
            signal, first = initial[found[1]]
            if start < end:
                yield start, end, signal, rows or [(start, first)]


def _cells(line: str, lines: list[str]) -> Iterator[tuple[int, Cells]]:
    if found := _ROW.match(line):
        names = lines[1].split()[1:]
        values = dict(zip(names, re.sub(r" \(\w+\)", "", found[2]).split(), strict=True))
        yield int(found[1], 16), (values["CFA"], values.get("rbp", "u"), values.get("ra", ""))


def _rules(cells: Cells, signal: bool) -> int:
    """The low half of a row, as the layout says: offset s16, rbp rule, CFA rule, rbp offset / 8."""
    cfa, rbp, ra = cells
    if signal:
        return 5 << 8 if (cfa, ra) == ("exp", "exp") else 0
    if ra == "u":
        return 6 << 8
    if ra != "c-8":
        return 0
    if "exp" in (cfa, rbp):
        return ANY
    found = _OFFSET.fullmatch(cfa)
    if found is None:
        return 0
    offset = int(found[2])
    if found[1] == "rsp" and 32768 <= offset < 8 * 32768 and not offset % 8:
        return offset // 8 << 16 | 8 << 8 | _rbp(rbp)
    if not -32768 <= offset < 32768:
        return 0
    return (offset & 0xFFFF) << 16 | {"rsp": 1, "rbp": 2}[found[1]] << 8 | _rbp(rbp)


def _rbp(cell: str) -> int:
    if cell in ("u", "s"):
        return 0
    if found := re.fullmatch(r"c([+-]\d+)", cell):
        offset = int(found[1])
        if offset % 8 == 0 and -1024 <= offset < 1024:
            return 1 << 12 | offset // 8 & 0xFF
    return 2 << 12
