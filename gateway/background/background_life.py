"""A life that no client sees: its calls are held and paid as any other, as audits."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Literal

from msgspec import structs

from gateway.core import events
from gateway.core.accounts import Account, Purse
from gateway.core.chat import Extras
from gateway.core.errors import GatewayError
from gateway.core.first_rung import after
from gateway.core.guarded_plan import smart_part
from gateway.core.health import RetryBudget
from gateway.core.ladder import Ladder
from gateway.core.plan import Candidate, Plan
from gateway.core.plans import Plans
from gateway.core.records.record import BEHIND
from gateway.core.strategy import Cause, Outcome, Round, Stopped, Verdict
from gateway.core.tab import Tab
from gateway.handle import Life
from gateway.world import LifeContext

Part = Literal["cheap", "smart", "whole"]
"""Of a ladder: all but its last rung, that one alone, or both."""


class BackgroundLife(Life):
    """Another answer to what was asked: of one `part` of a ladder.

    The client's wishes that bind the owner hold here, too: region, cost of a call. It is no
    request of the client's: no budget of requests counts it.
    """

    kind: events.AuditKind = "guard"
    part: Part = "whole"

    @classmethod
    def of(
        cls,
        life: LifeContext,
        kind: events.AuditKind,
        ladder: Ladder,
        part: Part,
        retries: RetryBudget,
    ) -> "BackgroundLife":
        """Behind `life`. What fails draws on `retries`."""
        asked, about = life.request, life.about
        extras = Extras(asked.extras.region, asked.extras.max_cost_usd, tags=asked.extras.tags)
        request = structs.replace(asked, stream=False, include_usage=False, extras=extras)
        # Its ladder is made for it alone: nobody would find its plan among those that are kept.
        world = replace(life.world, retries=retries, audits=None, plans=Plans())
        name = f"{about.request_id}{BEHIND}{kind}"
        about = structs.replace(about, request_id=name, stream=False)
        given = world, life.tenant, without_places(life.purse), request, about
        return cls(*given, ladder, world.clock(), Tab(request_count=0), kind=kind, part=part)

    async def run(self, describe: Callable[[Verdict], str]) -> tuple[Verdict | None, str]:
        """Its verdict, if it came to one, and the word in which `describe` puts what came of it."""
        verdict, outcome = None, "failed"
        self.world.observe(events.AuditBegan(self.about))
        try:
            verdict = await self._verdict()
            outcome = describe(verdict)
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except GatewayError:  # nothing fits, or the ledger is away: the client has its answer
            pass
        finally:
            seconds = self.world.clock() - self.began
            self.world.ledger.leave(self.purse, self.about.request_id)
            self.world.observe(events.AuditEnded(self.about, self.kind, outcome, seconds))
        return verdict, outcome

    def _read(self) -> None:
        super()._read()
        chosen = self.ladder.strategy
        if self.part == "smart":
            chosen = after(chosen, len(self.ladder.steps) - 1)
        self.ladder = structs.replace(self.ladder, audit_policy=None, strategy=chosen)

    def _plan_request(self) -> Plan:
        plan = super()._plan_request()
        return smart_part(plan) if self.part == "smart" else plan

    async def _attempt(self, wanted: Round, candidate: Candidate) -> Outcome:
        if self.part == "cheap" and candidate.tier == self.plan.rungs[-1].tier:
            return Stopped(candidate, self.kind)
        cause = Cause("audit", self.kind)
        return await super()._attempt(structs.replace(wanted, cause=cause), candidate)


@lru_cache(maxsize=4096)
def without_places(purse: Purse) -> Purse:
    """The purse without its budgets of requests at once, where no client's request is to wait."""
    return structs.replace(
        purse,
        accounts=tuple(map(_without, purse.accounts)),
        per_call=tuple(map(_without, purse.per_call)),
    )


def _without(account: Account) -> Account:
    kept = tuple(budget for budget in account.budgets if budget.meter != "at_once")
    return structs.replace(account, budgets=kept)
