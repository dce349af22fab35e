"""JSON schemas as the API accepts them."""

import json
import time
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.gemini.schema import subset
from tests.wire.anthropic_streams import PROPERTY

STRING = {"type": "string"}
NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
BASES: Final = {
    "A": {"type": "object", "properties": {"a": STRING}, "required": ["a"]},
    "B": {"allOf": [{"$ref": "#/$defs/A"}, {"properties": {"b": STRING}, "required": ["b"]}]},
}


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ({"type": "object", "properties": {}}, {"type": "object", "properties": {}}),
        ({"$schema": "x", "title": "T", "default": 5, "examples": [5], "type": "integer"},
         {"type": "integer"}),
        ({"properties": {"title": STRING, "default": STRING, "$schema": STRING, "const": STRING}},
         {"properties": {"title": STRING, "default": STRING, "$schema": STRING, "const": STRING}}),
        ({"const": "a"}, {"enum": ["a"], "type": "string"}),
        ({"const": None}, {"enum": [None], "type": "null"}),
        ({"type": ["string", "null"], "enum": ["a", None]},
         {"type": ["string", "null"], "enum": ["a", None]}),
        ({"oneOf": [STRING, {"type": "null", "title": "N"}]},
         {"anyOf": [STRING, {"type": "null"}]}),
        ({"type": "array", "items": {"title": "I", "type": "string"}, "minItems": 1},
         {"type": "array", "items": STRING, "minItems": 1}),
        ({"type": "object", "additionalProperties": False}, {"type": "object",
                                                             "additionalProperties": False}),
        ({"additionalProperties": {"title": "T", "type": "string"}, "propertyNames": STRING},
         {"additionalProperties": STRING}),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
        ({"type": "string", "format": "uri", "description": "Where"},
         {"type": "string", "description": 'Where\n{"format": "uri"}'}),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 9},
         {"type": "number", "maximum": 9, "description": '{"exclusiveMinimum": 0}'}),
        ({"allOf": [{"type": "object", "properties": {"a": STRING}, "required": ["a"]},
                    {"properties": {"b": STRING}, "required": ["b"]}], "description": "D"},
         {"type": "object", "properties": {"b": STRING, "a": STRING}, "required": ["a", "b"],
          "description": "D"}),
        ({"$defs": {"A": {"title": "A", "type": "string"}}, "$ref": "#/$defs/A"}, STRING),
        ({"$defs": BASES, "allOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"},
                                    {"properties": {"c": STRING}}]},
         {"type": "object", "properties": {"a": STRING, "b": STRING, "c": STRING},
          "required": ["a", "b"]}),
        ({"$defs": BASES, "$ref": "#/$defs/A", "properties": {"c": STRING}},
         {"type": "object", "properties": {"a": STRING, "c": STRING}, "required": ["a"]}),
        ({"allOf": [{"allOf": [STRING, {"allOf": 5}]}, {"minItems": 1}, 5]},
         {"type": "string", "minItems": 1}),
        ({"format": STRING, "$ref": 5}, {"description": '{"format": {"type": "string"}}'}),
        ({"allOf": [{"required": 5}, {"required": [[]]}]}, {"required": 5}),
        ({"definitions": {"A": STRING}, "properties": {"a": {"$ref": "#/definitions/A",
                                                             "description": "D"}}},
         {"properties": {"a": {"type": "string", "description": "D"}}}),
        ({"$ref": "https://example.com/schema"}, {}), ({"$ref": "#/$defs/None"}, {}),
        ({"properties": {"a": True, "b": {}}}, {"properties": {"a": {}, "b": {}}}),
        ({"$defs": {"Node": NODE}, "$ref": "#/$defs/Node"},
         {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}},
          "$defs": {"Node": NODE}}),
        ({"type": "object", "properties": {"all": {"$ref": "#"}}},
         {"type": "object", "$defs": {"root": {"type": "object", "properties": {"all": {
             "$ref": "#/$defs/root"}}}}, "properties": {"all": {"type": "object", "properties": {
                 "all": {"$ref": "#/$defs/root"}}}}}),
    ],
)  # fmt: skip
def test_what_is_sent(said: Any, sent: Any) -> None:
    assert subset(said) == sent


def test_references_do_not_multiply_without_end() -> None:
    """Each definition refers to the next four times: resolved, that would be 4 ** 30 schemas."""
    defs: dict[str, Any] = {
        f"D{i}": {"properties": {name: {"$ref": f"#/$defs/D{i + 1}"} for name in "abcd"}}
        for i in range(30)
    }
    defs["D30"] = STRING
    found = subset({"$defs": defs, "$ref": "#/$defs/D0"})
    assert len(json.dumps(found)) < 500_000
    assert found["$defs"]["D30"] == STRING


def test_a_long_chain_of_references_is_followed() -> None:
    defs: dict[str, Any] = {
        f"D{i}": {"properties": {"a": {"$ref": f"#/$defs/D{i + 1}"}}} for i in range(3_000)
    }
    found = subset({"$defs": defs | {"D3000": STRING}, "$ref": "#/$defs/D0"})
    assert found["$defs"]["D3000"] == STRING


def test_inherited_properties_come_in_the_order_of_their_schemas() -> None:
    extended = {"$defs": BASES, "allOf": [{"properties": {"c": STRING}}, {"$ref": "#/$defs/B"}]}
    assert list(subset(extended)["properties"]) == ["c", "a", "b"]


KNOWN = {
    "$defs", "$ref", "additionalProperties", "anyOf", "description", "enum", "format", "items",
    "maxItems", "maximum", "minItems", "minimum", "prefixItems", "properties", "required", "type",
}  # fmt: skip
NAMES = st.sampled_from(["a", "b", "title", "$ref"])
REFS = st.sampled_from(["#", "#/$defs/a", "#/$defs/b", "#/properties/a", "x"])
SCHEMAS = st.recursive(
    st.fixed_dictionaries({}, optional={"type": st.just("string"), "$ref": REFS,
                                        "const": st.integers(), "pattern": st.just("x")}),
    lambda inner: st.fixed_dictionaries({}, optional={
        "properties": st.dictionaries(NAMES, inner, max_size=3),
        "$defs": st.dictionaries(NAMES, inner, max_size=2),
        "anyOf": st.lists(inner, max_size=2), "allOf": st.lists(inner, max_size=2),
        "items": inner | st.booleans(), "not": inner, "title": st.just("T"), "$ref": REFS,
    }),
    max_leaves=12,
)  # fmt: skip


@PROPERTY
@given(SCHEMAS)
def test_only_known_fields_are_sent_and_every_reference_leads_somewhere(schema: Any) -> None:
    sent = subset(schema)
    defs = sent.get("$defs", {})
    pending: list[Any] = [sent, *defs.values()]
    while pending:
        each = pending.pop()
        assert each.keys() <= KNOWN
        if "$ref" in each:
            assert each["$ref"].removeprefix("#/$defs/") in defs
            assert each.keys() <= {"$ref", "$defs"}
        pending += each.get("properties", {}).values()
        pending += each.get("anyOf", [])
        items = each.get("items")
        pending += [items] if isinstance(items, dict) else []


MANY = 20_000


@pytest.mark.parametrize(
    "parts",
    [
        [{"required": [f"{part}{i}" for i in range(MANY)]} for part in "ab"],
        [{"required": [f"a{i}"]} for i in range(MANY)],
        [{"properties": {f"a{i}": {}}} for i in range(MANY)],
    ],
    ids=["names", "lists", "properties"],
)
def test_many_parts_are_merged_in_little_time(parts: list[Any]) -> None:
    """It took ten seconds and more, in which a worker does nothing else."""
    started = time.process_time()
    merged = subset({"allOf": parts})
    assert time.process_time() - started < 1
    assert {len(each) for each in merged.values()} <= {MANY, 2 * MANY}


def test_a_long_definition_is_not_written_out_a_thousand_times() -> None:
    """A request of 1 MB became a call of 1.9 GB."""
    shared = {"type": "string", "description": "x" * 100_000}
    schema = {"$defs": {"a": shared}, "anyOf": [{"$ref": "#/$defs/a"}] * 1_000}
    sent = subset(schema)
    assert len(json.dumps(sent)) < 500_000
    assert sent["$defs"] == {"a": shared}
    assert sent["anyOf"][0] == shared
    assert sent["anyOf"][-1] == {"$ref": "#/$defs/a"}
