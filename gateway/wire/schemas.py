"""Shared helpers for translating JSON schemas."""

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

FORMATS: Final = frozenset({
    "date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid",
})  # fmt: skip
"""String formats that structured output can enforce."""

_SHAPES: Final = frozenset({"$ref", "allOf", "anyOf", "oneOf", "properties"})
"""Keywords that may give an object properties."""
_CONSTRAINTS: Final = _SHAPES - {"$ref"} | {
    "additionalProperties", "const", "enum", "items", "required", "type",
}  # fmt: skip
"""Keywords that constrain a value, besides a reference."""
_ANNOTATIONS: Final = frozenset({"$comment", "default", "description", "examples", "title"})


def is_object(schema: Mapping[str, Any]) -> bool:
    """Whether a value may be an object: its type says so, alone or in a list."""
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def unwrap_all_of(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Merges an `allOf` with a single member into the schema if no keyword conflicts. Schema
    generators wrap a `$ref` so to add a description; Anthropic refuses a `$ref` in an `allOf`.
    """
    while True:
        parts = schema.get("allOf")
        only = parts[0] if isinstance(parts, list) and len(parts) == 1 else None
        if not isinstance(only, Mapping) or schema.keys() & only.keys() - _ANNOTATIONS - {"allOf"}:
            return schema
        own = {name: value for name, value in schema.items() if name != "allOf"}
        schema = {**only, **own}


def cannot_be_closed(schema: Mapping[str, Any]) -> bool:
    """Whether `additionalProperties: false` cannot be added: because several combined schemas have
    properties (each would then forbid the others'), or because a `$ref` is combined with other
    constraints.
    """
    all_of, any_of, one_of = (_members(schema, name) for name in ("allOf", "anyOf", "oneOf"))
    if "$ref" in schema:
        return not _CONSTRAINTS.isdisjoint(schema)
    if len(all_of) > 1 and any(isinstance(each, Mapping) and "$ref" in each for each in all_of):
        return True
    own = {name: value for name, value in schema.items() if name == "properties"}
    groups = [[own], any_of, one_of, *([each] for each in all_of)]
    return sum(any(map(_has_properties, group)) for group in groups) > 1


def _members(schema: Mapping[str, Any], name: str) -> list[Any]:
    found = schema.get(name)
    return found if isinstance(found, list) else []


def _has_properties(schema: Any) -> bool:
    return isinstance(schema, Mapping) and not schema.keys().isdisjoint(_SHAPES)


def refs_resolve(schema: Mapping[str, Any]) -> bool:
    """Whether every `$ref` points to one of the schema's own definitions, without recursion."""
    targets = {
        f"#/{place}/{name}": frozenset(_refs(each))
        for place in ("$defs", "definitions")
        for name, each in schema.get(place, {}).items()
    }
    return targets.keys() >= set(_refs(schema)) and not _has_cycle(targets)


def all_scalar(values: Any) -> bool:
    """Whether no value of an `enum` or `const` is an object or a list."""
    listed = values if isinstance(values, list) else [values]
    return not any(isinstance(each, Mapping | list) for each in listed)


def _has_cycle(targets: Mapping[str, frozenset[str]]) -> bool:
    try:
        TopologicalSorter(targets).prepare()
    except CycleError:
        return True
    return False


def _refs(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from _refs(each)
    elif isinstance(value, list):
        for each in value:
            yield from _refs(each)
