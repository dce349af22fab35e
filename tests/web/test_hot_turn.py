"""An answer that is made in the turn in which it is asked for waits for the end of that turn.
Whatever else happens in it, the client gets all of the answer, and then what comes of that.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from gateway.web.door import Door
from gateway.web.hot import HotProtocol, hot

Serve = Callable[[HotProtocol], Awaitable[None]]
LARGE = 50_000
TIMES = 40
"""How a race ends is chance; with a fault in it, it is lost in most of so many."""


async def nobody(scope: object, receive: object, send: object) -> None:
    raise AssertionError("it is not for the server's own protocol")


class AtOnce:
    """A door that answers without waiting for anything: as many bytes as it is asked for, whole or,
    for a list, in pieces. Then `afterwards` is called, in the same turn.
    """

    draining = False

    def __init__(self, afterwards: Callable[[HotProtocol], None] = lambda _: None) -> None:
        self._afterwards = afterwards
        self.now = SimpleNamespace(world=SimpleNamespace(new_id=lambda: "1"))

    def client_gone(self, client: HotProtocol) -> None: ...

    async def serve(self, client: HotProtocol) -> None:
        assert client.whole is not None
        asked = json.loads(client.whole)
        if isinstance(asked, int):
            client.reply(200, b"", b"y" * asked)
        else:
            await client.begin(200, b"")
            for size in asked:
                client.send(b"y" * size)
            await client.end(b"end")
        self._afterwards(client)


def asks(what: int | list[int]) -> bytes:
    body = json.dumps(what).encode()
    length = b"content-length: %d" % len(body)
    return b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n%b\r\n\r\n%b" % (length, body)


def is_whole(answer: bytes, asked: int | list[int]) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    if isinstance(asked, int):
        return head.startswith(b"HTTP/1.1 200") and body == b"y" * asked
    pieces = [b"%x\r\n%b\r\n" % (size, b"y" * size) for size in asked]
    return body == b"".join(pieces) + b"3\r\nend\r\n0\r\n\r\n"


@asynccontextmanager
async def at_once(door: AtOnce) -> AsyncIterator[tuple[int, ServerState]]:
    config, state = Config(nobody, log_config=None), ServerState()
    config.load()
    made = cast("Callable[..., HotProtocol]", hot(cast("Door", door)))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: made(config, state, {}), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], state


async def all_of(port: int, *sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.writelines(sent)
    told = await asyncio.wait_for(reader.read(-1), 30)
    writer.close()
    return told


KINDS = pytest.mark.parametrize("asked", [5, LARGE, [5, 5], [LARGE, 5, LARGE]], ids=str)


def cancels(client: HotProtocol) -> None:
    client.task.cancel()


def ends(_: HotProtocol) -> None:
    raise asyncio.CancelledError


@KINDS
@pytest.mark.parametrize("happens", [HotProtocol.shutdown, cancels, ends])
async def test_a_server_that_stops(
    happens: Callable[[HotProtocol], None], asked: int | list[int]
) -> None:
    async with at_once(AtOnce(happens)) as (port, state):
        assert is_whole(await all_of(port, asks(asked)), asked)
        async with asyncio.timeout(30):
            while state.connections or state.tasks:
                await asyncio.sleep(0.001)


def _half_closes(port: int) -> bytes:
    """What a client gets that says right behind its request that it was the last."""
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        client.sendall(asks(3))
        while not client.recv(1_000).endswith(b"yyy"):
            pass
        client.sendall(asks(5))
        client.shutdown(socket.SHUT_WR)
        told = b""
        while data := client.recv(1_000):
            told += data
        return told


async def test_a_client_that_sends_no_more() -> None:
    async with at_once(AtOnce()) as (port, _):
        told = [await asyncio.to_thread(_half_closes, port) for _ in range(TIMES)]
    assert [is_whole(each, 5) for each in told] == [True] * TIMES


async def test_what_is_no_http_behind_the_request() -> None:
    async with at_once(AtOnce()) as (port, _):
        told = await all_of(port, asks(5) + b"GARBAGE\r\n\r\n")
    first, second = (b"HTTP/1.1 " + each for each in told.split(b"HTTP/1.1 ")[1:])
    assert is_whole(first, 5)
    assert second.startswith(b"HTTP/1.1 400")


async def test_what_a_turn_has_for_one_client_is_one_write() -> None:
    """It goes out when the turn is over, and not before."""
    seen: list[bytes] = []

    class Told(asyncio.Transport):
        def write(self, data: object) -> None:
            assert isinstance(data, bytes)
            seen.append(data)

        def is_closing(self) -> bool:
            return False

    def looks(_: HotProtocol) -> None:
        assert seen == []

    config = Config(nobody, log_config=None)
    config.load()
    made = cast("Callable[..., HotProtocol]", hot(cast("Door", AtOnce(looks))))
    connection = made(config, ServerState(), {})
    connection.connection_made(Told())
    connection.data_received(asks([5, 5]))
    async with asyncio.timeout(30):
        while not seen:
            await asyncio.sleep(0)
    assert [is_whole(each, [5, 5]) for each in seen] == [True]
    connection.task.cancel()
    await asyncio.wait((connection.task,))
    connection.connection_lost(None)


class Kept(asyncio.Transport):
    """A connection whose client sends as long as it is read, and reads nothing."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.reads = True
        self.kept = b""
        self.paused = False
        self.protocol: HotProtocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.kept += bytes(data)
        if len(self.kept) > self.most and not self.paused:
            self.paused = True
            self.protocol.pause_writing()

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return len(self.kept)

    def close(self) -> None: ...

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


@pytest.mark.parametrize("most", [0, 10**9], ids=["who reads no answer", "who is read slowly"])
async def test_who_sends_without_end_is_made_to_wait(most: int) -> None:
    """Neither what it asked nor what it was told is kept without a bound."""
    config, state = Config(nobody, log_config=None), ServerState()
    config.load()
    made = cast("Callable[..., HotProtocol]", hot(cast("Door", AtOnce())))
    transport = Kept(most)
    transport.protocol = protocol = made(config, state, {})
    protocol.connection_made(transport)
    some, sent, answered = asks(1) * 300, 0, b"HTTP/1.1 200"
    for _ in range(300):
        if transport.reads:
            protocol.data_received(some)
            sent += 300
        await asyncio.sleep(0)
        assert len(protocol._buffer) < 5 * len(some)
    if not most:
        assert transport.kept.count(answered) == 1
    transport.most = 10**9
    protocol.resume_writing()
    async with asyncio.timeout(30):
        while transport.kept.count(answered) < sent:
            await asyncio.sleep(0)
    assert transport.reads
    protocol.connection_lost(None)
    await asyncio.wait(state.tasks)


async def test_who_leaves_without_reading_is_not_served_any_more() -> None:
    config, state = Config(nobody, log_config=None), ServerState()
    config.load()
    served: list[HotProtocol] = []
    door = AtOnce(served.append)
    transport = Kept(0)
    transport.protocol = protocol = cast("Callable[..., HotProtocol]", hot(cast("Door", door)))(
        config, state, {}
    )
    protocol.connection_made(transport)
    protocol.data_received(asks(1) * 3)
    for _ in range(20):
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    await asyncio.wait(state.tasks)
    assert served == [protocol]


class Refusing(AtOnce):
    """A door that answers with the status that it is asked for, as with a provider's."""

    async def serve(self, client: HotProtocol) -> None:
        assert client.whole is not None
        client.reply(int(client.whole), b"", b"no")


@pytest.mark.parametrize("status", [200, 418, 430, 444, 498, 499, 599])
async def test_a_status_that_has_no_name_is_passed_on(status: int) -> None:
    """Proxies in front of providers have some of their own: the client was cut off."""
    async with at_once(Refusing()) as (port, _):
        told = await all_of(port, asks(status) + b"no HTTP\r\n\r\n")
    first, second = told.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"%d " % status)
    assert first.endswith(b"\r\n\r\nno")
    assert second.startswith(b"400 ")


class Retiring(AtOnce):
    """A door whose server begins to stop while the first answer flows."""

    def __init__(self) -> None:
        super().__init__()
        self.retired = False

    async def serve(self, client: HotProtocol) -> None:
        if self.retired:
            await super().serve(client)
            return
        self.retired = True
        await client.begin(200, b"")
        client.send(b"y")
        client.retire()
        await client.end(b"end")


@pytest.mark.parametrize("asked", [5, [5, 5]], ids=["whole", "stream"])
async def test_behind_a_stream_that_could_not_say_so_there_is_one_answer_that_is_the_last(
    asked: int | list[int],
) -> None:
    async with at_once(Retiring()) as (port, _):
        told = await all_of(port, asks([1]) + asks(asked) + asks(5))
    first, last = (b"HTTP/1.1 " + each for each in told.split(b"HTTP/1.1 ")[1:])
    assert is_whole(first, [1])
    assert b"connection: close" not in first
    assert is_whole(last, asked)
    assert b"connection: close" in last
