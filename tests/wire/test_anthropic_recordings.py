"""Every recorded exchange with Anthropic, against what Anthropic's own SDK read in it.

No difference is left that would need an explanation.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from gateway.core.chat import Completion, Usage
from gateway.core.errors import Misconfigured, Unsuitable, UpstreamError
from gateway.wire import anthropic
from gateway.wire.anthropic.reply import FINISH
from tests.recordings import Recording, cuts, recordings
from tests.wire.anthropic_streams import TARGET, assembled, read

RECORDED: Final = recordings("anthropic")
ANSWERS: Final = [each for each in RECORDED if each.status == 200]
STREAMS: Final = [each for each in ANSWERS if each.streamed]
FAILED: Final[Mapping[str, tuple[type[UpstreamError], str]]] = {
    "anthropic/messages__400__pydantic-ai__d8fcd39b.json": (Unsuitable, "invalid_request_error"),
    "anthropic/messages__404__pydantic-ai__f00f0019.json": (Misconfigured, "not_found_error"),
}
"""The 400 says that *this model* lacks an effort level: another one may have it."""


def name(recording: Recording) -> str:
    return recording.file.removeprefix("anthropic/messages__").removesuffix(".json")


def understood(completion: Completion) -> dict[str, Any]:
    choice = completion.first
    return {
        "content": choice.text or "",
        "thinking": choice.reasoning or "",
        "tool_calls": [
            {"id": call.id, "name": call.name, "arguments": json.loads(call.arguments)}
            for call in choice.tool_calls
        ],
        "finish": choice.finish,
        "usage": completion.usage,
    }


def expected(recording: Recording) -> dict[str, Any]:
    assert recording.oracle is not None
    parsed = recording.oracle["parsed"]
    usage = parsed["usage"]
    cached = usage.get("cache_read_input_tokens") or 0
    written = usage.get("cache_creation_input_tokens") or 0
    return {
        "content": parsed["content"],
        "thinking": parsed["thinking"],
        "tool_calls": parsed["tool_calls"],
        "finish": FINISH[parsed["finish"]],
        "usage": Usage(
            prompt=usage["input_tokens"] + cached + written,
            completion=usage["output_tokens"],
            cached=cached,
            cache_write=written,
            reasoning=thought(recording),
        ),
    }


def thought(recording: Recording) -> int:
    """`thinking_tokens`, which the oracle leaves out, read from the bytes alone."""
    _, _, after = recording.body.rpartition(b'"thinking_tokens":')
    return int(after.split(b"}")[0]) if after and b"thinking_tokens" in recording.body else 0


def blocks(recording: Recording, *kinds: str) -> list[str]:
    assert recording.oracle is not None
    return [kind for kind in recording.oracle["parsed"]["blocks"] if kind in kinds]


def test_there_is_an_oracle_for_each() -> None:
    assert len(ANSWERS) == 67
    assert len(STREAMS) == 38
    assert {each.file for each in RECORDED if each.status != 200} == FAILED.keys()
    assert all(each.oracle for each in RECORDED)


@pytest.mark.parametrize("recording", [each for each in ANSWERS if not each.streamed], ids=name)
def test_an_answer_reads_as_the_sdk_reads_it(recording: Recording) -> None:
    found = anthropic.decode(200, recording.headers, recording.body, TARGET)
    assert understood(found) == expected(recording)
    assert_nothing_lost(recording, found)


@pytest.mark.parametrize("recording", STREAMS, ids=name)
def test_a_stream_reads_as_the_sdk_reads_it_however_it_is_cut(recording: Recording) -> None:
    whole = read([recording.body])
    found = assembled(whole)
    assert understood(found) == expected(recording)
    assert_nothing_lost(recording, found)
    for way, chunks in enumerate(cuts(recording.body)):
        assert comparable(read(chunks)) == comparable(whole), f"cut {way} reads differently"


@pytest.mark.parametrize("recording", STREAMS, ids=name)
def test_a_stream_that_ends_early_is_broken_and_can_be_charged(recording: Recording) -> None:
    """Everything before the message_delta, which is the last but one event."""
    early = recording.body[: recording.body.rindex(b"event: message_delta")]
    decoder = anthropic.decoder(TARGET)
    usage = decoder.feed(early)[0].usage
    assert usage is not None
    assert usage.prompt > 0
    with pytest.raises(UpstreamError, match="ended before"):
        decoder.finish()


@pytest.mark.parametrize("recording", [each for each in RECORDED if each.status != 200], ids=name)
def test_a_failure_is_of_its_class(recording: Recording) -> None:
    found, code = FAILED[recording.file]
    with pytest.raises(UpstreamError) as caught:
        anthropic.decode(recording.status, recording.headers, recording.body, TARGET)
    assert type(caught.value) is found
    assert caught.value.upstream_code == code
    assert json.loads(recording.body)["error"]["message"] == str(caught.value)


def assert_nothing_lost(recording: Recording, found: Completion) -> None:
    """Blocks that OpenAI has no place for are kept, and a stream keeps what an answer keeps."""
    extra = {key: json.loads(bytes(raw)) for key, raw in found.first.extra.items()}
    kinds = [block["type"] for block in extra.get("thinking_blocks", [])]
    assert kinds == blocks(recording, "thinking", "redacted_thinking")
    assert all(
        block.get("signature") or block.get("data") for block in extra.get("thinking_blocks", [])
    )
    assert recording.oracle is not None
    ours = {"text", "tool_use", "thinking", "redacted_thinking"}
    theirs = [kind for kind in recording.oracle["parsed"]["blocks"] if kind not in ours]
    assert [block["type"] for block in extra.get("server_tool_blocks", [])] == theirs


def comparable(deltas: list[Any]) -> list[Any]:
    """Raw values compare by identity: their bytes are what counts."""
    return [
        (
            delta.usage,
            delta.id,
            [
                (
                    c.text,
                    c.tool_calls,
                    c.finish,
                    c.reasoning,
                    {k: bytes(v) for k, v in c.extra.items()},
                )
                for c in delta.choices
            ],
        )
        for delta in deltas
    ]
