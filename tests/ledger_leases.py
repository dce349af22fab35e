"""The law of leases: whatever several processes are asked, in whatever order, no cap is passed, and
in the end each call is charged once, at what it did cost, in the period it began in; of a process
that was killed never less.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Coroutine
from typing import Any, ClassVar, Final

import uvloop
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)
from msgspec import Struct

from gateway.core.accounts import Account, Amounts, Hold, Purse
from gateway.core.catalog import Budget
from gateway.core.chat import Usage
from gateway.core.money import Nanos
from gateway.core.periods import period
from gateway.core.records.entry import Entry, sums
from gateway.core.records.record import UsageRecord
from gateway.core.snapshot import Leasing
from gateway.drivers.ledger.leased_ledger import LeasedLedger
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.ledger_bench import TTL_S
from tests.ledger_leased import never
from tests.ledger_time import LedgerTime

HOME: Final = "acme"
WORKERS: Final = 3
LEASING: Final = Leasing(nanos=400, calls_per_s=1, share=2, least=1)
CAPS: Final = (
    Budget(1_500, "total"),
    Budget(900, "minute"),
    Budget(1_200, "hour", rolling=True),
    Budget(5_000, "hour", "tokens"),
)


def purse(user: str) -> Purse:
    own = Account("user", user, (Budget(1_000, "total"), Budget(800, "day", mode="soft")), HOME)
    return Purse(HOME, (Account("tenant", HOME, CAPS, HOME), own))


PURSES: Final = (purse("ann"), purse("ben"))
_NUMBERS: Final = itertools.count()


def call_of(entry: Entry) -> str:
    """The id of the call; its own hold has another, where a lease served it first."""
    return entry.hold.removesuffix("~")


class Called(Struct):
    """A call of a worker, and what it costs in the end: at most its ceiling."""

    worker: "Worker"
    hold: Hold
    cost: Amounts
    minute: str
    """In which it began."""
    settled: bool = False


class Worker:
    def __init__(self, redis: RedisLedger, time: LedgerTime) -> None:
        self.redis = redis
        self.killed = False
        self.ledger = LeasedLedger(
            redis, LEASING, clock=time, new_id=lambda: f"lease-{next(_NUMBERS)}", sleep=never
        )

    async def ticked(self) -> None:
        await self.ledger.tick()
        await self.done()

    async def done(self) -> None:
        """All that it does in the background."""
        while tasks := self.ledger._keeper.tasks:
            await asyncio.wait(tasks)

    async def kill(self) -> None:
        """Nothing more comes of it: its leases are never settled."""
        self.killed = True
        await self.done()
        await self.ledger._keeper.stop()
        await self.redis.aclose()


class Leases(RuleBasedStateMachine):
    loop: ClassVar[asyncio.AbstractEventLoop]
    time: ClassVar[LedgerTime]
    served: ClassVar[Counter[str]]
    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.time.start_again()
        self.looks = self.redis()
        self.workers = [Worker(self.redis(), self.time) for _ in range(WORKERS)]
        self.all: list[Called] = []

    def redis(self) -> RedisLedger:
        return RedisLedger(
            self.time.url, ttl_s=TTL_S, timeout_s=30, clock=self.time, scripts=self.time.scripts()
        )

    def run(self, asked: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asked)

    @rule(
        target=calls,
        which=st.integers(0, WORKERS - 1),
        whose=st.sampled_from(PURSES),
        ceiling=st.integers(0, 12),
        cost=st.floats(0, 1),
        together=st.integers(1, 8),
    )
    def reserve(
        self, which: int, whose: Purse, ceiling: int, cost: float, together: int
    ) -> list[Called]:
        """Some calls at once, of one worker."""
        worker = self.workers[which]
        wanted = Amounts(Nanos(ceiling), ceiling * 3, 1)
        costs = Amounts(Nanos(int(ceiling * cost)), int(ceiling * 3 * cost))

        async def asked() -> list[Called]:
            called = []
            minute = period("minute", "UTC", self.time.now).id
            for _ in range(together):
                name = f"h{next(_NUMBERS):08x}"
                answer = await worker.ledger.reserve(whose, name, wanted, name)
                await worker.done()  # its next call has a lease, if there can be one
                if isinstance(answer, Hold):
                    called.append(Called(worker, answer, costs, minute))
            return called

        called: list[Called] = self.run(asked())
        self.all += called
        return called

    @rule(some=calls, again=st.booleans())
    def settle(self, some: list[Called], again: bool) -> None:
        """The ledger knows for some minutes that a hold was settled."""
        fresh = [each for each in some if not each.settled]
        self.run(self.settled(fresh * (2 if again else 1)))

    async def settled(self, some: list[Called]) -> None:
        for each in some:
            if not each.worker.killed:
                name = each.hold.id
                record = UsageRecord(
                    name, name, HOME, "r", "m", "p", "t", "answer", "ok",
                    each.hold.amounts.nanos, each.cost.nanos, Usage(each.cost.tokens, 0),
                )  # fmt: skip
                await each.worker.ledger.settle(each.hold, each.cost, record)
                each.settled = True

    @rule(some=consumes(calls))
    def void(self, some: list[Called]) -> None:
        """Those calls were never made."""
        for each in some:
            if not each.worker.killed and not each.settled:
                self.run(each.worker.ledger.void(HOME, each.hold.id))
                each.cost = Amounts(Nanos(0))

    @rule(seconds=st.sampled_from([0.3, 1.0, 2.5, 12.0, 70.0, 700.0]))
    def wait(self, seconds: float) -> None:
        """As time passes: all that live look after what they lease."""
        for each in self.workers:
            self.run(each.ticked())
        until = self.time.now + seconds
        while self.time.now < until:
            self.time.move(min(5.0, until - self.time.now))
            for each in self.workers:
                self.run(each.ticked())

    @rule(seconds=st.sampled_from([5.0, 700.0]))
    def sleep(self, seconds: float) -> None:
        """Nobody looks after anything meanwhile."""
        self.time.move(seconds)

    @rule(which=st.integers(0, WORKERS - 1))
    def kill(self, which: int) -> None:
        self.run(self.workers[which].kill())
        self.workers[which] = Worker(self.redis(), self.time)

    @invariant()
    def no_cap_is_passed(self) -> None:
        for whose in PURSES:
            for each in self.run(self.looks.balances(whose)):
                if each.budget.mode == "hard":
                    assert each.spent + each.held <= each.budget.cap, each

    def teardown(self) -> None:
        self.run(self.over())

    async def over(self) -> None:
        await self.settled([each for each in self.all if not each.settled])
        for each in self.workers:
            self.served["leased"] += each.ledger.served
            self.served["leases"] += each.ledger.taken
            await each.ledger.aclose()
        self.time.move(TTL_S + 1)
        await self.looks.sweep([HOME])
        entries = await self.looks.records(HOME, count=100_000)
        counted = await self.looks.counted(HOME)
        told = sums(entries)
        assert counted == {key: told[key] for key in counted}, "the book explains the counters"
        charged: Counter[str] = Counter()
        for entry in entries:
            charged[call_of(entry)] += entry.charged.nanos
            if entry.kind == "settled" and entry.record is not None:
                assert entry.charged.nanos == entry.record.cost
        lived = [each for each in self.all if not each.worker.killed]
        wrong = {
            each.hold.id: (charged[each.hold.id], each.cost.nanos)
            for each in lived
            if charged[each.hold.id] != each.cost.nanos
        }
        assert not wrong, f"charged, and what it did cost: {wrong}"
        began = {each.hold.id: each.minute for each in lived}
        for entry in entries:
            if entry.kind == "settled" and call_of(entry) in began:
                assert any(each.key.endswith(began[call_of(entry)]) for each in entry.buckets)
        total = sum(charged.values())
        owed = sum(each.cost.nanos for each in self.all if each.settled)
        assert total >= owed, "never too little"
        if len(lived) == len(self.all):
            assert total == owed
        assert await self.looks.open_holds(HOME) == 0
        for whose in PURSES:
            assert all(each.held == 0 for each in await self.looks.balances(whose))
        await self.looks.aclose()


async def cancel_the_rest() -> None:
    """Of a history that failed."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


def run_lease_histories(server: EmbeddedRedis, count: int) -> Counter[str]:
    """How many calls were leased, and how many leases that took."""

    class Machine(Leases):
        loop = uvloop.new_event_loop()
        time = LedgerTime(HOME, server.url)
        served: ClassVar[Counter[str]] = Counter()

    try:
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=count,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
    finally:
        Machine.time.close()
        Machine.loop.run_until_complete(cancel_the_rest())
        Machine.loop.close()
    return Machine.served
