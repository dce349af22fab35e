"""What guards have seen, on several replicas: told in the background, and the same on all."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from gateway.background.guards import Guards
from gateway.core.catalog import Catalog, Route
from gateway.core.errors import LedgerDown
from gateway.core.events import Event, GuardRead
from gateway.core.guard import BUCKETS, Growth, Guard, GuardSettings
from gateway.core.ladder import Ladder, ladders
from gateway.core.money import Nanos
from gateway.core.strategies import tactic
from gateway.drivers.memory_guard import MemoryGuard
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.drivers.redis_guard import RedisGuard
from tests.lives import CATALOG
from tests.patience import PATIENT_S

pytest_plugins = ("tests.redis_server",)

SETTINGS = GuardSettings(threshold=0.75, memory=50)


class Away(MemoryGuard):
    """A store that can be away, before it has added something or after."""

    away = ""

    async def grow(self, number: int, growths: Mapping[str, Growth]) -> Mapping[str, Guard]:
        if self.away == "before":
            raise LedgerDown("away")
        found = await super().grow(number, growths)
        if self.away == "after":
            raise LedgerDown("the answer was lost")
        return found


def silent(_: Event) -> None:
    pass


@pytest_asyncio.fixture
async def replicas(shared_redis: EmbeddedRedis) -> AsyncIterator[tuple[Guards, Guards]]:
    pair = tuple(
        Guards(RedisGuard(shared_redis.url, timeout_s=PATIENT_S), silent) for _ in range(2)
    )
    yield pair[0], pair[1]
    for each in pair:
        await each.aclose()


async def test_two_replicas_agree(replicas: tuple[Guards, Guards], tenant: str) -> None:
    one, other = replicas
    name = f"{tenant}:0:text"
    for each in replicas:
        assert each.state(name, SETTINGS).decide(0.0, SETTINGS) == "probed", "nothing is known"
    for number in range(30):
        (one if number % 2 else other).compared(name, same=number % 3 != 0)
        one.paid(name, Nanos(100))
    one.compared(name, None)
    other.paid(name, Nanos(10), audit=True)
    for each in (one, other, one):
        assert await each.refresh()
    assert one.state(name, SETTINGS) == other.state(name, SETTINGS)
    found = one.state(name, SETTINGS)
    assert (found.seen, found.agreed, found.tried) == (30.0, 20.0, 31)
    assert (found.spent, found.audit) == (3_010, 10)
    for each in replicas:
        assert each.state(name, SETTINGS).decide(0.99, SETTINGS) == "smart", "off, on both"
    for _ in range(120):
        other.compared(name, same=True)
    await other.refresh()
    await one.refresh()
    assert one.state(name, SETTINGS).decide(0.99, SETTINGS) == "cheap", "back, on both"
    assert one.state(name, SETTINGS) == other.state(name, SETTINGS)


async def test_a_replica_that_comes_later_knows(
    replicas: tuple[Guards, Guards], tenant: str
) -> None:
    one, other = replicas
    name = f"{tenant}:0:text"
    for _ in range(40):
        one.compared(name, same=True)
    one.paid(name, Nanos(10**9))
    await one.refresh()
    other.state(name, SETTINGS)
    await other.refresh()
    assert other.state(name, SETTINGS).decide(0.99, SETTINGS) == "cheap"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_while_the_store_is_away(when: str, caplog: pytest.LogCaptureFixture) -> None:
    store = Away()
    guards = Guards(store, silent)
    guards.compared("r:0:text", same=True)
    assert await guards.refresh()
    store.away = when
    for _ in range(3):
        guards.compared("r:0:text", same=False)
        guards.paid("r:0:text", Nanos(5))
        assert not await guards.refresh()
    last = guards.state("r:0:text", SETTINGS)
    assert (last.seen, last.agreed, last.spent) == (4.0, 1.0, 15), "it goes on by what is known"
    store.away = ""
    assert await guards.refresh()
    assert await guards.refresh()
    assert guards.state("r:0:text", SETTINGS) == last
    assert await store.grow(0, {"r:0:text": Growth()}) == {"r:0:text": last}, "and told, once"
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "guards go by what is known here",
        "the guards of all replicas are read again",
    ]


async def test_what_is_seen_while_it_tells_is_not_lost() -> None:
    reached, gate = asyncio.Event(), asyncio.Event()

    class Slow(MemoryGuard):
        async def grow(self, number: int, growths: Mapping[str, Growth]) -> Mapping[str, Guard]:
            found = await super().grow(number, growths)
            reached.set()
            await gate.wait()
            return found

    guards = Guards(Slow(), silent)
    guards.compared("r:0:text", same=True)
    telling = asyncio.create_task(guards.refresh())
    await reached.wait()
    guards.compared("r:0:text", same=False)
    gate.set()
    await telling
    assert guards.state("r:0:text").seen == 2.0
    await guards.refresh()
    assert guards.state("r:0:text").seen == 2.0


async def test_a_state_is_shown_when_it_has_changed() -> None:
    shown: list[Event] = []
    guards = Guards(MemoryGuard(), shown.append)
    guards.state("auto/legal:0:text-long", SETTINGS)
    await guards.refresh()
    assert shown == [], "nothing has happened"
    for _ in range(3):
        guards.compared("auto/legal:0:text-long", same=True)
    guards.paid("auto/legal:0:text-long", Nanos(7))
    await guards.refresh()
    await guards.refresh()
    state = Guard(3.0, 3.0, 3, 7)
    assert shown == [GuardRead("auto/legal", "text-long", "learning", state)]


def policy(strategy: str) -> tuple[list[Ladder], set[str]]:
    route = Route("r", ("cheap", "smart"), tactic(strategy), guard=SETTINGS)
    all_of = ladders(Catalog(CATALOG.models, CATALOG.tiers, {"r": route}))
    known = all_of["r"].audit_policy
    assert known is not None
    return [*all_of.values()], {f"{known.key}:{kind}" for kind in BUCKETS}


@pytest.mark.parametrize("now", [[], policy("vote")[0]])
async def test_a_guard_that_a_reload_took_away_is_shown_no_more(now: list[Ladder]) -> None:
    """Requests that began before it pay later: its gauges, or the new guard's, would be set so."""
    shown: list[Event] = []
    guards = Guards(MemoryGuard(), shown.append)
    before, names = policy("cascade")
    guards.know(before)
    guards.paid(min(names), Nanos(7))
    await guards.refresh()
    assert len(shown) == 1
    guards.paid(min(names), Nanos(5))
    guards.know(now)
    await guards.refresh()
    guards.paid(min(names), Nanos(3))
    await guards.refresh()
    assert len(shown) == 1
    guards.know(before)
    await guards.refresh()
    assert [event.guard.spent for event in shown if isinstance(event, GuardRead)] == [7, 15]


async def test_of_a_policy_that_is_configured_no_more_nothing_is_read_once_it_is_told() -> None:
    """Each reload that changed one left six names more to be read in each second to come."""
    read: list[set[str]] = []

    class Noting(MemoryGuard):
        async def grow(self, number: int, growths: Mapping[str, Growth]) -> Mapping[str, Guard]:
            read.append({*growths})
            return await super().grow(number, growths)

    store = Noting()
    guards = Guards(store, silent)
    (before, former), (after, now) = policy("cascade"), policy("vote")
    guards.know(before)
    guards.paid(min(former), Nanos(7))
    for known in (before, after, after):
        guards.know(known)
        await guards.refresh()
    guards.paid(min(former), Nanos(5))  # by who began before
    guards.know(after)
    await guards.refresh()
    assert [each - now for each in read] == [former, set(), set(), {min(former)}]
    told = await store.grow(0, {min(former): Growth()})
    assert told[min(former)].spent == 12


async def test_nobody_is_asked_where_nothing_is_guarded() -> None:
    store = Away()
    store.away = "before"
    assert await Guards(store, silent).refresh()
