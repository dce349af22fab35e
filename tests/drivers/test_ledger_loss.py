"""What happens when Redis has lost what was spent: it is noticed, and nothing is reserved until the
home is rebuilt.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from redis import Redis

from gateway.core.accounts import Account, Amounts, Hold, Purse, Refusal
from gateway.core.catalog import Budget
from gateway.core.errors import LedgerDown
from gateway.core.events import Event, LedgerTook
from gateway.core.money import Nanos
from gateway.core.records.entry import sums
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.patience import PATIENT_S, limit

pytest_plugins = ("tests.redis_server",)

PURSE = Purse("acme", (Account("tenant", "acme", (Budget(100, "total"),), "acme"),))
OTHER = Purse("other", (Account("tenant", "other", (Budget(100, "total"),), "other"),))
TEN = Amounts(Nanos(10))
Opens = Callable[[str], RedisLedger]


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
async def opens(own_redis: EmbeddedRedis, events: list[Event]) -> AsyncIterator[Opens]:
    """A gateway's ledger; its epoch is for data that has none."""
    opened: list[RedisLedger] = []

    def ledger(epoch: str) -> RedisLedger:
        opened.append(RedisLedger(own_redis.url, timeout_s=5, observe=events.append, epoch=epoch))
        return opened[-1]

    yield ledger
    for each in opened:
        await each.aclose()


@pytest.fixture
def server(own_redis: EmbeddedRedis) -> Iterator[Redis]:
    path = own_redis.url.removeprefix("unix://")
    with Redis(unix_socket_path=path, decode_responses=True) as server:
        yield server


async def spend(ledger: RedisLedger, hold_id: str, purse: Purse = PURSE) -> None:
    hold = await ledger.reserve(purse, hold_id, TEN)
    assert isinstance(hold, Hold)
    await ledger.settle(hold, TEN)


async def is_lost(ledger: RedisLedger) -> None:
    with pytest.raises(LedgerDown, match="data_lost"):
        await ledger.reserve(PURSE, "lost", TEN)
    with pytest.raises(LedgerDown, match="data_lost"):
        await ledger.balances(PURSE)


async def test_the_first_gateway_names_the_data_and_the_others_take_its_name(
    opens: Opens, server: Redis
) -> None:
    one, two = opens("one"), opens("two")
    await spend(one, "a")
    await spend(two, "b")
    await spend(one, "c")
    assert server.hgetall("tg:{acme}:state") == {"epoch": "one", "seq": "3"}


async def flushed(server: Redis) -> None:
    server.flushall()


async def flushed_and_begun_anew(server: Redis) -> None:
    server.flushall()
    server.hset("tg:{acme}:state", mapping={"epoch": "new", "seq": 50})


async def some_forgotten(server: Redis) -> None:
    """As a replica that was behind."""
    server.hset("tg:{acme}:state", "seq", 1)


@pytest.mark.parametrize("loss", [flushed, flushed_and_begun_anew, some_forgotten])
async def test_a_loss_is_noticed_and_nothing_is_reserved_from_then_on(
    opens: Opens,
    server: Redis,
    events: list[Event],
    loss: Callable[[Redis], Awaitable[None]],
) -> None:
    ledger = opens("one")
    await spend(ledger, "a")
    await spend(ledger, "b")
    await spend(ledger, "c", OTHER)
    await loss(server)
    await is_lost(ledger)
    await is_lost(ledger)
    told = [event.error for event in events if isinstance(event, LedgerTook)]
    assert told[-4:] == ["data_lost"] * 4
    async with asyncio.timeout(30):
        while ledger.owed:  # what a reserve took before it saw the loss
            await asyncio.sleep(0.01)
    assert await ledger.open_holds("acme") == 0, "what lives on can be asked"
    assert await ledger.sweep(["acme"]) == []


@pytest.mark.parametrize("idle", [0, 1], ids=["who spent what is lost", "another"])
async def test_a_look_at_the_balances_notices_what_a_replica_did_not_have(
    opens: Opens, server: Redis, idle: int
) -> None:
    """Else who spends more than was lost makes the others believe that nothing was."""
    gateways = opens("one"), opens("two")
    for number, each in enumerate(gateways):
        await spend(each, f"h{number}")
    for number in range(3):
        await spend(gateways[0], f"lost{number}")
    for each in gateways:
        assert (await each.balances(PURSE))[0].spent == 50
    server.hset("tg:{acme}:state", "seq", 2)
    with pytest.raises(LedgerDown, match="data_lost"):
        await gateways[idle].balances(PURSE)
    await is_lost(gateways[idle])


async def test_who_only_looks_goes_on_with_other_data(opens: Opens, server: Redis) -> None:
    looks, spends = opens("one"), opens("two")
    await spend(spends, "a")
    await looks.balances(PURSE)
    server.flushall()
    assert (await looks.balances(PURSE))[0].spent == 0
    await spend(looks, "b")


async def test_a_home_that_lost_nothing_goes_on(opens: Opens, server: Redis) -> None:
    ledger = opens("one")
    await spend(ledger, "a")
    await spend(ledger, "b", OTHER)
    for key in server.scan_iter("tg:{acme}:*"):
        server.delete(key)
    await is_lost(ledger)
    await spend(ledger, "c", OTHER)


async def test_what_was_held_when_the_data_was_lost_is_charged_and_recorded(
    opens: Opens, server: Redis, events: list[Event]
) -> None:
    ledger = opens("one")
    await spend(ledger, "a")
    hold = await ledger.reserve(PURSE, "b", TEN)
    assert isinstance(hold, Hold)
    server.flushall()
    await ledger.settle(hold, Amounts(Nanos(7)))
    (entry,) = await ledger.records("acme")
    assert (entry.kind, entry.hold, entry.charged.nanos) == ("charged", "b", 7)
    errors = [event.error for event in events if isinstance(event, LedgerTook)]
    assert "data_lost" in errors, "the settle has noticed it"
    await is_lost(ledger)


async def test_what_was_being_settled_when_the_data_was_lost_is_charged_and_recorded(
    opens: Opens, server: Redis
) -> None:
    """It was sent, and nobody heard whether it was done: if it was, that would be known."""
    ledger = opens("one")
    hold = await ledger.reserve(PURSE, "b", TEN)
    assert isinstance(hold, Hold)
    server.client_pause(60_000, all=False)
    limit(ledger, 0.25)
    await ledger.settle(hold, Amounts(Nanos(7)))
    assert ledger.owed == 1
    with server.pipeline(transaction=False) as at_once:
        at_once.client_unpause()
        at_once.flushall()
        at_once.execute()
    limit(ledger, PATIENT_S)
    async with asyncio.timeout(PATIENT_S):
        while ledger.owed:
            await asyncio.sleep(0.01)
    (entry,) = await ledger.records("acme")
    assert (entry.kind, entry.hold, entry.charged.nanos) == ("charged", "b", 7)


async def test_a_rebuilt_home_is_used_again_by_those_who_remember_what_it_goes_on_from(
    opens: Opens, server: Redis
) -> None:
    old, operator = opens("one"), opens("op")
    await spend(old, "a")
    await spend(old, "b")
    book = await old.records("acme")
    server.flushall()
    await is_lost(old)
    fresh = opens("two")
    await spend(fresh, "c")
    told = sums([*book, *await fresh.records("acme")])
    epochs = {entry.epoch for entry in book}
    assert epochs == {"one"}
    assert await operator.load("acme", told, epoch="three", after=epochs, seq=2) == 0
    for ledger, hold in ((old, "d"), (fresh, "e"), (operator, "f")):
        await spend(ledger, hold)
    (balance,) = await old.balances(PURSE)
    assert balance.spent == 60
    assert server.hget("tg:{acme}:state", "seq") == "5"


async def test_a_home_that_goes_on_from_something_else_stays_lost(
    opens: Opens, server: Redis
) -> None:
    old = opens("one")
    await spend(old, "a")
    server.flushall()
    await opens("op").load("acme", {}, epoch="two", after=["another"])
    await is_lost(old)


async def test_who_knows_of_nothing_spent_goes_on_from_whatever_was_rebuilt(
    opens: Opens, server: Redis
) -> None:
    """No record names its data, since nothing was charged in it; so what is rebuilt does not."""
    idle, busy = opens("one"), opens("one")
    for ledger in (idle, busy):
        assert isinstance(await ledger.reserve(PURSE, "a", TEN), Hold)
    await idle.void("acme", "a")
    server.flushall()
    await is_lost(idle)
    await flushed_and_begun_anew(server)
    await is_lost(idle)
    bucket = "tg:{acme}:b:acme:tenant:acme:usd:total"
    await opens("op").load("acme", {(bucket, 0): 90}, epoch="two", after=["another"], seq=60)
    for ledger in (idle, busy):
        assert [each.spent for each in await ledger.balances(PURSE)] == [90]
    await spend(idle, "b")
    refused = await busy.reserve(PURSE, "c", TEN)
    assert isinstance(refused, Refusal)
    server.flushall()
    await is_lost(idle)
