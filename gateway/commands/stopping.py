"""How a gateway ends: told once, it finishes what it has begun; told again, it ends now.

SIGTERM         not ready, but whoever asks is served, for `drain_delay_s`
SIGINT          the same without that: somebody sits at it
                then no more connections; what was begun has `drain_timeout_s`
again, or late  streams get an error event, other requests a 503; all is settled
                after five more seconds whatever still runs is left
"""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

import uvicorn

from gateway.commands.early import NOW
from gateway.core.snapshot import Server
from gateway.web.door import Door

LAST_S: Final = 5.0
"""For settling what was broken off."""
_DATE_S: Final = 1.0


class Listener(uvicorn.Server):
    """Serves until `stop`. uvicorn's own way would look ten times a second whether it is to, which
    costs 1.4 ms of CPU a second, and would end the process by a signal once it has served, with
    nothing closed.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        self.should_exit = True
        self._stopped.set()

    async def main_loop(self) -> None:
        """Each second it sees to the date that answers bear."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(_DATE_S):
                    await self._stopped.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Who was accepted just now is there a turn later: else nobody would tell it to close."""
        for server in self.servers:
            server.close()
        await asyncio.sleep(0)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Stop:
    """`asked` once it is to end, `now` when told again. `delays`: there may be a load balancer.

    `passed_on`: a parent passes on what it is told. A terminal or a service manager tells it to
    parent and workers, so that a worker hears it twice.
    """

    def __init__(self, *, passed_on: bool) -> None:
        self.asked = asyncio.Event()
        self.now = asyncio.Event()
        self.delays = True
        self._passed_on = passed_on

    def tell(self, *, delays: bool) -> None:
        if not self.asked.is_set():
            self.delays = delays
            self.asked.set()
        elif not self._passed_on:
            self.now.set()

    async def wait(self, seconds: float) -> None:
        """Less, when it is to end now."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.now.wait()


def listen(number: int, told: Callable[[], None]) -> None:
    """From now on `told` is called in the running loop. The loop's own way gives a signal back to
    the system when it listens no more, and one that comes just then kills us.
    """
    loop = asyncio.get_running_loop()

    def hear(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(told)

    signal.signal(number, hear)


def stop_by_signals(parent: bool) -> Stop:
    """SIGTERM and SIGINT; and, where there is a parent, that it is gone: it never writes to our
    stdin, whose end tells it.
    """
    stop = Stop(passed_on=parent)
    listen(signal.SIGTERM, lambda: stop.tell(delays=True))
    listen(signal.SIGINT, lambda: stop.tell(delays=False))
    if parent:
        listen(NOW, stop.now.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {NOW})
        loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()

        def orphaned() -> None:
            loop.remove_reader(stdin)
            stop.asked.set()

        loop.add_reader(stdin, orphaned)
    return stop


async def drain(
    door: Door,
    how: Server,
    stop: Stop,
    servers: Sequence[Listener],
    serving: Iterable["asyncio.Task[Any]"],
) -> None:
    """From asked to stop until no request is served any more. `serving` are what the servers run,
    the first of which has the door.
    """
    door.closing = True
    if stop.delays and how.drain_delay_s:
        await stop.wait(how.drain_delay_s)
    for server in servers:
        server.stop()
    late = asyncio.create_task(stop.wait(how.drain_timeout_s))
    over = asyncio.gather(*serving)
    await asyncio.wait((late, over), return_when=asyncio.FIRST_COMPLETED)
    if not over.done():
        door.end(servers[0].server_state.tasks)
        await asyncio.wait((over,), timeout=LAST_S)
    for server in servers:
        server.force_exit = True
    late.cancel()
    await over
