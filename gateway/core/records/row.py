"""Lines of usage as rows of a table: its columns, and values there and back."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from gateway.core.accounts import Amounts
from gateway.core.chat import Usage
from gateway.core.money import Nanos
from gateway.core.records.entry import Charged
from gateway.core.records.line import Booked, Line, stamp

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
NO_ENTRY: Final = Booked("", "0-0", 0, "settled", Amounts(Nanos(0)))

_Read = Callable[[Line, Booked], Any]
_COLUMNS: Final[Sequence[tuple[str, str, _Read]]] = (
    ("attempt", "text", lambda line, _: line.attempt),
    ("kind", "text", lambda _, booked: booked.kind),
    ("time", "time", lambda line, _: _time(line.time)),
    ("home", "text", lambda _, booked: booked.home),
    ("entry", "text", lambda _, booked: booked.at),
    ("seq", "int", lambda _, booked: booked.seq),
    ("epoch", "text", lambda _, booked: booked.epoch),
    ("charged_nanos", "int", lambda _, booked: booked.charged.nanos),
    ("charged_tokens", "int", lambda _, booked: booked.charged.tokens),
    ("charged_requests", "int", lambda _, booked: booked.charged.requests),
    ("buckets", "json", lambda _, booked: _json(booked.buckets)),
    ("request", "text", lambda line, _: line.request),
    ("organisation", "text", lambda line, _: line.organisation),
    ("tenant", "text", lambda line, _: line.tenant),
    ("key_id", "text", lambda line, _: line.key),
    ("user_name", "text", lambda line, _: line.user),
    ("tags", "json", lambda line, _: _json(line.tags)),
    ("route", "text", lambda line, _: line.route),
    ("tier", "text", lambda line, _: line.tier),
    ("model", "text", lambda line, _: line.model),
    ("provider", "text", lambda line, _: line.provider),
    ("purpose", "text", lambda line, _: line.purpose),
    ("outcome", "text", lambda line, _: line.outcome),
    ("stream", "bool", lambda line, _: line.stream),
    ("counted", "bool", lambda line, _: line.counted),
    ("held_nanos", "int", lambda line, _: line.held),
    ("cost_nanos", "int", lambda line, _: line.cost),
    ("prompt", "int", lambda line, _: line.usage.prompt),
    ("completion", "int", lambda line, _: line.usage.completion),
    ("cached", "int", lambda line, _: line.usage.cached),
    ("cache_write", "int", lambda line, _: line.usage.cache_write),
    ("reasoning", "int", lambda line, _: line.usage.reasoning),
    ("seconds", "float", lambda line, _: line.seconds),
    ("first_token_s", "float", lambda line, _: line.first_token_s),
    ("hits", "int", lambda line, _: line.hits),
    ("saved_nanos", "int", lambda line, _: line.saved),
    ("cache_write_1h", "int", lambda line, _: line.usage.cache_write_1h),
    ("signals", "json", lambda line, _: _json(line.signals)),
    ("searches", "int", lambda line, _: line.usage.searches),
    ("reported_nanos", "int", lambda line, _: line.usage.reported_cost),
)
LATER: Final[Mapping[str, int | str]] = {
    "hits": 0, "saved_nanos": 0, "cache_write_1h": 0, "signals": "[]", "searches": 0,
    "reported_nanos": 0,
}  # fmt: skip
"""Columns that what was written before does not have, and what it is read as."""
NAMES: Final = tuple(name for name, _, _ in _COLUMNS)
KINDS: Final = tuple(kind for _, kind, _ in _COLUMNS)
"""Of each column: text, int, float (or None), bool, json (as text) or time."""


def columns_of(lines: Sequence[Line]) -> list[list[Any]]:
    """The values of each column."""
    pairs = [(line, line.ledger or NO_ENTRY) for line in lines]
    return [[read(*pair) for pair in pairs] for _, _, read in _COLUMNS]


def line_of_row(row: Sequence[Any]) -> Line:
    """Of values in the columns' order."""
    has = dict(zip(NAMES, row, strict=True))
    ms = (has["time"] - _EPOCH) // _MS
    charged = Amounts(has["charged_nanos"], has["charged_tokens"], has["charged_requests"])
    buckets = msgspec.json.decode(has["buckets"], type=tuple[Charged, ...])
    booked = Booked(
        has["home"], has["entry"], has["seq"], has["kind"], charged, buckets, has["epoch"]
    )
    return Line(
        attempt=has["attempt"],
        request=has["request"],
        tenant=has["tenant"],
        route=has["route"],
        model=has["model"],
        provider=has["provider"],
        tier=has["tier"],
        purpose=has["purpose"],
        outcome=has["outcome"],
        held=has["held_nanos"],
        cost=has["cost_nanos"],
        usage=Usage(
            prompt=has["prompt"],
            completion=has["completion"],
            cached=has["cached"],
            cache_write=has["cache_write"],
            reasoning=has["reasoning"],
            cache_write_1h=has["cache_write_1h"],
            searches=has["searches"],
            reported_cost=has["reported_nanos"],
        ),
        counted=has["counted"],
        organisation=has["organisation"],
        key=has["key_id"],
        user=has["user_name"],
        tags=msgspec.json.decode(has["tags"], type=dict[str, str]),
        stream=has["stream"],
        seconds=has["seconds"],
        first_token_s=has["first_token_s"],
        hits=has["hits"],
        saved=has["saved_nanos"],
        signals=msgspec.json.decode(has["signals"], type=tuple[int, ...]),
        time=stamp(ms),
        ledger=None if booked == NO_ENTRY else booked,
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text) if text else _EPOCH


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
