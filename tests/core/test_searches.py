"""What a provider's own searches of the web may cost, and what they do."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, json, structs

from gateway.core.catalog import Tenant
from gateway.core.chat import Usage
from gateway.core.ladder import ladders
from gateway.core.money import Price, SearchFee, Surcharges, ceiling, cost
from gateway.core.plan import PlanContext, make_plan
from gateway.core.plans import Plans
from gateway.core.searches import DEFAULT_SEARCHES, searches_allowed
from gateway.core.shape import read_shape
from gateway.core.tariff import Step, Tariff, Window, dearest
from tests.core.test_plan import EU, catalog, features, model
from tests.core.test_plans import asked, never, planned

CLAUDE = {"type": "web_search_20250305", "name": "web_search"}
OWN = {"type": "function", "function": {"name": "web_search", "parameters": {}}}
CENT = 10_000_000
"""Nano-dollars."""
FEES = st.builds(SearchFee, st.integers(0, CENT), st.booleans())
PRICE = Price(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 0),
        ({"tools": [OWN]}, 0),
        ({"tools": [{"type": "custom", "custom": {"name": "search"}}]}, 0),
        ({"tools": [CLAUDE]}, DEFAULT_SEARCHES),
        ({"tools": [OWN, {**CLAUDE, "max_uses": 3}]}, 3),
        ({"tools": [{**CLAUDE, "max_uses": 0}]}, 0),
        ({"tools": [{**CLAUDE, "max_uses": 10**30}]}, 1_000_000),
        ({"tools": [{**CLAUDE, "max_uses": -1}]}, DEFAULT_SEARCHES),
        ({"tools": [{**CLAUDE, "max_uses": "3"}]}, DEFAULT_SEARCHES),
        ({"tools": [{"type": "openrouter:web_search"}]}, DEFAULT_SEARCHES),
        ({"tools": [{"googleSearch": {}}]}, DEFAULT_SEARCHES),
        ({"tools": [{"googleSearch": {}}, {"enterpriseWebSearch": {}}]}, 2 * DEFAULT_SEARCHES),
        ({"tools": [{"parallelAiSearch": {}}]}, DEFAULT_SEARCHES),
        ({"tools": [{"exaAiSearch": {}}]}, DEFAULT_SEARCHES),
        ({"tools": [5, None, {"type": 5}, "web_search"]}, 0),
        ({"tools": {"type": "web_search"}}, 0),
        ({"web_search_options": {}}, DEFAULT_SEARCHES),
        ({"plugins": [{"id": "web"}]}, DEFAULT_SEARCHES),
    ],
)
def test_searches_allowed(fields: dict[str, Any], expected: int) -> None:
    raw = {name: Raw(json.encode(value)) for name, value in fields.items()}
    assert searches_allowed(raw) == expected
    assert read_shape(raw).searches == expected


def test_a_tool_whose_name_is_written_in_escapes_is_seen() -> None:
    tools = Raw(rb'[{"type":"web_s\u0065arch_20250305","max_uses":4}]')
    assert searches_allowed({"tools": tools}) == 4


@pytest.mark.parametrize(
    ("fee", "searches", "expected"),
    [
        (None, 3, 0),
        (SearchFee(CENT), 0, 0),
        (SearchFee(CENT), 3, 3 * CENT),
        (SearchFee(CENT, per_call=True), 0, 0),
        (SearchFee(CENT, per_call=True), 3, CENT),
    ],
)
def test_a_search_costs_its_fee(fee: SearchFee | None, searches: int, expected: int) -> None:
    price = structs.replace(PRICE, search=fee)
    assert cost(price, Usage(searches=searches)) == expected
    assert ceiling(price, 0, 0, Surcharges(searches=searches), caches=False) == expected


@given(FEES, st.integers(0, 100), st.integers(0, 100))
def test_what_is_held_covers_as_many_searches_as_are_allowed(
    fee: SearchFee, made: int, more: int
) -> None:
    price = structs.replace(PRICE, search=fee)
    held = ceiling(price, 0, 0, Surcharges(searches=made + more), caches=False)
    assert cost(price, Usage(searches=made)) <= held


@given(st.lists(FEES, min_size=1, max_size=4), st.integers(0, 20))
def test_the_dearest_of_fees_is_no_less_than_each(fees: list[SearchFee], searches: int) -> None:
    usage = Usage(searches=searches)
    prices = [structs.replace(PRICE, search=fee) for fee in fees]
    most = cost(dearest([*prices, PRICE]), usage)
    assert all(cost(price, usage) <= most for price in prices)


def test_a_fee_holds_at_each_hour_and_for_each_prompt() -> None:
    fee, steps = SearchFee(CENT), (Step(10, PRICE),)
    tariff = Tariff(PRICE, (Window(0, 60, PRICE, steps=steps),), steps).with_search_fee(fee)
    held = (tariff.usual, tariff.within(0), tariff.within(20))
    charged = [tariff.at(when, prompt) for when in (0.0, 7_200.0) for prompt in (5, 20)]
    assert {price.search for price in (*held, *charged)} == {fee}


CHARGING = structs.replace(model("m", EU), price=structs.replace(PRICE, search=SearchFee(CENT)))
LADDER = ladders(catalog(CHARGING, one="m"))["auto"]


def test_a_plan_holds_the_fee_and_keeps_it_when_more_goes_in() -> None:
    plan = make_plan(LADDER, features(searches=3), PlanContext(Tenant("t")), never)
    candidate = plan.rungs[0].candidates[0]
    assert candidate.ceiling == 3 * CENT
    assert candidate.with_more(5).ceiling == 3 * CENT


def test_a_kept_plan_is_not_that_of_a_request_that_may_search_more() -> None:
    plans, context = Plans(), PlanContext(Tenant("t"))
    held = [
        planned(plans, LADDER, asked(searches=searches), context).rungs[0].candidates[0].ceiling
        for searches in (0, 2, 0, 5)
    ]
    assert held == [0, 2 * CENT, 0, 5 * CENT]
