"""Every recorded answer of `invoke`, against the same bytes read a second time, by hand."""

import base64
import json
from typing import Any, Final

import pytest

from gateway.core.chat import Usage
from gateway.wire.bedrock.reply import FINISH
from tests.recordings import Recording
from tests.wire.bedrock_recorded import INVOKE, events, name, understood, whole


def test_the_models_count_is_taken_not_that_of_the_frame() -> None:
    """Two streams of Claude end with a count by Bedrock that is below the message's own."""
    differing = {}
    for recording in (each for each in INVOKE if each.streamed):
        last = invoked(recording)[-1].get("amazon-bedrock-invocationMetrics", {})
        usage = whole(recording).usage
        if usage is not None and usage.completion != last.get("outputTokenCount", usage.completion):
            differing[name(recording)] = (usage.completion, last["outputTokenCount"])
    assert differing == {
        "invoke-stream__200__chatlas__8beaa4c8": (38, 35),
        "invoke-stream__200__opentelemetry-python-c__7547f491": (133, 97),
    }


def by_hand(recording: Recording) -> dict[str, Any]:
    """A whole body, shape by shape; without counts in it, those of the headers."""
    said = json.loads(recording.body)
    told = {
        kind: recording.headers.get(f"x-amzn-bedrock-{kind}-token-count", "")
        for kind in ("input", "output")
    }
    texts, calls, usage = [], [], said.get("usage", {})
    content = said.get("content") or said.get("output", {}).get("message", {}).get("content", [])
    for block in content:
        use = block.get("toolUse") or (block if block.get("type") == "tool_use" else None)
        if use is None:
            texts.append(block["text"])
        else:
            id_ = use.get("toolUseId") or use.get("id")
            calls.append({"id": id_, "name": use["name"], "arguments": use["input"]})
    for part in (said, *said.get("outputs", []), *said.get("generations", [])):
        texts += [part[key] for key in ("completion", "generation", "text") if key in part]
        reasons = ("stop_reason", "stopReason", "finish_reason")
        said["reason"] = next((part[key] for key in reasons if key in part), said.get("reason"))
    cached = usage.get("cache_read_input_tokens") or 0
    written = usage.get("cache_creation_input_tokens") or 0
    prompt = usage.get("input_tokens", usage.get("inputTokens", told["input"]))
    completion = usage.get("output_tokens", usage.get("outputTokens", told["output"]))
    return {
        "content": "".join(texts),
        "thinking": "",
        "tool_calls": calls,
        "finish": REASONS[said["reason"]],
        "usage": Usage(int(prompt) + cached + written, int(completion), cached, written),
    }


REASONS: Final[dict[str, str]] = {
    **FINISH,
    "stop": "stop",
    "length": "length",
    "COMPLETE": "stop",
    "MAX_TOKENS": "length",
    "STOP_SEQUENCE": "stop",
}


@pytest.mark.parametrize("recording", [r for r in INVOKE if not r.streamed], ids=name)
def test_an_invoked_answer_reads_as_by_hand(recording: Recording) -> None:
    assert understood(whole(recording)) == by_hand(recording)


def invoked(recording: Recording) -> list[dict[str, Any]]:
    return [json.loads(base64.b64decode(event["bytes"])) for _, event in events(recording)]


def by_hand_streamed(recording: Recording) -> dict[str, Any]:
    texts, thoughts, reason = [], [], ""
    calls: dict[int, dict[str, Any]] = {}
    counts: dict[str, Any] = {}
    for said in invoked(recording):
        block = said.get("content_block") or said.get("contentBlockStart", {}).get("start", {})
        use = block.get("toolUse") or (block if block.get("type") == "tool_use" else None)
        outer = said.get("contentBlockStart") or said.get("contentBlockDelta") or said
        index = outer.get("contentBlockIndex", said.get("index", 0))
        if use is not None:
            id_ = use.get("toolUseId") or use.get("id")
            calls[index] = {"id": id_, "name": use["name"], "arguments": ""}
        delta = outer.get("delta", {})
        texts.append(delta.get("text") or said.get("outputText") or "")
        thoughts.append(delta.get("thinking") or "")
        more = delta.get("partial_json") or delta.get("toolUse", {}).get("input")
        if more:
            calls[index]["arguments"] += more
        reason = delta.get("stop_reason") or said.get("messageStop", {}).get("stopReason") or reason
        counts |= said.get("message", {}).get("usage") or said.get("usage") or {}
        counts |= said.get("metadata", {}).get("usage") or {}
        counts |= {key: count for key, count in said.items() if key.endswith("TokenCount")}
    for call in calls.values():
        call["arguments"] = json.loads(call["arguments"] or "{}")
    return {
        "content": "".join(texts),
        "thinking": "".join(thoughts),
        "tool_calls": list(calls.values()),
        # The one stream without a reason was stopped by a guardrail.
        "finish": REASONS[reason or "guardrail_intervened"],
        "usage": Usage(
            int(first(counts, "input_tokens", "inputTokens", "inputTextTokenCount")),
            int(first(counts, "output_tokens", "outputTokens", "totalOutputTextTokenCount")),
            counts.get("cache_read_input_tokens") or 0,
            counts.get("cache_creation_input_tokens") or 0,
        ),
    }


def first(counts: dict[str, Any], *names: str) -> Any:
    return next(counts[name] for name in names if name in counts)


@pytest.mark.parametrize("recording", [r for r in INVOKE if r.streamed], ids=name)
def test_an_invoked_stream_reads_as_by_hand(recording: Recording) -> None:
    assert understood(whole(recording)) == by_hand_streamed(recording)
