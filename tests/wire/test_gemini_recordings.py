"""Every recorded exchange with Gemini, AI Studio's and Vertex's, against what Google's SDK read.

No difference is left that would need an explanation. The SDK did not read the four streams that
are one JSON array; the test reads those on its own, by the format's words.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import pytest

from gateway.core.chat import Completion, Usage
from gateway.core.errors import Broken, Misconfigured, Throttled, Unsuitable, UpstreamError
from gateway.wire import gemini
from tests.oracle import google_searches, google_sound
from tests.recordings import Recording, cuts, recordings
from tests.wire.chats import assembled
from tests.wire.gemini_answers import TARGET, read

RECORDED: Final = [
    each
    for provider in ("gemini", "vertex")
    for each in recordings(provider)
    if "/chat__" not in each.file  # those are of Google's OpenAI endpoint
]
ANSWERS: Final = [each for each in RECORDED if each.status == 200]
STREAMS: Final = [each for each in ANSWERS if "/streamGenerateContent__" in each.file]
FAILED: Final[Mapping[str, tuple[type[UpstreamError], str]]] = {
    "gemini/generateContent__404__crewAI__cf55d6bf": (Misconfigured, "NOT_FOUND"),
    "gemini/generateContent__404__pydantic-ai__b5bbf7ef": (Misconfigured, "NOT_FOUND"),
    "gemini/generateContent__429__crewAI__755d0980": (Throttled, "RESOURCE_EXHAUSTED"),
    "gemini/generateContent__429__crewAI__f2a63ce1": (Throttled, "RESOURCE_EXHAUSTED"),
    "gemini/streamGenerateContent__400__crewAI__5ec26564": (Misconfigured, "INVALID_ARGUMENT"),
    "vertex/generateContent__400__pydantic-ai__5db3a217": (Unsuitable, "INVALID_ARGUMENT"),
    "vertex/generateContent__400__pydantic-ai__9abe6e06": (Unsuitable, "INVALID_ARGUMENT"),
}
"""The 400 of the stream is a bad key; Vertex's are a URL whose robots.txt keeps Google out."""
FINISHES: Final = {
    "MAX_TOKENS": "length",
    "MODEL_ARMOR": "content_filter",
    "SAFETY": "content_filter",
    "UNEXPECTED_TOOL_CALL": "tool_calls",
    None: "content_filter",
}


def name(recording: Recording) -> str:
    return recording.file.removesuffix(".json")


def pieces(recording: Recording) -> list[dict[str, Any]]:
    """The JSON of an answer or of a stream, read in the plainest way."""
    if recording.body.startswith((b"{", b"[")):
        found = json.loads(recording.body)
        return found if isinstance(found, list) else [found]
    lines = recording.body.replace(b"\r\n", b"\n").split(b"\n")
    return [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]


def parts(recording: Recording) -> list[dict[str, Any]]:
    return [
        part
        for piece in pieces(recording)
        for candidate in piece.get("candidates", ())
        for part in candidate.get("content", {}).get("parts", ())
    ]


def parsed(recording: Recording) -> dict[str, Any]:
    """What the SDK read; of a JSON array, what stands there."""
    assert recording.oracle is not None
    if "parsed" in recording.oracle:
        found: dict[str, Any] = recording.oracle["parsed"]
        return found
    said = parts(recording)
    return {
        "content": "".join(p["text"] for p in said if "text" in p and not p.get("thought")),
        "thinking": "".join(p["text"] for p in said if p.get("thought")),
        "tool_calls": [
            {"name": p["functionCall"]["name"], "arguments": p["functionCall"]["args"]}
            for p in said
            if "functionCall" in p
        ],
        "finish": "STOP",
        "usage": {
            "".join(f"_{c.lower()}" if c.isupper() else c for c in key): count
            for key, count in pieces(recording)[-1]["usageMetadata"].items()
        },
    }


def understood(completion: Completion) -> dict[str, Any]:
    choice = completion.first
    return {
        "content": choice.text or "",
        "thinking": choice.reasoning or "",
        "tool_calls": [
            {"name": call.name, "arguments": json.loads(call.arguments)}
            for call in choice.tool_calls
        ],
        "finish": choice.finish,
        "usage": completion.usage,
    }


def expected(recording: Recording) -> dict[str, Any]:
    told = parsed(recording)
    calls = [{"name": c["name"], "arguments": c["arguments"]} for c in told["tool_calls"]]
    stop = "tool_calls" if calls else "stop"
    return {
        "content": told["content"],
        "thinking": told["thinking"],
        "tool_calls": calls,
        "finish": stop if told["finish"] == "STOP" else FINISHES[told["finish"]],
        "usage": counted(told["usage"], recording),
    }


def counted(said: Mapping[str, int], recording: Recording) -> Usage | None:
    """One recording, a prompt that was blocked, has no counts at all."""
    if not said:
        return None
    thought = said.get("thoughts_token_count", 0)
    found = Usage(
        prompt=said["prompt_token_count"] + said.get("tool_use_prompt_token_count", 0),
        completion=said.get("candidates_token_count", 0) + thought,
        cached=said.get("cached_content_token_count", 0),
        reasoning=thought,
        audio_prompt=google_sound(recording, b"prompt"),
        audio_completion=google_sound(recording, b"candidates"),
        audio_cached=google_sound(recording, b"cache"),
        searches=google_searches(recording),
    )
    assert found.prompt + found.completion == said["total_token_count"], "not the provider's sum"
    return found


def test_all_are_read() -> None:
    assert (len(RECORDED), len(ANSWERS), len(STREAMS)) == (107, 100, 41)
    assert {name(each) for each in RECORDED if each.status != 200} == FAILED.keys()
    unread = [each for each in ANSWERS if each.oracle is None or "parsed" not in each.oracle]
    assert len(unread) == 4
    assert all(each.body.startswith(b"[") for each in unread)


@pytest.mark.parametrize("recording", [each for each in ANSWERS if each not in STREAMS], ids=name)
def test_an_answer_reads_as_the_sdk_reads_it(recording: Recording) -> None:
    found = gemini.decode(200, recording.headers, recording.body, TARGET)
    assert understood(found) == expected(recording)
    assert_nothing_lost(recording, found)


@pytest.mark.parametrize("recording", STREAMS, ids=name)
def test_a_stream_reads_as_the_sdk_reads_it_however_it_is_cut(recording: Recording) -> None:
    whole = read([recording.body])
    found = assembled(whole)
    assert understood(found) == expected(recording)
    assert_nothing_lost(recording, found)
    plain = msgspec.json.encode(whole)
    for way, chunks in enumerate(cuts(recording.body)):
        assert msgspec.json.encode(read(chunks)) == plain, f"cut {way} reads differently"


@pytest.mark.parametrize("recording", STREAMS, ids=name)
def test_a_stream_that_ends_before_its_finish_reason_is_broken(recording: Recording) -> None:
    decoder = gemini.decoder(TARGET)
    decoder.feed(recording.body[: recording.body.index(b'"finishReason"')])
    with pytest.raises(Broken):
        decoder.finish()


@pytest.mark.parametrize("recording", [each for each in RECORDED if each.status != 200], ids=name)
def test_a_failure_is_of_its_class(recording: Recording) -> None:
    found, code = FAILED[name(recording)]
    with pytest.raises(UpstreamError) as caught:
        gemini.decode(recording.status, recording.headers, recording.body, TARGET)
    assert type(caught.value) is found
    assert caught.value.upstream_code == code
    told = json.loads(recording.body)["error"]["message"]
    assert re.sub(r"https?://\S+", "[...]", told) == str(caught.value)


def assert_nothing_lost(recording: Recording, found: Completion) -> None:
    """Ids, signatures and parts of the provider's own tools are there, each in its place."""
    sent = parts(recording)
    functions = [part for part in sent if "functionCall" in part]
    calls = found.first.tool_calls
    assert len({call.id for call in calls}) == len(calls) == len(functions)
    for part, call in zip(functions, calls, strict=True):
        assert call.id.startswith(part["functionCall"].get("id", "call_"))
    others = [part for part in sent if "functionCall" not in part]
    signed = [part["thoughtSignature"] for part in others if "thoughtSignature" in part]
    native = [part for part in others if "text" not in part and part.keys() != {"thoughtSignature"}]
    extra = json.loads(bytes(found.first.extra.get("extra_content", b"{}"))).get("google", {})
    assert extra.get("thought_signature") == (signed[-1] if signed else None)
    assert extra.get("server_tool_parts", []) == native
    grounded = any(
        "groundingMetadata" in recording_piece for recording_piece in candidates(recording)
    )
    assert grounded == ("grounding_metadata" in extra)


def candidates(recording: Recording) -> list[dict[str, Any]]:
    found = [each for piece in pieces(recording) for each in piece.get("candidates", ())]
    return [{key: value for key, value in each.items() if value} for each in found]
