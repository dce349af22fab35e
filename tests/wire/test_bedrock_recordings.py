"""Every recorded exchange with Bedrock, against what AWS's own SDK read in it.

`invoke` has no such oracle: see test_bedrock_invoke_recordings.

Explained differences: the SDK lists tools that ran at the provider among the calls; they are kept
apart from those that the client is to run (3 of 54 answers). No other is left.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from gateway.core.chat import Usage
from gateway.core.errors import Misconfigured, Rejected, Unsuitable, UpstreamError
from gateway.wire.bedrock.reply import FINISH
from tests.recordings import Recording, cuts
from tests.wire.bedrock_recorded import (
    CONVERSE,
    INVOKE,
    RECORDED,
    STREAMED,
    dialect,
    events,
    name,
    understood,
    whole,
)
from tests.wire.bedrock_streams import CLAUDE, comparable, kept, read
from tests.wire.chats import assembled

FAILED: Final[Mapping[str, tuple[type[UpstreamError], str | None]]] = {
    "bedrock/converse-stream__400__opentelemetry-python-c__881f692f.json": (
        Misconfigured, "ValidationException"),  # the model identifier is invalid
    "bedrock/converse-stream__400__pydantic-ai__2878179b.json": (Misconfigured, None),  # the same
    "bedrock/converse__400__pydantic-ai__33f0dfa6.json": (Unsuitable, None),  # a video in a result
    "bedrock/converse__400__pydantic-ai__3e4baa6f.json": (Unsuitable, None),  # a video
    "bedrock/converse__400__pydantic-ai__d9681b35.json": (Unsuitable, None),  # an image in S3
    "bedrock/converse__400__pydantic-ai__ef93874e.json": (Rejected, None),  # a document without one
    "bedrock/invoke-stream__400__chatlas__3a5fbd2d.json": (Unsuitable, "ValidationException"),
}  # fmt: skip


def test_there_is_an_oracle_for_each() -> None:
    assert (len(CONVERSE), len(INVOKE), len(STREAMED)) == (54, 31, 38)
    assert {each.file for each in RECORDED if each.status != 200} == FAILED.keys()
    assert all(each.oracle for each in CONVERSE)
    assert all(each.oracle is None for each in INVOKE)


# ---- Converse, as boto3 reads it


def blocks(recording: Recording) -> list[dict[str, Any]]:
    """The content blocks that are no text, those of a stream as they were begun."""
    if not recording.streamed:
        found: list[dict[str, Any]] = json.loads(recording.body)["output"]["message"]["content"]
        return found
    return [event["start"] for kind, event in events(recording) if kind == "contentBlockStart"]


def server_tools(recording: Recording) -> list[str]:
    uses = [block["toolUse"] for block in blocks(recording) if "toolUse" in block]
    return [use["toolUseId"] for use in uses if use.get("type") == "server_tool_use"]


def expected(recording: Recording) -> dict[str, Any]:
    assert recording.oracle is not None
    parsed = recording.oracle["parsed"]
    usage = parsed["usage"]
    cached = usage.get("cacheReadInputTokens") or 0
    written = usage.get("cacheWriteInputTokens") or 0
    at_provider = server_tools(recording)
    calls = [call for call in parsed["tool_calls"] if call["id"] not in at_provider]
    for call in calls:
        if isinstance(call["arguments"], str):
            call["arguments"] = json.loads(call["arguments"] or "{}")
    return {
        "content": parsed["content"],
        "thinking": parsed["thinking"],
        "tool_calls": calls,
        "finish": FINISH[parsed["finish"]],
        "usage": Usage(
            prompt=usage["totalTokens"] - usage["outputTokens"],  # the cache included
            completion=usage["outputTokens"],
            cached=cached,
            cache_write=written,
        ),
    }


@pytest.mark.parametrize("recording", CONVERSE, ids=name)
def test_an_answer_reads_as_the_sdk_reads_it(recording: Recording) -> None:
    assert understood(whole(recording)) == expected(recording)


def test_few_differences_need_an_explanation() -> None:
    assert [name(each) for each in CONVERSE if server_tools(each)] == [
        "converse-stream__200__pydantic-ai__70f682d5",
        "converse__200__pydantic-ai__9c934200",
        "converse__200__pydantic-ai__a543f26f",
    ]


@pytest.mark.parametrize("recording", [r for r in CONVERSE if server_tools(r)], ids=name)
def test_tools_that_ran_at_the_provider_are_kept_whole(recording: Recording) -> None:
    use, result = kept(whole(recording).first.extra)["server_tool_blocks"]
    assert use["toolUse"]["toolUseId"] == result["toolResult"]["toolUseId"]
    assert use["toolUse"]["type"] == "server_tool_use"
    assert use["toolUse"]["input"].keys() == {"snippet"}
    assert result["toolResult"]["content"][0]["json"]["exitCode"] == 0
    if not recording.streamed:
        assert [use, result] == blocks(recording)[:2]


def test_thoughts_can_be_sent_back() -> None:
    found = {
        name(recording): [
            (block["type"], block.get("signature", block.get("data"))[:1])
            for block in kept(whole(recording).first.extra).get("thinking_blocks", [])
        ]
        for recording in CONVERSE
        if b"signature" in recording.body or b"redactedContent" in recording.body
    }
    # Both are ciphers of Anthropic's, which begin alike, though Converse has one in base64 twice.
    thought, sealed = ("thinking", "E"), ("redacted_thinking", "E")
    assert found == {
        "converse-stream__200__pydantic-ai__64d2d411": [thought],
        "converse-stream__200__pydantic-ai__fac69951": [sealed, sealed],
        "converse__200__pydantic-ai__5d99142b": [sealed],
        "converse__200__pydantic-ai__b303af25": [thought],
    }


# ---- All streams, and all failures


@pytest.mark.parametrize("recording", STREAMED, ids=name)
def test_a_stream_reads_the_same_however_it_is_cut(recording: Recording) -> None:
    decoder = dialect(recording).decoder
    once = comparable(read([recording.body], decoder))
    for way, chunks in enumerate(cuts(recording.body)):
        assert comparable(read(chunks, decoder)) == once, f"cut {way} reads differently"


def ends(body: bytes) -> list[int]:
    """Where each message of an event stream ends, after the beginning of all."""
    found = [0]
    while found[-1] < len(body):
        found.append(found[-1] + int.from_bytes(body[found[-1] : found[-1] + 4]))
    return found


@pytest.mark.parametrize("recording", STREAMED, ids=name)
def test_a_stream_that_ends_early_is_broken(recording: Recording) -> None:
    """The last two messages say that, and how, the answer ended; Titan's only one does."""
    early = recording.body[: ends(recording.body)[-3:][0]]
    with pytest.raises(UpstreamError, match="ended before"):
        read([early], dialect(recording).decoder)


@pytest.mark.parametrize("recording", [r for r in CONVERSE if r.streamed], ids=name)
def test_an_answer_is_whole_without_its_usage(recording: Recording) -> None:
    *_, early, _ = ends(recording.body)
    found = assembled(read([recording.body[: early + 20]]))
    assert found.usage is None
    assert understood(found) == expected(recording) | {"usage": None}


@pytest.mark.parametrize("recording", STREAMED, ids=name)
def test_a_flipped_bit_is_noticed(recording: Recording) -> None:
    middle = len(recording.body) // 2
    flipped = bytes([recording.body[middle] ^ 1])
    with pytest.raises(UpstreamError, match="damaged"):
        read(
            [recording.body[:middle] + flipped + recording.body[middle + 1 :]],
            dialect(recording).decoder,
        )


@pytest.mark.parametrize("recording", [each for each in RECORDED if each.status != 200], ids=name)
def test_a_failure_is_of_its_class(recording: Recording) -> None:
    found, code = FAILED[recording.file]
    with pytest.raises(UpstreamError) as caught:
        dialect(recording).decode(recording.status, recording.headers, recording.body, CLAUDE)
    assert type(caught.value) is found
    assert caught.value.upstream_code == code
    assert json.loads(recording.body)["message"] == str(caught.value)
