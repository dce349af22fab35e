"""The searches of the web that a provider made are counted, whole and streamed."""

import json
from typing import Any

import pytest
from msgspec import UNSET

from gateway.core.chat import Usage
from gateway.wire import gemini, openai
from gateway.wire.anthropic.usage import parse_usage
from tests.wire import anthropic_streams as claude
from tests.wire.anthropic_streams import TARGET
from tests.wire.chats import last_usage
from tests.wire.gemini_answers import answer, as_array, as_sse, candidate, read

CLAUDES = {"input_tokens": 3, "output_tokens": 5}


@pytest.mark.parametrize(
    ("server_tool_use", "searches"),
    [
        ({"web_search_requests": 2, "web_fetch_requests": 4}, 2),
        ({"web_fetch_requests": 4}, 0),
        ({"web_search_requests": None}, 0),
        ({"web_search_requests": -1}, 0),
        ({"web_search_requests": "2"}, 0),
        (None, 0),
        (5, 0),
    ],
)
def test_claude_counts_its_searches(server_tool_use: Any, searches: int) -> None:
    usage = {**CLAUDES, "server_tool_use": server_tool_use}
    assert parse_usage(usage) == Usage(3, 5, searches=searches)


def test_the_last_count_of_a_stream_of_claude_stands() -> None:
    start = claude.start(input_tokens=3, output_tokens=1)
    start["message"]["usage"]["server_tool_use"] = {"web_search_requests": 0}
    stop = claude.stop(output_tokens=5)
    stop["usage"]["server_tool_use"] = {"web_search_requests": 2}
    deltas = claude.read([claude.sse(start, *claude.text(0, "Hi"), stop)])
    assert last_usage(deltas) == Usage(3, 5, searches=2)


def grounded(*queries: Any) -> dict[str, Any]:
    return {"groundingMetadata": {"webSearchQueries": queries}}


@pytest.mark.parametrize(
    ("candidates", "searches"),
    [
        ([candidate("Hi", **grounded("a", "b"))], 2),
        ([candidate("Hi", **grounded("", "a", "a"))], 1),
        ([candidate("Hi", groundingMetadata={"webSearchQueries": None})], 0),
        ([candidate("Hi", **grounded("a", 5))], 0),
        ([candidate("A", **grounded("a")), candidate("B", index=1, **grounded("a", "b"))], 2),
    ],
)
def test_google_counts_each_query_once(candidates: list[Any], searches: int) -> None:
    found = answer(*candidates)
    whole = gemini.decode(200, {}, json.dumps(found).encode(), TARGET).usage
    assert whole is not None
    assert whole.searches == searches
    for framed in (as_sse, as_array):
        assert last_usage(read([framed(found)])) == whole


def test_queries_of_a_stream_add_up_over_its_pieces() -> None:
    pieces = [
        answer(candidate("A", reason=None, **grounded("a"))),
        answer(candidate("B", reason=None)),
        answer(candidate("C", **grounded("a", "b"))),
        {"candidates": [candidate("", reason=None, **grounded("c"))]},
    ]
    usage = last_usage(read([as_sse(*pieces)]))
    assert usage is not None
    assert usage.searches == 3


def test_an_answer_that_fails_after_its_searches_tells_of_them() -> None:
    failed = answer(candidate(reason="MALFORMED_RESPONSE", **grounded("a")))
    with pytest.raises(Exception, match="MALFORMED_RESPONSE") as raised:
        gemini.decode(200, {}, json.dumps(failed).encode(), TARGET)
    assert getattr(raised.value, "usage").searches == 1  # noqa: B009


COUNTS = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
OPENAIS: list[tuple[dict[str, Any], int]] = [
    ({"server_tool_use": {"web_search_requests": 2}}, 2),
    ({"server_tool_use": {"web_search_requests": None}}, 0),
    ({"server_tool_use": None}, 0),
    ({"server_tool_use": 5}, 0),
    ({"prompt_tokens_details": {"web_search_requests": 2}}, 2),
    ({"prompt_tokens_details": {"web_search_requests": None}}, 0),
    ({"prompt_tokens_details": {"web_search_requests": 2},
      "server_tool_use": {"web_search_requests": 2}}, 2),
]  # fmt: skip


@pytest.mark.parametrize(("more", "searches"), OPENAIS)
@pytest.mark.parametrize("strict", [True, False])
def test_a_host_of_others_models_counts_their_searches(
    more: dict[str, Any], searches: int, strict: bool
) -> None:
    """OpenRouter and LiteLLM."""
    head = {"id": "x", "created": 1, "model": "m"}
    message = {"role": "assistant", "content": "Hi", "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {**COUNTS, **more}
    object_ = {"object": "chat.completion"} if strict else {}
    body = json.dumps({**head, **object_, "choices": [choice], "usage": usage}).encode()
    found = openai.decode(200, {}, body, TARGET)
    assert found.usage == Usage(3, 5, searches=searches)
    assert (found.raw is not UNSET) is (strict and more != {"server_tool_use": 5})

    piece = {"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    object_ = {"object": "chat.completion.chunk"} if strict else {}
    chunks: list[dict[str, Any]] = [{"choices": [piece]}, {"choices": [], "usage": usage}]
    lines = [b"data: " + json.dumps({**head, **object_, **each}).encode() for each in chunks]
    decoder = openai.decoder(TARGET)
    deltas = decoder.feed(b"\n\n".join([*lines, b"data: [DONE]\n\n"])) + decoder.finish()
    assert last_usage(deltas) == Usage(3, 5, searches=searches)
