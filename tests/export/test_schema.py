"""docs/json.schema.json over real documents: they hold to it, and it knows every key of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.export import structured
from aperture_tui.profile.kinds import Kind, Role
from aperture_tui.profile.query import Measure, Query
from aperture_tui.profile.symbols import Symbols
from aperture_tui.store.memory import MemoryStore
from tests.export import hostile, sample
from tests.store import facts as words
from tests.store.facts import Fact, batch_of

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/json.schema.json").read_text())


def closed(schema: Any) -> Any:
    """The schema without the leave to have more keys."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: closed(value) for key, value in schema.items()}
    if "properties" in schema and isinstance(schema.get("type", "object"), str) and "required" in schema:
        out["unevaluatedProperties"] = False
    return out


def strict() -> jsonschema.Draft202012Validator:
    schema = closed(SCHEMA)
    del schema["$defs"]["call"]["unevaluatedProperties"]  # it is a part of others
    schema["$defs"]["others"]["additionalProperties"]["items"]["unevaluatedProperties"] = False
    return jsonschema.Draft202012Validator(schema)


def written(store: MemoryStore, query: Query) -> Any:
    return json.loads(json.dumps(structured.document(store, query), allow_nan=False))


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema"]["const"] == structured.SCHEMA


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("measure", list(Measure))
def test_documents_hold_to_it_and_it_knows_all_their_keys(kind: Kind, measure: Measure) -> None:
    for store in (sample.store(), sample.waits(), hostile.store(), MemoryStore()):
        strict().validate(written(store, Query(kind, measure=measure)))


@settings(max_examples=40)
@given(st.lists(words.facts, max_size=15), words.queries)
def test_so_does_the_document_of_any_query(facts: list[Fact], query: Query) -> None:
    store = MemoryStore(recorded=True)
    store.append(batch_of(facts, Symbols()))
    strict().validate(written(store, replace(query, value=None if (query.value or 0) < 0 else query.value)))


def test_a_reader_accepts_keys_that_it_does_not_know() -> None:
    document = written(sample.store(), Query(role=Role.OWN))
    document["processes"][0]["new"] = document["new"] = 1
    jsonschema.Draft202012Validator(SCHEMA).validate(document)


@pytest.mark.parametrize(
    ("where", "value"),
    [(("schema",), 2), (("tree", "unit"), "apples"), (("processes", 0, "pid"), "1"), (("tree", "parent", 0), 0)],
)
def test_what_is_wrong_is_found(where: tuple[str | int, ...], value: object) -> None:
    document = written(sample.store(), Query())
    inner = document
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(document)
