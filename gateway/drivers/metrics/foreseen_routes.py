"""Initializes series of routes, models and the ledger.

A series that begins at 1 has no rate for its first event: Prometheus saw no 0 before it. So series
that the configuration implies exist from the start, up to a bound.
"""

import math
from collections.abc import Collection, Iterable, Iterator
from itertools import islice, pairwise, product
from typing import Final

from gateway.core.catalog import BALLOTS, Catalog, Tactic, Tenant
from gateway.core.ladder import Ladder, ladders
from gateway.core.patterns import allowed
from gateway.drivers.metrics.families import Families

_FORESEEN: Final = 1_000
"""How many series of tenants and routes, or of tenants and models, are initialized."""
_TYPES: Final = ("input", "output", "cached_input", "cache_write", "reasoning")
_OPS: Final = ("reserve", "settle")
_FAULTS: Final = ("timeout", "unreachable", "lost", "open")
_NOT_RETRIED: Final = ("unknown", "data_lost", "given_up")
"""Of a settle: counted once."""
_OF_GUARDS: Final = (
    "gateway_guard_state",
    "gateway_guard_agreement_rate",
    "gateway_guard_agreement_lower_bound",
    "gateway_guard_audits",
    "gateway_guard_spent_usd",
)
_AUDITED: Final = (
    "agreed", "differed", "incomparable", "undecided", "failed", "refused", "cancelled", "crowded",
)  # fmt: skip


def initialize_route_series(
    families: Families, tenants: Iterable[Tenant], catalog: Catalog, compared: Collection[str]
) -> None:
    """Expose series at 0 before their first event. `compared` are the routes with several tiers."""
    _initialize_ledger(families)
    by_name, all_tenants = ladders(catalog), [*tenants]
    routes = {name: by_name[name] for name in catalog.routes}
    calls: dict[tuple[str, str, str], None] = {}
    for route, ladder in routes.items():
        for variant in (ladder, *(each for _, _, each in ladder.rules)):
            _initialize_checks(families, variant)
            _initialize_audits(families, route, variant)
            calls.update(dict.fromkeys(_possible_calls(variant)))
    _initialize_models(families, calls)
    for tenant, route in islice(_allowed_routes(all_tenants, catalog), _FORESEEN):
        for stream in ("true", "false"):
            families.initialize("gateway_requests_total", route, tenant, stream, "replied", "")
        if route in compared:
            families.initialize("gateway_always_smart_cost_usd_total", tenant, route)
            families.initialize("gateway_always_smart_actual_usd_total", tenant, route)
        if routes[route].cache is not None:
            for outcome in ("hit", "miss", "bypass", "error"):
                families.initialize("gateway_cache_requests_total", route, tenant, outcome)
    for owner, (_, model, tier) in islice(product(all_tenants, calls), _FORESEEN):
        families.initialize("gateway_cost_usd_total", owner.name, model, tier, "answer")


def clear_removed_guards(families: Families, catalog: Catalog) -> None:
    """Set gauges of removed guards to NaN."""
    guarded = {
        policy.name
        for ladder in ladders(catalog).values()
        for each in (ladder, *(of for _, _, of in ladder.rules))
        if (policy := each.audit_policy) is not None and policy.guard is not None
    }
    for name in _OF_GUARDS:
        for labels in [*families[name]]:
            if labels[0] not in guarded:
                families.set(name, *labels, to=math.nan)


def _initialize_ledger(families: Families) -> None:
    for op in _OPS:
        families.initialize("gateway_ledger_duration_seconds", op)
        for fault in _FAULTS:
            families.initialize("gateway_ledger_errors_total", op, fault)
    for reason in (*_FAULTS, *_NOT_RETRIED):
        families.initialize("gateway_settle_failures_total", reason)


def _initialize_checks(families: Families, ladder: Ladder) -> None:
    """The check and escalation series of one ladder of a route."""
    for step, higher in pairwise(ladder.steps):
        for check in step.checks:
            families.initialize("gateway_escalations_total", step.tier, higher.tier, check.name)
    for check in (each for step in ladder.steps for each in step.checks):
        families.initialize("gateway_check_verdicts_total", check.name, "passed")
        families.initialize("gateway_check_verdicts_total", check.name, "failed")


def _initialize_audits(families: Families, route: str, ladder: Ladder) -> None:
    if _uses_votes(ladder.strategy):
        for result in ("agreed", "arbitrated", "incomparable", "lone_vote"):
            families.initialize("gateway_votes_total", route, result)
    if ladder.audit_policy is not None:
        kinds = [("guard", ladder.audit_policy.guard), ("shadow", ladder.audit_policy.shadow)]
        for kind in (name for name, policy in kinds if policy is not None):
            for outcome in _AUDITED:
                families.initialize("gateway_audits_total", ladder.audit_policy.name, kind, outcome)


def _initialize_models(families: Families, calls: Iterable[tuple[str, str, str]]) -> None:
    for provider, model, tier in calls:
        families.initialize(
            "gateway_upstream_attempts_total", provider, model, tier, "answer", "ok"
        )
        families.initialize("gateway_upstream_duration_seconds", provider, model)
        families.initialize("gateway_counted_settles_total", provider, model)
        families.initialize("gateway_settle_ratio", model)
        for kind in _TYPES:
            families.initialize("gateway_tokens_total", provider, model, kind)


def _uses_votes(tactic: Tactic | None) -> bool:
    return tactic is not None and (tactic.name in BALLOTS or _uses_votes(tactic.then))


def _possible_calls(ladder: Ladder) -> Iterator[tuple[str, str, str]]:
    """provider, model, tier"""
    for step in ladder.steps:
        for place in step.models:
            for deployment in place.deployments:
                yield deployment.provider, place.model.name, step.tier


def _allowed_routes(tenants: Iterable[Tenant], catalog: Catalog) -> Iterator[tuple[str, str]]:
    """tenant, route"""
    for tenant in tenants:
        for route in catalog.routes:
            if allowed(tenant.models, route):
                yield tenant.name, route
