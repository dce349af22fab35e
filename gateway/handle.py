"""The life of a request, from admitted to settled. Read this file first.

`Life.answer` is the story: read what is asked, plan who could answer, and let a strategy say
which calls to make and which answer to keep. For each call hold.py sets its ceiling aside before it
is made; call.py makes it, settles it once, however it ends, and judges what it brought.
"""

import asyncio
from typing import Final

from msgspec import Struct, field, structs

from gateway.call import TICK_S, Call
from gateway.core import first_rung, reason, refusals, strategies, tokens
from gateway.core.accounts import Purse
from gateway.core.catalog import Tactic, Tenant
from gateway.core.chat import NO_EXTRAS, ChatRequest, Completion, add_messages
from gateway.core.errors import GatewayError, LedgerDown
from gateway.core.events import About, Began, Event, Planned, Replied
from gateway.core.features import Features, read_features
from gateway.core.flow import Deltas
from gateway.core.ladder import Ladder
from gateway.core.life_end import unanswered
from gateway.core.observers import nothing
from gateway.core.plan import Candidate, Plan, PlanContext, make_plan
from gateway.core.rule_traits import climbed
from gateway.core.strategy import Answered, Cause, Flowing, Outcome, Round, Stopped, Verdict
from gateway.core.tab import Tab
from gateway.external_checks import run_external
from gateway.hold import reserve
from gateway.rounds import run_round
from gateway.watch import stream
from gateway.world import Auditor, World

UNREAD: Final = Features(tokens.Bound(0, 0), None, 1, frozenset(), caches=False)
_NO_PLAN: Final = Plan(())


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


class Life(Struct, eq=False):
    """One request of one tenant: what is given, then what comes of it."""

    world: World
    tenant: Tenant
    purse: Purse
    request: ChatRequest
    about: About
    ladder: Ladder
    """What its `model` names, for this tenant; after `_read` that of its rule."""
    began: float
    """In monotonic seconds."""
    tab: Tab = field(default_factory=Tab)
    trail: reason.Trail = ()
    features: Features = UNREAD
    plan: Plan = _NO_PLAN
    _auditor: Auditor | None = None
    _prompt_prefix: bytes | None = None
    """Its key in `world.warmth`; None where no cache matters."""
    _deadline: float = 0.0
    _lock: asyncio.Lock | None = None
    """Of calls that are made at once."""
    _cause: Cause | None = None
    """The last one on the trail: calls made at once share it."""

    async def answer(self) -> Reply:
        """Answer the request, or raise the GatewayError to show.

        The life of a flowing reply goes on until its deltas end or are closed.
        """
        self.world.emit[Began](Began(self.about, self.request))
        try:
            verdict = await self._verdict()
            answer = verdict.answer
            if answer is None:
                raise self._no_answer(verdict)
        except BaseException as error:
            self.end(None, error)
            raise
        if self._prompt_prefix is not None:
            name, an_hour = answer.candidate.deployment.name, answer.candidate.surcharges.an_hour
            self.world.warmth.warmed(self._prompt_prefix, name, self.world.clock(), an_hour=an_hour)
        why = reason.header_value(verdict.why, self.trail)
        if self._auditor is not None:
            answer = await self._auditor.observe(answer)
        if isinstance(answer, Flowing):
            return Reply(answer.candidate, why, None, answer.deltas, answer.dropped)
        whole = answer.completion
        self.tab.usage = answer.usage
        self.end(answer.candidate, None, verdict.why, whole)
        return Reply(answer.candidate, why, whole, None, whole.dropped)

    def abandon(self) -> float:
        """The client is gone: no other call is made. Gives the seconds to read on, so as to learn
        what the call costs; 0: cancel it at once.
        """
        ladder = self.ladder
        if ladder.on_disconnect != "drain" or self.tab.client_gone:
            return 0.0
        self.tab.client_gone = True
        return ladder.drain_s

    async def _verdict(self) -> Verdict:
        """Read, plan, and carry out the plan. Where the estimate of the prompt was too high for a
        model or a budget, count exactly and plan again.
        """
        self._read()
        plan = self._plan_request()
        if not plan.rungs:
            await self._recount()
            plan = self._plan_request()
        verdict = await self._carry_out(self._with_candidates(plan))
        if not self.tab.attempts and refusals.of_tokens(verdict) and await self._recount():
            verdict = await self._carry_out(self._plan_request())
        return verdict

    def _read(self) -> None:
        """Read the features; choose the ladder: the route's, or of the first rule that holds."""
        self.features = features = read_features(self.request)
        ladder = self.ladder
        if self.about.route != ladder.name:
            self.trail += (f"canary {self.about.route}",)
        if ladder.rules:
            wall, home, tags = self.world.wall(), self.tenant.regions, self.about.tags
            rule, self.ladder = climbed(ladder, self.request, tags, wall, home, features)
            if rule:
                self.trail += (f"rule {rule}",)

    def _plan_request(self) -> Plan:
        """What could answer."""
        world, ladder, features = self.world, self.ladder, self.features
        if world.health.troubled and world.health.down(self.began):  # else most plans are kept
            plan = self._plan_anew(features)
        else:
            version = world.factors.version
            plan = world.plans.plan(ladder, features, self.tenant, version, self._plan_anew)
        if plan.max_cost is not None:
            self.tab.max_cost = plan.max_cost
        if ladder.learned is not None:
            plan, self.tab.signals = first_rung.begin(ladder, plan, self.request, features)
        return plan

    def _plan_anew(self, features: Features) -> Plan:
        """A new plan for these features, not a kept one."""
        world, ladder = self.world, self.ladder
        context = PlanContext(self.tenant, world.health.down(self.began), world.factors, world.pace)
        if ladder.ordered:  # the order depends on whose prompt cache holds the beginning
            self._prompt_prefix, warm, size = world.warmth.of(self.request, self.began)
            prefix, wall = tokens.count(size), world.wall()
            context = structs.replace(context, warm=warm, prefix=prefix, wall=wall)
        return make_plan(ladder, features, context, world.draw)

    async def _recount(self) -> bool:
        """Count the prompt exactly, once. Whether that worked and gave less than estimated."""
        bound = self.features.bound
        exact = None if bound.exact is not None else await self.world.exact_tokens(self.request)
        if exact is None:
            return False
        self.features = structs.replace(self.features, bound=structs.replace(bound, exact=exact))
        return exact + bound.beside < bound.tokens

    def _with_candidates(self, plan: Plan) -> Plan:
        """The plan, if anybody in it can answer."""
        tell = self.world.emit[Planned]
        if tell is not nothing:
            tell(Planned(self.about, len(plan.rungs), len(plan.skipped)))
        if not plan.rungs:
            raise refusals.nothing_fits(plan, self.ladder.name, self.tenant, self.features)
        return plan

    async def _carry_out(self, plan: Plan) -> Verdict:
        """Make the calls that the strategy asks for, until it has its verdict."""
        self.plan, chosen = self._choose(plan)
        self.world.retries.called(self.began)
        strategy = strategies.carry_out(self.plan, chosen)
        try:
            wanted = next(strategy)
            while True:
                calls = wanted.calls
                if len(calls) == 1:
                    wanted = strategy.send((await self._attempt(wanted, calls[0]),))
                else:
                    self._lock = self._lock or asyncio.Lock()
                    outcomes = await run_round(self._attempt, wanted, self.world.sleep)
                    self.trail = reason.raced(self.trail, wanted, outcomes)
                    wanted = strategy.send(outcomes)
        except StopIteration as stop:
            verdict: Verdict = stop.value
            return verdict

    def _choose(self, plan: Plan) -> tuple[Plan, Tactic]:
        """The strategy and the plan it is given: the route's, unless the client, a learned start or
        a guard says otherwise. Sets the deadline, too.
        """
        world, ladder, extras = self.world, self.ladder, self.request.extras
        timeout_s, chosen = ladder.timeout_s, ladder.strategy
        if extras is not NO_EXTRAS:
            if extras.max_latency_ms is not None:
                timeout_s = min(timeout_s, extras.max_latency_ms / 1000)
            if extras.strategy is not None:
                plan, chosen = strategies.named(plan, extras.strategy, world.pace)
        self._deadline = self.began + timeout_s
        if plan.start is not None and plan.start.below:
            chosen = first_rung.after(chosen, plan.start.below)
            self.trail = reason.noted_once(self.trail, f"learned {plan.start.tier}")
        if ladder.audit_policy is not None and world.audits is not None:
            self._auditor = self._auditor or world.audits.attend(self, ladder)
            whole, (plan, chosen) = plan, self._auditor.steer(plan, chosen)
            if plan is not whole:
                self.trail = reason.noted_once(self.trail, reason.GUARD)
        return plan, chosen

    async def _attempt(self, wanted: Round, candidate: Candidate) -> Outcome:
        """Hold the ceiling, then call."""
        world, request = self.world, self.request
        now, gone, cause = world.clock(), self.tab.client_gone, wanted.cause
        late = now + wanted.wait_s >= self._deadline
        if gone or late or (wanted.is_retry and not world.retries.take(now)):
            why_not = "client_gone" if gone else "deadline" if late else "retry_budget"
            return Stopped(candidate, why_not)
        if cause.after is not None and cause is not self._cause:
            self._cause, self.trail = cause, reason.next_call(self.trail, cause)
        if wanted.wait_s:
            await world.sleep(wanted.wait_s)
            if self.tab.client_gone:
                return Stopped(candidate, "client_gone")
        request = add_messages(request, wanted.messages) if wanted.messages else request
        try:
            call = await reserve(self, wanted, candidate, request, self._lock)
        except LedgerDown:
            if not self.tab.attempts and len(wanted.calls) == 1:
                raise
            return Stopped(candidate, "ledger_unavailable")  # the best answer so far is given
        if not isinstance(call, Call):
            self.trail = reason.no_budget(self.trail, call)
            return call
        timeout_s, left_s = world.timeouts.answer_s, self._deadline - call.began
        if left_s < timeout_s:
            timeout_s = max(left_s, 0.0)
        outcome = await (
            stream(call, timeout_s, cuts=not strategies.is_last(self.plan, candidate))
            if request.stream
            else call.ask(timeout_s)
        )
        others = wanted.checks.external
        if others and isinstance(outcome, Answered) and not outcome.findings:
            return await run_external(self, others, outcome, request, self._deadline)
        return outcome

    def _no_answer(self, verdict: Verdict) -> GatewayError:
        if self.world.clock() >= self._deadline - TICK_S:
            verdict = structs.replace(verdict, why="deadline")
        return refusals.no_answer(verdict, self.purse, self.trail)

    def end(
        self,
        candidate: Candidate | None,
        error: BaseException | None,
        why: str = "unjudged",
        answer: Completion | None = None,
    ) -> None:
        """The life ends, once: replied, denied, or dropped by the client."""
        world, about, tab = self.world, self.about, self.tab
        seconds = world.clock() - self.began
        if candidate is None or error is not None or tab.client_gone:
            event: Event = unanswered(about, error, seconds, gone=tab.client_gone)
        else:
            event = Replied(
                about,
                candidate.deployment.provider,
                candidate.model.name,
                candidate.tier,
                why,
                seconds,
                tab.upstream_s,
                tab.first_token_s,
                tab.usage,
                tab.spent,
                answer,
            )
        try:
            world.emit[type(event)](event)
        finally:  # its place is free, whatever an observer thinks of it
            world.ledger.leave(self.purse, about.request_id)
        if self._auditor is not None and candidate and isinstance(event, Replied):
            self._auditor.finished(candidate, why)
