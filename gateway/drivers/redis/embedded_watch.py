"""Brings the private server back when it dies while we run: killed, or out of memory."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

from gateway.core.ports import Clock

LOOK_S: Final = 0.5
LONGEST_S: Final = 10.0
STEADY_S: Final = 60.0
"""So long it has to live for the waits to be short again."""


class Revived(Protocol):
    """What may die. See embedded.py."""

    @property
    def pid(self) -> int | None: ...

    def revive(self) -> bool:
        """Whether it was dead, and lives again. May block; raises RuntimeError, which says why."""
        ...


async def keep_alive(
    server: Revived,
    sleep: Callable[[float], Awaitable[object]],
    clock: Clock,
    warn: Callable[[str], None],
    ended: Callable[[int | None], Awaitable[None]] | None = None,
) -> None:
    """Look when it has `ended`, or else now and then, for ever; not twice within half a second.
    After each death, whoever of several processes brought it back, the next look comes twice as
    late: one that dies at once must not keep the machine busy.
    """
    ended = process_ended if ended is None else ended
    pid, wait_s, since = server.pid, LOOK_S, clock()
    while True:
        await sleep(wait_s)
        await ended(server.pid)
        try:
            ours = await asyncio.to_thread(server.revive)
        except RuntimeError as error:
            wait_s, since = min(2 * wait_s, LONGEST_S), clock()
            warn(f"the embedded ledger has died: {error}; tried again in {wait_s:g} s")
            continue
        if ours or server.pid != pid:
            pid, wait_s, since = server.pid, min(2 * wait_s, LONGEST_S), clock()
            if ours:
                warn(f"the embedded ledger had died; it is back with its log, as process {pid}")
        elif clock() - since >= STEADY_S:
            wait_s = LOOK_S


async def process_ended(pid: int | None) -> None:
    """Wait until it has, at most `LONGEST_S`: the kernel tells, and it costs nothing meanwhile.
    Where it cannot (macOS, or no such process) not at all.
    """
    try:
        told = os.pidfd_open(pid or -1)
    except (AttributeError, OSError):
        return
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(told, over.set)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_S):
                await over.wait()
    finally:
        loop.remove_reader(told)
        os.close(told)
