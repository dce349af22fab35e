"""Clients that read nothing are cut off after a while, and those that read slowly are not."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from gateway.web.backlog import Backlog
from gateway.web.door import Door
from gateway.web.hot import HotProtocol, hot
from gateway.web.idle import Idle
from gateway.web.plain import plain
from gateway.web.timeouts import ClientTimeouts

ALL: Final = 8_000_000
"""More than the kernel keeps for a connection whose client reads nothing."""
SMALL: Final = 4_096
UNREAD_S: Final = 0.3
HOT: Final = b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}"
CLOSES: Final = HOT.replace(b"content", b"connection: close\r\ncontent")
OTHER: Final = b"GET /large HTTP/1.1\r\n\r\n"


class Generous:
    """A door that answers each request with all it has, in pieces that wait for the client."""

    draining = False

    def __init__(self) -> None:
        self.gone = 0
        self.now = SimpleNamespace(world=SimpleNamespace(new_id=lambda: "1"))

    def client_gone(self, client: HotProtocol) -> None:
        self.gone += 1

    async def serve(self, client: HotProtocol) -> None:
        await client.begin(200, b"")
        for _ in range(ALL // 100_000):
            await client.write(b"y" * 100_000)
        await client.end(b"")


async def large(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application that sends all at once."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"y" * ALL})


@asynccontextmanager
async def served(face: Any, timeouts: ClientTimeouts) -> AsyncIterator[tuple[int, ServerState]]:
    config, state = Config(large, lifespan="off", log_config=None), ServerState()
    config.load()
    made = cast("Callable[..., asyncio.Protocol]", face(cast("Door", Generous()), timeouts))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: made(config, state, {}), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], state


def asking(port: int, request: bytes) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    client.settimeout(30)
    client.connect(("127.0.0.1", port))
    client.sendall(request)
    return client


async def is_left(state: ServerState) -> None:
    async with asyncio.timeout(30):
        while state.connections or state.tasks:
            await asyncio.sleep(0.01)


FACES = pytest.mark.parametrize(
    ("face", "request_"),
    [(hot, HOT), (hot, CLOSES), (hot, OTHER), (plain, OTHER)],
    ids=["hot", "hot, the last", "handed over", "another face"],
)


@FACES
@pytest.mark.parametrize("stops", [False, True], ids=["", "as it closes"])
async def test_who_reads_nothing_is_cut_off(face: Any, request_: bytes, stops: bool) -> None:
    """A connection closes when it has been idle for so long, and when the server stops."""
    async with served(face, ClientTimeouts(unread_s=UNREAD_S)) as (port, state):
        with asking(port, request_):
            async with asyncio.timeout(30):
                while not state.connections:
                    await asyncio.sleep(0.001)
            for connection in [*state.connections] if stops else ():
                cast("Any", connection).shutdown()
            await is_left(state)


@pytest.mark.parametrize("behind", [b"", b"GARBAGE\r\n\r\n", OTHER])
async def test_nothing_is_looked_at_that_was_read(behind: bytes) -> None:
    """Also where the connection is handed over with all of an answer still to be sent."""
    timeouts = ClientTimeouts(unread_s=1e6)
    async with served(hot, timeouts) as (port, state):
        with asking(port, HOT + behind) as client:
            async with asyncio.timeout(30):
                while not timeouts.unread._waiting:
                    await asyncio.sleep(0.001)
            client.shutdown(socket.SHUT_WR)
            while await asyncio.to_thread(client.recv, 1_000_000):
                pass
        await is_left(state)
        assert timeouts.unread._waiting == set()


async def test_of_who_reads_slowly_ever_less_waits() -> None:
    """That is how it is known from who does not read: nobody tells that some was read."""
    connections: list[asyncio.Transport] = []

    class Full(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            found = cast("asyncio.Transport", transport)
            connections.append(found)
            found.write(b"y" * ALL)

    server = await asyncio.get_running_loop().create_server(Full, "127.0.0.1", 0)
    async with server, asyncio.timeout(30):
        with asking(server.sockets[0].getsockname()[1], b"") as client:
            while not connections or connections[0].get_write_buffer_size() == ALL:
                await asyncio.sleep(0.001)
            for _ in range(3):
                before, read = connections[0].get_write_buffer_size(), 0
                while connections[0].get_write_buffer_size() == before:
                    read += len(await asyncio.to_thread(client.recv, SMALL))
                assert read < ALL
            connections[0].abort()


class Pending(asyncio.Transport):
    """With so much that was not read."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.closing = self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.size

    def is_closing(self) -> bool:
        return self.closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None: ...

    def write(self, data: object) -> None: ...

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted = True


class Looked(Idle):
    """Idle without a clock."""

    def __init__(self) -> None:
        self.watched: set[Backlog] = set()

    def enter(self, waiting: Any) -> None:
        self.watched.add(waiting)

    def leave(self, waiting: Any) -> None:
        self.watched.discard(waiting)

    def passes(self) -> None:
        for each in [*self.watched]:
            self.watched.discard(each)
            each.review()


def shuts_down(connection: Any) -> None:
    connection.shutdown()


def hears_no_more(connection: Any) -> None:
    connection.eof_received()


def hears_garbage(connection: Any) -> None:
    connection.data_received(b"GARBAGE\r\n\r\n")


@pytest.mark.parametrize("happens", [shuts_down, hears_no_more, hears_garbage])
@pytest.mark.parametrize("face", [hot, plain])
async def test_a_rest_that_never_paused_us_is_not_waited_for_when_it_closes(
    face: Any, happens: Callable[[Any], None]
) -> None:
    config = Config(large, lifespan="off", log_config=None)
    config.load()
    made = face(cast("Door", Generous()), ClientTimeouts(unread_s=UNREAD_S))
    connection, transport = made(config, ServerState(), {}), Pending(100)
    connection.connection_made(transport)
    happens(connection)
    assert (transport.closing, transport.aborted) == (True, False)
    async with asyncio.timeout(30):
        while not transport.aborted:
            await asyncio.sleep(0.01)
    connection.connection_lost(None)


def test_who_read_some_has_as_long_again() -> None:
    idle, transport = Looked(), Pending(100)
    backlog = Backlog(idle)
    backlog.watch(transport)
    for size in (99, 60, 1):
        transport.size = size
        idle.passes()
        assert (transport.aborted, idle.watched) == (False, {backlog})
    idle.passes()
    assert (transport.aborted, idle.watched) == (True, set())


def test_more_than_before_says_nothing() -> None:
    """A piece was added behind what was measured, and the client may have read meanwhile."""
    idle, transport = Looked(), Pending(100)
    Backlog(idle).watch(transport)
    transport.size = 130
    idle.passes()
    assert not transport.aborted
    idle.passes()
    assert transport.aborted


def test_what_is_all_read_is_not_looked_at() -> None:
    idle, transport = Looked(), Pending(0)
    Backlog(idle).watch(transport)
    assert idle.watched == set()


@pytest.mark.parametrize("closing", [False, True])
def test_what_is_left_when_writing_goes_on_matters_to_who_writes_no_more(closing: bool) -> None:
    idle, transport = Looked(), Pending(100)
    backlog = Backlog(idle)
    backlog.watch(transport)
    transport.closing, transport.size = closing, 10
    backlog.resume()
    assert idle.watched == ({backlog} if closing else set())
    idle.passes()
    assert transport.aborted is closing


def test_who_is_lost_is_not_looked_at() -> None:
    idle, transport = Looked(), Pending(100)
    backlog = Backlog(idle)
    backlog.watch(transport)
    transport.closing = True
    backlog.forget()
    backlog.resume()
    assert idle.watched == set()
