"""Symbols by whole names and by patterns are those that the whole table has; tables that lie are one line of error."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from aperture_tui.symbolize.address_space import executable_mappings, open_mapping
from aperture_tui.symbolize.elf import SHT_DYNSYM, Elf, ElfError, Section
from aperture_tui.symbolize.named_symbols import matching_symbols, named_symbols
from aperture_tui.symbolize.symbol_index import MAX_SYMBOLS, function_rows

PATTERN = re.compile(rb"(?<=\0)pthread_\w+(?=\0)")


@pytest.fixture(scope="module")
def table() -> tuple[Elf, Section]:
    """The C library's."""
    mapping = next(m for m in executable_mappings(os.getpid()) if m.module.startswith("libc."))
    elf = Elf.read(open_mapping(os.getpid(), mapping))
    return elf, next(section for section in elf.sections if section.type == SHT_DYNSYM)


def test_names_and_patterns_find_what_the_whole_table_has(table: tuple[Elf, Section]) -> None:
    rows = function_rows(*table)
    whole: dict[str, set[int]] = {}
    for name, start in zip(rows.name.tolist(), rows.start.tolist(), strict=True):
        whole.setdefault(rows.strings.at(name).decode(), set()).add(start)
    found = matching_symbols(*table, PATTERN, 1000)
    assert len(found) > 50
    assert all(start in whole[name] for name, start in found.items())
    assert named_symbols(*table, [*found, "no_such_name"]).keys() == found.keys()
    assert set(named_symbols(*table, ["malloc"]).values()) <= whole["malloc"]
    assert len(matching_symbols(*table, PATTERN, 5)) == 5


@pytest.mark.parametrize(
    "look",
    [
        lambda elf, section: named_symbols(elf, section, ["malloc"]),
        lambda elf, section: matching_symbols(elf, section, PATTERN, 5),
    ],
)
def test_a_table_that_lies_is_one_line(
    table: tuple[Elf, Section], look: Callable[[Elf, Section], dict[str, int]]
) -> None:
    elf, section = table
    assert look(elf, section)
    for lie, words in (
        (replace(section, entry_size=16), "form"),
        (replace(section, size=section.size - 1), "form"),
        (replace(section, size=24 * (MAX_SYMBOLS + 1)), "form"),
        (replace(section, link=len(elf.sections)), "strings"),
        (replace(section, offset=1 << 40), "bytes"),
    ):
        with pytest.raises(ElfError, match=words) as caught:
            look(elf, lie)
        assert "\n" not in str(caught.value)
