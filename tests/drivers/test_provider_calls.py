"""What a call is told of its plan and of its deployment, whatever was asked before."""

import json
import time
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from msgspec import structs

from gateway.core.chat import ChatRequest, Usage
from gateway.core.errors import Broken, Reset, Unsuitable
from gateway.core.money import Nanos, Surcharges
from gateway.core.plan import Candidate
from gateway.drivers.upstream import provider_calls
from gateway.drivers.upstream.provider_calls import ProviderCalls
from gateway.drivers.upstream.provider_flow import ProviderFlow
from gateway.wire.dialect import HttpCall
from gateway.wire.silence import MAX_SILENT_EVENTS
from tests.config.texts import SOUND, snapshot

BODY = b'{"model":"m1","messages":[{"role":"user","content":"x"}]}'


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("prompt", "window"), [(10, 4_096), (5_000, 8_192), (7_000, 8_192)])
def test_the_window_holds_what_was_planned(prompt: int, window: int, stream: bool) -> None:
    found = snapshot(SOUND.replace("dialect: openai", "dialect: ollama"))
    model = msgspec.structs.replace(found.catalog.models["m1"], usable_context=8_192)
    candidate = Candidate(model, model.deployments[0], "none", 100, Nanos(0), prompt=prompt)
    request = ChatRequest(msgspec.json.decode(BODY, type=dict[str, msgspec.Raw]), "m1")
    call = ProviderCalls(found.providers).write(candidate, request, stream=stream)
    assert json.loads(call.http.body)["options"] == {"num_ctx": window, "num_predict": 100}


def asks(calls: ProviderCalls, name: str, quirk: str, context: int) -> dict[str, Any]:
    """What a deployment of this name is sent, which knows its output limit by that name."""
    model = snapshot(SOUND).catalog.models["m1"]
    here = structs.replace(model.deployments[0], name=name, quirks=frozenset({quirk}))
    model = structs.replace(model, deployments=(here,), context=context)
    candidate = Candidate(model, here, "none", 100, Nanos(0))
    request = ChatRequest(msgspec.json.decode(BODY, type=dict[str, msgspec.Raw]), "m1")
    call = calls.write(candidate, request, stream=False)
    sent: dict[str, Any] = json.loads(call.http.body)
    return {**sent, "most": call.max_usage_tokens}


@pytest.mark.parametrize("most", [4096, 2], ids=["all are known", "two are known"])
def test_each_deployment_is_asked_in_its_own_way(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also two of one name, as there are while a configuration changes."""
    monkeypatch.setattr(provider_calls, "_MAX_SETUPS", most)
    ways = [
        (name, quirk, context)
        for name in ("a/m1", "b/m1", "c/m1")
        for quirk in ("max_tokens", "max_completion_tokens")
        for context in (1_000, 2_000)
    ]
    providers = snapshot(SOUND).providers
    calls = ProviderCalls(providers)
    for way in ways * 2:
        sent = asks(calls, *way)
        assert sent == asks(ProviderCalls(providers), *way)
        assert (sent[way[1]], sent["most"]) == (100, 100 * way[2])
        assert len(calls._setups) <= most


@pytest.mark.parametrize("quirks", ["[]", "[gs_uris]"])
def test_a_file_in_a_bucket_is_not_read_at_googles_openai_door_either(quirks: str) -> None:
    found = snapshot(SOUND.replace("regions: [eu]", f"auth: {{google: {{}}}}, quirks: {quirks}"))
    model = found.catalog.models["m1"]
    candidate = Candidate(model, model.deployments[0], "none", 100, Nanos(0))
    body = BODY.replace(b'"x"', rb'[{"type":"image_url","image_url":{"url":"gs:\/\/b/a.png"}}]')
    request = ChatRequest(msgspec.json.decode(body, type=dict[str, msgspec.Raw]), "m1")
    calls = ProviderCalls(found.providers, {"local": Unsigned()})
    if quirks == "[]":
        with pytest.raises(Unsuitable) as refused:
            calls.write(candidate, request, stream=False)
        place = "messages[0].content[0].image_url.url"
        assert (refused.value.status, refused.value.param) == (400, place)
    else:
        assert b"b/a.png" in calls.write(candidate, request, stream=False).http.body


class Unsigned:
    async def sign(self, url: str, call: HttpCall, timeout_s: float) -> Mapping[str, str]:
        return {}

    def refused(self) -> None: ...

    async def aclose(self) -> None: ...


def flow(dialect: str = "openai") -> ProviderFlow:
    found = snapshot(SOUND.replace("dialect: openai", f"dialect: {dialect}"))
    model = found.catalog.models["m1"]
    candidate = Candidate(model, model.deployments[0], "none", 100, Nanos(0))
    request = ChatRequest(msgspec.json.decode(BODY, type=dict[str, msgspec.Raw]), "m1")
    calls = ProviderCalls(found.providers)
    return ProviderFlow(calls.write(candidate, request, stream=True))


def piece(text: str, *, usage: bool) -> bytes:
    """One chunk, as OpenAI writes it."""
    delta = {"content": text}
    chunk: dict[str, Any] = {"id": "x", "object": "chat.completion.chunk", "created": 1}
    chunk |= {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    if usage:
        chunk["usage"] = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


@pytest.mark.parametrize("usage", [False, True], ids=["plain", "each counted"])
def test_what_says_nothing_waits_however_much_it_is_and_costs_no_more(usage: bool) -> None:
    """Some tell an empty piece for each token of a thought that they do not show."""
    silence, one = flow(), piece("", usage=usage)
    started = time.process_time()
    assert not [told for _ in range(6_000) for told in silence.read(one)]
    (told,) = silence.read(piece("hi", usage=False))
    assert time.process_time() - started < 2
    assert len(told) == 6_001
    assert told[-1].choices[0].text == "hi"


def test_what_says_nothing_without_end_is_broken() -> None:
    silence, some = flow(), piece("", usage=True) * 64
    for _ in range(MAX_SILENT_EVENTS // 64):
        assert not list(silence.read(some))
    with pytest.raises(Broken, match="says nothing"):
        list(silence.read(some))


@pytest.mark.parametrize("block", [False, True], ids=["a head", "a block that is empty"])
def test_what_a_message_began_with_is_charged_where_the_connection_breaks(block: bool) -> None:
    message = {"id": "msg_1", "usage": {"input_tokens": 9, "output_tokens": 1}}
    empty = {"type": "content_block_start", "index": 0}
    empty["content_block"] = {"type": "text", "text": ""}
    begun = flow("anthropic")
    for event in [{"type": "message_start", "message": message}, *[empty] * block]:
        assert not list(begun.read(b"data: %b\n\n" % msgspec.json.encode(event)))
    error = Reset("the connection broke")
    begun.prepare_error(error, {})
    assert error.usage == Usage(9)


MARKED = '{"model":"m1","messages":[{"role":"user","content":[{"type":"text","text":"x",MARK}]}]}'
FOR_AN_HOUR = '"cache_control":{"type":"ephemeral","ttl": "1h"}'


@pytest.mark.parametrize(
    ("upstream", "mark", "flagged", "an_hour"),
    [
        ("anthropic/claude-x", FOR_AN_HOUR, True, True),
        ("anthropic/claude-x", '"cache_control":{"type":"ephemeral"},"a":"1h"', True, False),
        ("anthropic/claude-x", FOR_AN_HOUR, False, False),
        ("qwen/qwen-x", FOR_AN_HOUR, True, False),
    ],
    ids=["Claude's", "for five minutes", "not planned so", "no other keeps it so long"],
)
def test_what_is_kept_for_an_hour_is_known_with_the_answer(
    upstream: str, mark: str, flagged: bool, an_hour: bool
) -> None:
    found = snapshot(SOUND)
    model = found.catalog.models["m1"]
    here = structs.replace(model.deployments[0], upstream=upstream)
    asks = Surcharges(an_hour=flagged)
    candidate = Candidate(model, here, "none", 100, Nanos(0), surcharges=asks)
    fields = msgspec.json.decode(MARKED.replace("MARK", mark), type=dict[str, msgspec.Raw])
    call = ProviderCalls(found.providers).write(candidate, ChatRequest(fields, "m1"), stream=False)
    assert call.target.an_hour is an_hour
