"""The ledger's scripts, the keys they are given, and commands built once and used many times.

Only a hold's id and an amount differ between two reserves of a purse in one period, so all that
comes before them on the wire is built once: a `Plan`.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha1, sha256
from pathlib import Path
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from gateway.core.accounts import Account, Purse
from gateway.core.catalog import Budget
from gateway.core.catalog import Period as Per
from gateway.core.periods import Period, period
from gateway.drivers.redis_connection import encode

_FOLDER: Final = Path(__file__).with_name("ledger_scripts")
_PRELUDE: Final = (_FOLDER / "expire.lua").read_text()
_DAY: Final = 86_400
_NEVER: Final = 2**53 - 1
_KEPT: Final[Mapping[Per, int]] = {
    "minute": _DAY,
    "hour": _DAY,
    "day": 3 * _DAY,
    "week": 10 * _DAY,
    "month": 40 * _DAY,
}
"""Seconds for which a bucket outlives its period, so that late settles find it."""
_TURNED_AWAY: Final = 3_600
"""Seconds for which the id of a hold that was given back is turned away."""
_LONGEST: Final = 96


def _script(name: str) -> str:
    return _PRELUDE + (_FOLDER / f"{name}.lua").read_text()


SOURCES: Final = {name: _script(name) for name in ("reserve", "settle", "balances", "sweep")}
_SHA: Final = {
    name: sha1(source.encode(), usedforsecurity=False).hexdigest()
    for name, source in SOURCES.items()
}
LOAD: Final = tuple(encode("SCRIPT", "LOAD", source) for source in SOURCES.values())


class Plan(Struct, frozen=True):
    """How to reserve from a purse while Redis' clock is in [start, end), in Unix seconds.

    `buckets` says which budget each bucket stands for and when it resets, and `rows` which bucket
    each budget of the purse counts in: two budgets of one account may share a period.
    """

    start: int
    end: int
    reserve: bytes
    keys: tuple[str, ...]
    buckets: tuple[tuple[Account, Budget, int | None], ...]
    rows: tuple[tuple[Account, Budget, int], ...]


class TenantCommands(Struct, frozen=True):
    settle: bytes
    void: bytes
    open: bytes
    sweep: bytes


def escape(name: str) -> str:
    """Any text as a part of a key: no colon, brace or control character, and of bounded length."""
    octets = name.encode("utf-8", "surrogatepass")
    escaped = quote(octets, safe="")
    return escaped if len(escaped) <= _LONGEST else "=" + sha256(octets).hexdigest()


class Calendar:
    """The current period of each kind and zone, worked out once."""

    def __init__(self) -> None:
        self._current: dict[tuple[Per, str], Period] = {}

    def at(self, per: Per, zone: str, now: float) -> Period:
        span = self._current.get((per, zone))
        if span is None or not span.start <= now < (span.end or _NEVER):
            span = self._current[per, zone] = period(per, zone, now)
        return span


def make_plan(purse: Purse, calendar: Calendar, now: float, ttl_ms: int) -> Plan:
    start, end = 0, _NEVER
    prefix = _prefix(purse.home)
    found: dict[str, tuple[Account, Budget, int | None]] = {}
    rows: list[tuple[Account, Budget, str]] = []
    for account in purse.accounts:
        name = f"{prefix}b:{escape(account.owner)}:{account.scope}:{escape(account.name)}:"
        for budget in account.budgets:
            span = calendar.at(budget.per, account.timezone, now)
            if span.end is not None:
                start, end = max(start, span.start), min(end, span.end)
            key = name + span.id
            # Of two budgets that share a bucket the tighter one decides.
            if key not in found or budget.cap < found[key][1].cap:
                found[key] = (account, budget, span.end)
            rows.append((account, budget, key))
    keys = [f"{prefix}holds", *found]
    limits: list[int] = []
    for _, budget, resets_at in found.values():
        limits += (budget.cap, 0 if resets_at is None else resets_at + _KEPT[budget.per])
    position = {key: index for index, key in enumerate(found)}
    return Plan(
        start=start,
        end=end,
        reserve=_head("reserve", keys, (ttl_ms, start, end, *limits), more=2),
        keys=tuple(keys),
        buckets=tuple(found.values()),
        rows=tuple((account, budget, position[key]) for account, budget, key in rows),
    )


def read_balances(plan: Plan) -> bytes:
    return _head("balances", plan.keys, (plan.start, plan.end))


def tenant_commands(tenant: str) -> TenantCommands:
    keys = [f"{_prefix(tenant)}holds"]
    return TenantCommands(
        settle=_head("settle", keys, (0,), more=2),
        void=_head("settle", keys, (_TURNED_AWAY,), more=2),
        open=_head("sweep", keys, (0,)),
        sweep=_head("sweep", keys, (100,)),
    )


def with_hold(head: bytes, hold_id: str, amount: int) -> bytes:
    """A command that lacks its last two arguments, with them."""
    name, number = hold_id.encode(), b"%d" % amount
    return b"%b$%d\r\n%b\r\n$%d\r\n%b\r\n" % (head, len(name), name, len(number), number)


def _prefix(tenant: str) -> str:
    return f"tg:{{{escape(tenant)}}}:"


def _head(script: str, keys: Sequence[str], arguments: Iterable[int], more: int = 0) -> bytes:
    """An EVALSHA that `more` arguments are still to be added to."""
    parts: tuple[str | int, ...] = ("EVALSHA", _SHA[script], len(keys), *keys, *arguments)
    _, _, body = encode(*parts).partition(b"\r\n")
    return b"*%d\r\n%b" % (len(parts) + more, body)
