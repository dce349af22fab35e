"""Converts JSON schemas to the API's subset, for parametersJsonSchema and responseJsonSchema.

Only what recordings show to work with every generation of both APIs: references are resolved,
`const` becomes an `enum` of one, `allOf` is merged. Unsupported bounds are moved into the
description, where the model reads them. Recursive references stay as `$ref` to `$defs`, which the
API unrolls. Source: Google's page on structured output and its list of supported fields.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

JSON = dict[str, Any]

_COPIED: Final = frozenset({
    "description", "enum", "maxItems", "maximum", "minItems", "minimum", "propertyOrdering",
    "required", "type",
})  # fmt: skip
_SCHEMAS: Final = frozenset({"additionalProperties", "items"})
_LISTS: Final[Mapping[str, str]] = {
    "anyOf": "anyOf", "oneOf": "anyOf", "prefixItems": "prefixItems",
}  # fmt: skip
_DESCRIBED: Final = frozenset({
    "contains", "dependentRequired", "exclusiveMaximum", "exclusiveMinimum", "format", "maxLength",
    "maxProperties", "minLength", "minProperties", "multipleOf", "not", "pattern",
    "patternProperties", "uniqueItems",
})  # fmt: skip
_FORMATS: Final = frozenset({"date", "date-time", "double", "float", "int32", "int64", "time"})
_TYPES: Final[Mapping[type, str]] = {
    bool: "boolean", float: "number", int: "integer", str: "string", type(None): "null",
}  # fmt: skip
_DOTS: Final = str.maketrans("/~", "..")
_MAX_REF_DEPTH: Final = 16
"""Depth of nested references that are resolved; deeper ones stay references."""
_MAX_SCHEMAS: Final = 2_000
_MAX_BYTES: Final = 200_000
"""Most schemas, and bytes, that resolving may produce; beyond it references stay as they are."""


def subset(schema: Mapping[str, Any]) -> JSON:
    """The schema as the API accepts it. Raises RecursionError if it is nested too deeply."""
    return _Converter(schema).convert(schema)


class _Converter:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._schemas_left = _MAX_SCHEMAS
        self._bytes_left = _MAX_BYTES
        self._sizes: dict[int, int] = {}
        """Of what is referred to, by its id."""
        self._definitions: dict[str, JSON] = {}
        """Converted definitions that are still referred to, by reference."""
        self._pending: list[tuple[str, Mapping[str, Any]]] = []

    def convert(self, schema: Mapping[str, Any]) -> JSON:
        result = self._schema(schema, ())
        while self._pending:
            ref, target = self._pending.pop()
            self._definitions[ref] = self._schema(target, (ref,))
        if not self._definitions:
            return result
        return result | {"$defs": {_name(ref): each for ref, each in self._definitions.items()}}

    def _schema(self, schema: Any, path: tuple[str, ...]) -> JSON:
        self._schemas_left -= 1
        if not isinstance(schema, Mapping):
            return {}  # true or false, which the API cannot express
        if isinstance(schema.get("$ref"), str) or isinstance(schema.get("allOf"), list):
            schema, path = self._merged(schema, path)
        if isinstance(schema.get("$ref"), str):
            return self._reference(schema["$ref"])
        result: JSON = {}
        notes: JSON = {}
        for key, value in schema.items():
            if key in _COPIED or (key == "format" and _is_format(value)):
                result[key] = value
            elif key in _DESCRIBED:
                notes[key] = value
            else:
                result |= self._nested(key, value, path)
        if "const" in schema:
            result |= _constant(schema["const"])
        if notes:
            note = json.dumps(notes, ensure_ascii=False)
            result["description"] = f"{schema.get('description') or ''}\n{note}".strip()
        return result

    def _nested(self, key: str, value: Any, path: tuple[str, ...]) -> JSON:
        """A keyword that holds schemas; {} for one that the API does not support."""
        if key == "properties" and isinstance(value, Mapping):
            return {key: {name: self._schema(each, path) for name, each in value.items()}}
        if key in _LISTS and isinstance(value, list):
            return {_LISTS[key]: [self._schema(each, path) for each in value]}
        if key in _SCHEMAS:
            return {key: value if isinstance(value, bool) else self._schema(value, path)}
        return {}

    def _merged(self, schema: Any, path: tuple[str, ...]) -> tuple[JSON, tuple[str, ...]]:
        """Merges a schema with its `$ref` and `allOf`; returns it and the references on the path.

        The first value of a keyword wins. An unresolved `$ref` stays in the result.
        """
        result: JSON = {}
        merged: tuple[str, ...] = ()
        required: dict[str, None] = {}
        pending = [schema]
        while pending:
            part = pending.pop()
            if not isinstance(part, Mapping):
                continue
            ref, parts = part.get("$ref"), part.get("allOf")
            if isinstance(parts, list):
                pending += reversed(parts)
            if isinstance(ref, str) and ref not in merged and (target := self._target(ref)):
                if ref in path or len(path + merged) >= _MAX_REF_DEPTH or self._is_spent():
                    result.setdefault("$ref", ref)
                else:
                    merged += (ref,)
                    pending.append(target)
                    self._bytes_left -= self._size(target)
            _merge_into(result, part, required)
        if required and isinstance(result["required"], list):
            result["required"] = [*required]
        return result, path + merged

    def _is_spent(self) -> bool:
        return self._schemas_left <= 0 or self._bytes_left <= 0

    def _size(self, target: Mapping[str, Any]) -> int:
        if id(target) not in self._sizes:
            self._sizes[id(target)] = len(msgspec.json.encode(target))
        return self._sizes[id(target)]

    def _reference(self, ref: str) -> JSON:
        if ref not in self._definitions:
            self._definitions[ref] = {}
            self._pending.append((ref, self._target(ref) or {}))
        return {"$ref": f"#/$defs/{_name(ref)}"}  # no other keyword is allowed with it

    def _target(self, ref: str) -> Mapping[str, Any] | None:
        """The schema that a local reference points to, or None."""
        node: Any = self._root
        head, *steps = ref.split("/")
        if head != "#":
            return None
        for step in steps:
            name = step.replace("~1", "/").replace("~0", "~")
            node = node.get(name) if isinstance(node, Mapping) else None
        return node if isinstance(node, Mapping) else None


def _name(ref: str) -> str:
    """A definition's name in `$defs`."""
    plain = ref.removeprefix("#/$defs/").removeprefix("#").removeprefix("/")
    return plain.translate(_DOTS) or "root"


def _merge_into(known: JSON, part: Mapping[str, Any], required: dict[str, None]) -> None:
    """Merges `part` into `known`, whose values take precedence. What is `required` is gathered:
    there may be thousands of parts.
    """
    for key, value in part.items():
        if key in {"$ref", "allOf"}:
            continue
        if key == "properties" and isinstance(value, Mapping):
            before = known.setdefault(key, {})
            if isinstance(before, dict):
                for name, each in value.items():
                    before.setdefault(name, each)
            continue
        if key == "required" and isinstance(value, list):
            required.update(dict.fromkeys(name for name in value if isinstance(name, str)))
        known.setdefault(key, value)


def _is_format(name: Any) -> bool:
    return isinstance(name, str) and name in _FORMATS


def _constant(value: Any) -> JSON:
    kind = _TYPES.get(type(value))
    return {"enum": [value]} | ({"type": kind} if kind else {})
