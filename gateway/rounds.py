"""Several calls of one round at once: all of them, or a race that the first good answer ends."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

from gateway.core.plan import Candidate
from gateway.core.strategies.course import OUTRUN
from gateway.core.strategy import Answered, Flowing, Outcome, Round, Stopped

Attempt = Callable[[Round, Candidate], Coroutine[Any, Any, Outcome]]
Sleep = Callable[[float], Coroutine[Any, Any, None]]
_Call = asyncio.Task[Outcome]


async def together(attempt: Attempt, wanted: Round, sleep: Sleep) -> tuple[Outcome, ...]:
    """The outcomes, in the order of the calls.

    A call that was outrun is cancelled, settled, and told as Stopped. When this is cancelled, so
    is every call.
    """
    calls: list[_Call | None] = [None] * len(wanted.calls)

    def begin(number: int) -> _Call:
        call = asyncio.ensure_future(attempt(wanted, wanted.calls[number]))
        calls[number] = call
        return call

    try:
        if wanted.race_s is None:
            await asyncio.wait([begin(number) for number in range(len(calls))])
        else:
            await _race(begin, len(calls), wanted.race_s, sleep)
    except asyncio.CancelledError:
        await _stop([call for call in calls if call is not None], None)
        raise
    await _stop([call for call in calls if call is not None], OUTRUN)
    outcomes = [
        Stopped(candidate, OUTRUN) if call is None or call.cancelled() else call.result()
        for call, candidate in zip(calls, wanted.calls, strict=True)
    ]
    return tuple(await _only_one_flows(outcomes))


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
    """Whether one has an answer that passes, or ended in a way that ends the race: a bug."""
    for call in calls:
        if call.done():
            if call.exception() is not None:
                return True
            outcome = call.result()
            if isinstance(outcome, Flowing) or (
                isinstance(outcome, Answered) and not outcome.findings
            ):
                return True
    return False


async def _stop(calls: list[_Call], why: str | None) -> None:
    """Until each has settled, however often this is cancelled meanwhile."""
    for call in calls:
        if not call.done():
            call.cancel(why)
    cancelled: asyncio.CancelledError | None = None
    while not all(call.done() for call in calls):
        try:
            await asyncio.wait(calls)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def _only_one_flows(outcomes: list[Outcome]) -> list[Outcome]:
    """Of two that began to flow in the same instant, the later is closed."""
    first: Flowing | None = None
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, Flowing) and first is None:
            first = outcome
        elif isinstance(outcome, Flowing):
            with suppress(asyncio.CancelledError):
                await outcome.deltas.athrow(asyncio.CancelledError(OUTRUN))
            outcomes[number] = Stopped(outcome.candidate, OUTRUN)
    return outcomes
