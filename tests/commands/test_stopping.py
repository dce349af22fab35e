"""What listens: it wakes once a second, and stops when it is told to."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import uvicorn

from gateway.commands.shutdown import Listener

TURNS: Final = 20
"""Of the loop: fewer than that it takes to wake who is told to."""


class Counting(Listener):
    """Tells when it has woken."""

    def __init__(self) -> None:
        super().__init__(uvicorn.Config(_nobody_asks, lifespan="off", log_config=None))
        self.woke: asyncio.Queue[float] = asyncio.Queue()

    async def on_tick(self, counter: int) -> bool:
        over = await super().on_tick(counter)
        self.woke.put_nowait(time.monotonic())
        return over


async def _nobody_asks(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Counting, "asyncio.Task[None]"]]:
    listener = Counting()
    with socket.create_server(("127.0.0.1", 0)) as bound:
        serving = asyncio.create_task(listener.serve(sockets=[bound]))
        try:
            yield listener, serving
        finally:
            listener.stop()
            await serving


async def test_it_wakes_once_a_second_and_sees_to_the_date() -> None:
    async with listening() as (listener, _):
        first = await listener.woke.get()
        assert [name for name, _ in listener.server_state.default_headers][:1] == [b"date"]
        listener.server_state.default_headers = []
        assert await listener.woke.get() - first > 0.9
        assert listener.server_state.default_headers


async def test_it_stops_at_once() -> None:
    async with listening() as (listener, serving):
        await listener.woke.get()
        listener.stop()
        for _ in range(TURNS):
            await asyncio.sleep(0)
        assert not listener.woke.empty(), "it waited for its second"
        await listener.woke.get()
        await serving
        assert listener.woke.empty()


class Accepted:
    """A connection that is there a turn after the socket has told of it, as on uvloop."""

    def __init__(self, connections: set[Any]) -> None:
        self._connections = connections
        self.told = False
        asyncio.get_running_loop().call_soon(connections.add, self)

    def shutdown(self) -> None:
        self.told = True
        self._connections.discard(self)


async def test_who_was_accepted_just_before_it_stops_is_told_to_close() -> None:
    async with listening() as (listener, serving):
        await listener.woke.get()
        listener.stop()
        connections: set[Any] = listener.server_state.connections
        last = Accepted(connections)
        try:
            await asyncio.wait((serving,), timeout=2)
            assert last.told, "it is waited for until it leaves"
        finally:
            connections.discard(last)
