"""Memory and files that lie: one line of error or frames, never a hang, never another exception."""

from __future__ import annotations

import random
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aperture_tui import session
from aperture_tui.symbolize.cpython import CPythonError, CPythonNotReady, loop
from aperture_tui.symbolize.cpython.binary import read_binary
from aperture_tui.symbolize.cpython.codes import MAX_BYTES, RECHECK_S, Codes, Types
from aperture_tui.symbolize.cpython.debug_offsets import SIZE, parse_debug_offsets
from aperture_tui.symbolize.cpython.interpreter import open_in
from aperture_tui.symbolize.cpython.layout import MAX_FRAME, TABLES, Layout
from aperture_tui.symbolize.cpython.objects import MAX_READ, MAX_TABLE, MAX_TEXT, read_objects
from aperture_tui.symbolize.elf import SHT_SYMTAB, BytesSource, Elf, ElfError
from aperture_tui.symbolize.frame_header import FrameHeader
from aperture_tui.symbolize.symbol_index import function_rows

from .conftest import need

LAYOUT = TABLES[12]
CODE, TEXT, BYTES = 0x1000, 0x1100, 0x1200
TYPES = Types(CODE, TEXT, BYTES)


def one_line(error: Exception) -> None:
    assert str(error)
    assert "\n" not in str(error)


class Pieces:
    """A memory made of a few ranges. reads: how often it was asked."""

    def __init__(self, ranges: dict[int, bytes]) -> None:
        self.ranges = ranges
        self.reads = 0

    def read_many(self, addresses: Sequence[int], sizes: Sequence[int]) -> list[bytes | None]:
        self.reads += 1
        return [self._read(address, size) for address, size in zip(addresses, sizes, strict=True)]

    def _read(self, address: int, size: int) -> bytes | None:
        for start, data in self.ranges.items():
            if start <= address and address + size <= start + len(data):
                return data[address - start : address - start + size]
        return None


class Noise:
    """Every address holds something: small numbers, pointers into the noise, pointers to types."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.reads = 0

    def read_many(self, addresses: Sequence[int], sizes: Sequence[int]) -> list[bytes | None]:
        self.reads += 1
        assert self.reads < 20_000, "it does not end"
        assert sum(sizes) < 1 << 28
        return [self._read(size) for size in sizes]

    def _read(self, size: int) -> bytes | None:
        choose = self.random
        if choose.random() < 0.05:
            return None
        words = [
            choose.choice((0, 1, 8, 0x65, 300, CODE, TEXT, BYTES, choose.randrange(1 << 47), choose.randrange(1 << 64)))
            for _ in range(min(size, 4096) // 8 + 1)
        ]
        return struct.pack(f"<{len(words)}Q", *words)[:size].ljust(size, b"\xff")


@settings(max_examples=60, deadline=None)
@given(st.integers(), st.sampled_from([None, (3, 9), (3, 10), (3, 11), (3, 12), (3, 13), (3, 14)]))
def test_any_memory_opens_or_says_why_not(seed: int, version: tuple[int, int] | None) -> None:
    noise = Noise(seed)
    try:
        interpreter = open_in(noise, 0x4000, TYPES, version, 0x310)
    except CPythonError as error:
        one_line(error)
        return
    words = np.array([noise.random.randrange(1 << 64) for _ in range(50)], np.uint64)
    assert len(interpreter.frames(words, words[::-1].copy())) == 50


@settings(max_examples=60, deadline=None)
@given(st.integers(), st.sampled_from([9, 10, 11, 12]))
def test_any_memory_gives_frames_or_none(seed: int, minor: int) -> None:
    noise = Noise(seed)
    codes = Codes(noise, TABLES[minor], TYPES, lambda: 0.0)
    pairs = [(noise.random.randrange(1 << 63), noise.random.randrange(1 << 64)) for _ in range(50)]
    for frame in codes.frames(pairs):
        assert frame is None or 0 <= frame.line < 1 << 31
    assert noise.reads <= 4


# pycore_debug_offsets.h, counted: the words of the sizes, those of the offsets, and what must not differ
SIZES = {13: (2, 5, 18, 27, 33), 14: (2, 5, 21, 30, 38)}
FIELDS = (
    *("interpreters_head", "interpreter_next", "threads_head"),
    *("thread_next", "thread_interpreter", "thread_frame", "thread_id"),
    *("frame_previous", "frame_code", "frame_instruction", "frame_entry"),
    *("code_file", "code_name", "code_lines", "code_first_line", "code_start"),
)
OFFSETS = {
    13: (4, 7, 8, 20, 21, 22, 23, 28, 29, 30, 32, 34, 36, 37, 38, 42),
    14: (4, 7, 8, 23, 24, 25, 26, 31, 32, 33, 35, 39, 41, 42, 43, 47),
}
SAME = {
    13: {44: 8, 64: 16, 65: 32, 67: 32, 68: 16, 69: 40},
    14: {50: 8, 74: 16, 75: 32, 77: 32, 78: 16, 79: 40},
}


def offsets(minor: int, changes: dict[int, int] | None = None) -> tuple[list[int], bytes]:
    """The words of a good table, some of them changed, and its bytes."""
    words = [0] * 80
    words[0] = 3 << 24 | minor << 16 | 0xF0
    for at in SIZES[minor]:
        words[at] = 128
    for n, at in enumerate(OFFSETS[minor]):
        words[at] = 7 * n
    for at, value in (SAME[minor] | (changes or {})).items():
        words[at] = value
    return words, struct.pack("<8s80Q", b"xdebugpy", *words)


@pytest.mark.parametrize("minor", [13, 14])
def test_a_table_of_offsets_is_read_word_by_word(minor: int) -> None:
    words, data = offsets(minor)
    layout = parse_debug_offsets(data, minor)
    assert [getattr(layout, field) for field in FIELDS] == [words[at] for at in OFFSETS[minor]]
    assert (layout.ascii_size, layout.compact_size) == (40, 56)


@given(
    st.dictionaries(st.integers(0, 79), st.integers(0, 140) | st.integers(0, 2**64 - 1), max_size=8),
    st.sampled_from([13, 14]),
)
def test_a_good_table_that_was_changed_is_refused_or_bounded(changes: dict[int, int], minor: int) -> None:
    try:
        layout = parse_debug_offsets(offsets(minor, changes)[1], minor)
    except CPythonError as error:
        one_line(error)
    else:
        bounded(layout)


def bounded(layout: Layout) -> None:
    walk = layout.walk(0, 0)
    assert max(walk.code, walk.previous, walk.instruction, walk.entry) + 8 <= walk.frame_bytes <= MAX_FRAME
    assert len(Codes(Noise(0), layout, TYPES, lambda: 0.0).frames([(8 * i, 8 * i) for i in range(50)])) == 50


@pytest.mark.parametrize("field", ["frame_previous", "frame_code", "frame_instruction", "frame_entry"])
def test_a_frame_that_the_kernel_cannot_read_whole_is_refused(field: str) -> None:
    at = OFFSETS[13][FIELDS.index(field)]
    bounded(parse_debug_offsets(offsets(13, {at: 120})[1], 13))
    with pytest.raises(CPythonError, match="too large"):
        parse_debug_offsets(offsets(13, {at: 121})[1], 13)


def test_a_code_object_whose_fields_come_before_its_type_is_read() -> None:
    bounded(replace(LAYOUT, code_file=0, code_name=0, code_lines=0, code_first_line=0))


@pytest.mark.parametrize("minor", [8, 9, 12, 15, 255])
def test_a_table_of_offsets_of_a_version_that_has_none_is_refused(minor: int) -> None:
    data = struct.pack("<8sQQ", b"xdebugpy", 3 << 24 | minor << 16 | 0xF0, 0).ljust(SIZE, b"\0")
    with pytest.raises(CPythonError, match=f"3.{minor}"):
        parse_debug_offsets(data, minor)
    with pytest.raises(CPythonError, match=f"3.{minor}"):
        open_in(Pieces({0x4000: data}), 0x4000, TYPES, None, 0x310)


@given(st.binary(min_size=SIZE, max_size=SIZE), st.sampled_from([13, 14]))
def test_any_table_of_offsets_is_refused_or_bounded(data: bytes, minor: int) -> None:
    words = [3 << 24 | minor << 16 | 0xF0, 0, *(word % 400 for word in struct.unpack(f"<{SIZE // 8 - 3}Q", data[24:]))]
    for table in (data, struct.pack(f"<8s{len(words)}Q", b"xdebugpy", *words)):
        try:
            layout = parse_debug_offsets(table, minor)
        except CPythonError:
            continue
        walk = layout.walk(0, 0)
        assert max(walk.code, walk.previous, walk.instruction, walk.entry) + 8 <= walk.frame_bytes <= 128


class Endless(Noise):
    """A list of thread states without end, none of which has a thread."""

    def read_many(self, addresses: Sequence[int], sizes: Sequence[int]) -> list[bytes | None]:
        self.reads += 1
        assert self.reads < 2000, "it does not end"
        return [self._state(address, size) for address, size in zip(addresses, sizes, strict=True)]

    @staticmethod
    def _state(address: int, size: int) -> bytes:
        if size == 8:
            return struct.pack("<Q", 0x8000)
        state = bytearray(size)
        struct.pack_into("<Q", state, LAYOUT.thread_interpreter, 0x8000)
        struct.pack_into("<Q", state, LAYOUT.thread_next, address + 8)
        return bytes(state)


def test_a_list_of_states_without_threads_ends() -> None:
    with pytest.raises(CPythonNotReady):
        open_in(Endless(0), 0x4000, TYPES, (3, 12), 0x310)


def test_a_free_threaded_build_is_named() -> None:
    data = struct.pack("<8sQQ", b"xdebugpy", 0x030D00F0, 1).ljust(SIZE, b"\0")
    with pytest.raises(CPythonError, match="free-threaded"):
        parse_debug_offsets(data, 13)


def test_lists_that_run_in_circles_end() -> None:
    interpreter, state = 0x8000, 0x9000
    thread = struct.pack("<QQQ", 0, state, interpreter).ljust(LAYOUT.thread_id, b"\0") + struct.pack("<Q", 0x7000)
    ring = {
        0x4000: struct.pack("<Q", interpreter).rjust(LAYOUT.interpreters_head + 8, b"\0"),
        interpreter: struct.pack("<Q", interpreter).ljust(LAYOUT.threads_head, b"\0") + struct.pack("<Q", state),
        state: thread,
    }
    with pytest.raises(CPythonNotReady):
        open_in(Pieces(ring), 0x4000, TYPES, (3, 12), 0x310)


def test_no_thread_state_is_not_ready() -> None:
    with pytest.raises(CPythonNotReady):
        open_in(Pieces({0x4000: bytes(100)}), 0x4000, TYPES, (3, 12), 0x310)


def text(value: str, *, length: int | None = None) -> bytes:
    """A str object of 3.12."""
    widest = max(map(ord, value), default=0)
    width, codec = (1, "latin-1") if widest < 256 else (2, "utf-16-le") if widest < 1 << 16 else (4, "utf-32-le")
    is_ascii = widest < 128
    state = 1 << 5 | is_ascii << 6 | width << 2
    count = len(value) if length is None else length
    head = struct.pack("<QQqqI4x", 1, TEXT, count, -1, state)
    return head + (b"" if is_ascii else bytes(16)) + value.encode(codec) + b"\0" * width


@pytest.mark.parametrize("value", ["", "plain", "naïve", "фун", "函数", "𝒻", "a" * 5000, "𝒻" * 5000])
def test_text_of_every_width_is_read_up_to_its_bound(value: str) -> None:
    memory = Pieces({0x5000: text(value)})
    assert read_objects(memory, LAYOUT, TEXT, BYTES, [0x5000]) == {0x5000: value[:MAX_TEXT]}


def test_text_with_a_false_length_is_missing() -> None:
    for length in (-1, 1 << 40):
        memory = Pieces({0x5000: text("plain", length=length)})
        assert read_objects(memory, LAYOUT, TEXT, BYTES, [0x5000]) == {}


def code(name: int, first_line: int = 1) -> bytes:
    """A code object of 3.12, with its file at 0x5000 and its line table at 0x6000."""
    data = bytearray(200)
    struct.pack_into("<QQ", data, 0, 1, CODE)
    for at, value in ((LAYOUT.code_file, 0x5000), (LAYOUT.code_name, name), (LAYOUT.code_lines, 0x6000)):
        struct.pack_into("<Q", data, at, value)
    struct.pack_into("<i", data, LAYOUT.code_first_line, first_line)
    return bytes(data)


@pytest.fixture
def program() -> dict[int, bytes]:
    """One code object at 0x8000; its first two instructions are line 1, the next two line 3."""
    table = bytes([0x80 | 13 << 3 | 1, 0, 0x80 | 13 << 3 | 1, 4])
    return {
        0x5000: text("file.py"),
        0x5800: text("first"),
        0x5C00: text("second"),
        0x6000: struct.pack("<QQqq", 1, BYTES, len(table), 0) + table + bytes(12),
        0x8000: code(0x5800),
    }


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_known_pair_reads_nothing(program: dict[int, bytes], clock: Clock) -> None:
    memory = Pieces(program)
    codes = Codes(memory, LAYOUT, TYPES, clock)
    at = 0x8000 + LAYOUT.code_start
    frames = codes.frames([(0x8000, at + 2), (0x8000, at + 4), (0x8000, at - 2), (0x8000, at + 8)])
    assert [(f.function, f.file, f.line) for f in frames if f] == [("first", "file.py", n) for n in (1, 3, 1, 0)]
    reads = memory.reads
    codes.frames([(0x8000, at + 2), (0x8000, at + 6)])
    assert memory.reads == reads


def test_an_address_that_was_given_to_another_function_is_found_out(program: dict[int, bytes], clock: Clock) -> None:
    codes = Codes(Pieces(program), LAYOUT, TYPES, clock)
    pair = (0x8000, 0x8000 + LAYOUT.code_start)
    assert [f.function for f in codes.frames([pair]) if f] == ["first"]
    program[0x8000] = code(0x5C00)
    clock.now = RECHECK_S + 1
    assert [f.function for f in codes.frames([pair]) if f] == ["second"]
    program[0x8000] = bytes(200)
    clock.now *= 3
    assert codes.frames([pair]) == [None]
    program[0x8000] = code(0x5800)
    clock.now *= 2
    assert [f.function for f in codes.frames([pair]) if f] == ["first"]


def test_an_address_is_looked_at_again_with_every_drain() -> None:
    """Or a function is called what a module was that had been imported, for as long as the stack is known."""
    assert RECHECK_S < session._INTERVAL_S


def test_of_a_process_that_is_gone_what_was_known_is_told(program: dict[int, bytes], clock: Clock) -> None:
    class Ending(Pieces):
        is_gone = False

        def read_many(self, addresses: Sequence[int], sizes: Sequence[int]) -> list[bytes | None]:
            if self.is_gone:
                raise CPythonError("the memory of process 1 cannot be read: it is gone")
            return super().read_many(addresses, sizes)

    memory = Ending(program)
    codes = Codes(memory, LAYOUT, TYPES, clock)
    pair = (0x8000, 0x8000 + LAYOUT.code_start)
    codes.frames([pair])
    memory.is_gone, clock.now = True, RECHECK_S + 1
    first, unknown = codes.frames([pair, (0x9000, 0x9000)])
    assert first is not None
    assert (first.function, unknown) == ("first", None)
    with pytest.raises(CPythonError):
        Codes(memory, LAYOUT, TYPES, clock).frames([pair])


def test_looking_again_at_many_forgets_none(clock: Clock) -> None:
    memory = Pieces({})
    codes = Codes(memory, LAYOUT, TYPES, clock)
    pairs = [(0x10_0000 + i, 0) for i in range(6000)]
    codes.frames(pairs)
    clock.now = RECHECK_S + 1
    codes.frames(pairs[:5000])
    assert len(codes) == 6000


def test_what_is_known_is_bounded(program: dict[int, bytes], clock: Clock) -> None:
    codes = Codes(Pieces(program), LAYOUT, TYPES, clock)
    for start in range(0, 40_000, 1000):
        codes.frames([(0x10_0000 + i, 0) for i in range(start, start + 1000)])
        codes.frames([(0x8000, i) for i in range(start * 8, start * 8 + 8000)])
    assert len(codes) <= 9000
    assert codes.nbytes < MAX_BYTES + (4 << 20)


class Large:
    """Code objects at every address from 0x100000 on, each with the largest of line tables to itself."""

    def read_many(self, addresses: Sequence[int], sizes: Sequence[int]) -> list[bytes | None]:
        return [self._read(address, size) for address, size in zip(addresses, sizes, strict=True)]

    @staticmethod
    def _read(address: int, size: int) -> bytes:
        if size == LAYOUT.code_bytes:
            data = bytearray(code(0x5800))
            struct.pack_into("<Q", data, LAYOUT.code_lines, address << 24)
            return bytes(data[:size])
        if size != 40:
            return b"\x80" * size
        return struct.pack("<QQqqQ", 1, BYTES, MAX_TABLE, 0, 0) if address >> 24 else text("name.py")[:40]


def test_large_line_tables_are_bounded_together(clock: Clock) -> None:
    codes = Codes(Large(), LAYOUT, TYPES, clock)
    for start in range(0x10_0000, 0x10_1000, 0x100):
        known = [frame for frame in codes.frames([(start + i, 0) for i in range(0, 0x100, 8)]) if frame]
        assert 0 < len(known) <= MAX_READ // MAX_TABLE
        assert codes.nbytes <= MAX_BYTES + 10 * MAX_READ


def test_a_loop_that_jumps_everywhere_is_soon_left(monkeypatch: pytest.MonkeyPatch) -> None:
    n, hot = 5000, 0x1000
    starts = np.concatenate([[hot], 0x10_0000 + 16 * np.arange(n)])
    entries = FrameHeader(starts, 0x80_0000 + 32 * np.arange(n + 1))
    asked = []

    def content(_elf: Elf, address: int, size: int) -> bytes:
        asked.append(size)
        if size == 8:
            row = (address - 0x80_0000) // 32
            return struct.pack("<iI", int(starts[row]) - address, 16 if row else 5 * n)
        return b"".join(struct.pack("<Bi", 0xE9, int(to) - hot - 5 * i) for i, to in enumerate(starts[1:] - 5))[:size]

    monkeypatch.setattr(loop, "frame_header", lambda _elf: entries)
    monkeypatch.setattr(loop, "content", content)
    assert loop.loop_ranges(Elf.read(BytesSource(Path("/bin/true").read_bytes())), hot)[0] == (hot, hot + 5 * n)
    assert 10 < len(asked) < 200


def small_interpreter() -> bytes:
    """An ELF file with a CPython's symbols, some of them in .rodata, and a loop of two parts."""
    need("cc")
    source = Path(__file__).parent / "programs" / "loop.c"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", f"{folder}/libpython.so", str(source)], check=True)
        return Path(folder, "libpython.so").read_bytes()


@pytest.fixture(scope="module")
def library() -> bytes:
    return small_interpreter()


def test_a_part_of_the_loop_that_was_moved_away_is_found(library: bytes) -> None:
    binary = read_binary(BytesSource(library))
    assert binary.version == 0x030C01F0
    assert binary.specific == 0x310
    elf = Elf.read(BytesSource(library))
    table = next(section for section in elf.sections if section.type == SHT_SYMTAB)
    rows = function_rows(elf, table)
    parts = {rows.strings.at(int(name)): int(start) for name, start in zip(rows.name, rows.start, strict=True)}
    assert [start for start, _ in binary.loop] == [
        parts[b"_PyEval_EvalFrameDefault"],
        parts[b"_PyEval_EvalFrameDefault.cold"],
    ]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_a_damaged_file_is_read_or_refused(library: bytes, seed: int) -> None:
    choose = random.Random(seed)
    data = bytearray(library)
    for _ in range(choose.randrange(1, 30)):
        data[choose.choice((choose.randrange(len(data)), choose.randrange(4096)))] = choose.randrange(256)
    try:
        binary = read_binary(BytesSource(bytes(data)))
    except ElfError as error:
        one_line(error)
    else:
        assert all(start < end for start, end in binary.loop)
