"""Checked stanzas of tenants and organisations to the values that the gateway reads."""

from collections.abc import Mapping, Sequence

from msgspec import structs

from gateway.config import tenants
from gateway.config.admin import limits_of
from gateway.config.validate import Parts
from gateway.core.catalog import Budget, Budgets, Organisation, Tenant
from gateway.core.money import nanos


def build_tenants(parts: Parts) -> dict[str, Tenant]:
    """Only for parts without a fault."""
    shared = {name: _organisation(name, each) for name, each in parts.organisations.items()}
    return {name: _tenant(name, stanza, shared) for name, stanza in parts.tenants.items()}


def _organisation(name: str, stanza: tenants.Organisation) -> Organisation:
    return Organisation(
        name=name,
        budgets=_budgets(stanza.budgets),
        model_budgets=_by_name(stanza.model_budgets),
        provider_budgets=_by_name(stanza.provider_budgets),
        timezone=stanza.timezone,
    )


def _tenant(name: str, stanza: tenants.Tenant, shared: Mapping[str, Organisation]) -> Tenant:
    cap = stanza.max_request_usd
    return Tenant(
        name=name,
        keys=tuple(
            structs.replace(limits_of(key), budgets=_budgets(key.budgets)) for key in stanza.keys
        ),
        budgets=_budgets(stanza.budgets),
        user_budgets=_budgets(stanza.user_budgets),
        max_request=None if cap is None else nanos(cap),
        timezone=stanza.timezone,
        models=tuple(stanza.models),
        regions=None if stanza.regions is None else frozenset(stanza.regions),
        anonymous=stanza.anonymous,
        organisation=None if stanza.organisation is None else shared[stanza.organisation],
        tag_budgets=_by_name(stanza.tag_budgets),
        model_budgets=_by_name(stanza.model_budgets),
        provider_budgets=_by_name(stanza.provider_budgets),
        on_ledger_unavailable=stanza.on_ledger_unavailable,
    )


def _by_name(stanzas: Mapping[str, Sequence[tenants.Budget]]) -> Budgets:
    return {name: _budgets(each) for name, each in stanzas.items()}


def _budgets(stanzas: Sequence[tenants.Budget]) -> tuple[Budget, ...]:
    return tuple(map(_budget, stanzas))


def _budget(stanza: tenants.Budget) -> Budget:
    cap = stanza.tokens or stanza.requests or stanza.at_once or 0
    return Budget(
        cap=cap if stanza.usd is None else nanos(stanza.usd),
        per=stanza.per or "total",
        meter=stanza.meter,
        rolling=stanza.rolling,
        mode=stanza.mode,
    )
