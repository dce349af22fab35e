"""Several calls of one round at once: all of them, or a race that the first good answer ends."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any

from msgspec import structs

from gateway.call import wait_all
from gateway.core.plan import Candidate
from gateway.core.strategies.progress import OUTRUN, UNHEARD
from gateway.core.strategy import Answered, Flowing, Outcome, Round, Stopped

Attempt = Callable[[Round, Candidate], Coroutine[Any, Any, Outcome]]
Sleep = Callable[[float], Coroutine[Any, Any, None]]
_Call = asyncio.Task[Outcome]


async def run_round(attempt: Attempt, wanted: Round, sleep: Sleep) -> tuple[Outcome, ...]:
    """The outcomes, in the order of the calls.

    The losers of a race are cancelled, settled, and returned as Stopped. When this is cancelled,
    or a call meets a bug, every call is cancelled for the same reason, and each flow closed.
    """
    calls: list[_Call | None] = [None] * len(wanted.calls)
    others = _beside(wanted)

    def begin(number: int) -> _Call:
        call = asyncio.ensure_future(attempt(others if number else wanted, wanted.calls[number]))
        calls[number] = call
        return call

    try:
        if wanted.stagger_s is None:
            await asyncio.wait([begin(number) for number in range(len(calls))])
        else:
            await _race(begin, len(calls), wanted.stagger_s, sleep)
        await _stop([call for call in calls if call is not None], OUTRUN)
        outcomes = [
            Stopped(candidate, OUTRUN) if call is None or call.cancelled() else call.result()
            for call, candidate in zip(calls, wanted.calls, strict=True)
        ]
        return tuple(await _only_one_flows(outcomes))
    except BaseException as error:
        made = [call for call in calls if call is not None]
        cancelled = isinstance(error, asyncio.CancelledError)
        try:
            await _stop(made, *error.args if cancelled else ())
        finally:
            await _close([flow for call in made for flow in _flowing(call)], UNHEARD)
        raise


def _beside(wanted: Round) -> Round:
    """The round for all calls but the first: an escalation is told once for all of them, a
    fallback by each.
    """
    cause = wanted.cause
    if cause.after is None or cause.purpose == "fallback":
        return wanted
    return structs.replace(wanted, cause=structs.replace(cause, after=None))


async def _race(begin: Callable[[int], _Call], runners: int, apart_s: float, sleep: Sleep) -> None:
    """Each begins some time after the one before, or when all that run have failed."""
    running: set[_Call] = set()
    for number in range(runners):
        running.add(begin(number))
        timer = asyncio.ensure_future(sleep(apart_s)) if number < runners - 1 else None
        try:
            while running and not (timer and timer.done()):
                awaited = {*running, timer} if timer else running
                done, _ = await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
                if _won(running & done):
                    return
                running -= done
        finally:
            if timer is not None:
                timer.cancel()


def _won(calls: Iterable[_Call]) -> bool:
    """Whether the race is over: a call has an answer that passes, or met a bug."""
    for call in calls:
        if call.done() and (call.exception() is not None or _good(call.result())):
            return True
    return False


def _good(outcome: Outcome) -> bool:
    return isinstance(outcome, Flowing) or (isinstance(outcome, Answered) and not outcome.findings)


async def _stop(calls: list[_Call], why: str | None = None) -> None:
    """Until each has settled, however often this is cancelled meanwhile."""
    for call in calls:
        if not call.done():
            call.cancel(why)
    await wait_all(calls)


async def _only_one_flows(outcomes: list[Outcome]) -> list[Outcome]:
    """Of answers that were there in the same instant the first good one is given: what began to
    flow beside it is closed.
    """
    good = [each for each in outcomes if _good(each)]
    later = [each for each in good[1:] if isinstance(each, Flowing)]
    if not later:
        return outcomes
    await _close(later, OUTRUN)
    return [Stopped(each.candidate, OUTRUN) if each in later else each for each in outcomes]


def _flowing(call: _Call) -> list[Flowing]:
    """What a call has that is done: one that flows, or nothing."""
    if call.cancelled() or call.exception() is not None:
        return []
    outcome = call.result()
    return [outcome] if isinstance(outcome, Flowing) else []


async def _close(flows: Sequence[Flowing], why: str) -> None:
    """Until each has settled, as `_stop`. A flow that is closed already stays so."""

    async def closed(flow: Flowing) -> None:
        with suppress(asyncio.CancelledError, StopAsyncIteration):
            await flow.deltas.athrow(asyncio.CancelledError(why))

    tasks = [asyncio.ensure_future(closed(flow)) for flow in flows]
    await wait_all(tasks)
    for task in tasks:
        task.result()
