"""Makes a value that satisfies a JSON Schema, as far as requests need: types, enums, nesting.

Patterns, `not`, `if` and numbers with several constraints are not supported.
"""

from collections.abc import Mapping
from typing import Any, Final

_OPTIONAL_DEPTH: Final = 5
"""From this depth on only required properties are filled, so that recursive schemas end."""
_MAX_DEPTH: Final = 20
_FORMATS: Final = {
    "date": "2025-01-31",
    "date-time": "2025-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_ANSWERS: Final = ("answer", "result", "value")


def example(schema: Mapping[str, Any], answer: str = "", number: int | None = None) -> Any:
    """Deterministic. A string or number named answer, result or value is set to the answer."""
    return _ExampleBuilder(schema, answer, number).make(schema, "", 0)


class _ExampleBuilder:
    def __init__(self, root: Mapping[str, Any], answer: str, number: int | None) -> None:
        self._root = root
        self._answer = answer
        self._number = number

    def make(self, schema: Any, name: str, depth: int) -> Any:
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
            return None
        schema = self._resolve(schema, depth)
        for keyword in ("const", "default"):
            if keyword in schema:
                return schema[keyword]
        if schema.get("enum"):
            return schema["enum"][0]
        value: Any = None
        match _kind(schema):
            case "object":
                value = self._object(schema, depth)
            case "array":
                value = self._array(schema, name, depth)
            case "string":
                value = self._string(schema, name)
            case "integer" | "number" as kind:
                value = self._bounded(schema, name, 1 if kind == "integer" else 1.5)
            case "boolean":
                value = True
            case _:
                pass
        return value

    def _resolve(self, schema: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
        """Follows references and takes the first alternative that is not null."""
        for _ in range(_MAX_DEPTH):
            if isinstance(schema.get("$ref"), str):
                schema = self._target(schema["$ref"])
            elif options := schema.get("anyOf") or schema.get("oneOf"):
                rest = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf")}
                # Deep down null is preferred: it ends a recursive schema.
                matching = [
                    o for o in options if (o.get("type") == "null") == (depth > _OPTIONAL_DEPTH)
                ]
                schema = {**rest, **(matching or options)[0]}
            elif parts := schema.get("allOf"):
                rest = {k: v for k, v in schema.items() if k != "allOf"}
                for part in parts:
                    rest = _merge(rest, self._resolve(part, depth))
                schema = rest
            else:
                break
        return schema

    def _target(self, reference: str) -> Mapping[str, Any]:
        target: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            if step:
                key = step.replace("~1", "/").replace("~0", "~")
                target = target.get(key) if isinstance(target, Mapping) else None
        return target if isinstance(target, Mapping) else {}

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties, required = schema.get("properties"), schema.get("required")
        properties = properties if isinstance(properties, Mapping) else {}
        required = required if isinstance(required, list) else []
        names = (
            list(properties)
            if depth < _OPTIONAL_DEPTH
            else [n for n in properties if n in required]
        )
        names += [name for name in required if name not in properties]
        return {n: self.make(properties.get(n, {"type": "string"}), n, depth + 1) for n in names}

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        items = [self.make(item, name, depth + 1) for item in schema.get("prefixItems") or ()]
        length = max(schema.get("minItems", 0), 0 if depth >= _OPTIONAL_DEPTH else 1)
        length = min(length, schema.get("maxItems", length))
        if schema.get("items") is not False:
            kind = schema.get("items", {"type": "string"})
            items += [self.make(kind, name, depth + 1) for _ in range(length - len(items))]
        return items

    def _string(self, schema: Mapping[str, Any], name: str) -> str:
        text: str = _FORMATS.get(schema.get("format", ""), "")
        if not text:
            text = self._answer if name in _ANSWERS and self._answer else name or "text"
        text = text.ljust(schema.get("minLength", 0), ".")
        return text[: schema.get("maxLength", len(text))]

    def _bounded(self, schema: Mapping[str, Any], name: str, number: float) -> float:
        if name in _ANSWERS and self._number is not None:
            number = self._number
        whole = isinstance(number, int)
        low, high = schema.get("minimum"), schema.get("maximum")
        over, under = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        step = schema.get("multipleOf")
        if step:
            number = step
        if low is not None and number < low:
            number = low if not step else step * -(-low // step)
        if over is not None and number <= over:
            number = over + (step or 1)
        if high is not None and number > high:
            number = high if not step else step * (high // step)
        if under is not None and number >= under:
            number = under - (step or 1)
        return int(number) if whole and number == int(number) else number


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if isinstance(kind, str):
        return kind
    if "properties" in schema or "required" in schema:
        return "object"
    return "array" if "items" in schema else "string"


def _merge(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    joined = {**one, **other}
    joined["properties"] = {**one.get("properties", {}), **other.get("properties", {})}
    joined["required"] = [*one.get("required", []), *other.get("required", [])]
    return joined
