"""The numbers of the contract: docs/filters.md, sdk/ and this must say the same."""

from __future__ import annotations

from aperture_tui.filters import abi

OFFSETS = {
    "magic": 0,
    "major": 4,
    "minor": 6,
    "header_size": 8,
    "event_size": 12,
    "n_events": 16,
    "events": 20,
    "verdicts": 24,
    "tags": 28,
    "generation": 32,
    "flags": 36,
    "now_ns": 40,
    "sequence": 48,
    "reserved": 56,
    "n_strings": 64,
    "strings": 68,
    "n_frames": 72,
    "frames": 76,
    "n_stacks": 80,
    "stacks": 84,
    "n_processes": 88,
    "processes": 92,
    "redacted": 96,
    "padding": 100,
}


def test_the_header_is_128_bytes_at_fixed_offsets() -> None:
    assert abi.HEADER.itemsize == 128
    assert {name: abi.HEADER.fields[name][1] for name in abi.HEADER.names or ()} == OFFSETS  # type: ignore[index]  # it has fields
    assert abi.MAGIC.to_bytes(4, "little") == b"APB1"


def test_the_records_have_the_sizes_that_programs_count_on() -> None:
    assert [t.itemsize for t in (abi.EVENT, abi.STRING, abi.FRAME, abi.NODE, abi.PROCESS)] == [72, 8, 20, 8, 24]
