"""Shutdown: after the first signal requests are finished, after the second it ends now.

SIGTERM         not ready, but new requests are served, for `drain_delay_s`; each answer says that
                its connection ends
SIGINT          the same without that delay: somebody waits at the terminal
                then no more connections; requests in flight have `drain_timeout_s`
again, or late  streams get an error event, other requests a 503; all is settled
                after five more seconds whatever still runs is abandoned
"""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from types import FrameType
from typing import Any, Final

import uvicorn

from gateway.commands.signals import STOP_NOW
from gateway.core.snapshot import Server
from gateway.web.door import Door
from gateway.web.hot import HotProtocol
from gateway.web.plain import PlainProtocol

LAST_S: Final = 5.0
"""For settling requests that were broken off."""
_DATE_S: Final = 1.0


class Listener(uvicorn.Server):
    """Serves until `stop`. uvicorn's own main loop polls ten times a second, which costs 1.4 ms of
    CPU a second; and its signal handling would end the process with nothing closed.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        self.should_exit = True
        self._stopped.set()

    async def main_loop(self) -> None:
        """Refreshes the date header of answers each second."""
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

    def retire(self) -> None:
        """Each connection closes behind its next answer, which says so."""
        for connection in self.server_state.connections:
            if isinstance(connection, HotProtocol | PlainProtocol):
                connection.retire()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Stop:
    """`requested` by the first signal, `now` by the second. `delays`: apply `drain_delay_s`.

    `passed_on`: a parent passes on what it is told. A terminal or a service manager tells it to
    parent and workers, so that a worker hears it twice.
    """

    def __init__(self, *, passed_on: bool) -> None:
        self.requested = asyncio.Event()
        self.now = asyncio.Event()
        self.delays = True
        self._passed_on = passed_on

    def request(self, *, delays: bool) -> None:
        if not self.requested.is_set():
            self.delays = delays
            self.requested.set()
        elif not self._passed_on:
            self.now.set()

    async def wait(self, seconds: float) -> None:
        """Shorter, when it must end now."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.now.wait()


def on_signal(number: int, callback: Callable[[], None]) -> None:
    """Call `callback` in the running loop. loop.add_signal_handler would restore the default
    handler when the loop closes, and a signal that comes just then would kill us.
    """
    loop = asyncio.get_running_loop()

    def handler(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(callback)

    signal.signal(number, handler)


def stop_by_signals(parent: bool) -> Stop:
    """Stop on SIGTERM and SIGINT; and, where there is a parent, when it is gone: it never writes
    to our stdin, which ends with it.
    """
    stop = Stop(passed_on=parent)
    on_signal(signal.SIGTERM, lambda: stop.request(delays=True))
    on_signal(signal.SIGINT, lambda: stop.request(delays=False))
    if parent:
        on_signal(STOP_NOW, stop.now.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {STOP_NOW})
        loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()

        def orphaned() -> None:
            loop.remove_reader(stdin)
            stop.requested.set()

        loop.add_reader(stdin, orphaned)
    return stop


@asynccontextmanager
async def until_stopped(stop: Stop) -> AsyncIterator[None]:
    """Cancel the block, and go on behind it, when a stop is requested."""
    loop, limit = asyncio.get_running_loop(), asyncio.timeout(None)

    async def cancel_when_requested() -> None:
        await stop.requested.wait()
        limit.reschedule(loop.time())

    try:
        async with limit:
            waiting = loop.create_task(cancel_when_requested())
            try:
                yield
            finally:
                waiting.cancel()
    except TimeoutError:
        if not limit.expired():  # the block's own
            raise


async def drain(
    door: Door,
    settings: Server,
    stop: Stop,
    servers: Sequence[Listener],
    serving: Iterable["asyncio.Task[Any]"],
) -> None:
    """From the request to stop until the last request is done. `serving` are the tasks of the
    servers, the first of which has the door.
    """
    door.draining = True
    for server in servers:
        server.retire()
    if stop.delays and settings.drain_delay_s:
        await stop.wait(settings.drain_delay_s)
    for server in servers:
        server.stop()
    late = asyncio.create_task(stop.wait(settings.drain_timeout_s))
    served = asyncio.gather(*serving)
    await asyncio.wait((late, served), return_when=asyncio.FIRST_COMPLETED)
    if not served.done():
        door.abort(servers[0].server_state.tasks)
        await asyncio.wait((served,), timeout=LAST_S)
    for server in servers:
        server.force_exit = True
    late.cancel()
    await served
