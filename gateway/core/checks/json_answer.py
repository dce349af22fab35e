"""JSON where JSON was asked for."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from gateway.core.chat import ChatRequest, Choice
from gateway.core.checks.schema import misfit
from gateway.core.checks.tolerant_json import Unreadable, read_json
from gateway.core.checks.tools import calls_tool


class _Wrapper(Struct):
    schema: Raw = Raw(b"")


class _Format(Struct):
    type: str = ""
    json_schema: _Wrapper | None = None


_ANY: Final = _Format()
_DECODER: Final = msgspec.json.Decoder(_Format)
_JSON: Final = ("json_object", "json_schema")


def asks_for_json(request: ChatRequest) -> bool:
    """Whether the request's `response_format` wants JSON."""
    return "response_format" in request.fields and _format(request).type in _JSON


def wants_json(request: ChatRequest, options: Mapping[str, Any]) -> bool:
    """Whether `json_if_asked` looks at anything."""
    return bool(options.get("always")) or asks_for_json(request)


def json_if_requested(
    choice: Choice, request: ChatRequest, options: Mapping[str, Any]
) -> str | None:
    """If the request's `response_format` asks for JSON, the text is JSON and fits its schema."""
    always = options and options.get("always")
    if "response_format" not in request.fields and not always:
        return None
    wanted = _format(request)
    if (wanted.type not in _JSON and not always) or calls_tool(choice):
        return None
    value = read_json(choice.text or "")
    if isinstance(value, Unreadable):
        return f"JSON was asked for, and {value.why}"
    if wanted.type == "json_object" and not isinstance(value, dict):
        return "a JSON object was asked for, and the answer is another kind of JSON"
    if wanted.type == "json_schema" and wanted.json_schema and wanted.json_schema.schema:
        why = misfit(value, bytes(wanted.json_schema.schema))
        return why and f"its JSON does not fit the schema: {why}"
    return None


def requested_schema(request: ChatRequest) -> bytes | None:
    """The schema of the request's `response_format`, if it has one."""
    wrapper = _format(request).json_schema if "response_format" in request.fields else None
    return bytes(wrapper.schema) or None if wrapper is not None else None


def _format(request: ChatRequest) -> _Format:
    raw = request.fields.get("response_format")
    try:
        return _ANY if raw is None else _DECODER.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return _ANY
