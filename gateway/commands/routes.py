"""`tollgate routes compare`: what routes came to, beside each other, by the records."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from gateway.commands.usage import Found, moment, recorded
from gateway.commands.wrong_option import Wrong, one_of
from gateway.core.route_figures import Estimate, Figures, RouteFigures
from gateway.core.usage_line import Reading

_FORMS: Final = ("table", "json")


class Asked(Struct, frozen=True):
    """The options as they were written. `source` is a sink; "" is the configuration's."""

    routes: Sequence[str]
    since: str
    until: str
    form: str
    source: str
    config: Sequence[Path]


def compare(asked: Asked, env: Mapping[str, str], now: datetime, console: Console) -> Found:
    """Raises Wrong, ConfigError, StoreError and LedgerDown."""
    form = one_of("--format", asked.form, _FORMS)
    since = moment("--since", asked.since, now)
    until = moment("--until", asked.until, now)
    if since and until and since >= until:
        raise Wrong("--until", "must be later than --since")
    found, notes = asyncio.run(_read(asked, env, now, (since, until)))
    figures = list(found.figures())
    notes += [f"no record of {each.route}" for each in figures if not each.requests]
    if form == "json":
        told: dict[str, Any] = {"since": since or None, "until": until or None}
        told["routes"] = msgspec.to_builtins(figures)
        return Found(msgspec.json.format(msgspec.json.encode(told)).decode(), tuple(notes))
    _show(figures, console)
    return Found(None, tuple(notes))


async def _read(
    asked: Asked, env: Mapping[str, str], now: datetime, span: tuple[str, str]
) -> tuple[RouteFigures, list[str]]:
    found = RouteFigures(asked.routes)
    whence = (asked.source, asked.config)
    async with recorded(whence, env, now, span, Reading()) as (_, lines, notes):
        async for line in lines:
            found.add(line)
        return found, notes


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
_BARE: Final = frozenset({"requests", "USD", "compared", "audits USD"})
"""Numbers without an interval. Those with one are aligned by where they begin."""


def _show(figures: Sequence[Figures], console: Console) -> None:
    table = Table()
    for head in _HEADS:
        table.add_column(head, justify="right" if head in _BARE else "left")
    for each in figures:
        not_told = f" (+{each.incomparable:,} not comparable)" if each.incomparable else ""
        table.add_row(
            each.route if each.seen == "answered" else f"{each.route}, as a shadow",
            f"{each.requests:,}",
            _usd(each.usd),
            _format_estimate(each.usd_per_request, _usd),
            _format_estimate(each.escalated, _percent),
            _format_estimate(each.agreed, _percent),
            f"{each.compared:,}{not_told}",
            _format_estimate(each.p50_s, _seconds),
            _format_estimate(each.p95_s, _seconds),
            _usd(each.audit_usd),
        )
    console.print(table, highlight=False, markup=False)


def _format_estimate(found: Estimate | None, form: Callable[[float], str]) -> str:
    """`0.12 (0.10 to 0.14)`."""
    if found is None:
        return "-"
    if found.low is None or found.high is None:
        return form(found.value)
    return f"{form(found.value)} ({form(found.low)} to {form(found.high)})"
