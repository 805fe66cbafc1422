from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.collect.object_code import MapSpec, ObjectCode, ObjectCodeError, ProgramSpec, relink


def load_map(number: int) -> bytes:
    return struct.pack("=BBhi", 0x18, 0x11, 0, number) + bytes(8)


RETURN = struct.pack("=BBhi", 0x95, 0, 0, 0)


def test_map_references_are_replaced_and_nothing_else_is() -> None:
    immediate = struct.pack("=BBhi", 0x18, 0x01, 0, 7) + bytes(8)  # a constant, not a map
    code = load_map(7) + immediate + load_map(9) + RETURN
    assert relink(code, {7: 0, 9: 1}) == load_map(0) + immediate + load_map(1) + RETURN


def test_the_second_slot_of_a_wide_load_is_not_read_as_an_instruction() -> None:
    wide = struct.pack("=BBhi", 0x18, 0x01, 0, 1) + struct.pack("=BBhi", 0x18, 0x11, 0, 5)
    assert relink(wide + RETURN, {}) == wide + RETURN


@pytest.mark.parametrize(
    "code", [b"\x18", RETURN[:-1], load_map(3)[:8], load_map(3)], ids=["odd", "cut", "half a load", "unknown map"]
)
def test_broken_code_is_refused(code: bytes) -> None:
    with pytest.raises(ObjectCodeError):
        relink(code, {0: 0})


def test_round_trip_through_json() -> None:
    code = ObjectCode((MapSpec("m", 2, 4, 8, 1, 0),), (ProgramSpec("p", 7, load_map(0) + RETURN),))
    assert ObjectCode.from_json(json.loads(json.dumps(code.as_json()))) == code


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["maps", "programs", "x"]), inner),
    max_leaves=12,
)


@given(json_values)
def test_anything_else_is_refused_with_one_error(data: object) -> None:
    with pytest.raises(ObjectCodeError):
        ObjectCode.from_json(data)
