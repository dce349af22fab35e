"""JSON that fits a schema: the owner's, or the one of the request."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.core.chat import ChatRequest, Choice, Completion
from gateway.core.checks.json_answer import requested_schema
from gateway.core.checks.schema import misfit
from gateway.core.checks.tolerant_json import Unreadable, read_json, read_strict
from gateway.core.checks.tools import calls_tool
from gateway.core.mending import with_texts


def schema(choice: Choice, request: ChatRequest, options: Mapping[str, Any]) -> str | None:
    """The text is JSON that fits the configured schema, else that of the request's
    `response_format`. Without either, anything passes.
    """
    wanted = _schema(request, options)
    if wanted is None or calls_tool(choice):
        return None
    value = read_json(choice.text or "")
    if isinstance(value, Unreadable):
        return value.why
    why = misfit(value, wanted)
    return why and f"its JSON does not fit the schema: {why}"


def fixed(completion: Completion, request: ChatRequest, options: Mapping[str, Any]) -> Completion:
    """The answer with clean JSON in place of each text that passes and that a strict reader would
    choke on: fenced, amid prose, with raw line breaks or stray backslashes.
    """
    choices = completion.choices
    return with_texts(completion, [_fixed(choice, request, options) for choice in choices])


def _fixed(choice: Choice, request: ChatRequest, options: Mapping[str, Any]) -> str | None:
    text = choice.text
    if not text or calls_tool(choice) or not isinstance(read_strict(text), Unreadable):
        return text
    if _schema(request, options) is None or schema(choice, request, options) is not None:
        return text
    value = read_json(text)
    try:
        clean = msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # a lone surrogate, which UTF-8 cannot say
        return text
    return clean if read_strict(clean) == value else text  # of 1e400 it would make null


def _schema(request: ChatRequest, options: Mapping[str, Any]) -> bytes | None:
    own = options.get("schema")
    return own.encode() if isinstance(own, str) else requested_schema(request)
