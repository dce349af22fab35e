"""A plan that is kept is the one that would be made, for a prompt at most 1/32 longer."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.core.catalog import CASCADE, Tactic, Tenant
from gateway.core.features import Features
from gateway.core.ladder import Ladder, ladders
from gateway.core.money import Nanos
from gateway.core.plan import Draw, Plan, PlanContext, make_plan
from gateway.core.plans import Plans, about
from gateway.core.token_factors import Factors
from gateway.core.tokens import Bound
from tests.core.test_plan import EU, US, catalog, features, model, named, order, skipped

SIZES: dict[str, Any] = {"context": 100_000, "usable_context": 80_000}
KNOWN = catalog(
    model("m", EU, US, **SIZES),
    model("v", EU, capabilities=frozenset({"vision", "tools"}), **SIZES),
    model("small", US),
    one="m",
    two="v small",
)
CLIMB = ladders(KNOWN)["auto"]


def asked(counted: int = 100, **more: Any) -> Features:
    bound = Bound(counted, 100)
    return features(bound=bound, **more)


def never() -> float:
    raise AssertionError("nothing here is drawn")


def planned(
    plans: Plans, ladder: Ladder, features: Features, context: PlanContext, draw: Draw = never
) -> Plan:
    def make(wanted: Features) -> Plan:
        return make_plan(ladder, wanted, context, draw)

    return plans.plan(ladder, features, context.tenant, context.factors.version, make)


def reasons(made: Plan) -> dict[str, str]:
    return {name: why.split(":")[0] for name, why in skipped(made).items()}


@given(st.integers(0, 10**9))
def test_about_is_no_less_and_hardly_more(tokens: int) -> None:
    assert tokens <= about(tokens) <= tokens + tokens / 32
    assert about(about(tokens)) == about(tokens)


TENANTS = [
    Tenant("any"),
    Tenant("eu", regions=EU),
    Tenant("narrow", models=("m",)),
    Tenant("poor", max_request=Nanos(500 * 10**6)),
]


@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(1, 800), st.integers(1, 60_000)),
            st.sampled_from([None, 1, 50, 100]),
            st.sampled_from([frozenset(), frozenset({"tools"})]),
            st.sampled_from([None, "eu", "us"]),
            st.booleans(),
            st.sampled_from(TENANTS),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_who_may_answer_is_the_same_and_what_is_held_enough(
    requests: list[tuple[int, int | None, frozenset[str], str | None, bool, Tenant]],
) -> None:
    """Whoever asked before: no plan is another's."""
    plans = Plans()
    for counted, output, needs, region, caches, tenant in requests:
        wanted = asked(counted, output=output, needs=needs, region=region, caches=caches)
        context = PlanContext(tenant)
        made = make_plan(CLIMB, wanted, context, never)
        kept = planned(plans, CLIMB, wanted, context)
        assert order(kept) == order(made)
        assert reasons(kept) == reasons(made)
        for rung, exact in zip(kept.rungs, made.rungs, strict=True):
            assert rung.checks == exact.checks
            for mine, theirs in zip(rung.candidates, exact.candidates, strict=True):
                assert theirs.ceiling <= mine.ceiling <= theirs.ceiling * 33 / 32 + 2 * 10**6
                assert theirs.prompt <= mine.prompt
                assert mine.max_output == theirs.max_output


def test_a_plan_is_kept() -> None:
    plans = Plans()
    first = planned(plans, CLIMB, asked(1000), PlanContext(Tenant("t")))
    assert planned(plans, CLIMB, asked(1001), PlanContext(Tenant("u"))) is first


DRAWN = ladders(catalog(model("m", EU, US, weights=(1, 1)), one="m"))["auto"]


@pytest.mark.parametrize(
    ("what", "ladder", "more"),
    [
        ("drawn by weight", DRAWN, {}),
        ("a race", structs.replace(CLIMB, strategy=Tactic("hedge", {}, CASCADE)), {}),
        ("ordered by what is observed", structs.replace(CLIMB, ordered=True), {}),
        ("a latency asked", CLIMB, {"max_latency_s": 1.0}),
        ("its own checks", CLIMB, {"checks": (named("own"),)}),
        ("an image", CLIMB, {"bound": Bound(100, 100, media=1)}),
        ("counted exactly", CLIMB, {"bound": Bound(100, 100, exact=90)}),
        ("near a context's end", CLIMB, {"bound": Bound(500, 100)}),
    ],
)
def test_what_is_made_anew(what: str, ladder: Ladder, more: dict[str, object]) -> None:
    plans, wanted, around = Plans(), structs.replace(asked(), **more), PlanContext(Tenant("t"))
    one, two = (planned(plans, ladder, wanted, around, lambda: 0.5) for _ in range(2))
    assert one is not two, what
    assert order(one) == order(make_plan(ladder, wanted, around, lambda: 0.5))


def test_what_was_learned_changes_the_plan() -> None:
    plans, factors = Plans(), Factors()
    context = PlanContext(Tenant("t"), factors=factors)
    before = planned(plans, CLIMB, asked(1000), context)
    for _ in range(200):
        factors.learn("m", 1000, 3000)
    after = planned(plans, CLIMB, asked(1000), context)
    assert after.rungs[0].candidates[0].prompt > 2 * before.rungs[0].candidates[0].prompt
