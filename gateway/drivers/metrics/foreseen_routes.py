"""Series of routes, models and the ledger that are shown before anything happens.

A series that begins at 1 has no rate for its first event: Prometheus saw no 0 before it. So what
the configuration names is there from the start, as far as that is a number of series one can keep.
"""

from collections.abc import Collection, Iterable, Iterator
from itertools import islice, pairwise, product
from typing import Final

from gateway.core.catalog import BALLOTS, Catalog, Tactic, Tenant
from gateway.core.ladder import Ladder, ladders
from gateway.core.patterns import allowed
from gateway.drivers.metrics.families import Families

_FORESEEN: Final = 1_000
"""So many series of tenants and routes, or of tenants and models."""
_TYPES: Final = ("input", "output", "cached_input", "cache_write", "reasoning")
_OPS: Final = ("reserve", "settle")
_FAULTS: Final = ("timeout", "unreachable", "lost", "open")
_AUDITED: Final = (
    "agreed", "differed", "incomparable", "undecided", "failed", "refused", "cancelled", "crowded",
)  # fmt: skip


def foresee_routes(
    of: Families, tenants: Iterable[Tenant], catalog: Catalog, compared: Collection[str]
) -> None:
    """Show at 0 what may never happen. `compared` are the names with more than one tier."""
    _ledger(of)
    named, there = ladders(catalog), [*tenants]
    routes = {name: named[name] for name in catalog.routes}
    calls: dict[tuple[str, str, str], None] = {}
    for route, ladder in routes.items():
        for way in (ladder, *(each for _, _, each in ladder.rules)):
            _checks(of, way)
            _behind(of, route, way)
            calls.update(dict.fromkeys(_calls(way)))
    _models(of, calls)
    for tenant, route in islice(_may_ask(there, catalog), _FORESEEN):
        for stream in ("true", "false"):
            of.show("gateway_requests_total", route, tenant, stream, "replied", "")
        if route in compared:
            of.show("gateway_always_smart_cost_usd_total", tenant, route)
            of.show("gateway_always_smart_actual_usd_total", tenant, route)
        if routes[route].cache is not None:
            for outcome in ("hit", "miss", "bypass", "error"):
                of.show("gateway_cache_requests_total", route, tenant, outcome)
    for whose, (_, model, tier) in islice(product(there, calls), _FORESEEN):
        of.show("gateway_cost_usd_total", whose.name, model, tier, "answer")


def _ledger(of: Families) -> None:
    for op in _OPS:
        of.show("gateway_ledger_duration_seconds", op)
        for fault in _FAULTS:
            of.show("gateway_ledger_errors_total", op, fault)
    for reason in (*_FAULTS, "given_up"):
        of.show("gateway_settle_failures_total", reason)


def _checks(of: Families, way: Ladder) -> None:
    """Of one of the ways that a route climbs."""
    for step, higher in pairwise(way.steps):
        for check in step.checks:
            of.show("gateway_escalations_total", step.tier, higher.tier, check.name)
    for check in (each for step in way.steps for each in step.checks):
        of.show("gateway_check_verdicts_total", check.name, "passed")
        of.show("gateway_check_verdicts_total", check.name, "failed")


def _behind(of: Families, route: str, way: Ladder) -> None:
    if _votes(way.strategy):
        for result in ("agreed", "arbitrated", "incomparable", "lone_vote"):
            of.show("gateway_votes_total", route, result)
    if way.audit_policy is not None:
        kinds = [("guard", way.audit_policy.guard), ("shadow", way.audit_policy.shadow)]
        for kind in (name for name, there in kinds if there is not None):
            for outcome in _AUDITED:
                of.show("gateway_audits_total", way.audit_policy.name, kind, outcome)


def _models(of: Families, calls: Iterable[tuple[str, str, str]]) -> None:
    for provider, model, tier in calls:
        of.show("gateway_upstream_attempts_total", provider, model, tier, "answer", "ok")
        of.show("gateway_upstream_duration_seconds", provider, model)
        of.show("gateway_counted_settles_total", provider, model)
        of.show("gateway_settle_ratio", model)
        for kind in _TYPES:
            of.show("gateway_tokens_total", provider, model, kind)


def _votes(tactic: Tactic | None) -> bool:
    return tactic is not None and (tactic.name in BALLOTS or _votes(tactic.then))


def _calls(way: Ladder) -> Iterator[tuple[str, str, str]]:
    """provider, model, tier"""
    for step in way.steps:
        for place in step.places:
            for deployment in place.deployments:
                yield deployment.provider, place.model.name, step.tier


def _may_ask(tenants: Iterable[Tenant], catalog: Catalog) -> Iterator[tuple[str, str]]:
    """tenant, route"""
    for tenant in tenants:
        for route in catalog.routes:
            if allowed(tenant.models, route):
                yield tenant.name, route
