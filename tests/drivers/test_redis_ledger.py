"""What is particular to the ledger in Redis: its keys, its clock, and its likeness to the model."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.core.accounts import Account, Amounts, Hold, Purse, Refusal
from gateway.core.catalog import Budget
from gateway.core.catalog import Period as Per
from gateway.core.errors import LedgerDown
from gateway.core.events import Event, LedgerTook
from gateway.core.money import Nanos
from gateway.core.periods import period
from gateway.drivers.ledger.plans import escape
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.connection import RedisError, encode
from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.ledger_time import LedgerTime

pytest_plugins = ("tests.redis_server",)

DAY = 86_400


@pytest.fixture
async def ledger(shared_redis: EmbeddedRedis) -> AsyncIterator[RedisLedger]:
    ledger = RedisLedger(shared_redis.url, timeout_s=5)
    yield ledger
    await ledger.aclose()


async def raw(ledger: RedisLedger, *parts: str | int) -> Any:
    return await ledger._connection.call(encode(*parts))


async def keys(ledger: RedisLedger, tenant: str) -> list[str]:
    found: list[bytes] = await raw(ledger, "KEYS", f"tg:{{{tenant}}}:*")
    return sorted(key.decode().split("}:")[1] for key in found)


def nanos(amount: int) -> Amounts:
    return Amounts(Nanos(amount))


def daily(tenant: str, name: str = "all", cap: int = 1_000) -> Purse:
    account = Account("user", name, (Budget(cap, "day"),), "", "Europe/Berlin")
    return Purse(tenant, (account,))


def at_once(cap: int) -> Account:
    return Account("user", "ann", (Budget(cap, "total", "at_once"),))


async def test_what_is_known_of_purses_is_not_kept_for_ever(ledger: RedisLedger) -> None:
    homes = ledger._homes
    for number in range(5_000):
        purse = Purse("t", (), per_call=(at_once(number),))
        assert homes.home_of(purse) == homes._home_by_purse[purse] == (homes.home("t"), True)
    assert len(homes._home_by_purse) < 4_097


# Keys


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("ann-1_2.x", "ann-1_2.x"),
        ("", ""),
        ("a:b", "a%3Ab"),
        ("{x}\n", "%7Bx%7D%0A"),
        ("é", "%C3%A9"),
        ("\ud800", "%ED%A0%80"),
        ("x" * 96, "x" * 96),
    ],
)
def test_a_name_as_a_part_of_a_key(name: str, key: str) -> None:
    assert escape(name) == key


def test_a_long_name_is_a_short_key_of_its_own() -> None:
    long, longer = escape("x" * 97), escape("x" * 98)
    assert long != longer
    assert {len(long), len(longer)} == {65}
    assert long[0] == "=", "which no escaped name begins with"


async def test_what_is_kept_of_a_hold_and_for_how_long(ledger: RedisLedger, tenant: str) -> None:
    pers: tuple[Per, ...] = ("minute", "hour", "day", "week", "month", "total")
    account = Account("user", "ann", tuple(Budget(100, per) for per in pers))
    wallet = Purse(tenant, (account,))
    hold = await ledger.reserve(wallet, "h", nanos(10))
    assert isinstance(hold, Hold)
    assert len(await keys(ledger, tenant)) == 3 + len(pers)
    await ledger.settle(hold, nanos(3))
    now = time.time()
    spans = {per: period(per, "UTC", now) for per in pers}
    buckets = [f"b::user:ann:usd:{span.id}" for span in spans.values()]
    assert await keys(ledger, tenant) == sorted([*buckets, "h:h", "state", "usage"])
    assert 290 < await raw(ledger, "TTL", f"tg:{{{tenant}}}:h:h") <= 300
    kept = {}
    for per, span in spans.items():
        gone = await raw(ledger, "EXPIRETIME", f"tg:{{{tenant}}}:b::user:ann:usd:{span.id}")
        kept[per] = gone - span.end if span.end else gone
    assert kept == {
        "minute": DAY,
        "hour": DAY,
        "day": 3 * DAY,
        "week": 10 * DAY,
        "month": 40 * DAY,
        "total": -1,
    }


@pytest.mark.parametrize("odd", ['a"b', '","', "a\\b", '\\"', "a\nb", "a b", "a\x7f", "a" * 2_000])
async def test_an_odd_id_is_the_one_that_is_kept(
    ledger: RedisLedger, tenant: str, odd: str
) -> None:
    wallet = Purse(tenant, (*daily(tenant).accounts, at_once(1)))
    hold = await ledger.reserve(wallet, odd, nanos(10), odd)
    assert isinstance(hold, Hold)
    assert f"h:{odd}" in await keys(ledger, tenant)
    assert isinstance(await ledger.reserve(wallet, "other", nanos(10)), Refusal)
    await ledger.settle(hold, nanos(3))
    (entry,) = await ledger.records(tenant)
    assert (entry.hold, entry.kind, entry.charged) == (odd, "settled", nanos(3))
    ledger.leave(wallet, odd)
    assert isinstance(await ledger.reserve(wallet, "other", nanos(10)), Hold)
    await ledger.void(tenant, f"{odd}1")
    with pytest.raises(LedgerDown):
        await ledger.reserve(wallet, f"{odd}1", nanos(10))


async def test_an_id_that_is_not_ascii_is_none_of_ours(ledger: RedisLedger, tenant: str) -> None:
    with pytest.raises(ValueError, match="ascii"):
        await ledger.reserve(daily(tenant), "é", nanos(10))
    assert isinstance(await ledger.reserve(daily(tenant), "h", nanos(10), "é"), Hold)


async def test_what_is_kept_is_text_that_older_gateways_read(
    ledger: RedisLedger, tenant: str
) -> None:
    most = 2**53 - 1
    wallet = Purse(tenant, (Account("user", "ann", (Budget(most, "total"),)),))
    hold = await ledger.reserve(wallet, "h", Amounts(Nanos(10**15 + 1), 300, 1), "life")
    assert isinstance(hold, Hold)
    home = f"tg:{{{tenant}}}:"
    bucket = f"{home}b::user:ann:usd:total"
    kept = f"o {10**15 + 1} 300 1 {most - 10**15 - 1}\nlife\n{tenant}\n1 0 {bucket}"
    assert await raw(ledger, "GET", f"{home}h:h") == kept.encode()
    await ledger.settle(hold, nanos(10**15))
    assert await raw(ledger, "GET", f"{home}h:h") == b"s"
    counted = await raw(ledger, "HMGET", bucket, "spent", "held")
    assert counted == [b"%d" % 10**15, b"0"]
    ((_, entry),) = await raw(ledger, "XRANGE", f"{home}usage", "-", "+")
    texts = [each.decode() for each in entry]
    fields = dict(zip(texts[::2], texts[1::2], strict=True))
    assert fields.pop("epoch")
    assert fields == {
        "seq": "1", "kind": "settled", "id": "h", "life": "life", "tenant": tenant,
        "charged": f"{10**15} 0 1", "buckets": f"1 0 {bucket}", "record": "",
    }  # fmt: skip


async def test_everything_of_a_tenant_is_in_one_slot_of_a_cluster(
    ledger: RedisLedger, tenant: str
) -> None:
    await ledger.reserve(daily(f"{tenant}}}{{x", "}{"), "h", nanos(1))
    found = await raw(ledger, "KEYS", f"tg:{{{tenant}%7D%7Bx}}:*")
    assert len(found) == 4
    tags = {key.split(b"{")[1].split(b"}")[0] for key in found}
    assert tags == {f"{tenant}%7D%7Bx".encode()}


async def test_a_cluster_takes_each_operation_as_of_one_slot(
    cluster_redis: str, tenant: str
) -> None:
    ledger = RedisLedger(cluster_redis, timeout_s=5)
    user = Account("user", "{other}", (Budget(100, "day"), Budget(90, "total")))
    wallet = Purse(tenant, (*daily(tenant).accounts, user))
    hold = await ledger.reserve(wallet, "h", nanos(10))
    assert isinstance(hold, Hold)
    assert await ledger.open_holds(tenant) == 1
    await ledger.settle(hold, nanos(3))
    assert {(b.spent, b.held) for b in await ledger.balances(wallet)} == {(3, 0)}
    await ledger.sweep([tenant])
    with pytest.raises(RedisError, match="CROSSSLOT"):
        await raw(ledger, "MGET", "{a}1", "{b}1")
    await ledger.aclose()


async def test_a_settle_long_after_its_period_leaves_nothing_behind(
    ledger: RedisLedger, tenant: str
) -> None:
    hold = await ledger.reserve(daily(tenant), "h", nanos(10))
    assert isinstance(hold, Hold)
    (bucket,) = [key for key in await keys(ledger, tenant) if key.startswith("b:")]
    await raw(ledger, "DEL", f"tg:{{{tenant}}}:{bucket}")  # as its expiry would
    await ledger.settle(hold, nanos(3))
    assert await keys(ledger, tenant) == ["h:h", "state", "usage"]


async def test_commands_kept_ready_are_bounded(ledger: RedisLedger, tenant: str) -> None:
    for number in range(10_000):
        ledger._homes.prepare(daily(tenant, f"u{number}"), 0.0)
    assert len(ledger._homes._prepared) < 5_000


# The clock


@pytest.mark.parametrize("skew_s", [-30 * DAY, -3_600, 3_600, 30 * DAY])
async def test_a_wrong_clock_here_costs_a_round_trip_and_never_a_wrong_period(
    shared_redis: EmbeddedRedis, tenant: str, skew_s: float
) -> None:
    wrong = [0.0]
    ledger = RedisLedger(shared_redis.url, timeout_s=5, clock=lambda: time.monotonic() + wrong[0])
    hourly = Purse(tenant, (Account("user", "ann", (Budget(100, "hour"),)),))
    before = period("hour", "UTC", time.time())
    await ledger.reserve(hourly, "h", nanos(1))
    wrong[0] = skew_s
    await ledger.reserve(hourly, "i", nanos(1))
    wrong[0] = -skew_s
    (balance,) = await ledger.balances(hourly)
    after = period("hour", "UTC", time.time())
    kept = {key for key in await keys(ledger, tenant) if key.startswith("b:")}
    await ledger.aclose()
    assert kept <= {f"b::user:ann:usd:{before.id}", f"b::user:ann:usd:{after.id}"}
    assert balance.held == 2 or before != after


@pytest.mark.parametrize("skew_s", [-3_600, 3_600])
async def test_a_replica_whose_clock_is_an_hour_wrong_shares_the_day_of_the_others(
    shared_redis: EmbeddedRedis, tenant: str, skew_s: float
) -> None:
    now = LedgerTime(tenant, shared_redis.url)
    replicas = [
        RedisLedger(shared_redis.url, timeout_s=5, clock=clock, scripts=now.scripts())
        for clock in (now, lambda: now() + skew_s)
    ]
    midnight = period("day", "Europe/Berlin", now()).end
    assert midnight
    for minutes in (-90, -30, -1, 1, 30, 90):
        now.to(midnight + 60 * minutes)
        for number, ledger in enumerate(replicas):
            answer = await ledger.reserve(daily(tenant, cap=60), f"h{minutes}/{number}", nanos(10))
            assert isinstance(answer, Hold)
        whole = await asyncio.gather(*(ledger.balances(daily(tenant)) for ledger in replicas))
        counted = [balance.spent + balance.held for (balance,) in whole]
        assert counted == [20 * ([-90, -30, -1, 1, 30, 90].index(minutes) % 3 + 1)] * 2
    for ledger in replicas:
        await ledger.aclose()
    now.close()


async def test_a_clock_that_never_agrees_is_a_ledger_that_is_down(
    shared_redis: EmbeddedRedis, tenant: str
) -> None:
    days = itertools.count(0, 2 * DAY)
    events: list[Event] = []
    ledger = RedisLedger(
        shared_redis.url, timeout_s=5, clock=lambda: float(next(days)), observe=events.append
    )
    with pytest.raises(LedgerDown):
        await ledger.reserve(daily(tenant), "h", nanos(1))
    with pytest.raises(LedgerDown):
        await ledger.balances(daily(tenant))
    assert await keys(ledger, tenant) == ["state"]
    await ledger.aclose()


async def test_each_operation_is_told_once(shared_redis: EmbeddedRedis, tenant: str) -> None:
    events: list[Event] = []
    ledger = RedisLedger(shared_redis.url, timeout_s=5, observe=events.append)
    hold = await ledger.reserve(daily(tenant), "h", nanos(1))
    assert isinstance(hold, Hold)
    assert isinstance(await ledger.reserve(daily(tenant, cap=0), "i", nanos(1)), Refusal)
    await ledger.settle(hold, nanos(1))
    await ledger.void(tenant, "j")
    await ledger.balances(daily(tenant))
    await ledger.open_holds(tenant)
    await ledger.sweep([tenant])
    await ledger.aclose()
    told = [(event.op, event.error) for event in events if isinstance(event, LedgerTook)]
    assert len(told) == len(events)
    ops = ("reserve", "reserve", "settle", "void", "balances", "open_holds", "sweep")
    assert told == [(op, None) for op in ops]


async def test_two_gateways_never_pass_the_cap_together(
    shared_redis: EmbeddedRedis, ledger: RedisLedger, tenant: str
) -> None:
    other = RedisLedger(shared_redis.url, timeout_s=5)
    answers = await asyncio.gather(
        *(
            gateway.reserve(daily(tenant, cap=700), f"{name}{number}", nanos(7))
            for number in range(100)
            for name, gateway in (("a", ledger), ("b", other))
        )
    )
    await other.aclose()
    assert sum(isinstance(answer, Hold) for answer in answers) == 100
