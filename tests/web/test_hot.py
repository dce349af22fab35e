"""The hot door, byte by byte: what came, what goes out, and who has the connection then."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast
from weakref import ref

import pytest
import pytest_asyncio
from msgspec import structs
from uvicorn import Config
from uvicorn.server import ServerState

from gateway.app import make_keyring
from gateway.core.events import Began
from gateway.core.keys import KeyRecord, digest_of
from gateway.web.hot import HotProtocol, hot
from gateway.web.hot_reply import NullTransport
from gateway.web.idle import BUSY
from gateway.web.timeouts import ClientTimeouts
from tests.service.running import KEY, Running, running
from tests.web.test_door import CONFIG

pytestmark = pytest.mark.asyncio(loop_scope="module")
BODY = json.dumps({"model": "right", "messages": [{"role": "user", "content": "2+2"}]}).encode()
STREAMED = BODY[:-1] + b', "stream": true}'
STALLS = BODY.replace(b'"right"', b'"stall"')
PATH = b"/v1/chat/completions"


def head(length: int, *more: bytes, path: bytes = PATH) -> bytes:
    lines = [
        b"POST %b HTTP/1.1" % path,
        b"Host: here",
        b"Authorization: Bearer %b" % KEY.encode(),
        b"Content-Length: %d" % length,
        *more,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def asks(body: bytes = BODY, *more: bytes) -> bytes:
    return head(len(body), *more) + body


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service() -> AsyncIterator[Running]:
    async with running(CONFIG, {"NARROW": "sha256:" + "0" * 64}) as served:
        yield served


class Wire:
    """One connection, read answer by answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer; (100, {}, b"") is an answer, too."""
        first, *lines = (await self._until(b"\r\n\r\n")).decode("latin-1").splitlines()[:-1]
        headers = dict(line.lower().split(": ", 1) for line in lines)
        status = int(first.split(" ")[1])
        if "content-length" in headers:
            return status, headers, await self.reader.readexactly(int(headers["content-length"]))
        body = b""
        while headers.get("transfer-encoding") == "chunked":
            size = int(await self._until(b"\r\n"), 16)
            body += (await self.reader.readexactly(size + 2))[:-2]
            if not size:
                break
        return status, headers, body

    async def ended(self) -> bool:
        return await asyncio.wait_for(self.reader.read(1), 30) == b""

    async def _until(self, mark: bytes) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(mark), 30)


@pytest_asyncio.fixture(loop_scope="module")
async def wire(service: Running) -> AsyncIterator[Wire]:
    host, port = service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    yield Wire(reader, writer)
    writer.close()
    await service.audit("acme")


async def right(wire: Wire) -> None:
    status, headers, body = await wire.answer()
    assert (status, headers["content-type"]) == (200, "application/json"), body
    assert json.loads(body)["object"] == "chat.completion"


@pytest.mark.parametrize("size", [1, 7, 40, 10_000])
async def test_a_request_in_pieces(wire: Wire, size: int) -> None:
    whole = asks()
    await wire.send(*[whole[at : at + size] for at in range(0, len(whole), size)])
    await right(wire)


async def test_a_stream_is_chunked_and_the_connection_goes_on(wire: Wire) -> None:
    for _ in range(2):
        await wire.send(asks(STREAMED))
        status, headers, body = await wire.answer()
        assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert body.endswith(b"data: [DONE]\n\n")
    await wire.send(asks())
    await right(wire)


async def test_requests_that_come_before_they_are_due(wire: Wire) -> None:
    """Three at once, the last of them in two pieces."""
    whole = asks()
    await wire.send(whole + asks(STREAMED) + whole[:90])
    await right(wire)
    assert (await wire.answer())[2].endswith(b"data: [DONE]\n\n")
    await wire.send(whole[90:])
    await right(wire)


async def test_far_ahead_the_client_waits(wire: Wire) -> None:
    """So many requests at once that no buffer takes them: none is lost."""
    await asyncio.gather(wire.send(asks() * 600), *[right(wire)])
    for _ in range(599):
        await right(wire)


async def test_another_path_and_the_hot_one_after_it(wire: Wire) -> None:
    await wire.send(asks(), b"GET /livez HTTP/1.1\r\nhost: here\r\n\r\n")
    await right(wire)
    status, _, body = await wire.answer()
    assert (status, json.loads(body)["status"]) == (200, "live")
    await wire.send(asks())
    await right(wire)


@pytest.mark.parametrize(
    ("request_", "statuses"),
    [
        (asks(BODY, b"Expect: 100-continue"), [100, 200]),
        (asks(BODY, b"Upgrade: h2c", b"Connection: upgrade"), [200]),
        (
            asks().replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked")
            .replace(BODY, b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)),
            [200],
        ),
        (head(0, path=b"/v1/chat/completions/"), [404]),
        (head(0, path=b"/v1/chat/completions?x=1") + b"", [400]),
        (asks(BODY, b"Content-Length: 1"), [400]),
        (asks(BODY, b"Transfer-Encoding: chunked"), [400]),
        (asks(BODY, b"Bad Name: 1"), [400]),
        (asks(BODY, b"a: b\r\n c: folded"), [400]),
        (b"POST /v1/chat/completions HTTP/1.1\nhost: here\n\n", [400]),
        (b"\x16\x03\x01\x02\x00", [400]),
    ],
    ids=[
        "expect", "upgrade", "chunked", "path", "query", "two_lengths", "length_and_chunked",
        "bad_name", "folded", "bare_lf", "tls",
    ],
)  # fmt: skip
async def test_what_is_not_plain(wire: Wire, request_: bytes, statuses: list[int]) -> None:
    await wire.send(request_)
    assert [(await wire.answer())[0] for _ in statuses] == statuses


@pytest.mark.parametrize(
    "request_",
    [b"\x16\x03\x01\x02\x00", b"FOO / HTTP/1.1\r\n\r\n", asks(BODY, b"Content-Length: 1")],
    ids=["tls", "unknown_method", "two_lengths"],
)
async def test_what_is_no_http_is_told_as_every_error_is(wire: Wire, request_: bytes) -> None:
    await wire.send(request_)
    status, headers, body = await wire.answer()
    error = json.loads(body)["error"]
    assert (status, error["type"], error["code"], error["param"]) == (
        400,
        "invalid_request_error",
        "invalid_request",
        None,
    )
    told = ("content-type", "x-should-retry", "connection")
    assert [headers[name] for name in told] == ["application/json", "false", "close"]
    assert headers["x-request-id"].startswith("req_")
    assert await wire.reader.read() == b""


@pytest.mark.parametrize(
    ("more", "body", "status"),
    [
        ((), b"x" * 20_001, 413),
        ((b"Content-Encoding: gzip",), BODY, 400),
        ((), b"{", 400),
    ],
    ids=["too_large", "encoded", "no_json"],
)
async def test_refused_and_the_connection_goes_on(
    wire: Wire, more: tuple[bytes, ...], body: bytes, status: int
) -> None:
    sent = asks(body, *more)
    await wire.send(sent[:300], sent[300:])
    assert (await wire.answer())[0] == status
    await wire.send(asks())
    await right(wire)


async def test_refused_before_the_body_is_there(wire: Wire) -> None:
    """An unknown key, and 20 kB that never come: who asks is settled first."""
    await wire.send(head(20_000).replace(KEY.encode(), b"tg-nobody-0000000000"))
    assert (await wire.answer())[0] == 401


async def test_far_too_large_ends_the_connection_and_is_told_so(wire: Wire) -> None:
    """Else a client might send its next request as the connection ends."""
    await wire.send(head(10**9))
    status, headers, _ = await wire.answer()
    assert (status, headers.get("connection")) == (413, "close")
    assert await wire.ended()


CHUNKED = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
EXPLAIN = b"/v1/route/explain"
NOBODY = head(2**20, b"Connection: close").replace(KEY.encode(), b"tg-nobody-0000000000")


@pytest.mark.parametrize(
    ("begun", "rest", "status"),
    [
        (head(24 * 2**20), b" " * 24 * 2**20, 413),
        (head(24 * 2**20, path=EXPLAIN), b" " * 24 * 2**20, 413),
        (NOBODY, b" " * 2**20, 401),
        (NOBODY.replace(PATH, EXPLAIN), b" " * 2**20, 401),
    ],
    ids=["too large", "too large, not hot", "closing", "closing, not hot"],
)
async def test_who_sends_all_of_a_body_before_it_reads_is_not_cut_off(
    wire: Wire, begun: bytes, rest: bytes, status: int
) -> None:
    """As httpx does, and so OpenAI's SDK: it raised the reset, and asked twice more."""
    await wire.send(begun, *[rest[at : at + 2**18] for at in range(0, len(rest), 2**18)])
    found, headers, _ = await wire.answer()
    assert (found, headers["connection"]) == (status, "close")
    assert await wire.ended()


async def test_a_body_that_nobody_wants_is_let_pass_so_far_and_no_farther(wire: Wire) -> None:
    """In chunks, which tell no length: the connection might be kept."""
    block = b"%x\r\n%b\r\n" % (2**20, b" " * 2**20)
    await wire.send(CHUNKED, block)
    status, headers, _ = await wire.answer()
    assert (status, "connection" in headers) == (413, False)
    await wire.send(*[block] * 17)
    assert await wire.ended()
    await wire.send(b"0\r\n\r\n" + asks())


@pytest.mark.parametrize("path", [PATH, EXPLAIN], ids=["hot", "not hot"])
async def test_who_never_ends_is_cut_off_in_the_end(service: Running, path: bytes) -> None:
    async with patient(service, 0.2, 60) as wire:
        await wire.send(head(10**12, path=path))
        assert (await wire.answer())[0] == 413
        with pytest.raises(ConnectionError):  # noqa: PT012 - some of it is let pass
            async with asyncio.timeout(30):
                while True:
                    await wire.send(b" " * 1_000)
                    await asyncio.sleep(0.01)


async def test_a_key_that_is_revoked_counts_at_once_on_a_connection_that_is_open(
    service: Running, wire: Wire
) -> None:
    keyring, secret = service.gateway.front.door.now.keyring, "tg-new-0123456789"
    keyring.put(KeyRecord("key_1", "acme", digest_of(secret, None), "6789", 1.0))
    sent = asks().replace(KEY.encode(), secret.encode())
    for _ in range(2):
        await wire.send(sent)
        await right(wire)
    keyring.drop("key_1")
    for _ in range(2):
        await wire.send(sent)
        assert (await wire.answer())[0] == 401
    await wire.send(asks())
    await right(wire)


async def test_a_large_body_before_another_configuration_says_nothing_of_the_next(
    service: Running, wire: Wire
) -> None:
    door = service.gateway.front.door
    before, large = door.now, asks(BODY + b" " * 9_000)
    await wire.send(large)
    await right(wire)
    keyring = make_keyring(service.gateway.reload.snapshot)
    limits = structs.replace(before.limits, body_bytes=5_000)
    door.reconfigure(replace(before, keyring=keyring, limits=limits))
    try:
        for sent, status in ((asks(), 200), (large, 413), (asks(), 200)):
            await wire.send(sent)
            assert (await wire.answer())[0] == status
    finally:
        door.reconfigure(before)


async def test_what_is_remembered_of_a_connection_is_what_would_be_read_anew(
    service: Running, wire: Wire
) -> None:
    """Four of a shape, and one of another between them; with headers of ours, and without."""
    for more, latency in (((b"x-gateway-max-latency-ms: 9000",), 9_000), ((), None)):
        before = len(service.events)
        others = [BODY.replace(b"2+2", b"3+%d" % at) for at in range(4)]
        for body in [*others[:2], STREAMED, *others[2:]]:
            await wire.send(asks(body, *more))
            await wire.answer()
        began = [event for event in service.events[before:] if isinstance(event, Began)]
        assert len({event.about.request_id for event in began}) == 5
        asked = [event.request for event in began if event.request is not None]
        said = [request.json("messages")[0]["content"] for request in asked]
        assert said == ["3+0", "3+1", "2+2", "3+2", "3+3"]
        assert [request.extras.max_latency_ms for request in asked] == [latency] * 5
        assert [request.stream for request in asked] == [False, False, True, False, False]
        assert [event.about.stream for event in began] == [False, False, True, False, False]


async def test_what_is_remembered_of_a_shape_goes_when_shapes_are_emptied(
    service: Running, wire: Wire
) -> None:
    """Of connections there may be very many: none keeps a shape for itself."""
    shapes = service.gateway.front.door.now.shapes
    for _ in range(3):
        await wire.send(asks())
        await right(wire)
    kept = ref(shapes.find(BODY))
    assert kept() is not None
    shapes._begins.clear()
    assert kept() is None
    for _ in range(3):
        await wire.send(asks())
        await right(wire)
    assert shapes.find(BODY) is not None


async def test_another_configuration_is_not_answered_by_what_is_remembered(
    service: Running, wire: Wire
) -> None:
    door, text = service.gateway.front.door, service.text[0]
    for _ in range(3):
        await wire.send(asks())
        await right(wire)
    await service.reload(text.replace("right: {", "other: {").replace("[right]", "[other]"))
    try:
        await wire.send(asks())
        status, _, told = await wire.answer()
        assert (status, json.loads(told)["error"]["code"]) == (404, "model_not_found")
    finally:
        await service.reload(text)
    await wire.send(asks())
    await right(wire)
    assert door.in_flight.total == 0


async def test_keys_nobody_comes_with_any_more_are_not_counted(
    service: Running, wire: Wire
) -> None:
    door = service.gateway.front.door
    await wire.send(asks())
    await right(wire)
    assert [*door.in_flight.by_key] == ["acme/k1"]
    wire.writer.close()
    async with asyncio.timeout(30):
        while door.in_flight.by_key:
            await asyncio.sleep(0.005)


async def test_the_same_head_with_bodies_of_many_lengths(wire: Wire) -> None:
    """Whole, empty, too large, in pieces: whatever came before, each is read as it is."""
    spaces = [0, 9, 300, 12_000, 1, 12_000]
    for more in spaces:
        whole = asks(BODY + b" " * more)
        for pieces in ([whole], [whole[:400], whole[400:]], [whole + asks(BODY)]):
            await wire.send(*pieces)
            await right(wire)
        await right(wire)
        for refused, status in ((b"", 400), (b" " * 20_001, 413)):
            await wire.send(asks(refused))
            assert (await wire.answer())[0] == status


async def test_one_task_serves_a_connection_and_ends_with_it(service: Running, wire: Wire) -> None:
    before = asyncio.all_tasks()
    for _ in range(3):
        await wire.send(asks())
        await right(wire)
    (task,) = {each for each in asyncio.all_tasks() - before if "_serve" in repr(each)}
    wire.writer.close()
    async with asyncio.timeout(30):
        await asyncio.wait((task,))
    assert task.cancelled() or task.exception() is None


@pytest.mark.parametrize(("body", "expected"), [(BODY, 200), (b"", 400)], ids=["a body", "none"])
async def test_close_as_asked(wire: Wire, body: bytes, expected: int) -> None:
    await wire.send(asks(body, b"Connection: close"))
    status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (expected, "close")
    assert await wire.ended()


async def test_a_client_that_leaves_within_its_body(service: Running, wire: Wire) -> None:
    await wire.send(asks()[:-10])
    wire.writer.close()
    async with asyncio.timeout(30):
        while service.gateway.front.door.in_flight.total:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("half", [False, True], ids=["closed", "its side closed"])
async def test_a_client_that_leaves_while_it_waits(
    service: Running, wire: Wire, half: bool
) -> None:
    """Who closes its side is gone, as with uvicorn and nginx: TCP does not tell who only listens,
    and money is being spent.
    """
    await wire.send(asks(STALLS))
    async with asyncio.timeout(30):
        while not service.simulator.simulator.open:
            await asyncio.sleep(0.005)
        if half:
            wire.writer.write_eof()
            assert await wire.ended()
        else:
            wire.writer.close()
        while service.gateway.front.door.in_flight.total:
            await asyncio.sleep(0.005)


@asynccontextmanager
async def patient(service: Running, idle_s: float, body_s: float) -> AsyncIterator[Wire]:
    """A connection to the same door that may take just so long."""
    front = service.gateway.front
    config = Config(front, lifespan="off", log_config=None)
    config.load()
    made = cast(
        "Callable[..., asyncio.Protocol]", hot(front.door, ClientTimeouts(lambda: idle_s, body_s))
    )
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: made(config, ServerState(), {}), "127.0.0.1", 0)
    async with server:
        wire = Wire(*await asyncio.open_connection(*server.sockets[0].getsockname()))
        try:
            yield wire
        finally:
            wire.writer.close()


async def test_a_request_in_the_tick_in_which_its_connection_is_stopped(service: Running) -> None:
    front = service.gateway.front
    config = Config(front, lifespan="off", log_config=None)
    config.load()
    made = cast("Callable[..., HotProtocol]", hot(front.door))
    connection = made(config, ServerState(), {})
    connection.connection_made(NullTransport())
    connection.data_received(asks())
    async with asyncio.timeout(30):
        while connection.since is BUSY:
            await asyncio.sleep(0.002)
    connection.task.cancel()
    connection.data_received(asks())
    await asyncio.wait((connection.task,))
    connection.connection_lost(None)


async def test_an_answer_that_is_read_on_for_who_left_with_more_asked_behind(
    service: Running,
) -> None:
    front = service.gateway.front
    config = Config(front, lifespan="off", log_config=None)
    config.load()
    made = cast("Callable[..., HotProtocol]", hot(front.door))
    connection = made(config, ServerState(), {})
    connection.connection_made(NullTransport())
    connection.data_received(asks() + b"GET /livez HTTP/1.1\r\n\r\n")
    connection.connection_lost(None)
    await connection.begin(200, b"")
    await connection.end(b"the answer")
    await asyncio.wait((connection.task,))


LARGE = json.dumps(
    {"model": "right", "messages": [{"role": "user", "content": "a" * 9_000}]}
).encode()


@pytest.mark.parametrize("body", [BODY, STREAMED, LARGE], ids=["whole", "stream", "in pieces"])
async def test_a_body_that_stops_half_way_is_waited_for_so_long_and_no_longer(
    service: Running, body: bytes
) -> None:
    async with patient(service, 60, 0.2) as wire:
        await wire.send(asks())
        await right(wire)
        await wire.send(head(len(body)), body[:10], body[10:-1])
        status, headers, told = await wire.answer()
        assert (status, json.loads(told)["error"]["code"]) == (408, "request_timeout")
        assert headers["connection"] == "close"
        assert await wire.ended()
    assert service.gateway.front.door.in_flight.total == 0


async def test_a_body_that_stopped_in_the_way_of_asgi(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of every path but the hot one, or where it has no length."""
    monkeypatch.setattr("gateway.web.asgi.BODY_S", 0.2)
    chunked = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    for begun in (chunked + b"5\r\n{", head(99, path=b"/v1/route/explain")):
        async with patient(service, 60, 60) as wire:
            await wire.send(begun)
            status, headers, told = await wire.answer()
            assert (status, json.loads(told)["error"]["code"]) == (408, "request_timeout")
            assert headers["connection"] == "close"
            assert await wire.ended()
    assert service.gateway.front.door.in_flight.total == 0


@pytest.mark.parametrize("path", [PATH, b"/v1/route/explain"], ids=["hot", "asgi"])
async def test_a_body_has_its_time_again_for_each_portion_of_it(
    service: Running, monkeypatch: pytest.MonkeyPatch, path: bytes
) -> None:
    """Longer than the time in all, and never so long between two portions."""
    monkeypatch.setattr("gateway.web.asgi.BODY_S", 3.0)
    for door in ("asgi", "hot_body"):
        monkeypatch.setattr(f"gateway.web.{door}.PORTION", 4_000)
    async with patient(service, 60, 3.0) as wire:
        await wire.send(head(4 * 4_000, path=path))
        for part in [b" " * 4_000] * 3 + [b" " * 3_999]:
            await asyncio.sleep(0.85)
            await wire.send(part)
        await wire.send(b"{")
        status, _, told = await wire.answer()
        assert (status, json.loads(told)["error"]["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("before", [b"", b"GET /livez HTTP/1.1\r\nhost: here\r\n\r\n"])
@pytest.mark.parametrize(
    "begun", [b"POST /v1/chat", b"GET /livez HTTP/1.1\r\nhost: here\r\n", b"G"]
)
async def test_a_head_that_never_ends_ends_the_connection(
    service: Running, before: bytes, begun: bytes
) -> None:
    async with patient(service, 0.2, 60) as wire:
        if before:
            await wire.send(before)
            assert (await wire.answer())[0] == 200
        await wire.send(begun)
        assert await wire.ended()
