"""JSON schemas as the API accepts them, for structured output and strict tools.

Every object must be closed, recursion is refused, and so are bounds on numbers, strings and
arrays. Bounds are moved into the description, where the model reads them; a schema whose meaning
would change is not translated at all. Source: Anthropic's page on structured outputs.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from gateway.wire.schemas import FORMATS, apart, is_object, recursive

_KEPT: Final = frozenset({
    "$ref", "const", "default", "description", "enum", "required", "title", "type",
})  # fmt: skip
_LISTS: Final[Mapping[str, str]] = {"anyOf": "anyOf", "allOf": "allOf", "oneOf": "anyOf"}
_MAPS: Final = frozenset({"properties", "$defs", "definitions"})
_BOUNDS: Final = frozenset({
    "exclusiveMaximum", "exclusiveMinimum", "maxItems", "maxLength", "maximum", "minItems",
    "minLength", "minimum", "multipleOf", "pattern", "uniqueItems", "format", "examples",
})  # fmt: skip
_SILENT: Final = frozenset({"$schema", "$id", "$comment", "additionalProperties"})


class _OpenSchema(Exception):
    """It means more than the API can hold the model to."""


def closed(schema: Any) -> dict[str, Any] | None:
    """The schema as the API accepts it; None when its meaning would change."""
    try:
        result = _closed(schema)
    except (_OpenSchema, RecursionError):
        return None
    return None if recursive(result) else result


def _closed(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or apart(schema) or {"anyOf", "oneOf"} <= schema.keys():
        raise _OpenSchema
    result: dict[str, Any] = {}
    bounds: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _BOUNDS and not _understood(key, value):
            bounds[key] = value
        elif key not in _SILENT:
            result[_LISTS.get(key, key)] = _member(key, value)
    if is_object(schema) or "properties" in schema:
        if "properties" not in schema or schema.get("additionalProperties", False) is not False:
            raise _OpenSchema
        result["additionalProperties"] = False
    if bounds:
        noted = json.dumps(bounds, ensure_ascii=False)
        result["description"] = f"{schema.get('description') or ''}\n{noted}".strip()
    return result


def _member(key: str, value: Any) -> Any:
    if key in _KEPT or key in _BOUNDS:
        return value
    if key == "items":
        return _closed(value)
    if key in _LISTS and isinstance(value, list):
        return [_closed(each) for each in value]
    if key in _MAPS and isinstance(value, Mapping):
        return {name: _closed(each) for name, each in value.items()}
    raise _OpenSchema


def _understood(key: str, value: Any) -> bool:
    if key == "format":
        return isinstance(value, str) and value in FORMATS
    return key == "minItems" and type(value) is int and value in {0, 1}
