"""The checks that ask somebody: the owner's test runner, or another model as a judge.

Only an answer that passes all other checks is shown to them, and to all of them at once. A judge's
call is held and paid as any other, with the purpose `audit`.
"""

import asyncio
from typing import Final

from msgspec import structs

from gateway.call import Call, wait_all
from gateway.core.catalog import Check
from gateway.core.chat import ChatRequest, Completion
from gateway.core.checks import checklist
from gateway.core.checks.external import NoVerdict, judged, no_verdict, question
from gateway.core.checks.finding import Finding
from gateway.core.checks.options import ASK_MS
from gateway.core.errors import LedgerDown
from gateway.core.events import Judged
from gateway.core.judges import judges
from gateway.core.plan import Candidate, PlanContext
from gateway.core.strategies.progress import BUDGET, skipped_for_budget
from gateway.core.strategy import Answered, Cause, Outcome, Round
from gateway.hold import reserve
from gateway.world import LifeContext

_UNCHECKED: Final = checklist(())


async def run_external(
    life: LifeContext,
    checks: tuple[Check, ...],
    answer: Answered,
    request: ChatRequest,
    deadline: float,
) -> Answered:
    """The answer with what they find. A check that gets no verdict is skipped, passed or failed,
    as it is configured.
    """
    tasks = [
        asyncio.ensure_future(_Examination(life, check, request, deadline).verdict(answer))
        for check in checks
    ]
    try:
        verdicts = await asyncio.gather(*tasks)  # tells each of them why it is cancelled
    except BaseException:
        for task in tasks:
            task.cancel()
        await wait_all(tasks)
        raise
    pairs = zip(checks, verdicts, strict=True)
    concluded = [(check, verdict) for check, verdict in pairs if not isinstance(verdict, _Skipped)]
    findings = tuple(verdict for _, verdict in concluded if isinstance(verdict, Finding))
    if concluded:
        candidate = answer.candidate
        names = tuple(check.name for check, _ in concluded)
        failed = tuple(finding.check for finding in findings)
        model, tier = candidate.model.name, candidate.tier
        life.world.observe(Judged(life.about, model, tier, names, failed))
    return structs.replace(answer, findings=findings, skipped=not concluded)


class _Skipped:
    """The check did not count."""


class _Examination:
    """One check of one answer."""

    def __init__(
        self, life: LifeContext, check: Check, request: ChatRequest, deadline: float
    ) -> None:
        self.life = life
        self.check = check
        self.request = request
        wanted_s: float = check.options.get("timeout_ms", ASK_MS) / 1000
        self.until = min(life.world.clock() + wanted_s, deadline)

    async def verdict(self, answer: Answered) -> Finding | _Skipped | None:
        try:
            if self._left_s() <= 0:
                raise NoVerdict("deadline")
            if self.check.name == "judge":
                return await self._judge(answer.completion)
            runner, request_id = self.life.world.runner, self.life.about.request_id
            return await runner(self.check, answer.completion, request_id, timeout_s=self._left_s())
        except NoVerdict as failure:
            on_failure = self.check.options.get("on_failure", "skip")
            if on_failure != "fail":
                self.life.tab.verdict_missing = True
            if on_failure == "skip":
                return _Skipped()
            return no_verdict(self.check, failure)

    def _left_s(self) -> float:
        return self.until - self.life.world.clock()

    async def _judge(self, answer: Completion) -> Finding | None:
        """The first candidate that answers judges. Raises NoVerdict."""
        judging = question(self.check, self.request, answer)
        failure = "no_answer"
        for candidate in self._judges(judging):
            if self._left_s() <= 0 or self.life.tab.client_gone:
                raise NoVerdict("deadline")
            outcome = await self._ask(candidate, judging)
            failure = BUDGET if skipped_for_budget(outcome) else "no_answer"
            if isinstance(outcome, Answered):
                return judged(self.check, outcome.completion)
        raise NoVerdict(failure)

    def _judges(self, judging: ChatRequest) -> list[Candidate]:
        world = self.life.world
        context = PlanContext(self.life.tenant, world.health.down(world.clock()), world.factors)
        able = judges(judging, world.ladders, context, world.draw)
        if able is None:
            raise NoVerdict("no_model")
        return able

    async def _ask(self, candidate: Candidate, question: ChatRequest) -> Outcome:
        """What came of asking. Raises NoVerdict where nobody else may be asked, either."""
        wanted = Round((candidate,), _UNCHECKED, Cause("audit", self.check.name))
        try:
            call = await reserve(self.life, wanted, candidate, question)
        except LedgerDown:
            raise NoVerdict("ledger_unavailable") from None
        if isinstance(call, Call):
            return await call.ask(self._left_s())
        if not skipped_for_budget(call):
            raise NoVerdict(BUDGET)
        return call
