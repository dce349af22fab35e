"""Why this model, why not the others, and what it will cost."""

import json
from collections.abc import Iterable
from decimal import Decimal
from itertools import permutations
from typing import Any, Final

import msgspec
import pytest
from msgspec import structs

from gateway.core import tokens
from gateway.core.catalog import (
    Budget,
    Catalog,
    Check,
    Route,
    Tactic,
    Tenant,
    Tier,
    TierModel,
)
from gateway.core.chat import ChatRequest, Choice, Completion, Extras
from gateway.core.checks.external import question
from gateway.core.explain import explain, why_there
from gateway.core.explain.prices import dollars, search_fee
from gateway.core.features import read_features
from gateway.core.ladder import Ladder, ladders
from gateway.core.money import Audio, Nanos, Price, SearchFee
from gateway.core.plan import Plan, PlanContext, Rung, make_plan
from gateway.core.rule_traits import climbed
from gateway.core.strategies import tactic
from gateway.core.tariff import Step, Tariff
from gateway.core.token_factors import Factors
from tests.core.asked import request, user
from tests.lives import CATALOG, model

RATES = ("input", "output", "cached_input", "cache_write")


def explained(
    asked: ChatRequest, tenant: Tenant | None = None, catalog: Catalog = CATALOG
) -> dict[str, Any]:
    """As a client reads it, every number exact."""
    features = read_features(asked)
    context = PlanContext(tenant or Tenant("t", budgets=(Budget(Nanos(1), "day"),)))
    known = ladders(catalog)
    rule, ladder = climbed(known[asked.model], asked, {}, 0.0, None)
    plan = make_plan(ladder, features, context, lambda: 0.5)
    told = msgspec.json.encode(explain(asked, features, plan, ladder, rule, context, known))
    found: dict[str, Any] = json.loads(told, parse_float=Decimal)
    return found


HI = request(user("x" * 40), model="judged", max_tokens=20)


def test_the_plan_is_told_rung_by_rung() -> None:
    told = explained(HI)
    assert told["model"] == "judged"
    assert [rung["tier"] for rung in told["rungs"]] == ["cheap", "mid", "smart"]
    assert [rung["checks"] for rung in told["rungs"]] == [["regex"]] * 3
    assert [each["deployment"] for each in told["rungs"][0]["candidates"]] == ["a@p", "b@p"]
    assert told["skipped"] == []
    assert told["features"]["prompt_counted"] == 10
    assert told["features"]["output"] == 20


def test_what_it_will_cost_to_the_nano_dollar() -> None:
    told = explained(HI)
    held = told["features"]["prompt"] + 20
    assert told["rungs"][0]["candidates"][0] == {
        "model": "a",
        "provider": "p",
        "deployment": "a@p",
        "max_output": 20,
        "price_usd_per_million_tokens": dict.fromkeys(RATES, Decimal("0.001")),
        "price_steps": [],
        "held_above": None,
        "expected_usd": Decimal(30).scaleb(-9),
        "worst_usd": Decimal(held).scaleb(-9),
        "why": "as listed",
    }
    assert told["cost_usd"] == {
        "expected": Decimal(30).scaleb(-9),
        "worst": Decimal(held * 111 + told["features"]["prompt"]).scaleb(-9),
        "always_smart": Decimal(3_000).scaleb(-9),
    }


def test_what_longer_prompts_cost_and_whether_that_is_held_for() -> None:
    model = CATALOG.models["a"]
    double = Price(*(2 * getattr(model.price, name) for name in RATES))
    tariff = Tariff(model.price, (), (Step(20, double), Step(10**6, double)))
    there = structs.replace(model.deployments[0], tariff=tariff)
    known = Catalog({"a": structs.replace(model, deployments=(there,))}, {}, {})
    told = explained(structs.replace(HI, model="a"), catalog=known)
    (candidate,) = told["rungs"][0]["candidates"]
    twice = dict.fromkeys(RATES, Decimal("0.002"))
    assert candidate["price_usd_per_million_tokens"] == dict.fromkeys(RATES, Decimal("0.001"))
    assert candidate["price_steps"] == [{"above": 20, **twice}, {"above": 10**6, **twice}]
    # 10 tokens are counted, which may be more than 20: so the first step is held for.
    assert candidate["held_above"] == 20
    assert candidate["expected_usd"] == Decimal(30).scaleb(-9)
    assert candidate["worst_usd"] == Decimal(2 * (told["features"]["prompt"] + 20)).scaleb(-9)


IMAGE: Final = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
SOUND: Final = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}


def seeing(price: Price, tariff: Tariff | None = None) -> Catalog:
    """A model that sees and hears, and bills up to 5,000 tokens for an image."""
    known = structs.replace(
        CATALOG.models["a"],
        price=price,
        image_tokens=5_000,
        context=9_999,
        usable_context=9_999,
        capabilities=frozenset({"vision", "audio", "tools"}),
    )
    there = structs.replace(known.deployments[0], tariff=tariff)
    return Catalog({"a": structs.replace(known, deployments=(there,))}, {}, {})


def test_a_step_is_held_for_that_an_image_may_reach() -> None:
    price = CATALOG.models["a"].price
    tariff = Tariff(price, (), (Step(4_000, price), Step(9_000, price)))
    asked = request(user([IMAGE]), model="a", max_tokens=20)
    (rung,) = explained(asked, catalog=seeing(price, tariff))["rungs"]
    assert rung["candidates"][0]["held_above"] == 4_000


def test_all_that_goes_in_is_expected_to_be_paid_for() -> None:
    """Tools, images and sound, the last at its own price."""
    million = 10**6
    price = Price(million, million, million, million, Audio(3 * million, million, million))
    tools = [{"type": "function", "function": {"name": "f", "description": "x" * 387}}]
    expected = [
        explained(each, catalog=seeing(price))["cost_usd"]["expected"].scaleb(9)
        for each in (
            request(user("x" * 40), model="a", max_tokens=20),
            request(user("x" * 40), model="a", max_tokens=20, tools=tools),
            request(user([IMAGE]), model="a", max_tokens=20),
            request(user([SOUND]), model="a", max_tokens=20),
        )
    ]
    size = len(json.dumps(tools, separators=(",", ":")))
    assert expected == [10 + 20, -(-(40 + size) // 4) + 20, 1_600 + 20, 3 * 1_600 + 20]


REFUSALS: Final = (Check("not_refused"),)


@pytest.mark.parametrize(
    ("chosen", "checks", "answers", "failures"),
    [
        (tactic("cascade"), (), 3, 1 + 2),
        (tactic("cascade"), REFUSALS, 1 + 3, 2),
        (tactic("vote"), (), 2 + 3, 1),
        (tactic("vote"), REFUSALS, 1 + 2 + 3, 0),
        (tactic("hedge"), REFUSALS, 1 + 3, 2),
        (tactic("retry_cheap", {"tries": 4}), REFUSALS, 1 + 3 * 2 + 4 * 3, 2),
    ],
)
def test_the_worst_is_the_dearest_way_to_fail_and_to_refuse(
    chosen: Tactic, checks: tuple[Check, ...], answers: int, failures: int
) -> None:
    """Of one rung: models of 1, 2 and 3, the last two at one vendor. Who refuses is followed by
    another vendor, who fails by anybody, but costs its prompt alone.
    """
    known = (("x", 1, "q"), ("y", 2, "p"), ("z", 3, "p"))
    assert is_worst(chosen, checks, known, answers, failures)


def test_the_worst_of_a_vote_is_that_only_the_dearest_vendor_refuses() -> None:
    known = (("x", 3, "q"), ("y", 2, "p"), ("z", 1, "p"))
    assert is_worst(tactic("vote"), REFUSALS, known, 3 + 2 + 1)


@pytest.mark.parametrize("chosen", ["vote", "hedge"])
def test_the_worst_of_a_rung_with_too_few_models_is_that_of_what_comes_then(chosen: str) -> None:
    then = tactic("retry_cheap", {"tries": 5})
    assert is_worst(tactic(chosen, then=then), REFUSALS, (("x", 1, "q"),), 5)
    assert is_worst(tactic(chosen, then=then), (), (("x", 1, "q"),), 1)


def is_worst(
    chosen: Tactic,
    checks: tuple[Check, ...],
    known: tuple[tuple[str, int, str], ...],
    answers: int,
    failures: int = 0,
) -> bool:
    """Of a rung with models of a price, at a vendor: in answers and in prompts of a model whose
    price is 1.
    """
    catalog = rung_of(chosen, checks, known)
    told = explained(structs.replace(HI, model="r"), catalog=catalog)
    prompt = told["features"]["prompt"]
    worst = answers * (prompt + 20) + failures * prompt
    return bool(told["cost_usd"]["worst"] == Decimal(worst).scaleb(-9))


def rung_of(
    chosen: Tactic,
    checks: tuple[Check, ...],
    known: tuple[tuple[str, int, str], ...],
    weight: int | None = None,
) -> Catalog:
    models = {}
    for name, price, vendor in known:
        made = model(name, price)
        there = structs.replace(made.deployments[0], provider=vendor)
        models[name] = structs.replace(made, deployments=(there,))
    return Catalog(
        models,
        {"all": Tier("all", tuple(TierModel(name, weight) for name in models))},
        {"r": Route("r", ("all",), chosen, checks)},
    )


def test_a_vote_is_expected_of_those_whom_it_asks() -> None:
    """Of different vendors: those of 1 and 5."""
    known = (("x", 1, "p"), ("y", 3, "p"), ("z", 5, "q"))
    told = explained(structs.replace(HI, model="r"), catalog=rung_of(tactic("vote"), (), known))
    assert told["cost_usd"]["expected"] == Decimal(6 * 30).scaleb(-9)


def test_the_worst_is_that_judges_are_asked_and_fail_but_the_last() -> None:
    """Of the judges, at 10 and at 100, each answers with 100 tokens at most."""
    judge = Check("judge", {"model": "mid", "rubric": "It is right."})
    judged = Route("judged", ("smart",), checks=(judge,))
    told, alone = (
        explained(
            structs.replace(HI, model="judged"),
            catalog=structs.replace(CATALOG, routes={"judged": route}),
        )["cost_usd"]
        for route in (judged, structs.replace(judged, checks=()))
    )
    asked = question(judge, HI, Completion((Choice(text="\U0001f600" * 20),)))
    prompt = read_features(asked).prompt
    assert told["worst"] - alone["worst"] == Decimal(10 * prompt + 100 * (prompt + 100)).scaleb(-9)
    counted = tokens.count_prompt(asked)
    assert told["expected"] - alone["expected"] == Decimal(10 * (counted + 100)).scaleb(-9)


ORDERS: Final = {"x": 1, "y": 2, "z": 3}


@pytest.mark.parametrize("checks", [(), REFUSALS, (Check("complete"),)])
@pytest.mark.parametrize("chosen", ["cascade", "hedge", "vote", "retry_cheap"])
@pytest.mark.parametrize("drawn", list(permutations(ORDERS)))
def test_the_worst_is_of_any_order_in_which_those_that_are_drawn_may_come(
    drawn: tuple[str, ...], chosen: str, checks: tuple[Check, ...]
) -> None:
    """Each at a vendor of its own. It is that of one of the orders in which they may be listed."""

    def told(names: Iterable[str], weight: int | None = None) -> Decimal:
        known = tuple((name, ORDERS[name], name) for name in names)
        catalog = rung_of(tactic(chosen), checks, known, weight)
        found = explained(structs.replace(HI, model="r"), catalog=catalog)["cost_usd"]["worst"]
        return Decimal(found)

    assert told(drawn, weight=1) == max(map(told, permutations(ORDERS)))


def test_a_judge_whom_only_short_answers_fit_is_among_the_worst() -> None:
    """All that it can take, and say."""
    small = structs.replace(CATALOG.models["c"], context=380, usable_context=380)
    judge = Check("judge", {"model": "c", "rubric": "It is right."})
    catalog = structs.replace(
        CATALOG,
        models={**CATALOG.models, "c": small},
        routes={"judged": Route("judged", ("smart",), checks=(judge,))},
    )
    told = explained(structs.replace(HI, model="judged", max_tokens=100), catalog=catalog)
    alone = explained(structs.replace(HI, model="d", max_tokens=100), catalog=catalog)
    judged = told["cost_usd"]["worst"] - alone["cost_usd"]["worst"]
    assert judged == Decimal(10 * (380 + 100)).scaleb(-9)


def test_who_stands_in_for_a_rung_is_told_as_such() -> None:
    ladder = ladders(CATALOG)["judged"]
    features = read_features(HI)
    context = PlanContext(Tenant("t"), down=frozenset({"b@p"}))
    plan = make_plan(ladder, features, context, lambda: 0.5)
    cheap, mid, smart = plan.rungs
    instead = Rung(smart.tier, (*smart.candidates, *mid.candidates), smart.checks)
    whys = [
        [why_there(each, rung, ladder, features, context) for each in rung.candidates]
        for rung in (instead, cheap)
    ]
    assert whys == [
        ["as listed", "when those of smart fail"],
        ["as listed", "its circuit is open: when the others fail"],
    ]


def test_what_is_asked_though_its_circuit_is_open() -> None:
    ladder, features = ladders(CATALOG)["open"], read_features(HI)
    context = PlanContext(Tenant("t"), down=frozenset({"a@p", "b@p"}))
    rung = plan_of(ladder, context).rungs[0]
    whys = [why_there(each, rung, ladder, features, context) for each in rung.candidates]
    assert whys == ["its circuit is open: asked all the same"] * 2


def test_who_was_drawn_before_is_told_to_be_warm() -> None:
    """As the plan has it first for that, whatever is drawn."""
    tier = Tier("both", (TierModel("a", 9), TierModel("b", 1)))
    catalog = Catalog(CATALOG.models, {"both": tier}, {"r": Route("r", ("both",))})
    ladder, context = ladders(catalog)["r"], PlanContext(Tenant("t"), warm=frozenset({"b@p"}))
    (rung,) = plan_of(ladder, context).rungs
    whys = [
        (each.model.name, why_there(each, rung, ladder, read_features(HI), context))
        for each in rung.candidates
    ]
    warm = "its prompt cache holds the beginning"
    assert whys == [("b", warm), ("a", "drawn, by its weight of 9")]


def plan_of(ladder: Ladder, context: PlanContext) -> Plan:
    return make_plan(ladder, read_features(HI), context, lambda: 0.5)


def test_several_answers_cost_as_many() -> None:
    told = explained(structs.replace(HI, n=3))
    assert told["cost_usd"]["expected"] == Decimal(10 + 3 * 20).scaleb(-9)


@pytest.mark.parametrize(
    ("asked", "flows"),
    [
        (HI, [False, False, False]),
        (structs.replace(HI, stream=True), [False, False, False]),
        (structs.replace(HI, stream=True, model="open"), [True, True]),
        (structs.replace(HI, stream=True, extras=Extras(checks=())), [True, True, True]),
        (structs.replace(HI, model="open"), [False, False]),
        (structs.replace(HI, stream=True, model="hedge"), [True, True]),
        (structs.replace(HI, stream=True, model="vote"), [False, True]),
        (structs.replace(HI, stream=True, model="c", extras=Extras(strategy="vote")), [True]),
    ],
)
def test_which_rungs_flow(asked: ChatRequest, flows: list[bool]) -> None:
    assert [rung["flows"] for rung in explained(asked)["rungs"]] == flows


def test_each_tier_that_joins_a_vote_is_held_but_the_last() -> None:
    tiers = ("cheap", "mid", "smart")
    joined = Route("joined", tiers, tactic("vote", {"join": True}))
    catalog = structs.replace(CATALOG, routes={"joined": joined})
    told = explained(structs.replace(HI, stream=True, model="joined"), catalog=catalog)
    assert [rung["flows"] for rung in told["rungs"]] == [False, False, True]


def test_no_more_is_expected_than_what_a_model_was_seen_to_count() -> None:
    ladder, factors = ladders(CATALOG)["c"], Factors()
    for _ in range(100):
        factors.learn("c", 1_000, 400)
    asked = request(user("x" * 2_400), model="c", max_tokens=20)
    features, context = read_features(asked), PlanContext(Tenant("t"), factors=factors)
    plan = make_plan(ladder, features, context, lambda: 0.5)
    told = explain(asked, features, plan, ladder, "", context)
    (candidate,) = told["rungs"][0]["candidates"]
    assert told["cost_usd"]["expected"] == candidate["expected_usd"] == candidate["worst_usd"]


def test_where_nothing_fits_there_is_no_cost() -> None:
    told = explained(HI, Tenant("t", models=()))
    assert (told["rungs"], told["cost_usd"]) == ([], None)
    assert told["skipped"][0] == {"deployment": "a@p", "tier": "cheap", "why": "tenant's models"}
    assert len(told["skipped"]) == 4


def test_extras_are_told() -> None:
    extras = Extras(region="eu", max_cost_usd="0.000000001", checks=("sql",))
    told = explained(structs.replace(HI, extras=extras))["features"]
    assert (told["region"], told["checks"]) == ("eu", ["sql"])
    assert told["max_cost"] == Decimal(1).scaleb(-9)


@pytest.mark.parametrize("amount", [0, 1, 1500, 10**9, 9_000_000 * 10**9 + 1])
def test_dollars_are_exact_json_numbers(amount: int) -> None:
    told = json.loads(msgspec.json.encode([dollars(amount)]), parse_float=Decimal)
    assert Decimal(told[0]) * 10**9 == amount


@pytest.mark.parametrize(
    ("model", "rule", "strategy", "calls"),
    [
        ("judged", None, "cascade", (1, 1 + 10 + 100, 1)),
        ("vote", None, "vote", (2, 2 + 10, 0)),
        ("hedge", None, "hedge", (1, 10, 2)),
        ("ruled", "short", "vote", (2, 2, 0)),
    ],
)
def test_the_rule_the_strategy_and_what_they_cost(
    model: str, rule: str | None, strategy: str, calls: tuple[int, int, int]
) -> None:
    """In calls to the cheapest: a call to c costs ten of them, one to d a hundred. What is
    expected, then the worst: answers, and prompts of those that fail.
    """
    told = explained(structs.replace(HI, model=model))
    prompt = told["features"]["prompt"]
    worst = calls[1] * (prompt + 20) + calls[2] * prompt
    assert (told["rule"], told["strategy"]["name"]) == (rule, strategy)
    assert told["cost_usd"]["expected"] == Decimal(calls[0] * 30).scaleb(-9)
    assert told["cost_usd"]["worst"] == Decimal(worst).scaleb(-9)


@pytest.mark.parametrize(
    ("fee", "expected"),
    [
        (None, {}),
        (SearchFee(14 * 10**6), {"search_fee": {"usd_per_thousand": 14, "per": "search"}}),
        (
            SearchFee(35 * 10**6, per_call=True),
            {"search_fee": {"usd_per_thousand": 35, "per": "call"}},
        ),
    ],
)
def test_a_fee_for_searches_is_told_with_its_unit(
    fee: SearchFee | None, expected: dict[str, Any]
) -> None:
    price = Price(0, 0, 0, 0, search=fee)
    assert json.loads(msgspec.json.encode(search_fee(price))) == expected
