"""Judges of what clients get: OpenAI's API description, its SDK in strict mode, and its habits."""

import json
from typing import Any, Final

import openai as sdk
import pytest

from gateway.web.render_stream import DONE
from gateway.wire.sse import SseDecoder
from tests.openapi import CHUNK, WHOLE, faults
from tests.strict_sdk import ask, ask_streaming

JSON = dict[str, Any]

MODEL: Final = "catalog-name"
ERROR: Final = "ErrorResponse"


def lawful_error(name: str, body: bytes) -> JSON:
    """An error body, or the data of an error event."""
    value: JSON = json.loads(body)
    assert faults(ERROR, value) == [], name
    sdk.types.ErrorObject.model_validate(value["error"], strict=True)
    assert value.keys() == {"error"}, name
    found: JSON = value["error"]
    return found


def lawful_whole(name: str, body: bytes, model: str = MODEL) -> JSON:
    """A whole answer, with our own field in its usage."""
    value: JSON = json.loads(body)
    assert faults(WHOLE, value) == [], name
    parsed = ask(body)
    assert (parsed.model, value["model"]) == (model, model), name
    assert parsed.usage is not None, name
    assert {"cost_usd", "attempts"} <= parsed.usage.to_dict()["gateway"].keys(), name  # type: ignore[attr-defined]
    indexes = [choice["index"] for choice in value["choices"]]
    assert indexes, name
    assert len(set(indexes)) == len(indexes), name
    for choice in value["choices"]:
        ids = [call["id"] for call in choice["message"].get("tool_calls", ())]
        assert len(set(ids)) == len(ids), name
    assert_sums(name, value["usage"])
    return value


def assert_sums(name: str, usage: JSON) -> None:
    """Every detail is a part of its total."""
    assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"], name
    read = usage.get("prompt_tokens_details", {})
    thought = usage.get("completion_tokens_details", {})
    cached = read.get("cached_tokens", 0) + read.get("cache_write_tokens", 0)
    assert 0 <= cached <= usage["prompt_tokens"], name
    assert 0 <= thought.get("reasoning_tokens", 0) <= usage["completion_tokens"], name


def events_of(body: bytes) -> list[bytes]:
    """The data of each event; comments are none."""
    return [data for _, data in SseDecoder().feed(body)]


def lawful_stream(
    name: str, body: bytes, model: str = MODEL, *, usage: bool = True, whole: bool = True
) -> list[JSON]:
    """The chunks of a stream that any client can read.

    `usage` is whether the client asked for it; `whole` is False where an error event ends it.
    """
    *told, last = events_of(body)
    chunks: list[JSON] = [json.loads(data) for data in told]
    if whole:
        assert body.endswith(DONE), name
        assert last == b"[DONE]", name
        assert len(ask_streaming(body)) == len(chunks), name
    else:
        lawful_error(name, last)
        with pytest.raises(sdk.APIError):
            ask_streaming(body)
    for chunk in chunks:
        assert faults(CHUNK, chunk) == [], name
        assert chunk["model"] == model, name
    assert len({(chunk["id"], chunk["created"]) for chunk in chunks}) <= 1, name
    if whole:
        _assert_usage(name, chunks, usage=usage)
    _assert_choices(name, chunks, whole=whole)
    return chunks


def _assert_usage(name: str, chunks: list[JSON], *, usage: bool) -> None:
    """In the last chunk, which has no choices, and only for a client that asked."""
    telling = [chunk for chunk in chunks if chunk.get("usage") is not None]
    assert telling == (chunks[-1:] if usage else []), name
    for chunk in telling:
        assert chunk["choices"] == [], name
        assert {"cost_usd", "attempts"} <= chunk["usage"]["gateway"].keys(), name
        assert_sums(name, chunk["usage"])
    assert all(chunk["choices"] for chunk in chunks if chunk not in telling), name


def _assert_choices(name: str, chunks: list[JSON], *, whole: bool) -> None:
    """Each choice begins with its role and ends with one finish; each call with its id and name."""
    began: set[int] = set()
    finished: list[int] = []
    calls: dict[tuple[int, int], list[JSON]] = {}
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        index = choice["index"]
        if index not in began:
            assert choice["delta"].get("role") == "assistant", name
            began.add(index)
        for call in choice["delta"].get("tool_calls", ()):
            calls.setdefault((index, call["index"]), []).append(call)
        if choice["finish_reason"] is not None:
            finished.append(index)
    assert len(finished) == len(set(finished)), name
    assert not whole or set(finished) == began, name
    for (index, at), pieces in calls.items():
        assert at == 0 or (index, at - 1) in calls, f"{name}: calls are counted from 0"
        first, *rest = pieces
        assert first["id"], name
        assert first["type"] == "function", name
        assert first["function"]["name"], name
        assert all("name" not in piece["function"] for piece in rest), name
    ids = [pieces[0]["id"] for pieces in calls.values()]
    assert len(set(ids)) == len(ids), name


def spoken(chunks: list[JSON], index: int, field: str = "content") -> str:
    """What the chunks say of a choice, put together."""
    return "".join(
        choice["delta"].get(field) or ""
        for chunk in chunks
        for choice in chunk["choices"]
        if choice["index"] == index
    )
