"""The ledger's book in Redis, a stream: read, and held against the buckets, which it explains."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from typing import Any, Final

import msgspec

from gateway.core.accounts import Amounts
from gateway.core.chat import Usage
from gateway.core.leases import decode_parts, split
from gateway.core.ledger_entry import METERS, Charged, Counter, Entry
from gateway.core.money import Nanos
from gateway.core.usage_record import UsageRecord, decode
from gateway.drivers.ledger.commands import first_hold
from gateway.drivers.ledger.homes import Homes
from gateway.drivers.redis.servers import Redis
from gateway.drivers.redis.wire import RedisError

_NOTHING: Final = Usage()


class Book:
    """What is known, and set, of a home as a whole."""

    def __init__(self, homes: Homes, connection: Redis) -> None:
        self._homes = homes
        self._connection = connection

    async def records(self, home: str, after: str = "", count: int = 1_000) -> tuple[Entry, ...]:
        known = self._homes.home(home)
        reply = await self._homes.ask("records", known, known.commands.entries(after, count))
        return tuple(chain.from_iterable(map(read_entries, reply)))

    async def trim(self, home: str, share: float) -> None:
        """Keep but this share of the entries, the newest: those of a lease have many records."""
        known = self._homes.home(home)
        kept = round(self._homes.settings.kept * share)
        with suppress(RedisError):
            await self._homes.run(known.commands.trim(kept))

    async def counted(self, home: str) -> dict[Counter, int]:
        return await self._homes.observed("counted", self._counted(home))

    async def _counted(self, home: str) -> dict[Counter, int]:
        commands = self._homes.home(home).commands
        found: dict[Counter, int] = {}
        cursor = "0"
        while True:
            reply = await self._connection.call(commands.scan(cursor), commands.tag)
            keys = [key.decode() for key in reply[1]]
            hashes = [key for key in keys if commands.is_bucket(key)]
            read = await asyncio.gather(*(self._homes.run(commands.bucket(key)) for key in hashes))
            for key, flat in zip(hashes, read, strict=True):
                found |= slots(key, flat)
            cursor = reply[0].decode()
            if cursor == "0":
                return found

    async def first_expiry(self, homes: Sequence[str]) -> list[float | None]:
        return await self._homes.observed("first_over", self._first_expiry(homes))

    async def _first_expiry(self, homes: Sequence[str]) -> list[float | None]:
        asked = [self._homes.settings.scripts.time, *map(first_hold, homes)]
        time, *firsts = await asyncio.gather(*map(self._homes.run, asked), return_exceptions=True)
        if isinstance(time, BaseException):
            raise time
        now = int(time[0]) + int(time[1]) / 1_000_000
        return [_seconds_left(first, now) for first in firsts]

    async def load(
        self,
        home: str,
        spent: Mapping[Counter, int],
        *,
        epoch: str = "",
        after: Iterable[str] = (),
        seq: int = 0,
        newest: str | None = None,
        force: bool = False,
    ) -> int | None:
        known = self._homes.home(home)
        last = (epoch, " ".join(after), seq)
        ttl_ms = self._homes.settings.ttl_ms
        for command in known.commands.load(spent, ttl_ms, last, newest, force=force):
            reply = await self._homes.ask("load", known, command)
            if reply[0]:
                return None if reply[0] < 0 else int(reply[0])
        return 0


def read_entries(reply: Any) -> tuple[Entry, ...]:
    """One element of what XRANGE answers: an entry, or those of the calls that a lease served."""
    entry = read_entry(reply)
    if entry.record is None:
        flat = reply[1]
        line = dict(zip(flat[::2], flat[1::2], strict=True))[b"record"]
        if line.startswith(b"["):
            with suppress(msgspec.MsgspecError):
                return split(entry, decode_parts(line))
    return (entry,)


def read_entry(reply: Any) -> Entry:
    """One element of what XRANGE answers. What it charged is known also where its record is of
    another version, and cannot be read.
    """
    at, flat = reply
    each = iter(flat)
    fields: dict[bytes, bytes] = dict(zip(each, each, strict=True))
    nanos, tokens, requests = map(int, fields[b"charged"].split())
    charged = Amounts(Nanos(nanos), tokens, requests)
    kind: Any = fields[b"kind"].decode()
    hold = fields[b"id"].decode()
    line = fields[b"record"]
    record = None
    if kind == "expired":
        life, tenant = fields[b"life"].decode(), fields[b"tenant"].decode()
        record = expired_record(hold, life, tenant, charged)
    elif line:
        try:
            record = decode(line)
        except msgspec.MsgspecError:
            record = None
    return Entry(
        at.decode(),
        int(fields[b"seq"]),
        fields[b"epoch"].decode(),
        kind,
        hold,
        charged,
        _buckets(fields[b"buckets"]),
        record,
    )


def expired_record(hold: str, life: str, tenant: str, ceiling: Amounts) -> UsageRecord:
    """What is known of a call whose hold nobody settled."""
    return UsageRecord(
        attempt=hold,
        request=life,
        tenant=tenant,
        route="",
        model="",
        provider="",
        tier="",
        purpose="expired",
        outcome="expired",
        held=ceiling.nanos,
        cost=ceiling.nanos,
        usage=_NOTHING,
    )


def _seconds_left(first: Any, now: float) -> float | None:
    """In how many seconds, by what ZRANGE answers."""
    if isinstance(first, RedisError):
        return 0.0
    if isinstance(first, BaseException):
        raise first
    return float(first[1]) / 1_000 - now if first else None


@lru_cache(maxsize=1_024)  # the calls of a purse have the same, for as long as a period or a slot
def _buckets(lines: bytes) -> tuple[Charged, ...]:
    return tuple(_bucket(line) for line in lines.decode().split("\n") if line)


def _bucket(line: str) -> Charged:
    meter, slot, key = line.split(" ")
    return Charged(key, METERS[int(meter) - 1], int(slot))


def slots(key: str, flat: list[bytes]) -> dict[Counter, int]:
    """What a bucket has spent, as its HGETALL says it: nothing is left out, by slot if it rolls."""
    fields = {name.decode(): int(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}
    if "at" not in fields:
        spent = fields.get("spent", 0)
        return {(key, 0): spent} if spent else {}
    return {
        (key, int(name[1:])): value
        for name, value in fields.items()
        if name[0] == "s" and name[1:].isdigit() and value
    }
