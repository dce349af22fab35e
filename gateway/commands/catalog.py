"""`tollgate catalog`: which models there are, where, for how much, and how sure that is."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from msgspec import Raw, Struct
from rich.console import Console
from rich.table import Table

from gateway.config.shelf import Entry, Host
from gateway.core.explain import dollars
from gateway.core.money import PER_USD, Price

_FOLDERS: Final = (Path(__file__).resolve().parents[2], Path())
"""Where the folder config/ may be: beside the package, or, when it is installed, right here."""
_FILES: Final = ("providers.yaml", "models.yaml")
STALE_AFTER: Final = timedelta(days=90)
_THOUSAND: Final = 1_000


class Wanted(Struct, frozen=True):
    """What to list; None is any. A price is in USD per million input tokens."""

    capabilities: frozenset[str] = frozenset()
    region: str | None = None
    provider: str | None = None
    max_input_price: float | None = None
    stale: bool = False


def shipped() -> list[Path]:
    """The catalog that comes with the gateway."""
    places = [folder / "config" for folder in _FOLDERS]
    found = next((place for place in places if (place / _FILES[-1]).exists()), places[0])
    return [found / name for name in _FILES]


def select(shelf: Sequence[Entry], wanted: Wanted, today: date) -> list[dict[str, Any]]:
    """The entries that are wanted, as JSON values. Prices are the dearest of the day."""
    found = []
    for entry in shelf:
        if not wanted.capabilities <= set(entry.stanza.capabilities):
            continue
        hosts = [_host(host, today) for host in entry.hosts if _fits(host, wanted, today)]
        if hosts:
            found.append({**_model(entry), "hosts": hosts})
    return found


def doubts(host: Host, today: date) -> list[str]:
    """Why its price may not hold."""
    offer, found = host.offer, []
    if offer.tariff is None:
        found.append("gone from genai-prices")
    if offer.leaving:
        found.append("taken out of service, says genai-prices")
    if offer.as_of is not None and today - date.fromisoformat(offer.as_of) > STALE_AFTER:
        found.append(f"as of {offer.as_of}")
    return found


def _fits(host: Host, wanted: Wanted, today: date) -> bool:
    most, tariff = wanted.max_input_price, host.offer.tariff
    return (
        (wanted.provider is None or host.provider == wanted.provider)
        and (wanted.region is None or wanted.region in host.regions)
        and (
            most is None
            or (tariff is not None and tariff.dearest.input <= Decimal(str(most)) * PER_USD)
        )
        and (not wanted.stale or bool(doubts(host, today)))
    )


def _model(entry: Entry) -> dict[str, Any]:
    stanza = entry.stanza
    gone = stanza.deprecated
    return {
        "model": entry.name,
        "context": entry.context,
        "usable_context": stanza.usable_context or entry.context,
        "max_output": stanza.max_output,
        "capabilities": sorted(stanza.capabilities),
        "cutoff": stanza.cutoff,
        "latency": stanza.latency,
        "token_factor": stanza.token_factor,
        "deprecated": {"since": gone.since, "use_instead": gone.use_instead} if gone else None,
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
        "price": _rates(tariff.dearest) if tariff else None,
        "windows": [
            {
                "hours": f"{_clock(w.begin)}-{_clock(w.end)}",
                "zone": w.zone,
                "price": _rates(w.price),
            }
            for w in (tariff.windows if tariff else ())
        ],
        "batch": offer.batch,
        "price_from": offer.price_from,
        "source": offer.source,
        "as_of": offer.as_of,
        "doubts": doubts(host, today),
    }


def _rates(price: Price) -> dict[str, Any]:
    return {name: dollars(getattr(price, name)) for name in Price.__struct_fields__}


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def show(found: Sequence[dict[str, Any]], console: Console) -> None:
    """The same for a person: a line a host."""
    table = Table(title="USD per million tokens, at the dearest hour")
    for head in ("model", "context", "host", "regions", "in", "cached", "out", "price from"):
        table.add_column(head, no_wrap=head in ("model", "host"))
    table.add_column("notes", overflow="fold")
    hosts = 0
    for model in found:
        for at, host in enumerate(model["hosts"]):
            price = host["price"] or {}
            rates = (_plain(price.get(name)) for name in ("input", "cached_input", "output"))
            name, size = (model["model"], _size(model)) if at == 0 else ("", "")
            notes = [*_of_host(host), *(_of_model(model) if at == 0 else ())]
            table.add_row(
                name,
                size,
                host["provider"],
                ", ".join(host["regions"]),
                *rates,
                host["price_from"],
                "; ".join(notes),
            )
            hosts += 1
    console.print(table)
    console.print(f"{len(found)} models, {hosts} hosts")


def _of_host(host: dict[str, Any]) -> list[str]:
    notes = list(host["doubts"])
    if host["windows"]:
        notes.append("other prices at " + ", ".join(w["hours"] for w in host["windows"]))
    if host["lacks"]:
        notes.append(f"needs {', '.join(host['lacks'])}")
    return notes


def _of_model(model: dict[str, Any]) -> list[str]:
    gone = model["deprecated"]
    notes = [f"deprecated: use {gone['use_instead']}"] if gone else []
    if model["token_factor"] != 1:
        notes.append(f"tokens x {model['token_factor']:g}")
    return notes


def _size(model: dict[str, Any]) -> str:
    """In thousands of tokens: what is trusted, and what was published."""
    sizes = dict.fromkeys((model["usable_context"], model["context"]))
    return " of ".join(f"{size // _THOUSAND:,}k" for size in sizes if size) or "?"


def _plain(rate: Raw | None) -> str:
    return "?" if rate is None else bytes(rate).decode()
