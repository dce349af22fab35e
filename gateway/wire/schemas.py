"""What the translations of JSON schemas have in common."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

FORMATS: Final = frozenset({
    "date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid",
})  # fmt: skip
"""Formats of strings that a model can be held to."""


def is_object(schema: Mapping[str, Any]) -> bool:
    """Whether a value may be an object: its type says so, alone or in a list."""
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


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
