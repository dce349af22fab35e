"""`tollgate routes compare`: routes side by side, by their usage records."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from gateway.commands.usage import Output, open_records, parse_time
from gateway.commands.wrong_option import WrongOption, one_of
from gateway.core.records.line import Reading
from gateway.core.records.route_figures import Estimate, Figures, RouteFigures

_FORMS: Final = ("table", "json")


class RoutesOptions(Struct, frozen=True):
    """The options as they were written. `source` is a sink; "" is the configuration's."""

    routes: Sequence[str]
    since: str
    until: str
    form: str
    source: str
    config: Sequence[Path]


def compare(
    options: RoutesOptions, env: Mapping[str, str], now: datetime, console: Console
) -> Output:
    """Raises WrongOption, ConfigError, StoreError and LedgerDown."""
    form = one_of("--format", options.form, _FORMS)
    since = parse_time("--since", options.since, now)
    until = parse_time("--until", options.until, now)
    if since and until and since >= until:
        raise WrongOption("--until", "must be later than --since")
    by_route, notes = asyncio.run(_read(options, env, now, (since, until)))
    figures = list(by_route.figures())
    notes += [f"no record of {each.route}" for each in figures if not each.requests]
    if form == "json":
        report: dict[str, Any] = {"since": since or None, "until": until or None}
        report["routes"] = msgspec.to_builtins(figures)
        return Output(msgspec.json.format(msgspec.json.encode(report)).decode(), tuple(notes))
    _show(figures, console)
    return Output(None, tuple(notes))


async def _read(
    options: RoutesOptions, env: Mapping[str, str], now: datetime, span: tuple[str, str]
) -> tuple[RouteFigures, list[str]]:
    by_route = RouteFigures(options.routes)
    origin = (options.source, options.config)
    async with open_records(origin, env, now, span, Reading()) as (_, lines, notes):
        async for line in lines:
            by_route.add(line)
        return by_route, notes


def _usd(value: float) -> str:
    return f"{value:.6f}"


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _seconds(value: float) -> str:
    return f"{value:.2f}"


_HEADS: Final = (
    "route", "requests", "USD", "USD a request", "escalated", "agreed", "compared", "p50 s",
    "p95 s", "audits USD",
)  # fmt: skip
_NO_INTERVAL: Final = frozenset({"requests", "USD", "compared", "audits USD"})
"""Numbers without an interval. Those with one are aligned by where they begin."""


def _show(figures: Sequence[Figures], console: Console) -> None:
    table = Table()
    for head in _HEADS:
        table.add_column(head, justify="right" if head in _NO_INTERVAL else "left")
    for each in figures:
        incomparable = f" (+{each.incomparable:,} not comparable)" if each.incomparable else ""
        table.add_row(
            each.route if each.seen == "answered" else f"{each.route}, as a shadow",
            f"{each.requests:,}",
            _usd(each.usd),
            _format_estimate(each.usd_per_request, _usd),
            _format_estimate(each.escalated, _percent),
            _format_estimate(each.agreed, _percent),
            f"{each.compared:,}{incomparable}",
            _format_estimate(each.p50_s, _seconds),
            _format_estimate(each.p95_s, _seconds),
            _usd(each.audit_usd),
        )
    console.print(table, highlight=False, markup=False)


def _format_estimate(estimate: Estimate | None, formatter: Callable[[float], str]) -> str:
    """`0.12 (0.10 to 0.14)`."""
    if estimate is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return formatter(estimate.value)
    return f"{formatter(estimate.value)} ({formatter(estimate.low)} to {formatter(estimate.high)})"
