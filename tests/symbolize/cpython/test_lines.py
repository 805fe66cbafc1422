"""Line tables against CPython's own reading of them."""

from __future__ import annotations

import json
import subprocess

from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.symbolize.cpython.lines import parse_lines

from .conftest import PROGRAMS


def test_every_instruction_of_the_standard_library_has_the_line_that_cpython_gives_it(python: str) -> None:
    said = json.loads(
        subprocess.run([python, str(PROGRAMS / "line_tables.py")], check=True, capture_output=True).stdout
    )
    minor = said["version"][1]
    checked = 0
    for first_line, table, ranges in said["codes"]:
        lines = parse_lines(bytes.fromhex(table), first_line, minor)
        for start, end, line in ranges:
            for offset in range(start, end, 2):
                assert lines.line_at(offset) == line
                checked += 1
        assert lines.line_at(-2) == first_line
        if minor > 9:
            assert lines.line_at(max((end for _, end, _ in ranges), default=0)) == 0
    assert checked > 10_000


@given(st.binary(max_size=300), st.integers(-(2**31), 2**31 - 1), st.sampled_from([9, 10, 11, 14]), st.integers())
def test_any_bytes_are_a_table(table: bytes, first_line: int, minor: int, offset: int) -> None:
    assert 0 <= parse_lines(table, first_line, minor).line_at(offset) < 2**31
