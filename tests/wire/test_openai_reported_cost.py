"""What a provider says that a call costs is read from its usage, whole and streamed."""

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from gateway.core.chat import Usage
from gateway.core.errors import UpstreamError
from gateway.wire import openai
from gateway.wire.dialect import Target
from gateway.wire.openai.reported_cost import MOST_USD, reported_cost
from tests import oracle
from tests.recordings import recordings
from tests.wire.chats import last_usage

TARGET: Final = Target("m", 9)
COUNTS: Final = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
HEAD: Final = {"id": "x", "created": 1, "model": "m"}
BYOK: Final = {"cost": 0.001, "cost_details": {"upstream_inference_cost": 0.02}}

TOLD: list[tuple[dict[str, Any], int]] = [
    # OpenRouter's, and of those that imitate it
    ({"cost": 0.00333825, "is_byok": False}, 3_338_250),
    ({"cost": 0.00013783000000000001}, 137_830),
    ({"cost": 1e-10}, 1),
    ({"cost": 2}, 2_000_000_000),
    ({**BYOK, "is_byok": True}, 21_000_000),
    ({**BYOK, "is_byok": False}, 1_000_000),
    (BYOK, 1_000_000),
    ({**BYOK, "is_byok": True, "cost": 0}, 20_000_000),
    ({**BYOK, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, 1_000_000),
    ({**BYOK, "is_byok": True, "cost_details": None}, 1_000_000),
    # Perplexity's
    ({"cost": {"request_cost": 0.005, "total_cost": 0.00515}}, 5_150_000),
    ({"cost": {"currency": "USD", "total_cost": 0.00515}}, 5_150_000),
    ({"cost": {"request_cost": 0.005}}, 0),
    # xAI's
    ({"cost_in_usd_ticks": 37_756_000}, 3_775_600),
    ({"cost_in_usd_ticks": 37_756_001}, 3_775_601),
    ({"cost_in_usd_ticks": 37_756_000.0}, 3_775_600),
    # DeepInfra's, and this gateway's own
    ({"estimated_cost": 8.775e-06}, 8_775),
    ({"gateway": {"cost_usd": 0.0025, "attempts": []}}, 2_500_000),
    ({"cost": 0.001, "gateway": {"cost_usd": 0.0025}}, 2_500_000),
    ({"cost": 0.001, "estimated_cost": 0.002, "cost_in_usd_ticks": 1}, 2_000_000),
    # What says nothing
    ({}, 0),
    ({"cost": 0, "estimated_cost": 0.0, "cost_in_usd_ticks": 0}, 0),
    ({"cost": None, "estimated_cost": None, "cost_in_usd_ticks": None, "gateway": None}, 0),
    # What cannot be believed
    ({"cost": -0.001}, 0),
    ({"cost": MOST_USD}, 0),
    ({"cost": 10**30}, 0),
    ({"cost_in_usd_ticks": MOST_USD * 10**10}, 0),
    ({"cost": True}, 0),
    ({"cost": "0.005"}, 0),
    ({"cost": [0.005]}, 0),
    ({"cost": {"total_cost": {}}}, 0),
    ({"cost": -1, "estimated_cost": 0.002}, 2_000_000),
    # Other money
    ({"cost": 0.5, "cost_currency": "EUR"}, 0),
    ({"cost": 0.5, "currency": "CNY"}, 0),
    ({"cost": {"currency": "EUR", "total_cost": 0.5}}, 0),
    ({"cost": 0.5, "cost_currency": "usd", "currency": None}, 500_000_000),
    ({"cost": 0.5, "currency": ["USD"]}, 0),
]  # fmt: skip


def whole(usage: dict[str, Any], *, strict: bool) -> bytes:
    message = {"role": "assistant", "content": "Hi", "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    kind = {"object": "chat.completion"} if strict else {}
    return json.dumps({**HEAD, **kind, "choices": [choice], "usage": usage}).encode()


def stream(*usages: dict[str, Any], strict: bool) -> bytes:
    piece = {"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    kind = {"object": "chat.completion.chunk"} if strict else {}
    chunks: list[dict[str, Any]] = [{"choices": [piece]}]
    chunks += [{"choices": [], "usage": usage} for usage in usages]
    lines = [b"data: %b\n\n" % json.dumps({**HEAD, **kind, **each}).encode() for each in chunks]
    return b"".join([*lines, b"data: [DONE]\n\n"])


def read(body: bytes) -> Usage | None:
    decoder = openai.decoder(TARGET)
    return last_usage([*decoder.feed(body), *decoder.finish()])


@pytest.mark.parametrize(("more", "nanos"), TOLD)
@pytest.mark.parametrize("strict", [True, False])
def test_it_is_read_whole_and_streamed(more: dict[str, Any], nanos: int, strict: bool) -> None:
    usage = {**COUNTS, **more}
    assert reported_cost(usage) == nanos
    found = openai.decode(200, {}, whole(usage, strict=strict), TARGET)
    assert found.usage == Usage(3, 5, reported_cost=nanos)
    assert (found.raw is not UNSET) is strict
    assert bool(found.mends) is (strict and "gateway" in more), "the client is given what it says"
    assert read(stream(usage, strict=strict)) == found.usage


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
                    lambda inner: st.dictionaries(st.sampled_from(["total_cost", "currency", "x"]),
                                                  inner) | st.lists(inner)))  # fmt: skip
def test_whatever_is_said_of_it_gives_an_amount_or_none(value: Any) -> None:
    for name in ("cost", "cost_in_usd_ticks", "estimated_cost", "gateway"):
        assert 0 <= reported_cost({name: value, "is_byok": True}) < MOST_USD * 10**9


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"1" * 400])
def test_what_cannot_be_read_of_it_takes_no_answer_away(number: bytes) -> None:
    body = whole({**COUNTS, "cost": 7}, strict=True).replace(b'"cost": 7', b'"cost": ' + number)
    found = openai.decode(200, {}, body, TARGET)
    assert found.usage == Usage(3, 5)
    assert found.raw is not UNSET


@pytest.mark.parametrize("strict", [True, False])
def test_the_last_one_of_a_stream_stands(strict: bool) -> None:
    first, last = ({**COUNTS, "cost": cost} for cost in (0.004, 0.003))
    assert read(stream(first, last, strict=strict)) == Usage(3, 5, reported_cost=3_000_000)


def test_it_stands_beside_other_details() -> None:
    usage = {
        **COUNTS,
        "prompt_tokens_details": {"cached_tokens": 2, "audio_tokens": 1},
        "server_tool_use": {"web_search_requests": 4},
        "cost": 0.001,
    }
    expected = Usage(3, 5, 2, audio_prompt=1, searches=4, reported_cost=1_000_000)
    for strict in (True, False):
        assert openai.decode(200, {}, whole(usage, strict=strict), TARGET).usage == expected


def test_it_is_read_from_the_last_choice_of_a_stream() -> None:
    """Where Kimi has its usage."""
    choice = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}
    usage = {**COUNTS, "cost": 0.001}
    chunk = {**HEAD, "choices": [{**choice, "usage": usage}]}
    body = b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(chunk).encode()
    assert read(body) == Usage(3, 5, reported_cost=1_000_000)


@pytest.mark.parametrize("tokens", [3, 0])
def test_an_error_that_tells_what_it_cost_is_billed(tokens: int) -> None:
    """Also one of whose tokens nothing is said."""
    usage = {**COUNTS, "prompt_tokens": tokens, "cost": 0.001}
    failed = {"error": {"message": "it broke", "code": 502}, "usage": usage}
    with pytest.raises(UpstreamError) as caught:
        openai.decode(200, {}, json.dumps(failed).encode(), TARGET)
    assert caught.value.usage is not None
    assert caught.value.usage.reported_cost == 1_000_000
    with pytest.raises(UpstreamError) as caught:
        read(b"data: %b\n\n" % json.dumps(failed).encode())
    assert caught.value.usage is not None
    assert caught.value.usage.reported_cost == 1_000_000


@pytest.mark.parametrize(("provider", "files"), [("openrouter", 22), ("xai", 19)])
def test_recorded_answers_tell_of_it(provider: str, files: int) -> None:
    """How much, is held against what the vendor's SDK read, in test_every_provider.py."""
    found = 0
    for recording in recordings(provider):
        if oracle.failed(recording):
            continue
        usage = oracle.understood(recording)["usage"]
        found += bool(usage and usage.reported_cost)
    assert found == files
