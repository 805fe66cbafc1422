from __future__ import annotations

import re
from pathlib import Path

import pytest

from aperture_tui.collect.syscalls.names import COMPAT, compat_numbers, name, numbers
from tests.collect.c_structures import defines

HEADERS = {
    "x86_64": ("x86_64-linux-gnu/asm/unistd_64.h", "asm/unistd_64.h"),
    "i386": ("x86_64-linux-gnu/asm/unistd_32.h", "asm/unistd_32.h"),
    "aarch64": ("asm-generic/unistd.h",),
}


def header(machine: str) -> dict[int, str]:
    """number -> name, as the system's own headers have them."""
    for place in HEADERS[machine]:
        path = Path("/usr/include", place)
        if path.exists():
            text = path.read_text()
            break
    else:
        pytest.skip(f"no {HEADERS[machine][0]}: apt-get install linux-libc-dev")
    if machine == "aarch64":  # of the generic table it has what is not for 32-bit alone
        text = re.sub(r"#define __NR_arch_specific_syscall.*", "", text)
    found = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", text, re.MULTILINE)
    return {int(number): word for word, number in found}


def test_x86_64_is_that_of_the_headers() -> None:
    real = header("x86_64")
    assert {number: name(number, "x86_64") for number in real} == real
    assert {numbers("x86_64")[word]: word for word in real.values()} == real


def test_the_32_bit_table_is_that_of_the_headers() -> None:
    real = header("i386")
    assert {number: name(number | COMPAT, "x86_64") for number in real} == {
        number: f"{word} (32-bit)" for number, word in real.items()
    }
    assert {compat_numbers("x86_64")[word]: word for word in real.values()} == real


def test_aarch64_is_the_generic_table() -> None:
    real = header("aarch64")
    told = {number: name(number, "aarch64") for number in real}
    for_32_bits = {number for number, word in real.items() if word.endswith(("_time64", "64")) and number >= 403}
    renamed = {"fstatat": "newfstatat", "syscalls": None, "sync_file_range2": "sync_file_range"}
    wrong = {
        number: (told[number], word)
        for number, word in real.items()
        if number not in for_32_bits and told[number] != renamed.get(word, word) and renamed.get(word, word)
    }
    assert not wrong


def test_a_number_beyond_the_tables_is_told_as_a_number() -> None:
    assert name(999, "x86_64") == "syscall 999"
    assert name(999 | COMPAT, "x86_64") == "syscall 999 (32-bit)"
    assert name(0, "sparc64") == "syscall 0", "another architecture has another table"
    assert name(COMPAT, "aarch64") == "syscall 0 (32-bit)"
    assert numbers("sparc64") == {}
    assert compat_numbers("aarch64") == {}


def test_a_number_in_a_gap_of_a_table_is_told_as_a_number() -> None:
    assert name(350, "x86_64") == "syscall 350"
    assert name(244, "aarch64") == "syscall 244"


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_no_name_has_two_numbers(machine: str) -> None:
    names = [name(number, machine) for number in range(1024)]
    known = [one for one in names if not one.startswith("syscall ")]
    assert len(known) == len(set(known)) == len(numbers(machine))


def test_numbers_and_their_mark_have_room_in_what_the_kernel_tells() -> None:
    assert defines("calls.bpf.c")["COMPAT"] == COMPAT
    assert defines("calls.bpf.c")["NUMBERS"] == 2 * COMPAT
    assert max(numbers("x86_64").values()) < COMPAT
    assert max(compat_numbers("x86_64").values()) < COMPAT


def test_the_futex_calls_of_the_program_are_those_of_the_tables() -> None:
    """bpf/calls.bpf.c knows them by number."""
    c = defines("calls.bpf.c")
    for table in (numbers("x86_64"), numbers("aarch64"), compat_numbers("x86_64")):
        assert c["NR_WAITV"] == table["futex_waitv"]
        assert c["NR_FUTEX_WAKE"] == table["futex_wake"]
        assert c["NR_FUTEX_WAIT"] == table["futex_wait"]
        assert c["NR_FUTEX_REQUEUE"] == table["futex_requeue"]
    assert c["COMPAT_FUTEX"] == compat_numbers("x86_64")["futex"]
    assert c["COMPAT_FUTEX_64"] == compat_numbers("x86_64")["futex_time64"]
    text_numbers = {numbers("x86_64")["futex"], numbers("aarch64")["futex"]}
    assert text_numbers == {202, 98}
