"""What one model refuses at an OpenAI-compatible host, in its maker's words, others may take."""

import json
from typing import Any

import pytest

from gateway.core.errors import Rejected, Unsuitable, UpstreamError
from gateway.wire import openai
from gateway.wire.dialect import Target

CLAUDE = [
    "messages.1.content.0: Invalid `signature` in `thinking` block",
    "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`.",
    "tools.0.custom.input_schema.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]",
    "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 5316852 bytes",
]
OTHERS = [
    # DeepSeek, Kimi, and Gemini at Google's OpenAI-compatible endpoint
    "The `reasoning_content` in the thinking mode must be passed back to the API.",
    "thinking is enabled but reasoning_content is missing in assistant tool call message",
    "Function call is missing a thought_signature in functionCall parts. This is required",
    "Corrupted thought signature.",
    # Templates of Mistral's and Qwen's models (vllm-project/vllm#41114, #36432)
    "Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.",
    "Unexpected role 'user' after role 'tool'",
    "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant",
    "System message must be at the beginning.",
    "No user query found in messages.",
]


def refused(body: Any) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        openai.decode(400, {}, json.dumps(body).encode(), Target("m", 500))
    return caught.value


@pytest.mark.parametrize("message", OTHERS)
def test_another_model_is_asked(message: str) -> None:
    assert type(refused({"error": {"message": message, "code": 400}})) is Unsuitable


@pytest.mark.parametrize("message", CLAUDE)
def test_claudes_words_mean_the_same_at_a_host_that_passes_them_on(message: str) -> None:
    told = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    error = {"message": "Provider returned error", "metadata": {"raw": json.dumps(told)}}
    assert type(refused({"error": error})) is Unsuitable
    assert type(refused({"error": {"message": message}})) is Unsuitable


def test_a_fault_of_the_clients_own_ends_the_request() -> None:
    assert type(refused({"error": {"message": "'messages' is a required property"}})) is Rejected
