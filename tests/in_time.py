"""What is done in time, told by the order of events: a busy machine delays them all alike.

A clock on the wall says how busy the machine is. A timer of the same event loop, set to the limit
when something has begun, is held up by the same things: what comes after it is late.
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, Final, TypeVar

import pytest

Result = TypeVar("Result")

_BEGUN: Final = 5
"""So many turns of the loop what is done may take to set a timer of its own: it is before ours."""
_TURNS: Final = 50
"""So many turns of the loop what is done may take to get through to us."""


async def in_time(seconds: float, awaited: Awaitable[Result]) -> Result:
    """What it gives, or raises; the test fails when a timer of `seconds` is over before."""
    task = asyncio.ensure_future(awaited)
    for _ in range(_BEGUN):
        await asyncio.sleep(0)
    await asyncio.wait([task], timeout=seconds)
    for _ in range(_TURNS):
        if task.done():
            return await task
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    pytest.fail(f"not done when {seconds} s were over")


def at_once(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """What it gives, or raises, without waiting for anything; the test fails when it waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    coroutine.close()
    pytest.fail("it waits")
