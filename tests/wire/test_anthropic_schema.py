"""JSON schemas as Anthropic accepts them; None where the meaning would change."""

import time
from itertools import pairwise
from typing import Any, Final

import pytest

from gateway.wire.anthropic.schema import SchemaBudget, close

JSON = dict[str, Any]


def thing(**properties: Any) -> JSON:
    return {"type": "object", "properties": properties}


def shut(**properties: Any) -> JSON:
    return {**thing(**properties), "additionalProperties": False}


NODE: Final = thing(next={"$ref": "#/$defs/node"})
CASES: Final[dict[str, tuple[Any, JSON | None]]] = {
    "an object is closed": (thing(a={"type": "string"}), shut(a={"type": "string"})),
    "so are the objects in it": (
        thing(a={"type": "array", "items": thing()}),
        shut(a={"type": "array", "items": shut()}),
    ),
    "definitions too": (
        {"$defs": {"a": thing()}, **thing(x={"$ref": "#/$defs/a"})},
        {"$defs": {"a": shut()}, **shut(x={"$ref": "#/$defs/a"})},
    ),
    "bounds are told in words": (
        {"type": "number", "minimum": 1, "maximum": 9, "description": "Stars"},
        {"type": "number", "description": 'Stars\n{"minimum": 1, "maximum": 9}'},
    ),
    "a property may be called like a bound": (
        thing(minimum={"type": "integer"}),
        shut(minimum={"type": "integer"}),
    ),
    "oneOf is anyOf": (
        {"oneOf": [{"type": "string"}, {"const": 1}]},
        {"anyOf": [{"type": "string"}, {"const": 1}]},
    ),
    "formats it knows": (
        {"type": "string", "format": "date"},
        {"type": "string", "format": "date"},
    ),
    "formats it does not": (
        {"type": "string", "format": "isbn"},
        {"type": "string", "description": '{"format": "isbn"}'},
    ),
    "at least one": (
        {"type": "array", "items": {"enum": ["a"]}, "minItems": 1},
        {"type": "array", "items": {"enum": ["a"]}, "minItems": 1},
    ),
    "a map is open": (
        {"type": "object", "additionalProperties": {"type": "string"}},
        None,
    ),
    "any object is open": ({"type": "object"}, None),
    "any object or null is open": ({"type": ["object", "null"]}, None),
    "an object or null": (
        {**thing(a={"type": "string"}), "type": ["object", "null"]},
        {**shut(a={"type": "string"}), "type": ["object", "null"]},
    ),
    "an object that says so is open": ({**thing(), "additionalProperties": True}, None),
    "a list of such": ({"type": "array", "items": {"type": "object"}}, None),
    "a keyword that is not known": ({"not": {"type": "string"}}, None),
    "itself": (thing(child={"$ref": "#"}), None),
    "a definition in itself": ({"$defs": {"node": NODE}, "$ref": "#/$defs/node"}, None),
    "objects that hold together": ({"allOf": [thing(a={}), thing(b={})]}, None),
    "an object beside one of several": ({**thing(a={}), "anyOf": [thing(b={}), {}]}, None),
    "one of several objects": (
        {"anyOf": [thing(a={}), {"type": "null"}]},
        {"anyOf": [shut(a={}), {"type": "null"}]},
    ),
    "a definition, described": (
        {"$defs": {"a": thing(a={})}, "$ref": "#/$defs/a", "description": "A"},
        {"$defs": {"a": shut(a={})}, "$ref": "#/$defs/a", "description": "A"},
    ),
    "so that no reference stands in an allOf": (
        {"$defs": {"a": thing(a={})}, "allOf": [{"$ref": "#/$defs/a"}], "description": "A"},
        {"$defs": {"a": shut(a={})}, "$ref": "#/$defs/a", "description": "A"},
    ),
    "one that is described within, too": (
        {"allOf": [{"allOf": [{"type": "string", "title": "T"}]}], "title": "U"},
        {"type": "string", "title": "U"},
    ),
    "what a definition is, and other properties": (
        {"$defs": {"a": thing(a={})}, "$ref": "#/$defs/a", "properties": {"b": {}}},
        None,
    ),
    "the same in an allOf": (
        {"$defs": {"a": thing(a={})}, "allOf": [{"$ref": "#/$defs/a"}], "properties": {"b": {}}},
        None,
    ),
    "what a definition is, and more required": (
        {"$defs": {"a": thing(a={})}, "$ref": "#/$defs/a", "required": ["a"]},
        None,
    ),
    "two definitions at once": (
        {"$defs": {"a": {}, "b": {}}, "allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}]},
        None,
    ),
    "an object beside a choice within": (
        {"allOf": [thing(a={}), {"anyOf": [thing(b={}), thing(c={})]}]},
        None,
    ),
    "what another schema says": ({"$ref": "https://example.org/a.json"}, None),
    "a definition that is not there": (thing(a={"$ref": "#/$defs/a"}), None),
    "a place that is no definition": (thing(a={}, b={"$ref": "#/properties/a"}), None),
    "one of several objects given": ({"enum": [{"a": 1}, {"a": 2}]}, None),
    "two choices at once": ({"anyOf": [{"type": "null"}], "oneOf": [{"type": "string"}]}, None),
    "no schema": ([], None),
    "true": (True, None),
}


@pytest.mark.parametrize("case", CASES)
def test_closed(case: str) -> None:
    given, expected = CASES[case]
    assert close(given) == expected


def many(count: int, kind: Any, **more: Any) -> JSON:
    return {**thing(**{f"p{at}": {"type": kind} for at in range(count)}), **more}


def names(count: int) -> list[str]:
    return [f"p{at}" for at in range(count)]


def test_so_many_properties_may_be_optional_or_of_several_types() -> None:
    union = ["string", "null"]
    assert SchemaBudget().close(many(24, "string")) is not None
    assert SchemaBudget().close(thing(a={"type": "array", "items": many(25, "string")})) is None
    assert SchemaBudget().close(many(25, "string", required=names(25))) is not None
    assert SchemaBudget().close(many(16, union, required=names(16))) is not None
    assert SchemaBudget().close({"$defs": {"a": many(17, union, required=names(17))}}) is None


def test_the_limits_are_of_all_schemas_of_a_call() -> None:
    room = SchemaBudget()
    assert room.close(many(20, "string")) is not None
    assert room.close(many(5, "string"), tool=True) is None
    assert room.close(many(4, "string"), tool=True) is not None
    assert [room.close(thing(), tool=True) is None for _ in range(20)] == [False] * 19 + [True]


def test_a_schema_of_many_names_is_read_in_little_time() -> None:
    """It took seconds, and minutes of the longest request, in which a worker does nothing else."""
    names = [f"a{i}" for i in range(20_000)]
    many = {**thing(**{name: {} for name in names}), "required": names}
    chain: JSON = {name: {"$ref": f"#/$defs/{after}"} for name, after in pairwise(names)}
    started = time.process_time()
    assert SchemaBudget().close(many) is not None
    assert close({"$defs": {**chain, names[-1]: {}}, "$ref": "#/$defs/a0"}) is not None
    assert close({"$defs": {**chain, names[-1]: {"$ref": "#/$defs/a9"}}, **thing()}) is None
    assert time.process_time() - started < 2
