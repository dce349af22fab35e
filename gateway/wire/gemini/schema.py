"""JSON schemas as the API accepts them: parametersJsonSchema and responseJsonSchema.

What the recordings send to every generation of both APIs, and no more: references are resolved,
`const` becomes an `enum` of one, `allOf` is merged. Bounds that the API does not know are moved
into the description, where the model reads them. Recursion stays a reference to `$defs`, which
the API unrolls. Source: Google's page on structured output and its list of supported fields.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

JSON = dict[str, Any]

_KEPT: Final = frozenset({
    "description", "enum", "maxItems", "maximum", "minItems", "minimum", "propertyOrdering",
    "required", "type",
})  # fmt: skip
_SCHEMAS: Final = frozenset({"additionalProperties", "items"})
_LISTS: Final[Mapping[str, str]] = {
    "anyOf": "anyOf", "oneOf": "anyOf", "prefixItems": "prefixItems",
}  # fmt: skip
_NOTED: Final = frozenset({
    "contains", "dependentRequired", "exclusiveMaximum", "exclusiveMinimum", "format", "maxLength",
    "maxProperties", "minLength", "minProperties", "multipleOf", "not", "pattern",
    "patternProperties", "uniqueItems",
})  # fmt: skip
_FORMATS: Final = frozenset({"date", "date-time", "double", "float", "int32", "int64", "time"})
_TYPES: Final[Mapping[type, str]] = {
    bool: "boolean", float: "number", int: "integer", str: "string", type(None): "null",
}  # fmt: skip
_DOTS: Final = str.maketrans("/~", "..")
_DEEP: Final = 16
"""References within references that are resolved; those further down stay references."""
_MANY: Final = 2_000
"""Schemas that resolving may make; beyond, references stay as they are."""


def subset(schema: Mapping[str, Any]) -> JSON:
    """The schema as the API accepts it. Raises RecursionError on one that is absurdly deep."""
    return _Subset(schema).whole(schema)


class _Subset:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = _MANY
        self._kept: dict[str, JSON] = {}
        """Definitions that are still referred to, by reference."""
        self._pending: list[tuple[str, Mapping[str, Any]]] = []

    def whole(self, schema: Mapping[str, Any]) -> JSON:
        found = self._schema(schema, ())
        while self._pending:
            ref, target = self._pending.pop()
            self._kept[ref] = self._schema(target, (ref,))
        if not self._kept:
            return found
        return found | {"$defs": {_name(ref): each for ref, each in self._kept.items()}}

    def _schema(self, schema: Any, path: tuple[str, ...]) -> JSON:
        self._left -= 1
        if not isinstance(schema, Mapping):
            return {}  # true and false: anything, as far as the API can say
        if isinstance(schema.get("$ref"), str):
            return self._reference(schema, schema["$ref"], path)
        if isinstance(schema.get("allOf"), list):
            return self._schema(_merged(schema), path)
        result: JSON = {}
        noted: JSON = {}
        for key, value in schema.items():
            if key in _KEPT or (key == "format" and value in _FORMATS):
                result[key] = value
            elif key in _NOTED:
                noted[key] = value
            else:
                result |= self._nested(key, value, path)
        if "const" in schema:
            result |= _constant(schema["const"])
        if noted:
            said = json.dumps(noted, ensure_ascii=False)
            result["description"] = f"{schema.get('description') or ''}\n{said}".strip()
        return result

    def _nested(self, key: str, value: Any, path: tuple[str, ...]) -> JSON:
        """A field that holds schemas; {} for one that the API does not know."""
        if key == "properties" and isinstance(value, Mapping):
            return {key: {name: self._schema(each, path) for name, each in value.items()}}
        if key in _LISTS and isinstance(value, list):
            return {_LISTS[key]: [self._schema(each, path) for each in value]}
        if key in _SCHEMAS:
            return {key: value if isinstance(value, bool) else self._schema(value, path)}
        return {}

    def _reference(self, schema: Mapping[str, Any], ref: str, path: tuple[str, ...]) -> JSON:
        target = self._target(ref)
        if target is None:
            return {}
        if ref not in path and len(path) < _DEEP and self._left > 0:
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            return self._schema({**target, **beside}, (*path, ref))
        if ref not in self._kept:
            self._kept[ref] = {}
            self._pending.append((ref, target))
        return {"$ref": f"#/$defs/{_name(ref)}"}  # nothing may stand beside it

    def _target(self, ref: str) -> Mapping[str, Any] | None:
        """What a reference within the document leads to."""
        found: Any = self._root
        head, *steps = ref.split("/")
        if head != "#":
            return None
        for step in steps:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else None


def _name(ref: str) -> str:
    """The name under which a definition is kept."""
    plain = ref.removeprefix("#/$defs/").removeprefix("#").removeprefix("/")
    return plain.translate(_DOTS) or "root"


def _merged(schema: Mapping[str, Any]) -> JSON:
    """A schema and those of its `allOf` as one; the first word on a field stands."""
    result = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        for key, value in part.items() if isinstance(part, Mapping) else ():
            if key == "properties" and isinstance(value, Mapping):
                known = result.get(key)
                result[key] = {**value, **(known if isinstance(known, Mapping) else {})}
            elif key == "required" and isinstance(value, list):
                result[key] = [*dict.fromkeys([*(result.get(key) or ()), *value])]
            else:
                result.setdefault(key, value)
    return result


def _constant(value: Any) -> JSON:
    kind = _TYPES.get(type(value))
    return {"enum": [value]} | ({"type": kind} if kind else {})
