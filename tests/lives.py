"""A world for the life of a request: fakes that obey the ports, and are as slow as the truth."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final, TypeVar

import msgspec

from gateway.core.accounts import Account, Amounts, Hold, Purse, Refusal
from gateway.core.catalog import (
    Budget,
    Catalog,
    Check,
    Deployment,
    Model,
    Route,
    Rule,
    Tenant,
    Tier,
    TierModel,
)
from gateway.core.chat import (
    ChatRequest,
    Choice,
    ChoiceDelta,
    Completion,
    Delta,
    Extras,
    Usage,
)
from gateway.core.errors import (
    UNSENT,
    Faulty,
    LedgerDown,
    Rejected,
    Reset,
    Throttled,
    TimedOut,
    Unsuitable,
)
from gateway.core.events import About, Event, Settled, lawful
from gateway.core.flow import Deltas, Sink
from gateway.core.health import Health, RetryBudget
from gateway.core.ladder import ladders
from gateway.core.money import Nanos, Price
from gateway.core.plan import Candidate
from gateway.core.ports import Observer, Runner
from gateway.core.records.record import UsageRecord
from gateway.core.rules import Between, When
from gateway.core.snapshot import Timeouts
from gateway.core.strategies import tactic
from gateway.drivers.ledger.memory_ledger import MemoryLedger
from gateway.handle import Life, Reply
from gateway.world import World

T = TypeVar("T")

GOOD: Final = Check("regex", {"pattern": "GOOD"})
PROMPT: Final = 10
"""Tokens of the request, as we count them."""


@dataclass(frozen=True)
class Turn:
    """What a model does once: say some pieces, or fail before, between (`error`) or never end."""

    said: tuple[str, ...] = ()
    usage: Usage | None = None
    error: Exception | None = None
    stalls: bool = False

    connects: bool = True
    """Whether one that stalls was sent its request."""

    async def begun(self) -> None:
        try:
            if self.stalls:
                await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            if not self.connects:
                error.add_note(UNSENT)
            raise

    took_s: float = 1.0
    each_s: float = 0.0
    """What each piece of a stream takes."""
    piled: bool = False
    """All pieces but the first come together: a sink that is full is given the rest, too."""


def says(*pieces: str, told: bool = True) -> Turn:
    """5 tokens of answer, where the provider tells its usage."""
    return Turn(pieces, Usage(PROMPT, 5) if told else None)


def fails(error: Exception, *pieces: str) -> Turn:
    return Turn(pieces, error=error)


ANSWER = PROMPT + 5
"""Tokens of an answer whose usage is told."""
COUNTED = PROMPT + 2
"""Tokens of "GOOD one" where no usage is told."""

well = says("GOOD ", "one")
poor = says("po", "or")
silent = says("GOOD ", "one", told=False)
reset = fails(Reset("closed"))
faulty = fails(Faulty("500"))
late = fails(TimedOut("late"))
wrong = fails(Rejected("no such field", status=422))
busy = fails(Throttled("slow down", retry_after=2))
long_busy = fails(Throttled("slow down", retry_after=1_000))
unfit = fails(Unsuitable("too long", status=400))


class Clock:
    """Moved by hand: by what calls take, and by sleeping."""

    def __init__(self, far: "Far") -> None:
        self.far = far
        self.now = 1_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await self.far.at("sleep")
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Far:
    """Where somebody is made to wait until `gate` is set; `reached` tells that he does."""

    def __init__(self, where: str = "") -> None:
        self.where = where
        self.reached = asyncio.Event()
        self.gate = asyncio.Event()

    async def at(self, where: str) -> None:
        await asyncio.sleep(0)
        if where == self.where:
            self.reached.set()
            await self.gate.wait()


class FarLedger(MemoryLedger):
    def __init__(self, clock: Clock, far: Far) -> None:
        super().__init__(clock)
        self.far, self._asked = far, count(1)
        self.down_from = 10**9
        self.settles: list[tuple[str, int]] = []
        self.requests: list[int] = []

    async def reserve(
        self, purse: Purse, hold_id: str, amounts: Amounts, life: str = ""
    ) -> Hold | Refusal:
        self.requests.append(amounts.requests)
        await self.far.at("reserve")
        if next(self._asked) >= self.down_from:
            raise LedgerDown("the ledger is away")
        return await super().reserve(purse, hold_id, amounts, life)

    def settle(
        self, hold: Hold, actual: Amounts, record: UsageRecord | None = None
    ) -> Awaitable[None]:
        self.settles.append((hold.id, actual.nanos))
        return super().settle(hold, actual, record)


@dataclass
class ScriptedUpstream:
    """Each model's turns, in order. `open` are the calls whose connection is still open."""

    clock: Clock
    far: Far
    turns: Mapping[str, Sequence[Turn]]
    asked: list[str] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    requests: list[ChatRequest] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    open: int = 0

    async def send(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> Completion:
        turn = self._turn(candidate, timeout_s)
        self.requests.append(request)
        await self.far.at("send")
        await turn.begun()
        if turn.error is not None:
            raise turn.error
        return Completion((Choice(text="".join(turn.said)),), usage=turn.usage)

    async def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> Deltas:
        turn = self._turn(candidate, timeout_s)
        self.requests.append(request)
        self.open += 1
        try:
            await self.far.at("send")
            await turn.begun()
            sink: Sink | None = None
            for number, piece in enumerate(turn.said):
                await self.far.at(f"delta {number}")
                self.clock.now += turn.each_s
                some = (Delta((ChoiceDelta(text=piece),)),)
                if sink is None:
                    sink = yield some
                elif not sink(some) and not turn.piled:
                    sink = yield ()
            await self.far.at("end")
            if turn.error is not None:
                raise turn.error
            if turn.usage is not None:
                yield (Delta(usage=turn.usage),)
        finally:
            self.open -= 1

    def _turn(self, candidate: Candidate, timeout_s: float) -> Turn:
        name = candidate.model.name
        turn = self.turns[name][self.asked.count(name)]
        self.asked.append(name)
        self.candidates.append(candidate)
        self.timeouts.append(timeout_s)
        self.clock.now += turn.took_s
        return turn


def model(name: str, price: int) -> Model:
    """`price` is nano-dollars for each token, in and out."""
    each = Price(price * 10**6, price * 10**6, price * 10**6, price * 10**6)
    at = (Deployment(f"{name}@p", "p", name),)
    return Model(name, at, each, 1000, 1000, 100)


CATALOG: Final = Catalog(
    {
        "a": model("a", 1),
        "b": model("b", 1),
        "c": model("c", 10),
        "d": model("d", 100),
        "gpt-5": model("gpt-5", 1),
    },
    {
        "cheap": Tier("cheap", (TierModel("a"), TierModel("b"))),
        "mid": Tier("mid", (TierModel("c"),)),
        "smart": Tier("smart", (TierModel("d"),)),
    },
    {
        "open": Route("open", ("cheap", "mid"), timeout_s=100),
        "vote": Route("vote", ("cheap", "mid"), tactic("vote")),
        "hedge": Route("hedge", ("cheap", "mid"), tactic("hedge")),
        "judged-hedge": Route("judged-hedge", ("cheap", "mid"), tactic("hedge"), (GOOD,)),
        "repair": Route("repair", ("cheap", "mid"), tactic("repair"), (GOOD,)),
        "drained": Route(
            "drained", ("cheap", "mid"), checks=(GOOD,), on_disconnect="drain", drain_s=7
        ),
        "drained-open": Route("drained-open", ("cheap", "mid"), on_disconnect="drain", drain_s=7),
        "ordered": Route("ordered", ("cheap",), order="fastest"),
        "ruled": Route(
            "ruled",
            ("mid",),
            rules=(
                Rule("dear", When(tags={"use_case": frozenset({"legal"})}), ("smart",)),
                Rule("short", When(output=Between(high=20)), ("cheap",), tactic("vote")),
            ),
        ),
        "judged": Route("judged", ("cheap", "mid", "smart"), checks=(GOOD,), timeout_s=100),
    },
)


@dataclass
class Stage:
    """One life, and the world around it."""

    life: Life
    upstream: ScriptedUpstream
    ledger: FarLedger
    clock: Clock
    far: Far
    events: list[Event]
    health: list[tuple[str, str]]

    async def books(self) -> tuple[int, int, int]:
        """(spent, held, open holds)."""
        (balance,) = await self.ledger.balances(self.life.purse)
        return balance.spent, balance.held, await self.ledger.open_holds("t")


def stage(
    asked: str,
    turns: Mapping[str, Sequence[Turn]],
    *,
    stream: bool = False,
    budget: int = 10**6,
    far: str = "",
    extras: Extras | None = None,
    observer: Observer | None = None,
    exact: int | None = None,
    tags: Mapping[str, str] | None = None,
    catalog: Catalog = CATALOG,
    runner: Runner | None = None,
) -> Stage:
    """A request for 20 tokens of answer."""
    reach = Far(far)
    clock = Clock(reach)
    upstream = ScriptedUpstream(clock, reach, defaultdict(list, turns))
    ledger = FarLedger(clock, reach)
    seen: list[Event] = []
    moved: list[tuple[str, str]] = []

    def observe(event: Event) -> None:
        seen.append(event)
        if observer is not None:
            observer(event)

    numbers = count(1)

    async def exact_tokens(_: ChatRequest) -> int | None:
        await asyncio.sleep(0)
        return exact

    world = World(
        ladders=ladders(catalog),
        ledger=ledger,
        upstream=upstream,
        health=Health(
            [f"{name}@p" for name in CATALOG.models],
            lambda deployment, state: moved.append((deployment, state)),
        ),
        retries=RetryBudget(),
        observe=observe,
        clock=clock,
        wall=clock,
        sleep=clock.sleep,
        draw=lambda: 0.5,
        new_id=lambda: f"h{next(numbers)}",
        timeouts=Timeouts(),
        exact_tokens=exact_tokens,
    )
    if runner is not None:
        world = replace(world, runner=runner)
    budgets = (Budget(Nanos(budget), "total"),)
    tenant = Tenant("t", budgets=budgets)
    messages = msgspec.Raw(msgspec.json.encode([{"role": "user", "content": "x" * 4 * PROMPT}]))
    request = ChatRequest(
        {"messages": messages}, asked, stream, max_tokens=20, extras=extras or Extras()
    )
    purse = Purse("t", (Account("tenant", "t", budgets, "t"),))
    route, ladder = world.ladders[asked].of_tenant("t")
    about = About("r", "t", route or asked, stream, tags=tags or {})
    life = Life(world, tenant, purse, request, about, ladder, clock())
    return Stage(life, upstream, ledger, clock, reach, seen, moved)


async def hear(life: Life) -> tuple[Reply, str]:
    """The reply and all its text, flowing or not; raises what the client is told. What flows is
    poured, and the sink is full at every third.
    """
    reply = await life.answer()
    if reply.completion is not None:
        return reply, reply.completion.first.text or ""
    assert reply.deltas is not None
    heard: list[str] = []

    def take(some: Sequence[Delta]) -> bool:
        heard.append("".join(choice.text for delta in some for choice in delta.choices))
        return len(heard) % 3 != 0

    async with aclosing(reply.deltas) as deltas:
        with suppress(StopAsyncIteration):
            take(await anext(deltas))
            while True:
                take(await deltas.asend(take))
    return reply, "".join(heard)


async def whole(scene: Stage) -> None:
    """What must hold after any life."""
    assert lawful(scene.events) is None, f"{lawful(scene.events)}: {scene.events}"
    spent, held, open_holds = await scene.books()
    assert (held, open_holds) == (0, 0)
    assert spent == scene.life.tab.spent == sum(cost for _, cost in scene.ledger.settles)
    assert spent == sum(event.record.cost for event in told(scene, Settled))
    assert len(scene.ledger.settles) == len({hold for hold, _ in scene.ledger.settles})
    assert scene.upstream.open == 0


def told(scene: Stage, kind: type[T]) -> list[T]:
    return [event for event in scene.events if isinstance(event, kind)]
