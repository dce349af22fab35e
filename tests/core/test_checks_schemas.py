"""Schemas that would cost too much, and those that are used nevertheless."""

import json
import time
from typing import Any

import pytest

from gateway.core.checks.schema import misfit
from gateway.core.checks.tolerant_json import DEPTH


def doubling(count: int, document: str = "") -> dict[str, Any]:
    defs: dict[str, Any] = {
        f"d{i}": {"allOf": [{"$ref": f"{document}#/$defs/d{i + 1}"}] * 2} for i in range(count)
    }
    return {"$defs": {**defs, f"d{count}": {"type": "string"}}, "$ref": f"{document}#/$defs/d0"}


def chain(count: int) -> dict[str, Any]:
    defs: dict[str, Any] = {f"d{i}": {"not": {"$ref": f"#/$defs/d{i + 1}"}} for i in range(count)}
    return {"$defs": {**defs, f"d{count}": {}}, "$ref": "#/$defs/d0"}


def doubling_in_rings(rings: int, count: int) -> dict[str, Any]:
    """Each p doubles to the ring before; its m, which leads back to it, is met there first."""
    defs: dict[str, Any] = {}
    first: list[Any] = []
    end: Any = {"type": "string"}
    for ring in range(rings):
        for i in range(count):
            defs[f"d{ring}_{i}"] = {"allOf": [{"$ref": f"#/$defs/d{ring}_{i + 1}"}] * 2}
        defs[f"d{ring}_{count}"] = end
        refs = [{"$ref": f"#/$defs/m{ring}"}, {"$ref": f"#/$defs/d{ring}_0"}]
        defs |= {f"p{ring}": {"allOf": refs}, f"m{ring}": {"$ref": f"#/$defs/p{ring}"}}
        first.append({"$ref": f"#/$defs/p{ring}"})
        end = {"$ref": f"#/$defs/m{ring}"}
    return {"$defs": defs, "allOf": [*first, end]}


SAME_TWICE = {
    "oneOf": [
        {"properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "object", "additionalProperties": {"$ref": "#"}},
        {"type": "integer"},
    ]
}
NESTED_RESOURCE = {"$defs": {"a": {"$id": "http://a/", **doubling(40)}}, "$ref": "http://a/"}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (doubling(40), 1),
        (doubling(40, "json-schema:///"), "x"),
        ({"$id": "http://a/b", **doubling(40, "http://a/b")}, "x"),
        ({"$id": "http://a/b", **doubling(40, "/b")}, "x"),
        (doubling_in_rings(4, 9), "x"),
        (chain(1_000), 1),
        (NESTED_RESOURCE, 1),
        ({"$defs": {"a": {"$anchor": "a", "type": "string"}}, "$ref": "#a"}, 1),
    ],
    ids=["doubling", "named", "by its id", "by its path", "rings", "chain", "nested", "anchor"],
)
def test_a_schema_that_costs_too_much_is_not_used(schema: Any, value: Any) -> None:
    started = time.process_time()
    assert misfit(value, json.dumps(schema).encode()) is None
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("patterns", "value"),
    [
        ([rf"\pL{{90}}{i}" for i in range(100)], 1),
        ([f"^{i}$" for i in range(257)], 1),
        ([f"a[abc]{{20}}[^abc]{i}" for i in range(100)], "abcbaacb" * 12_500),
        ([f"(?:(?!.*zz{i})[abc])*d" for i in range(20)], "abcbaacb" * 2_500),
    ],
    ids=["compiled", "many", "matched", "looking ahead"],
)
@pytest.mark.parametrize("keyword", ["anyOf", "patternProperties"])
def test_patterns_that_cost_too_much_are_not_used(
    patterns: list[str], value: Any, keyword: str
) -> None:
    """They took minutes, in which a worker does nothing else."""
    schema: Any = {"anyOf": [{"type": "null", "pattern": pattern} for pattern in patterns]}
    if keyword == "patternProperties":
        schema = {"type": "null", keyword: {pattern: {} for pattern in patterns}}
    started = time.process_time()
    assert misfit(value, json.dumps(schema).encode()) is None
    assert time.process_time() - started < 1


@pytest.mark.parametrize("times", [1, 300])
def test_patterns_are_used(times: int) -> None:
    name = {"type": "string", "pattern": r"^[\p{L} '-]{1,50}$"}
    schema = json.dumps({"prefixItems": [name] * times, "items": {"pattern": "^x"}}).encode()
    assert misfit(["Zo\u00eb"] * times, schema) is None
    assert misfit(["Zo\u00eb"] * (times - 1) + ["1"], schema) is not None


DRAFT_4 = "http://json-schema.org/draft-04/schema#"
TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "used"),
    [
        ({**TEXT, "examples": [{"id": "u1"}]}, True),
        ({**TEXT, "default": {"id": "u1"}}, True),
        ({"properties": {"id": TEXT}, "required": ["id"], "type": "object"}, True),
        ({**TEXT, "$schema": DRAFT_4, "definitions": {"a": {"id": "#a"}}}, False),
        ({**TEXT, "$defs": {"a": {"$schema": DRAFT_4, "id": "http://a/"}}}, False),
    ],
)
def test_an_id_names_a_schema_in_draft_4_only(schema: Any, used: bool) -> None:
    assert (misfit(1, json.dumps(schema).encode()) is not None) is used


@pytest.mark.parametrize("draft", ["draft-04/schema#", "draft-07/schema#"])
def test_formats_are_not_checked_in_any_draft(draft: str) -> None:
    """Not every reader's date-time has a zone."""
    schema = {**TEXT, "$schema": f"http://json-schema.org/{draft}", "format": "date-time"}
    assert misfit("2026-01-01T10:00:00", json.dumps(schema).encode()) is None
    assert misfit(1, json.dumps(schema).encode()) is not None


def test_small_references_are_used() -> None:
    assert misfit(1, json.dumps(doubling(4)).encode()) == "it does not fit the schema"
    assert misfit("x", json.dumps(doubling(4)).encode()) is None


def test_schemas_that_refer_to_each_other_are_used() -> None:
    """As the statements and expressions of a language do."""
    kinds = ("e", "s", "t")
    inner = {kind: {"$ref": f"#/$defs/{kind}"} for kind in kinds}
    defs: dict[str, Any] = {}
    for kind in kinds:
        defs[kind] = {"anyOf": [{"$ref": f"#/$defs/{kind}{i}"} for i in range(6)]}
        for i in range(6):
            own = {"kind": {"const": i}, **inner}
            defs[f"{kind}{i}"] = {"properties": own, "required": ["kind"], "type": "object"}
    schema = json.dumps({"$defs": defs, "$ref": "#/$defs/e"}).encode()
    assert misfit({"kind": 1, "s": {"kind": 2, "e": {"kind": 3}}}, schema) is None
    assert misfit({"kind": 1, "s": {"kind": 2, "e": {"kind": 9}}}, schema) is not None


def test_the_reason_of_a_misfit_costs_little_in_a_recursive_schema() -> None:
    value: Any = 1
    for _ in range(DEPTH - 1):
        value = {"a": value}
    started = time.process_time()
    assert misfit(value, json.dumps(SAME_TWICE).encode()) == "it does not fit the schema"
    assert time.process_time() - started < 1
