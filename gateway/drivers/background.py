"""Tasks that run beside the requests, and how they end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

_LAST_S: Final = 2.0


async def stop(task: "asyncio.Task[None]") -> None:
    """Cancel it, and wait until it has ended."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """It runs meanwhile, and is stopped at the end if it has not ended."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await stop(task)


@asynccontextmanager
async def keeping(
    keep: Coroutine[Any, Any, None], at_last: Callable[[], Awaitable[object]]
) -> AsyncIterator[None]:
    """`keep` runs until the end; then `at_last`, for what is left to be written, in two seconds."""
    task = asyncio.create_task(keep)
    try:
        yield
    finally:
        await stop(task)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await at_last()
