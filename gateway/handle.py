"""The life of a request, from admitted to settled. Read this file first.

`Life.answer` is the story: read what is asked, plan who could answer, and let a strategy say
which calls to make and which answer to keep. Each call is held for its ceiling before it is made;
call.py makes it, judges it and settles it once, however it ends.
"""

from typing import Final

from msgspec import Struct, structs

from gateway.call import Call
from gateway.core import events, refusals, tokens
from gateway.core.accounts import Hold, Purse, Refusal
from gateway.core.catalog import Tenant
from gateway.core.chat import ChatRequest, Completion, add_messages
from gateway.core.checks.watches import worth_watching
from gateway.core.errors import LedgerDown
from gateway.core.features import Features, read_features
from gateway.core.first_rung import after, begin
from gateway.core.flow import Deltas
from gateway.core.ladder import Ladder
from gateway.core.life_end import ended
from gateway.core.plan import Candidate, Limits, Plan
from gateway.core.prompt_caches import beginning
from gateway.core.reason import Trail
from gateway.core.rule_traits import climbed
from gateway.core.spent import Tab
from gateway.core.strategies import carry_out, tactic
from gateway.core.strategies.course import BUDGET, aside
from gateway.core.strategy import (
    Answered,
    Flowing,
    Outcome,
    Refused,
    Round,
    Stopped,
    Verdict,
)
from gateway.examine import examine
from gateway.hold import Once, held
from gateway.rounds import together
from gateway.watch import watch
from gateway.world import Attendant, World

_TICK_S: Final = 0.001
"""Timers may be so early."""


class Reply(Struct, frozen=True):
    """The answer for the client: a whole `completion`, or `deltas` that flow.

    `dropped` names the fields of the request that whoever answered cannot honour, `headers` are
    more to tell the client.
    """

    candidate: Candidate
    reason: str
    completion: Completion | None
    deltas: Deltas | None
    dropped: tuple[str, ...] = ()
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Life:
    """One request of one tenant."""

    def __init__(
        self, world: World, tenant: Tenant, purse: Purse, request: ChatRequest, about: events.About
    ) -> None:
        self.world = world
        self.tenant = tenant
        self.purse = purse
        self.request = request
        self.about = about
        self.tab = Tab()
        self._route, self._named = "", world.ladders[request.model]
        if self._named.canary is not None:
            self._route, self._named = self._named.of_tenant(tenant.name)
            self.about = structs.replace(about, route=self._route or about.route)
        self._attendant: Attendant | None = None
        self._trail = Trail()
        self._began = self._deadline = world.clock()
        self.once = Once()
        self._top = ""
        self._begins: bytes | None = None
        self._features: Features | None = None

    async def answer(self) -> Reply:
        """Answer the request, or raise the GatewayError to show.

        The life of a flowing reply goes on until its deltas end or are closed.
        """
        self.world.tell[events.Began](events.Began(self.about, self.request))
        try:
            ladder = self._ladder()
            plan = self._planned(ladder)
            if not plan.rungs:
                plan = await self._recounted(ladder)
            verdict = await self._carry_out(ladder, self._able(ladder, plan))
            if not self.tab.attempts and refusals.of_tokens(verdict) and await self._recount():
                verdict = await self._carry_out(ladder, self._planned(ladder))
            answer = verdict.answer
            if answer is None:
                if self.world.clock() >= self._deadline - _TICK_S:
                    verdict = structs.replace(verdict, why="deadline")
                raise refusals.no_answer(verdict, self.purse, self._trail.words)
        except BaseException as error:
            self._over(None, error)
            raise
        if self._begins is not None:
            name, an_hour = answer.candidate.deployment.name, answer.candidate.caches_1h
            self.world.warmth.warmed(self._begins, name, self.world.clock(), an_hour=an_hour)
        reason = self._trail.after(verdict.why)
        if self._attendant is not None:
            answer = await self._attendant.hears(answer)
        if isinstance(answer, Flowing):
            return Reply(answer.candidate, reason, None, answer.deltas, answer.dropped)
        self.tab.usage, self.tab.answer = answer.usage, answer.completion
        self._over(answer.candidate, None, verdict.why)
        whole = answer.completion
        return Reply(answer.candidate, reason, whole, None, whole.dropped)

    def abandon(self) -> float:
        """The client is gone. For how many seconds to go on, so that what the call costs comes to
        be known; 0 to be cancelled at once. No other call is made from now on.
        """
        ladder = self._named
        if ladder.on_disconnect != "drain" or self.tab.gone:
            return 0.0
        self.tab.gone = True
        return ladder.drain_s

    def _ladder(self) -> Ladder:
        """What is climbed: what the route says, or the first of its rules that holds."""
        if self._route:
            self._trail.note(f"canary {self._route}")
        named, features = self._named, read_features(self.request)
        self._features = features
        if not named.rules:
            return named
        wall, home = self.world.wall(), self.tenant.regions
        rule, ladder = climbed(named, self.request, self.about.tags, wall, home, features)
        if rule:
            self._trail.note(f"rule {rule}")
        return ladder

    def _able(self, ladder: Ladder, plan: Plan) -> Plan:
        """The plan, if anybody in it can answer."""
        told = events.Planned(self.about, len(plan.rungs), len(plan.skipped))
        self.world.tell[events.Planned](told)
        if not plan.rungs:
            raise refusals.nothing_fits(plan, ladder.name, self.tenant, self._asked_for())
        return plan

    async def _recount(self) -> bool:
        """Count what goes in exactly, once. Whether that is known, and less than was supposed."""
        bound = self.tab.bound
        if bound is None or bound.exact is not None:
            return False
        exact = await self.world.exact_tokens(self.request)
        if exact is None:
            return False
        self.tab.bound = structs.replace(bound, exact=exact)
        return exact + bound.beside < bound.tokens

    def _asked_for(self) -> Features:
        """The features, with what was found of the prompt's size since they were read."""
        features = self._features or read_features(self.request)
        bound = self.tab.bound
        return features if bound is None else structs.replace(features, bound=bound)

    async def _recounted(self, ladder: Ladder) -> Plan:
        """Where nothing fits the estimate may have been too careful."""
        await self._recount()
        return self._planned(ladder)

    def _planned(self, ladder: Ladder) -> Plan:
        """What could answer."""
        world, features = self.world, self._asked_for()
        self.tab.bound = features.bound
        limits = Limits(self.tenant, world.health.down(self._began), world.factors, world.pace)
        if ladder.ordered:
            limits = self._with_warmth(limits)
        plan = world.plans.plan(ladder, features, limits, world.draw)
        self.tab.most = plan.most
        if ladder.learned is not None:
            plan, self.tab.signals = begin(ladder, plan, self.request, features)
        return plan

    def _with_warmth(self, limits: Limits) -> Limits:
        """Where what is observed has a say, it counts whose cache holds the beginning."""
        world = self.world
        begins = beginning(self.request)
        if begins is None:
            return structs.replace(limits, wall=world.wall())
        self._begins, size = begins
        warm = world.warmth.warm(self._begins, self._began)
        return structs.replace(limits, warm=warm, prefix=tokens.count(size), wall=world.wall())

    async def _carry_out(self, ladder: Ladder, plan: Plan) -> Verdict:
        """Make the calls that the strategy asks for, until it has its verdict."""
        extras = self.request.extras
        timeout_s, latest_ms = ladder.timeout_s, extras.max_latency_ms
        if latest_ms is not None:
            timeout_s = min(timeout_s, latest_ms / 1000)
        self._deadline = self._began + timeout_s
        self.world.retries.called(self._began)
        self._top = plan.rungs[-1].tier if plan.rungs else ""
        chosen = ladder.strategy if extras.strategy is None else tactic(extras.strategy)
        if plan.start is not None and plan.start.below:
            chosen = after(chosen, plan.start.below)
            self._trail.note(f"learned {plan.start.tier}")
        if ladder.behind is not None and self.world.behind is not None:
            self._attendant = self._attendant or self.world.behind.attend(self, ladder)
            whole, (plan, chosen) = plan, self._attendant.course(plan, chosen)
            if plan is not whole:
                self._trail.note("guard")
        strategy = carry_out(plan, chosen)
        try:
            wanted = next(strategy)
            while True:
                calls = wanted.calls
                if len(calls) == 1:
                    wanted = strategy.send((await self._attempt(wanted, calls[0]),))
                else:
                    wanted = strategy.send(await together(self._attempt, wanted, self.world.sleep))
        except StopIteration as stop:
            verdict: Verdict = stop.value
            return verdict
        finally:
            strategy.close()

    async def _attempt(self, wanted: Round, candidate: Candidate) -> Outcome:
        """Hold the ceiling, then call."""
        world = self.world
        if (why_not := self._why_not(wanted)) is not None:
            return Stopped(candidate, why_not)
        if wanted.because.after is not None:
            self._trail.because(wanted.because)
        if wanted.wait_s:
            await world.sleep(wanted.wait_s)
        try:
            hold = await held(self, candidate, self.once, wanted.said)
        except LedgerDown:
            if not self.tab.attempts and len(wanted.calls) == 1:
                raise
            return Stopped(candidate, "ledger_unavailable")  # the best answer so far is given
        if not isinstance(hold, Hold):
            return self._not_held(candidate, hold)
        call = Call(world, self.about, self.tab, wanted, candidate, hold, self._over)
        timeout_s, left_s = world.timeouts.answer_s, self._deadline - call.began
        if left_s < timeout_s:
            timeout_s = max(left_s, 0.0)
        request = add_messages(self.request, wanted.said) if wanted.said else self.request
        make = self._streamed if request.stream else Call.ask
        outcome = await make(call, request, timeout_s)
        others = call.asked.others
        if others and isinstance(outcome, Answered) and not outcome.findings:
            return await examine(self, others, outcome, request, self._deadline)
        return outcome

    async def _streamed(self, call: Call, request: ChatRequest, timeout_s: float) -> Outcome:
        """What need not be judged flows; what is judged may flow as soon as that is decided."""
        wanted, tier = call.wanted, call.candidate.tier
        if not wanted.checks and not wanted.held:
            return await call.open(request, timeout_s)
        if worth_watching(wanted.checks, request):
            return await watch(call, request, timeout_s, cuts=tier != self._top)
        return await call.ask(request, timeout_s)

    def _not_held(self, candidate: Candidate, refusal: Refusal | None) -> Outcome:
        outcome: Outcome = Stopped(candidate, BUDGET)
        if refusal is not None:
            outcome = Refused(candidate, refusal)
            for told in refusals.told_of(self.about, refusal):
                self.world.observe(told)
        if aside(outcome):
            self._trail.short(candidate)
        return outcome

    def _why_not(self, wanted: Round) -> str | None:
        """Why no call may be made any more, or not now."""
        if self.tab.gone:
            return "client_gone"
        now = self.world.clock()
        if now + wanted.wait_s >= self._deadline:
            return "deadline"
        return "retry_budget" if wanted.again and not self.world.retries.take(now) else None

    def _over(
        self, candidate: Candidate | None, error: BaseException | None, why: str = "unjudged"
    ) -> None:
        """The life ends, once: replied, denied, or dropped by the client."""
        began, now = self._began, self.world.clock()
        event = ended(self.about, self.tab, candidate, error, why, began=began, now=now)
        self.world.tell[type(event)](event)
        self.world.ledger.leave(self.purse, self.about.request_id)
        if self._attendant is not None and candidate and isinstance(event, events.Replied):
            self._attendant.over(candidate, why)
