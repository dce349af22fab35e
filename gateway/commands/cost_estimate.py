"""`tollgate cost estimate`: what a month of requests costs at each model, the cheapest first."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from rich.console import Console

from gateway.commands.cost_options import MAX_REQUESTS, MAX_TOKENS, percent, share, whole
from gateway.commands.cost_prices import (
    STATED,
    Catalog,
    Priced,
    Wanted,
    cheapest,
    instants,
    stated_prices,
)
from gateway.commands.cost_report import Row, as_csv, as_json, noted, say, show
from gateway.commands.shipped import shipped_catalog
from gateway.commands.wrong_option import FORMATS, Wrong, one_of
from gateway.config.shelf import load_shelf
from gateway.core.calculator import Load, Rates, month, one_request

_HEADS: Final = {
    "model": "model",
    "host": "host",
    "input_usd_per_mtok": "in",
    "cached_input_usd_per_mtok": "cached",
    "output_usd_per_mtok": "out",
    "usd_per_request": "USD a request",
    "usd_per_month": "USD a month",
}


class Asked(Struct, frozen=True):
    """The options that both commands have, as texts."""

    requests: str
    prompt: str
    completion: str
    cached: str
    cache_write: str
    batch: str
    hours: str
    zone: str
    models: tuple[str, ...]
    prices: tuple[str, ...]
    prices_file: Path | None
    provider: str | None
    region: str | None
    config: tuple[Path, ...]
    form: str
    places: str


class Scene(Struct, frozen=True):
    """What prices are read with."""

    env: Mapping[str, str]
    now: datetime


def load_of(asked: Asked) -> Load:
    """Raises Wrong."""
    found = Load(
        whole("--requests", asked.requests, 1, MAX_REQUESTS),
        whole("--input", asked.prompt, 0, MAX_TOKENS),
        whole("--output", asked.completion, 0, MAX_TOKENS),
        share("--cache-hit", asked.cached),
        share("--cache-write", asked.cache_write),
        share("--batch", asked.batch),
    )
    if found.prompt + found.completion == 0:
        raise Wrong("--input", "and --output are both 0: a request has at least one token")
    if found.cached + found.cache_write > 1:
        both = percent(found.cached + found.cache_write)
        raise Wrong("--cache-write", f"and --cache-hit must be at most 100% together, not {both}")
    return found


def form_of(asked: Asked) -> tuple[str, int]:
    return one_of("--format", asked.form, FORMATS), whole("--places", asked.places, 0, 9)


def shelf_of(asked: Asked, scene: Scene) -> Catalog:
    """Raises ConfigError."""
    return Catalog(
        load_shelf(asked.config or shipped_catalog(), scene.env, at=scene.now), scene.now
    )


def estimate(asked: Asked, scene: Scene, console: Console, *, every_host: bool) -> str | None:
    """The text to print, or None when the console has it. Raises Wrong, ConfigError."""
    load, (form, places) = load_of(asked), form_of(asked)
    minutes = instants(asked.hours, asked.zone, scene.now)
    stated = stated_prices(asked.prices, asked.prices_file, scene.env)
    catalog = Catalog((), scene.now)
    offered: list[list[Priced]] = [[each] for each in stated.values()]
    if asked.models or not stated:
        catalog = shelf_of(asked, scene)
        wanted = Wanted(asked.models, asked.provider, asked.region)
        offered += [h for name, h in catalog.select(wanted).items() if name not in stated]
    rows = ranked(offered, load, minutes, every_host=every_host)
    own = [] if asked.models or stated else catalog.own
    if form == "csv":
        return as_csv(rows)
    if form == "json":
        return as_json({**described(load, asked), "models": rows, "left_out": own})
    show(titled(load), _HEADS, rows, places, console)
    left_out = [f"only on machines of your own, without a price: {', '.join(own)}"] if own else []
    for line in [*noted(rows), *left_out]:
        say(line, console)
    return None


def ranked(
    offered: Iterable[Sequence[Priced]], load: Load, minutes: Sequence[float], *, every_host: bool
) -> list[Row]:
    """The cheapest first, each model at its cheapest host, or at all of them."""

    def each(priced: Priced) -> Fraction:
        return one_request(priced.rates(load.prompt, minutes), load)

    chosen = [p for hosts in offered for p in (hosts if every_host else [cheapest(hosts, each)])]
    return [
        row(priced, priced.rates(load.prompt, minutes), load)
        for priced in sorted(chosen, key=lambda p: (each(p), p.model, p.host))
    ]


def row(priced: Priced, rates: Rates, load: Load) -> dict[str, Any]:
    request = one_request(rates, load)
    offer = priced.offer
    return {
        "model": priced.model,
        "host": priced.host or STATED,
        "input_usd_per_mtok": rates.input,
        "cached_input_usd_per_mtok": rates.cached_input,
        "cache_write_usd_per_mtok": rates.cache_write,
        "output_usd_per_mtok": rates.output,
        "batch_factor": float(rates.batch),
        "usd_per_request": request,
        "usd_per_month": month(request, load.requests),
        "price_from": offer.price_from,
        "source": offer.source,
        "as_of": offer.as_of,
        "notes": priced.remarks(load),
    }


def described(load: Load, asked: Asked) -> dict[str, Any]:
    return {
        "requests": load.requests,
        "input_tokens": load.prompt,
        "output_tokens": load.completion,
        "cache_hit": float(load.cached),
        "cache_write": float(load.cache_write),
        "batch": float(load.batch),
        "hours": asked.hours,
        "zone": asked.zone,
    }


def titled(load: Load) -> str:
    parts = [
        f"{load.requests:,} requests a month",
        f"{load.prompt:,} tokens in",
        f"{load.completion:,} out",
    ]
    for part, words in (
        (load.cached, "of the input cached"),
        (load.cache_write, "of it written to a cache"),
        (load.batch, "in batches"),
    ):
        if part:
            parts.append(f"{percent(part)} {words}")
    return ", ".join(parts)
