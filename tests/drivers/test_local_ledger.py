"""`allow_local`: what is spent while Redis is away stays within the shares, and is charged then."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from redis import Redis

from gateway.core.accounts import Account, Amounts, Hold, Purse, Refusal
from gateway.core.catalog import Budget, Meter, Mode, Tenant
from gateway.core.chat import Usage
from gateway.core.errors import LedgerDown
from gateway.core.events import Event, HoldsExpired
from gateway.core.money import Nanos
from gateway.core.records.audit import Difference, Told
from gateway.core.records.line import entry_of, line_of
from gateway.core.records.record import UsageRecord
from gateway.drivers.ledger.audit import audit
from gateway.drivers.ledger.local_books import Outage
from gateway.drivers.ledger.local_journal import journals
from gateway.drivers.ledger.local_ledger import SETTLE_S, LocalLedger
from gateway.drivers.ledger.memory_ledger import MemoryLedger
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.drivers.redis.wire import RedisError
from gateway.stores import probe
from tests.drivers.full_disk import files_no_larger_than
from tests.in_time import at_once, in_time
from tests.ledger_leased import EagerlyLeased
from tests.ledger_time import NOON
from tests.patience import PATIENT_S, back, limit
from tests.promises import Reached

pytest_plugins = ("tests.redis_server",)

TENANTS = (Tenant("acme", on_ledger_unavailable="allow_local"), Tenant("other"))
LIMIT_S = 0.25
TEN = Amounts(Nanos(10), 10, 1)


def purse(*budgets: Budget, tenant: str = "acme") -> Purse:
    return Purse(tenant, (Account("tenant", tenant, budgets, tenant),))


HUNDRED = purse(Budget(100, "total"))


class Clock:
    ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


class Gate:
    """One gateway's ledger."""

    def __init__(
        self, ledger: LocalLedger, leased: EagerlyLeased | None, inner: RedisLedger,
        events: list[Event], clock: Clock,
    ) -> None:  # fmt: skip
        self.ledger = ledger
        self.leased = leased
        self.inner = inner
        self.events = events
        self.clock = clock

    async def know(self, purse: Purse = HUNDRED) -> None:
        """What is left."""
        await self.ledger.balances(purse)

    async def take(
        self, hold_id: str, purse: Purse = HUNDRED, amounts: Amounts = TEN
    ) -> Hold | None:
        """The hold; None when it is refused, or the ledger said to be down."""
        try:
            answer = await self.ledger.reserve(purse, hold_id, amounts)
        except LedgerDown:
            return None
        return answer if isinstance(answer, Hold) else None

    async def take_all(self, name: str, purse: Purse = HUNDRED) -> list[Hold]:
        """As many of ten as there are, one after the other."""
        found: list[Hold] = []
        while hold := await self.take(f"{name}{len(found)}", purse):
            found.append(hold)
            assert len(found) <= 20
        return found

    async def paid(self) -> None:
        await until(lambda: self.ledger.owed == 0)

    async def back(self) -> None:
        """The ledger's word is enough again."""
        await until(lambda: not self.ledger._outages)

    async def die(self) -> None:
        """As a killed process: nothing is closed but what the kernel closes."""
        for task in self.ledger._tasks:
            task.cancel()
        await asyncio.wait(self.ledger._tasks)
        if journal := self.ledger._books._journal:
            os.close(journal._file)
        self.inner._debts._owed.clear()
        await self.inner.aclose()


@asynccontextmanager
async def gate(
    server: EmbeddedRedis,
    folder: Path,
    replicas: int = 1,
    settle_s: float = 0.3,
    timeout_s: float = PATIENT_S,
    ttl_s: float = 600.0,
    *,
    leased: bool = False,
) -> AsyncIterator[Gate]:
    """With `leased` all that can be is out of a lease."""
    events: list[Event] = []
    clock = Clock()
    inner = RedisLedger(
        server.url, ttl_s=ttl_s, observe=events.append, probe_s=0.05, timeout_s=timeout_s
    )
    between = EagerlyLeased(inner, time.monotonic) if leased else None
    ledger = LocalLedger(
        between or inner, TENANTS, folder, replicas=replicas, observe=events.append,
        clock=clock, wall=time.time, settle_s=settle_s,
    )  # fmt: skip
    made = Gate(ledger, between, inner, events, clock)
    await ledger.start()
    try:
        yield made
    finally:
        if not inner._connection._closed:  # type: ignore[attr-defined]
            await ledger.aclose()


def hang(server: EmbeddedRedis, *gates: Gate) -> None:
    """Each waits for it as long as the default's, from now on."""
    assert server.pid
    os.kill(server.pid, signal.SIGSTOP)
    for each in gates:
        limit(each.inner, LIMIT_S)


async def go_on(server: EmbeddedRedis, *gates: Gate) -> None:
    assert server.pid
    os.kill(server.pid, signal.SIGCONT)
    for each in gates:
        await back(each.inner)


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENT_S):
        while not happened():
            await asyncio.sleep(0.01)


async def books(server: EmbeddedRedis, purse: Purse = HUNDRED) -> tuple[int, int]:
    ledger = RedisLedger(server.url, timeout_s=PATIENT_S)
    try:
        (balance,) = await ledger.balances(purse)
        return balance.spent, balance.held
    finally:
        await ledger.aclose()


def record(call: str, cost: int) -> UsageRecord:
    return UsageRecord(
        call, "r", "acme", "auto", "m", "p", "cheap", "answer", "ok", 10, cost, Usage(3, 4)
    )


@pytest.mark.parametrize(
    ("budget", "replicas", "fit"),
    [
        (Budget(100, "total"), 1, 10),
        (Budget(100, "day"), 2, 5),
        (Budget(100, "month", rolling=True), 3, 3),
        (Budget(100, "hour", "tokens"), 2, 5),
        (Budget(7, "day", "requests"), 2, 3),
        (Budget(7, "total", "at_once"), 2, 3),
        (Budget(5, "day"), 1, 0),
    ],
)
async def test_a_share_is_what_was_left_divided_by_all(
    own_redis: EmbeddedRedis, tmp_path: Path, budget: Budget, replicas: int, fit: int
) -> None:
    whose = purse(budget)
    async with gate(own_redis, tmp_path / "data", replicas) as here:
        await here.know(whose)
        hang(own_redis, here)
        assert len(await here.take_all("h", whose)) == fit
        await go_on(own_redis, here)


async def test_what_was_spent_and_held_before_is_not_left(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    async with gate(own_redis, tmp_path, 2) as here, gate(own_redis, tmp_path, 2) as there:
        for number in range(3):
            await there.take(f"theirs{number}")
        await here.know()
        await here.take("ours")
        hang(own_redis, here, there)
        assert len(await here.take_all("h")) == 3  # of 60 that are left
        await go_on(own_redis, here, there)


@pytest.mark.parametrize("mode", ["soft", "shadow"])
async def test_what_refuses_nobody_refuses_nobody(
    own_redis: EmbeddedRedis, tmp_path: Path, mode: Mode
) -> None:
    whose = purse(Budget(5, "day", mode=mode))
    async with gate(own_redis, tmp_path) as here:
        await here.know(whose)
        hang(own_redis, here)
        assert await here.take("h", whose)
        await go_on(own_redis, here)


async def test_of_what_nothing_is_known_nothing_is_spent(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    user = Account("user", "ann", (Budget(50, "day"),), "acme")
    both = Purse("acme", (*HUNDRED.accounts, user))
    async with gate(own_redis, tmp_path) as here:
        await here.know()
        hang(own_redis, here)
        assert await here.take("known") is not None
        assert await here.take("unknown", both) is None
        await go_on(own_redis, here)


async def test_it_is_ready_all_the_while(own_redis: EmbeddedRedis, tmp_path: Path) -> None:
    async with gate(own_redis, tmp_path) as here:
        hang(own_redis, here)
        assert await probe(here.inner, "acme") == "the ledger is unavailable (timeout)"
        assert await probe(here.ledger, "acme") is None
        await go_on(own_redis, here)


async def test_a_tenant_that_did_not_ask_for_it_is_refused(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    theirs = purse(Budget(100, "total"), tenant="other")
    async with gate(own_redis, tmp_path) as here:
        await here.know(theirs)
        hang(own_redis, here)
        assert await here.take("h", theirs) is None
        await go_on(own_redis, here)


async def test_who_may_go_on_can_change_while_it_runs(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    """A place that was taken before is given back to the ledger all the same."""
    budgets = Budget(100, "total"), Budget(1, "total", "at_once")
    theirs = purse(*budgets, tenant="other")
    allowed = Tenant("other", on_ledger_unavailable="allow_local")
    async with gate(own_redis, tmp_path) as here:
        held = await here.take("h", theirs)
        assert held is not None
        here.ledger.reconfigure([*TENANTS, allowed])
        await here.ledger.settle(held, Amounts(Nanos(0), 0, 1))
        here.ledger.leave(theirs, "h")
        await here.know(theirs)
        assert [each.held for each in await here.inner.balances(theirs)] == [0, 0]
        hang(own_redis, here)
        assert await here.take("again", theirs) is not None
        here.ledger.reconfigure(TENANTS)
        assert await here.take("other", theirs) is None
        await go_on(own_redis, here)


async def test_lost_data_is_no_absence(own_redis: EmbeddedRedis, tmp_path: Path) -> None:
    async with gate(own_redis, tmp_path) as here:
        assert await here.take("h")
        with Redis.from_url(own_redis.url) as server:
            server.flushall()
        assert await here.take("i") is None
        assert journals(tmp_path) == []


async def test_the_first_waits_for_the_server_and_the_others_do_not(
    own_redis: EmbeddedRedis, tmp_path: Path, reached: Reached
) -> None:
    whose = purse(Budget(10_000, "total"))
    async with gate(own_redis, tmp_path) as here:
        await here.know(whose)
        hang(own_redis, here)
        began = time.perf_counter()
        assert await in_time(0.3, here.take("h", whose))
        took = [time.perf_counter() - began]
        for number in range(200):
            began = time.perf_counter()
            assert at_once(here.take(f"h{number}", whose))
            took.append(time.perf_counter() - began)
        await go_on(own_redis, here)
    took_later = sorted(took[1:])[len(took) * 9 // 10]
    told = f"{took[0] * 1e3:.0f} ms, then {took_later * 1e3:.2f} ms"
    reached("money", "hung server, allow_local: the first, then 90 % of", told, "+250 ms, < 1 ms")


async def test_what_was_spent_is_charged_when_it_is_back(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    async with gate(own_redis, tmp_path) as here:
        await here.know()
        hang(own_redis, here)
        holds = await here.take_all("h")
        for number, hold in enumerate(holds):
            await here.ledger.settle(hold, Amounts(Nanos(number)), record(hold.id, number))
        assert await here.take("more"), "what they did not use can be held again"
        (journal,) = journals(tmp_path)
        assert journal.read_bytes().count(b"\n") == 21
        await go_on(own_redis, here)
        await here.paid()
        assert await books(own_redis) == (45, 10), "and what is under way is held there"
        kept = [entry.record for entry in await here.ledger.records("acme")]
        assert kept == [record(f"h{number}!", number) for number in range(10)]
        await here.back()
        assert journal.read_bytes() == b""
    assert journals(tmp_path) == []


async def test_a_call_that_goes_on_after_the_return_is_settled_as_any(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    async with gate(own_redis, tmp_path) as here:
        await here.know()
        hang(own_redis, here)
        hold = await here.take("h")
        assert hold
        await go_on(own_redis, here)
        await until(lambda: not here.ledger._books.open)
        assert await books(own_redis) == (0, 10)
        await here.ledger.settle(hold, Amounts(Nanos(7)))
        assert await books(own_redis) == (7, 0)


@pytest.mark.parametrize("leased", [False, True])
async def test_a_call_that_goes_on_after_the_return_is_counted_once_by_who_reads_both(
    own_redis: EmbeddedRedis, tmp_path: Path, *, leased: bool
) -> None:
    """The book, and what a sink has kept of it, as `tollgate ledger verify` does."""
    async with gate(own_redis, tmp_path, leased=leased) as here:
        await here.know()
        hang(own_redis, here)
        hold = await here.take("h")
        assert hold
        assert here.ledger._books.open
        if here.leased:  # which else would let the server rest for a second
            here.leased._keeper.heats.record_call(HUNDRED, time.monotonic()).off_until = 0.0
        await go_on(own_redis, here)
        await until(lambda: not here.ledger._books.open)
        await here.ledger.settle(hold, Amounts(Nanos(7), 7), record(hold.id, 7))
        if here.leased:
            assert here.leased.served == 1
            await here.leased.recall()
        await here.inner.wait_settled()
        assert await sunk_and_audited(here.inner) == (1, 0, ())


async def sunk_and_audited(ledger: RedisLedger) -> tuple[int, int, tuple[Difference, ...]]:
    """Entries, missing ones and differences, where a sink has kept all there are."""
    told = Told()
    for entry in await ledger.records("acme"):
        line = entry_of(line_of("acme", entry, 0))
        assert line
        told.add(line)
    found = await audit(ledger, "acme", told, time.time)
    return found.entries, found.missing, found.differences


async def test_a_call_whose_hand_over_was_not_answered_is_charged(
    own_redis: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hold at the ledger is being voided: at the next return it must not be taken for one."""
    async with gate(own_redis, tmp_path) as here:
        await here.know()
        hang(own_redis, here)
        hold = await here.take("h")
        assert hold
        reserve = here.inner.reserve

        async def unanswered(
            purse: Purse, hold_id: str, amounts: Amounts, life: str = ""
        ) -> Hold | Refusal:
            await reserve(purse, hold_id, amounts, life)
            home = here.inner._homes.home(purse.home)
            here.inner._leaves.failed(home, hold_id, life, sent=True)
            raise LedgerDown("the ledger is unavailable (lost)")

        with monkeypatch.context() as lossy:
            lossy.setattr(here.inner, "reserve", unanswered)
            await go_on(own_redis, here)
            await until(lambda: not here.ledger._is_away("acme"))
        await here.ledger._books.hand_over("acme", set())
        await until(lambda: here.inner.owed == 0)
        await here.ledger.settle(hold, Amounts(Nanos(7)), record(hold.id, 7))
        await here.paid()
        assert await books(own_redis) == (7, 0)


@pytest.mark.parametrize("goes_on", [False, True])
async def test_a_hold_whose_reserve_was_not_answered_is_given_back_first(
    own_redis: EmbeddedRedis, tmp_path: Path, *, goes_on: bool
) -> None:
    """Whoever is killed when the journal has nothing of its call any more leaves no such hold."""
    async with gate(own_redis, tmp_path) as here:
        first = await here.take("first")
        assert first
        await here.ledger.settle(first, Amounts(Nanos(1)))
        await here.know()
        hang(own_redis, here)
        hold = await here.take("h")
        assert hold
        if not goes_on:
            await here.ledger.settle(hold, Amounts(Nanos(7)))
        here.inner._debts._owed.clear()  # as if killed before these were tried again
        await go_on(own_redis, here)
        await here.back()
        assert await books(own_redis) == ((1, 10) if goes_on else (8, 0))


async def of_yesterday(
    folder: Path, *budgets: Budget
) -> tuple[list[float], MemoryLedger, LocalLedger, Hold]:
    """A call that began just before midnight without the ledger, which is back just after it."""
    now, whose = [NOON + 43_199.0], purse(*budgets)
    inner = MemoryLedger(lambda: now[0])
    ledger = LocalLedger(
        inner, TENANTS, folder, replicas=2, observe=lambda _: None,
        clock=lambda: now[0], wall=lambda: now[0],
    )  # fmt: skip
    await ledger.balances(whose)
    ledger._outages["acme"] = Outage(now[0])
    hold = await ledger.reserve(whose, "h", TEN)
    assert isinstance(hold, Hold)
    now[0] += 2
    await ledger._probe(["acme"])
    return now, inner, ledger, hold


async def test_a_call_that_began_yesterday_without_the_ledger_counts_in_yesterday(
    tmp_path: Path,
) -> None:
    """Also where it still goes on when the ledger is back, a day later."""
    _, inner, ledger, hold = await of_yesterday(tmp_path, Budget(100, "day"))
    ledger.settle(hold, Amounts(Nanos(7)))
    await ledger._books.pay()
    assert [(b.spent, b.held) for b in await inner.balances(hold.purse)] == [(0, 0)]
    (counter,) = (await inner.counted("acme")).items()
    assert counter == (("tg:{acme}:b:acme:tenant:acme:usd:2060-03-15", 0), 7)
    await ledger.aclose()


@pytest.mark.parametrize(
    ("more", "held", "spent"),
    [
        ([], [], []),
        ([Budget(500, "total")], [(0, 10)], [(7, 0)]),
        ([Budget(9, "total", "at_once")], [(0, 1)], [(0, 0)]),
    ],
)
async def test_a_call_of_yesterday_that_goes_on_limits_today_only_where_it_counts(
    tmp_path: Path,
    more: list[Budget],
    held: list[tuple[int, int]],
    spent: list[tuple[int, int]],
) -> None:
    """There the ledger holds it, so that no other process spends what it may still cost. Each
    process had but its share of each new minute until a long stream of an old one ended.
    """
    now, inner, ledger, hold = await of_yesterday(tmp_path, Budget(100, "day"), *more)

    async def stands() -> list[tuple[int, int]]:
        return [(each.spent, each.held) for each in await inner.balances(hold.purse)]

    assert await stands() == [(0, 0), *held]
    now[0] += SETTLE_S
    ledger._end_outages()
    assert ledger._outages == {}
    ledger.settle(hold, Amounts(Nanos(7)))
    ledger.leave(hold.purse, "h")
    await ledger._books.pay()
    assert await stands() == [(0, 0), *spent]
    assert await inner.open_holds("acme") == 0
    counted = await inner.counted("acme")
    assert counted["tg:{acme}:b:acme:tenant:acme:usd:2060-03-15", 0] == 7
    await ledger.aclose()
    assert journals(tmp_path) == []


async def test_a_local_call_and_the_hold_that_expired_for_it_are_told_apart(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    """The ledger held it, and could not answer: that was charged, and is given back."""
    async with gate(own_redis, tmp_path, ttl_s=0.1) as dead:
        first = await dead.take("first")
        assert first
        await dead.ledger.settle(first, Amounts(Nanos(1)))
        await dead.know()
        hang(own_redis, dead)
        hold = await dead.take("h")
        assert hold
        await dead.ledger.settle(hold, Amounts(Nanos(7)), record(hold.id, 7))
        await dead.die()
    await go_on(own_redis)
    async with asyncio.timeout(PATIENT_S):
        while await books(own_redis) != (11, 0):  # which charges what has expired
            await asyncio.sleep(0.01)
    async with gate(own_redis, tmp_path) as here:
        assert await books(own_redis) == (8, 0)
        assert await sunk_and_audited(here.inner) == (4, 0, ())


@pytest.mark.parametrize("heard", [True, False])
async def test_a_request_that_is_handed_over_gives_its_place_back(
    own_redis: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, heard: bool
) -> None:
    """One that leaves just when the ledger lets it in; or that was let in, which nobody heard."""
    whose = purse(Budget(100, "total"), Budget(5, "total", "at_once"))
    async with gate(own_redis, tmp_path) as here:
        await here.know(whose)
        hang(own_redis, here)
        first, hold = await here.take("first", whose), await here.take("h", whose)
        assert first
        assert hold
        await here.ledger.settle(first, TEN)
        here.ledger.leave(whose, "first")
        reserve, handed_over = here.inner.reserve, asyncio.Event()

        def ends() -> None:
            here.ledger.settle(hold, TEN)
            here.ledger.leave(whose, "h")

        async def meanwhile(
            purse: Purse, hold_id: str, amounts: Amounts, life: str = ""
        ) -> Hold | Refusal:
            answer = await reserve(purse, hold_id, amounts, life)
            handed_over.set()
            if not heard:
                await here.inner.void("acme", hold_id)
                raise LedgerDown("the ledger is unavailable (lost)")
            ends()
            return answer

        monkeypatch.setattr(here.inner, "reserve", meanwhile)
        await go_on(own_redis, here)
        await handed_over.wait()
        await until(lambda: not here.ledger._is_away("acme"))
        if not heard:
            ends()
        await here.paid()
        await here.back()
        await here.inner.wait_settled()
        assert [(b.spent, b.held) for b in await here.inner.balances(whose)] == [(20, 0), (0, 0)]
        assert not here.ledger._known_lives


async def test_for_a_while_the_ledger_and_the_share_have_to_agree(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    """Another process may have spent its share and not have charged it yet."""
    async with gate(own_redis, tmp_path, 2, settle_s=600) as here:
        await here.know()
        hang(own_redis, here)
        assert await here.take("h")
        await go_on(own_redis, here)
        await until(lambda: not here.ledger._is_away("acme"))
        assert len(await here.take_all("i")) == 4
        assert await books(own_redis) == (0, 50)
        here.clock.ahead = 600
        await here.back()
        assert len(await here.take_all("j")) == 5


@pytest.mark.parametrize("back", [False, True])
async def test_a_call_that_waits_while_a_day_begins_gives_no_second_share_of_it(
    tmp_path: Path, *, back: bool
) -> None:
    """It waits for a ledger that is away, or is `back` only just."""
    now, whose = [NOON + 43_199], purse(Budget(100, "day"))
    waits, ends = asyncio.Event(), asyncio.Event()

    class Away(MemoryLedger):
        async def reserve(
            self, purse: Purse, hold_id: str, amounts: Amounts, life: str = ""
        ) -> Hold | Refusal:
            if hold_id == "waits":
                waits.set()
                await ends.wait()
            raise LedgerDown("it is away") from RedisError("lost", "it is away", sent=False)

    ledger = LocalLedger(
        Away(lambda: now[0]), TENANTS, tmp_path, replicas=2, observe=lambda _: None,
        clock=lambda: now[0], wall=lambda: now[0],
    )  # fmt: skip
    await ledger.balances(whose)

    async def take_all(name: str) -> int:
        taken = 0
        with suppress(LedgerDown):
            while taken < 20:
                await ledger.reserve(whose, f"{name}{taken}", TEN)
                taken += 1
        return taken

    if back:
        ledger._outages["acme"] = Outage(now[0])
        ledger._outages["acme"].until = now[0] + 5
    waiting = asyncio.create_task(ledger.reserve(whose, "waits", TEN))
    await waits.wait()
    now[0] += 2
    if back:
        ledger._outages["acme"].until = None
    assert await take_all("a") == 5, "a half of the new day's"
    ends.set()
    with pytest.raises(LedgerDown):
        await waiting
    assert await take_all("b") == 0


async def test_two_that_are_cut_off_stay_within_the_cap(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    async with gate(own_redis, tmp_path, 2) as one, gate(own_redis, tmp_path, 2) as two:
        for each in (one, two):
            await each.know()
        hang(own_redis, one, two)
        spent = [(each, await each.take_all(name)) for each, name in ((one, "a"), (two, "b"))]
        assert [len(holds) for _, holds in spent] == [5, 5]
        for each, holds in spent:
            for hold in holds:
                await each.ledger.settle(hold, TEN)
        await go_on(own_redis, one, two)
        for each in (one, two):
            await each.back()
        assert await books(own_redis) == (100, 0)
        refused = await one.ledger.reserve(HUNDRED, "more", TEN)
        assert not isinstance(refused, Hold)


@pytest.mark.parametrize("torn", [b"", b'{"type":"held","call":"torn","at"'])
async def test_whoever_starts_next_charges_what_the_dead_have_spent(
    own_redis: EmbeddedRedis, tmp_path: Path, torn: bytes
) -> None:
    async with gate(own_redis, tmp_path) as dead:
        await dead.know()
        hang(own_redis, dead)
        holds = [await dead.take(f"h{number}") for number in range(3)]
        assert holds[0]
        await dead.ledger.settle(holds[0], Amounts(Nanos(3)), record(holds[0].id, 3))
        await dead.die()
    (journal,) = journals(tmp_path)
    journal.write_bytes(journal.read_bytes() + torn)
    async with gate(own_redis, tmp_path, timeout_s=LIMIT_S) as early:  # the ledger is still away
        assert await early.take("early") is None, "it knows of nothing"
        assert journals(tmp_path) == [journal]
        await go_on(own_redis, early)
        await early.back()
        # The first, which the server had held before it hung, too: its void died with the process.
        assert await books(own_redis) == (23, 0)
        assert journals(tmp_path) == []
        expired = [event for event in early.events if isinstance(event, HoldsExpired)]
        assert {(event.tenant, event.holds, event.amount) for event in expired} == {("acme", 1, 10)}
        records = [entry.record for entry in await early.ledger.records("acme")]
        assert [(r.attempt, r.outcome, r.cost) for r in records if r] == [
            ("h0!", "ok", 3), ("h1!", "expired", 10), ("h2!", "expired", 10),
        ]  # fmt: skip


async def test_a_journal_is_charged_once_however_often_it_is_read(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    async with gate(own_redis, tmp_path) as dead:
        await dead.know()
        hang(own_redis, dead)
        hold = await dead.take("h")
        assert hold
        await dead.ledger.settle(hold, Amounts(Nanos(7)), record(hold.id, 7))
        await dead.die()
    await go_on(own_redis)
    (journal,) = journals(tmp_path)
    told = journal.read_bytes()
    for _ in range(3):
        journal.write_bytes(told)
        async with gate(own_redis, tmp_path):
            assert await books(own_redis) == (7, 0)


async def test_a_broken_line_is_kept_for_somebody_to_look_at(
    own_redis: EmbeddedRedis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "local-1-x.jsonl").write_bytes(b'{"type":"what"}\n')
    async with gate(own_redis, tmp_path):
        assert (tmp_path / "local-1-x.damaged").read_bytes() == b'{"type":"what"}\n'
    assert "not all could be charged" in caplog.text


async def test_a_journal_is_on_the_disk_in_a_second(
    own_redis: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    async with gate(own_redis, tmp_path) as here:
        await here.know()
        hang(own_redis, here)
        assert await here.take("h")
        journal = here.ledger._books._journal
        assert journal
        await until(lambda: journal._file in synced)
        await go_on(own_redis, here)


async def test_what_cannot_be_written_down_is_not_spent(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    async with gate(own_redis, tmp_path / "data") as here:
        await here.know()
        hang(own_redis, here)
        (tmp_path / "data").rmdir()
        assert await here.take("h") is None
        (tmp_path / "data").mkdir()
        assert await here.take("h")
        await go_on(own_redis, here)


async def test_a_call_whose_return_cannot_be_written_down_is_charged_once(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    async with gate(own_redis, tmp_path) as here:
        await here.know()
        hang(own_redis, here)
        hold = await here.take("h")
        (journal,) = journals(tmp_path)
        assert hold
        with files_no_larger_than(journal.stat().st_size):
            assert own_redis.pid
            os.kill(own_redis.pid, signal.SIGCONT)
            await back(here.inner)
            await until(lambda: here.ledger._outages["acme"].until is not None)
            await here.ledger._books.hand_over("acme", set())
        await here.ledger.settle(hold, Amounts(Nanos(3)), record(hold.id, 3))
        await here.paid()
        assert await books(own_redis) == (3, 0), "nothing of it is held any more"


@pytest.mark.parametrize("meter", ["requests", "at_once"])
async def test_a_request_of_several_calls_counts_once(
    own_redis: EmbeddedRedis, tmp_path: Path, meter: Meter
) -> None:
    whose = purse(Budget(1, "total", meter))
    async with gate(own_redis, tmp_path) as here:
        await here.know(whose)
        hang(own_redis, here)
        first = await here.ledger.reserve(whose, "a", TEN, "life")
        second = await here.ledger.reserve(whose, "b", Amounts(Nanos(10)), "life")
        assert isinstance(first, Hold)
        assert isinstance(second, Hold)
        assert await here.take("c", whose) is None
        for hold in (first, second):
            await here.ledger.settle(hold, TEN)
        here.ledger.leave(whose, "life")
        freed = await here.take("d", whose)
        assert (freed is not None) == (meter == "at_once")
        await go_on(own_redis, here)
