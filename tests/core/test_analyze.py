"""What became of a request, as its records tell it."""

from typing import Any, Final

import msgspec
import pytest

from gateway.core.catalog import (
    Catalog,
    Check,
    Deployment,
    Model,
    Route,
    Rule,
    Tier,
    TierModel,
)
from gateway.core.chat import Usage
from gateway.core.explain.analyze import analyze
from gateway.core.ladder import Ladder, ladders
from gateway.core.money import Price
from gateway.core.records.line import Line
from gateway.core.rules import Between, When
from tests.usage_lines import NOON, line


def model(name: str, usd: int) -> Model:
    """`usd` for a million tokens of either kind."""
    each = Price(usd * 10**9, usd * 10**9, usd * 10**9, usd * 10**9)
    return Model(name, (Deployment(f"sim/{name}", "sim", name),), each, 1000, 1000, 100)


NAMED: Final = ladders(
    Catalog(
        {"small": model("small", 1), "other": model("other", 1), "large": model("large", 10)},
        {
            "cheap": Tier("cheap", (TierModel("small"), TierModel("other"))),
            "smart": Tier("smart", (TierModel("large"),)),
        },
        {
            "auto": Route("auto", ("cheap", "smart"), checks=(Check("complete"),)),
            "tagged": Route(
                "tagged",
                ("cheap",),
                rules=(
                    Rule("legal", When(tags={"use": frozenset({"legal"})}), ("smart",)),
                    Rule("draft", When(tags={"use": frozenset({"draft"})}), ("cheap",)),
                    Rule("long", When(prompt=Between(500)), ("smart",)),
                ),
            ),
            "ruled": Route("ruled", ("cheap",), rules=(Rule("dear", When(), ("smart",)),)),
        },
    )
)


def call(attempt: str, begins_s: float, took_s: float, **other: Any) -> Line:
    """One that began so long after noon."""
    known: dict[str, Any] = {"request": "r", "seconds": took_s, "held": 900, "cost": 50}
    if other.get("model") == "large":
        known |= {"tier": "smart", "cost": 500}
    return line(attempt, ms=NOON + round((begins_s + took_s) * 1000), **(known | other))


def told(*lines: Line, named: dict[str, Ladder] | None = None) -> dict[str, Any]:
    found = analyze("r", lines, NAMED if named is None else named)
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return decoded


SCRIPTS: dict[str, tuple[list[Line], list[tuple[str, str]], str | None]] = {
    "one call": ([call("a", 0, 1)], [("small", "asked first")], "small"),
    "a poor answer": (
        [call("a", 0, 1), call("b", 1, 1, model="large", purpose="escalation")],
        [("small", "asked first"), ("large", "what small said was not good enough")],
        "large",
    ),
    "a failed call": (
        [
            call("a", 0, 1, outcome="timed_out"),
            call("b", 1, 1, model="other", purpose="fallback"),
        ],
        [("small", "asked first"), ("other", "small failed: timed_out")],
        "other",
    ),
    "once more": (
        [call("a", 0, 1, outcome="reset"), call("b", 1, 1, purpose="retry")],
        [("small", "asked first"), ("small", "small failed: reset")],
        "small",
    ),
    "repaired": (
        [call("a", 0, 1), call("b", 1, 1, purpose="retry")],
        [
            ("small", "asked first"),
            ("small", "what small said was not good enough: it is asked again"),
        ],
        "small",
    ),
    "refused": (
        [call("a", 0, 1), call("b", 1, 1, model="other", purpose="fallback")],
        [
            ("small", "asked first"),
            ("other", "what was said before it was refused: another vendor is asked"),
        ],
        "other",
    ),
    "a vote of which one fails": (
        [
            call("a", 0, 1, purpose="vote", outcome="faulty"),
            call("b", 0.1, 2, model="other", purpose="vote"),
            call("c", 4, 1, model="large", purpose="fallback"),
        ],
        [
            ("small", "one of the voters"),
            ("other", "one of the voters"),
            ("large", "small failed: faulty"),
        ],
        "large",
    ),
    "a vote": (
        [
            call("b", 0.1, 2, model="other", purpose="vote"),
            call("a", 0, 3, purpose="vote"),
            call("c", 4, 1, model="large", purpose="arbitration"),
        ],
        [
            ("small", "one of the voters"),
            ("other", "one of the voters"),
            ("large", "the votes before it did not agree"),
        ],
        "large",
    ),
    "a race": (
        [call("a", 0, 2, outcome="outrun"), call("b", 1, 0.5, model="other")],
        [("small", "asked first"), ("other", "small failed: outrun")],
        "other",
    ),
    "judged by another": (
        [call("a", 0, 1), call("j", 1, 1, model="large", purpose="audit")],
        [
            ("small", "asked first"),
            ("large", "asked about an answer, or behind it: no client saw what it said"),
        ],
        "small",
    ),
    "a client that left": (
        [call("a", 0, 1, purpose="abandoned", outcome="dropped")],
        [("small", "the client was gone")],
        None,
    ),
    "a hold that nobody settled": (
        [
            call(
                "a",
                0,
                0,
                kind="expired",
                model="",
                provider="",
                purpose="expired",
                outcome="expired",
            )
        ],
        [("", "nobody settled its hold in time: it was charged in full")],
        None,
    ),
}


@pytest.mark.parametrize(("lines", "calls", "answered"), SCRIPTS.values(), ids=SCRIPTS)
def test_what_each_call_was_for(
    lines: list[Line], calls: list[tuple[str, str]], answered: str | None
) -> None:
    for order in (lines, lines[::-1]):
        found = told(*order)
        assert [(each["model"], each["why"]) for each in found["attempts"]] == calls
        assert (found["answered_by"] or {}).get("model") == answered


def test_every_figure_of_a_climb() -> None:
    found = told(
        call("a", 0, 1, usage=Usage(30, 20), outcome="cut", counted=True),
        call("b", 1.5, 2, model="large", purpose="escalation", usage=Usage(30, 25, 10)),
        call("c", 3.5, 0, purpose="compared", outcome="agreed", cost=0),
    )
    cheap, smart = found.pop("attempts")
    plan = found.pop("plan")
    assert found == {
        "request": "r", "tenant": "acme", "organisation": "", "route": "auto", "key": "k1",
        "user": "ann", "tags": {"use_case": "rag"}, "stream": True,
        "began": "2026-11-21T12:00:00+00:00", "seconds": 3.5,
        "answered_by": {"model": "large", "provider": "sim", "tier": "smart"},
        "compared": ["agreed"], "behind": [],
        "cost_usd": {
            "charged": 0.00000055, "held": 0.0000018, "always_smart": 0.0000005,
            "saved": -0.00000005, "behind": 0,
        },
    }  # fmt: skip
    assert cheap == {
        "model": "small", "provider": "sim", "tier": "cheap", "deployment": "sim/small",
        "purpose": "answer", "outcome": "cut", "why": "asked first", "held_usd": 0.0000009,
        "charged_usd": 0.00000005, "reported_usd": None, "counted": True, "ms": 1000.0,
        "first_token_ms": 125.0,
        "tokens": {**dict.fromkeys(cheap["tokens"], 0), "prompt": 30, "completion": 20},
    }  # fmt: skip
    assert smart["charged_usd"] == 0.0000005
    assert [
        (rung["tier"], [(each["model"], each["calls"]) for each in rung["candidates"]])
        for rung in plan["rungs"]
    ] == [("cheap", [("small", 1), ("other", 0)]), ("smart", [("large", 1)])]
    assert (plan["strategy"], plan["rule"]) == ("cascade", None)


def test_what_a_provider_says_that_a_call_cost_is_no_token() -> None:
    found = told(call("a", 0, 1, usage=Usage(30, 20, reported_cost=50)), call("b", 1, 1))
    first, second = found["attempts"]
    assert (first["reported_usd"], second["reported_usd"]) == (0.00000005, None)
    assert "reported_cost" not in first["tokens"]


def test_what_the_smart_one_would_have_cost() -> None:
    """20,000 nano-dollars a token, for 30 and 20 of them."""
    costs = told(call("a", 0, 1, usage=Usage(30, 20)))["cost_usd"]
    assert costs == {
        "charged": 0.00000005, "held": 0.0000009, "always_smart": 0.0005, "saved": 0.00049995,
        "behind": 0,
    }  # fmt: skip


def test_what_went_on_behind_the_answer_is_told_by_itself() -> None:
    found = told(
        call("a", 0, 1),
        call("g", 1, 2, request="r~guard", model="large", purpose="audit"),
        call("h", 3, 0, request="r~guard", model="large", purpose="compared", outcome="differed",
             cost=0),
        call("s", 1, 1, request="r~shadow", route="next", purpose="audit", outcome="timed_out"),
    )  # fmt: skip
    assert [each["model"] for each in found["attempts"]] == ["small"]
    guard, shadow = found["behind"]
    assert (guard["kind"], guard["request"], guard["compared"]) == ("guard", "r~guard", "differed")
    assert [each["model"] for each in guard["attempts"]] == ["large"]
    assert guard["charged_usd"] == 0.0000005
    assert (shadow["kind"], shadow["route"], shadow["compared"]) == ("shadow", "next", None)
    assert found["cost_usd"]["behind"] == 0.00000055
    assert found["compared"] == ["differed"]


def test_an_audit_may_be_asked_for_by_its_own_id() -> None:
    audit = call("g", 1, 2, request="r~guard", model="large", purpose="audit")
    found = analyze("r~guard", [audit], NAMED)
    assert found is not None
    assert (len(found["attempts"]), found["behind"]) == (1, [])


def test_a_rule_is_known_by_what_it_asked() -> None:
    found = told(call("a", 0, 1, model="large", route="ruled"))
    assert (found["plan"]["rule"], found["plan"]["rungs"][0]["tier"]) == ("dear", "smart")


@pytest.mark.parametrize(
    ("tags", "model", "rule"),
    [
        ({}, "small", None),
        ({}, "large", "long"),
        ({"use": "chat"}, "large", "long"),
        ({"use": "legal"}, "large", "legal"),
        ({"use": "draft"}, "small", "draft"),
    ],
)
def test_a_rule_is_known_by_the_tags_that_it_asks_for(
    tags: dict[str, str], model: str, rule: str | None
) -> None:
    """Nothing that was asked tells `draft` from no rule, nor `legal` from `long`."""
    found = told(call("a", 0, 1, model=model, route="tagged", tags=tags))
    assert found["plan"]["rule"] == rule


@pytest.mark.parametrize("other", [{"route": "gone"}, {"model": "gone"}, {"tier": "gone"}])
def test_a_configuration_that_changed_is_no_plan(other: dict[str, str]) -> None:
    found = told(call("a", 0, 1, **other))
    assert found["plan"] is None
    assert found["cost_usd"]["always_smart"] is None
    assert found["cost_usd"]["charged"] == 0.00000005


@pytest.mark.parametrize("order", [1, -1])
def test_an_expired_hold_that_was_corrected_is_one_call(order: int) -> None:
    lines = [
        call("a", 0, 0, kind="expired", model="", purpose="expired", outcome="expired", nanos=900),
        call("a", 0, 1, kind="corrected", nanos=-850),
    ]
    found = told(*lines[::order])
    (only,) = found["attempts"]
    assert (only["model"], only["outcome"], only["charged_usd"]) == ("small", "ok", 0.00000005)


def test_a_ledger_without_a_clock_tells_the_order_only() -> None:
    lines = [
        call("b", 0, 1, seq=2, model="large", purpose="escalation"),
        call("a", 5, 1, seq=1),
    ]
    untimed = [msgspec.structs.replace(each, time="") for each in lines]
    found = told(*untimed)
    assert [each["model"] for each in found["attempts"]] == ["small", "large"]
    assert (found["began"], found["seconds"]) == (None, None)


@pytest.mark.parametrize("lines", [[], [call("c", 0, 0, purpose="compared")]])
def test_nothing_is_known_of_it(lines: list[Line]) -> None:
    assert analyze("r", lines, NAMED) is None
