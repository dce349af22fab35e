"""Recorded exchanges with Anthropic, beside what test_every_provider asks of all formats: blocks
that OpenAI has no place for, streams that end early, and the words of errors.
"""

import json
from collections.abc import Mapping
from typing import Final

import pytest

from gateway.core.errors import UpstreamError
from gateway.wire import anthropic
from tests.recordings import Recording, recordings
from tests.wire.anthropic_streams import TARGET, read
from tests.wire.chats import assembled

RECORDED: Final = recordings("anthropic")
ANSWERS: Final = [each for each in RECORDED if each.status == 200]
STREAMS: Final = [each for each in ANSWERS if each.streamed]
FAILED: Final[Mapping[str, str]] = {
    "anthropic/messages__400__pydantic-ai__d8fcd39b.json": "invalid_request_error",
    "anthropic/messages__404__pydantic-ai__f00f0019.json": "not_found_error",
}


def name(recording: Recording) -> str:
    return recording.file.removeprefix("anthropic/messages__").removesuffix(".json")


def blocks(recording: Recording, *kinds: str) -> list[str]:
    assert recording.oracle is not None
    return [kind for kind in recording.oracle["parsed"]["blocks"] if kind in kinds]


def test_there_is_an_oracle_for_each() -> None:
    assert len(ANSWERS) == 67
    assert len(STREAMS) == 38
    assert {each.file for each in RECORDED if each.status != 200} == FAILED.keys()
    assert all(each.oracle for each in RECORDED)


@pytest.mark.parametrize("recording", ANSWERS, ids=name)
def test_nothing_is_lost(recording: Recording) -> None:
    """Blocks that OpenAI has no place for are kept, and a stream keeps what an answer keeps."""
    if recording.streamed:
        found = assembled(read([recording.body]))
    else:
        found = anthropic.decode(200, recording.headers, recording.body, TARGET)
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
def test_a_failure_keeps_its_words(recording: Recording) -> None:
    with pytest.raises(UpstreamError) as caught:
        anthropic.decode(recording.status, recording.headers, recording.body, TARGET)
    assert caught.value.upstream_code == FAILED[recording.file]
    assert json.loads(recording.body)["error"]["message"] == str(caught.value)
