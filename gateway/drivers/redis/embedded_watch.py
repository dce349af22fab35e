"""Restarts the private server when it dies while we run: killed, or out of memory."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

from gateway.core.ports import Clock

LOOK_S: Final = 0.5
LONGEST_S: Final = 10.0
STEADY_S: Final = 60.0
"""After running for so long, the waits are short again."""


class Revivable(Protocol):
    """What can be restarted. See embedded.py."""

    @property
    def pid(self) -> int | None: ...

    def revive(self) -> bool:
        """Whether it was dead and was restarted. May block; raises RuntimeError with the reason."""
        ...


async def keep_alive(
    server: Revivable,
    sleep: Callable[[float], Awaitable[object]],
    clock: Clock,
    warn: Callable[[str], None],
    ended: Callable[[int | None], Awaitable[None]] | None = None,
) -> None:
    """Run until cancelled: restart the server when `ended` returns, at most every half second.
    After each death, whichever process restarted it, the wait doubles: a server that dies at once
    must not keep the machine busy.
    """
    ended = wait_process_ended if ended is None else ended
    pid, wait_s, since = server.pid, LOOK_S, clock()
    while True:
        await sleep(wait_s)
        await ended(server.pid)
        try:
            revived = await asyncio.to_thread(server.revive)
        except RuntimeError as error:
            wait_s, since = min(2 * wait_s, LONGEST_S), clock()
            warn(f"the embedded ledger has died: {error}; tried again in {wait_s:g} s")
            continue
        if revived or server.pid != pid:
            pid, wait_s, since = server.pid, min(2 * wait_s, LONGEST_S), clock()
            if revived:
                warn(f"the embedded ledger had died; it is back with its log, as process {pid}")
        elif clock() - since >= STEADY_S:
            wait_s = LOOK_S


async def wait_process_ended(pid: int | None) -> None:
    """Wait until a process has ended, at most `LONGEST_S`, by a pidfd. Returns at once where there
    is none (macOS, or no such process).
    """
    try:
        descriptor = os.pidfd_open(pid or -1)
    except (AttributeError, OSError):
        return
    loop, exited = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, exited.set)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_S):
                await exited.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
