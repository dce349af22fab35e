"""`tollgate check`: the configuration, its prices, its keys and its Redis; all faults at once."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from gateway.config.faults import ConfigError
from gateway.config.load import load, load_ledger
from gateway.core.catalog import Model, Tenant
from gateway.core.money import FREE, Price, usd
from gateway.core.packages import how_to_install
from gateway.core.snapshot import GoogleAuth, Ledger, Snapshot
from gateway.stores import log_fault, sink_fault

Ping = Callable[[Snapshot], tuple[str | None, list[str]]]
"""The fault of a snapshot's ledger, None when it answers; and warnings."""
Look = Callable[[Ledger], str | None]
"""The fault of a ledger; None when it answers."""

WRITABLE: Final = "make its folder, or let the gateway write there"
_SINKS: Final = {"parquet:": ("pyarrow", "parquet"), "postgres": ("asyncpg", "postgres")}
"""By the prefix of a sink: the package it needs, and the extra that installs it."""
_TRACES: Final = ("opentelemetry.exporter.otlp.proto.http", "otel")
_PLACEHOLDER: Final = "0" * 64
"""A hash that no key has."""


def check(
    paths: Sequence[Path],
    env: Mapping[str, str],
    ping: Ping,
    look: Look,
    *,
    at: datetime | None = None,
) -> tuple[list[str], int]:
    """Lines for a person, and the exit code: 0 when it can be served, 1 when not.

    `at` chooses among dated prices; see load. Warnings do not change the code. A configuration with
    faults is not opened: then `look` only checks whether its ledger answers.
    """
    try:
        snapshot = load(paths, env, at=at)
    except ConfigError as error:
        count, ledger = len(error.faults), load_ledger(paths, env)
        ledger_lines = [] if ledger is None else [f"redis: {look(ledger) or 'answers'}"]
        return [
            *map(str, error.faults),
            *ledger_lines,
            f"{count} fault{'s' if count > 1 else ''}",
        ], 1
    lines = [*_summary(snapshot), *_warnings(snapshot)]
    down, unsafe = ping(snapshot)
    lines += [f"warning: redis: {each}" for each in unsafe]
    blocking = [f"{each.key}: {each.why}; {each.do}" for each in blockers(snapshot)]
    lines += [*blocking, f"redis: {down or 'answers'}"]
    return (lines, 1) if down is not None or blocking else ([*lines, "ok"], 0)


def _summary(snapshot: Snapshot) -> Iterator[str]:
    catalog = snapshot.catalog
    counts: dict[str, Mapping[str, object]] = {
        "provider": snapshot.providers,
        "model": catalog.models,
        "tier": catalog.tiers,
        "route": catalog.routes,
        "tenant": snapshot.tenants,
    }
    shared = {t.organisation.name for t in snapshot.tenants.values() if t.organisation}
    if shared:
        counts["organisation"] = dict.fromkeys(shared)
    yield ", ".join(f"{len(v)} {k}{'' if len(v) == 1 else 's'}" for k, v in counts.items())
    sources = Counter(model.price_from for model in catalog.models.values())
    yield "prices: " + ", ".join(f"{sources[name]} {name}" for name in sorted(sources))
    for model in catalog.models.values():
        yield f"  {model.name}: {_prices(model)}"
    keyless = [p.name for p in snapshot.providers.values() if not (p.api_key or p.auth)]
    with_key = len(snapshot.providers) - len(keyless)
    without = f"; without: {', '.join(keyless)}" if keyless else ""
    yield f"provider keys: {with_key} of {len(snapshot.providers)}{without}"
    if snapshot.not_configured:
        reasons = (f"{name} ({why})" for name, why in snapshot.not_configured.items())
        yield f"not configured: {', '.join(reasons)}"
    if catalog.left_out:
        yield f"models left out with them: {', '.join(catalog.left_out)}"


def _prices(model: Model) -> str:
    """The price of its first deployment, and of those that charge another one."""
    text = _price(model.price, model.price_from == "free")
    if model.price_from != "free":
        text += f" USD per million tokens, from {model.price_from}"
    for each in model.deployments[1:]:
        if each.tariff is not None:
            price = each.tariff.within(0)
            text += f"; at {each.provider} {_price(price, price == FREE)}"
    steps = {s.above for d in model.deployments if d.tariff is not None for s in d.tariff.rises()}
    if steps:
        text += f"; dearer for prompts above {', '.join(f'{s:,}' for s in sorted(steps))} tokens"
    if any(each.tariff is not None and each.tariff.windows for each in model.deployments):
        text += "; cheaper at some hours"
    return text


def _price(price: Price, free: bool) -> str:
    if free:
        return "free"
    text = f"input {usd(price.input)}, output {usd(price.output)}"
    if price.cached_input != price.input:
        text += f", cached input {usd(price.cached_input)}"
    if price.cache_write != price.input:
        text += f", cache write {usd(price.cache_write)}"
    if price.audio is not None:
        text += f", audio input {usd(price.audio.input)}, audio output {usd(price.audio.output)}"
        text += f", cached audio input {usd(price.audio.cached_input)}"
    if price.image_output is not None:
        text += f", image output {usd(price.image_output)}"
    if price.search is not None:
        unit = "call that searches" if price.search.per_call else "search"
        text += f", each {unit} {usd(price.search.amount)}"
    return text


def deprecations(snapshot: Snapshot) -> Iterator[str]:
    """A line for each deprecated model."""
    for model in snapshot.catalog.models.values():
        deprecation = model.card.deprecated
        if deprecation is not None:
            since, other = deprecation.since, deprecation.use_instead
            yield f"model {model.name}: deprecated since {since}: use {other}"


def _warnings(snapshot: Snapshot) -> Iterator[str]:
    for line in deprecations(snapshot):
        yield f"warning: {line}"
    google = [p.name for p in snapshot.providers.values() if isinstance(p.auth, GoogleAuth)]
    if google and not _is_installed("google.auth"):
        yield (
            f"warning: google-auth is not installed: {', '.join(google)} can be asked only where "
            f"the machine has a role at Google; {how_to_install('google')}"
        )
    if snapshot.pepper is None and any(not t.anonymous for t in snapshot.tenants.values()):
        yield "warning: keys.pepper is not set: keys are kept as plain SHA-256"
    for tenant in snapshot.tenants.values():
        for warning in _tenant_warnings(tenant):
            yield f"warning: tenant {tenant.name}: {warning}"
    sink = unwritable_sink(snapshot)
    if sink is not None:
        yield f"warning: usage.sink: {sink}"
    if snapshot.ledger.url == "memory":
        yield "warning: redis.url is memory: every restart begins with full budgets"


def unwritable_sink(snapshot: Snapshot) -> str | None:
    """Why its usage sink cannot be written, and what that means; a gateway starts all the same."""
    why = None if snapshot.usage.sink is None else sink_fault(snapshot.usage.sink)
    return why and f"{why}: records wait in the ledger, which keeps the newest"


class Blocker(NamedTuple):
    """Why a gateway would not start here, though its configuration is valid."""

    key: str
    why: str
    do: str


def blockers(snapshot: Snapshot) -> Iterator[Blocker]:
    """Packages that are not installed, and a log that cannot be written."""
    sink = snapshot.usage.sink or ""
    needs = [("usage.sink", way) for kind, way in _SINKS.items() if sink.startswith(kind)]
    if snapshot.otel is not None:
        needs.append(("otel", _TRACES))
    for key, (package, extra) in needs:
        if not _is_installed(package):
            why = f"{package.partition('.')[0]} is not installed"
            message = f"{why}: a gateway does not start without it"
            yield Blocker(key, message, how_to_install(extra))
    unwritable = None if snapshot.log is None else log_fault(snapshot.log.to)
    if unwritable is not None:
        yield Blocker("log.to", unwritable, WRITABLE)


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # not even the package it is in
        return False


def _tenant_warnings(tenant: Tenant) -> Iterator[str]:
    if tenant.anonymous:
        yield "anonymous: anyone who reaches the gateway spends its money"
    elif not tenant.keys:
        yield f"no key: nobody can use it; tollgate key new {tenant.name}"
    for key in tenant.keys:
        if key.sha256 == _PLACEHOLDER:
            yield f"key {key.id} is a placeholder: tollgate key new {tenant.name}"
    shared = tenant.organisation.budgets if tenant.organisation else ()
    budgets = (*tenant.budgets, *shared)
    if not budgets and tenant.max_request is None:
        yield "no budget: its spending is only counted"
    elif budgets and not any(each.meter == "usd" and each.mode == "hard" for each in budgets):
        yield "no hard budget in usd: what it spends in all has no bound"
