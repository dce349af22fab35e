"""Converts JSON schemas to the subset that the API accepts for structured output and strict tools.

Every object must have `additionalProperties: false`. Refused are recursion, a `$ref` in an `allOf`
or out of the schema, objects and lists in an `enum`, and bounds on numbers, strings and arrays.
Bounds are moved into the description, where the model reads them; a schema whose meaning would
change is not converted. Source: Anthropic's page on structured outputs.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from gateway.wire.schemas import (
    FORMATS,
    all_scalar,
    cannot_be_closed,
    is_object,
    refs_resolve,
    unwrap_all_of,
)

_COPIED: Final = frozenset({
    "$ref", "const", "default", "description", "enum", "required", "title", "type",
})  # fmt: skip
_LISTS: Final[Mapping[str, str]] = {"anyOf": "anyOf", "allOf": "allOf", "oneOf": "anyOf"}
_MAPS: Final = frozenset({"properties", "$defs", "definitions"})
_BOUNDS: Final = frozenset({
    "exclusiveMaximum", "exclusiveMinimum", "maxItems", "maxLength", "maximum", "minItems",
    "minLength", "minimum", "multipleOf", "pattern", "uniqueItems", "format", "examples",
})  # fmt: skip
_IGNORED: Final = frozenset({"$schema", "$id", "$comment", "additionalProperties"})


_MAX_TOOLS: Final = 20
_MAX_OPTIONAL: Final = 24
_MAX_UNIONS: Final = 16


class SchemaBudget:
    """What one call has left of Anthropic's limits on the complexity of all its schemas together. A
    schema beyond them is not enforced, like one that cannot be closed.
    """

    def __init__(self) -> None:
        self._tools, self._optional, self._unions = _MAX_TOOLS, _MAX_OPTIONAL, _MAX_UNIONS

    def close(self, schema: Any, *, tool: bool = False) -> dict[str, Any] | None:
        """Like the function `close`, but also None if the schema exceeds what is left."""
        result = close(schema)
        if result is None:
            return None
        optional, unions = _complexity(result)
        left = self._tools - tool, self._optional - optional, self._unions - unions
        if min(left) < 0:
            return None
        self._tools, self._optional, self._unions = left
        return result


def _complexity(schema: Any) -> tuple[int, int]:
    """The number of optional properties, and of properties with several types."""
    optional = unions = 0
    pending = [schema]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, Mapping):
            pending += value.values()
            properties = value.get("properties")
            if isinstance(properties, Mapping) and value.get("additionalProperties") is False:
                required = value.get("required")
                listed = required if isinstance(required, list) else []
                named = {name for name in listed if isinstance(name, str)}
                optional += sum(name not in named for name in properties)
                unions += sum(_is_union(each) for each in properties.values())
    return optional, unions


def _is_union(schema: Any) -> bool:
    return isinstance(schema, Mapping) and (
        "anyOf" in schema or isinstance(schema.get("type"), list)
    )


class _OpenSchema(Exception):
    """The schema cannot be enforced by the API."""


def close(schema: Any) -> dict[str, Any] | None:
    """The schema as the API accepts it; None if its meaning would change."""
    try:
        result = _close(schema)
    except (_OpenSchema, RecursionError):
        return None
    return result if refs_resolve(result) else None


def _close(schema: Any) -> dict[str, Any]:
    schema = unwrap_all_of(schema) if isinstance(schema, Mapping) else schema
    if (
        not isinstance(schema, Mapping)
        or cannot_be_closed(schema)
        or {"anyOf", "oneOf"} <= schema.keys()
    ):
        raise _OpenSchema
    result: dict[str, Any] = {}
    bounds: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _BOUNDS and not _is_supported(key, value):
            bounds[key] = value
        elif key not in _IGNORED:
            result[_LISTS.get(key, key)] = _member(key, value)
    if is_object(schema) or "properties" in schema:
        if "properties" not in schema or schema.get("additionalProperties", False) is not False:
            raise _OpenSchema
        result["additionalProperties"] = False
    if bounds:
        note = json.dumps(bounds, ensure_ascii=False)
        result["description"] = f"{schema.get('description') or ''}\n{note}".strip()
    return result


def _member(key: str, value: Any) -> Any:
    if key in {"const", "enum"} and not all_scalar(value):
        raise _OpenSchema
    if key in _COPIED or key in _BOUNDS:
        return value
    if key == "items":
        return _close(value)
    if key in _LISTS and isinstance(value, list):
        return [_close(each) for each in value]
    if key in _MAPS and isinstance(value, Mapping):
        return {name: _close(each) for name, each in value.items()}
    raise _OpenSchema


def _is_supported(key: str, value: Any) -> bool:
    if key == "format":
        return isinstance(value, str) and value in FORMATS
    return key == "minItems" and type(value) is int and value in {0, 1}
