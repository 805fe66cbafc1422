"""Demangled names against c++filt, and names made to explode."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.symbolize import demangle as module
from aperture_tui.symbolize import long_names
from aperture_tui.symbolize.demangle import MAX_NAME, demangle, doublings, may_explode
from aperture_tui.symbolize.rust_v0 import demangle_v0

from .conftest import need, run, rust_program


def symbol_names(path: Path, prefix: str, *options: str) -> list[str]:
    names = {line.split()[-1].split("@")[0] for line in run("nm", *options, path).splitlines()}
    return sorted(name for name in names if name.startswith(prefix))


def filtered(names: list[str]) -> list[str]:
    """What c++filt says, without what it says more: crate hashes and the types of constants."""
    out = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    return [
        re.sub(r"(\d): (usize|i32|u8)", r"\1", re.sub(r"\[[0-9a-f]{9,16}\]", "", line)) for line in out.splitlines()
    ]


def without_suffix(name: str) -> str:
    """c++filt drops or brackets what a linker adds behind a name, such as `.0`."""
    return re.sub(r"( \(\.[^)]*\)|\.(llvm\.)?\d+)$", "", name)


def plain(name: str) -> str:
    """c++filt spells standard abbreviations out where __cxa_demangle does not."""
    name = name.replace("std::basic_string<char, std::char_traits<char>, std::allocator<char> >", "std::string")
    name = re.sub(r"std::basic_([io]*stream)<char, std::char_traits<char> >", r"std::\1", name)
    return name.replace(" >", ">")


@pytest.mark.parametrize("mangling", ["v0", "legacy"])
def test_rust_names_are_those_of_cxxfilt(built: Path, mangling: str) -> None:
    need("nm", "c++filt")
    names = symbol_names(rust_program(built, mangling), "_R" if mangling == "v0" else "_ZN")
    names = [name for name in names if mangling == "v0" or re.search(r"17h[0-9a-f]{16}E", name)]
    assert len(names) >= 10
    expected = filtered(names)
    if mangling == "legacy":
        expected = [re.sub(r"::h[0-9a-f]{16}", "", name) for name in expected]
    ours = [demangle(name.encode()) for name in names]
    assert [without_suffix(name) for name in ours] == [without_suffix(name) for name in expected]


def test_cpp_names_are_those_of_cxxfilt(shapes: Path) -> None:
    need("nm", "c++filt")
    library = Path(run("g++", "-print-file-name=libstdc++.so.6").strip())
    names = symbol_names(shapes, "_Z") + symbol_names(library, "_Z", "-D")[::9] if library.is_absolute() else []
    if demangle(b"_Z3foov") != "foo()":
        pytest.skip("libstdc++.so.6 is not installed")
    assert len(names) > 300
    assert [plain(demangle(name.encode())) for name in names] == [plain(name) for name in filtered(names)]


@pytest.mark.parametrize(
    ("mangled", "expected"),
    [
        ("_RNvC6_123foo3bar", "123foo::bar"),
        ("_RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y", "utf8_idents::საჭმელად_გემრიელი_სადილი"),
        ("_RNCNCNgCs6DXkGYLi8lr_2cc5spawn00B5_", "cc::spawn::{closure#0}::{closure#0}"),
        ("_RINbNbCskIICzLVDPPb_5alloc5alloc8box_freeDINbNiB4_5boxed5FnBoxuEp6OutputuEL_ECs1iopQbuBiw2_3std",
         "alloc::alloc::box_free::<dyn alloc::boxed::FnBox<(), Output = ()>>"),
        ("_RMC0INtC8arrayvec8ArrayVechKj7b_E", "<arrayvec::ArrayVec<u8, 123>>"),
        ("_RMC0INtC8arrayvec8ArrayVecxKxnb_E", None),
        ("_RNvXsb_NtCslbmfF6eHlzt_4core3cmpRlNtB5_9PartialEq2eqCs_3foo", None),
        ("_RIC0FG_RL0_hRL0_tEuE", "::<for<'a> fn(&'a u8, &'a u16)>"),
        ("_RNvC3foo3bar.llvm.1234", "foo::bar"),
    ],
)  # fmt: skip
def test_known_rust_names(mangled: str, expected: str | None) -> None:
    """From the tests of rustc-demangle, but for those without an expectation, which must merely not fail."""
    result = demangle_v0(mangled)
    assert expected is None or result == expected


def test_legacy_escapes() -> None:
    name = "_ZN58_$LT$alloc..string..String$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE"
    assert demangle(name.encode()) == "<alloc::string::String as core::fmt::Debug>::fmt"


def test_plain_names_versions_and_plt_entries() -> None:
    assert demangle(b"malloc") == "malloc"
    assert demangle(b"memcpy@@GLIBC_2.14") == "memcpy"
    assert demangle(b"malloc@plt") == "malloc@plt"
    assert demangle(b"_Znot_a_name") == "_Znot_a_name"
    assert len(demangle(b"a" * 100_000)) == MAX_NAME


def bomb(levels: int) -> bytes:
    """f(A, B<A, A>, B<B<A, A>, B<A, A>>, …): the text doubles with every 12 bytes of the name."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return ("_Z1f1A1BIS_S_E" + "".join(f"S0_IS{digits[i]}_S{digits[i]}_E" for i in range(1, levels))).encode()


def test_a_name_that_would_demangle_to_gigabytes_stays_as_it_is() -> None:
    assert demangle(bomb(34)) == bomb(34).decode()
    assert not may_explode(bomb(3))
    began = time.process_time()
    for levels in range(1, 35):
        demangle(bomb(levels))
    assert time.process_time() - began < 5, "each would take seconds to years"


def test_no_name_becomes_longer_than_foreseen(shapes: Path) -> None:
    need("nm")
    library = Path(run("g++", "-print-file-name=libstdc++.so.6").strip())
    names = [name.encode() for name in symbol_names(shapes, "_Z") + symbol_names(library, "_Z", "-D")]
    names += [bomb(levels) for levels in range(1, 12)]
    for name in names:
        assert len(demangle(name)) <= 2 ** doublings(name)
    assert doublings(bomb(34)) > 30
    for disguise in (b"3SZ_", b"1S10SZ_0000000", b"1S3S9_", b"12fooSZ_S9_S8_x"):
        assert doublings(b"_Z1f" + disguise + bomb(34)[4:]) > 30, "an identifier that looks like references"
    hot = (
        b"_ZNSt8_Rb_treeIPN4llvm17MachineBasicBlockESt4pairIKS2_NS0_11SmallVectorIS2_Lj4EEEESt10_Select1stIS7_ESt4less"
        b"IS2_ESaIS7_EE17_M_emplace_uniqueIJS3_IS2_S5_EEEES3_ISt17_Rb_tree_iteratorIS7_EbEDpOT_"
    )
    assert "_M_emplace_unique<" in demangle(hot)


def monster(arguments: int, deep: int = 0) -> bytes:
    """cutlass::Kernel<cute::tuple<… t_0<0, 1>, t_1<1, 2>, …>>(float*)"""
    parts = (f"{len(f't_{i}')}t_{i}ILi{i}ELi{i + 1}EE" for i in range(arguments))
    inner = "N4cute5tupleI" * deep + "".join(parts) + "EE" * deep
    return f"_ZN7cutlass6KernelI{inner}EEvPf".encode()


@pytest.mark.parametrize(("arguments", "deep"), [(100, 0), (100, 3), (500, 20), (2000, 0)])
def test_of_a_name_that_is_too_long_the_beginning_is_shown(arguments: int, deep: int) -> None:
    shown = demangle(monster(arguments, deep))
    if demangle(b"_Z3foov") != "foo()":
        pytest.skip("libstdc++.so.6 is not installed")
    beginning, number = shown.split(", … #")
    opened = "cutlass::Kernel<" + "cute::tuple<" * deep
    assert f"{opened}{', '.join(f't_{i}<{i}, {i + 1}>' for i in range(arguments))}".startswith(beginning)
    assert len(beginning) > 400
    assert len(number) == 8


def test_names_that_begin_alike_are_different_names() -> None:
    assert demangle(monster(100)) != demangle(monster(101))
    assert demangle(monster(2000)[:16384]) != demangle(monster(2000)[:16383])


def test_a_beginning_is_what_the_whole_name_begins_with(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("nm")
    library = Path(run("g++", "-print-file-name=libstdc++.so.6").strip())
    names = symbol_names(shapes, "_Z") + symbol_names(library, "_Z", "-D")
    found = 0
    for room in (40, 70):
        monkeypatch.setattr(long_names, "WHOLE", room)
        for name in (name.encode() for name in names if len(name) > room):
            whole = module._cpp(name)
            told = ((module._cpp(one.name), one.closed) for one in long_names.beginnings(name))
            text = next(filter(None, (long_names.left_out(text or "", closed) for text, closed in told)), None)
            if whole and text:
                found += 1
                assert text in whole, name
    assert found > 1000


@given(st.binary(max_size=3000))
def test_whatever_a_long_name_is_it_has_few_beginnings(data: bytes) -> None:
    name = b"_Z" + data.replace(b"\0", b"")
    found = long_names.beginnings(name)
    assert len(found) <= long_names.TRIES
    assert all(len(one.name) <= long_names.WHOLE for one in found)


def test_long_names_that_are_made_to_explode_take_no_time() -> None:
    hostile = [b"_Z" + b"NI" * 8000, b"_Z1fI" + b"1aE1bI" * 2000, bomb(30) * 20, monster(60) + b"I" * 16000]
    began = time.process_time()
    for name in hostile:
        assert len(demangle(name)) <= MAX_NAME
    assert time.process_time() - began < 2


def rust_bomb(levels: int) -> str:
    """a::b::<((…), (…))>: each tuple holds the one before it twice, by reference."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    text, last = "INvC1a1b", 0
    for level in range(levels):
        here = len(text)
        back = f"B{digits[(last - 1) // 62 - 1] if last > 62 else ''}{digits[(last - 1) % 62]}_"
        text += f"T{back}{back}E" if level else "Thhhh" + "E"
        last = here
    return f"_R{text}E"


def test_a_rust_name_that_would_demangle_to_gigabytes_stays_as_it_is() -> None:
    small = demangle_v0(rust_bomb(5))
    assert small is not None
    assert small.count("u8") == 4 * (1 + 2 + 4 + 8 + 16)
    began = time.process_time()
    assert demangle_v0(rust_bomb(60)) is None
    assert demangle(rust_bomb(60).encode()) == rust_bomb(60)
    assert time.process_time() - began < 5


@given(st.binary(max_size=80), st.sampled_from([b"_Z", b"_ZN", b"_R", b"_RINv", b"_RNvC", b""]))
def test_any_name_gives_a_name(data: bytes, prefix: bytes) -> None:
    name = prefix + data.replace(b"\0", b"")
    assert demangle(name) or not name.partition(b"@")[0]


@given(st.text("CMXYNIBsu_0123456789abvTRQPOASFDGLKEp", max_size=60))
def test_any_rust_name_ends(text: str) -> None:
    result = demangle_v0("_R" + text)
    assert result is None or len(result) <= 20_000


def test_without_libstdcxx_names_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_cxa_demangle", lambda: None)
    assert module.demangle.__wrapped__(b"_Z3barv") == "_Z3barv"
