"""Settings as JSON: the three languages read the same, and nothing that is no JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sdk.host import EVENT, FRAME, NODE, PROCESS, Batch, Filter, Tables
from tests.sdk.toolchain import READY

LANGUAGES = ["process_name", "process_name_c", "process_name_as"]


def accepts(name: str, text: bytes) -> bool:
    return Filter(READY / f"{name}.wasm", text).refused == 0


def keeps(name: str, text: bytes, process: str) -> bool:
    """Whether a process of this name is kept."""
    guest = Filter(READY / f"{name}.wasm", text)
    assert guest.refused == 0, guest.log
    processes = np.zeros(2, PROCESS)
    processes["name"] = [0, 1]
    events = np.zeros(1, EVENT)
    events["process"] = 1
    tables = Tables([b"", process.encode()], np.zeros(1, FRAME), np.zeros(1, NODE), processes)
    return bool(guest.run(Batch(events, tables)).verdicts[0])


@pytest.mark.parametrize("name", LANGUAGES)
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b'{"name":"nginx"}', "nginx"),
        (b' {\t"name" :\n"nginx" , "drop":false }\r\n', "nginx"),
        (b'{"drop":false,"name":"nginx"}', "nginx"),
        (b'{"n\\u0061me":"ngin\\u0078"}', "nginx"),
        ('{"name":"dämon €😀"}'.encode(), "dämon €😀"),
        (b'{"name":"d\\u00e4mon \\u20AC\\ud83d\\uDE00"}', "dämon €😀"),
        (b'{"name":"a\\"\\\\\\/\\b\\f\\n\\r\\tb"}', 'a"\\/\b\f\n\r\tb'),
    ],
)
def test_a_text_is_read_as_json_means_it(name: str, text: bytes, wanted: str) -> None:
    assert json.loads(text)["name"] == wanted
    assert keeps(name, text, f"x{wanted}y")
    assert not keeps(name, text, wanted[:-1])


WRONG = [
    b"", b" ", b"{", b"}", b"[]", b'"name"', b'{"name":"x"}}', b'{"name":"x"}{}', b'{"name":"x",}', b'{,"name":"x"}',
    b'{"name" "x"}', b'{"name":}', b"{name:1}", b"{'name':'x'}", b'{"name":"x" "drop":true}', b'{"name":x}',
    b'{"name":"x}', b'{"name":"x', b'{"name":"\\x"}', b'{"name":"\\', b'{"name":"\\u12"}', b'{"name":"\\u12g4"}',
    b'{"name":"\\ud83d"}', b'{"name":"\\ud83dx"}', b'{"name":"\\ude00"}', b'{"name":"\\ud83d\\u0041"}',
    b'{"name":"\\u0000"}', b'{"name":"\n"}', b'{"name":"\0"}', b'{"name":"x","name":"y"}', b'{"name":"x","drop":tru}',
    b'{"name":"x","drop":truex}', b'{"name":"x","drop":1}', b'{"name":"x","drop":null}', b'{"name":1}', b'{"name":-}',
    b'{"name":{}}', b'{"name":["x"]}', b'{"name":""}', b"{}", b'{"name":"x","other":1}', b'{"name":"x"}\0',
]  # fmt: skip


@pytest.mark.parametrize("name", LANGUAGES)
@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_such_json_is_refused(name: str, text: bytes) -> None:
    assert not accepts(name, text)


@pytest.mark.parametrize("name", ["slow_syscalls", "slow_syscalls_c"])
def test_numbers_are_whole_and_in_their_range(name: str) -> None:
    for number in (b"0", b"-0", b"7", b"1000000000000"):
        assert accepts(name, b'{"at_least_us":%s}' % number)
    for number in (b"", b"-1", b"1000000000001", b"9223372036854775808", b"01", b"1.0", b"1e3", b"+1", b"- 1", b"0x1"):
        assert not accepts(name, b'{"at_least_us":%s}' % number)


_NEARLY = st.lists(
    st.sampled_from([*'{}":,\\ 1[]', "name", "drop", "true", "false", "u00", "e4", "d83d"]),
    max_size=14,
).map("".join)
_VALUES: st.SearchStrategy[Any] = st.one_of(st.text(max_size=8), st.booleans(), st.integers(-5, 5))
_OBJECTS = st.dictionaries(st.sampled_from(["name", "drop", "x"]), _VALUES, max_size=3)
_JSON = st.builds(lambda value, escaped: json.dumps(value, ensure_ascii=escaped), _OBJECTS, st.booleans())


@settings(max_examples=150)
@given(st.one_of(_NEARLY, _JSON).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_the_languages_agree_and_are_no_laxer_than_json(text: bytes) -> None:
    said = {accepts(name, text) for name in LANGUAGES}
    assert len(said) == 1
    if said == {True}:
        assert isinstance(json.loads(text)["name"], str)


def test_a_refusal_is_told() -> None:
    for name in LANGUAGES:
        words = " ".join(line for _, line in Filter(READY / f"{name}.wasm", b'{"nmae":"x","name":"y"}').log)
        assert "nmae" in words
        assert "is no setting of this filter" in words
