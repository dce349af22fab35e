"""Reads the ledger's book in Redis, a stream of entries, and reads and sets its buckets."""

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
from gateway.core.money import Nanos
from gateway.core.records.entry import METERS, Charged, Counter, Entry
from gateway.core.records.record import UsageRecord, decode
from gateway.drivers.ledger.commands import first_hold
from gateway.drivers.ledger.homes import Homes
from gateway.drivers.redis.servers import Redis
from gateway.drivers.redis.wire import RedisError

_NOTHING: Final = Usage()


class Book:
    """The operations on a home as a whole."""

    def __init__(self, homes: Homes, connection: Redis) -> None:
        self._homes = homes
        self._connection = connection

    async def records(self, home: str, after: str = "", count: int = 1_000) -> tuple[Entry, ...]:
        state = self._homes.home(home)
        reply = await self._homes.execute("records", state, state.commands.entries(after, count))
        return tuple(chain.from_iterable(map(read_entries, reply)))

    async def trim(self, home: str, share: float) -> None:
        """Keep only this share of the newest entries: those of leases have many records each."""
        state = self._homes.home(home)
        count = round(self._homes.settings.max_entries * share)
        with suppress(RedisError):
            await self._homes.run(state.commands.trim(count))

    async def counted(self, home: str) -> dict[Counter, int]:
        return await self._homes.observed("counted", self._counted(home))

    async def _counted(self, home: str) -> dict[Counter, int]:
        commands = self._homes.home(home).commands
        amounts: dict[Counter, int] = {}
        cursor = "0"
        while True:
            reply = await self._connection.call(commands.scan(cursor), commands.tag)
            keys = [key.decode() for key in reply[1]]
            hashes = [key for key in keys if commands.is_bucket(key)]
            replies = await asyncio.gather(
                *(self._homes.run(commands.bucket(key)) for key in hashes)
            )
            for key, flat in zip(hashes, replies, strict=True):
                amounts |= bucket_amounts(key, flat)
            cursor = reply[0].decode()
            if cursor == "0":
                return amounts

    async def first_expiry(self, homes: Sequence[str]) -> list[float | None]:
        return await self._homes.observed("first_over", self._first_expiry(homes))

    async def _first_expiry(self, homes: Sequence[str]) -> list[float | None]:
        commands = [self._homes.settings.scripts.time, *map(first_hold, homes)]
        time, *firsts = await asyncio.gather(
            *map(self._homes.run, commands), return_exceptions=True
        )
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
        state = self._homes.home(home)
        final = (epoch, " ".join(after), seq)
        ttl_ms = self._homes.settings.ttl_ms
        for command in state.commands.load(spent, ttl_ms, final, newest, force=force):
            reply = await self._homes.execute("load", state, command)
            if reply[0]:
                return None if reply[0] < 0 else int(reply[0])
        return 0


def read_entries(reply: Any) -> tuple[Entry, ...]:
    """One element of XRANGE's reply: an entry, or those of the calls that a lease served."""
    entry = read_entry(reply)
    if entry.record is None:
        flat = reply[1]
        line = dict(zip(flat[::2], flat[1::2], strict=True))[b"record"]
        if line.startswith(b"["):
            with suppress(msgspec.MsgspecError):
                return split(entry, decode_parts(line))
    return (entry,)


def read_entry(reply: Any) -> Entry:
    """One element of XRANGE's reply. `record` is None for another version's that cannot be decoded;
    what it charged is known all the same.
    """
    at, flat = reply
    items = iter(flat)
    fields: dict[bytes, bytes] = dict(zip(items, items, strict=True))
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
        _parse_buckets(fields[b"buckets"]),
        record,
    )


def expired_record(hold: str, life: str, tenant: str, ceiling: Amounts) -> UsageRecord:
    """The usage record of a call whose hold expired."""
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
    """Seconds until the first hold expires, by ZRANGE's reply."""
    if isinstance(first, RedisError):
        return 0.0
    if isinstance(first, BaseException):
        raise first
    return float(first[1]) / 1_000 - now if first else None


@lru_cache(maxsize=1_024)  # calls of a purse have the same buckets during a period or a slot
def _parse_buckets(lines: bytes) -> tuple[Charged, ...]:
    return tuple(_parse_bucket(line) for line in lines.decode().split("\n") if line)


def _parse_bucket(line: str) -> Charged:
    meter, slot, key = line.split(" ")
    return Charged(key, METERS[int(meter) - 1], int(slot))


def bucket_amounts(key: str, flat: list[bytes]) -> dict[Counter, int]:
    """What a bucket has spent, by HGETALL's reply; per slot if it rolls. Zeros are left out."""
    fields = {name.decode(): int(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}
    if "at" not in fields:
        spent = fields.get("spent", 0)
        return {(key, 0): spent} if spent else {}
    return {
        (key, int(name[1:])): value
        for name, value in fields.items()
        if name[0] == "s" and name[1:].isdigit() and value
    }
