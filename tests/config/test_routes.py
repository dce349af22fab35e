"""Routes and their rules: what sound YAML becomes."""

from typing import Any, Final

import jsonschema
import pytest
import yaml
from msgspec import structs

from gateway.config.schema import schema
from gateway.core.catalog import Cache, Check, Route, Rule
from gateway.core.ladder import ladders
from gateway.core.money import nanos
from gateway.core.rules import Between, Hours, When
from gateway.core.strategies import tactic
from tests.config.texts import SOUND, faults, snapshot

ROUTES: Final = """\
tiers: {cheap: {models: [m1]}, smart: {models: [m1]}}
tags: {use_case: [legal, chat], project: any}
routes:
  auto:
    tiers: [cheap, smart]
    strategy: repair
    checks: [complete]
    order: cheapest
    rules:
"""
VALIDATOR: Final = jsonschema.Draft202012Validator(schema())


def with_rule(rule: str) -> str:
    return f"{SOUND}{ROUTES}      - {rule}\n"


def route(rule: str) -> Route:
    return snapshot(with_rule(rule)).catalog.routes["auto"]


CONDITIONS: Final = [
    ("{}", When()),
    ("{prompt_tokens: {above: 500_000}}", When(prompt=Between(500_000, None))),
    ("{prompt_tokens: {above: 0, at_most: 900}}", When(prompt=Between(0, 900))),
    ("{output_tokens: {at_most: 50}}", When(output=Between(None, 50))),
    ("{tools: {above: 9}}", When(tools=Between(9, None))),
    ("{script: [han, kana]}", When(scripts=frozenset({"han", "kana"}))),
    ("{has: [images, code]}", When(has=frozenset({"images", "code"}))),
    ("{lacks: [tools]}", When(lacks=frozenset({"tools"}))),
    (
        "{tags: {use_case: [legal, other], project: [x y]}}",
        When(tags={"use_case": frozenset({"legal", "other"}), "project": frozenset({"x y"})}),
    ),
    ("{region: [eu, us]}", When(regions=frozenset({"eu", "us"}))),
    ("{max_latency_ms: 500}", When(latency_ms=500)),
    ("{max_cost_usd: 0.02}", When(cost=nanos("0.02"))),
    ("{strategy: [vote, hedge]}", When(strategies=frozenset({"vote", "hedge"}))),
    ("{checks: [not_refused]}", When(checks=frozenset({"not_refused"}))),
    ('{hours: {from: "22:00", to: "06:30"}}', When(hours=Hours(1320, 390))),
    (
        '{hours: {from: "00:00", to: "23:59", zone: Europe/Berlin}}',
        When(hours=Hours(0, 1439, "Europe/Berlin")),
    ),
]


@pytest.mark.parametrize(("written", "when"), CONDITIONS)
def test_a_condition(written: str, when: When) -> None:
    text = f"{{name: r, when: {written}, tiers: [smart]}}"
    (rule,) = route(text).rules
    assert rule.when == when
    assert list(VALIDATOR.iter_errors(yaml.safe_load(with_rule(text)))) == []


REPAIR, CLIMB = tactic("repair"), tactic("cascade")
COMPLETE, DECLINED = (Check("complete"),), (Check("not_refused"),)


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("", Rule("r", When(), ("smart",), REPAIR, COMPLETE, "cheapest")),
        ("checks: []", Rule("r", When(), ("smart",), REPAIR, (), "cheapest")),
        ("checks: [not_refused]", Rule("r", When(), ("smart",), REPAIR, DECLINED, "cheapest")),
        ("strategy: cascade", Rule("r", When(), ("smart",), CLIMB, COMPLETE, "cheapest")),
        ("order: listed", Rule("r", When(), ("smart",), REPAIR, COMPLETE, "listed")),
    ],
)  # fmt: skip
def test_what_a_rule_leaves_out_is_the_routes(written: str, rule: Rule) -> None:
    found = route(f"{{name: r, tiers: [smart], {written}}}")
    assert found.rules == (rule,)
    assert (found.strategy, found.checks, found.order) == (REPAIR, COMPLETE, "cheapest")


def test_a_route_without_rules() -> None:
    found = snapshot(
        f"{SOUND}tiers: {{cheap: {{models: [m1]}}}}\nroutes: {{a: {{tiers: [cheap]}}}}"
    )
    assert (found.catalog.routes["a"].rules, found.catalog.routes["a"].order) == ((), "listed")


@pytest.mark.parametrize(
    "rule",
    [
        "{name: r}",
        "{tiers: [smart]}",
        "{name: r, tiers: [smart], order: random}",
        "{name: r, tiers: [smart], when: {script: [latn]}}",
        "{name: r, tiers: [smart], when: {has: [image]}}",
        "{name: r, tiers: [smart], when: {tokens: 5}}",
        "{name: r, tiers: [smart], when: {prompt_tokens: {above: -1}}}",
        '{name: r, tiers: [smart], when: {hours: {from: "9:00", to: "10:00"}}}',
        '{name: r, tiers: [smart], when: {hours: {to: "10:00"}}}',
    ],
)
def test_an_editor_refuses_what_we_refuse(rule: str) -> None:
    whole: Any = yaml.safe_load(with_rule(rule))
    assert list(VALIDATOR.iter_errors(whole))
    assert faults(with_rule(rule))


def test_a_value_from_the_environment_is_not_shown() -> None:
    text = with_rule("{name: r, tiers: [smart], when: {tags: {use_case: ['${A}']}}}")
    (fault,) = faults(text, {"A": "a-secret"})
    assert fault.endswith("is no value of the tag use_case (known: chat, legal, other)")
    assert "a-secret" not in fault


@pytest.mark.parametrize(
    ("written", "cache"),
    [
        ("{}", Cache()),
        ("{ttl_s: 0.5, most_bytes: 1_000, per: user}", Cache(0.5, 1_000, "user")),
    ],
)
def test_a_cache(written: str, cache: Cache) -> None:
    text = f"{SOUND}{ROUTES}      []\n    cache: {written}\n"
    VALIDATOR.validate(yaml.safe_load(text))
    found = snapshot(text).catalog.routes["auto"].cache
    assert found is not None
    assert structs.replace(found, mark="") == cache
    assert len(found.mark) == 64


def test_nothing_is_kept_unless_a_route_says_so() -> None:
    assert snapshot(f"{SOUND}{ROUTES}      []\n").catalog.routes["auto"].cache is None


@pytest.mark.parametrize(("hold_ttl_s", "timeout_s"), [(600, 120), (100, 90)])
def test_what_no_route_bounds_ends_before_its_hold(hold_ttl_s: int, timeout_s: float) -> None:
    text = f"{SOUND}tiers: {{cheap: {{models: [m1]}}}}\nredis: {{hold_ttl_s: {hold_ttl_s}}}\n"
    named = ladders(snapshot(text).catalog)
    assert {name: each.timeout_s for name, each in named.items()} == {
        "local/m1": timeout_s,
        "m1": timeout_s,
        "cheap": timeout_s,
    }
