"""Background tasks beside the requests, and how they are stopped."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

_FLUSH_S: Final = 2.0
_AFTER_BUG_S: Final = 10.0
_log: Final = logging.getLogger("gateway")


async def keep_running(
    what: str,
    work: Callable[[], Coroutine[Any, Any, None]],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Run `work` until cancelled: after a bug, which is logged, it begins again. A task that has
    ended would be noticed by nobody until what it does is missing.
    """
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - whatever it is
            _log.exception("%s: a bug; it begins again", what)
        await sleep(_AFTER_BUG_S)


async def stop(task: "asyncio.Task[None]") -> None:
    """Cancel it, and wait until it has ended."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run it as a task inside the context; cancelled on exit if still running."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await stop(task)


@asynccontextmanager
async def in_background_then_flush(
    work: Coroutine[Any, Any, None], flush: Callable[[], Awaitable[object]]
) -> AsyncIterator[None]:
    """Run `work` as a task until exit, then await `flush()`, for at most two seconds."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await stop(task)
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_S):
                await flush()
