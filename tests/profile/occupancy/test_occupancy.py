from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.occupancy import MULTIPROCESSORS, Factor, occupancy
from tests.profile.occupancy.make_table import DEVICES

_TABLE = Path(os.environ.get("APERTURE_OCCUPANCY_TABLE") or Path(__file__).with_name("results.csv"))
_OF_HEADER = Factor.WARPS | Factor.REGISTERS | Factor.SHARED_MEMORY | Factor.BLOCKS
"""The header's other factors, barriers and virtual resources, are not in a kernel's record."""


def _rows() -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    with _TABLE.open() as file:
        for capability, rows in groupby(csv.DictReader(file), key=lambda row: row["capability"]):
            major, minor = map(int, capability.split("."))
            numbers = [[int(value) for name, value in row.items() if name != "capability"] for row in rows]
            yield (major, minor), np.array(numbers, np.int64)


def test_the_answers_are_those_of_cudas_own_header() -> None:
    n = 0
    for capability, rows in _rows():
        threads, registers, fixed, dynamic, blocks, factors = rows.T
        found = occupancy(MULTIPROCESSORS[capability], threads, registers, fixed + dynamic)
        np.testing.assert_array_equal(found.blocks, blocks)
        possible = blocks > 0  # of what cannot run the header names no factors
        np.testing.assert_array_equal(found.limited_by[possible], factors[possible] & int(_OF_HEADER))
        n += len(rows)
    assert n >= 4000


def test_the_table_is_of_every_factor_and_of_launches_that_cannot_be() -> None:
    for _, rows in _rows():
        blocks, factors = rows.T[4:]
        assert (blocks == 0).any()
        assert all((factors & int(factor)).any() for factor in (Factor.WARPS, Factor.REGISTERS, Factor.SHARED_MEMORY))


@pytest.mark.parametrize("capability", DEVICES)
def test_what_a_multiprocessor_has_is_what_the_table_was_made_with(capability: tuple[int, int]) -> None:
    of = MULTIPROCESSORS[capability]
    shared = (of.shared_bytes, of.shared_block_bytes, of.shared_reserved_bytes)
    assert (32 * of.warps, *shared) == DEVICES[capability]


@given(
    st.sampled_from(sorted(MULTIPROCESSORS)),
    st.integers(1, 1 << 30),
    st.integers(0, 1 << 16),
    st.integers(0, 1 << 31),
)
def test_whatever_is_told_the_share_is_one(
    capability: tuple[int, int], threads: int, registers: int, shared: int
) -> None:
    found = occupancy(MULTIPROCESSORS[capability], *(np.array([n], np.int64) for n in (threads, registers, shared)))
    assert 0 <= found.share[0] <= 1
    assert found.limited_by[0]
    assert (found.share[0] == 0) == (found.blocks[0] == 0)
