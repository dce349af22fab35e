"""Counts that mean what we mean are taken as they are: that agrees with counting them up anew."""

from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from gateway.core.chat import Usage
from gateway.wire import openai
from gateway.wire.dialect import Target
from gateway.wire.openai.usage import parse_usage

TARGET: Final = Target("m", 9)
FEW: Final = st.integers(0, 6)
"""So that totals, and details beyond them, meet often."""


def answer(usage: dict[str, Any]) -> bytes:
    message = {"role": "assistant", "content": "x", "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    told = {"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return msgspec.json.encode({**told, "usage": usage})


def usage(*counts: int) -> dict[str, Any]:
    prompt, completion, total, cached, written, reasoning, heard, said, drawn = counts
    read = {"cached_tokens": cached, "cache_write_tokens": written, "audio_tokens": heard}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "prompt_tokens_details": read,
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": said,
            "image_tokens": drawn,
        },
    }


@given(st.tuples(FEW, FEW, st.integers(0, 12), FEW, FEW, FEW, FEW, FEW, FEW))
def test_a_strict_usage_says_what_the_same_as_a_loose_one_says(counts: tuple[int, ...]) -> None:
    told = usage(*counts)
    found = openai.decode(200, {}, answer(told), TARGET)
    expected = parse_usage(told)
    assert found.usage == expected
    assert expected is not None
    kept = (
        told["completion_tokens"] == expected.completion
        and told["total_tokens"] == expected.prompt + expected.completion
        and counts[3] + counts[4] <= expected.prompt
        and counts[5] <= expected.completion
    )
    assert found.raw is not UNSET
    assert ("usage" not in found.mends) is kept, "it is relayed only where it means the same"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, Usage(5, 3)),
        ({"prompt_tokens_details": {"cached_tokens": 2}}, Usage(5, 3, 2)),
        ({"completion_tokens_details": {"reasoning_tokens": 1}}, Usage(5, 3, 0, 0, 1)),
        ({"prompt_tokens_details": {}, "completion_tokens_details": {}}, Usage(5, 3)),
    ],
)
def test_details_may_be_absent(more: dict[str, Any], expected: Usage) -> None:
    told = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8, **more}
    found = openai.decode(200, {}, answer(told), TARGET)
    assert found.usage == expected
    assert found.raw is not UNSET
    assert not found.mends


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("more", "expected"),
    [
        # LiteLLM's
        ({"prompt_tokens_details": {"cached_tokens": 10, "cache_creation_tokens": 40},
          "cache_creation_input_tokens": 40, "cache_read_input_tokens": 10},
         Usage(60, 3, 10, 40)),
        ({"prompt_tokens_details": {"cached_tokens": 0, "cache_creation_tokens": 40,
          "cache_creation_token_details": {"ephemeral_5m_input_tokens": 10,
                                           "ephemeral_1h_input_tokens": 30}}},
         Usage(60, 3, 0, 40, cache_write_1h=30)),
        ({"prompt_tokens_details": {"cache_creation_token_details":
                                    {"ephemeral_1h_input_tokens": 30},
                                    "cache_creation_tokens": 20}},
         Usage(60, 3, 0, 20, cache_write_1h=20)),
        # Qwen's, at Alibaba
        ({"prompt_tokens_details": {"cached_tokens": 0, "cache_creation_input_tokens": 40,
                                    "cache_creation": {"ephemeral_5m_input_tokens": 40},
                                    "cache_type": "ephemeral"}}, Usage(60, 3, 0, 40)),
        ({"prompt_tokens_details": {"cached_tokens": 5, "cache_creation_input_tokens": 40,
                                    "cache_creation": {"ephemeral_1h_input_tokens": 40}}},
         Usage(60, 3, 5, 40, cache_write_1h=40)),
        # Databricks'
        ({"cache_read_input_tokens": 50, "cache_creation_input_tokens": 0}, Usage(60, 3, 50)),
        ({"cache_read_input_tokens": 0, "cache_creation_input_tokens": 50}, Usage(60, 3, 0, 50)),
        ({"cache_read_input_tokens": None, "prompt_tokens_details": {"cached_tokens": None}},
         Usage(60, 3)),
    ],
)  # fmt: skip
def test_what_a_prompt_cache_did_is_read_by_each_host_s_names(
    streamed: bool, more: dict[str, Any], expected: Usage
) -> None:
    reported = {"prompt_tokens": 60, "completion_tokens": 3, "total_tokens": 63, **more}
    if not streamed:
        assert openai.decode(200, {}, answer(reported), TARGET).usage == expected
        return
    chunk = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m",
             "choices": [], "usage": reported}  # fmt: skip
    [delta] = openai.decoder(TARGET).feed(b"data: %b\n\n" % msgspec.json.encode(chunk))
    assert delta.usage == expected


@pytest.mark.parametrize("name", ["prompt_tokens_details", "completion_tokens_details"])
def test_details_that_are_null_are_not_relayed(name: str) -> None:
    told = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8, name: None}
    found = openai.decode(200, {}, answer(told), TARGET)
    assert found.usage == Usage(5, 3)
    assert found.raw is UNSET, "OpenAI's SDK would refuse it in its strict mode"


WRITTEN: Final = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
KEPT: Final[dict[str, tuple[dict[str, Any], int]]] = {
    # who: the details of the prompt, and what of it was written for an hour
    "OpenRouter": ({"cached_tokens": 1, "cache_write_tokens": 6}, 6),
    "nothing was written": ({"cached_tokens": 1, "cache_write_tokens": 0}, 0),
    "LiteLLM, all of it": (
        {"cache_creation_tokens": 6, "cache_creation_token_details": {
            "ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 6}}, 6),
    "LiteLLM, some of it": (
        {"cache_creation_tokens": 6, "cache_creation_token_details": {
            "ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 4}}, 4),
    "LiteLLM, none of it": (
        {"cache_creation_tokens": 6, "cache_creation_token_details": {
            "ephemeral_5m_input_tokens": 6, "ephemeral_1h_input_tokens": 0}}, 0),
}  # fmt: skip


@pytest.mark.parametrize(("details", "an_hour"), KEPT.values(), ids=KEPT)
@pytest.mark.parametrize("strict", [True, False])
def test_what_is_written_for_an_hour_where_it_is_not_told_how_long(
    details: dict[str, Any], an_hour: int, strict: bool
) -> None:
    told = {**WRITTEN, "prompt_tokens_details": details}
    if not strict:
        told["completion_tokens_details"] = None
    for asked in (True, False):
        target = Target("anthropic/claude-x", 9, an_hour=asked)
        whole = openai.decode(200, {}, answer(told), target).usage
        decoder = openai.decoder(target)
        chunk = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        delta = {"index": 0, "delta": {"role": "assistant"}, "finish_reason": "stop"}
        event = msgspec.json.encode({**chunk, "choices": [delta], "usage": told})
        [streamed] = decoder.feed(b"data: %b\n\n" % event)
        assert whole is not None
        assert streamed.usage == whole
        tells = "cache_creation_token_details" in details
        assert whole.cache_write_1h == (an_hour if asked or tells else 0)
