"""Usage records, entries and lines for tests."""

from typing import Any

from gateway.core.accounts import Amounts
from gateway.core.chat import Usage
from gateway.core.money import Nanos
from gateway.core.records.entry import Charged, Entry, Kind
from gateway.core.records.line import Line, line_of
from gateway.core.records.record import UsageRecord

NOON = 1_795_262_400_000
"""2026-11-21T12:00:00Z in Unix milliseconds."""
HOUR = 3_600_000
BUCKETS = (
    Charged("tg:{acme}:b:acme:tenant:acme:usd:2026-11-21", "usd"),
    Charged("tg:{acme}:b:acme:user:ann:tokens:rolling-hour", "tokens", 11_968_416),
)


def record(attempt: str, **other: Any) -> UsageRecord:
    known: dict[str, Any] = {
        "request": f"r-{attempt}",
        "tenant": "acme",
        "route": "auto",
        "model": "small",
        "provider": "sim",
        "tier": "cheap",
        "purpose": "answer",
        "outcome": "ok",
        "held": 900,
        "cost": 500,
        "usage": Usage(30, 20, 10, 5, 4),
        "user": "ann",
        "key": "k1",
        "tags": {"use_case": "rag"},
        "stream": True,
        "seconds": 0.25,
        "first_token_s": 0.125,
    }
    return UsageRecord(attempt, **(known | other))


def line(
    attempt: str, *, ms: int = NOON, kind: Kind = "settled", seq: int = 1, requests: int = 1,
    nanos: int | None = None, known: bool = True, **other: Any,
) -> Line:  # fmt: skip
    """`nanos` is what was charged; else the record's cost."""
    whole = record(attempt, **other)
    charged = Amounts(Nanos(whole.cost if nanos is None else nanos), 50, requests)
    entry = Entry(f"{ms}-0", seq, "e1", kind, attempt, charged, BUCKETS, whole if known else None)
    return line_of("acme", entry, ms)
