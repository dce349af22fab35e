"""What the translations of JSON schemas have in common."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

FORMATS: Final = frozenset({
    "date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid",
})  # fmt: skip
"""Formats of strings that a model can be held to."""

_SHAPES: Final = frozenset({"$ref", "allOf", "properties"})
"""What may give an object properties."""


def is_object(schema: Mapping[str, Any]) -> bool:
    """Whether a value may be an object: its type says so, alone or in a list."""
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def apart(schema: Mapping[str, Any]) -> bool:
    """Whether several schemas that hold together have properties: no object has only those of each,
    so they cannot be closed.
    """
    every, some, one = (_members(schema, name) for name in ("allOf", "anyOf", "oneOf"))
    own = {name: value for name, value in schema.items() if name != "allOf"}
    held = [[own], some, one, *([each] for each in every)]
    return sum(any(map(_has_properties, group)) for group in held) > 1


def _members(schema: Mapping[str, Any], name: str) -> list[Any]:
    found = schema.get(name)
    return found if isinstance(found, list) else []


def _has_properties(schema: Any) -> bool:
    return isinstance(schema, Mapping) and not schema.keys().isdisjoint(_SHAPES)


def recursive(schema: Mapping[str, Any]) -> bool:
    """Whether a definition leads back to itself, or to the whole."""
    leads = {
        f"#/{place}/{name}": frozenset(_refs(each))
        for place in ("$defs", "definitions")
        for name, each in schema.get(place, {}).items()
    }
    return "#" in set(_refs(schema)) or any(_leads_back(name, leads) for name in leads)


def _leads_back(name: str, leads: Mapping[str, frozenset[str]]) -> bool:
    seen: set[str] = set()
    pending = set(leads[name])
    while pending:
        seen |= pending
        pending = {after for each in pending for after in leads.get(each, ())} - seen
    return name in seen


def _refs(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from _refs(each)
    elif isinstance(value, list):
        for each in value:
            yield from _refs(each)
