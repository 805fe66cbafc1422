"""JSON in pieces is the JSON that it would be in one."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.export.pieces import pieces

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30)


@given(JSON)
def test_it_is_what_json_dumps_gives(document: object) -> None:
    assert b"".join(pieces(document)) == (json.dumps(document) + "\n").encode()


@pytest.mark.parametrize("n", [64, 65, 1000, 1001, 2500])
def test_long_lists_are_cut_where_nobody_sees_it(n: int) -> None:
    document = {"rows": [[i, {"a": str(i)}] for i in range(n)], "more": tuple(range(n))}
    assert b"".join(pieces(document)) == (json.dumps(document) + "\n").encode()


def test_a_large_document_comes_in_many_pieces() -> None:
    document = {"a": [{"b": list(range(100_000))}]}
    made = list(pieces(document))
    assert len(made) > 5
    assert max(map(len, made)) < 200_000


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError):
        list(pieces({"a": object()}))
    assert math.isinf(json.loads(b"".join(pieces([math.inf])))[0])
