"""One call to one candidate: held already, made, judged, and settled exactly once."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

import anyio

from gateway.core import checks, events, tokens
from gateway.core.chat import ChatRequest, Delta, Usage
from gateway.core.errors import Broken, UpstreamError
from gateway.core.money import Nanos, cost
from gateway.core.plan import Candidate
from gateway.core.ports import Hold
from gateway.core.strategy import Answered, Failed, Flowing, Outcome, Round
from gateway.core.tally import Tally
from gateway.world import World

_NOTHING_YET: Final = Usage()


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call that was made, what became of it, and what it cost."""

    candidate: Candidate
    purpose: events.Purpose
    outcome: str
    cost: Nanos


@dataclass(slots=True)
class Tab:
    """What one life's calls have come to so far."""

    attempts: list[Attempt] = field(default_factory=list)
    usage: Usage = _NOTHING_YET
    """Of the latest answer."""
    left: Nanos | None = None
    """What its tightest budget has left."""
    upstream_s: float = 0.0
    first_token_at: float | None = None

    @property
    def spent(self) -> Nanos:
        return Nanos(sum(attempt.cost for attempt in self.attempts))


class Call:
    """`over` is told when a flowing answer has ended: by None when it is whole."""

    def __init__(
        self,
        world: World,
        about: events.About,
        tab: Tab,
        wanted: Round,
        hold: Hold,
        over: Callable[[Candidate, BaseException | None], None],
    ) -> None:
        self.world = world
        self.about = about
        self.tab = tab
        self.wanted = wanted
        self.candidate = wanted.calls[0]
        self.hold = hold
        self.over = over
        self.began = world.clock()
        self.first_token_s: float | None = None

    async def ask(self, request: ChatRequest, timeout_s: float) -> Outcome:
        """Wait for the whole answer and judge it."""
        candidate, asked = self.candidate, self.wanted.checks
        if asked:
            request = checks.ask(asked, request)
        try:
            answer = await self.world.upstream.send(candidate, request, timeout_s=timeout_s)
        except BaseException as error:
            await self._ended(error, request, Tally())
            if isinstance(error, UpstreamError):
                return Failed(candidate, error)
            raise
        usage = answer.usage
        if usage is None:
            usage = Usage(tokens.count_prompt(request), tokens.count_answer(answer.choices))
        self.tab.usage = usage
        await self._close("ok", usage, counted=answer.usage is None)
        if not asked:
            return Answered(candidate, answer)
        findings = checks.judge(asked, answer, request)
        self.world.observe(
            events.Judged(
                self.about,
                candidate.model.name,
                candidate.tier,
                tuple(check.name for check in asked),
                tuple(finding.check for finding in findings),
            )
        )
        return Answered(candidate, checks.strip(asked, answer), findings)

    async def open(self, request: ChatRequest, timeout_s: float) -> Outcome:
        """Wait for the first deltas: until then another candidate can still be asked."""
        flow = self._flow(request, timeout_s)
        try:
            await anext(flow)
        except UpstreamError as error:
            return Failed(self.candidate, error)
        return Flowing(self.candidate, flow)

    async def _flow(
        self, request: ChatRequest, timeout_s: float
    ) -> AsyncGenerator[Sequence[Delta], None]:
        """Yield nothing once when the first deltas are in, then all of them as they come.

        So the generator has begun before anybody else holds it, and closing it always settles.
        """
        tally = Tally()
        deltas = self.world.upstream.stream(self.candidate, request, timeout_s=timeout_s)
        try:
            async with aclosing(deltas):
                async for some in deltas:
                    if not tally.begun:
                        now = self.world.clock()
                        self.first_token_s = now - self.began
                        self.tab.first_token_at = now
                        tally.add(some)
                        yield ()
                    else:
                        tally.add(some)
                    yield some
            if not tally.begun:
                raise Broken("the stream was empty")
        except BaseException as error:
            await self._ended(error, request, tally)
            if tally.begun:
                self.over(self.candidate, error)
            raise
        self.tab.usage = tally.usage or tally.counted(request)
        await self._close("ok", self.tab.usage, counted=tally.usage is None)
        self.over(self.candidate, None)

    async def _ended(self, error: BaseException, request: ChatRequest, tally: Tally) -> None:
        """No whole answer came of it: it costs what the provider will bill for it."""
        if isinstance(error, UpstreamError):
            self._blame(error)
            free = error.bills == "nothing" and not tally.begun
            owed = Usage() if free else tally.counted(request)
            await self._close(error.kind, owed, counted=not free)
            return
        # The task is being cancelled, or the flow closed: the client is gone.
        outcome = "internal_error" if isinstance(error, Exception) else "dropped"
        with anyio.CancelScope(shield=True):
            await self._close(outcome, tally.counted(request), counted=True)

    def _blame(self, error: UpstreamError) -> None:
        name, now = self.candidate.deployment.name, self.world.clock()
        if error.dings:
            self.world.health.failed(name, now, error.retry_after)
        else:
            self.world.health.succeeded(name, now)

    async def _close(self, outcome: str, usage: Usage, *, counted: bool) -> None:
        """Tell what became of the call, and replace its hold by what it cost."""
        candidate, hold, tab = self.candidate, self.hold, self.tab
        now = self.world.clock()
        if outcome == "ok":
            self.world.health.succeeded(candidate.deployment.name, now)
        purpose = "abandoned" if outcome == "dropped" else self.wanted.because.purpose
        spent = cost(candidate.model.price, usage)
        tab.attempts.append(Attempt(candidate, purpose, outcome, spent))
        tab.upstream_s += now - self.began
        if hold.left is not None:
            tab.left = Nanos(hold.left + hold.amount - spent)
        where = (candidate.deployment.provider, candidate.model.name, candidate.tier, purpose)
        took_s = now - self.began
        self.world.observe(
            events.Attempted(self.about, *where, outcome, took_s, self.first_token_s)
        )
        self.world.observe(
            events.Settled(self.about, hold.id, *where, hold.amount, spent, usage, counted)
        )
        await self.world.ledger.settle(hold, spent)
