"""What clients get is valid: by OpenAI's API description, and by its SDK in strict mode."""

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import openai as sdk
import pytest
from msgspec import UNSET, Raw

from gateway.core.chat import (
    Choice,
    ChoiceDelta,
    Completion,
    Delta,
    ToolCall,
    Usage,
)
from gateway.core.errors import BudgetExceeded, GatewayError, InvalidRequest, Rejected, Unsuitable
from gateway.web.render import completion_body, error_body
from gateway.web.render_stream import DONE, KEEP_ALIVE, PIECE, ChunkWriter, error_event
from gateway.wire import DIALECTS
from gateway.wire.dialect import Target
from tests.openapi import WHOLE, faults
from tests.strict_sdk import ask_streaming
from tests.web.strict import lawful_stream, spoken

TARGET = Target("m", 100)
EXTENSION = b'{"cost_usd":0.0001,"attempts":[]}'
GATEWAY = json.loads(EXTENSION)
USAGE = Usage(10, 4, 3, 2, 1)


def rendered(completion: Completion, usage: Usage = USAGE) -> bytes:
    return completion_body(
        completion, "catalog-name", EXTENSION, usage=usage, request_id="r1", created=7
    )


def writer() -> ChunkWriter:
    return ChunkWriter("catalog-name", request_id="r1", created=7)


def flowing(deltas: Iterable[Delta]) -> bytes:
    chunk_writer = writer()
    body = b"".join(chunk_writer.delta(delta) for delta in deltas)
    return body + KEEP_ALIVE + chunk_writer.usage(USAGE, EXTENSION) + DONE


def recut(completion: Completion) -> bytes:
    chunk_writer = writer()
    return b"".join([*chunk_writer.recut(completion), chunk_writer.usage(USAGE, EXTENSION), DONE])


LOGPROBS: dict[str, Any] = {
    "content": [{"token": "a", "logprob": -0.5, "bytes": None, "top_logprobs": []}],
    "refusal": None,
}
FULL = Choice(
    index=1,
    text="a\u2028" * 500,
    tool_calls=(ToolCall("c1", "f", "{}"), ToolCall("c2", "g", '{"x":"é"}')),
    finish="tool_calls",
    refusal="no",
    reasoning="hm",
    logprobs=msgspec.Raw(json.dumps(LOGPROBS).encode()),
    extra={"annotations": msgspec.Raw(b"[]"), "role": msgspec.Raw(b'"user"')},
)


def test_a_built_answer_holds_everything() -> None:
    body = json.loads(rendered(Completion((Choice(0, None), FULL))))
    assert faults(WHOLE, body) == []
    assert (body["id"], body["created"], body["object"]) == ("chatcmpl-r1", 7, "chat.completion")
    assert body["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
    }
    message = body["choices"][1]["message"]
    assert message["role"] == "assistant"
    assert message["reasoning_content"] == "hm"
    assert message["annotations"] == []
    assert [call["function"]["name"] for call in message["tool_calls"]] == ["f", "g"]
    assert body["choices"][1]["logprobs"]["content"][0]["token"] == "a"
    assert body["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 4,
        "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
        "gateway": GATEWAY,
    }


def test_a_held_answer_is_recut_whole() -> None:
    body = recut(Completion((Choice(0, "hi", finish="length"), FULL), id="c9", created=9))
    events = lawful_stream("recut", body)
    assert events[-1]["usage"]["gateway"] == GATEWAY
    assert {(event["id"], event["created"]) for event in events} == {("c9", 9)}
    assert spoken(events, 0) == "hi"
    assert spoken(events, 1) == FULL.text
    choices = [c for event in events for c in event["choices"] if c["index"] == 1]
    pieces = [len(c["delta"].get("content", "")) for c in choices]
    assert sum(pieces) == 1_000
    assert max(pieces) == PIECE
    assert [c["logprobs"] for c in choices if c["logprobs"]] == [LOGPROBS]
    calls = [call for c in choices for call in c["delta"].get("tool_calls", [])]
    assert [(call["index"], call["id"]) for call in calls] == [(0, "c1"), (1, "c2")]
    said = [c["delta"].get("reasoning_content") or c["delta"].get("refusal") for c in choices]
    assert [text for text in said if text] == ["hm", "no"]


OWN_USAGE: dict[str, Any] = {
    "prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3,
    "prompt_tokens_details": {"audio_tokens": 2},
}  # fmt: skip
PROVIDERS_OWN: dict[str, Any] = {
    "id": "c1", "object": "chat.completion", "created": 5, "model": "upstream-name", "new": [1],
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi", "refusal": None},
                 "logprobs": None, "finish_reason": "stop"}],
    "usage": OWN_USAGE,
}  # fmt: skip


def relayed(counted: Usage = USAGE, **fields: Any) -> Any:
    body = json.dumps({**PROVIDERS_OWN, **fields}).encode()
    completion = DIALECTS["openai"].decode(200, {}, body, TARGET)
    assert completion.raw is not UNSET
    return json.loads(rendered(completion, completion.usage or counted))


def test_a_relayed_answer_changes_in_model_and_usage_only() -> None:
    usage = {**OWN_USAGE, "gateway": GATEWAY}
    assert relayed() == {**PROVIDERS_OWN, "model": "catalog-name", "usage": usage}


MESSAGE = {"role": "assistant", "content": "hi"}
"""Without what OpenAI leaves out, now and then."""


@pytest.mark.parametrize("omitted", ["logprobs", "refusal"])
def test_a_relayed_answer_is_given_the_nullable_fields_that_openai_omits(omitted: str) -> None:
    [choice] = PROVIDERS_OWN["choices"]
    message = {name: told for name, told in choice["message"].items() if name != omitted}
    bare = {name: told for name, told in choice.items() if name != omitted} | {"message": message}
    assert relayed(choices=[bare, {**bare, "index": 1}]) == relayed(
        choices=[choice, {**choice, "index": 1}]
    )


@pytest.mark.parametrize("odd", ["1e999", "9" * 5_000, "[" * 500 + "]" * 500], ids=len)
def test_what_cannot_be_mended_is_written_anew(odd: str) -> None:
    choice = PROVIDERS_OWN["choices"][0]
    bare = json.dumps({**PROVIDERS_OWN, "choices": [{**choice, "message": MESSAGE}]})
    body = bare.replace('"index"', f'"unknown": {odd}, "index"', 1).encode()
    completion = DIALECTS["openai"].decode(200, {}, body, TARGET)
    assert (completion.raw, completion.mends) == (Raw(body), ("choices",))
    told = json.loads(rendered(completion))
    told["choices"][0].pop("unknown", None)
    assert told["choices"] == PROVIDERS_OWN["choices"]


@pytest.mark.parametrize("name", PROVIDERS_OWN)
def test_what_a_provider_names_twice_is_told_once(name: str) -> None:
    own = json.dumps(PROVIDERS_OWN)
    body = f'{{"{name}": {json.dumps(PROVIDERS_OWN[name])}, {own[1:]}'.encode()
    completion = DIALECTS["openai"].decode(200, {}, body, TARGET)
    assert completion.raw == Raw(body)
    for told in (
        rendered(completion),
        recut(completion).split(b"\n\n")[-4].removeprefix(b"data: "),
    ):
        names = [key for key, _ in json.loads(told, object_pairs_hook=list)]
        assert len(names) == len(set(names))
        assert "new" in names


@pytest.mark.parametrize(
    ("told_usage", "counted"),
    [
        (None, USAGE),
        ({"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 9}, Usage(2, 7, reasoning=6)),
        ({**OWN_USAGE, "gateway": {"theirs": 1}}, Usage(2, 1)),
        ({**OWN_USAGE, "gateway": None}, Usage(2, 1)),
    ],
)
def test_usage_that_is_not_the_providers_is_written_anew(told_usage: Any, counted: Usage) -> None:
    usage = relayed(counted, usage=told_usage)["usage"]
    assert usage["gateway"] == GATEWAY
    assert usage["total_tokens"] == counted.prompt + counted.completion
    assert usage["completion_tokens_details"]["reasoning_tokens"] == counted.reasoning


def test_what_a_gateway_further_on_tells_is_known_however_it_is_spelt() -> None:
    told = json.dumps({**OWN_USAGE, "gateway": 1}).replace("gateway", r"g\u0061teway")
    body = json.dumps(PROVIDERS_OWN).replace(json.dumps(OWN_USAGE), told).encode()
    completion = DIALECTS["openai"].decode(200, {}, body, TARGET)
    written = rendered(completion, Usage(2, 1))
    assert json.loads(written)["usage"]["gateway"] == GATEWAY
    assert b"u0061" not in written


def test_a_gateway_within_a_detail_is_not_ours() -> None:
    told = {**OWN_USAGE, "cost_details": {"gateway": 0.1}}
    assert relayed(usage=told)["usage"] == {**told, "gateway": GATEWAY}


ERRORS: list[tuple[GatewayError, str, str | None, str]] = [
    (InvalidRequest("no", param="n"), "invalid_request_error", "n", "invalid_request"),
    (BudgetExceeded("no"), "insufficient_quota", None, "budget_exceeded"),
    (GatewayError("no"), "server_error", None, "internal_error"),
    (
        Rejected("no", param="stop", upstream_code="unsupported_parameter"),
        "invalid_request_error",
        "stop",
        "unsupported_parameter",
    ),
    (Unsuitable("no"), "invalid_request_error", None, "unsuitable"),
]


@pytest.mark.parametrize(("error", "kind", "param", "code"), ERRORS)
def test_errors(error: GatewayError, kind: str, param: str | None, code: str) -> None:
    shown = {"error": {"message": "no", "type": kind, "param": param, "code": code}}
    assert json.loads(error_body(error)) == shown
    with pytest.raises(sdk.APIError, match="no"):
        ask_streaming(flowing([Delta((ChoiceDelta(0, "a"),))])[: -len(DONE)] + error_event(error))
