"""`tollgate catalog`: which models there are, where, for how much, and how sure that is."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from gateway.config.faults import listed, quoted
from gateway.config.shelf import Entry, Host
from gateway.core.explain.prices import rates, search_fee
from gateway.core.money import PER_USD
from gateway.core.tariff import Step

STALE_AFTER: Final = timedelta(days=90)


class Filters(Struct, frozen=True):
    """What to list; None is any. A price is in USD per million input tokens of a short prompt."""

    model: str | None = None
    capabilities: frozenset[str] = frozenset()
    region: str | None = None
    provider: str | None = None
    max_input_price: float | None = None
    stale: bool = False


def select(shelf: Sequence[Entry], filters: Filters, today: date) -> list[dict[str, Any]]:
    """The entries that match, as JSON values. Prices are the highest of the day."""
    entries = []
    for entry in shelf:
        if filters.model not in (None, entry.name):
            continue
        if not filters.capabilities <= set(entry.stanza.capabilities):
            continue
        hosts = [_host(host, today) for host in entry.hosts if _matches(host, filters, today)]
        if hosts:
            entries.append({**_model(entry), "hosts": hosts})
    return entries


def unmatched_filter(shelf: Sequence[Entry], filters: Filters) -> str | None:
    """The first filter that matches nothing in the whole catalog, with the values it knows."""
    hosts = [host for entry in shelf for host in entry.hosts]
    capabilities = {each for entry in shelf for each in entry.stanza.capabilities}
    checks = (
        ("--capability", filters.capabilities, capabilities),
        ("--region", {filters.region} - {None}, {each for host in hosts for each in host.regions}),
        ("--provider", {filters.provider} - {None}, {host.provider for host in hosts}),
    )
    for option, names, known in checks:
        if missing := sorted(name for name in names if name is not None and name not in known):
            return f"{option}: nothing has {quoted(missing[0])} (known: {listed(known)})"
    return None


def doubts(host: Host, today: date) -> list[str]:
    """Why its price may be out of date."""
    offer, reasons = host.offer, []
    if offer.tariff is None:
        reasons.append("gone from genai-prices")
    if offer.retiring:
        reasons.append("taken out of service, says genai-prices")
    if offer.as_of is not None and today - date.fromisoformat(offer.as_of) > STALE_AFTER:
        reasons.append(f"as of {offer.as_of}")
    return reasons


def _matches(host: Host, filters: Filters, today: date) -> bool:
    max_price, tariff = filters.max_input_price, host.offer.tariff
    return (
        (filters.provider is None or host.provider == filters.provider)
        and (filters.region is None or filters.region in host.regions)
        and (
            max_price is None
            or (tariff is not None and tariff.within(0).input <= Decimal(str(max_price)) * PER_USD)
        )
        and (not filters.stale or bool(doubts(host, today)))
    )


def _model(entry: Entry) -> dict[str, Any]:
    stanza = entry.stanza
    deprecation = stanza.deprecated
    return {
        "model": entry.name,
        "context": entry.context,
        "usable_context": stanza.usable_context or entry.context,
        "max_output": stanza.max_output,
        "capabilities": sorted(stanza.capabilities),
        "cutoff": stanza.cutoff,
        "latency": stanza.latency,
        "token_factor": stanza.token_factor,
        "deprecated": {"since": deprecation.since, "use_instead": deprecation.use_instead}
        if deprecation
        else None,
    }


def _host(host: Host, today: date) -> dict[str, Any]:
    offer = host.offer
    tariff = offer.tariff
    return {
        "provider": host.provider,
        "upstream": host.upstream,
        "regions": list(host.regions),
        "configured": not host.lacks,
        "lacks": list(host.lacks),
        "price": rates(tariff.within(0)) if tariff else None,
        **(search_fee(tariff.within(0)) if tariff else {}),
        "steps": _steps(tariff.rises()) if tariff else [],
        "windows": [
            {
                "hours": f"{_clock(w.begin)}-{_clock(w.end)}",
                "zone": w.zone,
                "price": rates(w.price),
                "steps": _steps(w.steps),
            }
            for w in (tariff.windows if tariff else ())
        ],
        "batch": offer.batch,
        "price_from": offer.price_from,
        "source": offer.source,
        "as_of": offer.as_of,
        "doubts": doubts(host, today),
    }


def _steps(steps: Sequence[Step]) -> list[dict[str, Any]]:
    return [{"above": step.above, **rates(step.price)} for step in steps]


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
