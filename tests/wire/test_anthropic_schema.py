"""JSON schemas as Anthropic accepts them; None where the meaning would change."""

from typing import Any, Final

import pytest

from gateway.wire.anthropic.schema import closed

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
    "what a definition is, and more of it": (
        {"$defs": {"a": thing(a={})}, "allOf": [{"$ref": "#/$defs/a"}], "description": "A"},
        {"$defs": {"a": shut(a={})}, "allOf": [{"$ref": "#/$defs/a"}], "description": "A"},
    ),
    "two choices at once": ({"anyOf": [{"type": "null"}], "oneOf": [{"type": "string"}]}, None),
    "no schema": ([], None),
    "true": (True, None),
}


@pytest.mark.parametrize("case", CASES)
def test_closed(case: str) -> None:
    given, expected = CASES[case]
    assert closed(given) == expected
