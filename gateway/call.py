"""One call to one candidate: held already, made, settled exactly once, and judged."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from math import inf
from typing import Any, Final

from msgspec import Struct

from gateway.core.accounts import Amounts, Hold
from gateway.core.billing import CountCap, Tally, billed, charge
from gateway.core.chat import ChatRequest, Completion, Delta, Usage
from gateway.core.checks.finding import Finding
from gateway.core.errors import Broken, ShuttingDown, TimedOut, UpstreamError, is_unsent
from gateway.core.events import Judged, Settled
from gateway.core.flow import Deltas
from gateway.core.money import Nanos, cost
from gateway.core.plan import Candidate
from gateway.core.records.record import UsageRecord
from gateway.core.strategies.progress import OUTRUN, UNHEARD
from gateway.core.strategy import Answered, Failed, Flowing, Outcome, Round
from gateway.world import LifeContext

TICK_S: Final = 0.001
"""Timers may be so early."""
_USUAL: Final = 0.95
"""Of a deployment's answers: so many come within its usual time."""
_JUDGED: Final = ("ok", "cut")
"""Outcomes in which the provider did its part."""


class Call(Struct, eq=False):
    """Made by hold.py. When a flowing answer has ended, it ends the life as well. `began` is in
    monotonic seconds.
    """

    life: LifeContext
    wanted: Round
    candidate: Candidate
    sized: Candidate
    """The same, with what its round adds to the prompt."""
    hold: Hold
    request: ChatRequest
    """What it asks, as the checks of its round need it."""
    began: float
    first_token_s: float | None = None
    last_piece: float | None = None
    """When the last piece came, in monotonic seconds, of one that is held back."""
    dropped: tuple[str, ...] = ()

    async def ask(self, timeout_s: float) -> Outcome:
        """Wait for the whole answer and judge it."""
        request, upstream = self.request, self.life.world.upstream
        try:
            answer = await upstream.send(self.sized, request, timeout_s=timeout_s)
        except BaseException as error:
            self.failed(error, Tally(self.count_cap()), timeout_s)
            if isinstance(error, UpstreamError):
                return Failed(self.candidate, error)
            raise
        usage, counted = billed(answer, request, self.count_cap)
        self.settle("ok", usage, counted=counted)
        return self.judged(answer, usage)

    def judged(self, answer: Completion, usage: Usage) -> Answered:
        """A whole answer, held against its checks."""
        checks = self.wanted.checks
        if not checks.runs:
            return Answered(self.candidate, answer, usage)
        findings = checks.judge(answer, self.request)
        self.emit_findings(findings)
        if checks.mends:
            answer = checks.mend(answer, self.request)
        return Answered(self.candidate, answer, usage, findings)

    def emit_findings(self, findings: tuple[Finding, ...]) -> None:
        """What the checks at hand have found."""
        life, to, names = self.life, self.candidate, self.wanted.checks.names
        failed = tuple([finding.check for finding in findings]) if findings else ()
        life.world.emit[Judged](Judged(life.about, to.model.name, to.tier, names, failed))

    async def open(self, timeout_s: float) -> Outcome:
        """Wait for the first deltas: until then another candidate can still be asked."""
        flow = self._flow(timeout_s)
        try:
            await anext(flow)
        except UpstreamError as error:
            return Failed(self.candidate, error)
        return Flowing(self.candidate, flow, self.dropped)

    async def _flow(self, timeout_s: float) -> Deltas:
        """Yield nothing once when the first deltas are in, then all of them as they come.

        So the generator has begun before anybody else holds it, and closing it always settles.
        """
        world, request = self.life.world, self.request
        tally = Tally(self.count_cap())
        try:
            deltas = world.upstream.stream(self.sized, request, timeout_s=timeout_s)
            async with aclosing(deltas):
                with suppress(StopAsyncIteration):
                    some = await anext(deltas)
                    self._first_deltas(some)
                    tally.add(some)
                    yield ()
                    while True:
                        sink = yield some
                        some = await deltas.asend(sink and tally.before(sink))
                        tally.add(some)
            if not tally.begun:
                raise Broken("the stream was empty")
        except BaseException as error:
            self.interrupted(error, tally, timeout_s, given=tally.begun)
            raise
        self.completed(tally)

    def completed(self, tally: Tally, why: str = "unjudged") -> None:
        """The client has all of the answer: it is settled, and with it the life ends."""
        life = self.life
        life.tab.usage, counted = tally.billed(self.request)
        try:
            self.settle("ok", life.tab.usage, counted=counted)
        except BaseException as error:
            life.end(self.candidate, error, why)
            raise
        life.end(self.candidate, None, why)

    def interrupted(
        self, error: BaseException, tally: Tally, timeout_s: float, *, given: bool
    ) -> None:
        """The answer is not whole: it is settled, and the life ends where some of it was `given` to
        the client, as nobody else can answer then.
        """
        try:
            self.failed(error, tally, timeout_s)
        finally:
            if given and not ends_call_only(error):
                self.life.end(self.candidate, error)

    def count_cap(self) -> CountCap:
        """What is held of its prompt, with all that was said in its round, and of its answer."""
        to = self.candidate
        answer = to.tokens - to.prompt
        return CountCap(self.hold.amounts.tokens - answer, answer, to.model.image_tokens)

    def _first_deltas(self, first: Sequence[Delta]) -> None:
        now = self.life.world.clock()
        self.first_token_s = now - self.began
        self.life.tab.first_token_s = now - self.life.began
        self.dropped = first[0].dropped

    def failed(self, error: BaseException, tally: Tally, timeout_s: float = inf) -> None:
        """The answer is not whole: charge what the provider will bill. `timeout_s` is the time
        that it was given.
        """
        if isinstance(error, UpstreamError):
            self._blame(error, timeout_s)
            tally.usage = error.usage or tally.usage
            free = error.bills == "nothing" and not (tally.begun or error.usage)
            if not free:  # it is billed, so it is not made again, not even later
                error.retry_after = None
            owed = Usage() if free else tally.counted(self.request)
            self.settle(error.kind, owed, counted=not free)
            return
        # The task is being cancelled, or the flow closed: the client is gone.
        self.life.world.health.call_abandoned(self.candidate.deployment.name)
        outcome = "internal_error" if isinstance(error, Exception) else "dropped"
        if error.args in ((OUTRUN,), (ShuttingDown.code,)):
            (outcome,) = error.args
        unsent = is_unsent(error) and not tally.begun
        owed = Usage() if unsent else tally.counted(self.request)
        self.settle(outcome, owed, counted=not unsent)

    def _blame(self, error: UpstreamError, timeout_s: float) -> None:
        world, name = self.life.world, self.candidate.deployment.name
        if isinstance(error, TimedOut) and self._was_hurried(timeout_s):
            world.health.call_abandoned(name)
        elif error.dings:
            world.health.failed(name, world.clock(), error.retry_after)
        else:
            world.health.succeeded(name, world.clock(), self.began)

    def _was_hurried(self, timeout_s: float) -> bool:
        """Whether it ended by a shorter time than others are given: what its request had left, or
        its judge was allowed. Where it often says nothing for as long, that is no fault of its
        deployment, and must not close it to all others.
        """
        life, world = self.life, self.life.world
        took_s = world.clock() - self.began
        in_full = took_s < timeout_s - TICK_S or timeout_s >= world.timeouts.answer_s
        if in_full or life.tab.first_token_s is not None:
            return False
        silent_s = took_s if self.last_piece is None else world.clock() - self.last_piece
        usual_s = world.pace.quantile(self.candidate.deployment.name, _USUAL)
        return usual_s is not None and silent_s < usual_s

    def settle(self, outcome: str, usage: Usage, *, counted: bool) -> None:
        """Tell what became of the call, and replace its hold by what it cost."""
        life, candidate, wanted = self.life, self.candidate, self.wanted
        world, about, tab = life.world, life.about, life.tab
        hold, held = self.hold, self.hold.amounts
        model, deployment, cause = candidate.model, candidate.deployment, wanted.cause
        took_s, first_token_s, began_s = world.clock() - self.began, self.first_token_s, None
        if outcome in _JUDGED:
            if deployment.name not in world.health.steady:
                world.health.succeeded(deployment.name, self.began + took_s, self.began)
            began_s = took_s if first_token_s is None else first_token_s
        elif outcome == OUTRUN:
            began_s = first_token_s or world.pace.at_least(deployment.name, took_s)
        world.pace.call_ended(deployment.name, began_s)
        purpose, bound = cause.purpose, life.features.bound
        if not (counted or bound.media or bound.grows or wanted.messages or purpose == "audit"):
            world.factors.learn(model.name, bound.counted, usage.prompt)
        if tab.client_gone or outcome == "dropped":
            purpose = "abandoned"
        spent = (
            cost(model.price, usage)
            if deployment.tariff is None and not usage.reported_cost  # nearly always
            else self._cost(usage, took_s, counted=counted)
        )
        record = UsageRecord(
            hold.id,
            about.request_id,
            about.tenant,
            about.route,
            model.name,
            deployment.provider,
            candidate.tier,
            purpose,
            outcome,
            held.nanos,
            spent,
            usage,
            counted,
            about.organisation,
            about.key,
            about.user,
            about.tags,
            about.stream,
            took_s,
            first_token_s,
            () if tab.attempts else tab.signals,
        )
        tab.attempts.append(record)
        tab.spent += spent
        if tab.max_cost is not None:
            tab.release(held.nanos)
        tab.upstream_s += took_s
        if hold.left is not None and tab.budget_left is not None:
            # The latest hold already counted this one, unless it is on other accounts.
            before = hold.left if life.purse.per_call else tab.budget_left
            tab.budget_left = before + held.nanos - spent
        try:
            world.emit[Settled](Settled(about, record, cause.why))
        finally:  # money first, whatever an observer thinks of it
            actual = Amounts(spent, usage.prompt + usage.completion, held.requests)
            world.ledger.settle(hold, actual, record)  # which no answer waits for

    def _cost(self, usage: Usage, took_s: float, *, counted: bool) -> Nanos:
        """What the call is charged: by its hour, and by what the provider says that it costs."""
        model, deployment = self.candidate.model, self.candidate.deployment
        tariff, now = deployment.tariff, self.life.world.wall()
        spent = tariff.cost(usage, now - took_s, now) if tariff else cost(model.price, usage)
        return charge(spent, usage, deployment, counted=counted)


@asynccontextmanager
async def closing_with_cause(deltas: Deltas) -> AsyncIterator[Deltas]:
    """Like `aclosing`, but a cancellation is thrown in with its reason: closed, they would end as
    those of a client that left.
    """
    try:
        yield deltas
    except asyncio.CancelledError as error:
        with suppress(asyncio.CancelledError, StopAsyncIteration):
            await deltas.athrow(error)
        raise
    finally:
        await deltas.aclose()


async def wait_all(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Wait until all are done, even if cancelled meanwhile: that is raised afterwards."""
    cancelled: asyncio.CancelledError | None = None
    while not all(task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def ends_call_only(error: BaseException) -> bool:
    """Whether it ends only this call: whoever cancels so ends the life itself."""
    return isinstance(error, asyncio.CancelledError) and error.args in ((OUTRUN,), (UNHEARD,))
