"""The life of a request, from admitted to settled. Read this file first.

`Life.answer` is the story: read its features, plan, then let a strategy drive the calls. Each
call is held for its ceiling, made, judged, and settled once, however it ends.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import anyio

from gateway.core import checks, events, refusals, tokens
from gateway.core.catalog import Tenant
from gateway.core.chat import ChatRequest, Completion, Delta, Usage
from gateway.core.errors import GatewayError, UpstreamError
from gateway.core.features import read_features
from gateway.core.health import Health, RetryBudget
from gateway.core.money import Nanos, cost
from gateway.core.plan import Candidate, Draw, Ladder, Limits, Plan, make_plan
from gateway.core.ports import Clock, Hold, Ledger, Observer, Purse, Refusal, Upstream
from gateway.core.snapshot import Timeouts
from gateway.core.strategy import (
    STRATEGIES,
    Answered,
    Failed,
    Flowing,
    Outcome,
    Refused,
    Round,
    Stopped,
    Verdict,
)
from gateway.core.tally import Tally


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside a request that its life needs."""

    ladders: Mapping[str, Ladder]
    ledger: Ledger
    upstream: Upstream
    health: Health
    retries: RetryBudget
    observe: Observer
    clock: Clock
    sleep: Callable[[float], Awaitable[None]]
    draw: Draw
    new_id: Callable[[], str]
    timeouts: Timeouts


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call that was made, what became of it, and what it cost."""

    candidate: Candidate
    purpose: events.Purpose
    outcome: str
    cost: Nanos
    usage: Usage


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer for the client: a whole `completion`, or `deltas` that flow.

    `usage` is the answer's own, known only when a flowing one has ended; `life` knows what the
    whole plan has cost so far.
    """

    life: "Life"
    candidate: Candidate
    reason: str
    completion: Completion | None
    deltas: AsyncGenerator[Sequence[Delta], None] | None


class Life:
    """One request of one tenant."""

    def __init__(
        self,
        world: World,
        tenant: Tenant,
        purse: Purse,
        request: ChatRequest,
        about: events.About,
    ) -> None:
        self.world = world
        self.tenant = tenant
        self.purse = purse
        self.request = request
        self.about = about
        self.attempts: list[Attempt] = []
        self.usage = Usage()
        self.escalations = 0
        self.left: Nanos | None = None
        self._trail: list[str] = []
        self._began = 0.0
        self._deadline = 0.0
        self._upstream_s = 0.0
        self._first_token_s: float | None = None

    @property
    def spent(self) -> Nanos:
        """What all attempts have cost so far."""
        return Nanos(sum(attempt.cost for attempt in self.attempts))

    async def answer(self) -> Reply:
        """Answer the request, or raise the GatewayError to show.

        A flowing reply's life goes on until its deltas end or are closed.
        """
        self._began = self.world.clock()
        self.world.observe(events.Began(self.about))
        try:
            ladder = self.world.ladders[self.request.model]
            verdict = await self._carry_out(ladder, self._plan(ladder))
            answer = verdict.answer
            if answer is None:
                raise refusals.no_answer(verdict, self.purse, self._trail)
        except GatewayError as error:
            self._denied(error)
            raise
        except asyncio.CancelledError:
            self.world.observe(events.Dropped(self.about, self._seconds()))
            raise
        except Exception:  # a bug of ours still ends the life, once
            self._denied(GatewayError("internal error"))
            raise
        reason = "; ".join((verdict.why, *self._trail))
        if isinstance(answer, Flowing):
            return Reply(self, answer.candidate, reason, None, answer.deltas)
        self._replied(answer.candidate, verdict.why)
        return Reply(self, answer.candidate, reason, answer.completion, None)

    def _plan(self, ladder: Ladder) -> Plan:
        features = read_features(self.request)
        limits = Limits(self.tenant, self.world.health.down(self._began))
        plan = make_plan(ladder, features, limits, self.world.draw)
        self.world.observe(events.Planned(self.about, len(plan.rungs), len(plan.skipped)))
        if not plan.rungs:
            raise refusals.nothing_fits(plan, ladder.name, self.tenant, features)
        return plan

    async def _carry_out(self, ladder: Ladder, plan: Plan) -> Verdict:
        """Make the calls that the strategy asks for, until it has its verdict."""
        latency_ms = self.request.extras.max_latency_ms
        limit_s = ladder.timeout_s if latency_ms is None else latency_ms / 1000
        self._deadline = self._began + min(ladder.timeout_s, limit_s)
        self.world.retries.called(self._began)
        strategy = STRATEGIES[self.request.extras.strategy or ladder.strategy](plan)
        try:
            wanted = next(strategy)
            while True:
                self._tell_why(wanted)
                wanted = strategy.send((await self._attempt(wanted.calls[0], wanted),))
        except StopIteration as stop:
            verdict: Verdict = stop.value
            return verdict
        finally:
            strategy.close()

    async def _attempt(self, candidate: Candidate, wanted: Round) -> Outcome:
        """Hold the ceiling, then call."""
        world = self.world
        now = world.clock()
        if now + wanted.wait_s >= self._deadline:
            return Stopped(candidate, "deadline")
        if wanted.purpose == "retry" and not world.retries.take(now):
            return Stopped(candidate, "retry_budget")
        if wanted.wait_s:
            await world.sleep(wanted.wait_s)
        hold = await world.ledger.reserve(self.purse, world.new_id(), candidate.ceiling)
        if isinstance(hold, Refusal):
            world.observe(events.Refused(self.about, hold.scope))
            return Refused(candidate, hold)
        world.observe(events.Reserved(self.about, hold.id, hold.amount, hold.left))
        world.health.asking(candidate.deployment.name, now)
        call = _Call(self, candidate, wanted, hold)
        if self.request.stream and not wanted.checks:
            return await call.open()
        return await call.ask()

    def _tell_why(self, wanted: Round) -> None:
        """A round that follows on a failure or a poor answer says so."""
        after = wanted.after
        if after is None:
            return
        self._trail.append(f"{after.model.name} {wanted.why}")
        to = wanted.calls[0]
        if wanted.purpose == "escalation":
            self.escalations += 1
            event = events.Escalated(self.about, after.tier, to.tier, wanted.why)
            self.world.observe(event)
        elif wanted.purpose == "fallback":
            names = (after.model.name, to.model.name)
            self.world.observe(events.FellBack(self.about, *names, wanted.why))

    def _seconds(self) -> float:
        return self.world.clock() - self._began

    def _replied(self, candidate: Candidate, why: str) -> None:
        self.world.observe(
            events.Replied(
                self.about,
                candidate.deployment.provider,
                candidate.model.name,
                candidate.tier,
                why,
                self._seconds(),
                self._upstream_s,
                self._first_token_s,
            )
        )

    def _denied(self, error: GatewayError) -> None:
        code = error.code or "error"
        self.world.observe(events.Denied(self.about, code, error.status, self._seconds()))


class _Call:
    """One call to one candidate, held already: made, judged, and settled exactly once."""

    def __init__(self, life: Life, candidate: Candidate, wanted: Round, hold: Hold) -> None:
        self.life = life
        self.world = life.world
        self.candidate = candidate
        self.wanted = wanted
        self.hold = hold
        self.began = self.world.clock()
        self.first_token_s: float | None = None

    def _timeout_s(self) -> float:
        return min(self.world.timeouts.answer_s, self.life._deadline - self.began)  # noqa: SLF001

    async def ask(self) -> Outcome:
        """Wait for the whole answer and judge it."""
        life, candidate, asked = self.life, self.candidate, self.wanted.checks
        request = checks.ask(asked, life.request)
        try:
            completion = await self.world.upstream.send(
                candidate, request, timeout_s=self._timeout_s()
            )
        except UpstreamError as error:
            await self._failed(error, Tally())
            return Failed(candidate, error)
        except asyncio.CancelledError:
            await self._abandoned(Tally())
            raise
        usage = completion.usage
        if usage is None:
            usage = Usage(tokens.count_prompt(request), tokens.count_answer(completion.choices))
        life.usage = usage
        await self._close("ok", usage, counted=completion.usage is None)
        if not asked:
            return Answered(candidate, completion)
        findings = checks.judge(asked, completion, request)
        names = tuple(check.name for check in asked)
        failed = tuple(finding.check for finding in findings)
        self.world.observe(
            events.Judged(life.about, candidate.model.name, candidate.tier, names, failed)
        )
        return Answered(candidate, checks.strip(asked, completion), findings)

    async def open(self) -> Outcome:
        """Wait for the first deltas: until then another candidate can still be asked."""
        deltas = self.world.upstream.stream(
            self.candidate, self.life.request, timeout_s=self._timeout_s()
        )
        try:
            first = await anext(deltas)
        except StopAsyncIteration:
            first = ()
        except UpstreamError as error:
            await self._failed(error, Tally())
            return Failed(self.candidate, error)
        except asyncio.CancelledError:
            await deltas.aclose()
            await self._abandoned(Tally())
            raise
        self.first_token_s = self.world.clock() - self.began
        self.life._first_token_s = self.life._seconds()  # noqa: SLF001
        return Flowing(self.candidate, self._flow(first, deltas))

    async def _flow(
        self, first: Sequence[Delta], deltas: AsyncGenerator[Sequence[Delta], None]
    ) -> AsyncGenerator[Sequence[Delta], None]:
        """Give the deltas as they come; at the end, however it comes, settle and say so."""
        life = self.life
        tally = Tally()
        over = False
        try:
            async with aclosing(deltas):
                tally.add(first)
                yield first
                async for some in deltas:
                    tally.add(some)
                    yield some
            over = True
            life.usage = tally.usage or tally.counted(life.request)
            await self._close("ok", life.usage, counted=tally.usage is None)
            life._replied(self.candidate, "unjudged")  # noqa: SLF001
        except UpstreamError as error:
            over = True
            await self._failed(error, tally)
            life._denied(error)  # noqa: SLF001
            raise
        finally:
            if not over:
                await self._abandoned(tally)
                self.world.observe(events.Dropped(life.about, life._seconds()))  # noqa: SLF001

    async def _failed(self, error: UpstreamError, tally: Tally) -> None:
        name, now = self.candidate.deployment.name, self.world.clock()
        if error.dings:
            self.world.health.failed(name, now, error.retry_after)
        else:
            self.world.health.succeeded(name, now)
        nothing = error.bills == "nothing" and not tally.begun
        owed = Usage() if nothing else tally.counted(self.life.request)
        await self._close(error.kind, owed, counted=not nothing)

    async def _abandoned(self, tally: Tally) -> None:
        """The client is gone; the provider bills what it has done so far."""
        with anyio.CancelScope(shield=True):
            await self._close("dropped", tally.counted(self.life.request), counted=True)

    async def _close(self, outcome: str, usage: Usage, *, counted: bool) -> None:
        """Tell what became of the call, and replace its hold by what it cost."""
        life, candidate, hold = self.life, self.candidate, self.hold
        now = self.world.clock()
        if outcome == "ok":
            self.world.health.succeeded(candidate.deployment.name, now)
        seconds = now - self.began
        life._upstream_s += seconds  # noqa: SLF001
        purpose = "abandoned" if outcome == "dropped" else self.wanted.purpose
        spent = cost(candidate.model.price, usage)
        life.attempts.append(Attempt(candidate, purpose, outcome, spent, usage))
        if hold.left is not None:
            life.left = Nanos(hold.left + hold.amount - spent)
        where = (candidate.deployment.provider, candidate.model.name, candidate.tier, purpose)
        self.world.observe(
            events.Attempted(life.about, *where, outcome, seconds, self.first_token_s)
        )
        self.world.observe(
            events.Settled(life.about, hold.id, *where, hold.amount, spent, usage, counted)
        )
        await self.world.ledger.settle(hold, spent)
