"""What each event counts."""

import math
from platform import python_version
from typing import Any, Final, get_args

import pytest
from msgspec import structs

from gateway import __version__
from gateway.core import events
from gateway.core.accounts import Account
from gateway.core.catalog import (
    Budget,
    Cache,
    Catalog,
    Check,
    Deployment,
    Key,
    Model,
    Organisation,
    Route,
    Tactic,
    Tenant,
    Tier,
    TierModel,
)
from gateway.core.chat import Usage
from gateway.core.guard import Guard, lower_bound
from gateway.core.money import Nanos, Price
from gateway.core.snapshot import Snapshot
from gateway.drivers.metric_budgets import exhausted
from gateway.drivers.metric_catalogue import METRICS
from gateway.drivers.prometheus import Metrics

WHO: Final = events.About("r1", "acme", "auto", stream=False)
STREAMED: Final = events.About("r1", "acme", "auto", stream=True)
FIVE: Final = Usage(prompt=70, completion=20, cached=5, cache_write=3, reasoning=2)


def settled(cost: int, usage: Usage, *, counted: bool = False) -> events.Settled:
    return events.Settled(
        WHO, "h", "sim", "small", "cheap", "answer", Nanos(1000), Nanos(cost), usage, counted
    )


def ended(outcome: str, code: str = "", stream: str = "false") -> str:
    labels = f'code="{code}",outcome="{outcome}",route="auto",stream="{stream}",tenant="acme"'
    return f"gateway_requests_total{{{labels}}}"


def one(name: str, seconds: float, labels: str = "") -> dict[str, float]:
    return {f"{name}_sum{labels}": seconds, f"{name}_count{labels}": 1}


CALL = 'model="small",outcome="ok",provider="sim",purpose="answer",tier="cheap"'
COST = 'gateway_cost_usd_total{model="small",purpose="answer",tenant="acme",tier="cheap"}'
FOR = '{route="auto",stream="false"}'
AT = '{model="small",provider="sim"}'


def given(reason: str) -> str:
    return f'gateway_answers_total{{reason="{reason}",route="auto",tier="cheap"}}'


def first_token(judged: str) -> str:
    return f'{{judged="{judged}",model="small",provider="sim",route="auto"}}'


def tokens(kind: str) -> str:
    return f'gateway_tokens_total{{model="small",provider="sim",type="{kind}"}}'


def decided(decision: str, scope: str, meter: str) -> str:
    labels = f'decision="{decision}",meter="{meter}",scope="{scope}",tenant="acme"'
    return f"gateway_budget_decisions_total{{{labels}}}"


def budget(name: str, meter: str, per: str, mode: str, scope: str = "tenant") -> str:
    labels = f'meter="{meter}",mode="{mode}",per="{per}",scope="{scope}",tenant="acme"'
    return f"gateway_budget_{name}{{{labels}}}"


def read(meter: str, per: str, mode: str, *values: float) -> dict[str, float]:
    names = ("limit", "spent", "held")
    told = {budget(name, meter, per, mode): v for name, v in zip(names, values, strict=True)}
    return {name: value for name, value in told.items() if value}


def warned(scope: str, meter: str, mode: str, percent: str) -> str:
    labels = f'meter="{meter}",mode="{mode}",percent="{percent}",scope="{scope}",tenant="acme"'
    return f"gateway_budget_warnings_total{{{labels}}}"


def shadow(scope: str, meter: str) -> str:
    labels = f'meter="{meter}",scope="{scope}",tenant="acme"'
    return f"gateway_budget_shadow_refusals_total{{{labels}}}"


def by_tag(kind: str, tag: str, value: str, more: str = "") -> str:
    return f'gateway_tag_{kind}_total{{tag="{tag}",tenant="acme"{more},value="{value}"}}'


NOON: Final = 1_790_078_400.0
"""Of a day, and of a day of the week's: 12 hours are gone, by UTC."""


def spent_at(meter: str, per: str, mode: str, scope: str = "tenant") -> str:
    return budget("projected_exhaustion_timestamp_seconds", meter, per, mode, scope)


def of_hold(part: float) -> dict[str, float]:
    return one("gateway_settle_ratio", part, '{model="small"}')


def climbed(what: str) -> str:
    return f'gateway_always_smart_{what}_usd_total{{route="climbing",tenant="acme"}}'


CLIMBING: Final = events.About("r1", "acme", "climbing", stream=False)
OWN: Final = Account("tenant", "acme", (), "acme")
ADA: Final = Account("user", "ada", (), "acme")
TAGGED: Final = events.About("r1", "acme", "auto", stream=False, tags={"use_case": "rag", "x": "y"})
TAGS: Final = {"use_case": ("rag", "chat"), "team": ("a",), "project": ()}


# what happens, and what it changes
COUNTED: Final[dict[str, tuple[events.Event, dict[str, float]]]] = {
    "began": (events.Began(WHO), {"gateway_inflight_requests": 1}),
    "planned": (events.Planned(WHO, 2, 1), {}),
    "reserved": (
        events.Reserved(WHO, "h", Nanos(5), None),
        {decided("granted", "none", "none"): 1},
    ),
    "refused": (events.Refused(WHO, "user"), {decided("refused", "user", "usd"): 1}),
    "refused a rate": (
        events.Refused(WHO, "model", "tokens"),
        {decided("refused", "model", "tokens"): 1},
    ),
    "attempted": (
        events.Attempted(WHO, "sim", "small", "cheap", "answer", "ok", 0.5, None),
        {
            f"gateway_upstream_attempts_total{{{CALL}}}": 1,
            **one("gateway_upstream_duration_seconds", 0.5, AT),
        },
    ),
    "judged": (
        events.Judged(WHO, "small", "cheap", ("complete", "sql"), ("sql",)),
        {
            'gateway_check_verdicts_total{check="complete",verdict="passed"}': 1,
            'gateway_check_verdicts_total{check="sql",verdict="failed"}': 1,
        },
    ),
    "escalated": (
        events.Escalated(WHO, "cheap", "smart", "sql"),
        {'gateway_escalations_total{from_tier="cheap",reason="sql",to_tier="smart"}': 1},
    ),
    "fell_back": (
        events.FellBack(WHO, "small", "other", "reset"),
        {'gateway_fallbacks_total{from_model="small",reason="reset",to_model="other"}': 1},
    ),
    "settled": (
        settled(1000, Usage(prompt=70, completion=20)),
        {COST: 1e-6, tokens("input"): 70, tokens("output"): 20, **of_hold(1.0)},
    ),
    "settled_over_its_hold": (
        settled(1500, FIVE),
        {
            COST: 1.5e-6,
            **of_hold(1.5),
            tokens("input"): 70,
            tokens("output"): 20,
            tokens("cached_input"): 5,
            tokens("cache_write"): 3,
            tokens("reasoning"): 2,
            'gateway_budget_overrun_usd_total{tenant="acme"}': 5e-7,
            'gateway_budget_overruns_total{tenant="acme"}': 1,
        },
    ),
    "settled_for_a_vote": (
        structs.replace(settled(1000, Usage(prompt=70, completion=20)), purpose="vote"),
        {
            COST.replace("answer", "vote"): 1e-6,
            tokens("input"): 70,
            tokens("output"): 20,
            **of_hold(1.0),
        },
    ),
    "settled_by_our_count": (
        settled(0, Usage(), counted=True),
        {f"gateway_counted_settles_total{AT}": 1, 'gateway_settle_ratio_count{model="small"}': 1},
    ),
    "replied": (
        events.Replied(WHO, "sim", "small", "cheap", "passed", 0.75, 0.5, None),
        {
            "gateway_inflight_requests": -1,
            ended("replied"): 1,
            **one("gateway_request_duration_seconds", 0.75, FOR),
            **one("gateway_overhead_seconds", 0.25),
            given("passed"): 1,
        },
    ),
    **{
        f"replied_{reason}": (
            events.Replied(WHO, "sim", "small", "cheap", reason, 0.75, 0.75, None),
            {
                "gateway_inflight_requests": -1,
                ended("replied"): 1,
                **one("gateway_request_duration_seconds", 0.75, FOR),
                "gateway_overhead_seconds_count": 1,
                given(reason): 1,
                f'gateway_votes_total{{result="{reason}",route="auto"}}': 1,
            },
        )
        for reason in ("agreed", "lone_vote")
    },
    "arbitrated": (
        events.Attempted(WHO, "sim", "small", "cheap", "arbitration", "ok", 0.5, None),
        {
            f"gateway_upstream_attempts_total{{{CALL.replace('answer', 'arbitration')}}}": 1,
            **one("gateway_upstream_duration_seconds", 0.5, AT),
            'gateway_votes_total{result="arbitrated",route="auto"}': 1,
        },
    ),
    "replied_by_a_cheap_tier": (
        events.Replied(
            CLIMBING, "sim", "small", "cheap", "unjudged", 0.75, 0.75, None, Usage(70, 20), Nanos(9)
        ),
        {
            "gateway_inflight_requests": -1,
            ended("replied").replace("auto", "climbing"): 1,
            **one("gateway_request_duration_seconds", 0.75, FOR.replace("auto", "climbing")),
            "gateway_overhead_seconds_count": 1,
            climbed("cost"): (70 * 3 + 20 * 15) * 1e-9,
            climbed("actual"): 9e-9,
        },
    ),
    "audited": (
        structs.replace(settled(1000, Usage(70, 20)), about=CLIMBING, purpose="audit"),
        {
            COST.replace("answer", "audit"): 1e-6,
            tokens("input"): 70,
            tokens("output"): 20,
            **of_hold(1.0),
            climbed("actual"): 1e-6,
        },
    ),
    "streamed_tokens": (
        events.Replied(
            STREAMED, "sim", "small", "cheap", "unjudged", 0.75, 1.5, 0.25, Usage(70, 11)
        ),
        {
            "gateway_inflight_requests": -1,
            ended("replied", stream="true"): 1,
            **one("gateway_request_duration_seconds", 0.75, FOR.replace("false", "true")),
            "gateway_overhead_seconds_count": 1,
            **one("gateway_time_to_first_token_seconds", 0.25, first_token("no")),
            **one("gateway_time_per_output_token_seconds", 0.05, AT),
        },
    ),
    "replied_unjudged": (
        events.Replied(WHO, "sim", "small", "cheap", "unjudged", 0.75, 0.5, None),
        {
            "gateway_inflight_requests": -1,
            ended("replied"): 1,
            **one("gateway_request_duration_seconds", 0.75, FOR),
            **one("gateway_overhead_seconds", 0.25),
        },
    ),
    **{
        f"streamed_{judged}": (
            events.Replied(STREAMED, "sim", "small", "cheap", reason, 0.75, 1.5, first),
            {
                "gateway_inflight_requests": -1,
                ended("replied", stream="true"): 1,
                **one("gateway_request_duration_seconds", 0.75, FOR.replace("false", "true")),
                "gateway_overhead_seconds_count": 1,
                **one("gateway_time_to_first_token_seconds", seconds, first_token(judged)),
                **({} if reason == "unjudged" else {given(reason): 1}),
            },
        )
        for judged, reason, first, seconds in (
            ("no", "unjudged", 0.125, 0.125),
            ("early", "passed", 0.125, 0.125),
            ("whole", "best_effort", None, 0.75),
            ("cached", "cached", None, 0.75),
        )
    },
    "denied": (
        events.Denied(WHO, "budget_exceeded", 429, 0.25),
        {
            "gateway_inflight_requests": -1,
            ended("denied", "budget_exceeded"): 1,
            **one("gateway_request_duration_seconds", 0.25, FOR),
        },
    ),
    "dropped": (
        events.Dropped(WHO, 0.25),
        {
            "gateway_inflight_requests": -1,
            ended("dropped"): 1,
            **one("gateway_request_duration_seconds", 0.25, FOR),
        },
    ),
    "circuit_opened": (
        events.CircuitMoved("small@sim", "open"),
        {'gateway_circuit_state{deployment="small@sim"}': 2},
    ),
    "ledger_failed": (
        events.LedgerTook("settle", 0.25, "timeout"),
        {
            **one("gateway_ledger_duration_seconds", 0.25, '{op="settle"}'),
            'gateway_ledger_errors_total{kind="timeout",op="settle"}': 1,
            'gateway_settle_failures_total{reason="timeout"}': 1,
            "gateway_ledger_mode": 2,
        },
    ),
    "settle_given_up": (
        events.LedgerTook("give_up", 0.25, "late"),
        {
            **one("gateway_ledger_duration_seconds", 0.25, '{op="give_up"}'),
            'gateway_ledger_errors_total{kind="late",op="give_up"}': 1,
            'gateway_settle_failures_total{reason="given_up"}': 1,
        },
    ),
    "retries_read": (events.RetriesRead(7), {"gateway_retry_budget_retries": 7}),
    "holds_expired": (
        events.HoldsExpired("acme", 3, Nanos(5)),
        {
            'gateway_holds_expired_total{tenant="acme"}': 3,
            'gateway_holds_expired_usd_total{tenant="acme"}': 5e-9,
        },
    ),
    "holds_read": (events.HoldsRead("acme", 4), {'gateway_holds_open{tenant="acme"}': 4}),
    "budget_read": (
        events.BudgetRead(OWN, Budget(5 * 10**9, "day"), 2 * 10**9, 10**9),
        {
            **read("usd", "day", "hard", 5, 2, 1),
            # 3 are taken in 12 hours
            spent_at("usd", "day", "hard"): NOON + 8 * 3600,
        },
    ),
    "soft_rolling_tokens_read": (
        events.BudgetRead(OWN, Budget(5, "hour", "tokens", rolling=True, mode="soft"), 4, 3),
        read("tokens", "rolling_hour", "soft", 5, 4, 3),
    ),
    "requests_at_once_read": (
        events.BudgetRead(OWN, Budget(5, "total", "at_once"), 0, 3),
        read("at_once", "none", "hard", 5, 0, 3),
    ),
    "budget_of_an_organisation_read": (
        events.BudgetRead(Account("organisation", "acme", ()), Budget(7, "day", "requests"), 4, 0),
        {
            budget("limit", "requests", "day", "hard", "organisation"): 7,
            budget("spent", "requests", "day", "hard", "organisation"): 4,
            spent_at("requests", "day", "hard", "organisation"): NOON + 9 * 3600,
        },
    ),
    "warned_of_a_soft_budget": (
        events.BudgetWarned(WHO, ADA, Budget(5, "day", mode="soft"), 80),
        {warned("user", "usd", "soft", "80"): 1},
    ),
    "warned_of_a_hard_budget": (
        events.BudgetWarned(WHO, OWN, Budget(5, "day", "tokens"), 100),
        {warned("tenant", "tokens", "hard", "100"): 1},
    ),
    "would_have_refused": (
        events.BudgetWarned(WHO, ADA, Budget(5, "day", mode="shadow"), 100),
        {shadow("user", "usd"): 1},
    ),
    "usage_kept": (
        events.UsageSunk("acme", 3),
        {'gateway_usage_records_total{outcome="kept",tenant="acme"}': 3},
    ),
    "usage_lost": (
        events.UsageLost("acme", 3),
        {'gateway_usage_records_total{outcome="lost",tenant="acme"}': 3},
    ),
    "usage_taken_by_nobody": (
        events.SinkFailed("OSError"),
        {'gateway_usage_sink_errors_total{kind="OSError"}': 1},
    ),
    "nothing_kept": (
        events.CacheAsked(WHO, "miss"),
        {'gateway_cache_requests_total{outcome="miss",route="auto",tenant="acme"}': 1},
    ),
    "given_again": (
        events.CacheAsked(WHO, "hit", Nanos(1_000), ("sim", "small", "cheap")),
        {
            'gateway_cache_requests_total{outcome="hit",route="auto",tenant="acme"}': 1,
            'gateway_cache_saved_usd_total{route="auto",tenant="acme",tier="cheap"}': 1e-6,
        },
    ),
    "audit_began": (events.AuditBegan(WHO), {}),
    "audit_ended": (
        events.AuditEnded(WHO, "shadow", "differed", 0.5),
        {'gateway_audits_total{kind="shadow",outcome="differed",route="auto"}': 1},
    ),
    "audit_left_out": (
        events.AuditLeft("auto", "guard"),
        {'gateway_audits_total{kind="guard",outcome="crowded",route="auto"}': 1},
    ),
    "guard_read": (
        events.GuardRead("auto", "text", "on", Guard(40.0, 36.0, 41, 2 * 10**9, 10**8)),
        {
            f'gateway_guard_{name}{{bucket="text"{part},route="auto"}}': value
            for name, part, value in (
                ("state", "", 2),
                ("agreement_rate", "", 0.9),
                ("agreement_lower_bound", "", lower_bound(36, 40)),
                ("audits", "", 41),
                ("spent_usd", ',part="all"', 2.0),
                ("spent_usd", ',part="audit"', 0.1),
            )
        },
    ),
    "alert_dropped": (
        events.AlertEnded("dropped"),
        {'gateway_alerts_total{outcome="dropped"}': 1},
    ),
    "config_changed": (
        events.ConfigRead("changed", "0000000000ff", 1000.0),
        {
            'gateway_config_reloads_total{result="changed"}': 1,
            "gateway_config_hash": 255,
            "gateway_config_loaded_timestamp_seconds": 1000,
        },
    ),
    "config_refused": (
        events.ConfigRead("refused", "0000000000ff", 1000.0),
        {
            'gateway_config_reloads_total{result="refused"}': 1,
            "gateway_config_reload_failed": 1,
        },
    ),
    "settled_with_tags": (
        structs.replace(settled(1000, Usage(prompt=70, completion=20)), about=TAGGED),
        {
            COST: 1e-6,
            **of_hold(1.0),
            tokens("input"): 70,
            tokens("output"): 20,
            by_tag("cost_usd", "use_case", "rag"): 1e-6,
            by_tag("cost_usd", "team", ""): 1e-6,
            by_tag("tokens", "use_case", "rag", ',type="input"'): 70,
            by_tag("tokens", "team", "", ',type="input"'): 70,
            by_tag("tokens", "use_case", "rag", ',type="output"'): 20,
            by_tag("tokens", "team", "", ',type="output"'): 20,
        },
    ),
}


SEEN_AT_START: Final = ("gateway_build_info",)
PRICES: Final = (Price(1_000, 2_000, 0, 0), Price(3_000_000, 15_000_000, 0, 0))
MODELS: Final = {
    name: Model(name, (Deployment(f"sim/{name}", "sim", name),), price, 9_000, 9_000, 900)
    for name, price in zip(("small", "large"), PRICES, strict=True)
}
SQL: Final = (Check("sql"),)
CATALOG: Final = Catalog(
    MODELS,
    {"cheap": Tier("cheap", (TierModel("small"),)), "smart": Tier("smart", (TierModel("large"),))},
    {
        "climbing": Route("climbing", ("cheap", "smart"), checks=SQL),
        "flat": Route("flat", ("cheap",)),
        "votes": Route("votes", ("cheap", "smart"), Tactic("vote"), cache=Cache()),
    },
)


def counting(**more: Any) -> Metrics:
    return Metrics([Tenant("acme")], ["small@sim"], catalog=CATALOG, wall=lambda: NOON, **more)


GAUGES = (
    "gateway_ledger_mode",
    "gateway_retry_budget_retries",
    "gateway_config_hash",
    "gateway_config_loaded_timestamp_seconds",
    "gateway_config_reload_failed",
)


def samples(text: bytes) -> dict[str, float]:
    """The values of all lines but of buckets and of our processes."""
    lines = [line.rpartition(" ") for line in text.decode().splitlines() if line[0] != "#"]
    told = {name: float(value) for name, _, value in lines}
    assert len(told) == len(lines), "a series is told twice"
    return {
        name: value
        for name, value in told.items()
        if "_bucket" not in name and not name.startswith("process_")
    }


def difference(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    changes = {name: value - before.get(name, 0.0) for name, value in after.items()}
    return {name: change for name, change in changes.items() if change}


@pytest.mark.parametrize(("event", "changes"), COUNTED.values(), ids=COUNTED)
def test_what_an_event_counts(event: events.Event, changes: dict[str, float]) -> None:
    tags = TAGS if getattr(event, "about", None) is TAGGED else {}
    metrics = counting(tags=tags)
    before = samples(metrics.render())
    metrics.observe(event)
    once = samples(metrics.render())
    assert difference(before, once) == pytest.approx(changes)
    metrics.observe(event)
    gauge = isinstance(
        event, events.CircuitMoved | events.HoldsRead | events.BudgetRead | events.GuardRead
    )
    counted = {name: by for name, by in changes.items() if name not in GAUGES}
    again = {} if gauge else counted
    assert difference(once, samples(metrics.render())) == pytest.approx(again)


def test_every_event_is_in_the_table() -> None:
    assert {type(event) for event, _ in COUNTED.values()} == set(get_args(events.Event))


def test_every_metric_is_in_the_table() -> None:
    moved = {name.partition("{")[0] for _, changes in COUNTED.values() for name in changes}
    assert {name.removesuffix("_sum").removesuffix("_count") for name in moved} == set(
        METRICS
    ) - set(SEEN_AT_START)


def test_what_may_never_happen_is_told_at_0() -> None:
    """Of each budget, what it can do: a hard one refuses and warns, a soft one warns."""
    key = Key("k1", "00", (Budget(5, "day", "tokens", mode="soft"),))
    globex = Organisation("globex", (Budget(9, "day"),), {"*": (Budget(5, "day", mode="shadow"),)})
    tenant = Tenant("acme", (key,), (Budget(5, "day"), Budget(5, "week")), organisation=globex)
    assert samples(Metrics([tenant], ["small@sim"]).render()) == {
        "gateway_inflight_requests": 0,
        "gateway_overhead_seconds_count": 0,
        "gateway_overhead_seconds_sum": 0,
        decided("granted", "none", "none"): 0,
        decided("refused", "tenant", "usd"): 0,
        decided("refused", "organisation", "usd"): 0,
        warned("tenant", "usd", "hard", "80"): 0,
        warned("tenant", "usd", "hard", "100"): 0,
        warned("organisation", "usd", "hard", "80"): 0,
        warned("organisation", "usd", "hard", "100"): 0,
        warned("key", "tokens", "soft", "80"): 0,
        warned("key", "tokens", "soft", "100"): 0,
        shadow("model", "usd"): 0,
        'gateway_budget_overrun_usd_total{tenant="acme"}': 0,
        'gateway_budget_overruns_total{tenant="acme"}': 0,
        'gateway_holds_open{tenant="globex"}': 0,
        'gateway_holds_expired_total{tenant="globex"}': 0,
        'gateway_holds_expired_usd_total{tenant="globex"}': 0,
        'gateway_circuit_state{deployment="small@sim"}': 0,
        **{f'gateway_alerts_total{{outcome="{how}"}}': 0 for how in ("sent", "failed", "dropped")},
        **{
            f'gateway_config_reloads_total{{result="{how}"}}': 0
            for how in ("changed", "unchanged", "refused")
        },
        **of_the_ledger(),
        "gateway_ledger_mode": 0,
        f'gateway_build_info{{python="{python_version()}",version="{__version__}"}}': 1,
    }


def of_the_ledger() -> dict[str, float]:
    faults = ("timeout", "unreachable", "lost", "open")
    name = "gateway_ledger_errors_total"
    told = {f'{name}{{kind="{k}",op="{op}"}}': 0.0 for k in faults for op in ("reserve", "settle")}
    for reason in (*faults, "given_up"):
        told[f'gateway_settle_failures_total{{reason="{reason}"}}'] = 0.0
    for op in ("reserve", "settle"):
        told |= {
            f'gateway_ledger_duration_seconds_{of}{{op="{op}"}}': 0.0 for of in ("sum", "count")
        }
    return told


def test_what_routes_may_count_is_told_at_0() -> None:
    told = samples(counting().render())
    expected = [
        climbed("cost"),
        climbed("actual"),
        climbed("cost").replace("climbing", "votes"),
        'gateway_escalations_total{from_tier="cheap",reason="sql",to_tier="smart"}',
        'gateway_check_verdicts_total{check="sql",verdict="failed"}',
        *(f'gateway_votes_total{{result="{r}",route="votes"}}' for r in ("agreed", "arbitrated")),
        'gateway_cache_requests_total{outcome="hit",route="votes",tenant="acme"}',
        *(ended("replied", stream=s).replace("auto", "flat") for s in ("true", "false")),
        COST,
        COST.replace("cheap", "smart").replace("small", "large"),
        f"gateway_upstream_attempts_total{{{CALL}}}",
        'gateway_settle_ratio_count{model="large"}',
        *map(tokens, ("input", "output", "cached_input", "cache_write", "reasoning")),
    ]
    assert {name: told.get(name) for name in expected} == dict.fromkeys(expected, 0.0)
    assert climbed("cost").replace("climbing", "flat") not in told, "nothing to compare with"
    votes = [name for name in told if name.startswith("gateway_votes_total")]
    assert [name for name in votes if "climbing" in name] == []


def test_the_ledger_goes_away_and_comes_back() -> None:
    """With the mode after each: of local calls a failure beside them is nothing new."""
    metrics = counting()
    for op, error, mode in (
        ("reserve", None, 0),
        ("settle", "unknown", 0),
        ("give_up", "late", 0),
        ("reserve", "timeout", 2),
        ("balances", "open", 2),
        ("local", None, 1),
        ("balances", "open", 1),
        ("local", "spent", 1),
        ("balances", None, 0),
        ("open_holds", "dataloss", 2),
        ("reserve", None, 0),
    ):
        metrics.observe(events.LedgerTook(op, 0.001, error))
        assert samples(metrics.render())["gateway_ledger_mode"] == mode, (op, error)


DAY_S: Final = 86_400
MIDNIGHT: Final = NOON - DAY_S / 2


@pytest.mark.parametrize(
    ("budget", "taken", "now", "when"),
    [
        (Budget(100, "day"), 50, NOON, math.inf),  # as the day ends, and not before it
        (Budget(100, "day"), 51, NOON, NOON + 49 * DAY_S / 102),
        (Budget(100, "day"), 0, NOON, math.inf),
        (Budget(100, "day"), 1, MIDNIGHT, math.inf),
        (Budget(100, "day"), 100, NOON, NOON),
        (Budget(100, "day"), 120, NOON, NOON),
        (Budget(100, "hour", "requests"), 60, NOON + 1_800, NOON + 3_000),
        (Budget(100, "day", rolling=True), 50, NOON, None),
        (Budget(100, "total"), 50, NOON, None),
        (Budget(100, "total", "at_once"), 50, NOON, None),
    ],
)
def test_when_a_budget_will_be_spent(
    budget: Budget, taken: int, now: float, when: float | None
) -> None:
    read = events.BudgetRead(OWN, budget, taken // 2, taken - taken // 2)
    assert exhausted(read, now) == (when if when is None else pytest.approx(when))


def test_never_is_written_as_prometheus_does() -> None:
    metrics = counting()
    metrics.observe(events.BudgetRead(OWN, Budget(100, "day"), 0, 0))
    assert spent_at("usd", "day", "hard") + " +Inf\n" in metrics.render().decode()
    metrics.turn(Snapshot(CATALOG, {}, {}))
    assert spent_at("usd", "day", "hard") + " NaN\n" in metrics.render().decode()


def test_users_and_keys_make_no_series() -> None:
    """However many there are: the page stays as long as it was."""
    metrics = Metrics([Tenant("acme")])
    sizes = []
    for batch in range(2):
        for number in range(100):
            name = f"user{batch}.{number}"
            about = events.About("r", "acme", "auto", stream=False, key=name, user=name)
            account = Account("user", name, (), "acme")
            metrics.observe(events.BudgetWarned(about, account, Budget(5, "day"), 80))
            metrics.observe(events.Refused(about, "user"))
        sizes.append(len(samples(metrics.render())))
        assert b"user0." not in metrics.render()
    assert sizes[0] == sizes[1]


def test_of_very_many_tenants_not_all_are_foreseen() -> None:
    metrics = Metrics([Tenant(f"t{number}") for number in range(1_100)])
    open_holds = [name for name in samples(metrics.render()) if "holds_open" in name]
    assert len(open_holds) == 1_000
    metrics.observe(events.HoldsRead("t1099", 4))
    assert samples(metrics.render())['gateway_holds_open{tenant="t1099"}'] == 4
