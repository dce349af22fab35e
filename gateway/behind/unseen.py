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
from gateway.core.guarded import smart_part
from gateway.core.health import RetryBudget
from gateway.core.ladder import Ladder
from gateway.core.plan import Candidate, Plan
from gateway.core.rule_traits import climbed
from gateway.core.strategy import Because, Outcome, Round, Stopped, Verdict
from gateway.core.usage_record import BEHIND
from gateway.handle import Life
from gateway.hold import COUNTED
from gateway.world import Desk

Part = Literal["cheap", "smart", "whole"]
"""Of a ladder: all but its last rung, that one alone, or both."""


class Unseen(Life):
    """Another answer to what `desk` was asked: of one part of a ladder, or the whole of it.

    The client's wishes that bind the owner hold here, too: region, cost of a call. It is no
    request of the client's: no budget of requests counts it.
    """

    def __init__(
        self, desk: Desk, kind: events.Unseen, ladder: Ladder, part: Part, retries: RetryBudget
    ) -> None:
        asked, about = desk.request, desk.about
        extras = Extras(asked.extras.region, asked.extras.max_cost_usd, tags=asked.extras.tags)
        request = structs.replace(asked, stream=False, include_usage=False, extras=extras)
        world = replace(desk.world, retries=retries, behind=None)
        super().__init__(world, desk.tenant, without_places(desk.purse), request, about)
        self.about = structs.replace(
            about, request_id=f"{about.request_id}{BEHIND}{kind}", stream=False
        )
        self.kind = kind
        self._climbed = ladder
        self._part = part
        self.once = COUNTED

    async def run(self, told: Callable[[Verdict], str]) -> tuple[Verdict | None, str]:
        """Its verdict, if it came to one, and what `told` says came of it."""
        verdict, outcome = None, "failed"
        self.world.observe(events.AuditBegan(self.about))
        try:
            ladder = self._ladder()
            plan = self._planned(ladder)
            if not plan.rungs:
                plan = await self._recounted(ladder)
            verdict = await self._carry_out(ladder, self._able(ladder, plan))
            outcome = told(verdict)
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except GatewayError:  # nothing fits, or the ledger is away: the client has its answer
            pass
        finally:
            seconds = self.world.clock() - self._began
            self.world.observe(events.AuditEnded(self.about, self.kind, outcome, seconds))
        return verdict, outcome

    def _ladder(self) -> Ladder:
        wall, home = self.world.wall(), self.tenant.regions
        _, ladder = climbed(self._climbed, self.request, self.about.tags, wall, home)
        if self._part == "smart":
            chosen = after(ladder.strategy, len(ladder.steps) - 1)
            return structs.replace(ladder, behind=None, strategy=chosen)
        return structs.replace(ladder, behind=None)

    def _planned(self, ladder: Ladder) -> Plan:
        plan = super()._planned(ladder)
        return smart_part(plan) if self._part == "smart" else plan

    async def _attempt(self, wanted: Round, candidate: Candidate) -> Outcome:
        if self._part == "cheap" and candidate.tier == self._top:
            return Stopped(candidate, self.kind)
        because = Because("audit", self.kind)
        return await super()._attempt(structs.replace(wanted, because=because), candidate)


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
