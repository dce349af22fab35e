"""What every store of keys promises. A new one joins by one line in `stores`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from msgspec import structs
from redis import Redis

from gateway.core.catalog import Budget
from gateway.core.errors import KeysDown
from gateway.core.keys import NEVER, Former, KeyRecord, KeyStore, Scopes
from gateway.drivers.memory_keys import MemoryKeys
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.drivers.redis_keys import RedisKeys
from tests.patience import PATIENT_S

pytest_plugins = ("tests.redis_server",)

FIRST = KeyRecord(
    id="key_1",
    tenant="acme",
    digest=f"hmac-sha256:{'0' * 64}",
    last4="wxyz",
    created=1_700_000_000.25,
    scopes=Scopes(("auto", "gpt-*"), frozenset({"eu"}), expires=1_900_000_000.0),
    budgets=(Budget(5, "day"), Budget(3, "minute", "requests", rolling=True, mode="soft")),
    former=(Former(f"sha256:{'1' * 64}", 1_700_000_100.0),),
    made_by="root",
)
SECOND = KeyRecord(
    "key_2", "", f"sha256:{'2' * 64}", "abcd", 2.0, Scopes(admin=frozenset({"read"}))
)

PARTS = ("records", "changes", "version", "epoch", "used")

Replica = Callable[[], KeyStore]


def with_redis(url: str) -> Redis:
    return Redis.from_url(url)


@asynccontextmanager
async def memory(server: EmbeddedRedis) -> AsyncIterator[Replica]:
    store = MemoryKeys()
    yield lambda: store


@asynccontextmanager
async def redis(server: EmbeddedRedis) -> AsyncIterator[Replica]:
    with with_redis(server.url) as client:
        client.delete(*(f"{{tollgate:keys}}:{name}" for name in PARTS))
    made: list[RedisKeys] = []

    def replica() -> KeyStore:
        made.append(RedisKeys(server.url, timeout_s=5))
        return made[-1]

    yield replica
    for store in made:
        await store.aclose()


stores = {"memory": memory, "redis": redis}


@pytest.fixture(params=stores)
async def replica(
    request: pytest.FixtureRequest, shared_redis: EmbeddedRedis
) -> AsyncIterator[Replica]:
    async with stores[request.param](shared_redis) as make:
        yield make


async def everything(store: KeyStore) -> dict[str, KeyRecord]:
    changes = await store.changes(NEVER)
    return {} if changes is None else {record.id: record for record in changes.records}


async def test_what_is_saved_is_found_by_every_replica(replica: Replica) -> None:
    here, there = replica(), replica()
    assert await here.changes(NEVER) is None
    assert await here.save(FIRST)
    assert await here.save(SECOND)
    assert await there.find("key_1") == FIRST
    assert await there.find("key_3") is None
    assert await everything(there) == {"key_1": FIRST, "key_2": SECOND}


async def test_a_replica_learns_what_changed_since_it_asked(replica: Replica) -> None:
    here, there = replica(), replica()
    await here.save(FIRST)
    await here.save(SECOND)
    first = await there.changes(NEVER)
    assert first is not None
    assert await there.changes(first.version) is None, "nothing is new"
    later = structs.replace(FIRST, last4="next", revision=2)
    await here.save(later)
    await here.remove("key_2")
    second = await there.changes(first.version)
    assert second is not None
    told = ({r.id: r for r in second.records}, second.gone, second.whole)
    assert told in [({"key_1": later}, ("key_2",), False), ({"key_1": later}, (), True)]
    assert await there.changes(second.version) is None


async def test_a_key_that_came_and_went_between_two_asks(replica: Replica) -> None:
    here, there = replica(), replica()
    await here.save(FIRST)
    first = await there.changes(NEVER)
    assert first is not None
    await here.save(SECOND)
    await here.remove("key_2")
    second = await there.changes(first.version)
    assert second is not None
    assert [record.id for record in second.records if record.id == "key_2"] == []


CHANGES: list[tuple[str, KeyRecord | None, int, bool]] = [
    ("a new one", None, 1, True),
    ("a new one that is no first revision", None, 2, False),
    ("one that is there", FIRST, 1, False),
    ("the next revision", FIRST, 2, True),
    ("a revision too far", FIRST, 3, False),
    ("an old revision", structs.replace(FIRST, revision=1), 0, False),
]


@pytest.mark.parametrize(
    ("what", "before", "revision", "done"), CHANGES, ids=[c[0] for c in CHANGES]
)
async def test_of_two_changes_at_once_one_is_refused(
    replica: Replica, what: str, before: KeyRecord | None, revision: int, done: bool
) -> None:
    store = replica()
    if before is not None:
        assert await store.save(before)
    after = structs.replace(FIRST, revision=revision, made_by="another")
    assert await store.save(after) is done, what
    assert await store.find("key_1") == (after if done else before)


async def test_saving_and_removing_again_change_nothing(replica: Replica) -> None:
    """An answer may be lost: then the same is asked for once more."""
    here, there = replica(), replica()
    assert await here.save(FIRST)
    seen = await there.changes(NEVER)
    assert seen is not None
    assert await here.save(FIRST)
    assert await there.changes(seen.version) is None, "it was saved already"
    assert await here.remove("key_1")
    assert not await here.remove("key_1")
    assert await here.find("key_1") is None


async def test_last_used_is_the_latest_and_goes_with_its_key(replica: Replica) -> None:
    here, there = replica(), replica()
    await here.save(FIRST)
    await here.touch({"key_1": 100.0, "acme/k1": 50.0, "key_gone": 70.0})
    await there.touch({"key_1": 90.0, "acme/k1": 60.0})
    assert await here.last_used() == {"key_1": 100.0, "acme/k1": 60.0}
    await here.remove("key_1")
    await there.touch({"key_1": 200.0})
    assert await there.last_used() == {"acme/k1": 60.0}


async def test_many_keys(replica: Replica) -> None:
    """More than are told one by one, and more than a page."""
    here, there = replica(), replica()
    await here.save(FIRST)
    first = await there.changes(NEVER)
    assert first is not None
    many = [structs.replace(SECOND, id=f"key_m{at}") for at in range(1_200)]
    for record in many:
        await here.save(record)
    second = await there.changes(first.version)
    assert second is not None
    known = {} if second.whole else {FIRST.id: FIRST}
    known |= {record.id: record for record in second.records}
    assert known == {record.id: record for record in [FIRST, *many]}


# ---- Redis alone


async def seen(store: RedisKeys, record: KeyRecord) -> tuple[str, int]:
    await store.save(record)
    changes = await store.changes(NEVER)
    assert changes is not None
    return changes.version


async def test_data_that_is_gone_is_no_order_to_forget(own_redis: EmbeddedRedis) -> None:
    """What is known goes on working; with new data, that is what there is."""
    store = RedisKeys(own_redis.url, timeout_s=5)
    version = await seen(store, FIRST)
    with with_redis(own_redis.url) as client:
        client.flushall()
    with pytest.raises(KeysDown, match="gone"):
        await store.changes(version)
    await store.save(SECOND)
    anew = await store.changes(version)
    assert anew is not None
    assert (anew.whole, anew.records) == (True, (SECOND,))
    await store.aclose()


async def test_a_server_that_went_back_is_read_as_a_whole(own_redis: EmbeddedRedis) -> None:
    """As after a failover to a replica that had not heard of the last changes."""
    store = RedisKeys(own_redis.url, timeout_s=5)
    epoch, number = await seen(store, FIRST)
    back = await store.changes((epoch, number + 7))
    assert back is not None
    assert (back.version, back.whole, back.records) == ((epoch, number), True, (FIRST,))
    await store.aclose()


Ask = Callable[[RedisKeys], Awaitable[object]]
ASKS: dict[str, Ask] = {
    "changes": lambda store: store.changes(NEVER),
    "find": lambda store: store.find("key_1"),
    "save": lambda store: store.save(FIRST),
    "remove": lambda store: store.remove("key_1"),
    "touch": lambda store: store.touch({"key_1": 1.0}),
    "last_used": lambda store: store.last_used(),
}


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
async def test_a_server_that_is_not_there_is_keys_down(ask: Ask, unused_port: int) -> None:
    store = RedisKeys(f"redis://127.0.0.1:{unused_port}", timeout_s=PATIENT_S)
    with pytest.raises(KeysDown):
        await ask(store)
    await store.aclose()


UNREADABLE = [
    b"1 {", b"1 [1]", b"x", b'1 {"id": 7}', b"1 \xff", b"",
    b'1 {"id":"key_9","tenant":"acme","digest":"md5:0","last4":"","created":0}',
]  # fmt: skip


@pytest.mark.parametrize("kept", UNREADABLE)
async def test_a_record_that_cannot_be_read_is_none(kept: bytes, own_redis: EmbeddedRedis) -> None:
    store = RedisKeys(own_redis.url, timeout_s=5)
    await seen(store, FIRST)
    with with_redis(own_redis.url) as client:
        client.hset("{tollgate:keys}:records", "key_9", kept)
    assert await everything(store) == {"key_1": FIRST}
    assert await store.find("key_9") is None
    assert await store.remove("key_9"), "it can be got rid of"
    await store.aclose()


async def test_all_of_it_is_in_one_slot_of_a_cluster(cluster_redis: str) -> None:
    store = RedisKeys(cluster_redis, timeout_s=5)
    await seen(store, FIRST)
    await store.touch({"key_1": 1.0})
    await store.remove("key_1")
    assert await everything(store) == {}
    await store.aclose()
