"""What happens beside lives, to ledger, budgets, records, caches, guards and configuration; and
what it changes.
"""

from typing import Final

from gateway.core import events
from gateway.core.accounts import Account
from gateway.core.catalog import (
    Budget,
)
from gateway.core.guard import Guard, lower_bound
from gateway.core.money import Nanos
from tests.drivers.metric_series import (
    ADA,
    NOON,
    OWN,
    WHO,
    budget,
    one,
    read,
    shadow,
    spent_at,
    warned,
)

BESIDE: Final[dict[str, tuple[events.Event, dict[str, float]]]] = {
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
        {warned("user", "usd", "day", "soft", "80"): 1},
    ),
    "warned_of_a_hard_budget": (
        events.BudgetWarned(WHO, OWN, Budget(5, "day", "tokens"), 100),
        {warned("tenant", "tokens", "day", "hard", "100"): 1},
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
        events.CacheLookup(WHO, "miss"),
        {'gateway_cache_requests_total{outcome="miss",route="auto",tenant="acme"}': 1},
    ),
    "given_again": (
        events.CacheLookup(WHO, "hit", Nanos(1_000), ("sim", "small", "cheap")),
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
}
