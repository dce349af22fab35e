"""One call to one candidate: held already, made, settled exactly once, and judged."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Final

from msgspec import Struct

from gateway.core.accounts import Amounts, Hold
from gateway.core.billing import Most, Tally, billed
from gateway.core.chat import ChatRequest, Completion, Delta, Usage
from gateway.core.checks.finding import Finding
from gateway.core.errors import Broken, ShuttingDown, UpstreamError
from gateway.core.events import Judged, Settled
from gateway.core.flow import Deltas
from gateway.core.money import Nanos, cost
from gateway.core.plan import Candidate
from gateway.core.strategies.progress import OUTRUN, UNHEARD
from gateway.core.strategy import Answered, Failed, Flowing, Outcome, Round
from gateway.core.tariff import Tariff
from gateway.core.usage_record import UsageRecord
from gateway.world import Desk

_JUDGED: Final = ("ok", "cut")
"""How a call ends whose provider did what it was asked."""


class Call(Struct, eq=False):
    """For whoever is at `desk`, who is told when a flowing answer has ended. `began` is in
    monotonic seconds; see hold.py for how it comes to be.
    """

    desk: Desk
    wanted: Round
    candidate: Candidate
    hold: Hold
    request: ChatRequest
    """What it asks, as the checks of its round need it."""
    began: float
    first_token_s: float | None = None
    dropped: tuple[str, ...] = ()

    async def ask(self, timeout_s: float) -> Outcome:
        """Wait for the whole answer and judge it."""
        candidate, request, upstream = self.candidate, self.request, self.desk.world.upstream
        try:
            answer = await upstream.send(candidate, request, timeout_s=timeout_s)
        except BaseException as error:
            self.failed(error, Tally(self.most()))
            if isinstance(error, UpstreamError):
                return Failed(candidate, error)
            raise
        usage, counted = billed(answer, request, self.most)
        self.close("ok", usage, counted=counted)
        return self.judged(answer, usage)

    def judged(self, answer: Completion, usage: Usage) -> Answered:
        """A whole answer, held against its checks."""
        checks = self.wanted.checks
        if not checks.runs:
            return Answered(self.candidate, answer, usage)
        findings = checks.judge(answer, self.request)
        self.tell(findings)
        if checks.mends:
            answer = checks.mend(answer, self.request)
        return Answered(self.candidate, answer, usage, findings)

    def tell(self, findings: tuple[Finding, ...]) -> None:
        """What the checks at hand have found."""
        desk, to, names = self.desk, self.candidate, self.wanted.checks.names
        failed = tuple([finding.check for finding in findings]) if findings else ()
        desk.world.tell[Judged](Judged(desk.about, to.model.name, to.tier, names, failed))

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
        desk, candidate, request = self.desk, self.candidate, self.request
        tally = Tally(self.most())
        try:
            deltas = desk.world.upstream.stream(candidate, request, timeout_s=timeout_s)
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
            self.stream_broke(error, tally, given=tally.begun)
            raise
        self.stream_completed(tally)

    def stream_completed(self, tally: Tally, why: str = "unjudged") -> None:
        """The client has all of the answer: it is settled, and with it the life ends."""
        desk = self.desk
        desk.tab.usage, counted = tally.billed(self.request)
        try:
            self.close("ok", desk.tab.usage, counted=counted)
        except BaseException as error:
            desk.end(self.candidate, error, why)
            raise
        desk.end(self.candidate, None, why)

    def stream_broke(self, error: BaseException, tally: Tally, *, given: bool) -> None:
        """The answer is not whole: it is settled, and the life ends where some of it was `given` to
        the client, as nobody else can answer then.
        """
        try:
            self.failed(error, tally)
        finally:
            if given and not ends_only_the_call(error):
                self.desk.end(self.candidate, error)

    def most(self) -> Most:
        """What is held of its prompt, with all that was said in its round."""
        to = self.candidate
        answer = to.tokens - to.prompt
        return Most(self.hold.amounts.tokens - answer, to.model.image_tokens)

    def _first_deltas(self, first: Sequence[Delta]) -> None:
        now = self.desk.world.clock()
        self.first_token_s = now - self.began
        self.desk.tab.first_token_s = now - self.desk.began
        self.dropped = first[0].dropped

    def failed(self, error: BaseException, tally: Tally) -> None:
        """No whole answer came of it: it costs what the provider will bill for it."""
        if isinstance(error, UpstreamError):
            self._blame(error)
            tally.usage = error.usage or tally.usage
            free = error.bills == "nothing" and not (tally.begun or error.usage)
            if not free:  # what is billed is not asked for again, whenever there would be room
                error.retry_after = None
            owed = Usage() if free else tally.counted(self.request)
            self.close(error.kind, owed, counted=not free)
            return
        # The task is being cancelled, or the flow closed: the client is gone.
        self.desk.world.health.gave_up(self.candidate.deployment.name)
        outcome = "internal_error" if isinstance(error, Exception) else "dropped"
        if error.args in ((OUTRUN,), (ShuttingDown.code,)):
            (outcome,) = error.args
        self.close(outcome, tally.counted(self.request), counted=True)

    def _blame(self, error: UpstreamError) -> None:
        world, name = self.desk.world, self.candidate.deployment.name
        if error.dings:
            world.health.failed(name, world.clock(), error.retry_after)
        else:
            world.health.succeeded(name, world.clock(), self.began)

    def close(self, outcome: str, usage: Usage, *, counted: bool) -> None:
        """Tell what became of the call, and replace its hold by what it cost."""
        desk, candidate, wanted = self.desk, self.candidate, self.wanted
        world, about, tab = desk.world, desk.about, desk.tab
        hold, held = self.hold, self.hold.amounts
        model, deployment, because = candidate.model, candidate.deployment, wanted.because
        took_s, first_token_s, began_s = world.clock() - self.began, self.first_token_s, None
        if outcome in _JUDGED:
            if deployment.name not in world.health.steady:
                world.health.succeeded(deployment.name, self.began + took_s, self.began)
            began_s = took_s if first_token_s is None else first_token_s
        world.pace.answered(deployment.name, began_s)
        purpose = because.purpose
        bound = desk.features.bound
        if not (counted or bound.media or wanted.said or purpose == "audit"):
            world.factors.learn(model.name, bound.counted, usage.prompt)
        if tab.gone or outcome == "dropped":
            purpose = "abandoned"
        tariff, price = deployment.tariff, model.price
        spent = self._by_the_hour(tariff, usage, took_s) if tariff else cost(price, usage)
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
        if tab.most is not None:
            tab.release(held.nanos)
        tab.upstream_s += took_s
        if hold.left is not None and tab.left is not None:
            # The last hold was made beside this one, and saw it; unless it saw other accounts.
            before = hold.left if desk.purse.per_call else tab.left
            tab.left = before + held.nanos - spent
        try:
            world.tell[Settled](Settled(about, record, because.why))
        finally:  # money first, whatever an observer thinks of it
            actual = Amounts(spent, usage.prompt + usage.completion, held.requests)
            world.ledger.settle(hold, actual, record)  # which no answer waits for

    def _by_the_hour(self, tariff: Tariff, usage: Usage, took_s: float) -> Nanos:
        now = self.desk.world.wall()
        return tariff.cost(usage, now - took_s, now)


@asynccontextmanager
async def consuming(deltas: Deltas) -> AsyncIterator[Deltas]:
    """They are closed in the end. Who is cancelled while they are heard tells them why: closed they
    would end as those of a client that left.
    """
    try:
        yield deltas
    except asyncio.CancelledError as error:
        with suppress(asyncio.CancelledError, StopAsyncIteration):
            await deltas.athrow(error)
        raise
    finally:
        await deltas.aclose()


async def all_done(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Until all are done, however often this is cancelled meanwhile: that is told then."""
    cancelled: asyncio.CancelledError | None = None
    while not all(task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def ends_only_the_call(error: BaseException) -> bool:
    """It ends only this call: who closed it, for one of these reasons, ends the life."""
    return isinstance(error, asyncio.CancelledError) and error.args in ((OUTRUN,), (UNHEARD,))
