from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.gpu import GpuProcess, GpuSample

_SHARES = st.none() | st.floats(0, 1)
_BYTES = st.none() | st.integers(0, 2**50)
_PROCESSES = st.lists(st.builds(GpuProcess, st.integers(0, 2**31), _BYTES, _SHARES, _SHARES), max_size=3).map(tuple)
_SAMPLES = st.builds(
    GpuSample,
    st.integers(0, 2**62),
    st.integers(0, 64),
    st.just("GPU-synthetic"),
    st.just("Synthetic"),
    mig=st.none() | st.booleans(),
    gpu_busy=_SHARES,
    memory_used_bytes=_BYTES,
    throttled=st.none() | st.just(()) | st.just(("power cap",)),
    processes=st.none() | _PROCESSES,
)


@given(_SAMPLES)
def test_a_reading_comes_back_from_json(sample: GpuSample) -> None:
    assert GpuSample.from_json(json.loads(json.dumps(sample.as_json()))) == sample


def _row(**other: Any) -> dict[str, Any]:
    return {"time_ns": 1, "index": 0, "uuid": "u", "name": "n", **other}


@pytest.mark.parametrize(
    "row",
    [
        {},
        _row(time_ns=-1),
        _row(index=True),
        _row(name=7),
        _row(gpu_busy="1"),
        _row(gpu_busy=float("nan")),
        _row(mig=1),
        _row(throttled=[7]),
        _row(processes=[{}]),
        _row(processes={"pid": 1}),
    ],
)
def test_anything_else_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        GpuSample.from_json(row)


def test_texts_of_a_stranger_are_made_safe() -> None:
    assert GpuSample.from_json(_row(name="\x1b[31m")).name == "\\x1b[31m"
