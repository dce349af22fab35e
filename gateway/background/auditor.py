"""Attends one life: decides who is to answer, sees the answer, and begins what follows it."""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Protocol

from msgspec import structs

from gateway.background.background_life import BackgroundLife
from gateway.background.guards import Guards
from gateway.call import closing_with_cause
from gateway.core import events
from gateway.core.accounts import Amounts, Purse
from gateway.core.assembly import Assembly
from gateway.core.catalog import Tactic
from gateway.core.chat import ChatRequest, Completion, Usage
from gateway.core.errors import LedgerDown
from gateway.core.features import read_features
from gateway.core.flow import Deltas
from gateway.core.guard import GuardDecision, bucket
from gateway.core.guarded_plan import applies, compare, kept, smart_instead
from gateway.core.health import RetryBudget
from gateway.core.ladder import AuditPolicy, Ladder
from gateway.core.money import Nanos
from gateway.core.plan import Candidate, Plan
from gateway.core.records.record import COMPARED, UsageRecord
from gateway.core.strategy import Answer, Answered, Verdict
from gateway.world import LifeContext

Charge = Callable[[Purse, str, float, Amounts, UsageRecord], Awaitable[None]]
"""As the ledger's: a record of what was charged."""

_NOTHING: Final = Amounts(Nanos(0))
_OUTCOMES: Final = {True: "agreed", False: "differed", None: "incomparable"}


class Stage(Protocol):
    """Where it happens: an AuditRunner."""

    guards: Guards
    charge: Charge
    retries: RetryBudget

    def has_room(self, route: str, kind: events.AuditKind) -> bool: ...

    def follow(self, work: Coroutine[Any, Any, None]) -> None: ...


def guarded_by(policy: AuditPolicy, request: ChatRequest, ladder: Ladder, plan: Plan) -> str | None:
    """The name of the state that decides about a request; None where no guard does."""
    extras = request.extras
    if policy.guard is None or extras.strategy is not None or extras.checks is not None:
        return None
    return f"{policy.key}:{bucket(read_features(request))}" if applies(ladder, plan) else None


class LifeAuditor:
    """Of one life on one ladder. Its guard, where it has one, decides once.

    A client that names its own strategy or checks gets these: the guard knows nothing of them.
    """

    def __init__(
        self, stage: Stage, life: LifeContext, ladder: Ladder, policy: AuditPolicy
    ) -> None:
        self._stage = stage
        self._life = life
        self._ladder = ladder
        self._policy = policy
        self._state = ""
        """The name of the guard's state; "" where no guard decides."""
        self._decision: GuardDecision | None = None
        shadow = policy.shadow
        self._shadowed = shadow is not None and life.world.draw() < shadow.share
        self._answer: Completion | None = None
        self._streamed = Assembly()

    def steer(self, plan: Plan, chosen: Tactic) -> tuple[Plan, Tactic]:
        """Who is to answer."""
        if self._decision is None:
            self._decision = self._decide(plan)
        if self._decision in {"smart", "probed"} and applies(self._ladder, plan):
            return smart_instead(plan, chosen)
        return plan, chosen

    async def observe(self, answer: Answer) -> Answer:
        """The same answer; it is kept where it is to be compared, a stream as it flows."""
        if not (self._shadowed or self._decision in {"audited", "probed"}):
            return answer
        if isinstance(answer, Answered):
            self._answer = answer.completion
            return answer
        flow = self._copy(answer.deltas)
        await anext(flow)  # so that closing it closes the call, also before anybody reads
        return structs.replace(answer, deltas=flow)

    def finished(self, candidate: Candidate, why: str) -> None:
        """The client has its whole answer."""
        if self._state:
            self._stage.guards.paid(self._state, Nanos(self._life.tab.spent))
        last = candidate.tier == self._ladder.steps[-1].tier
        if self._decision == "audited" and kept(why) and not last:
            self._follow("guard", self._audit)
        elif self._decision == "probed" and last:
            self._follow("guard", self._probe)
        if self._shadowed:
            self._follow("shadow", self._shadow)

    def _decide(self, plan: Plan) -> GuardDecision:
        settings, life = self._policy.guard, self._life
        name = guarded_by(self._policy, life.request, self._ladder, plan)
        if settings is None or name is None:
            return "cheap"
        self._state = name
        guard = self._stage.guards.state(name, settings)
        return guard.decide(life.world.draw(), settings)

    async def _copy(self, flow: Deltas) -> Deltas:
        async with closing_with_cause(flow) as deltas:
            yield ()
            async for some in deltas:
                self._streamed.add(some)
                yield some

    def _follow(
        self, kind: events.AuditKind, work: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        if self._stage.has_room(self._policy.name, kind):
            self._stage.follow(work())

    @property
    def _shown(self) -> Completion:
        return self._answer or self._streamed.completion(None)

    async def _audit(self) -> None:
        """The smart ones are asked what the cheap ones have answered."""
        audit = BackgroundLife.of(self._life, "guard", self._ladder, "smart", self._stage.retries)
        await self._watched(audit, lambda verdict: verdict.answer)

    async def _probe(self) -> None:
        """The cheap ones are asked what the smart ones have answered."""
        audit = BackgroundLife.of(self._life, "guard", self._ladder, "cheap", self._stage.retries)
        await self._watched(audit, lambda verdict: verdict.answer if kept(verdict.why) else None)

    async def _watched(
        self, audit: BackgroundLife, given: Callable[[Verdict], Answer | None]
    ) -> None:
        guards, name = self._stage.guards, self._state

        def describe(verdict: Verdict) -> str:
            if verdict.answer is None:
                return _no_answer(verdict)
            answer = given(verdict)
            same = self._compared(answer) if isinstance(answer, Answered) else None
            guards.compared(name, same)
            return "undecided" if answer is None else _OUTCOMES[same]

        try:
            verdict, outcome = await audit.run(describe)
        finally:
            guards.paid(name, Nanos(audit.tab.spent), audit=True)
        await self._record(audit, verdict, outcome)

    async def _shadow(self) -> None:
        """The other route is asked the same; its failures are its own."""
        shadow, life = self._policy.shadow, self._life
        assert shadow is not None  # noqa: S101 - else nothing is shadowed
        ladder = life.world.ladders[shadow.route].named(self._ladder.name)
        audit = BackgroundLife.of(life, "shadow", ladder, "whole", self._stage.retries)
        audit.about = structs.replace(audit.about, route=shadow.route)

        def describe(verdict: Verdict) -> str:
            if not isinstance(verdict.answer, Answered):
                return _no_answer(verdict)
            return _OUTCOMES[self._compared(verdict.answer)]

        verdict, outcome = await audit.run(describe)
        await self._record(audit, verdict, outcome)

    def _compared(self, answer: Answered) -> bool | None:
        return compare(self._shown, answer.completion, self._policy.agreement)

    async def _record(self, audit: BackgroundLife, verdict: Verdict | None, outcome: str) -> None:
        """What came of the comparison, beside the records of the calls. It costs nothing."""
        if verdict is None or verdict.answer is None or outcome not in _OUTCOMES.values():
            return
        about, to, world = audit.about, verdict.answer.candidate, audit.world
        record = UsageRecord(
            attempt=world.new_id(),
            request=about.request_id,
            tenant=about.tenant,
            route=about.route,
            model=to.model.name,
            provider=to.deployment.provider,
            tier=to.tier,
            purpose=COMPARED,
            outcome=outcome,
            held=0,
            cost=0,
            usage=Usage(),
            organisation=about.organisation,
            key=about.key,
            user=about.user,
            tags=about.tags,
        )
        with suppress(LedgerDown):
            await self._stage.charge(audit.purse, record.attempt, world.wall(), _NOTHING, record)


def _no_answer(verdict: Verdict) -> str:
    return "failed" if verdict.refusal is None else "refused"
