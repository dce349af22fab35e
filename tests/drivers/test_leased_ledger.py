"""What a lease does when something happens to it; its contract is in tests/contracts, its law in
test_leased_law.py.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.core.accounts import Account, Amounts, Hold, Purse, Refusal
from gateway.core.catalog import Budget
from gateway.core.errors import LedgerDown
from gateway.core.events import Event, LedgerTook
from gateway.core.leases import CALLS
from gateway.core.money import Nanos
from gateway.core.records.audit import Told
from gateway.core.records.entry import sums
from gateway.core.snapshot import Leasing
from gateway.drivers.ledger.audit import audit
from gateway.drivers.ledger.lease_homes import LeasedHome
from gateway.drivers.ledger.lease_ids import KEPT_S, LeaseIds
from gateway.drivers.ledger.lease_keeper import AGE_S, SETTLED_S
from gateway.drivers.ledger.leased_ledger import LeasedLedger
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.ledger_bench import TTL_S
from tests.ledger_leased import EagerlyLeased
from tests.ledger_time import LedgerTime

pytest_plugins = ("tests.redis_server",)

ONE = Amounts(Nanos(10), 100, 1)
COST = Amounts(Nanos(4), 30)
LEASING = Leasing(nanos=10**6, calls_per_s=1)
Open = Callable[..., EagerlyLeased]


class Stage:
    """Processes that share a server, and the time that they go by."""

    def __init__(self, url: str, tenant: str) -> None:
        self.time = LedgerTime(tenant, url)
        self.tenant = tenant
        self.events: list[Event] = []
        self._open: list[LeasedLedger | RedisLedger] = []
        self.plain = self.redis()
        self._open.append(self.plain)

    def redis(self) -> RedisLedger:
        return RedisLedger(
            self.time.url, ttl_s=TTL_S, timeout_s=5, clock=self.time, observe=self.events.append,
            scripts=self.time.scripts(),
        )  # fmt: skip

    def leased(self, leasing: Leasing = LEASING) -> EagerlyLeased:
        self._open.append(ledger := EagerlyLeased(self.redis(), self.time, leasing))
        return ledger

    def purse(self, *budgets: Budget) -> Purse:
        some = budgets or (Budget(10**6, "day"),)
        return Purse(self.tenant, (Account("tenant", self.tenant, some, self.tenant),))

    async def calls(self, ledger: LeasedLedger, purse: Purse, count: int) -> list[Hold]:
        found = []
        for number in range(count):
            name = f"{len(self.events)}-{number:08x}"
            answer = await ledger.reserve(purse, name, ONE, name)
            assert isinstance(answer, Hold), answer
            found.append(answer)
        return found

    async def stands(self, purse: Purse) -> tuple[int, int]:
        """(spent, held) as the server has it, of the first budget, when all was settled."""
        for each in self._open:
            if isinstance(each, EagerlyLeased):
                await each.inner.wait_settled()
        first = (await self.plain.balances(purse))[0]
        return first.spent, first.held

    def asked(self, op: str) -> int:
        took = [each for each in self.events if isinstance(each, LedgerTook)]
        return sum(each.op == op for each in took)

    async def close(self) -> None:
        for each in self._open:
            await each.aclose()
        self.time.close()


@pytest.fixture
async def stage(shared_redis: EmbeddedRedis, tenant: str) -> AsyncIterator[Stage]:
    made = Stage(shared_redis.url, tenant)
    yield made
    await made.close()


async def test_most_calls_ask_the_server_nothing(stage: Stage) -> None:
    ledger, purse = stage.leased(), stage.purse()
    for hold in await stage.calls(ledger, purse, CALLS):
        await ledger.settle(hold, COST)
    assert (ledger.served, ledger.taken) == (CALLS, 2)  # the second was asked for in time
    assert (stage.asked("reserve"), stage.asked("balances")) == (2, 2)
    assert (await ledger.balances(purse))[0].spent == CALLS * 4
    await ledger.recall()
    assert await stage.stands(purse) == (CALLS * 4, 0)
    assert stage.asked("settle") == 1


async def test_only_who_sends_much_has_a_lease(stage: Stage) -> None:
    stage_redis = stage.redis()
    numbers = itertools.count()
    ledger = LeasedLedger(
        stage_redis, Leasing(10**6, calls_per_s=5), clock=stage.time,
        new_id=lambda: f"{stage.tenant}-{next(numbers)}",
    )  # fmt: skip
    purse = stage.purse()
    for _ in range(6):
        await stage.calls(ledger, purse, 4)
        stage.time.move(1)
    assert ledger.taken == 0
    await stage.calls(ledger, purse, 5)
    await ledger.open_holds(stage.tenant)  # when the lease is there
    assert ledger.taken == 1
    await stage.calls(ledger, purse, 5)
    assert ledger.served == 5
    await ledger.aclose()


@pytest.mark.parametrize(
    "budget",
    [
        Budget(10**6, "minute", "requests"),
        Budget(10**6, "total", "at_once"),
        Budget(10**6, "day", mode="shadow"),
        Budget(10**6, "minute", rolling=True),  # its slots are too short
        Budget(3_000, "day", "tokens"),  # near its cap
        Budget(400, "day", mode="soft"),
    ],
    ids=str,
)
async def test_what_cannot_be_exact_goes_the_ordinary_way(stage: Stage, budget: Budget) -> None:
    ledger, purse = stage.leased(), stage.purse(Budget(10**6, "total"), budget)
    for hold in await stage.calls(ledger, purse, 5):
        await ledger.settle(hold, COST)
    assert ledger.taken == 0
    assert await stage.stands(purse) == (20, 0)


async def test_no_lease_outlives_a_period(stage: Stage) -> None:
    ledger, purse = stage.leased(), stage.purse(Budget(10**6, "minute"))
    stage.time.move(57)  # it is noon; a lease serves for two seconds, the clock is known to two
    await stage.calls(ledger, purse, 1)
    assert ledger.served == 0
    stage.time.move(10)
    await stage.calls(ledger, purse, 2)
    assert ledger.served == 2


@pytest.mark.parametrize("late_s", [0.0, 4.0], ids=["in time", "late"])
async def test_a_call_that_goes_on_counts_in_the_period_it_began_in(
    stage: Stage, late_s: float
) -> None:
    ledger, purse = stage.leased(), stage.purse(Budget(10**6, "minute"))
    stage.time.move(50)
    short, long = await stage.calls(ledger, purse, 2)
    await ledger.settle(short, COST)
    stage.time.move(6.5 + late_s)
    await ledger.ticked()
    assert await stage.stands(purse) == ((0, 0) if late_s else (4, 10))
    stage.time.move(10)
    await ledger.ticked()
    await ledger.settle(long, COST)
    assert await stage.stands(purse) == (0, 0)
    (spent,) = sums(await stage.plain.records(stage.tenant)).items()
    assert spent[0][0].endswith("12:00")
    assert spent[1] == 8


async def test_a_clock_that_went_wrong_is_looked_at_first(stage: Stage) -> None:
    ledger, purse = stage.leased(), stage.purse(Budget(10**6, "day"))
    await stage.calls(ledger, purse, 1)
    assert ledger.served == 1
    ledger.inner._homes._clock_offset -= (
        12 * 3_600 - 30
    )  # it takes the last second of the day for noon
    stage.time.move(12 * 3_600 - 1)
    await stage.calls(ledger, purse, 1)
    assert ledger.served == 1


async def test_a_killed_process_leaves_its_slice_charged_and_one_record(stage: Stage) -> None:
    ledger, purse = stage.leased(), stage.purse()
    for hold in (await stage.calls(ledger, purse, 7))[:5]:
        await ledger.settle(hold, COST)
    assert await stage.stands(purse) == (0, CALLS * 10)
    stage.time.move(TTL_S)  # nobody looks after it
    await stage.plain.sweep([stage.tenant])
    assert await stage.stands(purse) == (CALLS * 10, 0)
    (entry,) = await stage.plain.records(stage.tenant)
    assert (entry.kind, entry.charged) == ("expired", Amounts(Nanos(CALLS * 10)))
    assert sums([entry]) == await stage.plain.counted(stage.tenant)


async def test_who_was_only_slow_corrects_that(stage: Stage) -> None:
    ledger, purse = stage.leased(), stage.purse()
    first, second = await stage.calls(ledger, purse, 2)
    await ledger.settle(first, COST)
    stage.time.move(TTL_S)
    await stage.plain.sweep([stage.tenant])
    await ledger.ticked()
    await ledger.settle(second, COST)
    assert await stage.stands(purse) == (8, 0)
    entries = await stage.plain.records(stage.tenant)
    assert [(each.kind, each.charged.nanos) for each in entries] == [
        ("expired", 320),
        ("settled", 4),
        ("corrected", -320),
        ("settled", 4),
    ]
    assert {counter: n for counter, n in sums(entries).items() if n} == await stage.plain.counted(
        stage.tenant
    )
    told = Told()
    for each in (*entries, *entries):
        told.add(each)
    assert (told.missing, told.sums) == (0, sums(entries)), "an entry counts once"


async def test_a_call_that_goes_on_is_held_by_itself(stage: Stage) -> None:
    ledger, purse = stage.leased(), stage.purse()
    short, long = await stage.calls(ledger, purse, 2)
    await ledger.settle(short, COST)
    stage.time.move(AGE_S)
    await ledger.ticked()
    assert await stage.stands(purse) == (0, CALLS * 10), "it is under way"
    stage.time.move(SETTLED_S - AGE_S)
    await ledger.ticked()
    assert await stage.stands(purse) == (4, 10)
    assert await ledger.open_holds(stage.tenant) == 1
    for _ in range(2):
        await ledger.settle(long, COST)
    assert await stage.stands(purse) == (8, 0)
    holds = [each.hold for each in await stage.plain.records(stage.tenant)]
    assert holds == [short.id, f"{long.id}~"]


async def test_a_call_and_a_hold_of_it_that_expired_are_told_apart(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That hold was not answered: the call is charged by its lease, and the hold given back."""
    ledger, purse = stage.leased(), stage.purse()
    (long,) = await stage.calls(ledger, purse, 1)
    reserve, voids = ledger.inner.reserve, list[str]()

    async def unanswered(
        purse: Purse, hold_id: str, amounts: Amounts, life: str = ""
    ) -> Hold | Refusal:
        await reserve(purse, hold_id, amounts, life)
        voids.append(hold_id)
        raise LedgerDown("the ledger is unavailable (lost)")

    monkeypatch.setattr(ledger.inner, "reserve", unanswered)
    stage.time.move(SETTLED_S)
    await ledger.ticked()
    stage.time.move(TTL_S)
    await stage.plain.sweep([stage.tenant])
    for hold_id in voids:
        await ledger.inner.void(stage.tenant, hold_id)
    await ledger.settle(long, COST)
    assert await stage.stands(purse) == (4, 0)
    found = await audit(stage.plain, stage.tenant, Told(), stage.time)
    assert (found.missing, found.differences) == (0, ())


async def test_a_call_that_cannot_be_held_by_itself_keeps_its_lease(stage: Stage) -> None:
    ledger, purse = stage.leased(), stage.purse(Budget(100_000, "total"))
    short, long = await stage.calls(ledger, purse, 2)
    others = await stage.plain.reserve(purse, f"{stage.tenant}-o", Amounts(Nanos(100_000 - 320)))
    assert isinstance(others, Hold)
    await ledger.settle(short, COST)
    for _ in range(3):
        stage.time.move(SETTLED_S)
        await ledger.ticked()
        assert await stage.stands(purse) == (0, 100_000)
    await ledger.settle(long, COST)
    assert await stage.stands(purse) == (8, 100_000 - 320)


async def test_near_a_cap_every_call_asks_and_the_last_one_fits(stage: Stage) -> None:
    """What was held ahead, also for others, is given up before anybody is refused."""
    cap = 10_000
    tenant = Account("tenant", stage.tenant, (Budget(cap, "total"),), stage.tenant)
    own = Account("user", "ann", (Budget(10**6, "total"),), stage.tenant)
    ledger, purse = stage.leased(Leasing(10**6, 1, share=2)), Purse(stage.tenant, (tenant,))
    (hold,) = await stage.calls(ledger, Purse(stage.tenant, (tenant, own)), 1)
    await ledger.settle(hold, COST)
    assert ledger.served
    assert await stage.stands(purse) == (0, 320)
    rest = await ledger.reserve(purse, f"{stage.tenant}-rest", Amounts(Nanos(cap - 4)))
    assert isinstance(rest, Hold)
    assert [(each.percent, each.first) for each in rest.warned] == [(100, True)]
    more = await ledger.reserve(purse, f"{stage.tenant}-more", ONE)
    assert isinstance(more, Refusal)
    assert (more.left, more.first) == (0, False), "it is told once"
    assert await stage.stands(purse) == (4, cap - 4)


async def test_all_that_one_process_holds_ahead_of_a_home_is_bounded(stage: Stage) -> None:
    ledger = stage.leased(Leasing(1_000, 1))
    tenant = Account("tenant", stage.tenant, (Budget(10**6, "day"),), stage.tenant)
    for user in range(30):
        own = Account("user", f"u{user}", (Budget(10**6, "day"),), stage.tenant)
        await stage.calls(ledger, Purse(stage.tenant, (tenant, own)), 1)
        ordinary = user + 1 - ledger.served
        assert (await stage.stands(stage.purse()))[1] - 10 * ordinary <= 1_000
    assert 0 < ledger.served < 30


async def test_a_bill_above_its_slice_is_known_at_once(stage: Stage) -> None:
    ledger, purse = stage.leased(), stage.purse()
    first, other = await stage.calls(ledger, purse, 2)
    await ledger.settle(first, Amounts(Nanos(5_000)))
    await ledger.ticked()
    assert await stage.stands(purse) == (5_000, 10)
    await ledger.settle(other, COST)
    assert await stage.stands(purse) == (5_004, 0)


async def test_another_cap_holds_from_the_next_call_on(stage: Stage) -> None:
    ledger = stage.leased()
    (hold,) = await stage.calls(ledger, stage.purse(Budget(10**6, "total")), 1)
    lower = stage.purse(Budget(300, "total"))
    answer = await ledger.reserve(lower, f"{stage.tenant}-l", ONE)
    assert isinstance(answer, Refusal), "the slice counts"
    await ledger.settle(hold, COST)
    assert isinstance(await ledger.reserve(lower, f"{stage.tenant}-m", ONE), Hold)


async def test_a_void_call_costs_nothing(stage: Stage) -> None:
    ledger, purse = stage.leased(), stage.purse()
    never, made = await stage.calls(ledger, purse, 2)
    await ledger.void(stage.tenant, never.id)
    await ledger.settle(never, COST)
    await ledger.settle(made, COST)
    await ledger.recall()
    assert await stage.stands(purse) == (4, 0)


async def test_a_lease_that_served_nobody_leaves_no_entry(stage: Stage) -> None:
    ledger, purse = stage.leased(), stage.purse()
    (hold,) = await stage.calls(ledger, purse, 1)
    await ledger.void(stage.tenant, hold.id)
    await ledger.aclose()
    assert await stage.stands(purse) == (0, 0)
    assert await stage.plain.records(stage.tenant) == ()


async def test_what_is_out_when_the_ledger_ends_is_settled_first(stage: Stage) -> None:
    ledger, purse = stage.leased(), stage.purse()
    ended, _ = await stage.calls(ledger, purse, 2)
    await ledger.settle(ended, COST)
    await ledger.aclose()
    assert await stage.stands(purse) == (4, 10), "as without a lease: until its time is over"
    assert [each.hold for each in await stage.plain.records(stage.tenant)] == [ended.id]


async def test_the_server_is_away_while_a_lease_is_out(
    own_redis: EmbeddedRedis, tenant: str
) -> None:
    """What is held is held: it is spent; what it did cost is told when the server is back."""
    stage = Stage(own_redis.url, tenant)
    ledger, purse = stage.leased(), stage.purse()
    (first,) = await stage.calls(ledger, purse, 1)
    own_redis.stop()
    second = await LeasedLedger.reserve(ledger, purse, f"{tenant}-0000aaaa", ONE)
    assert isinstance(second, Hold)
    for hold in (first, second):
        await ledger.settle(hold, COST)
    ledger._keeper.next(ledger._keeper.heats.record_call(purse, stage.time.now))
    await ledger.inner.wait_settled()
    assert ledger.inner.owed == 1
    own_redis.start()
    await ledger.aclose()
    assert await stage.stands(purse) == (8, 0)
    await stage.close()


async def test_a_cluster_has_leases_and_keeps_about_as_many_records(cluster_redis: str) -> None:
    kept, numbers = 300, itertools.count()
    redis = RedisLedger(cluster_redis, timeout_s=5, max_entries=kept)
    ledger = LeasedLedger(
        redis, LEASING, clock=time.monotonic, new_id=lambda: f"lease{next(numbers)}"
    )
    budget = Budget(10**12, "total")
    purse = Purse("acme", (Account("tenant", "acme", (budget,), "acme"),))
    for number in range(5_000):
        if number % 8 == 0:
            await asyncio.sleep(0)  # their leases are asked for meanwhile
        hold = await ledger.reserve(purse, f"h{number:08x}", ONE)
        assert isinstance(hold, Hold)
        ledger.settle(hold, COST)
    assert ledger.served > 2_500
    await ledger.recall()
    await redis.wait_settled()
    assert (await redis.balances(purse))[0].spent == 5_000 * COST.nanos
    assert kept <= len(await redis.records("acme", count=10**6)) < 8 * kept
    await ledger.aclose()


def test_a_book_is_kept_as_long_by_its_records_as_without_leases() -> None:
    home = LeasedHome("h")
    shares = []
    for _ in range(64):
        home.count_entry(32)
        home.count_entry(1)
        shares.append(home.share_to_keep())
    assert shares[:-1] == [None] * 63
    assert shares[-1] == pytest.approx(2 / 33)


def test_ids_are_known_for_some_minutes() -> None:
    now = [0.0]
    ids = LeaseIds(lambda: now[0])
    names = ("p00000001", "p00000002", "pFF", "x", "", "ключ")
    assert [ids.add(name) for name in (*names, *names)] == [True] * 6 + [False] * 6
    ids.discard("p00000001")
    assert [ids.has(name) for name in names] == [False, True, True, True, True, True]
    for gone in (False, True):
        now[0] += KEPT_S
        for number in range(1_024):
            ids.add(f"q{gone}{number:08x}")
        assert ids.has("p00000002") is not gone
