"""A call's ceiling is set aside before it is made, out of every budget that it spends from."""

import asyncio

from gateway.call import Call
from gateway.core import tokens
from gateway.core.accounts import Amounts, Hold, Purse, Refusal
from gateway.core.billing import Tally
from gateway.core.chat import ChatRequest
from gateway.core.events import Escalated, FellBack, Reserved, budget_warned
from gateway.core.plan import Candidate
from gateway.core.refusals import refusal_events
from gateway.core.strategies.progress import BUDGET
from gateway.core.strategy import Because, Refused, Round, Stopped
from gateway.world import Desk


async def held(
    desk: Desk,
    wanted: Round,
    candidate: Candidate,
    request: ChatRequest,
    turns: asyncio.Lock | None = None,
) -> Call | Refused | Stopped:
    """A call that may be made, once; or why not: a budget is spent, or the request may not cost so
    much more. Raises LedgerDown.

    `request` is what is asked, with all that is `said` in the round. Calls that are made at once
    take `turns`.
    """
    world, about, tab = desk.world, desk.about, desk.tab
    nanos, most, purse = candidate.ceiling, candidate.tokens, desk.purse
    if wanted.said:
        nanos, most = candidate.with_more(tokens.bound_of(wanted.said))
    if tab.most is not None and not tab.sets_aside(nanos):
        return Stopped(candidate, BUDGET)
    if purse.per_call:
        purse = purse.of_call(candidate.model.name, candidate.deployment.provider)
    try:
        request = wanted.checks.ask(request) if wanted.checks.asks else request
        if turns is None:
            amounts = Amounts(nanos, most, tab.counts)
            hold = await world.ledger.reserve(purse, world.new_id(), amounts, about.request_id)
        else:
            hold = await _in_turn(turns, desk, purse, Amounts(nanos, most))
    except BaseException:
        tab.release(nanos)
        raise
    if not isinstance(hold, Hold):
        tab.release(nanos)
        return _refused(desk, candidate, hold)
    tab.counts = 0
    call = Call(desk, wanted, candidate, hold, request, world.clock())
    try:  # whatever fails from now on settles the hold
        world.pace.asking(candidate.deployment.name)
        tab.left = hold.left
        world.tell[Reserved](Reserved(about, hold.id, hold.amounts.nanos, hold.left))
        if hold.warned or wanted.because.after is not None:
            _more(call, wanted.because)
        if world.health.troubled:
            world.health.asking(candidate.deployment.name, call.began)
    except BaseException as error:
        call.failed(error, Tally(call.most()))
        raise
    return call


async def _in_turn(
    turns: asyncio.Lock, desk: Desk, purse: Purse, amounts: Amounts
) -> Hold | Refusal:
    """A request counts once, with the first of its calls that is held. Until then they ask one
    after the other: a limit of requests that refuses one refuses them all.
    """
    world, tab, life = desk.world, desk.tab, desk.about.request_id
    async with turns:
        if tab.counts:
            first = Amounts(amounts.nanos, amounts.tokens, tab.counts)
            hold = await world.ledger.reserve(purse, world.new_id(), first, life)
            if isinstance(hold, Hold):
                tab.counts = 0
            return hold
    return await world.ledger.reserve(purse, world.new_id(), amounts, life)


def _refused(desk: Desk, candidate: Candidate, refusal: Refusal) -> Refused:
    for told in refusal_events(desk.about, refusal):
        desk.world.observe(told)
    return Refused(candidate, refusal)


def _more(call: Call, because: Because) -> None:
    """What few calls have to tell: budgets come to their caps, or another call was not enough."""
    desk, to, after = call.desk, call.candidate, because.after
    about, world = desk.about, desk.world
    for warned in call.hold.warned:
        if warned.first:
            world.observe(budget_warned(about, warned))
        if warned.budget.mode == "soft":
            desk.tab.warned += (warned,)
    if after is None:
        return
    if because.purpose == "escalation":
        desk.tab.escalations += 1
        world.tell[Escalated](Escalated(about, after.tier, to.tier, because.why))
    elif because.purpose == "fallback":
        world.tell[FellBack](FellBack(about, after.model.name, to.model.name, because.why))
