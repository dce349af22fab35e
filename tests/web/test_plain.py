"""Connections that are not hot: what is no request ends them, and none of it is kept."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
import pytest_asyncio
from uvicorn import Config
from uvicorn.server import ServerState

from gateway.web.hot import hot
from gateway.web.plain import plain
from gateway.web.timeouts import ClientTimeouts
from tests.service.running import KEY, Running, running
from tests.web.test_door import CONFIG
from tests.web.test_hot import BODY, STREAMED

pytestmark = pytest.mark.asyncio(loop_scope="module")
HOT = b"POST /v1/chat/completions HTTP/1.1\r\nhost: here\r\n"
OTHER = b"GET /livez HTTP/1.1\r\nhost: here\r\n"
CHUNKED = (
    b"POST /v1/route/explain HTTP/1.1\r\nauthorization: Bearer %b\r\n"
    b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n" % KEY.encode()
)
LINES = b"x-a: 1\r\n" * 1_000
MOST = 200_000
"""Bytes that nothing may take."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service() -> AsyncIterator[Running]:
    async with running(CONFIG, {"NARROW": "sha256:" + "0" * 64}) as served:
        yield served


class Line(asyncio.Transport):
    """A connection to the door, without a network: what is sent comes in one read."""

    def __init__(self, service: Running, app: Any = None, door: Any = hot, **options: Any) -> None:
        super().__init__()
        config = Config(app or service.gateway.front, lifespan="off", log_config=None, **options)
        config.load()
        made = cast("Callable[..., asyncio.Protocol]", door(service.gateway.front.door))
        self.state = ServerState()
        self.heard = b""
        self.closed = self.aborted = self.ended = False
        self.protocol: Any = made(config, self.state, {})
        self.protocol.connection_made(self)

    async def sends(self, data: bytes) -> None:
        self.protocol.data_received(data)
        await asyncio.sleep(0)

    async def hangs_up(self) -> None:
        self.protocol.connection_lost(None)
        if self.state.tasks:
            await asyncio.wait(self.state.tasks)

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def write(self, data: Any) -> None:
        self.heard += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


@pytest.mark.parametrize("door", [hot, plain])
@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (HOT, LINES),
        (OTHER, LINES),
        (OTHER + b"x-a: ", b"1" * 8_000),
        (b"GET /livez?", b"1" * 8_000),
        (CHUNKED + b"0\r\n", LINES),
        (CHUNKED + b"1;", b"1" * 8_000),
    ],
    ids=["hot", "headers", "one header", "a path", "after a body", "of a chunk"],
)
async def test_what_never_ends_is_not_kept(
    service: Running, begun: bytes, more: bytes, door: Any
) -> None:
    line = Line(service, door=door)
    await line.sends(begun)
    for _ in range(MOST // len(more)):
        await line.sends(more)
        if line.closed:
            break
    await line.hangs_up()
    assert line.closed
    assert line.heard.startswith(b"HTTP/1.1 431 ")
    assert b"connection: close" in line.heard
    assert b'"code":"headers_too_large"' in line.heard


async def test_a_body_in_many_small_chunks_is_no_head(service: Running) -> None:
    line = Line(service)
    await line.sends(CHUNKED)
    for _ in range(15):
        await line.sends(b"1\r\n \r\n" * 1_000)
    assert (line.closed, line.heard) == (False, b"")
    await line.hangs_up()


EXPLAIN = b"POST /v1/route/explain HTTP/1.1\r\n"
CHAT = b"POST /v1/chat/completions?a HTTP/1.1\r\n"
SIZED = b"content-length: %d\r\n\r\n%b" % (len(BODY), BODY)
IN_CHUNKS = b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.mark.parametrize("door", [hot, plain])
@pytest.mark.parametrize("cut", [10_000, 20, 1])
@pytest.mark.parametrize("rest", [SIZED, IN_CHUNKS], ids=["sized", "in chunks"])
@pytest.mark.parametrize("first", [EXPLAIN, CHAT, HOT], ids=["explain", "chat", "hot"])
async def test_who_asks_for_another_protocol_is_answered_in_this_one(
    service: Running, first: bytes, rest: bytes, cut: int, door: Any
) -> None:
    """As Java's HTTP client does, which would speak HTTP/2."""
    asks = (
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP\r\n"
    )
    request = b"%bauthorization: Bearer %b\r\n%b%b" % (first, KEY.encode(), asks, rest)
    line = Line(service, door=door)
    sent = request * 2
    for at in range(0, len(sent), cut):
        await line.sends(sent[at : at + cut])
    async with asyncio.timeout(30):
        while line.heard.count(b"HTTP/1.1 200 OK\r\n") < 2:
            assert line.heard.count(b"HTTP/1.1 ") == line.heard.count(b"HTTP/1.1 200 ")
            await asyncio.sleep(0.002)
    assert not line.closed
    await line.hangs_up()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nConnection: close\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n",
        b"GET /livez HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    ],
    ids=["one line", "two lines", "HTTP/1.0"],
)
async def test_who_asks_for_it_and_for_the_end_is_answered_too(
    service: Running, head: bytes
) -> None:
    line = Line(service)
    await line.sends(head)
    async with asyncio.timeout(30):
        while not line.closed:
            await asyncio.sleep(0.002)
    assert line.heard.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "keeps",
    [b"", b"connection: keep-alive\r\n", b"expect: 100-continue\r\n"],
    ids=["plain", "keep-alive", "expect"],
)
@pytest.mark.parametrize("body", [BODY, STREAMED, b"{"], ids=["whole", "stream", "refused"])
@pytest.mark.parametrize("before", [b"", OTHER + b"\r\n"], ids=["first", "behind another"])
async def test_who_speaks_http_1_0_is_sent_no_chunks(
    service: Running, before: bytes, body: bytes, keeps: bytes
) -> None:
    """It ends with the connection, which is not kept."""
    asks = b"POST /v1/chat/completions HTTP/1.0\r\nauthorization: Bearer %b\r\n" % KEY.encode()
    line = Line(service)
    await line.sends(b"%b%b%bcontent-length: %d\r\n\r\n%b" % (before, asks, keeps, len(body), body))
    async with asyncio.timeout(30):
        while not line.closed:
            await asyncio.sleep(0.002)
    *_, head, told = line.heard.split(b"\r\n\r\n")
    assert b" 100 " not in line.heard
    assert head.count(b"connection: close") == 1
    assert b"transfer-encoding" not in head
    if body is STREAMED:
        assert b"content-length" not in head
        assert told.startswith(b"data: {")
        assert told.endswith(b"}\n\ndata: [DONE]\n\n")
    else:
        assert b"content-length: %d\r\n" % len(told) in head
    await line.hangs_up()


@pytest.mark.parametrize(
    "begun",
    [HOT, HOT + b"expect: 100-continue\r\n", EXPLAIN],
    ids=["hot", "not hot", "another path"],
)
async def test_a_request_whose_body_is_not_whole_when_we_stop_is_told(
    service: Running, begun: bytes
) -> None:
    door = service.gateway.front.door
    line = Line(service)
    key = b"authorization: Bearer %b\r\n" % KEY.encode()
    await line.sends(b"%b%bcontent-length: 9\r\n\r\n{" % (begun, key))
    for _ in range(5):
        await asyncio.sleep(0)
    door.abort(line.state.tasks)
    try:
        async with asyncio.timeout(30):
            while b'"code":"shutting_down"' not in line.heard:
                await asyncio.sleep(0.002)
    finally:
        door.aborting = False
    told = line.heard.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1\r\n" in told
    assert told.count(b"x-request-id: req_") == 1
    await line.hangs_up()
    assert door.in_flight.total == 0


async def test_who_connects_and_says_nothing_is_not_waited_for(service: Running) -> None:
    line = Line(service, door=lambda door: plain(door, ClientTimeouts(lambda: 0.01)))
    async with asyncio.timeout(30):
        while not line.closed:
            await asyncio.sleep(0.05)
    await line.hangs_up()


@pytest.mark.parametrize("door", [hot, plain])
@pytest.mark.parametrize("cut", [10_000, 1])
@pytest.mark.parametrize(
    ("key", "trailer", "expected"),
    [
        (KEY, b"authorization: Bearer tg-nobody", 200),
        ("tg-nobody", b"authorization: Bearer %b" % KEY.encode(), 401),
        (KEY, b"x-gateway-max-cost-usd: 0.000000001", 200),
        (KEY, b"content-encoding: gzip", 200),
    ],
    ids=["another key", "a better key", "an extra", "an encoding"],
)
async def test_a_trailer_is_no_header(
    service: Running, key: str, trailer: bytes, expected: int, cut: int, door: Any
) -> None:
    """It was one where it came in the same read as the head."""
    whole = IN_CHUNKS[:-2] + trailer + b"\r\n\r\n"
    sent = HOT + b"authorization: Bearer %b\r\n%b" % (key.encode(), whole)
    line = Line(service, door=door)
    for at in range(0, len(sent), cut):
        line.protocol.data_received(sent[at : at + cut])
    async with asyncio.timeout(30):
        while not line.heard:
            await asyncio.sleep(0.002)
    assert statuses(line.heard) == [expected]
    await line.hangs_up()


@pytest.mark.parametrize("door", [hot, plain])
async def test_how_long_a_connection_is_kept_is_for_us_to_say(service: Running, door: Any) -> None:
    """Uvicorn would close it at once, when it has been served by uvicorn."""
    kept = [1e9]
    line = Line(
        service, None, lambda it: door(it, ClientTimeouts(lambda: kept[0])), timeout_keep_alive=0
    )
    for answered in (1, 2):
        await line.sends(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        async with asyncio.timeout(30):
            while line.heard.count(b"live") < answered:
                await asyncio.sleep(0.002)
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert not line.closed
    kept[0] = 0.0
    async with asyncio.timeout(30):
        while not line.closed:
            await asyncio.sleep(0.05)
    await line.hangs_up()


@pytest.mark.parametrize("door", [hot, plain])
async def test_a_connect_ends_the_connection_and_is_told_so(
    service: Running, door: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What comes behind it would not be read as requests: it was neither answered nor refused."""
    line = Line(service, door=door)
    await line.sends(b"CONNECT /livez HTTP/1.1\r\nhost: a:443\r\n\r\n" + OTHER + b"\r\n")
    async with asyncio.timeout(30):
        while b"not allowed" not in line.heard:
            await asyncio.sleep(0)
    assert line.heard.startswith(b"HTTP/1.1 405 ")
    assert (line.heard.count(b"connection: close"), line.closed) == (1, True)
    assert caplog.messages == []
    await line.hangs_up()


@pytest.mark.parametrize("door", [hot, plain])
async def test_so_many_may_wait_behind_a_request_and_no_more(service: Running, door: Any) -> None:
    """Each takes a hundred times its bytes, and a read may have ten thousand."""
    line = Line(service, door=door)
    await line.sends((OTHER + b"\r\n") * 101)
    async with asyncio.timeout(30):
        while line.heard.count(b"live") < 101:
            await asyncio.sleep(0)
        assert line.heard.count(b"HTTP/1.1 200 ") == 101
        line.heard = b""
        line.protocol.data_received((OTHER + b"\r\n") * 10_000)
        assert len(line.protocol.pipeline) == 100
        while not line.closed:
            await asyncio.sleep(0)
        assert statuses(line.heard) == [200] * 101 + [400]
        assert b"Wait for answers: more than 100 " in line.heard
        await line.hangs_up()


async def test_nothing_is_kept_of_who_breaks_off_after_an_answer(service: Running) -> None:
    """As health checks of some load balancers do, each time: uvicorn's timer would keep it."""
    line = Line(service)
    await line.sends(OTHER + b"\r\n")
    async with asyncio.timeout(30):
        while b"live" not in line.heard:
            await asyncio.sleep(0)
        while line.state.tasks:
            await asyncio.sleep(0)
    line.protocol.connection_lost(ConnectionResetError())
    kept = weakref.ref(line.protocol)
    del line
    gc.collect()
    assert kept() is None


async def test_who_reads_no_answer_of_the_hot_path_is_given_none_of_another(
    service: Running,
) -> None:
    line = Line(service)
    line.protocol.pause_writing()  # as a transport tells it: once
    await line.sends(OTHER + b"\r\n")
    for _ in range(50):
        await asyncio.sleep(0.001)
    assert line.heard == b""
    line.protocol.resume_writing()
    async with asyncio.timeout(30):
        while b"live" not in line.heard:
            await asyncio.sleep(0)
    await line.hangs_up()


class Halves:
    """Answers in two halves, the second when it is let."""

    def __init__(self) -> None:
        self.lets = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await self.lets.wait()
        await send({"type": "http.response.body", "body": b"rest"})


def statuses(heard: bytes) -> list[int]:
    return [int(each[:3]) for each in heard.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("ahead", [b"", OTHER + b"\r\n"], ids=["alone", "with another behind it"])
@pytest.mark.parametrize(
    ("more", "ends"),
    [(LINES * 50, 431), (b"no HTTP\r\n\r\n", 400), (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400)],
    ids=["too long", "no HTTP", "HTTP/2"],
)
async def test_nothing_is_told_within_another_answer(
    service: Running, more: bytes, ends: int, ahead: bytes
) -> None:
    """What was asked before is answered first, all of it: that was lost."""
    halves = Halves()
    line = Line(service, halves)
    await line.sends(OTHER + b"\r\n")
    while b"half" not in line.heard:
        await asyncio.sleep(0)
    heard = line.heard
    await line.sends(ahead)
    await line.sends(OTHER if more.startswith(LINES) else more)
    await line.sends(more)
    await line.sends(OTHER + b"\r\n")
    assert (line.closed, line.heard) == (False, heard)
    halves.lets.set()
    async with asyncio.timeout(30):
        while not line.closed:
            await asyncio.sleep(0)
    assert statuses(line.heard) == [200] * (2 if ahead else 1) + [ends]
    assert line.heard.count(b"rest\r\n0\r\n\r\n") == (2 if ahead else 1)
    await line.hangs_up()


BROKEN = CHUNKED + b"no chunk\r\n"
"""A request whose body breaks off into something else."""


@pytest.mark.parametrize("door", [hot, plain])
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (OTHER + b"\r\n" + b"no HTTP\r\n\r\n", [200, 400]),
        ((OTHER + b"\r\n") * 3 + b"no HTTP\r\n\r\n", [200, 200, 200, 400]),
        (OTHER + b"\r\n" + BROKEN, [200, 400]),
        (BROKEN, [400]),
        (BROKEN + OTHER + b"\r\n", [400]),
        (OTHER + b"transfer-encoding: chunked\r\n\r\nno chunk\r\n", [400]),
        (CHUNKED.replace(KEY.encode(), b"tg-nobody"), [401]),
    ],
    ids=[
        "one",
        "three",
        "before half a request",
        "half a request",
        "and more",
        "unread",
        "refused",
    ],
)
async def test_what_was_asked_before_it_is_answered(
    service: Running, sent: bytes, expected: list[int], door: Any
) -> None:
    line = Line(service, door=door)
    await line.sends(sent)
    async with asyncio.timeout(30):
        while len(statuses(line.heard)) < len(expected):
            await asyncio.sleep(0)
    await line.sends(b"no chunk\r\n")  # within a body that was refused there is nothing to tell
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert (line.closed, statuses(line.heard)) == (True, expected)
    await line.hangs_up()


async def test_who_leaves_with_more_asked_behind_is_known_to_have_left(service: Running) -> None:
    """Also to the request that is being answered: it is not the one that came last."""
    told: list[str] = []

    async def listens(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        told.append((await receive())["type"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"too late"})

    line = Line(service, listens)
    await line.sends((OTHER + b"\r\n") * 3)
    async with asyncio.timeout(30):
        await line.hangs_up()
    assert told == ["http.disconnect"]
    assert line.heard == b""


async def test_who_never_reads_is_left_without_a_word_in_the_log_when_we_stop(
    service: Running, caplog: pytest.LogCaptureFixture
) -> None:
    door = service.gateway.front.door
    line = Line(service, door=plain)
    key = b"authorization: Bearer %b\r\n" % KEY.encode()
    line.protocol.pause_writing()
    await line.sends(b"%b%bcontent-length: %d\r\n\r\n%b" % (HOT, key, len(STREAMED), STREAMED))
    async with asyncio.timeout(30):
        while not door.in_flight.total:
            await asyncio.sleep(0)
        door.abort(line.state.tasks)
        try:
            while door.in_flight.total:
                await asyncio.sleep(0)
            (task,) = line.state.tasks
            task.cancel()  # as the loop does in the end
            await asyncio.wait((task,))
        finally:
            door.aborting = False
    assert not task.cancelled()
    assert (line.heard, line.aborted, caplog.messages) == (b"", True, [])
    await line.hangs_up()
