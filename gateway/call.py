"""One call to one candidate: held already, made, judged, and settled exactly once."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from typing import Final

from gateway.core import events
from gateway.core.accounts import Amounts, Hold
from gateway.core.billing import Tally, billed
from gateway.core.chat import ChatRequest, Completion, Delta, Usage
from gateway.core.checks import Checklist, checklist
from gateway.core.checks.finding import Finding
from gateway.core.errors import Broken, UpstreamError
from gateway.core.flow import Deltas
from gateway.core.money import Nanos, cost
from gateway.core.plan import Candidate
from gateway.core.spent import Tab
from gateway.core.strategies.course import OUTRUN, UNHEARD
from gateway.core.strategy import Answered, Because, Failed, Flowing, Outcome, Round
from gateway.core.tariff import Tariff
from gateway.core.usage_record import UsageRecord
from gateway.world import World

Over = Callable[[Candidate, BaseException | None, str], None]
"""Told what ended the life, if anything did, and why the answer was kept."""
_JUDGED: Final = ("ok", "cut")
"""How a call ends whose provider did what it was asked."""


class Call:
    """`over` is told when a flowing answer has ended: by None when it is whole."""

    def __init__(
        self,
        world: World,
        about: events.About,
        tab: Tab,
        wanted: Round,
        candidate: Candidate,
        hold: Hold,
        over: Over,
    ) -> None:
        self.world = world
        self.about = about
        self.tab = tab
        self.wanted = wanted
        self.asked = checklist(wanted.checks)
        self.candidate = candidate
        self.hold = hold
        self.over = over
        self.began = world.clock()
        self.first_token_s: float | None = None
        self.dropped: tuple[str, ...] = ()

    async def ask(self, request: ChatRequest, timeout_s: float) -> Outcome:
        """Wait for the whole answer and judge it."""
        candidate, asked = self.candidate, self.asked
        if asked.asks:
            request = asked.ask(request)
        try:
            self.held()
            answer = await self.world.upstream.send(candidate, request, timeout_s=timeout_s)
        except BaseException as error:
            self.ended(error, request, Tally(candidate.model.image_tokens))
            if isinstance(error, UpstreamError):
                return Failed(candidate, error)
            raise
        usage, counted = billed(answer, request, candidate.model.image_tokens)
        self.close("ok", usage, counted=counted)
        await asyncio.sleep(0)  # the settle is on its way before the answer is
        return self.judged(asked, answer, request, usage)

    def judged(
        self, asked: Checklist, answer: Completion, request: ChatRequest, usage: Usage
    ) -> Answered:
        """A whole answer, held against its checks."""
        if not asked.runs:
            return Answered(self.candidate, answer, usage)
        findings = asked.judge(answer, request)
        self.tell(asked, findings)
        if asked.fixes or asked.asks:
            answer = asked.mend(answer, request)
        return Answered(self.candidate, answer, usage, findings)

    def tell(self, asked: Checklist, findings: tuple[Finding, ...]) -> None:
        model, tier = self.candidate.model.name, self.candidate.tier
        failed = tuple([finding.check for finding in findings]) if findings else ()
        told = events.Judged(self.about, model, tier, asked.names, failed)
        self.world.tell[events.Judged](told)

    async def open(self, request: ChatRequest, timeout_s: float) -> Outcome:
        """Wait for the first deltas: until then another candidate can still be asked."""
        flow = self._flow(request, timeout_s)
        try:
            await anext(flow)
        except UpstreamError as error:
            return Failed(self.candidate, error)
        return Flowing(self.candidate, flow, self.dropped)

    async def _flow(self, request: ChatRequest, timeout_s: float) -> Deltas:
        """Yield nothing once when the first deltas are in, then all of them as they come.

        So the generator has begun before anybody else holds it, and closing it always settles.
        """
        tally = Tally(self.candidate.model.image_tokens)
        try:
            self.held()
            deltas = self.world.upstream.stream(self.candidate, request, timeout_s=timeout_s)
            async with aclosing(deltas):
                with suppress(StopAsyncIteration):
                    some = await anext(deltas)
                    self._begins(some)
                    tally.add(some)
                    yield ()
                    while True:
                        sink = yield some
                        some = await deltas.asend(sink and tally.before(sink))
                        tally.add(some)
            if not tally.begun:
                raise Broken("the stream was empty")
        except BaseException as error:
            try:
                self.ended(error, request, tally)
            finally:
                if tally.begun and not beside_life(error):
                    self.over(self.candidate, error, "unjudged")
            raise
        self.tab.usage, counted = tally.billed(request)
        try:
            self.close("ok", self.tab.usage, counted=counted)
            await asyncio.sleep(0)  # as in ask
        except BaseException as error:
            self.over(self.candidate, error, "unjudged")
            raise
        self.over(self.candidate, None, "unjudged")

    def _begins(self, first: Sequence[Delta]) -> None:
        now = self.world.clock()
        self.first_token_s = now - self.began
        self.tab.first_token_at = now
        self.dropped = first[0].dropped

    def held(self) -> None:
        """Tell what is held, and why another call is made; whatever fails now settles the hold."""
        world, about, hold, name = self.world, self.about, self.hold, self.candidate.deployment.name
        world.pace.asking(name)
        self.tab.left = hold.left
        told = events.Reserved(about, hold.id, hold.amounts.nanos, hold.left)
        world.tell[events.Reserved](told)
        for warned in hold.warned:
            if warned.first:
                world.observe(events.budget_warned(about, warned))
            if warned.budget.mode == "soft":
                self.tab.warned.append(warned)
        if self.wanted.because.after is not None:
            self._moved(self.wanted.because, self.wanted.because.after)
        world.health.asking(name, self.began)

    def _moved(self, because: Because, after: Candidate) -> None:
        """Another has failed, or answered poorly."""
        world, about, to = self.world, self.about, self.candidate
        if because.purpose == "escalation":
            self.tab.escalations += 1
            world.observe(events.Escalated(about, after.tier, to.tier, because.why))
        elif because.purpose == "fallback":
            names = (after.model.name, to.model.name)
            world.observe(events.FellBack(about, *names, because.why))

    def ended(self, error: BaseException, request: ChatRequest, tally: Tally) -> None:
        """No whole answer came of it: it costs what the provider will bill for it."""
        if isinstance(error, UpstreamError):
            self._blame(error)
            free = error.bills == "nothing" and not tally.begun
            owed = Usage() if free else tally.counted(request)
            self.close(error.kind, owed, counted=not free)
            return
        # The task is being cancelled, or the flow closed: the client is gone.
        self.world.health.gave_up(self.candidate.deployment.name)
        outcome = "internal_error" if isinstance(error, Exception) else "dropped"
        if error.args == (OUTRUN,):
            outcome = OUTRUN
        self.close(outcome, tally.counted(request), counted=True)

    def _blame(self, error: UpstreamError) -> None:
        name, now = self.candidate.deployment.name, self.world.clock()
        if error.dings:
            self.world.health.failed(name, now, error.retry_after)
        else:
            self.world.health.succeeded(name, now)

    def close(self, outcome: str, usage: Usage, *, counted: bool) -> None:
        """Tell what became of the call, and replace its hold by what it cost."""
        world, about, tab, hold = self.world, self.about, self.tab, self.hold
        candidate, wanted, held = self.candidate, self.wanted, self.hold.amounts
        model, deployment, because = candidate.model, candidate.deployment, wanted.because
        now = world.clock()
        took_s = began_s = now - self.began
        if outcome in _JUDGED:
            world.health.succeeded(deployment.name, now)
            if self.first_token_s is not None:
                began_s = self.first_token_s
            world.pace.answered(deployment.name, began_s)
        else:
            world.pace.answered(deployment.name, None)
        purpose = "abandoned" if tab.gone or outcome == "dropped" else because.purpose
        own = wanted.said or because.purpose == "audit"  # what went in is not the client's alone
        if not counted and tab.bound and not (tab.bound.media or own):
            world.factors.learn(model.name, tab.bound.counted, usage.prompt)
        tariff = deployment.tariff
        spent = (
            cost(model.price, usage) if tariff is None else self._by_the_hour(tariff, usage, took_s)
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
            self.first_token_s,
            () if tab.attempts else tab.signals,
        )
        tab.attempts.append(record)
        tab.spent = Nanos(tab.spent + spent)
        tab.held -= held.nanos
        tab.upstream_s += took_s
        if hold.left is not None:
            tab.left = Nanos(hold.left + held.nanos - spent)
        try:
            world.tell[events.Settled](events.Settled(about, record, because.why))
        finally:  # money first, whatever an observer thinks of it
            actual = Amounts(spent, usage.prompt + usage.completion, held.requests)
            world.ledger.settle(hold, actual, record)  # which no answer waits for

    def _by_the_hour(self, tariff: Tariff, usage: Usage, took_s: float) -> Nanos:
        now = self.world.wall()
        return tariff.cost(usage, now - took_s, now)


def beside_life(error: BaseException) -> bool:
    """It ends only this call: who closed it, for one of these reasons, ends the life."""
    return isinstance(error, asyncio.CancelledError) and error.args in ((OUTRUN,), (UNHEARD,))
