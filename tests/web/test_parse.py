"""A client's bytes to a request, or one error that names the field."""

import json
import re
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chat import ChatRequest, Extras, look
from gateway.core.errors import InvalidRequest
from gateway.web.parse import read_request

MESSAGES = [{"role": "user", "content": "hi"}]
LEAST = {"model": "auto", "messages": MESSAGES}
MB = 10**6


def parsed(body: bytes, headers: dict[str, str] | None = None) -> ChatRequest:
    return read_request(body, headers or {}, 64)


def asked(headers: dict[str, str] | None = None, **fields: Any) -> ChatRequest:
    return parsed(json.dumps(LEAST | fields).encode(), headers)


def refused(body: bytes, headers: dict[str, str] | None = None) -> tuple[str | None, str]:
    with pytest.raises(InvalidRequest) as caught:
        parsed(body, headers)
    assert caught.value.status == 400
    return caught.value.param, str(caught.value)


# What is read --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"stream": True}, {"stream": True}),
        ({"stream": None, "n": None, "user": None, "max_tokens": None}, {}),
        (
            {"stream": True, "stream_options": {"include_usage": True}},
            {"stream": True, "include_usage": True},
        ),
        ({"stream_options": {"include_usage": None}}, {}),
        ({"max_tokens": 7}, {"max_tokens": 7}),
        ({"max_completion_tokens": 8}, {"max_tokens": 8}),
        ({"max_tokens": 7, "max_completion_tokens": 8}, {"max_tokens": 8}),
        ({"n": 128, "user": "é" * 256}, {"n": 128, "user": "é" * 256}),
        ({"stop": ["a"], "tools": [{}], "tool_choice": "auto", "logprobs": True}, {}),
    ],
)
def test_what_is_read(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    request = asked(**fields)
    found = msgspec.structs.asdict(request)
    del found["fields"], found["shape"]
    plain = {"model": "auto", "stream": False, "include_usage": False, "max_tokens": None, "n": 1}
    size = len(bytes(request.fields["messages"]))
    seen = msgspec.structs.replace(look(request.json("messages")), size=size)
    read = {"user": None, "extras": Extras(), "seen": seen}
    assert found == plain | read | expected


def test_what_we_do_not_know_is_kept_byte_for_byte() -> None:
    values = {
        "new_field": b'{ "b" : 1.0, "a":[1e2 , "\\u00e9\\n"],"b":2 }',
        "messages": b'[ {"role":"user","content":"\xc3\xa9 \\ud83d\\ude00","name":null} ]',
        "temperature": b"0.70",
        "metadata": b"{}",
    }
    body = b'{"model":"m",%b}' % b",".join(b'"%b": %b' % (n.encode(), v) for n, v in values.items())
    fields = parsed(body).fields
    assert {name: bytes(fields[name]) for name in values} == values


def test_what_is_never_used_is_dropped() -> None:
    never = ("api_base", "base_url", "api_key", "headers", "extra_headers")
    evil = dict.fromkeys(never, "https://evil.example")
    request = parsed(json.dumps(LEAST | evil | {"gateway": {"region": "eu"}}).encode())
    assert sorted(request.fields) == ["messages", "model"]


def test_of_a_key_given_twice_the_last_counts_everywhere() -> None:
    request = parsed(b'{"model":"a","messages":[{"role":"user"}],"mod\\u0065l":"b"}')
    assert (request.model, request.json("model")) == ("b", "b")


def test_of_messages_given_twice_the_last_are_all_that_is_read() -> None:
    request = parsed(b'{"model":"a","messages":[5],"messages":[{"role":"user"}]}')
    assert request.json("messages") == [{"role": "user"}]


# What is refused -----------------------------------------------------------------------------

WRONG: list[tuple[dict[str, Any], str, str]] = [
    # fields beside model and messages, the param, the message
    ({"model": None}, "model", "'model' has the wrong type: Expected `str`, got `null`."),
    ({"model": 5}, "model", "'model' has the wrong type: Expected `str`, got `int`."),
    ({"messages": "hi"}, "messages", "'messages' has the wrong type: Expected `array`, got `str`."),
    ({"messages": []}, "messages", "'messages' must hold at least one message."),
    ({"messages": [5]}, "messages[0]", "'messages[0]' has the wrong type"),
    ({"messages": [*MESSAGES, {}]}, "messages[1].role", "'messages[1].role' is missing."),
    ({"messages": [{"role": 1}]}, "messages[0].role", "'messages[0].role' has the wrong type"),
    ({"messages": [{"role": "bogus"}]}, "messages[0].role", "is 'bogus'; allowed are system"),
    (
        {"messages": [*MESSAGES, {"role": "user", "content": 5}]},
        "messages[1].content",
        "has the wrong type: Expected `str | array | null`",
    ),
    ({"top_logprobs": "x"}, "top_logprobs", "has the wrong type"),
    ({"logit_bias": "x"}, "logit_bias", "has the wrong type"),
    ({"functions": "x"}, "functions", "has the wrong type"),
    ({"modalities": "x"}, "modalities", "has the wrong type"),
    ({"metadata": "x"}, "metadata", "has the wrong type"),
    ({"store": "x"}, "store", "has the wrong type"),
    ({"reasoning_effort": 5}, "reasoning_effort", "has the wrong type"),
    ({"service_tier": 4}, "service_tier", "has the wrong type"),
    ({"stream": "yes"}, "stream", "'stream' has the wrong type: Expected `bool | null`"),
    ({"stream": 1}, "stream", "'stream' has the wrong type"),
    ({"stream_options": 1}, "stream_options", "'stream_options' has the wrong type"),
    (
        {"stream_options": {"include_usage": 1}},
        "stream_options.include_usage",
        "'stream_options.include_usage' has the wrong type",
    ),
    ({"max_tokens": "7"}, "max_tokens", "Expected `int | null`, got `str`"),
    ({"max_tokens": 7.5}, "max_tokens", "'max_tokens' has the wrong type"),
    ({"max_tokens": True}, "max_tokens", "'max_tokens' has the wrong type"),
    ({"max_tokens": 0}, "max_tokens", "'max_tokens' must be at least 1."),
    ({"max_completion_tokens": -1}, "max_completion_tokens", "must be at least 1."),
    ({"n": 0}, "n", "'n' must be from 1 to 128."),
    ({"n": 129}, "n", "'n' must be from 1 to 128."),
    ({"user": "x" * 257}, "user", "'user' must be at most 256 printable characters."),
    ({"user": "a\nb"}, "user", "printable"),
    ({"user": 7}, "user", "'user' has the wrong type"),
    ({"temperature": "hot"}, "temperature", "'temperature' has the wrong type"),
    ({"stop": 5}, "stop", "'stop' has the wrong type"),
    ({"stop": ["a", 5]}, "stop[1]", "'stop[1]' has the wrong type"),
    ({"tools": {}}, "tools", "'tools' has the wrong type"),
    ({"tools": ["x"]}, "tools[0]", "'tools[0]' has the wrong type"),
    ({"tool_choice": 5}, "tool_choice", "'tool_choice' has the wrong type"),
    ({"response_format": "json"}, "response_format", "'response_format' has the wrong type"),
    ({"gateway": "eu"}, "gateway", "'gateway' has the wrong type"),
    ({"gateway": {"regio": "eu"}}, "gateway.regio", "is unknown; allowed are region, max_cost_usd"),
    ({"gateway": {"region": 5}}, "gateway.region", "'gateway.region' has the wrong type"),
    ({"gateway": {"max_cost_usd": 0}}, "gateway.max_cost_usd", "above 0"),
    ({"gateway": {"max_cost_usd": -1.5}}, "gateway.max_cost_usd", "above 0"),
    ({"gateway": {"max_cost_usd": True}}, "gateway.max_cost_usd", "above 0"),
    ({"gateway": {"max_cost_usd": "cheap"}}, "gateway.max_cost_usd", "above 0"),
    ({"gateway": {"max_cost_usd": "NaN"}}, "gateway.max_cost_usd", "above 0"),
    ({"gateway": {"max_cost_usd": "1_0"}}, "gateway.max_cost_usd", "above 0"),
    ({"gateway": {"max_cost_usd": "\u0663"}}, "gateway.max_cost_usd", "above 0"),
    ({"gateway": {"max_cost_usd": "1e" + "9" * 38}}, "gateway.max_cost_usd", "above 0"),
    ({"gateway": {"max_cost_usd": "1-1"}}, "gateway.max_cost_usd", "above 0"),
    ({"gateway": {"max_cost_usd": "9e999999"}}, "gateway.max_cost_usd", "at most 9,000,000"),
    ({"gateway": {"max_cost_usd": "1" * 41}}, "gateway.max_cost_usd", "at most 9,000,000"),
    ({"gateway": {"max_cost_usd": []}}, "gateway.max_cost_usd", "has the wrong type"),
    ({"gateway": {"max_latency_ms": 0}}, "gateway.max_latency_ms", "must be from 1 to 86400000"),
    ({"gateway": {"max_latency_ms": 10**400}}, "gateway.max_latency_ms", "must be from 1 to"),
    ({"gateway": {"max_latency_ms": 1.5}}, "gateway.max_latency_ms", "has the wrong type"),
    ({"gateway": {"checks": "sql"}}, "gateway.checks", "has the wrong type"),
    ({"gateway": {"checks": ["magic"]}}, "gateway.checks", "has 'magic'; allowed are citation"),
    ({"gateway": {"checks": ["regex"]}}, "gateway.checks", "has 'regex'; allowed are"),
    ({"gateway": {"checks": ["sql", "sql"]}}, "gateway.checks", "names a check twice"),
    (
        {"gateway": {"strategy": "guess"}},
        "gateway.strategy",
        "is 'guess'; allowed are arbitrate, casc",
    ),
    ({"gateway": {"region": "e" * 129}}, "gateway.region", "must be at most 128 characters"),
    ({"gateway": {"tags": {"team": 5}}}, "gateway.tags", "has the wrong type"),
    ({"gateway": {"tags": ["a"]}}, "gateway.tags", "has the wrong type"),
    ({"gateway": {"regio": None}}, "gateway.regio", "is unknown; allowed are region"),
]


@pytest.mark.parametrize(("fields", "param", "told"), WRONG, ids=lambda v: str(v)[:40])
def test_each_wrong_field_is_named(fields: dict[str, Any], param: str, told: str) -> None:
    found, message = refused(json.dumps(LEAST | fields).encode())
    assert re.sub(r"\[\.\.\.\]$", "", found or "") == param
    assert told in message


BODIES: list[tuple[bytes, str | None, str]] = [
    (b'{"messages":[{"role":"user"}]}', "model", "'model' is missing."),
    (b'{"model":"m"}', "messages", "'messages' is missing."),
    (b"", None, "not valid JSON"),
    (b"   ", None, "not valid JSON"),
    (b'{"model":"\\ud800"}', None, "no valid Unicode"),
    (
        b'{"model":"m","messages":[{"role":"user","content":"a\\ud800 b"}]}',
        None,
        "no valid Unicode",
    ),
    (b'{"model":"\\\\ud800', None, "not valid JSON: Input data was truncated"),
    (b"{", None, "not valid JSON"),
    (b"[]", None, "The body must be a JSON object"),
    (b'[{"model":"m"}]', None, "The body must be a JSON object"),
    (b"null", None, "The body must be a JSON object"),
    (b'"model"', None, "The body must be a JSON object"),
    (b"{}{}", None, "not valid JSON"),
    (b"\xef\xbb\xbf{}", None, "not valid JSON"),
    (json.dumps(LEAST).encode("utf-16"), None, "not valid JSON"),
    (b'{"model":"m","messages":[{"role":"user"}],}', None, "not valid JSON"),
    (b"{'model':'m'}", None, "not valid JSON"),
]
INSIDE = [  # a value somewhere in a message: JSON that is none, wherever it stands
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" * 5_000, b"01", b"+1", b".5", b"1.", b"tru",
    b'"\xff"', b'"\xc3"', b'"\xed\xa0\x80"', b'"\\ud800"', b'"\\udc00"', b'"\\ud800x"', b'"\\q"',
    b'"\\u12"', b'"a\nb"', b'"a\x00b"', b'"', b"'a'", b"// no\n1",
]  # fmt: skip


@pytest.mark.parametrize(("body", "param", "told"), BODIES)
def test_each_wrong_body(body: bytes, param: str | None, told: str) -> None:
    found, message = refused(body)
    assert found == param
    assert told in message


@pytest.mark.parametrize("value", INSIDE, ids=lambda v: str(v)[:20])
@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":[{"role":"user","content":%b}]}',
        b'{"model":"m","messages":[{"role":"user"}],"tools":[{"x":%b}]}',
    ],
    ids=["in a message", "in a tool"],
)
def test_nothing_that_is_no_json_comes_in_anywhere(body: bytes, value: bytes) -> None:
    assert "not valid JSON" in refused(body % value)[1]


@pytest.mark.parametrize("value", INSIDE, ids=lambda v: str(v)[:20])
def test_what_we_do_not_know_is_json_too(value: bytes) -> None:
    body = b'{"model":"m","messages":[{"role":"user"}],"new":{"x":[%b]}}' % value
    if value in (b"1e999", b"1" * 5_000):  # JSON, of a size that only its reader can judge
        assert bytes(read_request(body, {}, 64).fields["new"]) == b'{"x":[%b]}' % value
        with pytest.raises(InvalidRequest, match="'new' cannot be read"):
            read_request(body, {}, 64).json("new")
    else:
        assert "not valid JSON" in refused(body)[1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["model", "messages", "n", "user", "gateway", "x"]), JSON))
def test_any_object_is_a_request_or_an_error(fields: dict[str, Any]) -> None:
    body = json.dumps(LEAST | fields).encode()
    try:
        request = parsed(body)
    except InvalidRequest as error:
        named = error.param
    else:
        named = "none"
        sent = {name: value for name, value in json.loads(body).items() if name != "gateway"}
        assert {name: request.json(name) for name in request.fields} == sent
    assert named, "a wrong field is named"


@given(st.binary(max_size=40), st.integers(0, 60))
def test_any_bytes_are_a_request_or_an_error(noise: bytes, at: int) -> None:
    body = json.dumps(LEAST).encode()
    for changed in (noise, body[:at] + noise + body[at:]):
        try:
            request = parsed(changed)
        except InvalidRequest:
            continue
        for name in request.fields:
            request.json(name)


# How deep, and how long it takes -------------------------------------------------------------


def nested(levels: int, opens: str = "[", closes: str = "]") -> bytes:
    """A body of so many levels in all, the outermost object being the first."""
    value = opens * (levels - 1) + "1" + closes * (levels - 1)
    return b'{"model":"m","messages":[{"role":"user"}],"x":%b}' % value.encode()


@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}")])
def test_64_levels_and_no_more(opens: str, closes: str) -> None:
    parsed(nested(64, opens, closes))
    assert refused(nested(65, opens, closes)) == (None, "The body nests deeper than 64 levels.")


@pytest.mark.parametrize("text", ["[{" * 100, '[{"\\' * 100, "\\" * 101 + "{" * 100])
def test_brackets_in_strings_are_no_levels(text: str) -> None:
    request = asked(messages=[{"role": "user", "content": text}], x=[[]] * 100)
    assert request.json("messages")[0]["content"] == text


BOMBS = {
    "deep": b'{"x":' + b"[" * (5 * MB) + b"]" * (5 * MB) + b"}",
    "unended": b'{"x":' + b"[" * (10 * MB),
    "objects": b'{"a":' * (2 * MB) + b"1" + b"}" * (2 * MB),
    "wide": b'{"x":[' + b"[]," * (3 * MB) + b"1]}",
    "wide and deep": b'{"x":[' + (b"[" * 60 + b"]" * 60 + b",") * (MB // 12) + b"1]}",
    "quotes": b'{"x":[' + b"[]," * 70 + b'"' + b'\\"' * (4 * MB) + b'"]}',
    "one string": b'{"x":[' + b"[]," * 70 + b'"' + b"a" * (9 * MB) + b'"]}',
    "one number": b'{"x":' + b"1" * (9 * MB) + b"}",
    "checks": json.dumps(LEAST | {"gateway": {"checks": ["sql"] * MB}}).encode(),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_ten_megabytes_take_no_time(bomb: str) -> None:
    began = time.process_time()
    refused(BOMBS[bomb])
    assert time.process_time() - began < 1.0


# The gateway's own extras --------------------------------------------------------------------

EVERY = Extras("eu", "0.50", 800, ("sql", "complete"), "cascade", {"team": "a", "app": "b"})


def test_a_thousand_fields_and_no_more() -> None:
    """700,000 took a second and more."""
    message = {"role": "user", "content": "x"}
    body: dict[str, Any] = {"model": "m", "messages": [message]}
    body |= {f"f{i}": 1 for i in range(998)}
    assert len(parsed(json.dumps(body).encode()).fields) == 1_000
    assert "more than 1,000 fields" in refused(json.dumps({**body, "g": 1}).encode())[1]


def test_extras_in_the_body() -> None:
    extras = asked(gateway=msgspec.to_builtins(EVERY)).extras
    assert extras == EVERY


def test_extras_in_headers() -> None:
    headers = {
        "region": " eu ",
        "max-cost-usd": "0.50",
        "max-latency-ms": " 800 ",
        "checks": "sql, complete,",
        "strategy": "cascade",
        "tags": "team=a, app=b",
        "some-proxy": "says",
    }
    assert asked(headers).extras == EVERY


def test_the_body_goes_before_the_headers() -> None:
    extras = asked({"region": "us", "strategy": "cascade"}, gateway={"region": "eu"}).extras
    assert extras == Extras(region="eu", strategy="cascade")


def test_null_says_nothing_of_itself() -> None:
    unsaid = dict.fromkeys(Extras.__struct_fields__)
    assert asked(gateway=unsaid).extras == Extras()
    assert asked({"region": "us", "tags": "team=a"}, gateway=unsaid).extras == Extras(
        region="us", tags={"team": "a"}
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [(0.5, "0.5"), (1, "1"), ("0.10", "0.10"), (1e-9, "1e-09"), (9_000_000, "9000000")],
)
def test_what_a_request_may_cost(given: float | str, told: str) -> None:
    assert asked(gateway={"max_cost_usd": given}).extras.max_cost_usd == told


@pytest.mark.parametrize("text", ["team", "team=a,app", "team:a"])
def test_a_tag_without_a_value_is_refused_in_a_header(text: str) -> None:
    param, told = refused(json.dumps(LEAST).encode(), {"tags": text})
    assert (param, told) == (
        "x-gateway-tags",
        "'x-gateway-tags' must be names with values, such as team=red,app=chat.",
    )


def test_lists_and_maps_in_headers_may_be_json() -> None:
    headers = {"checks": '["sql", "complete"]', "tags": '{"team": "a, b=c", "app": "b"}'}
    extras = asked(headers).extras
    assert (extras.checks, extras.tags) == (("sql", "complete"), {"team": "a, b=c", "app": "b"})


@pytest.mark.parametrize(
    ("name", "text", "param"),
    [
        ("tags", '{"team": "a"', "x-gateway-tags"),
        ("tags", '{"team": 1}', "gateway.tags[...]"),
        ("checks", "[sql]", "x-gateway-checks"),
        ("checks", '{"sql": 1}', "gateway.checks"),
        ("checks", "[" * 100_000, "x-gateway-checks"),
    ],
)
def test_wrong_json_in_a_header_is_named(name: str, text: str, param: str) -> None:
    assert refused(json.dumps(LEAST).encode(), {name: text})[0] == param


@pytest.mark.parametrize("text", ["", "fast", "-5", "1.5", "1_0", "\u0663", "9" * 5_000])
def test_a_wrong_header_is_named(text: str) -> None:
    param, _ = refused(json.dumps(LEAST).encode(), {"max-latency-ms": text})
    assert param == "x-gateway-max-latency-ms"
