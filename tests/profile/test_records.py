"""The event record's bytes, batches, health as JSON, and text made safe."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.profile.batch import Batch, empty
from aperture_tui.profile.event import EVENT, tells_one
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.symbols import Symbols
from aperture_tui.profile.text import clean
from aperture_tui.store.compaction import COMPACT

OFFSETS = {
    "time_ns": 0,
    "duration_ns": 8,
    "maximum_ns": 16,
    "value": 24,
    "pid": 32,
    "tid": 36,
    "process": 40,
    "thread": 44,
    "name": 48,
    "stack": 52,
    "weight": 56,
    "aux": 60,
    "kind": 64,
    "flags": 66,
    "cpu": 68,
    "tags": 70,
}


def test_the_event_record_is_72_bytes_at_fixed_offsets() -> None:
    assert EVENT.itemsize == 72
    assert {name: EVENT.fields[name][1] for name in EVENT.names or ()} == OFFSETS  # type: ignore[index]  # EVENT has fields


def test_the_event_record_has_the_bytes_of_the_same_c_struct() -> None:
    values = tuple(range(1, 17))
    event = np.array([values], EVENT)
    assert event.tobytes() == struct.pack("<4Q8I4H", *values)


def test_a_batch_refuses_other_records() -> None:
    assert len(Batch(Symbols(), empty(3))) == 3
    with pytest.raises(ValueError, match="EVENT"):
        Batch(Symbols(), np.zeros(1, [("time_ns", "<u8")]))


safe = st.text(max_size=9).map(clean)
counts = st.dictionaries(safe, st.integers(0, 1 << 63), max_size=3)
optional = st.none() | st.integers(0, 1 << 63)
healths = st.builds(
    Health,
    safe,
    st.sampled_from(State),
    safe,
    st.integers(0, 1 << 63),
    counts,
    counts,
    optional,
    optional,
    optional,
    optional,
)


@given(healths)
def test_health_survives_json(health: Health) -> None:
    assert Health.from_json(json.loads(json.dumps(health.as_json()))) == health
    assert health.lost_total == sum(health.lost.values())


def test_health_of_a_newer_version_is_read_as_far_as_it_is_known() -> None:
    assert Health.from_json({"name": "cpu", "state": "running", "temperature": 3}) == Health("cpu", State.RUNNING)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(list(Health.__dataclass_fields__)), json_values))
def test_health_that_is_none_is_an_error_and_not_a_trap(data: dict[str, object]) -> None:
    """What is accepted from a stranger's recording must be as good to show as our own."""
    try:
        health = Health.from_json({"name": "cpu", "state": "running", **data})
    except (KeyError, TypeError, ValueError):
        return
    assert isinstance(health.lost_total, int)
    assert clean(health.message) == health.message
    assert Health.from_json(health.as_json()) == health


@pytest.mark.parametrize("data", [{}, {"name": "cpu"}, {"state": "running"}, {"name": "cpu", "state": "on fire"}])
def test_health_without_a_name_or_a_state_is_an_error(data: dict[str, str]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Health.from_json(data)


@given(st.text() | st.binary())
def test_clean_text_holds_nothing_that_a_terminal_would_act_on(text: str | bytes) -> None:
    out = clean(text)
    assert not [c for c in out if unicodedata.category(c) in {"Cc", "Zl", "Zp", "Cs"}]
    assert not set(out) & set("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert clean(out) == out
    out.encode()


@given(st.text("abcé日/:.<> "))
def test_clean_text_is_left_alone(text: str) -> None:
    assert clean(text) == text
    assert clean(text.encode()) == text


def test_clean_writes_out_what_it_removes() -> None:
    assert clean("a\x1b]0;title\x07") == r"a\x1b]0;title\x07"
    assert clean(b"bad\xff\n") == r"bad\xff\n"


def test_queries_and_health_cost_no_numpy() -> None:
    """The screens import these before the first paint."""
    code = (
        "import sys, aperture_tui.profile.query, aperture_tui.profile.health, aperture_tui.profile.host, "
        "aperture_tui.profile.kinds, aperture_tui.profile.completeness; sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def told(weight: int, duration_ns: int, maximum_ns: int, dtype: np.dtype[np.void] = EVENT) -> bool:
    events = np.zeros(1, dtype)
    events["weight"], events["duration_ns"], events["maximum_ns"] = weight, duration_ns, maximum_ns
    return bool(tells_one(events)[0])


@given(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1))
def test_a_sum_does_not_tell_of_one_execution(weight: int, duration_ns: int, maximum_ns: int) -> None:
    assert told(weight, duration_ns, maximum_ns) == (weight > 0 and duration_ns == weight * maximum_ns)


@given(st.integers(1, (1 << 32) - 1), st.integers(0, (1 << 31) - 1))
def test_one_that_stands_for_several_tells_of_itself(weight: int, own_ns: int) -> None:
    assert told(weight, weight * own_ns, own_ns)
    assert told(weight, weight * own_ns, own_ns, COMPACT)
    assert not told(weight, weight * own_ns + 1, own_ns)
    assert not told(weight, weight * own_ns, own_ns + 1)


def test_a_product_that_does_not_fit_is_not_taken_for_another() -> None:
    assert not told(1 << 31, 0, 1 << 33)
    assert not told(3, 2, ((1 << 64) + 2) // 3)
