"""Memory and files that lie: None or one line of error, never a hang, never another exception."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from aperture_tui.profile.symbols import Frame
from aperture_tui.symbolize.elf import BytesSource, ElfError
from aperture_tui.symbolize.v8 import Layout, V8Error, V8Reader, Walk
from aperture_tui.symbolize.v8.binary import read_binary
from aperture_tui.symbolize.v8.functions import RECHECK_S
from aperture_tui.symbolize.v8.heap import MAX_TEXT, Heap, small_integer
from aperture_tui.symbolize.v8.layout import GRANTED, Span, layout_of
from aperture_tui.symbolize.v8.scripts import Script, line_ends

from .conftest import Clock

SHARED, SCRIPT, SCOPE, NONSTRING = 262, 167, 261, 128
LAYOUT = Layout(Walk(24, Span(0, 0)), 16, 32, 16, 8, 12, SHARED, SCRIPT, SCOPE, NONSTRING, 3)
ONE_BYTE, TWO_BYTE, CONS, EXTERNAL, SLICED, THIN = 8, 0, 1 | 8, 2 | 8, 3 | 8, 5 | 8


class Made:
    """A memory that objects are put into."""

    def __init__(self) -> None:
        self.bytes = bytearray(1 << 16)
        self.end = 0x1000
        self.maps: dict[int, int] = {}

    def read_many(self, addresses: Sequence[int], sizes: Sequence[int]) -> list[bytes | None]:
        return [
            bytes(self.bytes[at : at + size]) if at + size <= len(self.bytes) else None
            for at, size in zip(addresses, sizes, strict=True)
        ]

    def put(self, kind: int, content: bytes) -> int:
        """An object of a type -> the word that points at it. content: behind its Map."""
        if kind not in self.maps:
            self.maps[kind] = self.end + 1
            self.bytes[self.end + 12 : self.end + 14] = struct.pack("<H", kind)
            self.end += 16
        at = self.end
        self.bytes[at : at + 8 + len(content)] = struct.pack("<Q", self.maps[kind]) + content
        self.end += (8 + len(content) + 15) // 8 * 8
        return at + 1

    def string(self, kind: int, length: int, content: bytes) -> int:
        return self.put(kind, struct.pack("<Ii", 0, length) + content)

    def text(self, text: str) -> int:
        return self.string(ONE_BYTE, len(text), text.encode("latin-1"))


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


def smi(value: int) -> int:
    return value << 32


def heap(memory: Made) -> Heap:
    return Heap(memory, 12, NONSTRING)


def test_strings_of_every_kind() -> None:
    memory = Made()
    one, two = memory.text("Höhe"), memory.string(TWO_BYTE, 2, "名前".encode("utf-16-le"))
    cons = memory.string(CONS, 6, words(one, two))
    sliced = memory.string(SLICED, 4, words(cons, smi(2)))
    thin = memory.string(THIN, 4, words(one))
    at = memory.end
    memory.bytes[at : at + 5] = b"extern"[:5]
    memory.end += 8
    external = memory.string(EXTERNAL, 5, words(0, at))
    nested = memory.string(CONS, 11, words(memory.string(CONS, 6, words(two, sliced)), external))
    said = [heap(memory).text(word) for word in (one, two, cons, sliced, thin, external, nested)]
    assert said == ["Höhe", "名前", "Höhe名前", "he名前", "Höhe", "exter", "名前he名前exter"]


def test_strings_that_go_in_circles_or_lie_about_their_length_end() -> None:
    memory = Made()
    circle = memory.string(CONS, 10, words(0, 0))
    memory.bytes[circle - 1 + 16 : circle - 1 + 32] = words(circle, circle)
    assert heap(memory).text(circle) is not None
    thin = memory.string(THIN, 4, words(0))
    memory.bytes[thin - 1 + 16 : thin - 1 + 24] = words(thin)
    assert heap(memory).text(thin) == ""
    long = memory.string(ONE_BYTE, 1 << 30, b"x" * (2 * MAX_TEXT))
    assert heap(memory).text(long) == "x" * MAX_TEXT
    assert heap(memory).text(memory.string(ONE_BYTE, -1, b"")) is None
    assert heap(memory).text(memory.put(SCRIPT, bytes(16))) is None
    assert heap(memory).text(2) is None


def function(memory: Made, name: int, script: int) -> int:
    return memory.put(SHARED, words(0, name, 0, script))


def test_another_function_in_the_place_of_one_is_told_apart() -> None:
    memory, clock = Made(), Clock()
    script = memory.put(SCRIPT, words(memory.text("one\ntwo\n"), memory.text("/a.js")))
    scope = memory.put(SCOPE, words(smi(2 | 1 << 12), 0, smi(1), memory.text("v"), 0, memory.text("f"), 0, smi(5), 0))
    info = function(memory, scope, script)
    reader = V8Reader(memory, LAYOUT, clock)
    asked = np.array([info, info + 2, 1 << 61 | 1], np.uint64)
    (frame, *others) = reader.objects(asked)
    assert frame is not None
    assert (frame.function, frame.file, frame.line, others) == ("f", "/a.js", 2, [None, None])
    memory.bytes[info - 1 + 16 : info - 1 + 24] = words(memory.text("g"))
    assert reader.objects(asked)[0] == frame, "it is not looked at all the time"
    clock.now += 2 * RECHECK_S
    assert reader.objects(asked)[0] == replace_name(frame, "g")


def replace_name(frame: Frame, name: str) -> Frame:
    return frame._replace(function=name, line=0)


def test_lines_end_as_the_language_says() -> None:
    script = Script("/a.js", line_ends("a\r\nb\rc\n\u2028d\u2029".encode("utf-16-le"), 2))
    assert [script.line_at(at) for at in range(10)] == [1, 1, 1, 2, 2, 3, 3, 4, 5, 5]
    assert Script("/a.js", line_ends(b"", 1)).line_at(0) == 1


class Noise:
    """Every address holds something: small integers, pointers into the noise, types that are looked for."""

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
        if size == 2:
            return choose.choice((SHARED, SCRIPT, SCOPE, 0, 1, 2, 3, 5, 8, 40)).to_bytes(2, "little")
        some = [
            choose.choice((smi(choose.randrange(100)), choose.randrange(1 << 46) << 1 | 1, choose.randrange(1 << 64)))
            for _ in range(min(size, 4096) // 8 + 1)
        ]
        return (words(*some) * (size // (8 * len(some)) + 1))[:size]


@pytest.mark.parametrize("seed", range(150))
def test_noise_gives_frames_or_none(seed: int) -> None:
    layout = replace(LAYOUT, variables=3 + 2 * (seed % 2))
    found = V8Reader(Noise(seed), layout).objects(np.arange(1, 400, 4, np.uint64))
    assert all(one is None or isinstance(one, Frame) for one in found)


def test_files_that_are_no_v8_or_another_one_are_refused_in_one_line() -> None:
    constants = {**GRANTED, "scopeinfo_idx_first_vars": 3}
    for lack, word in (
        ({}, "metadata"),
        ({"TaggedSize": 4}, "compress"),
        (constants, "v8dbg_class_JSFunction__shared"),
    ):
        with pytest.raises(V8Error, match=word) as caught:
            layout_of(lack, Span(0, 0))
        assert "\n" not in str(caught.value)
    with pytest.raises(V8Error, match="SmiTagMask"):
        layout_of({**constants, "SmiTagMask": 3}, Span(0, 0))
    for data in (b"", b"\x7fELF", bytes(100)):
        with pytest.raises(ElfError):
            read_binary(BytesSource(data))


def test_small_integers_have_a_sign() -> None:
    assert [small_integer(word) for word in (smi(7), 0xFFFF_FFFF << 32, 1, 0x1_0000_0001)] == [7, -1, None, None]
