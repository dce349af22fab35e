"""Requests for tests, from JSON values."""

from typing import Any

import msgspec

from gateway.core.chat import ChatRequest


def request(messages: Any, *, model: str = "auto", **fields: Any) -> ChatRequest:
    """`fields` are of its JSON; the ones we type are read from there, too."""
    raw = msgspec.json.decode(
        msgspec.json.encode({"messages": messages, **fields}), type=dict[str, msgspec.Raw]
    )
    return ChatRequest(raw, model, max_tokens=fields.get("max_tokens"), n=fields.get("n", 1))


def user(content: Any) -> list[Any]:
    return [{"role": "user", "content": content}]
