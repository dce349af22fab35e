"""`tollgate cost estimate`: what a month of requests costs at each model, the cheapest first."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from rich.console import Console

from gateway.commands.cost_options import MAX_REQUESTS, MAX_TOKENS, parse_int, parse_share, percent
from gateway.commands.cost_prices import (
    STATED,
    Catalog,
    Filters,
    Priced,
    cheapest,
    instants,
    stated_prices,
)
from gateway.commands.cost_report import Row, as_csv, as_json, note_lines, say, show
from gateway.commands.shipped import shipped_catalog
from gateway.commands.wrong_option import FORMATS, WrongOption, one_of
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


class CostOptions(Struct, frozen=True):
    """The options of both commands, as strings."""

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


class PriceContext(Struct, frozen=True):
    """The environment and the time with which prices are read."""

    env: Mapping[str, str]
    now: datetime


def load_of(options: CostOptions) -> Load:
    """Raises WrongOption."""
    load = Load(
        parse_int("--requests", options.requests, 1, MAX_REQUESTS),
        parse_int("--input", options.prompt, 0, MAX_TOKENS),
        parse_int("--output", options.completion, 0, MAX_TOKENS),
        parse_share("--cache-hit", options.cached),
        parse_share("--cache-write", options.cache_write),
        parse_share("--batch", options.batch),
    )
    if load.prompt + load.completion == 0:
        raise WrongOption("--input", "and --output are both 0: a request has at least one token")
    if load.cached + load.cache_write > 1:
        both = percent(load.cached + load.cache_write)
        raise WrongOption(
            "--cache-write", f"and --cache-hit must be at most 100% together, not {both}"
        )
    return load


def format_of(options: CostOptions) -> tuple[str, int]:
    return one_of("--format", options.form, FORMATS), parse_int("--places", options.places, 0, 9)


def catalog_of(options: CostOptions, context: PriceContext) -> Catalog:
    """Raises ConfigError."""
    return Catalog(
        load_shelf(options.config or shipped_catalog(), context.env, at=context.now), context.now
    )


def estimate(
    options: CostOptions, context: PriceContext, console: Console, *, every_host: bool
) -> str | None:
    """The text to print, None if the console has it. Raises WrongOption and ConfigError."""
    load, (form, places) = load_of(options), format_of(options)
    minutes = instants(options.hours, options.zone, context.now)
    stated = stated_prices(options.prices, options.prices_file, context.env)
    catalog = Catalog((), context.now)
    offered: list[list[Priced]] = [[each] for each in stated.values()]
    if options.models or not stated:
        catalog = catalog_of(options, context)
        filters = Filters(options.models, options.provider, options.region)
        offered += [h for name, h in catalog.select(filters).items() if name not in stated]
    rows = ranked(offered, load, minutes, every_host=every_host)
    self_hosted = [] if options.models or stated else catalog.self_hosted
    if form == "csv":
        return as_csv(rows)
    if form == "json":
        return as_json({**describe(load, options), "models": rows, "left_out": self_hosted})
    show(title_of(load), _HEADS, rows, places, console)
    left_out = (
        [f"only on machines of your own, without a price: {', '.join(self_hosted)}"]
        if self_hosted
        else []
    )
    for line in [*note_lines(rows), *left_out]:
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


def describe(load: Load, options: CostOptions) -> dict[str, Any]:
    return {
        "requests": load.requests,
        "input_tokens": load.prompt,
        "output_tokens": load.completion,
        "cache_hit": float(load.cached),
        "cache_write": float(load.cache_write),
        "batch": float(load.batch),
        "hours": options.hours,
        "zone": options.zone,
    }


def title_of(load: Load) -> str:
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
