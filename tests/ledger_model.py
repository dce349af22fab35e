"""The law of the ledger: whatever is asked, in whatever order, the one in Redis answers as the one
in memory does, and the entries of its book sum up to what its buckets have spent.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Coroutine
from typing import Any, ClassVar, Final

import uvloop
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec import structs

from gateway.core.accounts import Account, Amounts, Balance, Hold, Purse
from gateway.core.catalog import Budget
from gateway.core.errors import LedgerDown
from gateway.core.events import Event, HoldsExpired
from gateway.core.money import Nanos
from gateway.core.records.entry import Counter, Entry, sums
from gateway.drivers.ledger.memory_ledger import MemoryLedger
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.ledger_time import LedgerTime

TTL_S: Final = 600.0
MOST_OPEN: Final = 15
"""A reserve in Redis charges at most 16 expired holds, the model all."""
HOME: Final = "acme"

BUDGETS: Final = (
    Budget(100, "total"),
    Budget(50, "total"),
    Budget(80, "total", mode="soft"),
    Budget(60, "total", mode="shadow"),
    Budget(100, "minute", rolling=True),
    Budget(90, "day", rolling=True, mode="soft"),
    Budget(120, "month"),
    Budget(70, "hour", "tokens"),
    Budget(100, "hour", "tokens", rolling=True),
    Budget(3, "minute", "requests"),
    Budget(4, "hour", "requests", rolling=True, mode="shadow"),
    Budget(2, "total", "at_once"),
    Budget(1, "total", "at_once", mode="soft"),
    Budget(0, "total"),
)
budgets = st.lists(st.sampled_from(BUDGETS), max_size=4).map(tuple)
amounts = st.builds(
    Amounts,
    st.integers(0, 60).map(Nanos),
    st.sampled_from([0, 1, 30, 70]),
    st.sampled_from([0, 1, 1]),
)
purses = st.builds(
    lambda own, user: Purse(
        "eu",
        (
            Account("tenant", "eu", own, "eu", "Europe/Berlin"),
            Account("user", "ann", user, "eu", "Asia/Kolkata"),
        ),
        HOME,
    ),
    budgets,
    budgets,
)
EVERYTHING: Final = Purse(
    "eu",
    (
        Account("tenant", "eu", BUDGETS, "eu", "Europe/Berlin"),
        Account("user", "ann", BUDGETS, "eu", "Asia/Kolkata"),
    ),
    HOME,
)
lives = st.sampled_from(["a", "b", "c"])
waits = st.sampled_from(
    [0.5, 2.5, 50, 150, 600, 3_600, 23 * 3_600, 86_400, 3 * 86_400, 31 * 86_400]
)


Stands = tuple[tuple[Balance, ...], int, tuple[Entry, ...], dict[Counter, int]]


def at_once(asked: Awaitable[Any]) -> Any:
    """What is given by whom nobody waits for: it needs no event loop."""
    steps = asked.__await__()
    try:
        while True:
            next(steps)
    except StopIteration as answer:
        return answer.value
    except LedgerDown as error:
        return str(error)


class LikeTheModel(RuleBasedStateMachine):
    """One home. After each step all that can be asked of it is asked of both."""

    loop: ClassVar[asyncio.AbstractEventLoop]
    time: ClassVar[LedgerTime]
    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.time.start_again()
        self.told: tuple[list[Event], list[Event]] = ([], [])
        self.model = MemoryLedger(self.time, TTL_S, self.told[0].append)
        self.redis = RedisLedger(
            self.time.url,
            ttl_s=TTL_S,
            timeout_s=30,
            observe=self.told[1].append,
            clock=self.time,
            scripts=self.time.scripts(),
        )
        self.ids = itertools.count()
        self.open = 0
        self.entries: list[Entry] = []

    def run(self, asked: Coroutine[Any, Any, Any]) -> Any:
        try:
            return self.loop.run_until_complete(asked)
        except LedgerDown as error:
            return str(error)

    def both(self, call: str, *arguments: Any, **named: Any) -> Any:
        """What both answer."""
        expected = at_once(getattr(self.model, call)(*arguments, **named))

        async def asked() -> Any:
            return await getattr(self.redis, call)(*arguments, **named)

        found = self.run(asked())
        assert found == expected, f"{call}: {found}, not {expected}"
        return found

    @precondition(lambda self: self.open < MOST_OPEN)
    @rule(target=holds, purse=purses, wanted=amounts, life=lives)
    def reserve(self, purse: Purse, wanted: Amounts, life: str) -> Hold:
        hold_id = f"h{next(self.ids):04}"
        answer = self.both("reserve", purse, hold_id, wanted, life)
        return answer if isinstance(answer, Hold) else Hold(hold_id, purse, wanted)

    @rule(hold=holds, purse=purses, wanted=amounts)
    def reserve_again(self, hold: Hold, purse: Purse, wanted: Amounts) -> None:
        self.both("reserve", purse, hold.id, wanted)

    @rule(hold=holds, actual=amounts)
    def settle(self, hold: Hold, actual: Amounts) -> None:
        self.both("settle", hold, actual)

    @rule(hold=holds)
    def void(self, hold: Hold) -> None:
        self.both("void", HOME, hold.id)

    @rule(life=lives)
    def leave(self, life: str) -> None:
        async def left() -> None:
            self.model.leave(EVERYTHING, life)
            self.redis.leave(EVERYTHING, life)
            await self.redis.wait_settled()

        self.run(left())

    @rule()
    def renew_places(self) -> None:
        """Who has had a place for a while keeps it for longer."""

        async def renewed() -> None:
            for ledger in (self.model, self.redis) * 2:
                ledger.renew_places()
            await self.redis.wait_settled()

        self.run(renewed())

    @rule(purse=purses, call=lives, ago=waits, actual=amounts)
    def charge(self, purse: Purse, call: str, ago: float, actual: Amounts) -> None:
        self.both("charge", purse, call, self.time.now - ago, actual)

    @rule(seconds=waits)
    def wait(self, seconds: float) -> None:
        self.time.move(seconds)

    @rule()
    def sweep(self) -> None:
        self.both("sweep", [HOME])

    @rule()
    def rebuild(self) -> None:
        """From its own book: that changes nothing."""
        before = self.both("counted", HOME)
        told = sums(self.run(self.redis.records(HOME)))
        spent = {**dict.fromkeys(before, 0), **told}
        kept = {key for key, _ in before}
        self.both("load", HOME, {c: n for c, n in spent.items() if c[0] in kept}, force=True)
        assert self.both("counted", HOME) == before

    @rule()
    def load_unforced(self) -> None:
        assert self.both("load", HOME, {}) == self.open

    @invariant()
    def same_books(self) -> None:
        """What is spent and held, how many holds are open, what is written, and what is counted."""
        balances, self.open, new, counted = self.run(self.stands())
        assert balances == at_once(self.model.balances(EVERYTHING))
        assert self.open == at_once(self.model.open_holds(HOME))
        assert self.expired(1) == self.expired(0)
        written = len(self.entries)
        self.entries += new
        assert plain(new) == plain(at_once(self.model.records(HOME, str(written))))
        assert counted == at_once(self.model.counted(HOME))
        self.the_book_explains(counted)

    async def stands(self) -> Stands:
        balances = await self.redis.balances(EVERYTHING)  # first: it lets holds expire
        after = self.entries[-1].at if self.entries else ""
        return balances, *await asyncio.gather(
            self.redis.open_holds(HOME), self.redis.records(HOME, after), self.redis.counted(HOME)
        )

    def expired(self, which: int) -> int:
        return sum(each.amount for each in self.told[which] if isinstance(each, HoldsExpired))

    def the_book_explains(self, counted: dict[Counter, int]) -> None:
        assert [entry.seq for entry in self.entries] == [*range(1, len(self.entries) + 1)]
        told = sums(self.entries)
        assert {counter: told.get(counter) for counter in counted} == counted
        for (key, slot), spent in told.items():
            if key.endswith(":total"):
                assert counted.get((key, slot), 0) == spent

    def teardown(self) -> None:
        # What was read step by step is what the book says in the end.
        assert [*self.run(self.redis.records(HOME))] == self.entries
        self.run(self.redis.aclose())


def plain(entries: tuple[Entry, ...]) -> list[Entry]:
    """Where an entry is kept, and in which data, only one of the two can say."""
    return [structs.replace(entry, at="", epoch="") for entry in entries]


def run_histories(server: EmbeddedRedis, count: int, part: int | None = None) -> None:
    """Each of up to 25 steps. Those of one `part` are the same in each run, and no other part's."""

    class Machine(LikeTheModel):
        loop = uvloop.new_event_loop()
        time = LedgerTime(HOME, server.url)

    try:
        run_state_machine_as_test(
            Machine if part is None else seed(part)(Machine),
            settings=settings(
                max_examples=count,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
    finally:
        Machine.time.close()
        Machine.loop.close()
