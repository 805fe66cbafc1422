"""Rows of a code cache: for every instruction of known prologues and epilogues, where the caller is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from aperture_tui.symbolize.hotspot import unwind_rows
from aperture_tui.symbolize.hotspot.unwind_rows import CodeFrames, Frames, kept, rows_of, with_gaps
from aperture_tui.symbolize.unwind_layout import (
    CFA_FROZEN,
    CFA_INTERPRETED,
    CFA_NONE,
    CFA_RBP,
    CFA_RSP,
    CFA_RSP_WIDE,
    CFA_UNKNOWN,
    RBP_SAME,
    RBP_SAVED,
    Rules,
    UnwindTable,
    rules_of,
)

BASE = 0x7F00_0000_0000
BANG = bytes.fromhex("89842400c0feff")  # mov [rsp-0x14000], eax
PUSH, POP, RET = b"\x55", b"\x5d", b"\xc3"
MOVE = bytes.fromhex("488bec")
POLL = bytes.fromhex("493ba7480400000f8710000000")  # cmp rsp, [r15+0x448]; ja
SAVE = bytes.fromhex("48896c2420")  # mov [rsp+32], rbp
BODY = b"\x90" * 40

BARE = Rules(CFA_RSP, 8, RBP_SAME)
PUSHED = Rules(CFA_RSP, 16, RBP_SAVED, -16)


def sub(n: int) -> bytes:
    return b"\x48\x83\xec" + bytes([n]) if n < 128 else b"\x48\x81\xec" + n.to_bytes(4, "little")


def add(n: int) -> bytes:
    return b"\x48\x83\xc4" + bytes([n]) if n < 128 else b"\x48\x81\xc4" + n.to_bytes(4, "little")


def unreadable(addresses: Sequence[int], _sizes: Sequence[int]) -> list[bytes | None]:
    return [None] * len(addresses)


def frame(size: int) -> Rules:
    return Rules(CFA_RSP if size < 1 << 15 else CFA_RSP_WIDE, size, RBP_SAVED, -16)


def code(*blobs: tuple[int, int, Frames, int, int]) -> CodeFrames:
    """start and end from the base, how, size, and from where on the frame stands."""
    start, end, how, size, stands = (np.array(column) for column in zip(*blobs, strict=True))
    address = [column.astype(np.uint64) + np.uint64(BASE) for column in (start, end, stands)]
    return CodeFrames(address[0], address[1], how.astype(np.uint8), size.astype(np.int64), address[2])


def rules_at(rows: np.ndarray, *places: int) -> list[Rules]:
    found = UnwindTable(rows, BASE).find(np.array(places, np.uint64) + np.uint64(BASE))
    return [rules_of(row) for row in found.tolist()]


def walk(parts: list[tuple[bytes, Rules]], size: int, complete: int) -> None:
    """At each byte of each part, the rules are those beside it."""
    data = b"".join(part for part, _ in parts)

    def read(addresses: Sequence[int], sizes: Sequence[int]) -> list[bytes | None]:
        return [data[at - BASE - 64 :][:n] for at, n in zip(addresses, sizes, strict=True)]

    one = code((64, 64 + len(data), Frames.COMPILED, size, 64 + complete))
    rows = rows_of(one, BASE, read)
    expected = [rules for part, rules in parts for _ in part]
    assert rules_at(rows, *range(64, 64 + len(data))) == expected


@pytest.mark.parametrize("n", [16, 112, 144, 4096, 40_000])
@pytest.mark.parametrize("move", [b"", MOVE])
def test_a_method_that_pushes_rbp_and_takes_it_down_in_two_places(n: int, move: bytes) -> None:
    whole = frame(n + 16)
    head = [(BANG + PUSH, BARE), (move + sub(n), PUSHED)]
    tail = [(add(n), whole), (POP, PUSHED), (POLL + RET, BARE)]
    complete = len(BANG + PUSH + move + sub(n))
    walk([*head, (BODY, whole), *tail, (BODY, whole), *tail, (BODY, whole)], n + 16, complete)


def test_a_method_that_saves_rbp_in_its_frame() -> None:
    whole, unsaved = frame(48), Rules(CFA_RSP, 48, RBP_SAME)
    tail = [(add(32), whole), (POP, PUSHED), (RET, BARE)]
    walk([(sub(40), BARE), (SAVE, unsaved), (BODY, whole), *tail], 48, len(sub(40) + SAVE))


def test_what_looks_like_a_prologue_or_an_epilogue_and_is_none() -> None:
    """Another number of bytes, a sub within the method, an add that no pop follows."""
    whole = frame(48)
    body = BODY + sub(32) + BODY + add(32) + BODY + add(24) + POP + BODY
    walk([(PUSH, BARE), (sub(32), PUSHED), (body, whole)], 48, len(PUSH + sub(32)))


def test_code_that_cannot_be_read_has_its_frame_from_where_it_is_complete() -> None:
    rows = rows_of(code((0, 100, Frames.COMPILED, 48, 12)), BASE, unreadable)
    assert rules_at(rows, 0, 11, 12, 99) == [BARE, BARE, frame(48), frame(48)]


def test_each_kind_of_code_and_what_lies_between() -> None:
    kinds = code(
        (32, 64, Frames.INTERPRETED, 0, 0),
        (64, 96, Frames.BARE, 0, 0),
        (128, 160, Frames.BY_RBP, 0, 0),
        (160, 192, Frames.STUB, 80, 0),
        (192, 224, Frames.STUB, 81, 0),
        (224, 256, Frames.UNKNOWN, 0, 0),
        (256, 288, Frames.FROZEN, 0, 0),
    )
    rows = with_gaps(rows_of(kinds, BASE, unreadable), kinds, BASE, BASE)
    unknown = Rules(CFA_UNKNOWN)
    assert rules_at(rows, 0, 40, 70, 100, 130, 170, 200, 230, 270, 300) == [
        unknown,
        Rules(CFA_INTERPRETED),
        BARE,
        unknown,
        Rules(CFA_RBP, 16, RBP_SAVED, -16),
        frame(80),
        Rules(CFA_NONE),
        Rules(CFA_NONE),
        Rules(CFA_FROZEN),
        unknown,
    ]
    assert np.array_equal(rows, np.sort(rows))
    assert len(np.unique(rows >> np.uint64(32))) == len(rows)


def test_what_has_changed_is_made_anew_and_the_rest_stays() -> None:
    before = code((0, 32, Frames.BARE, 0, 0), (32, 64, Frames.STUB, 80, 0), (64, 96, Frames.STUB, 96, 0))
    after = code((0, 32, Frames.BARE, 0, 0), (32, 48, Frames.STUB, 48, 0), (64, 96, Frames.STUB, 96, 0))
    changed = [(BASE + 32, BASE + 64)]
    again = after.within(changed)
    assert again.tolist() == [False, True, False]

    left = kept(rows_of(before, BASE, unreadable), BASE, changed)
    both = np.sort(np.concatenate((left, rows_of(after.of(again), BASE, unreadable))))
    assert np.array_equal(both, rows_of(after, BASE, unreadable))


@pytest.mark.parametrize("seed", range(20))
def test_code_of_any_bytes_and_any_facts_has_rows_in_order(seed: int) -> None:
    random = np.random.default_rng(seed)
    edges = np.sort(random.choice(1 << 12, 40, replace=False)).reshape(-1, 2)
    blobs = [
        (
            int(s),
            int(e),
            Frames(int(random.integers(len(Frames)))),
            int(random.integers(-100, 1 << 20)),
            int(random.integers(s, e + 1)),
        )
        for s, e in edges
    ]
    bytes_ = random.choice(np.frombuffer(b"\x48\x83\x81\xec\xc4\x55\x5d\xc3\x20\x00", np.uint8), 1 << 12).tobytes()

    def read(addresses: Sequence[int], sizes: Sequence[int]) -> list[bytes | None]:
        return [bytes_[at - BASE :][:n] for at, n in zip(addresses, sizes, strict=True)]

    rows = rows_of(code(*blobs), BASE, read)
    pc = rows >> np.uint64(32)
    assert np.all(pc[1:] > pc[:-1])
    assert np.all(pc <= 1 << 12)


def test_a_process_that_is_made_up_takes_no_more_than_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code of nothing but epilogues, and as much of it as an address space holds."""
    monkeypatch.setattr(unwind_rows, "MAX_FOUND", 1000)
    epilogues = (add(32) + POP + RET) * 1000
    one = code((0, len(epilogues), Frames.COMPILED, 48, 0))
    assert len(rows_of(one, BASE, lambda _addresses, sizes: [epilogues[:n] for n in sizes])) <= 1001

    read: list[int] = []

    def reading(addresses: Sequence[int], sizes: Sequence[int]) -> list[bytes | None]:
        read.extend(sizes)
        return unreadable(addresses, sizes)

    monkeypatch.setattr(unwind_rows, "MAX_CODE", 1 << 24)
    huge = code(*((n << 40, n + 1 << 40, Frames.COMPILED, 48, n << 40) for n in range(100)))
    rows_of(huge, BASE, reading)
    assert 0 < sum(read) <= 1 << 24
