"""The task that writes records on: from real books, to a store that may be down, slow or shared."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import date
from typing import Any

import pytest
from redis import Redis

from gateway.core.accounts import Account, Amounts, Hold, Purse
from gateway.core.catalog import Budget
from gateway.core.errors import LedgerDown
from gateway.core.events import (
    About,
    Event,
    HoldsExpired,
    Settled,
    SinkFailed,
    UsageLost,
    UsageSunk,
)
from gateway.core.money import Nanos
from gateway.core.records.entry import Entry
from gateway.core.records.line import Line, Reading, StoreError
from gateway.drivers.ledger.memory_ledger import MemoryLedger
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.drivers.redis.servers import Redis as Connection
from gateway.drivers.redis.servers import open_redis
from gateway.drivers.redis.wire import RedisError
from gateway.drivers.usage.books import Books as BooksAndStore
from gateway.drivers.usage.marks import HOMES_KEY, Mark, MemoryMarks, RedisMarks
from gateway.drivers.usage.sink import ChangedHomes, UsageSink, count_missing
from tests.patience import PATIENT_S
from tests.usage_lines import NOON, record

pytest_plugins = ("tests.redis_server",)


class Kept:
    """A store in memory, which may fail or wait. Each write is kept by itself."""

    every_s = 1.0

    def __init__(self) -> None:
        self.writes: list[list[Line]] = []
        self.down: Exception | None = None
        self.undeletable: StoreError | None = None
        self.gate: asyncio.Event | None = None
        self.waits = asyncio.Event()
        self.tidied: list[date] = []

    @property
    def attempts(self) -> list[str]:
        return [line.attempt for lines in self.writes for line in lines]

    async def write(self, lines: Sequence[Line]) -> None:
        if self.gate is not None:
            self.waits.set()
            await self.gate.wait()
        await asyncio.sleep(0)
        if self.down is not None:
            raise self.down
        self.writes.append([*lines])

    async def read(
        self, reading: Reading, since: str = "", until: str = ""
    ) -> AsyncGenerator[Sequence[Line], None]:
        for lines in self.writes:
            yield lines

    async def tidy(self, oldest: date) -> None:
        error = self.down or self.undeletable
        if error is not None:
            raise error
        self.tidied.append(oldest)

    async def aclose(self) -> None:
        """Nothing is open."""


class Books:
    """A ledger in Redis, and sinks that write its books on."""

    def __init__(self, url: str, home: str) -> None:
        self.url = url
        self.home = home
        self.ledger = RedisLedger(url, timeout_s=5)
        self.told: list[Event] = []
        self.store = Kept()
        self._connections: list[Connection] = []
        account = Account("tenant", home, (Budget(10**9, "day"),), home)
        self.purse = Purse(home, (account,))

    def marks(self, me: str = "one") -> RedisMarks:
        connection = open_redis(self.url, timeout_s=5)
        self._connections.append(connection)
        return RedisMarks(connection.call, "s1", me)

    def sink(self, me: str = "one", **other: Any) -> UsageSink:
        known: dict[str, Any] = {
            "homes": [self.home], "changed": ChangedHomes(), "observe": self.told.append,
            "wall": lambda: NOON / 1_000,
        }  # fmt: skip
        return UsageSink(self.ledger, self.marks(me), self.store, **(known | other))

    async def spend(self, *names: str) -> None:
        for name in names:
            hold = await self.ledger.reserve(self.purse, name, Amounts(Nanos(50), 10, 1))
            assert isinstance(hold, Hold)
            await self.ledger.settle(hold, Amounts(Nanos(20), 10), record(name))

    async def close(self) -> None:
        await self.ledger.aclose()
        for connection in self._connections:
            await connection.aclose()


@pytest.fixture
async def books(shared_redis: EmbeddedRedis, tenant: str) -> AsyncIterator[Books]:
    with Redis(unix_socket_path=shared_redis.url.removeprefix("unix://")) as server:
        server.delete(HOMES_KEY)  # those of other tests
    made = Books(shared_redis.url, tenant)
    yield made
    await made.close()


async def test_each_record_is_written_once_and_in_order(books: Books) -> None:
    sink = books.sink()
    await books.spend("a", "b")
    assert await sink.round(sweep=True)
    await books.spend("c")
    assert await sink.round(sweep=True)
    assert await sink.round(sweep=True)
    assert books.store.attempts == ["a", "b", "c"]
    (booked,) = [line.ledger for line in books.store.writes[1]]
    assert booked is not None
    assert (booked.home, booked.seq, booked.charged.nanos) == (books.home, 3, 20)
    assert books.told == [UsageSunk(books.home, 2), UsageSunk(books.home, 1)]


async def test_another_process_goes_on_where_one_ended(books: Books) -> None:
    await books.spend("a", "b")
    await books.sink("one").round(sweep=True)
    await books.spend("c")
    await books.sink("two").round(sweep=True)
    assert books.store.attempts == ["a", "b", "c"]


async def test_only_homes_that_moved_are_looked_at_between_sweeps(books: Books) -> None:
    moved = ChangedHomes()
    sink = books.sink(changed=moved)
    await books.spend("a")
    assert await sink.round()
    assert books.store.attempts == []
    about = About("r", books.home, "auto", stream=False)
    nothing = Nanos(0)
    moved.observe(Settled(about, record("a")))
    assert await sink.round()
    assert books.store.attempts == ["a"]
    assert moved.homes == set()
    moved.observe(HoldsExpired(books.home, 1, nothing))
    assert moved.take() == {books.home}


async def test_two_at_once_do_not_write_the_same(books: Books) -> None:
    """One waits on its store; the other sees that, and comes back."""
    moved = ChangedHomes()
    one, two = books.sink("one"), books.sink("two", changed=moved)
    await books.spend("a")
    books.store.gate = asyncio.Event()
    writing = asyncio.create_task(one.round(sweep=True))
    await books.store.waits.wait()
    assert await two.round(sweep=True)
    assert books.home in moved.homes
    books.store.gate.set()
    assert await writing
    await books.spend("b")
    assert await two.round()
    assert books.store.attempts == ["a", "b"]


async def test_a_store_that_is_down_loses_nothing(books: Books) -> None:
    moved = ChangedHomes()
    sink = books.sink(changed=moved)
    await books.spend("a", "b")
    books.store.down = StoreError("disk", "full")
    assert not await sink.round(sweep=True)
    assert not await sink.round()
    assert books.told == [SinkFailed("disk")] * 2
    await books.spend("c")  # nobody waits for it
    books.store.down = None
    assert await sink.round(), "the home is remembered"
    assert books.store.attempts == ["a", "b", "c"]


async def test_a_process_that_dies_before_its_mark_writes_again(books: Books) -> None:
    await books.spend("a")
    one = books.sink("one")
    books.store.gate = asyncio.Event()
    writing = asyncio.create_task(one.round(sweep=True))
    await books.store.waits.wait()
    writing.cancel()
    await asyncio.wait([writing])
    books.store.gate = None
    assert await books.sink("two").round(sweep=True), "the home was given back"
    assert books.store.attempts == ["a"]


async def test_records_that_were_dropped_before_are_counted(books: Books) -> None:
    sink = books.sink()
    await books.spend("a")
    await sink.round(sweep=True)
    await books.spend("b", "c", "d")
    with Redis(unix_socket_path=books.url.removeprefix("unix://")) as server:
        server.xtrim(f"tg:{{{books.home}}}:usage", maxlen=1, approximate=False)
    await sink.round(sweep=True)
    assert books.store.attempts == ["a", "d"]
    assert UsageLost(books.home, 2) in books.told


async def test_none_is_told_as_dropped_after_a_loss_and_a_rebuild(
    own_redis: EmbeddedRedis,
) -> None:
    """Numbers go on behind those that the store has: the ones between are no records."""
    books = Books(own_redis.url, "acme")
    sink = books.sink()
    await books.spend(*"abcde")
    await sink.round(sweep=True)
    with Redis(unix_socket_path=own_redis.url.removeprefix("unix://")) as server:
        server.flushall()
    with pytest.raises(LedgerDown, match="data_lost"):
        await books.spend("f")
    both = BooksAndStore(books.ledger, books.store, [books.home], time.time, marks=books.marks())
    assert (await both.audit(books.home)).missing == 0
    assert await both.rebuild(books.home, force=False) == 0
    await books.spend("g", "h")
    await sink.round(sweep=True)
    assert books.store.attempts == [*"abcdegh"]
    assert not [each for each in books.told if isinstance(each, UsageLost)]
    await books.close()


async def test_more_than_one_batch(books: Books) -> None:
    sink = books.sink()
    names = [f"n{number:04}" for number in range(5_250)]
    for start in range(0, len(names), 250):
        await asyncio.gather(*map(books.spend, names[start : start + 250]))
    await sink.round(sweep=True)
    assert sorted(books.store.attempts) == names
    assert [len(lines) for lines in books.store.writes] == [5_000, 250]


async def test_a_home_that_is_no_longer_configured_is_swept(books: Books) -> None:
    await books.sink("one").round(sweep=True)
    await books.spend("a")
    await books.sink("two", homes=["someone-else"]).round(sweep=True)
    assert books.store.attempts == ["a"]


async def test_what_is_too_old_is_removed(books: Books) -> None:
    sink = books.sink(keep_days=30)
    await sink.tidy()
    assert books.store.tidied == [date(2026, 10, 22)]
    books.store.down = StoreError("disk", "gone")
    await sink.tidy()
    assert books.told == [SinkFailed("disk")]
    assert books.store.tidied == [date(2026, 10, 22)]


async def test_what_may_not_be_removed_is_tried_and_told_once_an_hour(
    books: Books, caplog: pytest.LogCaptureFixture
) -> None:
    """As a database user who may write, and not delete: the records are written all the same."""
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        books.store.undeletable = StoreError("refused", "permission denied for table")
        await books.spend(f"at{now}")
        if now > 7_200:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await books.sink(keep_days=1).run(600.0, lambda: now, sleep)
    assert len(books.store.attempts) == 12
    assert books.store.tidied == [date(2026, 11, 20)], "at the start"
    message = "usage: what is older than keep_days is not removed: permission denied for table"
    assert caplog.messages == [message, message]
    assert books.told.count(SinkFailed("refused")) == 2


async def test_it_writes_until_it_is_stopped_and_waits_longer_while_it_fails(books: Books) -> None:
    slept: list[float] = []
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        await asyncio.sleep(0)
        now += seconds
        slept.append(seconds)
        if len(slept) == 4:
            books.store.down = None
        if len(slept) == 6:
            raise asyncio.CancelledError

    books.store.down = StoreError("unreachable", "down")
    await books.spend("a")
    with pytest.raises(asyncio.CancelledError):
        await books.sink(keep_days=1).run(1.0, lambda: now, sleep)
    assert slept == [2.0, 4.0, 8.0, 16.0, 1.0, 1.0]
    assert books.store.attempts == ["a"]


async def test_a_ledger_that_is_down_is_waited_for(unused_port: int) -> None:
    told: list[Event] = []
    connection = open_redis(f"redis://127.0.0.1:{unused_port}", timeout_s=PATIENT_S)
    ledger = RedisLedger(f"redis://127.0.0.1:{unused_port}", timeout_s=PATIENT_S)
    sink = UsageSink(
        ledger, RedisMarks(connection.call, "s1", "me"), Kept(),
        homes=["acme"], changed=ChangedHomes(), observe=told.append, wall=lambda: 0.0,
    )  # fmt: skip
    assert not await sink.round(sweep=True)
    assert told == [SinkFailed("unreachable")]
    await ledger.aclose()
    await connection.aclose()


async def test_of_a_ledger_in_memory_the_time_is_that_of_writing() -> None:
    ledger = MemoryLedger(lambda: NOON / 1_000)
    store = Kept()
    sink = UsageSink(
        ledger, MemoryMarks(), store,
        homes=["acme"], changed=ChangedHomes(), observe=lambda _: None, wall=lambda: NOON / 1_000,
    )  # fmt: skip
    purse = Purse("acme", (Account("tenant", "acme", (Budget(10**9, "day"),), "acme"),))
    hold = await ledger.reserve(purse, "a", Amounts(Nanos(5)))
    assert isinstance(hold, Hold)
    await ledger.settle(hold, Amounts(Nanos(3)), record("a"))
    await sink.round(sweep=True)
    await sink.round(sweep=True)
    ((line,),) = store.writes
    assert line.time == "2026-11-21T12:00:00.000Z"


def entry(seq: int, epoch: str) -> Entry:
    return Entry(f"{seq}-0", seq, epoch, "settled", "h", Amounts(Nanos(0)), (), None)


@pytest.mark.parametrize(
    ("mark", "found", "lost"),
    [
        (Mark(), [(1, "a"), (2, "a")], 0),
        (Mark(), [(4, "a")], 3),
        (Mark("7-0", 7, "a"), [(8, "a")], 0),
        (Mark("7-0", 7, "a"), [(10, "a"), (13, "a")], 4),
        (Mark("7-0", 7, "a"), [(1, "b"), (2, "b")], 0),  # new data
        (Mark("7-0", 7, "a"), [(3, "b")], 2),
        (Mark("7-0", 7, "a"), [(8, "b")], 0),  # made anew, and counted on
        (Mark("3-0", 3, "a"), [(9, "b")], 5),
        (Mark("3-0", 3, "a", 8), [(9, "b")], 0),  # rebuilt from what others had kept
        (Mark("3-0", 3, "a", 6), [(9, "b")], 2),
        (Mark("", 0, "", 8), [(1, ""), (3, ""), (9, "b")], 1),
        (Mark("7-0", 7, "b", 4), [(9, "b")], 1),
        (Mark("7-0", 7, "a"), [(6, "a"), (7, "a")], 0),  # a second of the log was lost
    ],
)
def test_what_is_missing(mark: Mark, found: list[tuple[int, str]], lost: int) -> None:
    assert count_missing(mark, [entry(*each) for each in found]) == lost


@pytest.mark.parametrize("spoil", ["wrong type", "no entry of ours"])
async def test_a_book_that_cannot_be_read_holds_up_no_other(books: Books, spoil: str) -> None:
    await books.spend("a")
    bad = f"{books.home}-bad"
    key = f"tg:{{{bad}}}:usage"
    sink = books.sink(homes=[bad, books.home])
    with Redis(unix_socket_path=books.url.removeprefix("unix://")) as server:
        if spoil == "wrong type":
            server.set(key, "x")
        else:
            server.xadd(key, {"who": "knows"})
        assert await sink.round(sweep=True)
        assert books.store.attempts == ["a"]
        assert [each.kind for each in books.told if isinstance(each, SinkFailed)] == ["book"]
        server.delete(key)
    books.told.clear()
    await books.spend("b")
    assert await sink.round(sweep=True)
    assert books.store.attempts == ["a", "b"]
    assert not [each for each in books.told if isinstance(each, SinkFailed)]


@pytest.mark.parametrize("away", ["", "acquire", "save", "homes"])
async def test_a_node_of_a_cluster_that_is_away_holds_up_no_other_home(away: str) -> None:
    """As many as are written together, and more, are on it; or what sinks themselves note."""

    class Node(MemoryMarks):
        there = away == ""

        def check(self, call: str, home: str = "") -> None:
            if call == away and not self.there and not home.startswith("z"):
                raise RedisError("unreachable", "away", sent=False)

        async def acquire(self, home: str) -> Mark | None:
            self.check("acquire", home)
            return await super().acquire(home)

        async def save(self, home: str, mark: Mark) -> None:
            self.check("save", home)
            await super().save(home, mark)

        async def homes(self) -> frozenset[str]:
            self.check("homes")
            return await super().homes()

    ledger, store, marks = MemoryLedger(lambda: NOON / 1_000), Kept(), Node()
    moved, told = ChangedHomes(), list[Event]()
    homes = [*(f"a{number:02}" for number in range(40)), "z"]
    sink = UsageSink(
        ledger, marks, store,
        homes=homes, changed=moved, observe=told.append, wall=lambda: NOON / 1_000,
    )  # fmt: skip
    for home in homes:
        purse = Purse(home, (Account("tenant", home, (Budget(10**9, "day"),), home),))
        await ledger.charge(purse, home, NOON / 1_000, Amounts(Nanos(1)), record(home))
    assert await sink.round(sweep=True) == (away != "homes")
    assert "z" in store.attempts
    assert [each for each in told if isinstance(each, SinkFailed)] == [
        SinkFailed("unreachable")
    ] * bool(away)
    assert moved.homes == ({*homes[:-1]} if away in {"acquire", "save"} else set())
    marks.there = True
    assert await sink.round(sweep=True)
    assert {*store.attempts} == {*homes}
    assert moved.homes == set()


async def test_a_bug_does_not_end_it(books: Books, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody would hear of it, and in the end the book drops what was not written."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            books.store.down = None
        if len(slept) == 3:
            raise asyncio.CancelledError

    books.store.down = RuntimeError("a bug")
    await books.spend("a")
    with pytest.raises(asyncio.CancelledError):
        await books.sink().run(1.0, lambda: 0.0, sleep)
    assert slept == [2.0, 4.0, 1.0]
    assert books.store.attempts == ["a"]
    assert books.told == [*[SinkFailed("internal_error")] * 2, UsageSunk(books.home, 1)]
    assert caplog.messages == ["usage: not written on, it waits in the ledger: a bug"]
    assert "Traceback" in caplog.text
