"""The kernel's BTF, against what the kernel tells otherwise; and what is none."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.collect import btf

HEADER = struct.Struct("<HBBIIIII")


def written(folder: Path, types: bytes, text: bytes) -> Path:
    path = folder / "btf"
    path.write_bytes(HEADER.pack(0xEB9F, 1, 0, HEADER.size, 0, len(types), len(types), len(text)) + types + text)
    return path


def kinds(folder: Path) -> Path:
    """int; struct pair {int a at 0; int b at 4}; typedef btf_trace_sched_switch."""
    text = b"\0int\0pair\0a\0b\0btf_trace_sched_switch\0"
    at = {
        name: text.index(b"\0" + name + b"\0") + 1 for name in (b"int", b"pair", b"a", b"b", b"btf_trace_sched_switch")
    }
    types = struct.pack("<IIII", at[b"int"], 1 << 24, 4, 32)
    types += struct.pack("<III", at[b"pair"], 4 << 24 | 2, 8)
    types += struct.pack("<IIIIII", at[b"a"], 1, 0, at[b"b"], 1, 32)
    types += struct.pack("<III", at[b"btf_trace_sched_switch"], 8 << 24, 1)
    return written(folder, types, text)


def test_members_and_types_are_found_by_name(tmp_path: Path) -> None:
    source = kinds(tmp_path)
    assert btf.member_offsets("pair", ("a", "b"), source) == {"a": 0, "b": 4}
    assert btf.tracepoint_type("sched_switch", source) == 3


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    source = kinds(tmp_path)
    with pytest.raises(btf.BtfError, match=r"no pair\.c"):
        btf.member_offsets("pair", ("a", "c"), source)
    with pytest.raises(btf.BtfError, match="arguments of sys_enter"):
        btf.tracepoint_type("sys_enter", source)
    with pytest.raises(btf.BtfError, match="CONFIG_DEBUG_INFO_BTF"):
        btf.tracepoint_type("sys_enter", tmp_path / "none")


@given(st.binary(max_size=200), st.binary(max_size=60))
def test_what_is_no_btf_is_refused(tmp_path_factory: pytest.TempPathFactory, types: bytes, text: bytes) -> None:
    source = written(tmp_path_factory.mktemp("btf"), types, text + b"\0")
    with pytest.raises(btf.BtfError):
        btf.member_offsets("task_struct", ("pid",), source)
    with pytest.raises(btf.BtfError):
        btf.tracepoint_type("sched_switch", source)
