"""What is generated from the schema: the JSON Schema for editors, the tables of the manual.

`python -m gateway.config.publish` writes both; a test fails when they have drifted.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from gateway.config.schema import schema
from gateway.core.snapshot import QUIRKS
from gateway.core.strategies import OPTIONS

SCHEMA_FILE: Final = "config/gateway.schema.json"
MANUAL_FILE: Final = "docs/configuration.md"
_BEGIN: Final = "<!-- generated: python -m gateway.config.publish -->\n"
_END: Final = "<!-- end of generated -->\n"
_KINDS: Final = {"boolean": "true or false", "integer": "whole number"}


def schema_text() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def manual_text(current: str) -> str:
    """The manual with its generated part replaced."""
    before, _, rest = current.partition(_BEGIN)
    after = rest.partition(_END)[2]
    return f"{before}{_BEGIN}\n{_tables()}\n{_END}{after}"


def _tables() -> str:
    whole = schema()
    parts = [
        _table(path, stanza, whole["$defs"]) for path, stanza in _stanzas(whole, whole["$defs"])
    ]
    quirks = [f"| `{name}` | {meaning} |" for name, meaning in QUIRKS.items()]
    options = [
        f"| `{name}` | `{key}` | {_code(option.default)} | {_prose(option.meaning)} |"
        for name, known in OPTIONS.items()
        for key, option in known.items()
    ]
    return "\n".join(
        [
            *parts,
            *("### Strategies", "", "`cascade` has no options.", ""),
            *("| strategy | option | default | |", "|---|---|---|---|", *options, ""),
            *("### Quirks", "", "| quirk | |", "|---|---|", *quirks, ""),
        ]
    )


def _stanzas(
    whole: Mapping[str, Any], defs: Mapping[str, Any]
) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Every mapping of the configuration by its path, depth first; a shape is shown once."""
    seen: set[str] = set()

    def walk(path: str, stanza: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
        yield path, stanza
        for name, field in stanza.get("properties", {}).items():
            suffix, ref = _ref(field)
            if ref is not None and ref not in seen and _mapping(defs[ref]).get("properties"):
                seen.add(ref)
                yield from walk(f"{path}.{name}{suffix}".lstrip("."), _mapping(defs[ref]))

    return walk("", whole)


def _table(path: str, stanza: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    required = stanza.get("required", ())
    rows = [
        f"| `{name}` | {_kind(field, defs)} | {_default(name, field, required)} "
        f"| {_prose(field.get('description', ''))} |"
        for name, field in stanza["properties"].items()
    ]
    title = f"### `{path}`" if path else "### The file"
    return "\n".join([title, "", "| key | value | default | |", "|---|---|---|---|", *rows, ""])


def _ref(field: Mapping[str, Any]) -> tuple[str, str | None]:
    """How the path goes on, and which definition a field holds, alone, in a list, or by name."""
    if "$ref" in field:
        return "", field["$ref"].rpartition("/")[2]
    for inner in field.get("anyOf", ()):
        if "$ref" in inner:
            return "", inner["$ref"].rpartition("/")[2]
    if "items" in field:
        return "[]", _ref(field["items"])[1]
    for inner in _by_name(field):
        return ".<name>", _ref(inner)[1]
    return "", None


def _by_name(field: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    forms = list(field.get("patternProperties", {}).values())
    extra = field.get("additionalProperties")
    return [*forms, extra] if isinstance(extra, Mapping) else forms


def _mapping(stanza: Mapping[str, Any]) -> Mapping[str, Any]:
    """A definition's mapping form."""
    return next((form for form in stanza.get("anyOf", ()) if "properties" in form), stanza)


def _kind(field: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "$ref" in field:
        forms = defs[field["$ref"].rpartition("/")[2]].get("anyOf", ({"type": "object"},))
        return " or ".join(dict.fromkeys(_kind(form, defs) for form in forms))
    if "anyOf" in field:
        # The first form says it; the others are null and the spellings that editors see as text.
        return _kind(field["anyOf"][0], defs)
    if "items" in field:
        return f"list of {_kind(field['items'], defs)}"
    if _by_name(field):
        return "mapping by name"
    kind = str(field.get("type", "text"))
    return {"object": "mapping", "string": "text", **_KINDS}.get(kind, kind) + _bounds(field)


def _bounds(field: Mapping[str, Any]) -> str:
    low, above, high = (field.get(k) for k in ("minimum", "exclusiveMinimum", "maximum"))
    words = [
        f"from {low:,}" if low is not None else f"above {above:,}" if above is not None else ""
    ]
    words += [f"to {high:,}"] if high is not None else []
    text = " ".join(word for word in words if word)
    return f", {text}" if text else ""


def _default(name: str, field: Mapping[str, Any], required: Iterable[str]) -> str:
    if name in required:
        return "required"
    value = field.get("default")
    if value is None or isinstance(value, dict):
        return ""
    if isinstance(value, list):
        return f"`[{', '.join(json.dumps(v) if v == '*' else str(v) for v in value)}]`"
    text = (
        f"{value:g}"
        if isinstance(value, float)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )
    return f"`{text}`"


def _code(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if value or value == 0 else ""


def _prose(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


def main() -> None:
    """Write the files, from the root of the checkout."""
    Path(SCHEMA_FILE).write_text(schema_text(), "utf-8")
    manual = Path(MANUAL_FILE)
    manual.write_text(manual_text(manual.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
