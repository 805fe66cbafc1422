"""Kernel symbols: the real ones, hidden ones, and modules that come later."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.symbolize.kernel import RELOAD_S, KernelSymbols, parse_kallsyms

TEXT = b"""\
ffffffff81000000 T _stext
ffffffff81000000 T startup_64
ffffffff81000100 t local_one
ffffffff81000100 T __global_one
ffffffff81000200 D some_data
ffffffff81000200 W weak_code
ffffffff81000300 r rodata
ffffffffc0001000 t nft_do_chain\t[nf_tables]
ffffffffc0001200 t last_of_module\t[nf_tables]
ffffffffc0009000 t bpf_prog_abc_cpu\t[bpf]
ffffffffc000a000 t ftrace_trampoline\t[__builtin__ftrace]
not a line
"""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def found(symbols: KernelSymbols, *addresses: int) -> list[tuple[bytes, str] | None]:
    rows = symbols.find(np.array(addresses, np.uint64)).tolist()
    return [symbols.name_at(row) if row >= 0 else None for row in rows]


@pytest.fixture
def fake(tmp_path: Path) -> tuple[KernelSymbols, Path, Clock]:
    path, clock = tmp_path / "kallsyms", Clock()
    path.write_bytes(TEXT)
    return KernelSymbols(str(path), clock), path, clock


def test_text_symbols_with_their_modules(fake: tuple[KernelSymbols, Path, Clock]) -> None:
    symbols, *_ = fake
    assert found(symbols, 0xFFFFFFFF81000010, 0xFFFFFFFF81000150, 0xFFFFFFFF81000210, 0xFFFFFFFFC0001010) == [
        (b"startup_64", "kernel"),
        (b"__global_one", "kernel"),
        (b"weak_code", "kernel"),
        (b"nft_do_chain", "nf_tables"),
    ]
    assert found(symbols, 0xFFFFFFFFC0009010, 0xFFFFFFFFC000A001) == [
        (b"bpf_prog_abc_cpu", "bpf"),
        (b"ftrace_trampoline", "ftrace"),
    ]
    assert symbols.reason == ""


def test_the_last_symbol_of_a_module_ends_with_its_page(fake: tuple[KernelSymbols, Path, Clock]) -> None:
    symbols, *_ = fake
    assert found(symbols, 0xFFFFFFFFC0001FFF, 0xFFFFFFFFC0002000, 0xFFFFFFFF80000000, 0x400000) == [
        (b"last_of_module", "nf_tables"), None, None, None,
    ]  # fmt: skip


def test_a_module_loaded_later_is_found_but_the_table_is_not_read_all_the_time(
    fake: tuple[KernelSymbols, Path, Clock],
) -> None:
    symbols, path, clock = fake
    late = 0xFFFFFFFFC1000010
    assert found(symbols, late) == [None]
    path.write_bytes(TEXT + b"ffffffffc1000000 t latecomer\t[late]\n")
    clock.now = RELOAD_S - 1
    assert found(symbols, late) == [None]
    assert symbols.reads == 1
    clock.now = RELOAD_S
    assert found(symbols, late) == [(b"latecomer", "late")]
    assert symbols.reads == 2


def test_hidden_addresses_are_said_and_no_name_is_made_up(tmp_path: Path) -> None:
    path = tmp_path / "kallsyms"
    path.write_bytes(b"".join(b"0000000000000000 T function_%d\n" % i for i in range(100)))
    symbols = KernelSymbols(str(path))
    assert found(symbols, 0xFFFFFFFF81000010, 0) == [None, None]
    assert "kptr_restrict" in symbols.reason
    assert "kptr" not in KernelSymbols(str(tmp_path / "none")).reason
    assert "cannot be read" in KernelSymbols(str(tmp_path / "none")).reason


def test_this_kernel() -> None:
    symbols = KernelSymbols()
    if symbols.reason:
        pytest.skip(symbols.reason)
    wanted = {}
    for line in Path("/proc/kallsyms").read_text().splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in "tT" and words[2] in ("schedule", "vfs_read", "do_syscall_64"):
            wanted[words[2].encode()] = int(words[0], 16)
    assert wanted
    assert found(symbols, *[a + 4 for a in wanted.values()]) == [(name, "kernel") for name in wanted]


@given(st.binary(max_size=400))
def test_any_bytes_give_a_table_in_order(data: bytes) -> None:
    text = TEXT + data + b"\n" + data.replace(b" ", b"\t")
    table = parse_kallsyms([text])
    assert np.all(table.start[1:] > table.start[:-1])
    assert np.all(table.end[:-1] <= table.start[1:])
    assert np.all(table.name_at + table.name_size <= len(table.names))
    names = {table.names[a : a + n] for a, n in zip(table.name_at.tolist(), table.name_size.tolist(), strict=True)}
    assert b"nft_do_chain" in names or len(table.start) == 0


@given(st.lists(st.tuples(st.integers(1, 2**63), st.from_regex(rb"[a-z_]{1,70}", fullmatch=True)), max_size=30))
def test_every_symbol_is_found_at_its_own_address(symbols: list[tuple[int, bytes]]) -> None:
    text = b"".join(b"%016x t %s\n" % symbol for symbol in symbols)
    table = parse_kallsyms([text])
    names: dict[int, set[bytes]] = {}
    for address, name in symbols:
        names.setdefault(address, set()).add(name)
    for address, row in zip(names, table.find(np.array(list(names), np.uint64)).tolist(), strict=True):
        at, size = int(table.name_at[row]), int(table.name_size[row])
        assert table.names[at : at + size] in names[address]


@given(st.lists(st.integers(0, len(TEXT)), max_size=6))
def test_it_does_not_matter_where_the_text_is_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(TEXT)]
    pieces = [TEXT[a:b] for a, b in itertools.pairwise(edges)]
    cut, whole = parse_kallsyms(pieces), parse_kallsyms([TEXT])
    assert cut.start.tolist() == whole.start.tolist()
    assert cut.end.tolist() == whole.end.tolist()
    assert (cut.names, cut.modules) == (whole.names, whole.modules)
