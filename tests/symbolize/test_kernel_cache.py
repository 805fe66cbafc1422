"""The kernel's symbols on disk: believed within a boot, with the same modules, and for what does not come and go."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.symbolize.kernel import RELOAD_S, KernelSymbols, parse_kallsyms
from aperture_tui.symbolize.kernel_cache import KernelCache

TEXT = b"""\
ffffffff81000000 T startup_64
ffffffff81000100 t local_one
ffffffffc0001000 t nft_do_chain\t[nf_tables]
ffffffffc0009000 t bpf_prog_abc_cpu\t[bpf]
ffffffffc000a000 t ftrace_trampoline\t[__builtin__ftrace]
"""
MODULES = b"nf_tables 311296 4 nft_chain_nat,nft_compat, Live 0xffffffffc0000000\n"
KERNEL, MODULE, PROGRAM, TRAMPOLINE = 0xFFFFFFFF81000110, 0xFFFFFFFFC0001010, 0xFFFFFFFFC0009010, 0xFFFFFFFFC000A010
NAMES = {KERNEL: "local_one", MODULE: "nft_do_chain", PROGRAM: "bpf_prog_abc_cpu", TRAMPOLINE: "ftrace_trampoline"}


class Machine:
    """What the kernel tells in /proc, and a cache."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.cache, self.now = folder / "proc", folder / "cache", 0.0
        (self.proc / "sys/kernel/random").mkdir(parents=True)
        self.tell(boot=b"one", modules=MODULES, kallsyms=TEXT)

    def tell(self, boot: bytes = b"", modules: bytes = b"", kallsyms: bytes = b"") -> None:
        for name, text in (("sys/kernel/random/boot_id", boot), ("modules", modules), ("kallsyms", kallsyms)):
            if text:
                (self.proc / name).write_bytes(text)

    def symbols(self) -> KernelSymbols:
        """As of a profiler that begins now."""
        cache = partial(KernelCache, self.cache, self.proc)
        return KernelSymbols(str(self.proc / "kallsyms"), lambda: self.now, cache)

    def without_kallsyms(self) -> None:
        (self.proc / "kallsyms").unlink()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def names(symbols: KernelSymbols, *addresses: int) -> list[str | None]:
    rows = symbols.find(np.array(addresses, np.uint64)).tolist()
    return [symbols.name_at(row)[0].decode() if row >= 0 else None for row in rows]


def test_what_was_read_once_is_not_read_again_in_this_boot(machine: Machine) -> None:
    assert names(machine.symbols(), *NAMES) == list(NAMES.values())
    machine.without_kallsyms()
    again = machine.symbols()
    assert again.reason == ""
    assert names(again, KERNEL, MODULE) == ["local_one", "nft_do_chain"]
    assert again.name_at(int(again.find(np.array([MODULE], np.uint64))[0])) == (b"nft_do_chain", "nf_tables")


def test_what_comes_and_goes_is_asked_for_at_once(machine: Machine) -> None:
    names(machine.symbols(), KERNEL)
    machine.tell(kallsyms=TEXT.replace(b"bpf_prog_abc_cpu", b"bpf_prog_of_another"))
    again = machine.symbols()
    assert names(again, KERNEL) == ["local_one"]
    assert again.reads == 1
    assert names(again, PROGRAM, TRAMPOLINE) == ["bpf_prog_of_another", "ftrace_trampoline"]
    assert again.reads == 2


def test_an_address_that_nobody_knows_is_asked_for_once_and_then_now_and_then(machine: Machine) -> None:
    names(machine.symbols(), KERNEL)
    again = machine.symbols()
    nobody = 0xFFFFFFFFC1000000
    for _ in range(3):
        assert names(again, nobody) == [None]
    assert again.reads == 2
    machine.now = RELOAD_S
    names(again, nobody)
    assert again.reads == 3


@pytest.mark.parametrize(
    "told",
    [
        {"boot": b"two"},
        {"modules": MODULES.replace(b"c0000000", b"c1000000")},
        {"modules": MODULES + b"xfs 2000000 1 - Live 0xffffffffc2000000\n"},
        {"modules": b"\n"},
    ],
)
def test_another_boot_and_other_modules_are_read_anew(machine: Machine, told: dict[str, bytes]) -> None:
    names(machine.symbols(), KERNEL)
    machine.tell(**told, kallsyms=TEXT.replace(b"local_one", b"moved_in"))
    assert names(machine.symbols(), KERNEL) == ["moved_in"]
    machine.without_kallsyms()
    assert names(machine.symbols(), KERNEL) == ["moved_in"]


def test_how_many_use_a_module_does_not_matter(machine: Machine) -> None:
    names(machine.symbols(), KERNEL)
    machine.tell(modules=MODULES.replace(b" 4 nft_chain_nat,nft_compat,", b" 0 -"))
    machine.without_kallsyms()
    assert names(machine.symbols(), MODULE) == ["nft_do_chain"]


def test_a_module_that_was_loaded_while_kallsyms_was_read_is_not_kept(machine: Machine) -> None:
    cache = KernelCache(machine.cache, machine.proc)
    cache.keep(parse_kallsyms([TEXT + b"ffffffffc5000000 t late_comer\t[late]\n"]))
    kept = cache.read()
    assert kept is not None
    assert kept.find(np.array([MODULE, 0xFFFFFFFFC5000000], np.uint64)).tolist() == [2, -1]


def test_hidden_addresses_are_not_kept(machine: Machine) -> None:
    machine.tell(kallsyms=b"0000000000000000 T startup_64\n")
    assert "kptr_restrict" in machine.symbols().reason
    machine.tell(kallsyms=TEXT)
    assert names(machine.symbols(), KERNEL) == ["local_one"]


def test_where_nothing_can_be_kept_kallsyms_is_read(machine: Machine, tmp_path: Path) -> None:
    machine.cache = tmp_path / "file"
    machine.cache.write_bytes(b"no folder")
    for _ in range(2):
        assert names(machine.symbols(), KERNEL) == ["local_one"]
    (machine.proc / "sys/kernel/random/boot_id").unlink()
    assert names(machine.symbols(), KERNEL) == ["local_one"]


def test_a_file_that_others_may_write_is_not_believed(machine: Machine) -> None:
    names(machine.symbols(), KERNEL)
    (kept,) = machine.cache.iterdir()
    kept.chmod(0o666)
    machine.tell(kallsyms=TEXT.replace(b"local_one", b"the_truth"))
    assert names(machine.symbols(), KERNEL) == ["the_truth"]


@given(data=st.data())
def test_a_damaged_file_is_not_believed(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    machine = Machine(tmp_path_factory.mktemp("kernel"))
    names(machine.symbols(), KERNEL)
    (kept,) = machine.cache.iterdir()
    whole = kept.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.booleans())
    kept.write_bytes(whole[:at] if cut else whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
    machine.tell(kallsyms=TEXT.replace(b"local_one", b"the_truth"))
    assert names(machine.symbols(), KERNEL) == ["the_truth"]


def test_this_kernel(tmp_path: Path) -> None:
    symbols = KernelSymbols()
    if symbols.reason:
        pytest.skip(symbols.reason)
    lines = [line.split() for line in Path("/proc/kallsyms").read_text().splitlines()[::1000]]
    addresses = np.array([int(words[0], 16) for words in lines if len(words) == 3], np.uint64)
    wanted = symbols.find(addresses)
    for _ in range(2):
        one = KernelSymbols(cache=partial(KernelCache, tmp_path))
        rows = one.find(addresses)
        assert one.reads == 1
        assert [one.name_at(int(row)) for row in rows if row >= 0] == [
            symbols.name_at(int(row)) for row in wanted if row >= 0
        ]
