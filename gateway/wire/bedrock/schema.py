"""Which JSON schemas can be enforced, for structured output and strict tools.

Every object must have `additionalProperties: false`; recursion and bounds on numbers, strings and
arrays are refused. A schema beyond that is not cut down: it is not enforced at all.
Source: AWS's page on structured output.
"""

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
    "$comment", "$id", "$schema", "const", "default", "description", "enum", "required", "title",
    "type",
})  # fmt: skip
_LISTS: Final = frozenset({"allOf", "anyOf"})
_MAPS: Final = frozenset({"$defs", "definitions", "properties"})
_MAX_DEPTH: Final = 32


def close(schema: Any) -> dict[str, Any] | None:
    """The schema with every object closed; None if it cannot be enforced."""
    try:
        result = _close(schema, _MAX_DEPTH)
    except _OpenSchema:
        return None
    return result if refs_resolve(result) else None


class _OpenSchema(Exception):
    """The schema cannot be enforced."""


def _close(schema: Any, depth: int) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or depth == 0:
        raise _OpenSchema
    schema = unwrap_all_of(schema)
    if cannot_be_closed(schema):
        raise _OpenSchema
    result = {key: _member(key, value, depth - 1) for key, value in schema.items()}
    if is_object(schema) or "properties" in schema:
        if "properties" not in schema or schema.get("additionalProperties", False) is not False:
            raise _OpenSchema
        result["additionalProperties"] = False
    return result


def _member(key: str, value: Any, depth: int) -> Any:
    if key in {"const", "enum"} and not all_scalar(value):
        raise _OpenSchema
    if key in _COPIED or key in {"$ref", "additionalProperties"}:
        return value
    if key == "format" and isinstance(value, str) and value in FORMATS:
        return value
    if key == "items":
        return _close(value, depth)
    if key in _LISTS and isinstance(value, list):
        return [_close(each, depth) for each in value]
    if key in _MAPS and isinstance(value, Mapping):
        return {name: _close(each, depth) for name, each in value.items()}
    raise _OpenSchema
