"""Checked stanzas to the values that the rest of the house reads."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from gateway.config import schema
from gateway.config.prices import Listing, look_up
from gateway.config.tree import Tree
from gateway.config.validate import Parts
from gateway.core.catalog import (
    Budget,
    Catalog,
    Deployment,
    Key,
    Model,
    Route,
    Tenant,
    Tier,
    TierModel,
)
from gateway.core.money import FREE, Price, nanos
from gateway.core.snapshot import Ledger, Limits, Provider, Secret, Snapshot, Timeouts

_DEFAULT_MAX_OUTPUT: Final = 16_384
_PRICE_MISSING: Final = (
    "price missing: genai-prices knows none for its first deployment; write price: "
    "{input: ..., output: ...} in USD per million tokens, or price: free"
)


def build_models(tree: Tree, parts: Parts, at: datetime | None) -> dict[str, Model]:
    """Every model whose stanza fits; notes a fault for each without a price or a window."""
    models = {}
    for name, stanza in parts.models.items():
        model = _model(tree, parts, name, stanza, at)
        if model is not None:
            models[name] = model
    return models


def build_snapshot(parts: Parts, models: dict[str, Model]) -> Snapshot:
    """Only for parts without a fault."""
    tiers = {name: _tier(name, stanza) for name, stanza in parts.tiers.items()}
    routes = {
        name: Route(
            name=name,
            tiers=tuple(stanza.tiers),
            strategy=stanza.strategy,
            checks=tuple(check.check() for check in stanza.checks),
            timeout_s=stanza.timeout_s,
        )
        for name, stanza in parts.routes.items()
    }
    return Snapshot(
        catalog=Catalog(models, tiers, routes),
        providers={name: _provider(name, stanza) for name, stanza in parts.providers.items()},
        tenants={name: _tenant(name, stanza) for name, stanza in parts.tenants.items()},
        ledger=Ledger(
            url=Secret(parts.redis.url),
            data_dir=parts.redis.data_dir,
            timeout_s=parts.redis.timeout_ms / 1000,
            hold_ttl_s=parts.redis.hold_ttl_s,
        ),
        timeouts=Timeouts(**dict(parts.timeouts)),
        limits=Limits(**dict(parts.limits)),
        client=parts.client,
    )


def _model(
    tree: Tree, parts: Parts, name: str, stanza: schema.Model, at: datetime | None
) -> Model | None:
    path = ("models", name)
    first = stanza.deployments[0] if stanza.deployments else None
    provider = parts.providers.get(first.provider) if first else None
    if first is None or provider is None:
        return None
    listing = Listing()
    if stanza.price is None or stanza.context is None:
        listing = look_up(provider.base_url, first.upstream or name, at)
    price = _price(stanza.price) if stanza.price else listing.price
    context = stanza.context or listing.context
    if price is None:
        tree.fault(path, _PRICE_MISSING)
    if context is None:
        tree.fault(path, "context is required: genai-prices does not know this model's window")
    if price is None or context is None or not _sizes_fit(tree, name, stanza, context):
        return None
    usable = stanza.usable_context or context
    return Model(
        name=name,
        deployments=tuple(_deployment(parts, name, d) for d in stanza.deployments),
        price=price,
        context=context,
        usable_context=usable,
        max_output=stanza.max_output or min(usable, _DEFAULT_MAX_OUTPUT),
        capabilities=frozenset(stanza.capabilities),
        fallbacks=tuple(stanza.fallbacks),
        price_from=_price_from(price, stanza.price),
    )


def _price_from(price: Price, stanza: schema.Price | None) -> str:
    if stanza is None:
        return "genai-prices"
    return "free" if price == FREE else "catalog"


def _sizes_fit(tree: Tree, name: str, stanza: schema.Model, context: int) -> bool:
    fits = True
    for size in ("usable_context", "max_output"):
        if (getattr(stanza, size) or 0) > context:
            tree.fault(("models", name, size), f"must not be above the context, {context}")
            fits = False
    return fits


def _price(stanza: schema.Price) -> Price:
    cached = stanza.input if stanza.cached_input is None else stanza.cached_input
    write = stanza.input if stanza.cache_write is None else stanza.cache_write
    return Price(nanos(stanza.input), nanos(stanza.output), nanos(cached), nanos(write))


def _deployment(parts: Parts, model: str, stanza: schema.Deployment) -> Deployment:
    provider = parts.providers.get(stanza.provider)
    regions = stanza.regions
    if regions is None:
        regions = provider.regions if provider else ()
    return Deployment(
        name=f"{stanza.provider}/{model}",
        provider=stanza.provider,
        upstream=stanza.upstream or model,
        regions=frozenset(regions),
        weight=stanza.weight,
    )


def _provider(name: str, stanza: schema.Provider) -> Provider:
    return Provider(
        name=name,
        dialect=stanza.dialect,
        base_url=stanza.base_url,
        api_key=stanza.api_key,
        regions=frozenset(stanza.regions),
        quirks=frozenset(stanza.quirks),
        lacks=frozenset(stanza.lacks),
        unsupported=stanza.unsupported,
        auth=stanza.auth.auth() if stanza.auth else None,
    )


def _tier(name: str, stanza: schema.Tier) -> Tier:
    return Tier(
        name=name,
        models=tuple(TierModel(entry.model, entry.weight) for entry in stanza.models),
        checks=tuple(check.check() for check in stanza.checks),
    )


def _tenant(name: str, stanza: schema.Tenant) -> Tenant:
    cap = stanza.max_request_usd
    return Tenant(
        name=name,
        keys=tuple(Key(key.id, key.hash, _budgets(key.budgets)) for key in stanza.keys),
        budgets=_budgets(stanza.budgets),
        user_budgets=_budgets(stanza.user_budgets),
        max_request=None if cap is None else nanos(cap),
        timezone=stanza.timezone,
        models=tuple(stanza.models),
        regions=None if stanza.regions is None else frozenset(stanza.regions),
        anonymous=stanza.anonymous,
    )


def _budgets(stanzas: Sequence[schema.Budget]) -> tuple[Budget, ...]:
    return tuple(Budget(nanos(stanza.usd), stanza.per) for stanza in stanzas)
