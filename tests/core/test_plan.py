"""From what was asked to who could answer, and why everybody else is out."""

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import structs

from gateway.core.catalog import (
    CASCADE,
    Catalog,
    Check,
    Deployment,
    Model,
    Route,
    Tenant,
    Tier,
    TierModel,
)
from gateway.core.explain import why_there
from gateway.core.features import Features
from gateway.core.ladder import ladders
from gateway.core.money import Audio, Nanos, Price
from gateway.core.patterns import allowed
from gateway.core.plan import Plan, PlanContext, make_plan
from gateway.core.tokens import IMAGE_TOKENS, Bound

EU, US = frozenset({"eu"}), frozenset({"us"})
RATE = 10**6  # one nano-dollar a token


def model(
    name: str, *where: frozenset[str], weights: tuple[int | None, ...] = (), **more: Any
) -> Model:
    """Deployed at providers p0, p1, ... in these regions."""
    at = tuple(
        Deployment(f"{name}@p{i}", f"p{i}", name, regions, weights[i] if weights else None)
        for i, regions in enumerate(where or (EU,))
    )
    sizes = {"context": 1000, "usable_context": 800, "max_output": 100} | more
    return Model(name, at, Price(RATE, RATE, RATE, 2 * RATE), **sizes)


def catalog(*models: Model, **tiers: str) -> Catalog:
    """Tiers by the names of their models, in climbing order; the route `auto` climbs them all."""
    return Catalog(
        {each.name: each for each in models},
        {
            name: Tier(name, tuple(map(TierModel, listed.split())), (named(f"of-{name}"),))
            for name, listed in tiers.items()
        },
        {"auto": Route("auto", tuple(tiers), CASCADE, (named("of-auto"),), 7.0)},
    )


def named(name: str) -> Check:
    """A check that is told from others."""
    return Check("regex", {"pattern": name})


def features(prompt: int = 100, **more: Any) -> Features:
    plain = Features(Bound(0, prompt), 50, 1, frozenset(), caches=False)
    return structs.replace(plain, **more)


def plan(
    models: tuple[Model, ...],
    *,
    tenant: Tenant | None = None,
    down: frozenset[str] = frozenset(),
    draws: tuple[float, ...] = (),
    warm: frozenset[str] = frozenset(),
    asked: str = "only",
    **more: Any,
) -> Plan:
    """The plan of one tier, `only`, with all these models."""
    known = catalog(*models, only=" ".join(each.name for each in models))
    numbers = iter(draws)
    context = PlanContext(tenant or Tenant("t"), down, warm=warm)
    return make_plan(ladders(known)[asked], features(**more), context, lambda: next(numbers))


def order(made: Plan) -> list[list[str]]:
    return [[each.deployment.name for each in rung.candidates] for rung in made.rungs]


def skipped(made: Plan) -> dict[str, str]:
    return {each.deployment: each.why for each in made.skipped}


TWO = model("m", EU, US)
SEES = model("v", capabilities=frozenset({"vision", "tools"}))

RULED_OUT: list[tuple[str, tuple[Model, ...], dict[str, Any], str, dict[str, str]]] = [
    # what, models, of the request and tenant, who is left, who is out and why
    ("nothing", (TWO,), {}, "m@p0 m@p1", {}),
    ("the region asked for", (TWO,), {"region": "us"}, "m@p1",
     {"m@p0": "region: us asked, runs in eu"}),
    ("a region nobody has", (TWO,), {"region": "mars"}, "",
     {"m@p0": "region: mars asked, runs in eu", "m@p1": "region: mars asked, runs in us"}),
    ("a deployment that may answer elsewhere", (model("m", EU | US, EU),), {"region": "eu"}, "m@p1",
     {"m@p0": "region: eu asked, runs in eu, us"}),
    ("where a tenant's data may go", (TWO,), {"tenant": Tenant("t", regions=EU)}, "m@p0",
     {"m@p1": "region: tenant allows eu, runs in us"}),
    ("several regions, all allowed", (model("m", EU | US),),
     {"tenant": Tenant("t", regions=EU | US)}, "m@p0", {}),
    ("several regions, one not allowed", (model("m", EU | US),),
     {"tenant": Tenant("t", regions=EU)}, "", {"m@p0": "region: tenant allows eu, runs in eu, us"}),
    ("no stated region", (model("m", frozenset()),), {"tenant": Tenant("t", regions=EU)}, "",
     {"m@p0": "region: tenant allows eu, runs in no stated region"}),
    ("no region is allowed", (TWO,), {"tenant": Tenant("t", regions=frozenset())}, "",
     {"m@p0": "region: tenant allows no stated region, runs in eu",
      "m@p1": "region: tenant allows no stated region, runs in us"}),
    ("asked for what is not allowed", (TWO,),
     {"region": "us", "tenant": Tenant("t", regions=EU)}, "",
     {"m@p0": "region: us asked, runs in eu", "m@p1": "region: tenant allows eu, runs in us"}),
    ("what it cannot do", (model("m"), SEES), {"needs": frozenset({"vision", "tools"})}, "v@p0",
     {"m@p0": "capabilities: no tools, vision"}),
    ("a part of what it cannot do", (SEES,), {"needs": frozenset({"vision", "audio"})}, "",
     {"v@p0": "capabilities: no audio"}),
    ("its longest answer", (model("m"),), {"output": 101}, "",
     {"m@p0": "max_output: 101 tokens asked, at most 100"}),
    ("a bound that nobody stated", (model("m", output_stated=False),), {"output": 101}, "m@p0", {}),
    ("an answer as long as it may be", (model("m"),), {"output": 100}, "m@p0", {}),
    ("its window", (model("m"),), {"prompt": 751}, "",
     {"m@p0": "context: up to 801 tokens, 800 usable"}),
    ("a window just filled", (model("m"),), {"prompt": 750}, "m@p0", {}),
    ("a window with no room for an answer", (model("m"),), {"prompt": 800, "output": None}, "",
     {"m@p0": "context: up to 801 tokens, 800 usable"}),
    ("models that a tenant may not use", (TWO, model("n")), {"tenant": Tenant("t", models=("n",))},
     "n@p0", {"m@p0": "tenant's models", "m@p1": "tenant's models"}),
    ("a tier that a tenant may use whole", (TWO,), {"tenant": Tenant("t", models=("only",))},
     "m@p0 m@p1", {}),
    ("what the request may cost", (model("m"),), {"max_cost": Nanos(149)}, "",
     {"m@p0": "headroom: may cost $0.00000015, $0.000000149 left"}),
    ("a cost just covered", (model("m"),), {"max_cost": Nanos(150)}, "m@p0", {}),
    ("what its tenant lets one cost", (model("m"),), {"tenant": Tenant("t", max_request=Nanos(9))},
     "", {"m@p0": "headroom: may cost $0.00000015, $0.000000009 left"}),
    ("the tighter of both", (model("m"),),
     {"tenant": Tenant("t", max_request=Nanos(9)), "max_cost": Nanos(8)},
     "", {"m@p0": "headroom: may cost $0.00000015, $0.000000008 left"}),
    ("a cost of nothing", (model("m"),), {"max_cost": Nanos(0)}, "",
     {"m@p0": "headroom: may cost $0.00000015, $0 left"}),
    ("an open circuit", (TWO,), {"down": frozenset({"m@p0"})}, "m@p1", {"m@p0": "health"}),
    ("never the last of a model", (model("m"),), {"down": frozenset({"m@p0"})}, "m@p0", {}),
    ("never all of a model", (TWO,), {"down": frozenset({"m@p0", "m@p1"})}, "m@p0 m@p1", {}),
    ("the last of a model, after the healthy", (model("m"), model("n")),
     {"down": frozenset({"m@p0"})}, "n@p0 m@p0", {}),
    ("the last that fits is the last", (TWO,),
     {"down": frozenset({"m@p1"}), "region": "us"}, "m@p1",
     {"m@p0": "region: us asked, runs in eu"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("models", "given", "left", "out"),
    [pytest.param(*row[1:], id=row[0]) for row in RULED_OUT],
)
def test_who_is_ruled_out_and_why(
    models: tuple[Model, ...], given: dict[str, Any], left: str, out: dict[str, str]
) -> None:
    made = plan(models, **given)
    assert order(made) == ([left.split()] if left else [])
    assert skipped(made) == out


def test_what_is_skipped_names_its_tier() -> None:
    made = plan((TWO,), region="us")
    assert [(each.deployment, each.tier) for each in made.skipped] == [("m@p0", "only")]


# Sizes and ceilings --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "max_output", "ceiling"),
    [
        ({}, 50, 150),
        ({"n": 3}, 50, 250),
        ({"output": None}, 100, 200),
        ({"output": None, "n": 2}, 100, 300),
        ({"output": None, "prompt": 790}, 10, 800),
        ({"caches": True}, 50, 250),
    ],
)
def test_the_most_a_call_can_cost(given: dict[str, Any], max_output: int, ceiling: int) -> None:
    (rung,) = plan((model("m"),), **given).rungs
    (candidate,) = rung.candidates
    assert (candidate.max_output, candidate.ceiling) == (max_output, ceiling)


# Weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "draws", "expected"),
    [
        ((None, None, None), (), "m@p0 m@p1 m@p2"),
        ((1, 1, 1), (0.1, 0.9, 0.5), "m@p1 m@p2 m@p0"),
        ((1, None, 1), (0.1, 0.9), "m@p2 m@p0 m@p1"),  # those without a weight come last
        ((9, 1, None), (0.5, 0.6), "m@p0 m@p1 m@p2"),  # 0.5 ^ (1/9) > 0.6
        ((1, 9, None), (0.5, 0.6), "m@p1 m@p0 m@p2"),
    ],
)
def test_weights_share_the_traffic(
    weights: tuple[int | None, ...], draws: tuple[float, ...], expected: str
) -> None:
    made = plan((model("m", EU, EU, EU, weights=weights),), draws=draws)
    assert order(made) == [expected.split()]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [((1, 9, 9), "m@p2 m@p1 m@p0"), ((None, None, None), "m@p0 m@p1 m@p2")],
    ids=["drawn", "as listed"],
)
def test_what_is_drawn_stays_where_it_is_warm(
    weights: tuple[int | None, ...], expected: str
) -> None:
    warm = frozenset({"m@p2"})
    made = plan((model("m", EU, EU, EU, weights=weights),), draws=(0.5, 0.9, 0.1), warm=warm)
    assert order(made) == [expected.split()]


@pytest.mark.parametrize(
    ("marked", "unasked", "expected"),
    [(False, False, "b@p0 a@p0"), (True, False, "a@p0 b@p0"), (False, True, "a@p0 b@p0")],
    ids=["not marked", "marked", "unasked"],
)
def test_the_cheapest_is_who_reads_what_its_cache_holds_only_where_it_caches(
    marked: bool, unasked: bool, expected: str
) -> None:
    """Claude reads no cache for a request that marks nothing, though it answered the one before."""
    dear, cheap = model("a"), model("b")
    dear = structs.replace(
        dear,
        price=Price(3 * RATE, RATE, RATE // 3, 4 * RATE),
        deployments=(structs.replace(dear.deployments[0], caches_unasked=unasked),),
    )
    known = catalog(dear, cheap, only="a b")
    routes = {"auto": Route("auto", ("only",), order="cheapest")}
    ladder = ladders(structs.replace(known, routes=routes))["auto"]
    asks = features(600, caches=marked)
    context = PlanContext(Tenant("t"), warm=frozenset({"a@p0"}), prefix=590)
    made = make_plan(ladder, asks, context, lambda: 0.5)
    assert order(made) == [expected.split()]
    [first, *_] = made.rungs[0].candidates
    told = why_there(first, made.rungs[0], ladder, asks, context)
    assert ("cache" in told) is (first.model.name == "a")


def test_a_weighted_choice_comes_out_as_its_weights() -> None:
    """Three to one, over evenly spread draws."""
    known = ladders(catalog(model("m", EU, EU, weights=(3, 1)), only="m"))["only"]
    grid = [(i + 0.5) / 40 for i in range(40)]
    firsts = 0
    for a in grid:
        for b in grid:
            draws: Iterator[float] = iter((a, b))
            made = make_plan(known, features(), PlanContext(Tenant("t")), lambda it=draws: next(it))  # type: ignore[misc]
            firsts += made.rungs[0].candidates[0].deployment.name == "m@p0"
    assert abs(firsts / 1600 - 0.75) < 0.02


# Names ---------------------------------------------------------------------------------------

WIDE = catalog(
    model("a"),
    model("b"),
    model("c", EU, US),
    model("d", fallbacks=("a", "c")),
    model("lone"),
    cheap="a b",
    mid="c b",
    smart="d",
)


@pytest.mark.parametrize(
    ("name", "climbs"),
    [
        ("auto", ["cheap: a@p0 b@p0", "mid: c@p0 c@p1 b@p0", "smart: d@p0"]),
        ("cheap", ["cheap: a@p0 b@p0", "mid: c@p0 c@p1 b@p0", "smart: d@p0"]),
        ("mid", ["mid: c@p0 c@p1 b@p0", "smart: d@p0"]),
        ("smart", ["smart: d@p0"]),
        ("a", ["cheap: a@p0"]),
        ("b", ["cheap: b@p0"]),  # its first tier
        ("c", ["mid: c@p0 c@p1"]),
        ("d", ["smart: d@p0 a@p0 c@p0 c@p1"]),
        ("lone", ["none: lone@p0"]),
        ("c@p1", ["mid: c@p1"]),
        ("d@p0", ["smart: d@p0"]),
    ],
)
def test_what_a_name_stands_for(name: str, climbs: list[str]) -> None:
    made = make_plan(ladders(WIDE)[name], features(), PlanContext(Tenant("t")), lambda: 0.5)
    assert [
        f"{r.tier}: {' '.join(n)}" for r, n in zip(made.rungs, order(made), strict=True)
    ] == climbs


def test_only_known_names_stand_for_something() -> None:
    names = {"auto", "cheap", "mid", "smart", *WIDE.models, "c@p1"}
    names |= {f"{each}@p0" for each in WIDE.models}
    assert set(ladders(WIDE)) == names


@pytest.mark.parametrize(
    ("name", "checks"),
    [("auto", ["of-auto", "of-mid"]), ("mid", ["of-mid"]), ("c", []), ("c@p1", [])],
)
def test_which_checks_a_rung_is_held_against(name: str, checks: list[str]) -> None:
    known = ladders(WIDE)[name]
    made = make_plan(known, features(), PlanContext(Tenant("t")), lambda: 0.5)
    rung = next(rung for rung in made.rungs if rung.tier == "mid")
    assert [check.options["pattern"] for check in rung.checks.all] == checks
    own = make_plan(known, features(checks=(named("x"),)), PlanContext(Tenant("t")), lambda: 0.5)
    assert [rung.checks.all for rung in own.rungs] == [(named("x"),)] * len(own.rungs)
    none = make_plan(known, features(checks=()), PlanContext(Tenant("t")), lambda: 0.5)
    assert all(rung.checks.all == () for rung in none.rungs)


def test_a_check_of_both_route_and_tier_is_made_once() -> None:
    both = Catalog(
        {"m": model("m")},
        {"t": Tier("t", (TierModel("m"),), (Check("sql"), Check("complete")))},
        {"r": Route("r", ("t",), checks=(Check("complete"),), timeout_s=7)},
    )
    ladder = ladders(both)["r"]
    assert [check.name for check in ladder.steps[0].checks] == ["complete", "sql"]
    assert (ladder.strategy, ladder.timeout_s) == (CASCADE, 7)
    assert ladders(both)["t"].timeout_s == ladders(both)["m"].timeout_s == 120


def test_a_rung_with_nobody_is_no_rung() -> None:
    tenant = Tenant("t", models=("a", "d"))
    made = make_plan(ladders(WIDE)["auto"], features(), PlanContext(tenant), lambda: 0.5)
    assert [rung.tier for rung in made.rungs] == ["cheap", "smart"]


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        (("*",), "anything", True),
        ((), "anything", False),
        (("gpt-4",), "gpt-4", True),
        (("gpt-4",), "gpt-4.1", False),
        (("gpt-*",), "gpt-4.1", True),
        (("gpt-*",), "my-gpt-4", False),
        (("*-mini",), "gpt-5-mini", True),
        (("*-mini",), "gpt-5-mini-2", False),
        (("a*b*c",), "a1b2c", True),
        (("a*b*c",), "acb", False),
        (("ab*bc",), "abc", False),  # a letter is not used twice
        (("a*a",), "a", False),
        (("**",), "x", True),
        (("[a-z]?",), "ab", False),  # nothing but * is special
        (("x", "y*"), "yes", True),
    ],
)
def test_patterns(patterns: tuple[str, ...], name: str, expected: bool) -> None:
    assert allowed(patterns, name) is expected


def test_images_are_held_at_what_they_may_be_billed_and_fitted_at_what_they_take() -> None:
    """Two of them: the window has no room for the bill's tokens, nor need it have."""
    bound = Bound(50, 2 * IMAGE_TOKENS, 2, images=2)
    sizes: dict[str, Any] = {"context": 4_000, "usable_context": 4_000}
    dear, plain = (
        model(name, image_tokens=most, **sizes)
        for name, most in (("dear", 5_000), ("plain", IMAGE_TOKENS))
    )
    asked = features(bound=bound)
    found = make_plan(
        ladders(catalog(dear, plain, all="dear plain"))["auto"],
        asked,
        PlanContext(Tenant("t")),
        lambda: 0.5,
    )
    one, other = found.rungs[0].candidates
    more = 2 * (5_000 - IMAGE_TOKENS)
    assert one.ceiling - other.ceiling == one.tokens - other.tokens == more


def test_a_cache_that_is_written_unasked_is_held_at_its_price() -> None:
    asks = model("asks")
    writes = structs.replace(asks.deployments[0], name="writes@p0", caches_unasked=True)
    found = make_plan(
        ladders(catalog(asks, structs.replace(asks, name="writes", deployments=(writes,)),
                        all="asks writes"))["auto"],
        features(output=50),
        PlanContext(Tenant("t")),
        lambda: 0.5,
    )  # fmt: skip
    one, other = found.rungs[0].candidates
    assert (one.ceiling, other.ceiling) == (one.prompt + 50, 2 * one.prompt + 50)


def test_sound_is_held_at_its_own_price_and_so_is_more_of_it() -> None:
    sounding = Price(RATE, RATE, RATE, 2 * RATE, Audio(4 * RATE, 3 * RATE, RATE))
    bound = Bound(50, 300, 1, audio=200)
    plain, dear, twice = (
        structs.replace(
            model(name, context=4_000, usable_context=4_000, token_factor=factor), price=price
        )
        for name, price, factor in (
            ("plain", Price(RATE, RATE, RATE, 2 * RATE), 1),
            ("dear", sounding, 1),
            ("twice", sounding, 2),
        )
    )
    asked = features(bound=bound, output=50)
    found = make_plan(
        ladders(catalog(plain, dear, twice, all="plain dear twice"))["auto"],
        asked,
        PlanContext(Tenant("t")),
        lambda: 0.5,
    )
    one, other, third = found.rungs[0].candidates
    assert other.ceiling - one.ceiling == 200 * 3 + 50 * 2
    assert third.ceiling - 2 * bound.tokens - 50 == 2 * 200 * 3 + 50 * 2
    more = [each.with_more(10).ceiling for each in (one, other)]
    assert more[1] - more[0] == 200 * 3 + 50 * 2, "what goes in beside it is no audio"
