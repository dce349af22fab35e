"""SIGHUP, as `tollgate serve` hears it."""

import asyncio
import os
import signal
from typing import cast

from gateway.commands.serve import reloading
from gateway.reload import Reload
from tests.drivers.scripted import until


class Slow:
    """Reads for as long as it is held."""

    def __init__(self) -> None:
        self.began = 0
        self.held = asyncio.Event()

    async def reload_and_log(self, why: str, *, alone: bool) -> None:
        assert (why, alone) == ("SIGHUP", True)
        self.began += 1
        await self.held.wait()


async def test_signals_that_come_while_it_reads_lead_to_one_reading_more() -> None:
    before, slow = signal.getsignal(signal.SIGHUP), Slow()
    try:
        async with asyncio.timeout(30), reloading(cast("Reload", slow), watch=False):
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: slow.began == 1)
            for _ in range(5):
                os.kill(os.getpid(), signal.SIGHUP)
                await asyncio.sleep(0)
            slow.held.set()
            await until(lambda: slow.began == 2)
            for _ in range(20):
                await asyncio.sleep(0)
            assert slow.began == 2
    finally:
        signal.signal(signal.SIGHUP, before)
