"""Checked stanzas to the values that the rest of the gateway reads."""

from datetime import datetime
from typing import Final

from gateway.config import schema
from gateway.config.admin import build_admin
from gateway.config.build_tenants import build_tenants
from gateway.config.faults import Path
from gateway.config.offers import Offer, offer
from gateway.config.optional import configured_deployments, is_complete, left_out_models
from gateway.config.proxy import proxy_of
from gateway.config.tree import Tree
from gateway.config.validate import Parts
from gateway.core.catalog import (
    TIMEOUT_S,
    Card,
    Catalog,
    Deployment,
    Deprecation,
    Model,
    Tier,
    TierModel,
)
from gateway.core.money import FREE, Price, nanos
from gateway.core.response_cache import marked
from gateway.core.snapshot import (
    LIMIT_QUIRKS,
    Alerts,
    Leasing,
    Ledger,
    Limits,
    Log,
    Otel,
    Provider,
    Secret,
    Server,
    Snapshot,
    Timeouts,
    Usage,
)
from gateway.core.tariff import Tariff
from gateway.core.tokens import image_tokens

_DEFAULT_MAX_OUTPUT: Final = 16_384
_OF_A_HOLD: Final = 0.9
"""Share of a hold's life that a request may take: it must end before its hold is charged."""
_PRICE_MISSING: Final = (
    "price missing: genai-prices knows none at {provider}; write price: "
    "{{input: ..., output: ...}} in USD per million tokens, or price: free"
)


def build_models(tree: Tree, parts: Parts, at: datetime | None) -> dict[str, Model]:
    """Every model that can be asked somewhere; notes a fault for each without a price or a window,
    where that can be said.
    """
    models = {}
    for name, stanza in parts.models.items():
        model = _model(tree, parts, name, stanza, at)
        if model is not None:
            models[name] = model
    return models


def build_snapshot(tree: Tree, parts: Parts, models: dict[str, Model]) -> Snapshot:
    """Only for parts without a fault."""
    tiers = {name: _tier(name, stanza) for name, stanza in parts.tiers.items()}
    providers = {name: _provider(parts, name, stanza) for name, stanza in parts.providers.items()}
    routes = {
        name: marked(s.route(name, parts.begins.get(name)), providers)
        for name, s in parts.routes.items()
    }
    timeout_s = min(TIMEOUT_S, _OF_A_HOLD * parts.redis.hold_ttl_s)
    return Snapshot(
        catalog=Catalog(models, tiers, routes, left_out_models(tree, parts), timeout_s),
        providers=providers,
        tenants=build_tenants(parts),
        ledger=build_ledger(parts.redis),
        timeouts=Timeouts(**dict(parts.timeouts)),
        limits=Limits(**dict(parts.limits)),
        tags=parts.tags,
        alerts=Alerts(parts.alerts.webhook),
        usage=Usage(**dict(parts.usage)),
        log=_log(parts),
        otel=_otel(parts),
        pepper=parts.keys.pepper,
        admin=build_admin(parts.admin),
        not_configured=tree.left_out,
        server=Server(**dict(parts.server)),
        client=parts.client,
    )


def build_ledger(redis: schema.Redis) -> Ledger:
    return Ledger(
        url=Secret(redis.url),
        data_dir=redis.data_dir,
        timeout_s=redis.timeout_ms / 1000,
        hold_ttl_s=redis.hold_ttl_s,
        on_unsafe=redis.on_unsafe,
        replicas=redis.replicas,
        lease=_lease(redis.lease),
    )


def _model(
    tree: Tree, parts: Parts, name: str, stanza: schema.Model, at: datetime | None
) -> Model | None:
    path = ("models", name)
    places = configured_deployments(tree, stanza)
    known = [place for place in places if place.provider in parts.providers]
    offers = [
        offer(stanza, place, place.upstream or name, parts.providers[place.provider].base_url, at)
        for place in known
    ]
    sound = bool(known) and len(known) == len(places)
    for place, each in zip(known, offers, strict=True):
        if each.tariff is None:
            sound = False
            if not _doubts(tree, name, stanza, place, "price"):
                tree.fault(path, _PRICE_MISSING.format(provider=place.provider))
    context = stanza.context or next((each.context for each in offers if each.context), None)
    if tree.doubtful((*path, "context")):
        return None
    if context is None:
        every = len(known) == len(places) and is_complete(tree, name, stanza)
        if known and every and not any(_doubts(tree, name, stanza, each) for each in known):
            message = "context is required: genai-prices does not know this model's window"
            tree.fault(path, message)
    if context is None or not _sizes_fit(tree, name, stanza, context) or not sound:
        return None
    first = offers[0]
    price = first.tariff.within(0) if first.tariff else FREE
    usable = stanza.usable_context or context
    return Model(
        name=name,
        deployments=tuple(
            _deployment(parts, name, place, each, price)
            for place, each in zip(places, offers, strict=True)
        ),
        price=price,
        context=context,
        usable_context=usable,
        max_output=stanza.max_output or min(usable, _DEFAULT_MAX_OUTPUT),
        output_stated=stanza.max_output is not None,
        capabilities=frozenset(stanza.capabilities),
        fallbacks=_fallbacks(tree, parts, stanza),
        price_from=first.price_from,
        token_factor=stanza.token_factor,
        card=_card(stanza, first),
        image_tokens=stanza.image_tokens or max(image_tokens(p.upstream or name) for p in places),
    )


def _doubts(
    tree: Tree, model: str, stanza: schema.Model, place: schema.Deployment, *keys: str
) -> bool:
    """Whether what genai-prices is asked, or one of these keys, is not known for a deployment."""
    path: Path = ("models", model)
    written = zip(tree.sound_items((*path, "deployments")), stanza.deployments, strict=True)
    here = next(where for where, each in written if each is place)
    mine = [(*here, key) for key in ("upstream", *keys)]
    shared = [(*path, key) for key in keys]
    return tree.doubtful(("providers", place.provider, "base_url"), *mine, *shared)


def _fallbacks(tree: Tree, parts: Parts, stanza: schema.Model) -> tuple[str, ...]:
    """Those that a configured provider serves."""
    unserved = left_out_models(tree, parts) if stanza.fallbacks else {}
    return tuple(name for name in stanza.fallbacks if name not in unserved)


def _card(stanza: schema.Model, first: Offer) -> Card:
    deprecation = stanza.deprecated
    return Card(
        cutoff=stanza.cutoff,
        latency=stanza.latency,
        batch=first.batch,
        source=first.source,
        as_of=first.as_of,
        deprecated=Deprecation(deprecation.since, deprecation.use_instead) if deprecation else None,
    )


def _sizes_fit(tree: Tree, name: str, stanza: schema.Model, context: int) -> bool:
    fits = True
    for size in ("usable_context", "max_output"):
        if (getattr(stanza, size) or 0) > context:
            tree.fault(("models", name, size), f"must not be above the context, {context}")
            fits = False
    return fits


def _deployment(
    parts: Parts, model: str, stanza: schema.Deployment, known: Offer, price: Price
) -> Deployment:
    regions, tariff = stanza.regions, known.tariff
    if regions is None:
        regions = parts.providers[stanza.provider].regions
    return Deployment(
        name=f"{stanza.provider}/{model}",
        provider=stanza.provider,
        upstream=stanza.upstream or model,
        regions=frozenset(regions),
        weight=stanza.weight,
        tariff=None if tariff == Tariff(price) else tariff,
        quirks=_quirks(parts.providers[stanza.provider], stanza),
        lacks=_lacks(parts.providers[stanza.provider], stanza),
        cache_s=parts.providers[stanza.provider].cache_lifetime_s,
        caches_unasked=_caches_unasked(parts.providers[stanza.provider], tariff),
        listed_price=known.listed,
    )


def _caches_unasked(provider: schema.Provider, tariff: Tariff | None) -> bool:
    """Others than OpenAI, and who imitates it, write only what is marked."""
    if provider.dialect != "openai" or tariff is None:
        return False
    price = tariff.within(0)
    return price.cache_write > price.input


def _quirks(provider: schema.Provider, here: schema.Deployment) -> frozenset[str] | None:
    """A deployment's own beside the provider's; None where it has none."""
    own, theirs = frozenset(here.quirks), frozenset(provider.quirks)
    if own & LIMIT_QUIRKS:
        theirs -= LIMIT_QUIRKS
    return own | theirs if own else None


def _lacks(provider: schema.Provider, here: schema.Deployment) -> frozenset[str] | None:
    """A deployment's own beside the provider's; None where it has none."""
    return frozenset((*here.lacks, *provider.lacks)) if here.lacks else None


def _lease(stanza: schema.Lease | None) -> Leasing | None:
    return None if stanza is None else Leasing(nanos(stanza.usd), stanza.calls_per_s)


def _provider(parts: Parts, name: str, stanza: schema.Provider) -> Provider:
    return Provider(
        name=name,
        dialect=stanza.dialect,
        base_url=stanza.base_url,
        api_key=stanza.api_key,
        regions=frozenset(stanza.regions),
        quirks=frozenset(stanza.quirks),
        lacks=frozenset(stanza.lacks),
        unsupported=stanza.unsupported,
        forward_traceparent=stanza.forward_traceparent,
        auth=stanza.auth.auth() if stanza.auth else None,
        proxy=proxy_of(stanza.proxy, parts.proxy, stanza.base_url),
    )


def _log(parts: Parts) -> Log | None:
    log = parts.log
    return None if log is None else Log(log.to, log.log_content, log.sample)


def _otel(parts: Parts) -> Otel | None:
    otel = parts.otel
    if otel is None:
        return None
    return Otel(otel.endpoint, otel.headers, otel.service_name, otel.sample, otel.content)


def _tier(name: str, stanza: schema.Tier) -> Tier:
    return Tier(
        name=name,
        models=tuple(TierModel(entry.model, entry.weight) for entry in stanza.models),
        checks=tuple(check.check() for check in stanza.checks),
    )
