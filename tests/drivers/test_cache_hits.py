"""Answers that are given again are noted in the ledger's book, and change no balance."""

import asyncio
from itertools import count
from typing import Any, Final

import pytest

from gateway.core.accounts import Amounts, Purse
from gateway.core.chat import Usage
from gateway.core.errors import LedgerDown
from gateway.core.money import Nanos
from gateway.core.records.record import UsageRecord
from gateway.drivers import background, cache_hits
from gateway.drivers.cache_hits import CacheHits, open_cache_hits
from gateway.drivers.ledger.memory_ledger import MemoryLedger
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.usage_lines import record

NOW: Final = 1_795_262_400.0


def hit(**other: Any) -> UsageRecord:
    known: dict[str, Any] = {
        "request": "", "purpose": "cached", "held": 0, "cost": 0, "usage": Usage(), "seconds": 0.0,
        "first_token_s": None, "hits": 1, "saved": 100,
    }  # fmt: skip
    return record("", **(known | other))


class Book(MemoryLedger):
    """A ledger that is away for the first `away` times."""

    def __init__(self, away: int = 0) -> None:
        super().__init__(lambda: NOW)
        self.away = away

    async def charge(
        self, purse: Purse, call: str, at: float, actual: Amounts, record: UsageRecord | None = None
    ) -> None:
        self.away -= 1
        if self.away >= 0:
            raise LedgerDown("away")
        await super().charge(purse, call, at, actual, record)

    async def told(self, home: str = "acme") -> list[tuple[str, str, int, int]]:
        entries = await self.records(home)
        assert all(entry.charged == Amounts(Nanos(0)) for entry in entries)
        records = [entry.record for entry in entries]
        return [(r.user, r.attempt, r.hits, r.saved) for r in records if r is not None]


def noting(book: Book) -> CacheHits:
    numbers = count(1)
    return CacheHits(book.charge, lambda: NOW, lambda: f"n{next(numbers)}")


async def test_hits_that_are_alike_are_one_record() -> None:
    book = Book()
    hits = noting(book)
    for saved in (100, 200):
        hits.add(hit(saved=saved))
    hits.add(hit(user="bob"))
    await hits.write()
    hits.add(hit())
    await hits.write()
    await hits.write()
    assert await book.told() == [
        ("ann", "n1", 2, 300),
        ("bob", "n2", 1, 100),
        ("ann", "n3", 1, 100),
    ]


async def test_they_are_in_the_book_of_their_home() -> None:
    book = Book()
    hits = noting(book)
    hits.add(hit(organisation="org"))
    await hits.write()
    assert (len(await book.told("org")), await book.told("acme")) == (1, [])


async def test_they_wait_while_the_ledger_is_away() -> None:
    book = Book(away=2)
    hits = noting(book)
    hits.add(hit())
    await hits.write()
    hits.add(hit())
    await hits.write()
    assert await book.told() == []
    await hits.write()
    assert await book.told() == [("ann", "n1", 1, 100), ("ann", "n2", 1, 100)]


async def test_so_many_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_hits, "MAX_WAITING", 3)
    book = Book(away=2)
    hits = noting(book)
    for _ in range(2):
        for user in "abcde":
            hits.add(hit(user=user))
            hits.add(hit(user=user))
        await hits.write()
    await hits.write()
    assert [(user, many) for user, _, many, _ in await book.told()] == [
        ("a", 2),
        ("b", 2),
        ("c", 2),
    ]


async def test_they_are_written_at_the_end() -> None:
    book = Book()
    async with open_cache_hits(book.charge, lambda: NOW, lambda: "n") as hits:
        hits.add(hit())
    assert await book.told() == [("ann", "n", 1, 100)]


async def test_a_ledger_that_hangs_ends_nothing_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_FLUSH_S", 0.01)

    async def hang(
        purse: Purse, call: str, at: float, actual: Amounts, record: UsageRecord | None = None
    ) -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(30):
        async with open_cache_hits(hang, lambda: NOW, lambda: "n") as hits:
            hits.add(hit())


async def test_a_book_in_redis_explains_its_buckets_still(shared_redis: EmbeddedRedis) -> None:
    ledger = RedisLedger(shared_redis.url, timeout_s=10)
    hits = CacheHits(ledger.charge, lambda: NOW, lambda: "n")
    hits.add(hit(tenant="hitting"))
    hits.add(hit(tenant="hitting"))
    await hits.write()
    (entry,) = await ledger.records("hitting")
    assert entry.record is not None
    assert (entry.record.hits, entry.record.saved, entry.buckets) == (2, 200, ())
    assert await ledger.counted("hitting") == {}
    await ledger.aclose()
