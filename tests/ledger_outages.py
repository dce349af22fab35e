"""The law of `allow_local`: however often several processes lose their ledger, find it again, or
are killed, in the end each call is charged once, at what it did cost; of a process that was killed
at its ceiling. Where all are cut off together, no cap is passed.
"""

import asyncio
import itertools
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec import Struct

from gateway.core.accounts import Account, Amounts, Balance, Hold, Purse, Refusal
from gateway.core.catalog import Budget, Tenant
from gateway.core.errors import LedgerDown
from gateway.core.money import Nanos
from gateway.core.periods import period
from gateway.core.ports import DONE
from gateway.core.records.entry import Entry, sums
from gateway.core.records.record import UsageRecord
from gateway.drivers.ledger.local_ledger import SETTLE_S, LocalLedger
from gateway.drivers.ledger.memory_ledger import MemoryLedger
from gateway.drivers.redis.wire import RedisError
from tests.ledger_bench import TTL_S
from tests.ledger_time import LedgerTime

HOME: Final = "acme"
WORKERS: Final = 3
TENANTS: Final = (Tenant(HOME, on_ledger_unavailable="allow_local"),)
CAPS: Final = (
    Budget(400, "total"),
    Budget(200, "minute"),
    Budget(300, "hour", rolling=True),
    Budget(9, "total", "at_once"),
)
_NUMBERS: Final = itertools.count()


def purse(user: str) -> Purse:
    own = Account("user", user, (Budget(300, "total"), Budget(90, "minute")), HOME)
    return Purse(HOME, (Account("tenant", HOME, CAPS, HOME), own))


PURSES: Final = (purse("ann"), purse("ben"))


def call_of(hold_id: str) -> str:
    """The id of the call: what it is held under here, or later at the ledger, is another."""
    return hold_id.rstrip("!~")


class Link:
    """One process's way to the server, as RedisLedger is: what fails is owed until it gets through.

    The answer of a reserve may be `lost`: then it is executed all the same, at once or when the
    server is there again, and voided after that.
    """

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self.away = False
        self.lost = ""
        self.owed: list[Callable[[], Awaitable[object]]] = []
        self.first_expiry = self._ledger.first_expiry
        self.sweep = self._ledger.sweep
        self.records = self._ledger.records
        self.counted = self._ledger.counted
        self.load = self._ledger.load

    def _check(self) -> None:
        if self.away:
            raise LedgerDown("away") from RedisError("unreachable", "away", sent=False)

    async def reserve(
        self, purse: Purse, hold_id: str, amounts: Amounts, life: str = ""
    ) -> Hold | Refusal:
        await asyncio.sleep(0)
        lost, self.lost = self.lost, ""
        if lost and not self.away:

            async def late() -> None:
                with suppress(LedgerDown):  # voided before it arrived
                    await self._ledger.reserve(purse, hold_id, amounts, life)

            if lost == "answer":
                await late()
            else:
                self.owed.append(late)
            self.owed.append(lambda: self._ledger.void(purse.home, hold_id))
            self.away = True
            raise LedgerDown("lost") from RedisError("lost", "lost", sent=True)
        self._check()
        return await self._ledger.reserve(purse, hold_id, amounts, life)

    def settle(
        self, hold: Hold, actual: Amounts, record: UsageRecord | None = None
    ) -> Awaitable[None]:
        async def settle() -> None:
            self._ledger.settle(hold, actual, record)

        if self.away:
            self.owed.append(settle)
        else:
            self._ledger.settle(hold, actual, record)
        return DONE

    def leave(self, purse: Purse, life: str) -> None:
        async def leave() -> None:
            self._ledger.leave(purse, life)

        if self.away:
            self.owed.append(leave)
        else:
            self._ledger.leave(purse, life)

    def renew_places(self) -> None:
        if not self.away:
            self._ledger.renew_places()

    async def void(self, home: str, hold_id: str) -> None:
        await asyncio.sleep(0)
        if self.away:
            self.owed.append(lambda: self._ledger.void(home, hold_id))
        else:
            await self._ledger.void(home, hold_id)

    async def charge(
        self, purse: Purse, call: str, at: float, actual: Amounts, record: UsageRecord | None = None
    ) -> None:
        await asyncio.sleep(0)
        self._check()
        await self._ledger.charge(purse, call, at, actual, record)

    async def balances(self, purse: Purse) -> tuple[Balance, ...]:
        await asyncio.sleep(0)
        self._check()
        return await self._ledger.balances(purse)

    async def open_holds(self, home: str) -> int:
        await asyncio.sleep(0)
        self._check()
        return await self._ledger.open_holds(home)

    async def found_again(self) -> None:
        self.away = False
        owed, self.owed = self.owed, []
        for each in owed:
            await each()

    async def aclose(self) -> None:
        """Nothing is open."""


class Worker:
    def __init__(self, server: MemoryLedger, time: LedgerTime, folder: Path) -> None:
        self.link = Link(server)
        self.killed = False
        self.ledger = LocalLedger(
            self.link, TENANTS, folder, replicas=WORKERS, observe=lambda _: None, clock=time,
            wall=time,
        )  # fmt: skip

    async def start(self, *, away: bool) -> None:
        self.link.away = away
        await self.ledger.start()
        for task in self.ledger._tasks:  # time passes when a test says so: see `tick`
            task.cancel()
        await asyncio.wait(self.ledger._tasks)
        self.ledger._tasks = []

    async def tick(self) -> None:
        """What goes on in the background, once."""
        ledger = self.ledger
        away = [home for home, each in ledger._outages.items() if each.until is None]
        if away:
            await ledger._probe(away)
        elif ledger._books.unpaid:
            await ledger._books.pay()
        ledger._end_outages()
        await ledger._refresh_stale()

    async def know(self) -> None:
        """What is left, as of now."""
        for whose in PURSES:
            with suppress(LedgerDown):
                await self.ledger.balances(whose)

    def kill(self) -> None:
        self.killed = True
        self.link.owed.clear()
        if journal := self.ledger._books._journal:
            os.close(journal._file)


class Called(Struct):
    """A call of a worker, and what it costs in the end: at most its ceiling."""

    worker: Worker
    purse: Purse
    hold: Hold
    name: str
    cost: int
    at: float
    settled: bool = False
    killed: bool = False
    """Its process, before what it did cost was written anywhere."""


class History:
    """What happens to some processes, drawn by `seed`. `apart`: also what lets a cap be passed by a
    share, as one that is cut off alone.
    """

    def __init__(self, seed: int, folder: Path, seen: Counter[str], *, apart: bool) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - not a secret
        self.folder = folder
        self.seen = seen
        self.apart = apart
        self.time = LedgerTime(HOME)
        self.server = MemoryLedger(self.time, TTL_S, max_entries=10**6)
        self.workers: list[Worker] = []
        self.all: list[Called] = []
        self.asked: dict[str, tuple[Worker, int]] = {}
        """Every call that was asked for, with its ceiling."""
        self.aged = False
        """Whether a request went on for longer than its place lives: nobody renews them here."""

    async def run(self) -> None:
        for _ in range(WORKERS):
            self.workers.append(await self.started(away=False))
        steps: dict[Callable[[], Awaitable[None]], float] = {
            self.reserve: 12, self.settle: 2, self.tick: 3, self.find_again: 3, self.wait: 3,
            self.cut_all: 3, self.kill: 0.6,
        }  # fmt: skip
        if self.apart:
            steps |= {self.cut_one: 0.7, self.all_at_once: 2}
        for _ in range(self.chance.randint(5, 70)):
            (step,) = self.chance.choices([*steps], [*steps.values()])
            await step()
            self.no_cap_is_passed()
        await self.over()

    async def started(self, *, away: bool) -> Worker:
        worker = Worker(self.server, self.time, self.folder)
        await worker.start(away=away)
        return worker

    def anyone(self) -> Worker:
        return self.chance.choice(self.workers)

    async def reserve(self) -> None:
        """Some calls, one after the other."""
        worker, whose = self.anyone(), self.chance.choice(PURSES)
        for _ in range(self.chance.randint(1, 4)):
            if self.apart and self.chance.random() < 0.1:
                worker.link.lost = self.chance.choice(["answer", "question"])
            await self.call(worker, whose)

    async def call(self, worker: Worker, whose: Purse) -> None:
        name, ceiling = f"h{next(_NUMBERS):08x}", self.chance.randint(0, 40)
        cost, at = self.chance.randint(0, ceiling), self.time.now
        self.asked[name] = worker, ceiling
        answer: Hold | Refusal | None = None
        with suppress(LedgerDown):
            answer = await worker.ledger.reserve(whose, name, Amounts(Nanos(ceiling), 0, 1), name)
        worker.link.lost = ""
        if isinstance(answer, Hold):
            self.seen["alone" if answer.id != name else "held"] += 1
            self.all.append(Called(worker, whose, answer, name, cost, at))
        else:
            worker.ledger.leave(whose, name)

    async def settle(self) -> None:
        for call in self.chance.sample(self.all, min(len(self.all), 4)):
            self.end(call)

    def end(self, call: Called) -> None:
        if not (call.settled or call.worker.killed):
            call.worker.ledger.settle(call.hold, Amounts(Nanos(call.cost)))
            call.worker.ledger.leave(call.purse, call.name)
            call.settled = True

    async def tick(self) -> None:
        await self.anyone().tick()

    async def cut_all(self) -> None:
        """When each has just read what is left, and none still goes by an older share."""
        if not self.apart:
            await self.wait_for(SETTLE_S + 1)
        for worker in self.workers:
            await worker.know()
        for worker in self.workers:
            worker.link.away = True

    async def cut_one(self) -> None:
        self.anyone().link.away = True

    async def find_again(self) -> None:
        """Each finds out within the time in which share and ledger have to agree."""
        self.chance.shuffle(self.workers)
        for worker in self.workers:
            await worker.link.found_again()
        for worker in self.workers:
            await worker.tick()

    async def all_at_once(self) -> None:
        """Each begins some turns of the event loop after the one before it."""

        async def step(turns: int) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            worker = self.anyone()
            kind = self.chance.randrange(5)
            if kind == 0:
                await self.call(worker, self.chance.choice(PURSES))
            elif kind == 1:
                await worker.tick()
            elif kind == 2:
                worker.link.away = True
            elif kind == 3:
                await worker.link.found_again()
            else:
                await self.settle()

        turns = [self.chance.randrange(13) for _ in range(self.chance.randint(2, 6))]
        await asyncio.gather(*map(step, turns))

    async def wait(self) -> None:
        await self.wait_for(self.chance.choice([0.3, 2.0, SETTLE_S + 1, 61.0, 61.0, 61.0, 700.0]))

    async def wait_for(self, seconds: float) -> None:
        self.time.move(seconds)
        under_way = (call for call in self.all if not (call.settled or call.killed))
        self.aged = self.aged or any(self.time.now - call.at >= TTL_S for call in under_way)
        for worker in self.workers:
            await worker.tick()

    async def kill(self) -> None:
        """And another one is started."""
        worker = self.anyone()
        self.seen["killed"] += 1
        worker.kill()
        for call in self.all:
            if call.worker is worker and not call.settled:
                call.killed = True
        self.workers.remove(worker)
        self.workers.append(await self.started(away=worker.link.away))

    def no_cap_is_passed(self) -> None:
        for whose in () if self.apart else PURSES:
            for account in whose.accounts:
                for budget in account.budgets:
                    assert self.taken(account, budget) <= budget.cap, (account.name, budget)

    def taken(self, account: Account, budget: Budget) -> int:
        """What calls have cost that count now, and what those under way may."""
        calls = [call for call in self.all if account in call.purse.accounts]
        if budget.meter == "at_once":
            return 0 if self.aged else sum(not (each.settled or each.killed) for each in calls)
        if budget.rolling:
            calls = [call for call in calls if self.time.now - call.at < 3_600]
        elif budget.per == "minute":
            now = period("minute", "UTC", self.time.now).id
            calls = [call for call in calls if period("minute", "UTC", call.at).id == now]
        return sum(call.cost if call.settled else call.hold.amounts.nanos for call in calls)

    async def over(self) -> None:
        await self.find_again()
        await self.wait_for(SETTLE_S + 1)
        for call in self.all:
            self.end(call)
        for _ in range(2):
            await self.wait_for(SETTLE_S + 1)
        for worker in self.workers:
            assert not worker.ledger._outages
            assert worker.ledger.owed == 0
            await worker.ledger.aclose()
        assert not [*self.folder.iterdir()], "all journals are charged"
        self.time.move(TTL_S + 1)
        await self.server.sweep([HOME])
        entries = await self.server.records(HOME, count=10**6)
        self.each_is_charged_once(entries)
        counted, told = await self.server.counted(HOME), sums(entries)
        assert counted == {key: told[key] for key in counted}, "the book explains the counters"
        assert await self.server.open_holds(HOME) == 0
        for whose in PURSES:
            assert all(each.held == 0 for each in await self.server.balances(whose))

    def each_is_charged_once(self, entries: Iterable[Entry]) -> None:
        charged: Counter[str] = Counter()
        for entry in entries:
            charged[call_of(entry.hold)] += entry.charged.nanos
        made = {call.name: call for call in self.all}
        for name, (worker, ceiling) in self.asked.items():
            call = made.get(name)
            if call is None:
                right = {0, ceiling} if worker.killed else {0}
            elif call.killed:
                right = {ceiling}
            else:  # the settle of one that was killed then may have been owed
                right = {call.cost, ceiling} if worker.killed else {call.cost}
            assert charged[name] in right, (name, charged[name], right, call)


async def run_outages(histories: int) -> Counter[str]:
    """How many calls were held by the ledger, and alone, and how many processes were killed."""
    seen: Counter[str] = Counter()
    for seed in range(histories):
        with TemporaryDirectory() as folder:
            try:
                await History(seed, Path(folder), seen, apart=seed % 2 == 1).run()
            except BaseException as error:
                error.add_note(f"in the history of seed {seed}")
                raise
    return seen
