"""Answers made by hand, in every way that one can be given; and that the judges do judge."""

import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pytest
from msgspec import UNSET, Raw

from gateway.core.chat import (
    Choice,
    ChoiceDelta,
    Completion,
    Delta,
    ToolCall,
    ToolDelta,
    Usage,
)
from gateway.core.errors import GatewayError
from gateway.web.render import completion_body, error_body
from gateway.web.render_stream import DONE, ChunkWriter, error_event
from gateway.wire import openai
from gateway.wire.dialect import Target
from tests.web.strict import (
    JSON,
    MODEL,
    lawful_error,
    lawful_stream,
    lawful_whole,
    spoken,
)

EXTENSION: Final = b'{"cost_usd":0.0001,"attempts":[]}'
USAGE: Final = Usage(10, 4, 3, 2, 1)


def raw(value: Any) -> Raw:
    return Raw(msgspec.json.encode(value))


TOPS: list[JSON] = [{"token": "a", "logprob": -0.5, "bytes": [97]},
                    {"token": "b", "logprob": -9999.0, "bytes": None}]  # fmt: skip
LOGPROB: JSON = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": TOPS}
LOGPROBS = raw({"content": [LOGPROB], "refusal": None})
CITED = raw([{"type": "url_citation", "url_citation": {
    "start_index": 0, "end_index": 1, "title": "", "url": "https://a.test/"}}])  # fmt: skip
SPOKEN = raw({"id": "audio_1", "data": "UklGRg==", "expires_at": 1, "transcript": "hi"})
PICTURES = raw([{"type": "image_url", "image_url": {"url": "data:,"}}])
LEGACY = raw({"name": "f", "arguments": "{}"})
CALLS = (ToolCall("a", "f", '{"x":"\\u00e9"}'), ToolCall("b", "g", "{}"), ToolCall("c", "f", "{}"))

ANSWERS: dict[str, tuple[Choice, ...]] = {
    **{end: (Choice(0, "hi", finish=end),) for end in ("stop", "length", "content_filter")},
    "tool calls": (Choice(0, None, CALLS, "tool_calls"),),
    "text and calls": (Choice(0, "Let me see.", CALLS, "tool_calls"),),
    "a named tool": (Choice(0, None, CALLS[:1], "stop"),),
    "a signed call": (
        Choice(0, None, (ToolCall("a", "f", "{}", {"extra_content": raw({"google": {}})}),)),
    ),
    "a legacy call": (Choice(0, None, finish="function_call", extra={"function_call": LEGACY}),),
    "nothing": (Choice(0, None),),
    "empty text": (Choice(0, ""),),
    "a refusal": (Choice(0, None, refusal="I cannot."),),
    "thoughts": (Choice(0, "5", reasoning="2 + 3"),),
    "thoughts alone": (Choice(0, None, reasoning="2 + 3", finish="length"),),
    "logprobs": (Choice(0, "a", logprobs=LOGPROBS),),
    "logprobs without text": (Choice(0, None, logprobs=LOGPROBS),),
    "logprobs of a refusal": (
        Choice(0, None, refusal="a", logprobs=raw({"content": None, "refusal": [LOGPROB]})),
    ),
    "annotations": (Choice(0, "a", extra={"annotations": CITED}),),
    "audio": (Choice(0, None, extra={"audio": SPOKEN}),),
    "images": (Choice(0, "", extra={"images": PICTURES}),),
    "what is not known": (Choice(0, "a", extra={"new": raw({"a": [1]})}),),
    "what is ours": (Choice(0, "a", extra={"role": raw("user"), "content": raw(7)}),),
    "several": (Choice(0, "a"), Choice(1, None, CALLS, "tool_calls"),
                Choice(2, None, refusal="no")),
    "out of order": (Choice(1, "b"), Choice(0, "a", finish="length")),
    "odd characters": (Choice(0, 'a\u2028\u0000\U0001f600\r\n\ndata: [DONE]\n\n"\\' * 99),),
}  # fmt: skip
USAGES: dict[str, Usage] = {
    "searched": Usage(9, 3, searches=2),
    "all details": USAGE,
    "none": Usage(),
    "huge": Usage(2**40, 2**40, 2**40, 0, 2**40),
    "all cached": Usage(5, 5, 5, 0, 5),
    "all written": Usage(5, 5, 0, 5),
}


def body_of(completion: Completion, usage: Usage = USAGE) -> bytes:
    return completion_body(completion, MODEL, EXTENSION, usage=usage, request_id="r", created=7)


def flowing(deltas: Sequence[Delta], usage: Usage | None = USAGE, end: bytes = DONE) -> bytes:
    chunks = ChunkWriter(MODEL, request_id="r", created=7)
    body = b"".join(chunks.delta(delta) for delta in deltas)
    return body + (chunks.usage(usage, EXTENSION) if usage else b"") + end


def recut(completion: Completion, usage: Usage | None = USAGE) -> bytes:
    chunks = ChunkWriter(MODEL, request_id="r", created=7)
    body = b"".join(chunks.recut(completion))
    return body + (chunks.usage(usage, EXTENSION) if usage else b"") + DONE


@pytest.mark.parametrize("choices", ANSWERS.values(), ids=ANSWERS)
def test_a_whole_answer(choices: tuple[Choice, ...]) -> None:
    value = lawful_whole("whole", body_of(Completion(choices)))
    for choice, told in zip(choices, value["choices"], strict=True):
        message = told["message"]
        calls = [
            (call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in message.get("tool_calls", ())
        ]
        assert calls == [(call.id, call.name, call.arguments) for call in choice.tool_calls]
        assert (told["index"], told["finish_reason"]) == (choice.index, choice.finish)
        said = (message["content"], message["refusal"], message.get("reasoning_content"))
        assert said == (choice.text, choice.refusal, choice.reasoning)
        assert (told["logprobs"] is None) == (choice.logprobs is UNSET)


@pytest.mark.parametrize("usage", [USAGE, None], ids=["asked for usage", "did not ask"])
@pytest.mark.parametrize("choices", ANSWERS.values(), ids=ANSWERS)
def test_a_held_answer_cut_again(choices: tuple[Choice, ...], usage: Usage | None) -> None:
    chunks = lawful_stream("recut", recut(Completion(choices), usage), usage=usage is not None)
    for choice in choices:
        assert spoken(chunks, choice.index) == (choice.text or "")
        assert spoken(chunks, choice.index, "refusal") == (choice.refusal or "")
        assert spoken(chunks, choice.index, "reasoning_content") == (choice.reasoning or "")
        mine = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice.index]
        calls = [call for c in mine for call in c["delta"].get("tool_calls", ())]
        assert [call["function"]["arguments"] for call in calls] == [
            call.arguments for call in choice.tool_calls
        ]
        told = [c["logprobs"] for c in mine if c["logprobs"] is not None]
        assert told == ([json.loads(bytes(choice.logprobs))] if choice.logprobs else [])


@pytest.mark.parametrize("usage", USAGES.values(), ids=USAGES)
def test_usage(usage: Usage) -> None:
    completion = Completion((Choice(0, "a"),))
    for told in (
        lawful_whole("whole", body_of(completion, usage))["usage"],
        lawful_stream("recut", recut(completion, usage))[-1]["usage"],
    ):
        assert told == {
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.completion,
            "total_tokens": usage.prompt + usage.completion,
            "prompt_tokens_details": {
                "cached_tokens": usage.cached,
                "cache_write_tokens": usage.cache_write,
            },
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
            "gateway": json.loads(EXTENSION),
        } | ({"server_tool_use": {"web_search_requests": usage.searches}} if usage.searches else {})


FLOWS: dict[str, list[Delta]] = {
    "text": [Delta((ChoiceDelta(0, "a"),)), Delta((ChoiceDelta(0, "b", finish="stop"),))],
    "all at once": [Delta((ChoiceDelta(0, "a", finish="stop"),))],
    "no text": [Delta((ChoiceDelta(0, finish="stop"),))],
    "usage beside, and alone": [
        Delta((ChoiceDelta(0, "a"),), Usage(1, 1)), Delta((ChoiceDelta(0, finish="stop"),)),
        Delta(usage=Usage(1, 2)),
    ],
    "an id and a time of the provider's": [
        Delta((ChoiceDelta(0, "a"),), id="c", created=5),
        Delta((ChoiceDelta(0, finish="stop"),), id="other", created=6),
    ],
    "a call in pieces, and one beside it": [
        Delta((ChoiceDelta(0, tool_calls=(ToolDelta(0, "a", "f", "{"),)),)),
        Delta((ChoiceDelta(0, tool_calls=(ToolDelta(0, arguments='"x":1}'),
                                          ToolDelta(1, "b", "g"))),)),
        Delta((ChoiceDelta(0, tool_calls=(ToolDelta(1, arguments="{}"),), finish="tool_calls"),)),
    ],
    "interleaved choices": [
        Delta((ChoiceDelta(1, "b"),)), Delta((ChoiceDelta(0, "a"), ChoiceDelta(1, "b"))),
        Delta((ChoiceDelta(0, finish="stop"), ChoiceDelta(1, finish="length"))),
    ],
    "thoughts, refusal, logprobs": [
        Delta((ChoiceDelta(0, reasoning="hm"),)),
        Delta((ChoiceDelta(0, "a", logprobs=LOGPROBS),)),
        Delta((ChoiceDelta(0, refusal="no", finish="content_filter"),)),
    ],
    "audio, annotations, odd fields": [
        Delta((ChoiceDelta(0, extra={"audio": raw({"id": "x", "transcript": "h"})}),)),
        Delta((ChoiceDelta(0, extra={"audio": raw({"data": "UklGRg=="})}),)),
        Delta((ChoiceDelta(0, extra={"annotations": CITED, "role": raw("user")}, finish="stop"),)),
    ],
}  # fmt: skip


@pytest.mark.parametrize("usage", [USAGE, None], ids=["asked for usage", "did not ask"])
@pytest.mark.parametrize("deltas", FLOWS.values(), ids=FLOWS)
def test_a_flowing_answer(deltas: list[Delta], usage: Usage | None) -> None:
    chunks = lawful_stream("flow", flowing(deltas, usage), usage=usage is not None)
    for index in {choice.index for delta in deltas for choice in delta.choices}:
        mine = [c for delta in deltas for c in delta.choices if c.index == index]
        assert spoken(chunks, index) == "".join(choice.text for choice in mine)


# What a strict provider says, and we relay --------------------------------------------------------

THEIRS: JSON = {
    "id": "c", "object": "chat.completion", "created": 5, "model": "up",
    "service_tier": "default", "system_fingerprint": None,
    "choices": [{"index": 0, "logprobs": None, "finish_reason": "stop", "message": {
        "role": "assistant", "content": "hi", "refusal": None, "annotations": [], "audio": None}}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13,
              "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
              "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 0}},
}  # fmt: skip
RELAYED: dict[str, JSON] = {
    "all": {},
    "no usage": {"usage": None},
    "negative usage": {"usage": {"prompt_tokens": -1, "completion_tokens": 4, "total_tokens": 3}},
    "wrong sum": {"usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 0}},
    "too much cached": {"usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13,
                                  "prompt_tokens_details": {"cached_tokens": 99}}},
    "too much thought": {"usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13,
                                   "completion_tokens_details": {"reasoning_tokens": 99}}},
    "null details": {"usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13,
                               "completion_tokens_details": None}},
    "unknown fields": {"x": {"y": 1}, "service_tier": "flex"},
    "unknown tier": {"service_tier": "on_demand"},
    "null metadata": {"metadata": None},
    "number for a fingerprint": {"system_fingerprint": 7},
    "moderation": {"moderation": {}},
}  # fmt: skip


@pytest.mark.parametrize("fields", RELAYED.values(), ids=RELAYED)
def test_what_a_provider_says(fields: JSON) -> None:
    body = json.dumps({**THEIRS, **fields}).encode()
    answer = openai.decode(200, {}, body, Target("up", 9))
    lawful_whole("whole", body_of(answer, answer.usage or USAGE))
    lawful_stream("recut", recut(answer, answer.usage or USAGE))


CHUNK: JSON = {"id": "c", "object": "chat.completion.chunk", "created": 5, "model": "up"}
PIECES: dict[str, tuple[JSON, JSON]] = {
    # fields of a chunk, fields of its choice
    "all": ({"service_tier": "default", "system_fingerprint": "fp", "obfuscation": "x"}, {}),
    "null usage": ({"usage": None}, {}),
    "usage": ({"usage": THEIRS["usage"]}, {}),
    "absurd usage": ({"usage": {"prompt_tokens": 10**30}}, {}),
    "unknown tier": ({"service_tier": "on_demand"}, {}),
    "null obfuscation": ({"obfuscation": None}, {}),
    "moderation": ({"moderation": {}}, {}),
    "another object": ({"object": "chat.completion"}, {}),
    "no object": ({"object": None}, {}),
    "no time": ({"created": None}, {}),
    "no id": ({"id": ""}, {}),
    "no model": ({"model": None}, {}),
    "no finish": ({}, {"finish_reason": ""}),
    "an unknown finish": ({}, {"finish_reason": "eos"}),
    "logprobs": ({}, {"logprobs": {"content": [LOGPROB], "refusal": None}}),
    "half the logprobs": ({}, {"logprobs": {"content": [LOGPROB]}}),
    "wrong logprobs": ({}, {"logprobs": {"content": "a"}}),
    "no delta": ({}, {"delta": None}),
    "a number for text": ({}, {"delta": {"content": 7}}),
    "another role": ({}, {"delta": {"role": "model", "content": "a"}}),
    "null calls": ({}, {"delta": {"tool_calls": None}}),
    "a call of another type": ({}, {"delta": {"tool_calls": [
        {"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}}]}}),
    "details of thoughts": ({}, {"delta": {"reasoning_details": [{"text": "hm"}]}}),
    "a legacy call": ({}, {"delta": {"function_call": {"name": "f", "arguments": ""}}}),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "changed"), PIECES.values(), ids=PIECES)
def test_what_a_provider_streams(fields: JSON, changed: JSON) -> None:
    first = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    odd = {"index": 0, "delta": {"content": "hi"}, "finish_reason": None, **changed}
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    events = [{**CHUNK, "choices": [each]} for each in (first, odd, last)]
    events[1] |= fields
    for some in (events, events[1:]):  # it may be the first one, too
        body = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in some) + DONE
        decoder = openai.decoder(Target("up", 9))
        deltas = decoder.feed(body) + decoder.finish()
        lawful_stream("flow", flowing(deltas, None), usage=False)


def errors(kind: type[GatewayError]) -> list[type[GatewayError]]:
    return [kind, *(each for below in kind.__subclasses__() for each in errors(below))]


@pytest.mark.parametrize("kind", errors(GatewayError), ids=lambda kind: kind.__name__)
def test_every_error(kind: type[GatewayError]) -> None:
    error = kind("no", param="stop")
    assert lawful_error("error", error_body(error))["param"] == "stop"
    body = flowing([Delta((ChoiceDelta(0, "a"),))], None, error_event(error))
    lawful_stream("error", body, whole=False)
