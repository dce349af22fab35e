"""What routing needs to know of a request."""

import json
import re
from typing import Any

import pytest
from msgspec import Raw, structs

from gateway.core import media, tokens
from gateway.core.catalog import Check
from gateway.core.chat import ChatRequest, Extras, Look, add_messages, look
from gateway.core.features import Features, read_features
from gateway.core.money import nanos
from gateway.core.plain_messages import read_talk
from tests.core.asked import request, user


def features(request: ChatRequest) -> Features:
    """They are the same whether somebody has looked at the messages or not."""
    seen = structs.replace(request, seen=look(request.json("messages")))
    found = read_features(request)
    assert found == read_features(seen)
    return found


@pytest.mark.parametrize(
    ("messages", "beside", "needs"),
    [
        (user("hi"), {}, set()),
        (user([{"type": "text", "text": "hi"}]), {}, set()),
        (user([{"type": "image_url", "image_url": {"url": "u"}}]), {}, {"vision"}),
        (user([{"type": "input_audio", "input_audio": {}}]), {}, {"audio"}),
        (user([{"type": "file", "file": {}}]), {}, {"files"}),
        (user("hi"), {"tools": []}, {"tools"}),
        (user("hi"), {"functions": []}, {"tools"}),
        (user("hi"), {"response_format": {"type": "json_schema"}}, {"json_schema"}),
        (user("hi"), {"response_format": {"type": "json_object"}}, set()),
        (user("the word image_url"), {}, set()),
        (
            user([{"type": "image_url", "image_url": {"url": "u"}}]),
            {"tools": [], "response_format": {"type": "json_schema"}},
            {"vision", "tools", "json_schema"},
        ),
    ],
)
def test_what_a_model_must_be_able_to_do(
    messages: Any, beside: dict[str, Any], needs: set[str]
) -> None:
    assert features(request(messages, **beside)).needs == needs


NAMES = ("tools", "functions", "web_search_options", "cache_control", "what_nobody_knows")


@pytest.mark.parametrize("name", NAMES)
def test_null_says_nothing(name: str) -> None:
    """Some clients write the fields that they leave out."""
    given: dict[str, Any] = {name: None}
    assert features(request(user("hi"), **given)) == features(request(user("hi")))


@pytest.mark.parametrize(
    ("messages", "beside", "caches"),
    [
        (user("hi"), {}, False),
        (user([{"type": "text", "text": "x", "cache_control": {}}]), {}, True),
        ([{"role": "user", "content": "x", "cache_control": {}}], {}, True),
        (user('{"cache_control": {}}'), {}, False),
        (user("hi"), {"tools": [{"function": {}, "cache_control": {"type": "ephemeral"}}]}, True),
        (user("hi"), {"tools": [{"function": {}}]}, False),
        (user("hi"), {"cache_control": {"type": "ephemeral"}}, True),
        (user("hi"), {"stop": ["cache_control"]}, False),
        (user([{"text": "x"}, {"cachePoint": {"type": "default"}}]), {}, True),
        (user("hi"), {"tools": [{"cachePoint": {"type": "default"}}]}, True),
        (user('{"cachePoint": {}}'), {"tools": [{"function": {"name": "cached"}}]}, False),
    ],
)
def test_whether_a_cache_is_to_be_written(
    messages: Any, beside: dict[str, Any], caches: bool
) -> None:
    assert features(request(messages, **beside)).caches is caches


LONG = "word " * 1_000


@pytest.mark.parametrize(
    ("beside", "sizes"),
    [
        ({"system": LONG}, (1_250, 1_350)),  # Claude's own, at Anthropic, Vertex AI and Bedrock
        ({"system": [{"type": "text", "text": LONG}]}, (1_250, 1_350)),
        ({"output_config": {"format": {"schema": {"description": LONG}}}}, (1_250, 1_350)),
        ({"generationConfig": {"responseSchema": {"description": LONG}}}, (1_250, 1_350)),
        ({"additionalModelRequestFields": {"tools": [{"name": LONG}]}}, (1_250, 1_350)),
        ({"documents": [{"text": LONG}]}, (1_250, 1_350)),  # vLLM's
        ({"what_nobody_knows": LONG}, (1_250, 1_350)),
        ({"metadata": {"a": LONG}, "user": LONG, "stop": [LONG], "logit_bias": {LONG: 1}}, (0, 20)),
    ],
)
def test_what_a_dialect_sends_with_the_messages_is_held_for(
    beside: dict[str, Any], sizes: tuple[int, int]
) -> None:
    low, high = sizes
    asks = request(user("hi"), **beside)
    assert low <= features(asks).bound.counted <= high
    assert low <= len(tokens.text_of(asks)[0]) / 4 <= high, "where it is counted exactly, too"


def test_what_claude_is_told_apart_from_the_messages_is_counted() -> None:
    """Of a provider that tells no usage."""
    assert tokens.count_input(request(user("hi"), system=LONG)) == 1_251


@pytest.mark.parametrize(
    ("beside", "grows"),
    [
        ({}, False),
        ({"tools": None}, False),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, False),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, False),
        ({"tools": [{"type": "function"}, {"type": "web_search_20250305"}]}, True),
        ({"tools": [{"googleSearch": {}}]}, True),
        ({"tools": "no list"}, True),
        ({"mcp_servers": [{"url": "https://x"}]}, True),
        ({"data_sources": [{"type": "azure_search"}]}, True),
        ({"cachedContent": "cachedContents/x"}, True),
    ],
)
def test_whether_a_provider_may_add_to_what_is_read(beside: dict[str, Any], grows: bool) -> None:
    assert features(request(user("hi"), **beside)).bound.grows is grows


CALLED = [
    *user("hi"),
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "a", "content": "3"},
]  # fmt: skip


@pytest.mark.parametrize(
    ("messages", "beside", "more"),
    [
        (CALLED, {}, tokens.TOOL_TOKENS),
        (CALLED[2:], {}, tokens.TOOL_TOKENS),
        (CALLED, {"tools": []}, tokens.TOOL_TOKENS),
        (user("hi"), {}, 0),
        (user(json.dumps(CALLED)), {}, 0),
        ([{"role": "assistant", "content": "hi", "tool_calls": [], "tool_call_id": ""}], {}, 0),
    ],
)
def test_tools_that_were_called_are_held_for_where_none_are_declared(
    messages: Any, beside: dict[str, Any], more: int
) -> None:
    """Claude's are declared anew, which its API tells the model of in hundreds of tokens."""
    asks = request(messages, **beside)
    seen = read_talk(bytes(asks.fields["messages"]))
    assert seen is not None
    for each in (asks, structs.replace(asks, seen=seen)):
        assert read_features(each).bound.beside == tokens.AROUND_TOKENS + more


HOUR = {"type": "ephemeral", "ttl": "1h"}


@pytest.mark.parametrize(
    ("messages", "beside", "an_hour"),
    [
        (user([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]), {}, False),
        (user([{"type": "text", "text": "x", "cache_control": HOUR}]), {}, True),
        (user("hi"), {"tools": [{"function": {}, "cache_control": HOUR}]}, True),
        (user("in 1h"), {"stop": "1h"}, False),
        (user([{"text": "x"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]), {}, True),
    ],
)
def test_whether_a_cache_is_to_be_kept_for_an_hour(
    messages: Any, beside: dict[str, Any], an_hour: bool
) -> None:
    assert features(request(messages, **beside)).caches_1h is an_hour


def test_what_the_client_asked_of_the_gateway() -> None:
    asked = request(user("hi"), max_tokens=7, n=2)
    extras = Extras(region="eu", max_cost_usd="0.5", checks=("sql",))
    found = features(structs.replace(asked, extras=extras))
    messages = bytes(asked.fields["messages"])
    bound = tokens.bound(asked, messages, media.media_of(asked, messages))
    assert structs.asdict(found) == {
        "bound": bound,
        "max_latency_s": None,
        "output": 7,
        "n": 2,
        "needs": frozenset(),
        "caches": False,
        "caches_1h": False,
        "searches": 0,
        "region": "eu",
        "max_cost": nanos("0.5"),
        "checks": (Check("sql"),),
    }
    plain = features(asked)
    assert (plain.region, plain.max_cost, plain.checks) == (None, None, None)


IMAGE = user([{"type": "image_url", "image_url": {"url": "u"}}])
MARKED = user([{"type": "text", "text": "x", "cache_control": HOUR}])


@pytest.mark.parametrize(
    ("messages", "beside"),
    [
        (IMAGE, {}),
        (MARKED, {}),
        (user("hi"), {"tools": [{"cache_control": HOUR}]}),
    ],
    ids=["a part", "a mark", "a mark beside the messages"],
)
def test_nothing_hides_behind_escapes(messages: Any, beside: dict[str, Any]) -> None:
    """Providers read them: so has who holds money for what it costs."""
    open_ = request(messages, **beside)
    hidden = {
        name: Raw(re.sub(rb"[a-z1]", lambda found: b"\\u%04x" % ord(found[0]), bytes(raw)))
        for name, raw in open_.fields.items()
    }
    asked = features(open_)
    for seen in (None, look(messages)):
        found = read_features(ChatRequest(hidden, "auto", seen=seen))
        for name in ("needs", "caches", "caches_1h"):
            assert getattr(found, name) == getattr(asked, name), (name, seen)
        assert found.bound is not None
        assert asked.bound is not None
        assert found.bound.beside == asked.bound.beside


@pytest.mark.parametrize(
    ("messages", "seen"),
    [
        ([], Look(plain=True, said="")),
        (user("hi"), Look(plain=True, said="hi")),
        ([*user("a"), *user("b"), {"role": "assistant", "content": "c"}], Look(True, "b")),
        (user(None), Look(plain=False, said="")),
        (user([{"type": "text", "text": "a"}, {"text": 1}, 2, {"text": "b"}]), Look(False, "a\nb")),
        (user("x" * 5_000), Look(plain=True, said="x" * 4_000)),
        ([{"role": "user", "content": "hi", "name": "n"}], Look(plain=False, said="hi")),
        ([{"role": "assistant", "tool_calls": []}, *user("a")], Look(plain=False, said="a")),
        ([{"role": "system", "content": "be brief"}], Look(plain=True, said="")),
    ],
)
def test_what_is_seen_of_messages(messages: list[Any], seen: Look) -> None:
    assert look(messages) == seen


def test_who_adds_messages_has_not_been_seen() -> None:
    asked = structs.replace(request(user("hi")), seen=Look(plain=True, said="hi"))
    assert add_messages(asked, IMAGE).seen is None


@pytest.mark.parametrize(
    ("last", "becomes"),
    [
        ("hi", "hi\n\nmore\n\nand more"),
        (
            [{"type": "text", "text": "hi"}],
            [{"type": "text", "text": text} for text in ("hi", "more", "and more")],
        ),
    ],
)
def test_what_is_added_goes_on_in_the_message_of_the_user(last: Any, becomes: Any) -> None:
    """Two in a row are refused by some chat templates."""
    said = [*user("a"), {"role": "assistant", "content": "b"}]
    whole = add_messages(request([*said, *user(last)]), [*user("more"), *user("and more")])
    assert whole.json("messages") == [*said, *user(becomes)]
    whole = add_messages(request(said), user("more"))
    assert whole.json("messages") == [*said, *user("more")]
