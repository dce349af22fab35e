"""What every store of guards' states promises, in memory as in Redis."""

from collections.abc import AsyncIterator
from random import Random

import pytest
import pytest_asyncio

from gateway.core.errors import LedgerDown
from gateway.core.guard import Growth, Guard, GuardStore
from gateway.drivers.memory_guard import MemoryGuard
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.drivers.redis_guard import RedisGuard
from tests.patience import PATIENT_S

pytest_plugins = ("tests.redis_server",)

SEEN = Growth((True, False, True), missed=2, spent=900, audit=30, memory=500)


@pytest_asyncio.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[GuardStore]:
    if request.param == "memory":
        yield MemoryGuard()
        return
    server: EmbeddedRedis = request.getfixturevalue("shared_redis")
    kept = RedisGuard(server.url, timeout_s=PATIENT_S)
    yield kept
    await kept.aclose()


async def test_who_is_new_begins_at_nothing(store: GuardStore, tenant: str) -> None:
    assert await store.grow(1, {tenant: Growth()}) == {tenant: Guard()}


async def test_nothing_is_known_of_nobody(store: GuardStore) -> None:
    assert await store.grow(1, {}) == {}


async def test_a_state_grows(store: GuardStore, tenant: str) -> None:
    grown = Guard(3.0, 2.0, 5, 900, 30)
    assert await store.grow(1, {tenant: SEEN}) == {tenant: grown}
    assert await store.grow(2, {tenant: Growth()}) == {tenant: grown}
    assert await store.grow(3, {tenant: SEEN}) == {tenant: Guard(6.0, 4.0, 10, 1800, 60)}


async def test_what_was_told_is_told_again(store: GuardStore, tenant: str) -> None:
    once = await store.grow(7, {tenant: SEEN})
    assert await store.grow(7, {tenant: SEEN}) == once, "the same number adds nothing"
    assert await store.grow(8, {tenant: SEEN}) != once


async def test_states_do_not_touch_each_other(store: GuardStore, tenant: str) -> None:
    names = [f"{tenant}:{kind}" for kind in ("text", "json", "tools")]
    found = await store.grow(1, {names[0]: SEEN, names[1]: Growth(), names[2]: Growth((False,))})
    assert found == {
        names[0]: SEEN.onto(Guard()),
        names[1]: Guard(),
        names[2]: Guard(1.0, 0.0, 1),
    }


@pytest.mark.parametrize("memory", [1, 7, 30, 500])
async def test_the_arithmetic_is_the_guards_own(
    store: GuardStore, tenant: str, memory: int
) -> None:
    """To the last bit, however often older ones fade."""
    random = Random(memory)  # noqa: S311 - the same each time
    expected = Guard()
    for number in range(60):
        same = tuple(random.random() < 0.7 for _ in range(random.randrange(20)))
        spent, audit = (random.choice([0, random.randrange(2**40)]) for _ in range(2))
        growth = Growth(same, random.randrange(3), spent, audit, memory)
        expected = growth.onto(expected)
        assert await store.grow(number, {tenant: growth}) == {tenant: expected}


async def test_more_states_than_one_script_takes(store: GuardStore, tenant: str) -> None:
    growths = {f"{tenant}:{number}": Growth(missed=number) for number in range(1_203)}
    expected = {name: growth.onto(Guard()) for name, growth in growths.items()}
    assert await store.grow(1, growths) == expected
    assert await store.grow(1, growths) == expected, "nothing of it is added twice"


async def test_replicas_count_together(shared_redis: EmbeddedRedis, tenant: str) -> None:
    one, other = (RedisGuard(shared_redis.url, timeout_s=PATIENT_S) for _ in range(2))
    for number in range(5):
        await one.grow(number, {tenant: SEEN})
        await other.grow(number, {tenant: Growth((False,), spent=1)})
    told = [await each.grow(9, {tenant: Growth()}) for each in (one, other)]
    assert told[0] == told[1]
    found = told[0][tenant]
    assert (found.seen, found.agreed, found.tried) == (20.0, 10.0, 30)
    assert (found.spent, found.audit) == (5 * 901, 5 * 30)
    await one.aclose()
    await other.aclose()


async def test_in_a_cluster_all_is_in_one_slot(cluster_redis: str, tenant: str) -> None:
    store = RedisGuard(cluster_redis, timeout_s=PATIENT_S)
    assert await store.grow(1, {tenant: SEEN, f"{tenant}2": SEEN})
    await store.aclose()


async def test_who_is_away_says_so(own_redis: EmbeddedRedis, tenant: str) -> None:
    store = RedisGuard(own_redis.url, timeout_s=PATIENT_S)
    await store.grow(1, {tenant: SEEN})
    own_redis.stop()
    with pytest.raises(LedgerDown):
        await store.grow(2, {tenant: SEEN})
    await store.aclose()
