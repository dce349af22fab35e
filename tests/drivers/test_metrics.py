"""What each event counts."""

from typing import Final, get_args

import pytest
from msgspec import structs

from gateway.core import events
from gateway.core.accounts import Account
from gateway.core.catalog import Budget, Key, Organisation, Tenant
from gateway.core.chat import Usage
from gateway.core.guard import Guard, lower_bound
from gateway.core.money import Nanos
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
        {COST: 1e-6, tokens("input"): 70, tokens("output"): 20},
    ),
    "settled_over_its_hold": (
        settled(1500, FIVE),
        {
            COST: 1.5e-6,
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
        {COST.replace("answer", "vote"): 1e-6, tokens("input"): 70, tokens("output"): 20},
    ),
    "settled_by_our_count": (
        settled(0, Usage(), counted=True),
        {f"gateway_counted_settles_total{AT}": 1},
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
        },
    ),
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
        read("usd", "day", "hard", 5, 2, 1),
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
        events.BudgetRead(Account("organisation", "acme", ()), Budget(7, "day", "requests"), 2, 0),
        {
            budget("limit", "requests", "day", "hard", "organisation"): 7,
            budget("spent", "requests", "day", "hard", "organisation"): 2,
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


CONFIG_GAUGES = (
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
    metrics = Metrics([Tenant("acme")], ["small@sim"], tags=tags)
    before = samples(metrics.render())
    metrics.observe(event)
    once = samples(metrics.render())
    assert difference(before, once) == pytest.approx(changes)
    metrics.observe(event)
    gauge = isinstance(
        event, events.CircuitMoved | events.HoldsRead | events.BudgetRead | events.GuardRead
    )
    counted = {name: by for name, by in changes.items() if name not in CONFIG_GAUGES}
    again = {} if gauge else counted
    assert difference(once, samples(metrics.render())) == pytest.approx(again)


def test_every_event_is_in_the_table() -> None:
    assert {type(event) for event, _ in COUNTED.values()} == set(get_args(events.Event))


def test_every_metric_is_in_the_table() -> None:
    moved = {name.partition("{")[0] for _, changes in COUNTED.values() for name in changes}
    assert {name.removesuffix("_sum").removesuffix("_count") for name in moved} == set(METRICS)


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
    }


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
