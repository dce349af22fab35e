"""What routing needs to know of a request."""

from typing import Any

import pytest
from msgspec import structs

from gateway.core import tokens
from gateway.core.catalog import Check
from gateway.core.chat import Extras
from gateway.core.features import read_features
from gateway.core.money import nanos
from tests.core.asked import request, user


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
    assert read_features(request(messages, **beside)).needs == needs


@pytest.mark.parametrize(
    ("messages", "beside", "caches"),
    [
        (user("hi"), {}, False),
        (user([{"type": "text", "text": "x", "cache_control": {}}]), {}, True),
        (user("hi"), {"tools": [{"function": {}, "cache_control": {"type": "ephemeral"}}]}, True),
    ],
)
def test_whether_a_cache_is_to_be_written(
    messages: Any, beside: dict[str, Any], caches: bool
) -> None:
    assert read_features(request(messages, **beside)).caches is caches


HOUR = {"type": "ephemeral", "ttl": "1h"}


@pytest.mark.parametrize(
    ("messages", "beside", "an_hour"),
    [
        (user([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]), {}, False),
        (user([{"type": "text", "text": "x", "cache_control": HOUR}]), {}, True),
        (user("hi"), {"tools": [{"function": {}, "cache_control": HOUR}]}, True),
        (user("in 1h"), {"stop": "1h"}, False),
    ],
)
def test_whether_a_cache_is_to_be_kept_for_an_hour(
    messages: Any, beside: dict[str, Any], an_hour: bool
) -> None:
    assert read_features(request(messages, **beside)).caches_1h is an_hour


def test_what_the_client_asked_of_the_gateway() -> None:
    asked = request(user("hi"), max_tokens=7, n=2)
    extras = Extras(region="eu", max_cost_usd="0.5", checks=("sql",))
    features = read_features(structs.replace(asked, extras=extras))
    bound = tokens.bound(asked, bytes(asked.fields["messages"]))
    assert structs.asdict(features) == {
        "prompt": bound.tokens,
        "bound": bound,
        "max_latency_s": None,
        "output": 7,
        "n": 2,
        "needs": frozenset(),
        "caches": False,
        "caches_1h": False,
        "region": "eu",
        "max_cost": nanos("0.5"),
        "checks": (Check("sql"),),
    }
    plain = read_features(asked)
    assert (plain.region, plain.max_cost, plain.checks) == (None, None, None)
