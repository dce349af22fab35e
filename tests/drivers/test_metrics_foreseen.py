"""What is there before anything happens, at 0; and what never comes to be a series."""

import math
from platform import python_version

from gateway import __version__
from gateway.core import events
from gateway.core.accounts import Account
from gateway.core.catalog import (
    Budget,
    Key,
    Organisation,
    Tenant,
)
from gateway.core.guard import Guard
from gateway.drivers.metrics.prometheus import Metrics
from tests.config.texts import SOUND, snapshot
from tests.drivers.metric_series import (
    CALL,
    COST,
    climbed,
    counting,
    decided,
    ended,
    samples,
    shadow,
    tokens,
    warned,
)


def test_what_may_never_happen_is_told_at_0() -> None:
    """Of each budget, what it can do: a hard one refuses and warns, a soft one warns."""
    key = Key("k1", "00", (Budget(5, "day", "tokens", mode="soft"),))
    globex = Organisation("globex", (Budget(9, "day"),), {"*": (Budget(5, "day", mode="shadow"),)})
    tenant = Tenant(
        "acme", (key,), (Budget(5, "day"), Budget(5, "week", rolling=True)), organisation=globex
    )
    assert samples(Metrics([tenant], ["small@sim"]).render()) == {
        "gateway_inflight_requests": 0,
        "gateway_overhead_seconds_count": 0,
        "gateway_overhead_seconds_sum": 0,
        decided("granted", "none", "none"): 0,
        decided("refused", "tenant", "usd"): 0,
        decided("refused", "organisation", "usd"): 0,
        **{warned("tenant", "usd", "day", "hard", percent): 0 for percent in ("80", "100")},
        **{
            warned("tenant", "usd", "rolling_week", "hard", percent): 0 for percent in ("80", "100")
        },
        **{warned("organisation", "usd", "day", "hard", percent): 0 for percent in ("80", "100")},
        **{warned("key", "tokens", "day", "soft", percent): 0 for percent in ("80", "100")},
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


def test_where_usage_is_kept_no_record_is_lost_yet() -> None:
    """Many are lost at one moment, as a sink comes back: an increase needs the 0 before."""
    metrics, more = Metrics(), "usage: {sink: 'jsonl:usage'}"
    metrics.reconfigure(snapshot(SOUND))
    assert "gateway_usage_records_total{" not in metrics.render().decode()
    metrics.reconfigure(snapshot(f"{SOUND}\n{more}\n"))
    told = samples(metrics.render())
    for outcome in ("kept", "lost"):
        assert told[f'gateway_usage_records_total{{outcome="{outcome}",tenant="acme"}}'] == 0


def of_the_ledger() -> dict[str, float]:
    faults = ("timeout", "unreachable", "lost", "open")
    name = "gateway_ledger_errors_total"
    told = {f'{name}{{kind="{k}",op="{op}"}}': 0.0 for k in faults for op in ("reserve", "settle")}
    # The last three are counted once for each settle: an alert sees them by the 0 before.
    for reason in (*faults, "unknown", "data_lost", "given_up"):
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
            metrics.observe(events.HoldRefused(about, "user"))
        sizes.append(len(samples(metrics.render())))
        assert b"user0." not in metrics.render()
    assert sizes[0] == sizes[1]


def test_of_very_many_tenants_not_all_are_foreseen() -> None:
    metrics = Metrics([Tenant(f"t{number}") for number in range(1_100)])
    open_holds = [name for name in samples(metrics.render()) if "holds_open" in name]
    assert len(open_holds) == 1_000
    metrics.observe(events.HoldsRead("t1099", 4))
    assert samples(metrics.render())['gateway_holds_open{tenant="t1099"}'] == 4


def test_of_a_guard_that_a_reload_took_away_nothing_is_told() -> None:
    """Else one that was off when it went would be told as off until the next start."""
    more = """
  m2: {deployments: [{provider: local}], context: 1000, price: free}
tiers: {low: {models: [m1]}, high: {models: [m2]}}
routes: {kept: {tiers: [low, high], guard: {}}, was: {tiers: [low, high], guard: {}}}
"""
    before, rest = SOUND.split("tenants:")
    guarded = snapshot(f"{before.rstrip()}{more}tenants:{rest}")
    metrics = Metrics()
    metrics.reconfigure(guarded)
    for route in ("kept", "was"):
        metrics.observe(events.GuardRead(route, "text", "off", Guard()))
    metrics.reconfigure(snapshot(f"{before.rstrip()}{more}tenants:{rest}".replace(
        "was: {tiers: [low, high], guard: {}}", "was: {tiers: [low, high]}"
    )))  # fmt: skip
    told = samples(metrics.render())
    guards = {name: value for name, value in told.items() if name.startswith("gateway_guard_")}
    assert {name for name, value in guards.items() if math.isnan(value)} == {
        name for name in guards if 'route="was"' in name
    }
    assert len(guards) == 12
