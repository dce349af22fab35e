"""Counters against records, and made anew from them, on a real server: after any history."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from gateway.core.accounts import Account, Amounts, Hold, Purse
from gateway.core.catalog import Budget
from gateway.core.catalog import Period as Per
from gateway.core.errors import LedgerDown
from gateway.core.money import Nanos
from gateway.core.ports import LedgerDriver
from gateway.core.records.audit import Told, TooBusy
from gateway.core.records.entry import Counter, Entry
from gateway.core.records.line import Line, Reading, entry_of, line_of
from gateway.drivers.ledger.audit import audit, may_be_dropped, rebuild
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.drivers.usage.books import Books
from gateway.drivers.usage.jsonl_store import JsonlStore
from gateway.drivers.usage.store import UsageStore
from tests.ledger_model import HOME, TTL_S, amounts, purses
from tests.ledger_time import LedgerTime
from tests.usage_lines import NOON, record

pytest_plugins = ("tests.redis_server",)

SOFT = Budget(10**12, "day")
PURSE = Purse("eu", (Account("tenant", "eu", (SOFT,), "eu"),), HOME)
waits = st.sampled_from([0.5, 50.0, 700.0, 3_600.0, 26 * 3_600.0, 4 * 86_400.0, 32 * 86_400.0])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), purses, amounts),
        st.tuples(st.just("settle"), st.integers(0, 30), amounts),
        st.tuples(st.just("void"), st.integers(0, 30), st.none()),
        st.tuples(st.just("charge"), purses, amounts),
        st.tuples(st.just("wait"), waits, st.none()),
        st.tuples(st.just("sweep"), st.none(), st.none()),
    ),
    max_size=30,
)


KNOWN_S = 300
"""Seconds for which the ledger knows that a hold was settled."""
TRIED_S = TTL_S + 86_400
"""For how long after a reserve a settle may be tried: it is given up a day after it was owed."""


class World:
    """A ledger, its clock, and what was kept of its book, on a server of the test's own."""

    def __init__(self, server: EmbeddedRedis) -> None:
        self.url = server.url
        self.redis = Redis(unix_socket_path=self.url.removeprefix("unix://"))
        self.redis.flushall()
        self.time = LedgerTime(HOME, self.url)
        self.ledger = self.gateway()
        self.ids = itertools.count()
        self.holds: list[Hold] = []
        self.since: dict[str, float] = {}
        """When each was held."""
        self.over: dict[str, float] = {}
        """When each was settled first, or given back."""
        self.kept: list[Entry] = []

    def gateway(self) -> RedisLedger:
        return RedisLedger(
            self.url, ttl_s=TTL_S, timeout_s=30, clock=self.time, scripts=self.time.scripts()
        )

    async def step(self, what: str, one: object, other: object) -> None:
        ledger = self.ledger
        if what == "reserve":
            assert isinstance(one, Purse)
            assert isinstance(other, Amounts)
            name = f"h{next(self.ids):04}"
            held = await ledger.reserve(one, name, other)
            if isinstance(held, Hold):
                self.holds.append(held)
                self.since[name] = self.time.now
        elif what == "charge":
            assert isinstance(one, Purse)
            assert isinstance(other, Amounts)
            name = f"c{next(self.ids):04}"
            await ledger.charge(one, name, self.time.now - 30, other, record(name))
        elif what == "wait":
            assert isinstance(one, float)
            self.time.move(one)
        elif what == "sweep":
            await ledger.sweep([HOME])
        elif self.holds:
            assert isinstance(one, int)
            hold = self.holds[one % len(self.holds)]
            if self.too_late(hold):
                return
            if self.time.now > self.over.setdefault(hold.id, self.time.now) + KNOWN_S:
                return  # nobody settles twice so late, but by a retry that knows it may be one
            if what == "void":
                await ledger.void(HOME, hold.id)
            else:
                assert isinstance(other, Amounts)
                await ledger.settle(hold, other, record(hold.id))

    def too_late(self, hold: Hold) -> bool:
        return self.time.now > self.since[hold.id] + TRIED_S

    async def keep(self) -> None:
        """What a sink would have."""
        seen = {(entry.at, entry.hold) for entry in self.kept}
        self.kept += [e for e in await self.ledger.records(HOME) if (e.at, e.hold) not in seen]

    def told(self) -> Told:
        told = Told()
        for entry in self.kept:
            line = line_of(HOME, entry, NOON)
            again = entry_of(line)
            assert again is not None
            told.add(again)
            told.add(again)  # what is read twice counts once
        return told

    async def close(self) -> None:
        await self.ledger.aclose()
        self.time.close()
        self.redis.close()


@asynccontextmanager
async def world(server: EmbeddedRedis) -> AsyncIterator[World]:
    made = World(server)
    try:
        yield made
    finally:
        await made.close()


def live(counted: dict[Counter, int], now: float) -> dict[Counter, int]:
    """Without slots that no window has any more: the ledger drops them at their next use."""
    whole = {}
    for (key, slot), spent in counted.items():
        width = {"minute": 60, "hour": 3_600, "day": 86_400}.get(key.partition(":rolling-")[2])
        if width is None or slot > now // (width / 24) - 25:
            whole[key, slot] = spent
    return whole


async def history(server: EmbeddedRedis, steps: list[tuple[str, object, object]]) -> None:
    async with world(server) as it:
        for step in steps:
            await it.step(*step)
            await it.keep()
        await it.ledger.sweep([HOME])
        for hold in it.holds:
            if hold.id not in it.over and not it.too_late(hold):
                await it.ledger.settle(hold, Amounts(Nanos(7), 3), record(hold.id))
        await it.keep()
        found = await audit(it.ledger, HOME, it.told(), it.time)
        assert found.differences == ()
        assert (found.entries, found.missing) == (len(it.kept), 0)
        counted = live(await it.ledger.counted(HOME), it.time.now)
        before = {c: n for c, n in counted.items() if not may_be_dropped(c, it.time.now)}

        it.redis.flushall()
        it.time.move(0)
        anew = it.gateway()
        try:
            told = it.told()
            lost = await audit(anew, HOME, told, it.time)
            assert {(d.key, d.slot): d.told for d in lost.differences}.items() <= before.items()
            assert await rebuild(anew, HOME, told, it.time, "e2", force=False) == 0
            assert await anew.counted(HOME) == before
            assert (await audit(anew, HOME, it.told(), it.time)).differences == ()
        finally:
            await anew.aclose()


@settings(
    max_examples=60, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(steps=steps)
def test_any_history_is_made_anew_from_its_records(
    own_redis: EmbeddedRedis, steps: list[tuple[str, object, object]]
) -> None:
    """Lost with everything else on the server: expired and corrected holds included."""
    asyncio.run(history(own_redis, steps))


async def spend(it: World, count: int) -> None:
    for _ in range(count):
        name = f"h{next(it.ids):04}"
        hold = await it.ledger.reserve(PURSE, name, Amounts(Nanos(50), 10, 1))
        assert isinstance(hold, Hold)
        await it.ledger.settle(hold, Amounts(Nanos(20), 10), record(name))


@pytest.fixture
async def it(own_redis: EmbeddedRedis) -> AsyncIterator[World]:
    async with world(own_redis) as made:
        yield made


def key_of(it: World) -> str:
    (key,) = it.redis.keys("tg:*:b:*:usd:*")
    return key.decode() if isinstance(key, bytes) else key


async def test_a_counter_that_somebody_changed_is_found_and_mended(it: World) -> None:
    await spend(it, 3)
    key = key_of(it)
    it.redis.hincrby(key, "spent", -25)
    (wrong,) = (await audit(it.ledger, HOME, Told(), it.time)).differences
    assert (wrong.key, wrong.counted, wrong.told) == (key, 35, 60)
    told = Told()
    await audit(it.ledger, HOME, told, it.time)
    await rebuild(it.ledger, HOME, told, it.time, "e2", force=False)
    assert (await audit(it.ledger, HOME, Told(), it.time)).differences == ()


@pytest.mark.parametrize("per", ["minute", "hour", "day", "week", "month"])
async def test_a_bucket_that_is_set_is_kept_for_no_longer_than_before(it: World, per: Per) -> None:
    """But for what zones differ by: its key does not tell its own."""
    account = Account("tenant", "eu", (Budget(10**12, per),), "eu", "Pacific/Auckland")
    await it.ledger.charge(Purse("eu", (account,), HOME), "c", it.time.now, Amounts(Nanos(5)))
    key, told = key_of(it), Told()
    before = it.redis.expiretime(key)
    await audit(it.ledger, HOME, told, it.time)
    await rebuild(it.ledger, HOME, told, it.time, "e2", force=False)
    day_or_more = per in {"day", "week", "month"}
    assert 0 <= it.redis.expiretime(key) - before <= 3 * 86_400 * day_or_more


async def test_a_counter_that_nothing_explains_is_set_to_nothing(it: World) -> None:
    await spend(it, 1)
    stray = key_of(it).replace(":eu:usd", ":us:usd")
    it.redis.hset(stray, mapping={"spent": 9, "held": 0})
    told = Told()
    (wrong,) = (await audit(it.ledger, HOME, told, it.time)).differences
    assert (wrong.key, wrong.counted, wrong.told) == (stray, 9, 0)
    await rebuild(it.ledger, HOME, told, it.time, "e2", force=False)
    assert [*(await it.ledger.counted(HOME)).values()] == [20]


async def test_a_counter_that_is_gone_before_its_time_is_found(it: World) -> None:
    await spend(it, 1)
    key = key_of(it)
    it.redis.delete(key)
    (wrong,) = (await audit(it.ledger, HOME, Told(), it.time)).differences
    assert (wrong.key, wrong.counted, wrong.told) == (key, 0, 20)


async def test_records_that_are_missing_are_counted(it: World) -> None:
    await spend(it, 5)
    it.redis.xtrim("tg:{acme}:usage", maxlen=2, approximate=False)
    found = await audit(it.ledger, HOME, Told(), it.time)
    assert (found.entries, found.missing, len(found.differences)) == (2, 3, 1)


async def test_open_holds_stop_it_unless_forced(it: World) -> None:
    await spend(it, 1)
    hold = await it.ledger.reserve(PURSE, "open", Amounts(Nanos(5)))
    assert isinstance(hold, Hold)
    it.redis.hset(key_of(it), "spent", 0)
    told = Told()
    await audit(it.ledger, HOME, told, it.time)
    assert await rebuild(it.ledger, HOME, told, it.time, "e2", force=False) == 1
    assert [*(await it.ledger.counted(HOME)).values()] == []
    assert await rebuild(it.ledger, HOME, told, it.time, "e2", force=True) == 0
    await it.ledger.settle(hold, Amounts(Nanos(3)), record("open"))
    assert [*(await it.ledger.counted(HOME)).values()] == [23]


async def test_gateways_that_stopped_at_a_loss_go_on(it: World) -> None:
    await spend(it, 3)
    await it.keep()
    it.redis.flushall()
    it.time.move(0)
    with pytest.raises(LedgerDown, match="data_lost"):
        await it.ledger.reserve(PURSE, "h9", Amounts(Nanos(5)))
    other = it.gateway()
    told = it.told()
    await audit(other, HOME, told, it.time)
    await rebuild(other, HOME, told, it.time, "e2", force=False)
    await other.aclose()
    await spend(it, 1)
    (balance,) = await it.ledger.balances(PURSE)
    assert (balance.spent, balance.held) == (80, 0)
    await it.keep()
    found = await audit(it.ledger, HOME, it.told(), it.time)
    assert (found.differences, found.missing, found.entries) == ((), 0, 4)


async def test_requests_may_go_on_while_it_looks(it: World) -> None:
    await spend(it, 20)
    spending = asyncio.create_task(spend(it, 200))
    looks = 0
    while not spending.done():
        found = await audit(it.ledger, HOME, Told(), it.time)
        assert found.differences == ()
        looks += 1
    await spending
    assert looks > 1


async def test_what_leaves_a_rolling_window_while_a_sink_is_read_is_no_difference(
    it: World,
) -> None:
    minute = Account("tenant", "eu", (Budget(10**12, "minute", rolling=True),), "eu")

    async def spend_each_second(times: int) -> None:
        for _ in range(times):
            await it.step("charge", Purse("eu", (minute,), HOME), Amounts(Nanos(1)))
            await it.ledger.balances(Purse("eu", (minute,), HOME))
            it.time.move(1)

    class LargeSink:
        async def read(self, *_: object) -> AsyncIterator[tuple[Line, ...]]:
            await spend_each_second(25)
            yield ()

    await spend_each_second(70)
    store = cast("UsageStore", LargeSink())
    found = await Books(it.ledger, store, [HOME], it.time).audit(HOME)
    assert (found.entries, found.differences) == (95, ())


class Busy:
    """A ledger of which something is spent just before some steps: how often of each was asked."""

    def __init__(
        self,
        it: World,
        *,
        counted: Container[int] = (),
        records: Container[int] = (),
        load: Container[int] = (),
    ) -> None:
        self._it = it
        self._when = {"counted": counted, "records": records, "load": load}
        self.asked = dict.fromkeys(self._when, 0)
        self.spent = 0

    async def counted(self, home: str) -> dict[Counter, int]:
        await self._spend("counted")
        return await self._it.ledger.counted(home)

    async def records(self, home: str, after: str = "", count: int = 1_000) -> tuple[Entry, ...]:
        await self._spend("records")
        return await self._it.ledger.records(home, after, count)

    async def load(self, *what: Any, **more: Any) -> int | None:
        await self._spend("load")
        return await self._it.ledger.load(*what, **more)

    async def _spend(self, step: str) -> None:
        self.asked[step] += 1
        if self.asked[step] in self._when[step]:
            self.spent += 1
            await spend(self._it, 1)


async def rebuilt(it: World, busy: Busy) -> None:
    told = Told()
    await audit(it.ledger, HOME, told, it.time)
    driver = cast("LedgerDriver", busy)
    assert await rebuild(driver, HOME, told, it.time, "e2", force=False) == 0


@pytest.mark.parametrize(
    "when",
    [
        {"counted": [1]},
        {"records": [1]},
        {"load": [1]},
        {"load": [1], "counted": [2]},
        {"load": [1], "records": [2]},
        {"counted": [1, 2], "records": [1, 2, 3], "load": [1, 2, 3, 5, 6]},
    ],
)
async def test_what_is_settled_while_counters_are_set_is_not_lost(
    it: World, when: dict[str, list[int]]
) -> None:
    """Also where as much is settled after the setting as between it and a look."""
    await spend(it, 3)
    it.redis.hset(key_of(it), "spent", 0)
    busy = Busy(it, **when)
    await rebuilt(it, busy)
    assert [*(await it.ledger.counted(HOME)).values()] == [20 * (3 + busy.spent)]
    assert (await audit(it.ledger, HOME, Told(), it.time)).differences == ()


async def test_what_is_settled_at_each_moment_is_told_and_not_lost(it: World) -> None:
    await spend(it, 3)
    it.redis.hset(key_of(it), "spent", 0)
    busy = Busy(it, load=range(10_000))
    with pytest.raises(TooBusy):
        await rebuilt(it, busy)
    tries = busy.asked["load"]
    assert tries > 100
    assert [*(await it.ledger.counted(HOME)).values()] == [20 * tries]
    await rebuilt(it, Busy(it))
    assert [*(await it.ledger.counted(HOME)).values()] == [20 * (3 + tries)]


async def test_many_buckets_are_set_while_something_is_settled_before_each_step(it: World) -> None:
    users = [
        Purse("eu", (Account("user", f"u{n}", (Budget(10**12, "hour", rolling=True),)),), HOME)
        for n in range(600)
    ]
    await spend(it, 1)
    for n, user in enumerate(users):
        await it.ledger.charge(user, f"c{n}", it.time.now, Amounts(Nanos(n + 1)))
    buckets = cast("list[bytes]", it.redis.keys("tg:*:b:*:user:*"))
    it.redis.delete(*buckets)
    busy = Busy(it, load=[1, 2, 4])
    await rebuilt(it, busy)
    assert busy.asked["load"] == 6
    wrong = (await audit(it.ledger, HOME, Told(), it.time)).differences
    assert wrong == ()
    assert len(await it.ledger.counted(HOME)) == len(users) + 1


@pytest.mark.parametrize("kept", [0, 1])
async def test_a_book_that_was_trimmed_is_not_waited_for(it: World, kept: int) -> None:
    """What is not in it any more was kept elsewhere."""
    await spend(it, 3)
    await it.keep()
    it.redis.hset(key_of(it), "spent", 0)
    it.redis.xtrim("tg:{acme}:usage", maxlen=kept, approximate=False)
    busy = Busy(it)
    told = it.told()
    driver = cast("LedgerDriver", busy)
    assert await rebuild(driver, HOME, told, it.time, "e2", force=False) == 0
    assert busy.asked["load"] == 1
    assert [*(await it.ledger.counted(HOME)).values()] == [60]


async def test_a_book_whose_clock_went_back_is_read_again(it: World) -> None:
    """A replica in its place has the newest entries not, and others under earlier times."""
    await spend(it, 3)
    book = "tg:{acme}:usage"
    ((_, fields), *_) = cast("list[tuple[bytes, dict[Any, Any]]]", it.redis.xrange(book))
    key = key_of(it)

    class Replaced(Busy):
        async def load(self, *what: Any, **more: Any) -> int | None:
            if not self.asked["load"]:
                it.redis.delete(book)
                it.redis.hset(key, "spent", 0)
                it.redis.xadd(book, {**fields, b"id": b"other", b"seq": b"4"}, id="1-1")
                it.redis.hincrby(key, "spent", 20)
            return await super().load(*what, **more)

    busy = Replaced(it)
    await rebuilt(it, busy)
    assert busy.asked["load"] == 2
    assert [*(await it.ledger.counted(HOME)).values()] == [80]


async def test_what_is_kept_elsewhere_counts_once(it: World, tmp_path: Path) -> None:
    """The first records are in files only, the last in the book only, some in both."""
    store = JsonlStore(tmp_path, "p")
    await spend(it, 6)
    await it.keep()
    await store.write([line_of(HOME, entry, NOON) for entry in it.kept[:4]])
    it.redis.xtrim("tg:{acme}:usage", maxlen=4, approximate=False)
    told = Told()
    async for lines in store.read(Reading()):
        for entry in filter(None, map(entry_of, lines)):
            told.add(entry)
    found = await audit(it.ledger, HOME, told, it.time)
    assert (found.entries, found.missing, found.differences) == (6, 0, ())
    await store.aclose()
