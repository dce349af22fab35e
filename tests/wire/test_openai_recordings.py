"""Every recorded exchange of the OpenAI format, against what OpenAI's own SDK understood of it."""

from typing import Any

import pytest

from gateway.core.chat import Delta, Usage
from gateway.core.errors import (
    Misconfigured,
    Rejected,
    Throttled,
    Unsuitable,
    UpstreamError,
)
from gateway.wire import openai
from gateway.wire.dialect import Target
from tests.folding import fold
from tests.recordings import Recording, cuts, recordings

TARGET = Target("m", 100)
OTHERS = (
    "azure", "cerebras", "cloudflare", "crusoe", "databricks", "deepseek", "gemini", "groq",
    "huggingface", "llamacpp", "mistral", "ollama", "openrouter", "snowflake", "together",
    "vllm", "xai", "zai",
)  # fmt: skip

EMPTY_ARGUMENTS = "no arguments are {}: '' is not JSON"
NO_FINISH = "the provider gave no finish reason, or an empty one: it is inferred"
THOUGHTS_APART = "the provider counts thoughts outside completion_tokens, and bills them"
NO_CALL_ID = "the provider gave no id for the call"
CONTENT_PARTS = "the SDK gives the parts of a list, or an object, as they are; we make text of them"

EXPLAINED = {
    # (file, or its beginning): {field: why we say something else than the SDK}
    "openai/chat__200__llm__0402884c.json": {"finish": NO_FINISH},  # recorded through OpenRouter
    "openai/chat__200__llm__2bba8181.json": {"tool_calls": EMPTY_ARGUMENTS},  # likewise
    "cloudflare/": {"content": CONTENT_PARTS},
    "databricks/": {"tool_calls": EMPTY_ARGUMENTS},
    "gemini/": {"tool_calls": NO_CALL_ID, "usage": THOUGHTS_APART},
    "mistral/": {"content": CONTENT_PARTS},
    "snowflake/": {"finish": NO_FINISH},
    "together/": {"finish": "'eos' is stop"},
    "xai/": {"usage": THOUGHTS_APART},
}
DIFFERENT = {
    "openai": 2, "cloudflare": 3, "databricks": 4, "gemini": 8, "mistral": 2, "snowflake": 9,
    "together": 1, "xai": 19,
}  # fmt: skip
FAULTS = {
    "openai/chat__400": (Rejected, 400),
    "openai/chat__404": (Misconfigured, 502),
    "azure/chat__404": (Misconfigured, 502),
    "groq/chat__400": (Unsuitable, 400),  # the model called no tool, or a wrong one
    "groq/chat__404": (Misconfigured, 502),
    "openrouter/chat__401": (Misconfigured, 502),
    "openrouter/chat__429": (Throttled, 502),
    # An error object beside a delta, in a stream with status 200.
    "openrouter/chat__200__pydantic-ai__35670edf": (Rejected, 400),
}


def chats(*providers: str) -> list[Recording]:
    return [r for provider in providers for r in recordings(provider) if "/chat__" in r.file]


def answers(*providers: str) -> list[Recording]:
    return [r for r in chats(*providers) if r.oracle is not None and "parsed" in r.oracle]


def feed(pieces: list[bytes]) -> list[Delta]:
    decoder = openai.decoder(TARGET)
    deltas = [delta for piece in pieces for delta in decoder.feed(piece)]
    return deltas + decoder.finish()


def understood(recording: Recording, pieces: list[bytes]) -> dict[str, Any]:
    """An exchange as the oracle writes it."""
    if recording.streamed:
        folded, usage = fold(feed(pieces))
        choices = [
            {
                "content": choice.text,
                "tool_calls": [vars(call) for _, call in sorted(choice.calls.items())],
                "finish": ",".join(choice.finishes),
            }
            for _, choice in sorted(folded.items())
        ]
    else:
        answer = openai.decode(200, recording.headers, recording.body, TARGET)
        usage = answer.usage
        choices = [
            {
                "content": choice.text or "",
                "tool_calls": [
                    {"id": call.id, "name": call.name, "arguments": call.arguments}
                    for call in choice.tool_calls
                ],
                "finish": choice.finish,
            }
            for choice in answer.choices
        ]
    return {"choices": choices, "usage": usage}


def expected(recording: Recording) -> dict[str, Any]:
    assert recording.oracle is not None
    parsed = recording.oracle["parsed"]
    choices = [
        {"content": c["content"] or "", "tool_calls": c["tool_calls"], "finish": c["finish"]}
        for c in parsed["choices"]
    ]
    told = parsed["usage"]
    usage = told and Usage(
        told["prompt_tokens"],
        told["completion_tokens"],
        (told.get("prompt_tokens_details") or {}).get("cached_tokens") or 0,
        (told.get("prompt_tokens_details") or {}).get("cache_write_tokens") or 0,
        (told.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0,
    )
    return {"choices": choices, "usage": usage}


def differences(recording: Recording, got: dict[str, Any]) -> dict[str, str]:
    """Field -> what we say, and what the SDK says."""
    want = expected(recording)
    found = {}
    for name in ("content", "tool_calls", "finish"):
        ours = [choice[name] for choice in got["choices"]]
        theirs = [choice[name] for choice in want["choices"]]
        if ours != theirs:
            found[name] = f"{ours} is not {theirs}"
    if got["usage"] != want["usage"]:
        found["usage"] = f"{got['usage']} is not {want['usage']}"
    return found


def unexplained(recording: Recording, found: dict[str, str]) -> dict[str, str]:
    known = {
        field
        for beginning, fields in EXPLAINED.items()
        if recording.file.startswith(beginning)
        for field in fields
    }
    return {name: text for name, text in found.items() if name not in known}


@pytest.mark.parametrize("provider", ["openai", *OTHERS])
def test_answers_are_what_the_sdk_understood(provider: str) -> None:
    different = 0
    for recording in answers(provider):
        found = differences(recording, understood(recording, [recording.body]))
        assert not unexplained(recording, found), recording.file
        different += bool(found)
    assert different == DIFFERENT.get(provider, 0)


@pytest.mark.parametrize("provider", ["openai", *OTHERS])
def test_a_stream_cut_anywhere_gives_the_same_deltas(provider: str) -> None:
    for recording in answers(provider):
        if recording.streamed:
            whole = feed([recording.body])
            ways = 20 if provider == "openai" else 4
            for number, pieces in enumerate(cuts(recording.body, ways=ways)):
                assert feed(pieces) == whole, f"{recording.file}, cut {number}"


def test_every_recorded_answer_was_compared() -> None:
    assert len(answers("openai")) == 56
    assert len(answers("openai", *OTHERS)) == 297


def read(recording: Recording) -> None:
    if recording.streamed:
        feed([recording.body])
    else:
        openai.decode(recording.status, recording.headers, recording.body, TARGET)


def test_errors_are_told_by_class_and_status() -> None:
    seen = 0
    for recording in chats("openai", *OTHERS):
        expected = [f for start, f in FAULTS.items() if recording.file.startswith(start)]
        if not expected:
            assert recording.status == 200, recording.file
            continue
        kind, status = expected[0]
        with pytest.raises(UpstreamError) as caught:
            read(recording)
        assert (type(caught.value), caught.value.status) == (kind, status), recording.file
        assert str(caught.value), recording.file
        seen += 1
    assert seen == 24


def test_openais_own_answers_are_relayed() -> None:
    """Whole ones all; of the streams, all chunks but those that tell usage, and two others."""
    rebuilt = [
        delta
        for recording in answers("openai")
        if recording.streamed
        for delta in feed([recording.body])
        if delta.raw is None and delta.usage is None
    ]
    assert len(rebuilt) == 2
    for recording in answers("openai"):
        if not recording.streamed:
            whole = openai.decode(200, recording.headers, recording.body, TARGET)
            assert whole.fields is not None, recording.file
