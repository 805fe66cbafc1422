"""Debug information of compiled code, as HotSpot writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from aperture_tui.symbolize.hotspot.blobs import MAX_DEBUG, no_blobs
from aperture_tui.symbolize.hotspot.compressed import Scope, first_line, read_number, read_scope
from aperture_tui.symbolize.hotspot.inlined import MAX_READ, Inlined
from aperture_tui.symbolize.hotspot.layout import make_layout
from aperture_tui.symbolize.hotspot.methods import method_name, modified_utf8
from aperture_tui.symbolize.hotspot.structs import read_structs

from .test_hostile import Recorded, recorded

__all__ = ["recorded"]


def written(value: int, biased: bool) -> bytes:
    """UNSIGNED5: what is below 192 in one byte, else its lowest part and what is left in 64ths."""
    out = bytearray()
    while value >= 192 - biased and len(out) < 4:
        value -= 192 - biased
        out.append(192 + value % 64)
        value //= 64
    return bytes([*out, value + biased])


@pytest.mark.parametrize("biased", [False, True])
def test_numbers_are_read_as_they_are_written(biased: bool) -> None:
    for value in (0, 1, 190, 191, 192, 255, 12_478, 12_479, 12_480, 1 << 20, (1 << 31) - 1):
        data = written(value, biased) + b"\x55"
        assert read_number(data, 0, biased) == (value, len(data) - 1), value
    assert read_number(b"\xff\xff", 0, biased) is None
    assert (read_number(b"\0", 0, biased) is None) is biased


def test_a_scope_counts_bytecodes_from_the_entry() -> None:
    assert read_scope(bytes([0, 3, 0]), 0, biased=False) == Scope(0, 3, -1)
    assert read_scope(bytes([8, 2, 6]), 0, biased=True) == Scope(7, 1, 4)


def test_the_first_line_is_behind_an_escape_or_small() -> None:
    assert first_line(bytes([0x05]), biased=False) == 5
    assert first_line(b"\xff" + written(0, False) + written(2 * 2342, False), biased=False) == 2342
    assert first_line(b"\xff" + written(0, True) + written(2 * 2342, True), biased=True) == 2342
    assert first_line(b"\0", biased=False) == first_line(b"", biased=False) == first_line(b"\xff", biased=False) == 0


def test_names_are_as_java_writes_them() -> None:
    assert method_name(b"java/util/HashMap$Node", b"<init>") == "java.util.HashMap$Node.<init>"
    assert method_name(b"Known$$Lambda$14+0x0000000800c03000", b"run") == "Known$$Lambda$14.run"
    assert method_name(b"Known$$Lambda$14/1234567", b"run") == "Known$$Lambda$14.run"
    assert method_name(b"com/a/b", b"c") == "com.a.b.c"  # as a shrinker leaves them
    assert modified_utf8(b"\xed\xa0\xb5\xed\xb2\xb3a\xc0\x80") == "𝒳a\0"
    assert modified_utf8(b"\xed\xa0\xb5") == "\ufffd"
    assert modified_utf8(b"a\xff") == "a\ufffd"


def test_a_return_address_takes_its_own_place_and_any_other_the_next(
    recorded: tuple[Recorded, list[int], list[int]],
) -> None:
    """Scopes at 1 (outer) and 4 (inner, in it); PcDescs at 10 (inner) and 20 (outer)."""
    memory, symbols, _ = recorded
    layout = make_layout(memory, read_structs(memory, symbols))
    one = int(layout.biased)
    scopes = bytes([9, *(n + one for n in (0, 1, 1)), *(n + one for n in (1, 2, 6))])
    rows = [(-1, 0), (10, 4), (20, 1), (1 << 30, 0)]
    table = np.zeros((len(rows), layout.pc_desc_bytes // 4), "<i4")
    table[:, layout.pc_offset.offset // 4] = [at for at, _ in rows]
    table[:, layout.scope_offset.offset // 4] = [scope for _, scope in rows]
    outer, inner = 0x1111, 0x2222
    pieces = {0x1000: table.tobytes(), 0x2000: scopes, 0x3000: np.array([outer, inner], "<u8").tobytes()}

    class Pieces:
        def read_many(self, addresses: Sequence[int], sizes: Sequence[int]) -> list[bytes | None]:
            return [pieces[at][:size] for at, size in zip(addresses, sizes, strict=True)]

    blank = no_blobs()
    fields = {name: np.zeros(1, getattr(blank, name).dtype) for name in blank.__slots__}
    for name, (begin, data) in zip(("pcs", "scopes", "metadata"), pieces.items(), strict=True):
        fields[name][0], fields[f"{name}_end"][0] = begin, begin + len(data)
    fields["method"][0] = outer
    blobs = replace(blank, **fields)
    asked = [(10, True), (20, True), (9, False), (10, False), (19, False), (20, False), (0, False)]
    offsets, exact = np.array([at for at, _ in asked]), np.array([exact for _, exact in asked])
    found = Inlined(Pieces(), layout).methods(blobs, np.zeros(len(asked), np.intp), offsets, exact)
    deep, flat = (inner, outer), (outer,)
    assert found == [deep, flat, deep, flat, flat, flat, deep]


def test_what_is_read_together_is_bounded(recorded: tuple[Recorded, list[int], list[int]]) -> None:
    memory, symbols, _ = recorded
    layout = make_layout(memory, read_structs(memory, symbols))

    class Endless:
        asked = 0

        def read_many(self, addresses: Sequence[int], sizes: Sequence[int]) -> list[bytes | None]:
            self.asked += sum(sizes)
            return [bytes(size) for size in sizes]

    many, blank = 100, no_blobs()
    fields = {name: np.zeros(many, getattr(blank, name).dtype) for name in blank.__slots__}
    fields["blob"] = np.arange(1, many + 1, dtype=np.uint64)
    for name in ("pcs", "scopes", "metadata"):
        fields[f"{name}_end"][:] = MAX_DEBUG
    fields["method"][:] = 7
    endless = Endless()
    found = Inlined(endless, layout).methods(
        replace(blank, **fields), np.arange(many), np.zeros(many, np.int64), np.zeros(many, bool)
    )
    assert found == [(7,)] * many
    assert endless.asked <= MAX_READ
