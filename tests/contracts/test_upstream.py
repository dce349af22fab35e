"""What every way of calling providers promises. A new one joins by one line in UPSTREAMS."""

import asyncio
import gzip
import json
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec
import pytest
import trustme
from msgspec import structs

from gateway import __version__
from gateway.core.catalog import Deployment, Model
from gateway.core.chat import ChatRequest, Delta, Look, Usage
from gateway.core.errors import (
    Broken,
    Faulty,
    Misconfigured,
    Overloaded,
    Rejected,
    Reset,
    Throttled,
    TimedOut,
    Unreachable,
    UpstreamError,
)
from gateway.core.flow import Deltas, Sink
from gateway.core.money import FREE, Nanos
from gateway.core.plan import Candidate
from gateway.core.ports import Upstream
from gateway.core.snapshot import Provider, Secret, Timeouts
from gateway.drivers.upstream.aiohttp_upstream import AiohttpUpstream
from gateway.drivers.upstream.http_failures import MAX_ANSWER
from gateway.drivers.upstream.pool_upstream import PoolUpstream
from gateway.wire.dialect import COPY_BELOW
from tests.contracts.provided import (
    CHUNKED,
    SSE,
    Provided,
    Then,
    chunk,
    close,
    hang,
    reset,
    sized,
)
from tests.drivers.connect_proxy import connect_proxy
from tests.in_time import in_time

Make = Callable[..., AbstractAsyncContextManager[Upstream]]
"""Of providers, timeouts and, for some of them, signers."""

UPSTREAMS: Final[Mapping[str, Make]] = {"aiohttp": AiohttpUpstream, "own": PoolUpstream}

POURED: Final = "own, poured"
PROXIED: Final = tuple(f"{name}, by TLS through a proxy" for name in UPSTREAMS)

pytestmark = pytest.mark.usefixtures("who_leaves_has_not_worked")

KEY: Final = "sk-secret-0123456789"
TIMEOUT_S: Final = 0.2
"""Where it has to strike."""
SPARED_S: Final = 1.0
"""Where it must not strike: a machine may stand still for most of it."""
SOON_S: Final = 10.0
"""What may pass beyond a timeout on a busy machine."""
LONG_S: Final = 60.0
ON_THE_WAY: Final = 2**25
"""Bytes that lie in buffers between a provider and who has stopped reading: a proxy has its own."""

ANSWER: Final = json.dumps({
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hello", "refusal": None},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}).encode()  # fmt: skip
EVENT: Final = (
    b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"hello"},"finish_reason":null}]}'
    b"\n\n"
)
LAST: Final = (
    b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


def asked(content: str = "hi") -> ChatRequest:
    messages = b'[{"role":"user","content":"%b"}]' % content.encode()
    return ChatRequest({"messages": msgspec.Raw(messages)}, "m", seen=Look(plain=True, said="hi"))


@dataclass
class Bench:
    """`pours`: streams are read by a sink, which is full now and then."""

    upstream: Upstream
    provider: Provided
    pours: bool = False
    asks: ChatRequest = field(default_factory=asked)

    async def send(self, timeout_s: float = LONG_S) -> str:
        answer = await self.upstream.send(CANDIDATE, self.asks, timeout_s=timeout_s)
        return answer.first.text or ""

    def stream(self, timeout_s: float = LONG_S) -> Deltas:
        return self.upstream.stream(CANDIDATE, self.asks, timeout_s=timeout_s)

    async def read(self, timeout_s: float = LONG_S) -> str:
        heard: list[str] = []
        full = False

        def take(some: Sequence[Delta]) -> bool:
            nonlocal full
            assert not full, "who is full is asked for another sink"
            heard.append("".join(choice.text for delta in some for choice in delta.choices))
            full = len(heard) % 2 == 0
            return not full

        sink: Sink | None = None
        async with aclosing(self.stream(timeout_s)) as deltas:
            with suppress(StopAsyncIteration):
                while True:
                    some = await deltas.asend(sink)
                    assert some or full, "deltas never come as an empty sequence"
                    full = False
                    if some:
                        take(some)
                        full = False
                    sink = take if self.pours else None
        return "".join(heard)

    async def get(self, way: str, timeout_s: float = LONG_S) -> str:
        return await (self.send(timeout_s) if way == "send" else self.read(timeout_s))


_HERE: Final = Deployment("m@p", "p", "m-at-p")
CANDIDATE: Final = Candidate(Model("m", (_HERE,), FREE, 9, 9, 9), _HERE, "none", 9, Nanos(0))


class Meet(Protocol):
    def __call__(self, provider: Provided, *, idle_s: float = LONG_S) -> Awaitable[Bench]: ...


@pytest.fixture(scope="session")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    """What a provider at 127.0.0.1 shows, and the file of who vouches for it."""
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context, str(path)


@pytest.fixture(params=[*UPSTREAMS, POURED, *PROXIED])
async def meet(
    request: pytest.FixtureRequest, trusted: tuple[ssl.SSLContext, str]
) -> AsyncIterator[Meet]:
    async with AsyncExitStack() as stack:

        async def make(provider: Provided, *, idle_s: float = LONG_S) -> Bench:
            proxied = request.param in PROXIED
            tls, cafile = trusted
            stack.callback((await provider.open(tls if proxied else None)).close)
            url = f"{'https' if proxied else 'http'}://127.0.0.1:{provider.port}/v1"
            at = Provider("p", "openai", url, Secret(KEY))
            if proxied:
                proxy = await stack.enter_async_context(connect_proxy(provider.port))
                at = structs.replace(at, proxy=Secret(proxy.url))
            timeouts = Timeouts(connect_s=SOON_S, idle_s=idle_s)
            pours = request.param == POURED
            client = UPSTREAMS[request.param.partition(",")[0]]
            upstream = client({"p": at}, timeouts, **({"cafile": cafile} if proxied else {}))
            return Bench(await stack.enter_async_context(upstream), provider, pours)

        yield make


def unsaid(error: BaseException) -> None:
    """What is shown to a client names neither our key nor where the provider is."""
    for secret in (KEY, "127.0.0.1", "localhost", "http:", "/v1"):
        assert secret not in str(error), f"the error says {error}"


both = pytest.mark.parametrize("way", ["send", "stream"])


# What works ----------------------------------------------------------------------------------


async def test_a_whole_answer(meet: Meet) -> None:
    bench = await meet(Provided(sized(ANSWER)))
    assert await bench.send() == "hello"


@both
@pytest.mark.parametrize("status", ["201 Created", "203 Non-Authoritative", "299 Odd"])
async def test_a_success_by_another_status(meet: Meet, status: str, way: str) -> None:
    """Some hosts say 201 to a POST: OpenAI's own SDKs take it."""
    bench = await meet(Provided(sized(ANSWER if way == "send" else EVENT + LAST, status)))
    assert await bench.get(way) == "hello"


@both
@pytest.mark.parametrize("status", ["201 Created", "202 Accepted", "204 No Content"])
@pytest.mark.parametrize("body", [b"", b'{"id": "later"}'])
async def test_a_success_that_is_none(meet: Meet, status: str, body: bytes, way: str) -> None:
    bench = await meet(Provided(sized(body, status)))
    with pytest.raises(Broken):
        await bench.get(way)


@both
async def test_a_success_with_an_error_in_it(meet: Meet, way: str) -> None:
    said = b'{"error":{"message":"overloaded","code":503}}'
    said = said if way == "send" else b"data: %b\n\n" % said
    bench = await meet(Provided(sized(said, "201 Created")))
    with pytest.raises(Overloaded):
        await bench.get(way)


@pytest.mark.parametrize("name", ["gzip", "x-gzip", "GZIP", "deflate"])
async def test_a_compressed_answer(meet: Meet, name: str) -> None:
    packed = gzip.compress(ANSWER) if name != "deflate" else zlib.compress(ANSWER)
    bench = await meet(Provided(sized(packed, "200 OK", f"content-encoding: {name}")))
    assert await bench.send() == "hello"


@both
@pytest.mark.parametrize("name", ["br", "zstd", "gzip, gzip"])
async def test_a_compression_that_nobody_asked_for(meet: Meet, name: str, way: str) -> None:
    """An error is told by its status."""
    coded = f"content-encoding: {name}"
    bench = await meet(Provided(sized(ANSWER, "200 OK", coded, "connection: close")))
    with pytest.raises(Broken):
        await bench.get(way)
    bench.provider.sends = sized(b"x", "429 Slow Down", coded, "retry-after: 7")
    with pytest.raises(Throttled) as caught:
        await bench.get(way)
    assert caught.value.retry_after == 7


@both
@pytest.mark.parametrize("large", ["one", "all"])
async def test_large_headers(meet: Meet, way: str, large: str) -> None:
    more = ["x: " + "y" * 40_000] if large == "one" else ["x: " + "y" * 1_000] * 40
    bench = await meet(Provided(sized(ANSWER if way == "send" else EVENT + LAST, "200 OK", *more)))
    assert await bench.get(way) == "hello"


async def test_an_answer_in_chunks(meet: Meet) -> None:
    pieces = b"".join(chunk(ANSWER[at : at + 7]) for at in range(0, len(ANSWER), 7))
    bench = await meet(Provided(CHUNKED + pieces + chunk(b"")))
    assert await bench.send() == "hello"


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_a_stream(meet: Meet, size: int) -> None:
    told = EVENT + EVENT + LAST
    pieces = b"".join(chunk(told[at : at + size]) for at in range(0, len(told), size))
    bench = await meet(Provided(SSE + pieces + chunk(b"")))
    assert await bench.read() == "hellohello"


async def test_a_compressed_stream(meet: Meet) -> None:
    packed = gzip.compress(EVENT + LAST)
    pieces = b"".join(chunk(packed[at : at + 9]) for at in range(0, len(packed), 9))
    head = SSE.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")
    bench = await meet(Provided(head + pieces + chunk(b"")))
    assert await bench.read() == "hello"


async def test_deltas_that_come_together_are_given_together(meet: Meet) -> None:
    proceed = asyncio.Event()

    async def more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await proceed.wait()
        writer.write(chunk(EVENT) + chunk(EVENT + LAST) + chunk(b""))
        await writer.drain()

    bench = await meet(Provided(SSE + chunk(EVENT * 3), more))
    async with aclosing(bench.stream()) as deltas:
        assert len(await anext(deltas)) == 3
        proceed.set()
        assert [len(some) async for some in deltas] == [3]


@both
async def test_what_is_sent_is_ours_alone(meet: Meet, way: str) -> None:
    cookie = "connection: close\r\nset-cookie: session=1; Path=/"
    whole = sized(ANSWER, "200 OK", cookie)
    flowing = SSE.replace(b"\r\n\r\n", f"\r\n{cookie}\r\n\r\n".encode())
    flowing += chunk(EVENT + LAST) + chunk(b"")
    bench = await meet(Provided(whole if way == "send" else flowing))
    await bench.get(way)
    await bench.get(way)
    for head, body in zip(bench.provider.heads, bench.provider.bodies, strict=True):
        first, *lines = head.decode().strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in lines)}
        assert first == "POST /v1/chat/completions HTTP/1.1"
        assert headers == {
            "host": f"127.0.0.1:{bench.provider.port}",
            "authorization": f"Bearer {KEY}",
            "content-type": "application/json",
            "accept-encoding": "identity",
            "user-agent": f"tollgate/{__version__}",
            "accept": "application/json" if way == "send" else "text/event-stream",
            "content-length": str(len(body)),
        }
        sent: dict[str, Any] = json.loads(body)
        assert (sent["model"], sent["max_completion_tokens"]) == ("m-at-p", 9)


@both
@pytest.mark.parametrize("size", [COPY_BELOW, 2**18, 1_000_000])
async def test_a_large_request_arrives_as_a_small_one_does(meet: Meet, way: str, size: int) -> None:
    whole = sized(ANSWER, "200 OK", "connection: close")
    flowing = SSE.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    flowing += chunk(EVENT + LAST) + chunk(b"")
    bench = await meet(Provided(whole if way == "send" else flowing))
    await bench.get(way)
    bench.asks = asked("x" * size)
    await bench.get(way)
    small, large = (json.loads(body) for body in bench.provider.bodies)
    assert small["messages"][0].pop("content") == "hi"
    assert large["messages"][0].pop("content") == "x" * size
    assert large == small


# What goes wrong -----------------------------------------------------------------------------


@both
async def test_nobody_listens(meet: Meet, way: str) -> None:
    bench = await meet(Provided(listens=False))
    with pytest.raises(Unreachable) as caught:
        await bench.get(way)
    unsaid(caught.value)


@both
@pytest.mark.parametrize("client", UPSTREAMS)
@pytest.mark.parametrize("host", ["a..b", "a" * 64, ".a", "a..b:8080"])
async def test_a_host_that_is_no_name(client: str, host: str, way: str) -> None:
    at = Provider("p", "openai", f"http://{host}/v1", Secret(KEY))
    async with UPSTREAMS[client]({"p": at}, Timeouts(connect_s=SOON_S)) as upstream:
        bench = Bench(upstream, Provided())
        with pytest.raises(Unreachable) as caught:
            await bench.get(way)
    unsaid(caught.value)


HALF = len(ANSWER) // 2
FAULTS: dict[str, tuple[Provided, type[UpstreamError]]] = {
    "closed without a byte": (Provided(b"", close), Reset),
    "reset without a byte": (Provided(b"", reset), Reset),
    "closed within the head": (Provided(b"HTTP/1.1 200 OK\r\ncontent-", close), Reset),
    "no HTTP": (Provided(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", close), Broken),
    "a head that is none": (Provided(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", close), Broken),
    "cut by its length": (Provided(sized(ANSWER[:HALF], length=len(ANSWER)), close), Broken),
    "cut within a chunk": (Provided(CHUNKED + chunk(ANSWER)[:HALF], close), Broken),
    "cut between chunks": (Provided(CHUNKED + chunk(EVENT), close), Broken),
    "reset in the body": (Provided(sized(ANSWER[:HALF], length=len(ANSWER)), reset), Broken),
    "an event stream without an end": (Provided(SSE + chunk(EVENT) + chunk(b"")), Broken),
    "no JSON": (Provided(sized(b"<html>It works!</html>")), Broken),
    "nothing": (Provided(sized(b"")), Broken),
    "no gzip": (Provided(sized(ANSWER, "200 OK", "content-encoding: gzip")), Broken),
    "400": (Provided(sized(b'{"error":{"message":"no"}}', "400 Bad Request")), Rejected),
    "401": (Provided(sized(b'{"error":{"message":"no"}}', "401 Unauthorized")), Misconfigured),
    "404": (Provided(sized(b"", "404 Not Found")), Misconfigured),
    "429": (Provided(sized(b"{}", "429 Too Many Requests", "Retry-After: 7")), Throttled),
    "500": (Provided(sized(b"oops", "500 Internal Server Error")), Faulty),
    "503": (Provided(sized(b"", "503 Service Unavailable")), Overloaded),
    "529": (Provided(sized(b"", "529 Overloaded")), Overloaded),
}


@both
@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_has_its_name(meet: Meet, fault: str, way: str) -> None:
    provided, expected = FAULTS[fault]
    bench = await meet(Provided(provided.sends, provided.then))
    with pytest.raises(UpstreamError) as caught:
        await bench.get(way)
    assert type(caught.value) is expected
    unsaid(caught.value)


@both
async def test_retry_after_is_told(meet: Meet, way: str) -> None:
    bench = await meet(Provided(sized(b"{}", "429 Too Many Requests", "Retry-After: 7")))
    with pytest.raises(Throttled) as caught:
        await bench.get(way)
    assert caught.value.retry_after == 7


@both
async def test_a_redirect_is_not_followed(meet: Meet, way: str) -> None:
    bench = await meet(
        Provided(sized(b"", "307 Temporary Redirect", "location: /v1/x", "connection: close"))
    )
    with pytest.raises(UpstreamError) as caught:
        await bench.get(way)
    assert len(bench.provider.heads) == 1
    unsaid(caught.value)


# Time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "sends", "timeout_s"),
    [
        ("send", b"", TIMEOUT_S),
        ("stream", b"", TIMEOUT_S),
        ("send", b"HTTP/1.1 200 OK\r\n", TIMEOUT_S),
        ("stream", b"HTTP/1.1 200 OK\r\n", TIMEOUT_S),
        ("send", sized(ANSWER[:HALF], length=len(ANSWER)), TIMEOUT_S),
        ("stream", SSE, TIMEOUT_S),
        ("stream", SSE + chunk(b": comments are no answer\n\n"), TIMEOUT_S),
        ("stream", SSE + chunk(EVENT), LONG_S),
        ("stream", sized(b"{", "500 Internal Server Error", length=9), TIMEOUT_S),
    ],
)
async def test_a_provider_that_hangs(meet: Meet, way: str, sends: bytes, timeout_s: float) -> None:
    bench = await meet(Provided(sends, hang), idle_s=TIMEOUT_S)
    began = asyncio.get_running_loop().time()
    with pytest.raises(TimedOut) as caught:
        await in_time(TIMEOUT_S + SOON_S, bench.get(way, timeout_s))
    assert asyncio.get_running_loop().time() - began >= TIMEOUT_S * 0.9
    unsaid(caught.value)
    if bench.provider.heads:  # on a very busy machine the time is over before it was asked
        await asyncio.wait_for(bench.provider.left.wait(), SOON_S)


async def test_a_stream_that_hangs_for_another_task_than_began_it(meet: Meet) -> None:
    """As a call of a race begins it, whose winner is read by who asked."""
    bench = await meet(Provided(SSE + chunk(EVENT), hang), idle_s=TIMEOUT_S)
    async with aclosing(bench.stream()) as deltas:
        assert await asyncio.create_task(anext(deltas))
        with pytest.raises(TimedOut):
            await in_time(TIMEOUT_S + SOON_S, anext(deltas))


@both
@pytest.mark.parametrize("timeout_s", [0.0, -1.0])
async def test_no_time_at_all(meet: Meet, way: str, timeout_s: float) -> None:
    bench = await meet(Provided(b"", hang))
    with pytest.raises(TimedOut):
        await asyncio.wait_for(bench.get(way, timeout_s), SOON_S)


async def test_a_flowing_answer_may_take_longer_than_its_first_piece(meet: Meet) -> None:
    """The timeout of the first deltas must not strike whoever reads the later ones."""
    proceed = asyncio.Event()

    async def more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await proceed.wait()
        writer.write(chunk(LAST) + chunk(b""))
        await writer.drain()

    bench = await meet(Provided(SSE + chunk(EVENT), more))
    async with aclosing(bench.stream(SPARED_S)) as deltas:
        await anext(deltas)
        asyncio.get_running_loop().call_later(SPARED_S * 1.25, proceed.set)
        rest = [some async for some in deltas]
    assert rest[-1][-1].choices[0].finish == "stop"


async def test_first_deltas_at_the_very_end_strike_nobody(meet: Meet) -> None:
    unended = (EVENT + LAST).rstrip()
    unended = unended.removesuffix(b"data: [DONE]").rstrip()  # an answer without its empty line
    only = unended.rsplit(b"\n\n", 1)[1].replace(b'"delta":{}', b'"delta":{"content":"hi"}')
    bench = await meet(Provided(SSE + chunk(only) + chunk(b"")))
    async with aclosing(bench.stream(SPARED_S)) as deltas:
        first = await anext(deltas)
        late = asyncio.Event()
        asyncio.get_running_loop().call_later(SPARED_S * 1.25, late.set)
        await late.wait()
        assert [some async for some in deltas] == []
    assert first[0].choices[0].text == "hi"


ROLE: Final = EVENT.replace(b"hello", b"")
"""What many providers send at once: it tells who speaks, and says nothing."""


async def test_what_merely_tells_a_role_is_no_first_piece(meet: Meet) -> None:
    bench = await meet(Provided(SSE + chunk(ROLE) + chunk(EVENT) + chunk(LAST) + chunk(b"")))
    async with aclosing(bench.stream()) as deltas:
        began = [delta.choices[0].text for delta in await anext(deltas)]
        rest = [delta for some in [each async for each in deltas] for delta in some]
    assert began[:2] == ["", "hello"]
    assert not rest or rest[-1].choices[0].finish == "stop"


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        (chunk(b'data: {"error":{"message":"overloaded","code":503}}\n\n'), UpstreamError),
        (b"", TimedOut),
    ],
    ids=["an error", "nothing"],
)
async def test_a_role_and_then(meet: Meet, then: bytes, expected: type[UpstreamError]) -> None:
    """Another can still be asked."""
    bench = await meet(Provided(SSE + chunk(ROLE) + then, hang), idle_s=LONG_S)
    with pytest.raises(expected):
        await in_time(TIMEOUT_S + SOON_S, anext(bench.stream(TIMEOUT_S if not then else LONG_S)))


@pytest.mark.parametrize(
    ("told", "charged"), [(7, Usage(7)), (10**9, None)], ids=["counted", "beyond belief"]
)
@pytest.mark.parametrize(
    ("then", "ends"),
    [
        (chunk(b'data: {"error":{"message":"overloaded","code":503}}\n\n'), hang),
        (chunk(b"data: {]\n\n"), hang),
        (chunk(b""), hang),
        (b"", close),
        (b"", hang),
    ],
    ids=["an error", "nonsense", "too early an end", "a break", "nothing"],
)
async def test_what_was_counted_before_it_failed_is_told(
    meet: Meet, then: bytes, ends: Then, told: int, charged: Usage | None
) -> None:
    """By a piece that nobody was given, as it said nothing."""
    usage = b'"usage":{"prompt_tokens":%d,"completion_tokens":0},"choices"' % told
    role = chunk(ROLE.replace(b'"choices"', usage))
    bench = await meet(Provided(SSE + role + then, ends))
    with pytest.raises(UpstreamError) as failed:
        await anext(bench.stream(LONG_S if then or ends is close else TIMEOUT_S))
    assert failed.value.usage == charged


ODD: Final = EVENT.replace(b'"created":1', b'"created":"1"')
"""Not as OpenAI writes it: one of these without text is nothing, and one of OpenAI's is relayed."""
SILENCES: Final = {
    "comments": b": still here\n\n",
    "names of nothing": b"event: ping\n\n",
    "empty events": ODD.replace(b"hello", b""),
}


@pytest.mark.parametrize("noise", SILENCES.values(), ids=SILENCES)
async def test_what_says_nothing_is_silence(meet: Meet, noise: bytes) -> None:
    """Comments that come for ever keep no flow alive."""
    paced = asyncio.Event()

    async def murmur(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while not writer.is_closing():
            writer.write(chunk(noise))
            await writer.drain()
            paced.clear()
            loop.call_later(TIMEOUT_S / 8, paced.set)
            await paced.wait()

    bench = await meet(Provided(SSE + chunk(ODD), murmur), idle_s=TIMEOUT_S)
    began = asyncio.get_running_loop().time()
    with pytest.raises(TimedOut):
        await in_time(TIMEOUT_S + SOON_S, bench.read())
    assert asyncio.get_running_loop().time() - began >= TIMEOUT_S * 0.9
    await asyncio.wait_for(bench.provider.left.wait(), SOON_S)


# After the end -------------------------------------------------------------------------------

USAGE: Final = (
    b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}\n\n'
)
UNMARKED: Final = LAST.removesuffix(b"data: [DONE]\n\n") + USAGE


async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Something more, for ever."""
    more = asyncio.Event()
    while not writer.is_closing():
        writer.write(chunk(b": and so on\n\n"))
        await writer.drain()
        more.clear()
        asyncio.get_running_loop().call_later(0.01, more.set)
        await more.wait()


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(chunk(b"data: {oops\n\n") + b"no chunk\r\n")
    await writer.drain()
    await reader.read()


def heard(then: Then) -> tuple[Then, asyncio.Event]:
    """The same, once the event is set: what was not read yet is lost with a connection."""
    ready = asyncio.Event()

    async def later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ready.wait()
        await then(reader, writer)

    return later, ready


async def read_on(bench: Bench, ready: asyncio.Event) -> str:
    """The text; ready when its end has been read."""
    text = ""
    async with aclosing(bench.stream()) as deltas:
        async for some in deltas:
            text += "".join(choice.text for delta in some for choice in delta.choices)
            if any(choice.finish for delta in some for choice in delta.choices):
                ready.set()
    return text


MARKS: Final = {"bare": LAST, "counted": UNMARKED + b"data: [DONE]\n\n"}


@pytest.mark.parametrize("then", [hang, reset, close, trickle, garbage])
@pytest.mark.parametrize("end", MARKS.values(), ids=MARKS)
async def test_what_happens_behind_the_end_is_no_fault(meet: Meet, end: bytes, then: Then) -> None:
    """The answer is whole, at once, and its connection is not used again."""
    later, ready = heard(then)
    bench = await meet(Provided(SSE + chunk(EVENT + end), later))
    for times in (1, 2):
        assert await asyncio.wait_for(read_on(bench, ready), SOON_S) == "hello"
        await asyncio.wait_for(bench.provider.left.wait(), SOON_S)
        assert len(bench.provider.heads) == times
        bench.provider.left.clear()
        ready.clear()


@pytest.mark.parametrize("then", [hang, reset, close])
async def test_an_answer_without_a_mark_is_whole_when_it_is_counted(meet: Meet, then: Then) -> None:
    later, ready = heard(then)
    bench = await meet(Provided(SSE + chunk(EVENT + UNMARKED), later), idle_s=TIMEOUT_S)
    assert await asyncio.wait_for(read_on(bench, ready), TIMEOUT_S + SOON_S) == "hello"
    await asyncio.wait_for(bench.provider.left.wait(), SOON_S)


@pytest.mark.parametrize(("then", "kind"), [(hang, TimedOut), (reset, Broken), (close, Broken)])
async def test_an_answer_that_is_not_counted_is_not_whole(
    meet: Meet, then: Then, kind: type[UpstreamError]
) -> None:
    """A reason to stop alone may be one of several choices'."""
    later, ready = heard(then)
    uncounted = LAST.removesuffix(b"data: [DONE]\n\n")
    bench = await meet(Provided(SSE + chunk(EVENT + uncounted), later), idle_s=TIMEOUT_S)
    with pytest.raises(kind):
        await read_on(bench, ready)


async def test_a_connection_is_used_again_whose_end_comes_a_packet_later(meet: Meet) -> None:
    """As most servers send it: the end of the answer, then that of the HTTP."""
    ended = asyncio.Event()

    async def later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for times in (1, 2):
            asyncio.get_running_loop().call_later(0.02, ended.set)
            await ended.wait()
            writer.write(chunk(b"\n") + chunk(b""))
            if times == 1:
                await reader.readuntil(b"\r\n\r\n")
                ended.clear()
                writer.write(SSE + chunk(EVENT + LAST))
        await reader.read()

    bench = await meet(Provided(SSE + chunk(EVENT + LAST), later))
    assert await bench.read() == "hello"
    assert await bench.read() == "hello"
    assert len(bench.provider.heads) == 1, "another connection was made"


# Leaving, and too much -----------------------------------------------------------------------


async def test_closing_a_stream_hangs_up(meet: Meet) -> None:
    bench = await meet(Provided(SSE + chunk(EVENT), hang))
    deltas = bench.stream()
    await anext(deltas)
    assert not bench.provider.left.is_set()
    await deltas.aclose()
    await asyncio.wait_for(bench.provider.left.wait(), SOON_S)


@both
async def test_a_cancelled_call_hangs_up(meet: Meet, way: str) -> None:
    asked_for = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked_for.set()
        await reader.read()

    bench = await meet(Provided(b"", wait))
    task = asyncio.create_task(bench.get(way))
    await asked_for.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(bench.provider.left.wait(), SOON_S)


@both
@pytest.mark.parametrize("declared", [True, False], ids=["by its length", "in chunks"])
async def test_an_absurd_answer(meet: Meet, way: str, declared: bool) -> None:
    """As an answer, or as the body of an error."""
    block = b" " * 2**20
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while sent <= MAX_ANSWER + ON_THE_WAY:
            writer.write(block if declared else chunk(block))
            await writer.drain()
            sent += len(block)

    status = "200 OK" if way == "send" else "500 Internal Server Error"
    head = f"HTTP/1.1 {status}\r\n".encode()
    head += (
        b"content-length: 999999999\r\n\r\n" if declared else b"transfer-encoding: chunked\r\n\r\n"
    )
    bench = await meet(Provided(head, pour))
    with pytest.raises(Broken, match="64 MiB"):
        await bench.get(way)
    await asyncio.wait_for(bench.provider.left.wait(), SOON_S)
    assert sent <= MAX_ANSWER + ON_THE_WAY
