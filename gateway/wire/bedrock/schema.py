"""Which JSON schemas a model can be held to, for structured output and strict tools.

Every object must be closed, recursion is refused, and so are bounds on numbers, strings and arrays.
A schema that says more is not cut down: it is said in words instead. Source: AWS's page on
structured output.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

_SAID: Final = frozenset({
    "$comment", "$id", "$schema", "const", "default", "description", "enum", "required", "title",
    "type",
})  # fmt: skip
_LISTS: Final = frozenset({"allOf", "anyOf"})
_MAPS: Final = frozenset({"$defs", "definitions", "properties"})
_FORMATS: Final = frozenset({
    "date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid",
})  # fmt: skip
_DEEPEST: Final = 32


def closed(schema: Any) -> dict[str, Any] | None:
    """The schema with every object closed; None when a model cannot be held to it."""
    try:
        result = _closed(schema, _DEEPEST)
    except _Unsaid:
        return None
    return None if _recursive(result) else result


class _Unsaid(Exception):
    """It means more than a model can be held to."""


def _closed(schema: Any, depth: int) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or depth == 0:
        raise _Unsaid
    result = {key: _member(key, value, depth - 1) for key, value in schema.items()}
    if schema.get("type") == "object" or "properties" in schema:
        if "properties" not in schema or schema.get("additionalProperties", False) is not False:
            raise _Unsaid
        result["additionalProperties"] = False
    return result


def _member(key: str, value: Any, depth: int) -> Any:
    if key in _SAID or key in {"$ref", "additionalProperties"}:
        return value
    if key == "format" and isinstance(value, str) and value in _FORMATS:
        return value
    if key == "items":
        return _closed(value, depth)
    if key in _LISTS and isinstance(value, list):
        return [_closed(each, depth) for each in value]
    if key in _MAPS and isinstance(value, Mapping):
        return {name: _closed(each, depth) for name, each in value.items()}
    raise _Unsaid


def _recursive(schema: Mapping[str, Any]) -> bool:
    """Whether a definition leads back to itself."""
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
