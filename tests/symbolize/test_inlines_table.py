"""Tables of inlined functions as bytes: whole, or refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.symbolize import inlines_table
from aperture_tui.symbolize.inlines_child import _HEADER, table_of
from aperture_tui.symbolize.inlines_table import InlineTable, TableError

KEY = bytes(32)


def u4(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    return np.array(numbers, np.uint32)


TABLE = InlineTable(0x400000, u4(0x10, 0x20, 0x30), u4(1, 2, 0), u4(0, 0, 1), u4(0, 1, 0), u4(5, 10), b"innerouter")


def chains(table: InlineTable, *addresses: int) -> list[list[bytes]]:
    return [table.chain(node) for node in table.find(np.array(addresses, np.uint64)).tolist()]


def test_a_row_holds_up_to_the_next() -> None:
    outer, both = [b"outer"], [b"outer", b"inner"]
    assert chains(TABLE, 0x40000F, 0x400010, 0x40001F, 0x400020, 0x400030) == [[], outer, outer, both, []]
    assert chains(TABLE, 0, 0x3FFFFF, 0x400010 + (1 << 32), 2**64 - 1) == [[], [], [], []]


def test_a_table_comes_back_from_its_bytes() -> None:
    again = InlineTable.unpacked(KEY, TABLE.packed(KEY))
    assert chains(again, 0x400025) == [[b"outer", b"inner"]]
    assert again.nbytes == TABLE.nbytes


def test_the_table_of_another_file_is_refused() -> None:
    with pytest.raises(TableError):
        InlineTable.unpacked(b"x" * 32, TABLE.packed(KEY))


@given(st.data())
def test_changed_bytes_are_refused(data: st.DataObject) -> None:
    packed = bytearray(TABLE.packed(KEY))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(TableError):
        InlineTable.unpacked(KEY, bytes(packed))
    with pytest.raises(TableError):
        InlineTable.unpacked(KEY, TABLE.packed(KEY)[:at])


@pytest.mark.parametrize(
    "bad",
    [
        {"start": u4(0x20, 0x10, 0x30)},
        {"node": u4(1, 3, 0)},
        {"parent": u4(0, 1, 1)},
        {"parent": u4(0, 0, 2)},
        {"name": u4(0, 2, 0)},
        {"end": u4(10, 5)},
        {"end": u4(5, 11)},
    ],
)
def test_columns_that_contradict_each_other_are_refused_though_the_digest_fits(bad: dict[str, object]) -> None:
    columns = {field: getattr(TABLE, field) for field in ("base", "start", "node", "parent", "name", "end", "names")}
    with pytest.raises(TableError):
        InlineTable.unpacked(KEY, InlineTable(**(columns | bad)).packed(KEY))


def test_the_empty_table_has_nothing_anywhere() -> None:
    table = InlineTable.unpacked(KEY, inlines_table.empty().packed(KEY))
    assert chains(table, 0, 1, 2**64 - 1) == [[], [], []]


@given(st.binary(max_size=400))
def test_any_bytes_are_a_symcache_or_refused(data: bytes) -> None:
    for text in (data, b"SYMC\x09\0\0\0" + data):
        try:
            table_of(text, 0)
        except TableError:
            continue


COUNTS = st.integers(0, 4)


@given(st.tuples(COUNTS, COUNTS, COUNTS, COUNTS), st.lists(st.integers(0, 5) | st.integers(0, 2**32 - 1), min_size=100))
def test_any_columns_of_a_symcache_give_a_table_or_are_refused(
    counts: tuple[int, int, int, int], numbers: list[int]
) -> None:
    body = struct.pack(f"<{len(numbers)}I", *numbers)
    try:
        table = table_of(_HEADER.pack(b"SYMC", 9, 0, *counts, 40) + body, 0)
        again = InlineTable.unpacked(KEY, table.packed(KEY))
    except TableError:
        return
    assert chains(again, *range(8)) == chains(table, *range(8))
