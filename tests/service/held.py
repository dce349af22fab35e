"""Slow answers that begin when a test says so: by the clock, a busy machine would have them begin
before what is to happen meanwhile.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.simulator import Simulator
from gateway.simulator.call import Pace
from gateway.simulator.client import Client


class Held(Pace):
    def __init__(self, pause_s: float, most: int) -> None:
        super().__init__(pause_s, 0.0)
        self._left = most
        self._go = asyncio.Event()
        self.waiting = 0
        """How many slow calls are held."""

    async def before_slow(self, client: Client) -> bool:
        if not self._left:
            return await super().before_slow(client)
        self._left -= 1
        self.waiting += 1
        waits = [asyncio.ensure_future(client.wait()), asyncio.ensure_future(self._go.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.waiting -= 1
            for each in waits:
                each.cancel()
            await asyncio.wait(waits)
        return client.disconnected

    def go_on(self) -> None:
        self._go.set()

    async def until(self, count: int = 1) -> None:
        """So many are held."""
        async with asyncio.timeout(30):
            while self.waiting != count:
                await asyncio.sleep(0.001)


@contextmanager
def held(simulator: Simulator, most: int = 1_000) -> Iterator[Held]:
    """Slow calls that come meanwhile are held until they may go on, or until the end of this. Of
    more than `most` the others are not slow.
    """
    before = simulator._pace
    simulator._pace = pace = Held(before.pause_s, most)
    try:
        yield pace
    finally:
        simulator._pace = before
        pace.go_on()


@contextmanager
def paced(simulator: Simulator, pause_s: float) -> Iterator[None]:
    """Streams that begin meanwhile come with so long between two of their pieces."""
    before = simulator._pace
    simulator._pace = Pace(pause_s, before.slow_s)
    try:
        yield
    finally:
        simulator._pace = before
