"""What the translations of JSON schemas have in common."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

FORMATS: Final = frozenset({
    "date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid",
})  # fmt: skip
"""Formats of strings that a model can be held to."""

_SHAPES: Final = frozenset({"$ref", "allOf", "anyOf", "oneOf", "properties"})
"""What may give an object properties."""
_HOLDS: Final = _SHAPES - {"$ref"} | {
    "additionalProperties", "const", "enum", "items", "required", "type",
}  # fmt: skip
"""What a value is held to, beside a reference."""
_WORDS: Final = frozenset({"$comment", "default", "description", "examples", "title"})


def is_object(schema: Mapping[str, Any]) -> bool:
    """Whether a value may be an object: its type says so, alone or in a list."""
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def flat(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema without an `allOf` of one member, where that says what the schema itself does not:
    so generators describe a property that is a reference, and Anthropic takes none in an `allOf`.
    """
    while True:
        parts = schema.get("allOf")
        only = parts[0] if isinstance(parts, list) and len(parts) == 1 else None
        if not isinstance(only, Mapping) or schema.keys() & only.keys() - _WORDS - {"allOf"}:
            return schema
        own = {name: value for name, value in schema.items() if name != "allOf"}
        schema = {**only, **own}


def apart(schema: Mapping[str, Any]) -> bool:
    """Whether several schemas that hold together have properties: no object has only those of each,
    so they cannot be closed. Or whether what a reference leads to holds together with anything: of
    the two a model may be held to one alone.
    """
    every, some, one = (_members(schema, name) for name in ("allOf", "anyOf", "oneOf"))
    if "$ref" in schema:
        return not _HOLDS.isdisjoint(schema)
    if len(every) > 1 and any(isinstance(each, Mapping) and "$ref" in each for each in every):
        return True
    own = {name: value for name, value in schema.items() if name == "properties"}
    held = [[own], some, one, *([each] for each in every)]
    return sum(any(map(_has_properties, group)) for group in held) > 1


def _members(schema: Mapping[str, Any], name: str) -> list[Any]:
    found = schema.get(name)
    return found if isinstance(found, list) else []


def _has_properties(schema: Any) -> bool:
    return isinstance(schema, Mapping) and not schema.keys().isdisjoint(_SHAPES)


def complete(schema: Mapping[str, Any]) -> bool:
    """Whether each reference is to a definition of its own, and none leads back to itself."""
    leads = {
        f"#/{place}/{name}": frozenset(_refs(each))
        for place in ("$defs", "definitions")
        for name, each in schema.get(place, {}).items()
    }
    return leads.keys() >= set(_refs(schema)) and not any(
        _leads_back(name, leads) for name in leads
    )


def plain(values: Any) -> bool:
    """Whether no value of an `enum` is an object or a list: no model can be held to these."""
    listed = values if isinstance(values, list) else [values]
    return not any(isinstance(each, Mapping | list) for each in listed)


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
