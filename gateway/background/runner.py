"""All that goes on behind the answers: so many lives at once, and at the end all are settled."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any, Final

from msgspec import structs

from gateway.background.auditor import Charge, LifeAuditor, guarded_by
from gateway.background.guards import Guards
from gateway.core import events
from gateway.core.chat import ChatRequest
from gateway.core.first_rung import after
from gateway.core.guarded_plan import smart_instead
from gateway.core.health import RetryBudget
from gateway.core.ladder import Ladder
from gateway.core.plan import Plan
from gateway.core.ports import Observer
from gateway.world import LifeContext

AT_ONCE: Final = 32
"""More are left out, not put off: they would only come later, and all together."""
DRAIN_S: Final = 5.0
"""So long they may go on when the gateway stops; then they are cancelled."""

_log: Final = logging.getLogger("gateway")


class AuditRunner:
    """For use on one event loop."""

    def __init__(
        self, guards: Guards, charge: Charge, observe: Observer, at_once: int = AT_ONCE
    ) -> None:
        self.guards = guards
        self.charge = charge
        self.retries = RetryBudget()
        """Its own: what fails here takes no retry from a client."""
        self._observe = observe
        self._at_once = at_once
        self._running: set[asyncio.Task[None]] = set()
        self._open = True

    def attend(self, life: LifeContext, ladder: Ladder) -> LifeAuditor:
        """Of a ladder with something behind it."""
        assert ladder.audit_policy is not None  # noqa: S101 - else nobody asks
        return LifeAuditor(self, life, ladder, ladder.audit_policy)

    def foresee(
        self, request: ChatRequest, ladder: Ladder, plan: Plan
    ) -> tuple[Ladder, Plan, Mapping[str, Any] | None]:
        """Who would answer, without a draw, and what is known of the guard, as JSON values."""
        policy = ladder.audit_policy
        name = None if policy is None else guarded_by(policy, request, ladder, plan)
        if name is None or policy is None or policy.guard is None:
            return ladder, plan, None
        settings = policy.guard
        guard = self.guards.state(name, settings)
        report = {
            "bucket": name.rpartition(":")[2],
            "state": guard.state(settings),
            "threshold": settings.threshold,
            "agreement": {"rate": guard.rate, "lower_bound": guard.bound, "compared": guard.seen},
        }
        if guard.allows(settings):
            return ladder, plan, report
        chosen = ladder.strategy
        if plan.start is not None:
            chosen = after(chosen, plan.start.below)
        plan, chosen = smart_instead(plan, chosen)
        return structs.replace(ladder, strategy=chosen), plan, report

    def has_room(self, route: str, kind: events.AuditKind) -> bool:
        """Whether one more may begin. A refusal is counted."""
        if self._open and len(self._running) < self._at_once:
            return True
        self._observe(events.AuditLeft(route, kind))
        return False

    def follow(self, work: Coroutine[Any, Any, None]) -> None:
        """It goes on by itself."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._on_done)

    async def idle(self) -> None:
        """Until nothing goes on."""
        while self._running:
            await asyncio.wait(self._running)

    async def aclose(self, drain_s: float = DRAIN_S) -> None:
        """All calls have been settled when this ends."""
        self._open = False
        if self._running:
            await asyncio.wait(self._running, timeout=drain_s)
        for task in self._running:
            task.cancel()
        await self.idle()
        await self.guards.aclose()

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("an audit met a bug", exc_info=error)
