"""Rules before tiers: what holds for which request, and which cannot hold at all."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw, structs

from gateway.core.chat import ChatRequest, Extras, look
from gateway.core.features import read_features
from gateway.core.money import Nanos
from gateway.core.rule_traits import read_traits, script_of
from gateway.core.rules import Between, Hours, Traits, When, holds, never

NOON = 1_795_345_200.0  # 2026-11-22T11:00Z, noon in Berlin
TOOL = {"type": "function", "function": {"name": "f"}}


def asked(text: Any = "hello", extras: Extras | None = None, **fields: Any) -> ChatRequest:
    whole = {"messages": [{"role": "user", "content": text}], **fields}
    raw = {name: Raw(msgspec.json.encode(value)) for name, value in whole.items()}
    return ChatRequest(raw, "m", max_tokens=fields.get("max_tokens"), extras=extras or Extras())


def traits(
    request: ChatRequest,
    tags: dict[str, str] | None = None,
    home: frozenset[str] | None = None,
) -> Traits:
    """They are the same whether somebody has looked at the messages or not."""
    found = read_traits(request, read_features(request), tags or {}, NOON, home)
    seen = structs.replace(request, seen=look(request.json("messages")))
    assert found == read_traits(seen, read_features(seen), tags or {}, NOON, home)
    return found


@pytest.mark.parametrize(
    ("when", "request_", "yes"),
    [
        (When(), asked(), True),
        (When(prompt=Between(low=1_000)), asked("x" * 8_000), True),
        (When(prompt=Between(low=1_000)), asked(), False),
        (When(prompt=Between(high=1_000)), asked(), True),
        (When(output=Between(high=50)), asked(max_tokens=50), True),
        (When(output=Between(high=50)), asked(max_tokens=51), False),
        (When(output=Between(high=50)), asked(), False),
        (When(scripts=frozenset({"han", "kana", "hangul"})), asked("\u4f60\u597d"), True),
        (When(scripts=frozenset({"han"})), asked("hello"), False),
        (When(has=frozenset({"tools"})), asked(tools=[TOOL]), True),
        (When(has=frozenset({"tools", "code"})), asked(tools=[TOOL]), False),
        (When(lacks=frozenset({"tools"})), asked(tools=[TOOL]), False),
        (When(tools=Between(low=9)), asked(tools=[TOOL] * 10), True),
        (When(tools=Between(low=9)), asked(tools=[TOOL] * 9), False),
        (When(has=frozenset({"images"})), asked([{"type": "image_url", "image_url": {}}]), True),
        (When(has=frozenset({"code"})), asked("fix this: ```print(1)```"), True),
        (When(has=frozenset({"code"})), asked("def f():\n  return 1\n\nclass A:\n  pass"), True),
        (When(has=frozenset({"code"})), asked("let me think about the import of it;"), False),
        (When(regions=frozenset({"on-prem"})), asked(extras=Extras(region="on-prem")), True),
        (When(regions=frozenset({"on-prem"})), asked(), False),
        (When(latency_ms=500), asked(extras=Extras(max_latency_ms=400)), True),
        (When(latency_ms=500), asked(extras=Extras(max_latency_ms=501)), False),
        (When(latency_ms=500), asked(), False),
        (When(strategies=frozenset({"vote"})), asked(extras=Extras(strategy="vote")), True),
        (When(strategies=frozenset({"vote"})), asked(extras=Extras(strategy="hedge")), False),
        (When(strategies=frozenset({"vote"})), asked(), False),
        (When(checks=frozenset({"python", "sql"})), asked(extras=Extras(checks=("sql",))), True),
        (When(checks=frozenset({"python"})), asked(extras=Extras(checks=("sql",))), False),
        (When(checks=frozenset({"python"})), asked(), False),
        (When(cost=Nanos(10**6)), asked(extras=Extras(max_cost_usd="0.001")), True),
        (When(cost=Nanos(10**6)), asked(extras=Extras(max_cost_usd="0.0011")), False),
        (When(hours=Hours(9 * 60, 17 * 60)), asked(), True),
        (When(hours=Hours(12 * 60, 13 * 60, "Europe/Berlin")), asked(), True),
        (When(hours=Hours(12 * 60, 13 * 60)), asked(), False),
        (When(hours=Hours(22 * 60, 6 * 60)), asked(), False),
        (When(hours=Hours(17 * 60, 11 * 60 + 1)), asked(), True),
        (When(tags={"use_case": frozenset({"legal"})}), asked(), False),
    ],
)
def test_a_condition(when: When, request_: ChatRequest, yes: bool) -> None:
    assert holds(when, traits(request_)) is yes


@pytest.mark.parametrize(
    ("tags", "yes"),
    [
        ({"use_case": "legal", "mode": "batch"}, True),
        ({"use_case": "medical", "mode": "batch", "more": "x"}, True),
        ({"use_case": "legal"}, False),
        ({"use_case": "chat", "mode": "batch"}, False),
    ],
)
def test_tags(tags: dict[str, str], yes: bool) -> None:
    when = When(tags={"use_case": frozenset({"legal", "medical"}), "mode": frozenset({"batch"})})
    assert holds(when, traits(asked(), tags)) is yes


@pytest.mark.parametrize(
    ("home", "asked_for", "yes"),
    [
        (None, None, False),
        ("on-prem", None, True),
        ("eu", None, False),
        ("eu on-prem", None, False),
        ("eu on-prem", "on-prem", True),
        ("on-prem dmz", None, True),
        ("on-prem", "eu", False),
    ],
)
def test_where_a_tenant_is_at_home(home: str | None, asked_for: str | None, yes: bool) -> None:
    """A rule for a region holds for who may be answered from nowhere else."""
    when = When(regions=frozenset({"on-prem", "dmz"}))
    request = asked(extras=Extras(region=asked_for))
    regions = None if home is None else frozenset(home.split())
    assert holds(when, traits(request, home=regions)) is yes


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("hello", "latin"),
        ("\u4f60\u597d\uff0c\u4e16\u754c", "han"),
        ("\u4eca\u65e5\u306f\u826f\u3044\u5929\u6c17\u3067\u3059\u306d", "kana"),
        ("Docker \u3067 container \u3092\u8d77\u52d5\u3059\u308b\u65b9\u6cd5\u306f", "kana"),
        ("\uc548\ub155\ud558\uc138\uc694", "hangul"),
        ("\u041f\u0440\u0438\u0432\u0435\u0442, Docker", "cyrillic"),
        ("Docker \u0438 Kubernetes: \u0447\u0442\u043e \u043b\u0443\u0447\u0448\u0435", "cyrillic"),
        ("\u0b89\u0b99\u0bcd\u0b95\u0bb3\u0bcd", "tamil"),
        ("na\u00efve caf\u00e9", "latin"),
        ("the letter \u03c0 in a long English sentence about numbers", "latin"),
        ("123 + 4", None),
        ("", None),
    ],
)
def test_scripts(text: str, script: str | None) -> None:
    assert script_of(text) == script


@pytest.mark.parametrize(
    ("when", "why"),
    [
        (When(), None),
        (When(prompt=Between(5, 101)), None),
        (When(prompt=Between(high=100)), "a prompt is held for more than 100 tokens"),
        (When(output=Between(high=1)), None),
        (When(output=Between(high=0)), "no limit is 0 (output)"),
        (When(prompt=Between(6, 6)), "nothing is above 6 and at most 6 (prompt)"),
        (When(has=frozenset({"code"}), lacks=frozenset({"code"})), "it cannot have and lack code"),
        (
            When(tools=Between(low=1), lacks=frozenset({"tools"})),
            "it cannot lack tools and have some",
        ),
    ],
)
def test_a_rule_that_never_holds(when: When, why: str | None) -> None:
    assert never(when) == why
