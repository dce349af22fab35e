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
from gateway.core.strategy import Cause, Refused, Round, Stopped
from gateway.world import LifeContext


async def reserve(
    life: LifeContext,
    wanted: Round,
    candidate: Candidate,
    request: ChatRequest,
    lock: asyncio.Lock | None = None,
) -> Call | Refused | Stopped:
    """A call that may be made, once; or why not: a budget is spent, or the request may not cost so
    much more. Raises LedgerDown.

    `request` has the round's `messages`, too. Calls that are made at once share a `lock`.
    """
    world, about, tab = life.world, life.about, life.tab
    added = wanted.messages
    sized = candidate.with_more(tokens.bound_of(added)) if added else candidate
    nanos, most, purse = sized.ceiling, sized.tokens, life.purse
    if tab.max_cost is not None and not tab.hold(nanos):
        return Stopped(candidate, BUDGET)
    if purse.per_call:
        purse = purse.of_call(candidate.model.name, candidate.deployment.provider)
    try:
        request = wanted.checks.ask(request) if wanted.checks.asks else request
        if lock is None:
            amounts = Amounts(nanos, most, tab.request_count)
            hold = await world.ledger.reserve(purse, world.new_id(), amounts, about.request_id)
        else:
            hold = await _in_turn(lock, life, purse, Amounts(nanos, most))
    except BaseException:
        tab.release(nanos)
        raise
    if not isinstance(hold, Hold):
        tab.release(nanos)
        return _refused(life, candidate, hold)
    tab.request_count = 0
    call = Call(life, wanted, candidate, sized, hold, request, world.clock())
    try:  # whatever fails from now on settles the hold
        world.pace.call_started(candidate.deployment.name)
        tab.budget_left = hold.left
        world.emit[Reserved](Reserved(about, hold.id, hold.amounts.nanos, hold.left))
        if hold.warned or wanted.cause.after is not None:
            _more(call, wanted.cause)
        if world.health.troubled:
            world.health.call_started(candidate.deployment.name, call.began)
    except BaseException as error:
        call.failed(error, Tally(call.count_cap()))
        raise
    return call


async def _in_turn(
    lock: asyncio.Lock, life: LifeContext, purse: Purse, amounts: Amounts
) -> Hold | Refusal:
    """A request counts once, with the first of its calls that is held. Until then they reserve in
    turn, so that a limit of requests refuses them all.
    """
    world, tab, request_id = life.world, life.tab, life.about.request_id
    async with lock:
        if tab.request_count:
            first = Amounts(amounts.nanos, amounts.tokens, tab.request_count)
            hold = await world.ledger.reserve(purse, world.new_id(), first, request_id)
            if isinstance(hold, Hold):
                tab.request_count = 0
            return hold
    return await world.ledger.reserve(purse, world.new_id(), amounts, request_id)


def _refused(life: LifeContext, candidate: Candidate, refusal: Refusal) -> Refused:
    for event in refusal_events(life.about, refusal):
        life.world.observe(event)
    return Refused(candidate, refusal)


def _more(call: Call, cause: Cause) -> None:
    """What few calls have to tell: budgets come to their caps, or another call was not enough."""
    life, to, after = call.life, call.candidate, cause.after
    about, world = life.about, life.world
    for warned in call.hold.warned:
        if warned.first:
            world.observe(budget_warned(about, warned))
        if warned.budget.mode == "soft":
            life.tab.warned += (warned,)
    if after is None:
        return
    if cause.purpose == "escalation":
        life.tab.escalations += 1
        world.emit[Escalated](Escalated(about, after.tier, to.tier, cause.why))
    elif cause.purpose == "fallback":
        world.emit[FellBack](FellBack(about, after.model.name, to.model.name, cause.why))
