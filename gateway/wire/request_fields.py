"""Parsing of request fields that all dialects share. Raises InvalidRequest."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.core.chat import ChatRequest
from gateway.core.errors import InvalidRequest
from gateway.wire.dialect import Target
from gateway.wire.unsupported import decode_field, is_requested

JSON_ONLY: Final = "Answer with one valid JSON object and nothing else: no prose, no code fence."
ROLES: Final = ("system", "developer", "user", "assistant", "tool")
_BETA: Final = re.compile(r"[\w.-]+")


class ResponseFormat(Struct, frozen=True):
    """A parsed `response_format`: whether JSON is required, and the JSON schema, if any."""

    json: bool = False
    schema: Mapping[str, Any] | None = None
    name: str = ""
    description: str = ""
    strict: bool = False

    @property
    def instruction(self) -> str:
        """A prompt for models without structured output."""
        if self.schema is None:
            return JSON_ONLY
        schema = msgspec.json.encode(self.schema).decode()
        return f"{JSON_ONLY}\nIt must be valid against this JSON Schema:\n{schema}"


def fields(request: ChatRequest) -> dict[str, Any]:
    """All of the request's fields, decoded."""
    return {name: decode_field(request, name) for name in request.fields}


def refuse(fields: Mapping[str, Any], names: Iterable[str], who: str) -> None:
    """Raises InvalidRequest for the first of these fields that is set to more than its default."""
    for name in sorted(names):
        if is_requested(name, fields.get(name)):
            raise InvalidRequest(f"{name}: {who} cannot do this", param=name)


def role(message: Any, where: str) -> str:
    value = message.get("role") if isinstance(message, Mapping) else None
    if value not in ROLES:
        place = f"{where}.role"
        raise InvalidRequest(f"{place} must be one of {', '.join(ROLES)}", param=place)
    return str(value)


def messages(value: Any) -> list[tuple[Any, str]]:
    """The messages, each with its path for errors: `messages[0]`, ..."""
    if not isinstance(value, list) or not value:
        raise InvalidRequest("messages must be a list with at least one message", param="messages")
    return [(message, f"messages[{i}]") for i, message in enumerate(value)]


def refuse_empty_end(value: list[Any]) -> None:
    """Raises InvalidRequest if the messages, of which the last with content is an answer, end with
    a message of somebody else. That has no content, and without it the answer would be continued.
    """
    for at, message in reversed(list(enumerate(value))):
        if message["role"] not in {"system", "developer"}:
            if message["role"] != "assistant":
                place = f"messages[{at}].content"
                raise InvalidRequest(f"{place} is empty", param=place)
            return


def refuse_message_fields(
    message: Mapping[str, Any], where: str, names: Iterable[str], who: str
) -> None:
    """Raises InvalidRequest for a message field that has no counterpart at `who`."""
    for name in names:
        if message.get(name) is not None:
            place = f"{where}.{name}"
            raise InvalidRequest(f"{place} cannot be said to {who}", param=place)


def output_limit(request: ChatRequest, target: Target) -> int:
    """The output limit in tokens: the client's, capped at what the model can write."""
    requested = request.max_tokens
    return target.max_output if requested is None else min(requested, target.max_output)


def stop_sequences(value: Any) -> list[str]:
    """`stop` as a list, without empty strings."""
    sequences = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(sequences, list) or not all(isinstance(stop, str) for stop in sequences):
        raise InvalidRequest("stop must be a string or a list of strings", param="stop")
    return [stop for stop in sequences if stop]


def number(fields: Mapping[str, Any], name: str) -> Any:
    """A non-negative number, or None."""
    value = fields.get(name)
    if value is not None and (type(value) not in {int, float} or value < 0):
        raise InvalidRequest(f"{name} must be a number from 0", param=name)
    return value


def effort(value: Any, known: Collection[str]) -> str | None:
    """`reasoning_effort`, checked against the known values."""
    if value is not None and (not isinstance(value, str) or value not in known):
        raise InvalidRequest(
            f"reasoning_effort must be one of {', '.join(known)}", param="reasoning_effort"
        )
    return value


def response_format(value: Any) -> ResponseFormat:
    """Parses `response_format`."""
    kind = value.get("type") if isinstance(value, Mapping) else None
    if value is None or kind == "text":
        return ResponseFormat()
    if kind == "json_object":
        return ResponseFormat(json=True)
    wrapped = value.get("json_schema") if kind == "json_schema" else None
    schema = wrapped.get("schema") if isinstance(wrapped, Mapping) else None
    if not isinstance(wrapped, Mapping) or not isinstance(schema, Mapping):
        raise InvalidRequest(
            "response_format must be text, json_object, or json_schema with a schema",
            param="response_format",
        )
    name, description = wrapped.get("name"), wrapped.get("description")
    return ResponseFormat(
        json=True,
        schema=schema,
        name=name if isinstance(name, str) else "",
        description=description if isinstance(description, str) else "",
        strict=wrapped.get("strict") is True,
    )


def betas(value: Any) -> list[str]:
    """Names of Anthropic's beta features (header `anthropic-beta`)."""
    names = [] if value is None else value
    if not isinstance(names, list) or not all(
        isinstance(beta, str) and _BETA.fullmatch(beta) for beta in names
    ):
        raise InvalidRequest("betas must be a list of names", param="betas")
    return names
