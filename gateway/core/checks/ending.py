"""Whether there is an answer, and whether all of it is there."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.core.chat import ChatRequest, Choice

_ANSWERS: Final = ("audio", "function_call", "images")


def complete(choice: Choice, request: ChatRequest, options: Mapping[str, Any]) -> str | None:
    """The answer was not cut off at its token limit."""
    return "it was cut at its token limit" if choice.finish == "length" else None


def not_empty(choice: Choice, request: ChatRequest, options: Mapping[str, Any]) -> str | None:
    """There is text, a tool call, a refusal or audio."""
    if choice.tool_calls or choice.refusal or (choice.text and not choice.text.isspace()):
        return None
    extra = choice.extra
    if any(name in extra and bytes(extra[name]) != b"null" for name in _ANSWERS):
        return None
    return "it is empty"
