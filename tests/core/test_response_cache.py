"""When two requests are the same, and which answers are kept."""

import json
import sys
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw, structs, to_builtins

from gateway.core.catalog import Cache, Catalog, Deployment, Model, Route, Tenant, Tier, TierModel
from gateway.core.chat import ChatRequest, Choice, Completion, ToolCall, Usage
from gateway.core.ladder import Ladder, Step, StepModel, ladders
from gateway.core.money import Nanos, Price
from gateway.core.response_cache import (
    CacheControl,
    CacheEntry,
    is_cacheable,
    joins,
    key_of,
    marked,
    pack,
    parse_cache_control,
    unpack,
)
from gateway.core.snapshot import Provider, Secret
from gateway.web.parse import read_request

ACME: Final = Tenant("acme")
CACHE: Final = Cache(ttl_s=100.0, mark="m")
SAID: Final = '{"role": "user", "content": "hi"}'


def key(body: str, tenant: Tenant = ACME, cache: Cache = CACHE, **more: str) -> str | None:
    """Of a request as the door reads it; `more` are the rule and the user."""
    return key_of(read_request(body.encode(), {}, 64), tenant, cache, **more)


def asked(more: str = "", said: str = SAID) -> str:
    return f'{{"model": "auto", "messages": [{said}]{more}}}'


ALIKE = {
    "white space": asked().replace(" ", "\n"),
    "the order of keys": f'{{"messages": [{SAID}], "model": "auto"}}',
    "the order of a message's keys": asked(said='{"content": "hi", "role": "user"}'),
    "an escape": asked(said='{"role": "user", "content": "\\u0068i"}'),
    "how it is sent": asked(', "stream": true, "stream_options": {"include_usage": true}'),
    "who asks": asked(', "user": "u1", "safety_identifier": "x", "prompt_cache_key": "y"'),
    "what it is charged to": asked(', "gateway": {"tags": {"team": "a"}}'),
    "what is never sent on": asked(', "api_key": "sk-1", "base_url": "http://x"'),
}


@pytest.mark.parametrize("same", ALIKE.values(), ids=ALIKE)
def test_it_is_the_same_request(same: str) -> None:
    assert key(same) == key(asked())


DIFFERENT = {
    "it": asked(),
    "a text": asked(said='{"role": "user", "content": "hi "}'),
    "a role": asked(said='{"role": "system", "content": "hi"}'),
    "one more message": asked(said=f"{SAID}, {SAID}"),
    "a field of a message": asked(said='{"role": "user", "content": "hi", "name": "x"}'),
    "tools": asked(', "tools": [{"type": "function", "function": {"name": "f"}}]'),
    "another tool": asked(', "tools": [{"type": "function", "function": {"name": "g"}}]'),
    "tool_choice": asked(', "tool_choice": "none"'),
    "response_format": asked(', "response_format": {"type": "json_object"}'),
    "temperature": asked(', "temperature": 0.5'),
    "another temperature": asked(', "temperature": 0.25'),
    "top_p": asked(', "top_p": 0.5'),
    "seed": asked(', "seed": 1'),
    "another seed": asked(', "seed": 2'),
    "n": asked(', "n": 2'),
    "stop": asked(', "stop": ["x"]'),
    "one stop": asked(', "stop": "x"'),
    "max_tokens": asked(', "max_tokens": 5'),
    "max_completion_tokens": asked(', "max_completion_tokens": 5'),
    "logprobs": asked(', "logprobs": true'),
    "reasoning_effort": asked(', "reasoning_effort": "low"'),
    "a field nobody knows": asked(', "new_field": 1'),
    "a number beyond a float": asked(', "new_field": 100000000000000000000000000001'),
    "the next such number": asked(', "new_field": 100000000000000000000000000002'),
    "metadata": asked(', "metadata": {"a": "b"}'),
    "region": asked(', "gateway": {"region": "eu"}'),
    "max_cost_usd": asked(', "gateway": {"max_cost_usd": 0.5}'),
    "max_latency_ms": asked(', "gateway": {"max_latency_ms": 500}'),
    "no checks": asked(', "gateway": {"checks": []}'),
    "a check": asked(', "gateway": {"checks": ["complete"]}'),
    "strategy": asked(', "gateway": {"strategy": "vote"}'),
    "another route": asked().replace("auto", "other"),
}


def test_all_these_are_different_requests() -> None:
    keys = {name: key(body) for name, body in DIFFERENT.items()}
    assert None not in keys.values()
    assert len(set(keys.values())) == len(keys), sorted(keys.items(), key=lambda each: str(each[1]))


WHOSE = {
    "its own": (ACME, CACHE, {}),
    "another tenant": (Tenant("other"), CACHE, {}),
    "a key that may ask fewer models": (Tenant("acme", models=("gpt-*",)), CACHE, {}),
    "a key of one region": (Tenant("acme", regions=frozenset({"eu"})), CACHE, {}),
    "a bound on a request": (Tenant("acme", max_request=Nanos(5)), CACHE, {}),
    "another configuration": (ACME, structs.replace(CACHE, mark="n"), {}),
    "a rule": (ACME, CACHE, {"rule": "night"}),
    "a user's": (ACME, structs.replace(CACHE, per="user"), {"user": "u1"}),
    "another user's": (ACME, structs.replace(CACHE, per="user"), {"user": "u2"}),
    "a rule of a user's name": (ACME, CACHE, {"rule": "u1"}),
}


def test_nobody_shares_an_answer_who_should_not() -> None:
    keys = {name: key(asked(), who, cache, **more) for name, (who, cache, more) in WHOSE.items()}
    assert len(set(keys.values())) == len(keys), keys


def test_a_key_is_a_whole_digest_and_holds_no_text() -> None:
    assert len(key(asked()) or "") == 64


@pytest.mark.parametrize(
    "odd",
    ['{"role": "user", "content": "a", "content": "b"}', '{"role": "user", "content": "\\ud83d"}'],
    ids=["a key twice", "half a character"],
)
def test_what_has_no_one_form_has_no_key(odd: str) -> None:
    raw = Raw(f"[{odd}]".encode())
    assert key_of(ChatRequest({"messages": raw}, "auto"), ACME, CACHE) is None


FIELDS = st.dictionaries(
    st.sampled_from(["temperature", "seed", "stop", "tools", "n", "max_tokens", "x", "metadata"]),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    max_size=4,
)


def request_of(fields: dict[str, Any], indent: int | None = None) -> ChatRequest:
    texts = {name: json.dumps(value, indent=indent) for name, value in fields.items()}
    return ChatRequest({name: Raw(text.encode()) for name, text in texts.items()}, "auto")


@given(FIELDS, FIELDS)
def test_requests_that_differ_never_share_a_key(one: dict[str, Any], two: dict[str, Any]) -> None:
    """As they are written: 1, 1.0 and true are equal to Python alone."""
    same = json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
    keys = [key_of(request_of(fields), ACME, CACHE) for fields in (one, two)]
    assert None in keys or (keys[0] == keys[1]) is same


@given(FIELDS)
def test_how_it_is_written_does_not_matter(fields: dict[str, Any]) -> None:
    turned = dict(reversed(fields.items()))
    one, two = (request_of(fields), request_of(turned, indent=2))
    assert key_of(one, ACME, CACHE) == key_of(two, ACME, CACHE)


# ---- the configuration


def configured(price: int = 1, url: str = "http://a", opens: str = "s", **of_route: Any) -> str:
    """The mark of a route with a cache."""
    provider = Provider("p", "openai", url, Secret(opens))
    each = Price(price, price, price, price)
    model = Model("a", (Deployment("p/a", "p", "a"),), each, 1000, 1000, 100)
    settings: dict[str, Any] = {"cache": Cache(), **of_route}
    route = marked(Route("auto", ("t",), **settings), {"p": provider})
    tier = Tier("t", (TierModel("a"),))
    cache = ladders(Catalog({"a": model}, {"t": tier}, {"auto": route}))["auto"].cache
    assert cache is not None
    return cache.mark


def test_another_configuration_is_another_mark() -> None:
    marks = [
        configured(),
        configured(price=2),
        configured(url="http://b"),
        configured(order="cheapest"),
    ]
    assert len(set(marks)) == len(marks)
    assert "" not in marks


def test_a_new_provider_key_and_a_longer_life_change_nothing() -> None:
    assert configured(opens="t") == configured()
    assert configured(cache=Cache(ttl_s=5)) == configured()


def test_a_mark_has_the_names_under_which_answers_are_stored() -> None:
    encoded = to_builtins(Step("t", (StepModel(Model("a", (), Price(1, 1, 1, 1), 1, 1, 1), ()),)))
    assert encoded.keys() == {"tier", "places", "checks", "order"}
    assert encoded["places"][0].keys() == {"model", "deployments", "weight"}


def test_a_route_without_a_cache_has_none() -> None:
    assert marked(Route("auto", ("t",)), {}).cache is None


# ---- what may be kept

GOOD: Final = Choice(text="four")
CALL: Final = Choice(tool_calls=(ToolCall("1", "f", "{}"),), finish="tool_calls")


@pytest.mark.parametrize(
    ("choices", "why", "may"),
    [
        ((GOOD,), "passed", True),
        ((GOOD,), "unjudged", True),
        ((GOOD,), "agreed", True),
        ((GOOD,), "best_effort", False),
        ((GOOD,), "lone_vote", False),
        ((GOOD,), "budget", False),
        ((GOOD,), "deadline", False),
        ((CALL,), "unjudged", True),
        ((GOOD, GOOD), "unjudged", True),
        ((GOOD, Choice(text="f", finish="length")), "unjudged", False),
        ((Choice(text="f", finish="length"),), "unjudged", False),
        ((Choice(text="f", finish="content_filter"),), "unjudged", False),
        ((Choice(text=None),), "unjudged", False),
        ((Choice(text=""),), "unjudged", False),
        ((Choice(text=" \n"),), "unjudged", False),
        (
            (Choice(text="", extra={"reasoning_details": Raw(b'[{"text":"Hm."}]')}),),
            "passed",
            False,
        ),
        ((Choice(extra={"audio": Raw(b'{"id":"a"}')}),), "unjudged", True),
        ((Choice(text="", refusal="No."),), "unjudged", False),
        ((Choice(text="I'm sorry, but I can't help with that."),), "unjudged", False),
        ((), "unjudged", False),
    ],
)
def test_only_good_answers_are_kept(choices: tuple[Choice, ...], why: str, may: bool) -> None:
    assert is_cacheable(Completion(choices), why, request_of({})) is may


@pytest.mark.parametrize(
    ("fields", "whole"), [({}, True), ({"logprobs": False}, True), ({"logprobs": True}, False)]
)
def test_streams_whose_pieces_do_not_make_the_whole(fields: dict[str, Any], whole: bool) -> None:
    assert joins(request_of(fields)) is whole


# ---- what the client asks


@pytest.mark.parametrize(
    ("values", "asks"),
    [
        ([], CacheControl()),
        ([b"no-store"], CacheControl(lookup=False, store=False)),
        ([b"no-cache"], CacheControl(lookup=False)),
        ([b"No-Cache"], CacheControl(lookup=False)),
        ([b"max-age=60"], CacheControl(max_age_s=60)),
        ([b'max-age="60"'], CacheControl(max_age_s=60)),
        ([b"max-age=0"], CacheControl(max_age_s=0)),
        ([b"max-age=60, max-age=30"], CacheControl(max_age_s=30)),
        ([b"max-age=0, max-age=30"], CacheControl(max_age_s=0)),
        ([b"max-age"], CacheControl(max_age_s=0)),
        ([b"max-age=-1"], CacheControl(max_age_s=0)),
        ([b"max-age=soon"], CacheControl(max_age_s=0)),
        ([b"max-age=" + b"9" * 5_000], CacheControl(max_age_s=999_999_999_999)),
        ([b"no-cache,no-store"], CacheControl(lookup=False, store=False)),
        ([b"no-store", b"no-cache"], CacheControl(lookup=False, store=False)),
        ([b"no-store, max-age=5"], CacheControl(lookup=False, store=False, max_age_s=5)),
        ([b"only-if-cached, private, x=y"], CacheControl()),
        ([b",,= ,\xff"], CacheControl()),
    ],
)
def test_what_a_client_asks(values: list[bytes], asks: CacheControl) -> None:
    assert parse_cache_control(values) == asks


# ---- what was kept


def ladder() -> Ladder:
    each = Price(1, 1, 1, 1)
    model = Model("a", (Deployment("p/a", "p", "a"),), each, 1000, 1000, 100)
    tier = Tier("t", (TierModel("a"),))
    return ladders(
        Catalog({"a": model}, {"t": tier}, {"auto": Route("auto", ("t",), cache=CACHE)})
    )["auto"]


WEIGHED: Final = Choice(text="four", logprobs=Raw(b'{"content":[],"refusal":null}'))
WHOLE: Final = Completion(
    (GOOD, CALL, WEIGHED),
    "id",
    7,
    Usage(3, 4),
    Raw(b'{"id":"id"}'),
    ("seed",),
    {"x": Raw(b"[1]")},
    ("usage",),
)
KEPT: Final = CacheEntry("p/a", "t", WHOLE, Usage(3, 4), 9, 100.0)


def test_an_answer_comes_back_as_it_was() -> None:
    found = unpack(pack(KEPT), 40.0, CACHE, ladder(), CacheControl())
    assert found is not None
    assert found.candidate.deployment.name == "p/a"
    assert (found.usage, found.saved, found.age_s) == (KEPT.usage, 9, 60.0)
    assert found.completion == WHOLE


def test_what_was_kept_otherwise_is_no_error() -> None:
    """As by another version of the gateway, whose keys are others, too."""
    former = pack(KEPT).replace(b'"raw":', b'"fields":')
    found = unpack(former, 40.0, CACHE, ladder(), CacheControl())
    assert found is not None
    assert found.completion == structs.replace(WHOLE, raw=UNSET)


@pytest.mark.parametrize(
    ("kept", "left_s", "asks", "ttl_s"),
    [
        (pack(KEPT), 40.0, CacheControl(max_age_s=59), 100.0),
        (pack(KEPT), 40.0, CacheControl(), 50.0),
        (pack(structs.replace(KEPT, deployment="p/b")), 100.0, CacheControl(), 100.0),
        (pack(structs.replace(KEPT, tier="u")), 100.0, CacheControl(), 100.0),
        (b"{}", 100.0, CacheControl(), 100.0),
        (b"\xff", 100.0, CacheControl(), 100.0),
        (b"", 100.0, CacheControl(), 100.0),
        (b'{"x":%b' % (b"[" * sys.getrecursionlimit()), 100.0, CacheControl(), 100.0),
    ],
    ids=[
        "older than asked",
        "older than allowed now",
        "gone",
        "moved",
        "other",
        "odd",
        "empty",
        "too deep to read",
    ],
)
def test_what_will_not_do(kept: bytes, left_s: float, asks: CacheControl, ttl_s: float) -> None:
    assert unpack(kept, left_s, structs.replace(CACHE, ttl_s=ttl_s), ladder(), asks) is None
