"""A client of a provider, alone in its process, asked by lines of JSON what to do.

    python -m benchmarks.http2_client CLIENT PORT CAFILE PACKAGES

PACKAGES is the folder that holds other people's. The first line that it prints says which version
it is; each line of JSON that it reads is answered by one: see `Task` and `Told`.
"""

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Protocol

import uvloop

from benchmarks.http2 import CLIENTS, Task, Told
from benchmarks.http2_lean import ByHand, ByMachine, OneConnection
from benchmarks.systems import NEEDLE, request_body

HOST: Final = "localhost"
PATH: Final = "/v1/chat/completions"
HEADERS: Final = {
    "accept": "application/json",
    "accept-encoding": "identity",
    "content-type": "application/json",
    "user-agent": "bench",
    "authorization": "Bearer tg-bench-key-000000000000000000000000",
}
PATIENCE_S: Final = 30.0


class Client(Protocol):
    """Status and body of one answer: read at once, or piece by piece."""

    async def whole(self, body: bytes) -> tuple[int, bytes]: ...

    async def flow(self, body: bytes) -> tuple[int, bytes]: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True)
class Place:
    port: int
    cafile: str

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}{PATH}"

    def context(self, *protocols: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.cafile)
        context.set_alpn_protocols(list(protocols))
        return context


class Ours:
    """The gateway's own pool, as it is asked by its driver."""

    def __init__(self, place: Place, context: ssl.SSLContext) -> None:
        from gateway.drivers.upstream.deadline_wheel import DeadlineWheel  # noqa: PLC0415
        from gateway.drivers.upstream.http_pool import Pool  # noqa: PLC0415
        from gateway.drivers.upstream.http_request import Origin, PostBuilder  # noqa: PLC0415
        from gateway.wire.dialect import HttpCall  # noqa: PLC0415

        self._wheel = DeadlineWheel()
        self._pool = Pool(HOST, place.port, context, self._wheel, connect_s=PATIENCE_S)
        posts = PostBuilder(Origin(f"https://{HOST}:{place.port}"), HEADERS)
        self._post: Callable[[bytes], bytes] = lambda body: posts.build(HttpCall(PATH, {}, body))
        only = posts.build(HttpCall(PATH, {"connection": "close"}, request_body("m", stream=False)))
        self._only = only

    async def whole(self, body: bytes) -> tuple[int, bytes]:
        until = time.monotonic() + PATIENCE_S
        answer = await self._pool.ask(self._post(body), until, whole=True)
        status, taken = answer.status, answer.take()
        self._pool.release(answer)
        return status, taken

    async def flow(self, body: bytes) -> tuple[int, bytes]:
        until = time.monotonic() + PATIENCE_S
        answer = await self._pool.ask(self._post(body), until, whole=False)
        taken = []
        while True:
            if part := answer.take():
                taken.append(part)
            elif answer.state == "whole":
                break
            else:
                await answer.wait(until)
        status = answer.status
        self._pool.release(answer)
        return status, b"".join(taken)

    async def get_acquainted(self) -> None:
        """The second connection remembers the session of the first, for all with this context."""
        for _ in range(2):
            until = time.monotonic() + PATIENCE_S
            self._pool.release(await self._pool.ask(self._only, until, whole=True))

    async def aclose(self) -> None:
        await self._pool.aclose()
        self._wheel.close()


class Httpx:
    def __init__(self, place: Place, context: ssl.SSLContext, *, http2: bool) -> None:
        import httpx  # noqa: PLC0415

        self._client = httpx.AsyncClient(
            http1=not http2,
            http2=http2,
            verify=context,
            trust_env=False,
            timeout=PATIENCE_S,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            headers=HEADERS,
        )
        self._url = httpx.URL(place.url)

    async def whole(self, body: bytes) -> tuple[int, bytes]:
        answer = await self._client.post(self._url, content=body)
        return answer.status_code, answer.content

    async def flow(self, body: bytes) -> tuple[int, bytes]:
        async with self._client.stream("POST", self._url, content=body) as answer:
            return answer.status_code, b"".join([part async for part in answer.aiter_raw()])

    async def aclose(self) -> None:
        await self._client.aclose()


class Pyreqwest:
    """Rust's reqwest: hyper, h2 and rustls, on a thread of its own."""

    def __init__(self, place: Place, *, http2: bool) -> None:
        import pyreqwest.client as pyreqwest  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

        builder = (
            pyreqwest.ClientBuilder()
            .add_root_certificate_pem(Path(place.cafile).read_bytes())
            .no_proxy()
            .timeout(timedelta(seconds=PATIENCE_S))
            .default_headers(HEADERS)
        )
        self._client: Any = (
            builder.http2_prior_knowledge() if http2 else builder.http1_only()
        ).build()
        self._url = place.url

    async def whole(self, body: bytes) -> tuple[int, bytes]:
        answer = await self._client.post(self._url).body_bytes(body).build().send()
        return answer.status, bytes(await answer.bytes())

    async def flow(self, body: bytes) -> tuple[int, bytes]:
        asked = self._client.post(self._url).body_bytes(body).streamed_read_buffer_limit(0)
        taken = []
        async with asked.build_streamed() as answer:
            while (part := await answer.body_reader.read_chunk()) is not None:
                taken.append(bytes(part))
            return answer.status, b"".join(taken)

    async def aclose(self) -> None:
        await self._client.close()


class Lean:
    """One connection, opened by the first who asks; the others wait for it."""

    def __init__(self, made: Callable[[], OneConnection], port: int, tls: ssl.SSLContext) -> None:
        self._made = made
        self._port, self._tls = port, tls
        self._opening: asyncio.Task[OneConnection] | None = None
        self._open: OneConnection | None = None

    async def whole(self, body: bytes) -> tuple[int, bytes]:
        return await (self._open or await self._connection()).whole(body)

    async def flow(self, body: bytes) -> tuple[int, bytes]:
        return await (self._open or await self._connection()).flow(body)

    async def aclose(self) -> None:
        if self._open is not None:
            await self._open.aclose()

    async def _connection(self) -> OneConnection:
        if self._opening is None:
            self._opening = asyncio.create_task(self._connect())
        return await self._opening

    async def _connect(self) -> OneConnection:
        loop = asyncio.get_running_loop()
        _, self._open = await loop.create_connection(self._made, HOST, self._port, ssl=self._tls)
        return self._open


def head(place: Place) -> dict[str, str]:
    return {
        ":method": "POST",
        ":scheme": "https",
        ":authority": f"{HOST}:{place.port}",
        ":path": PATH,
        **HEADERS,
    }


def client_of(name: str, place: Place, contexts: Mapping[str, ssl.SSLContext]) -> Client:
    """It has no connection yet."""
    one, two = contexts["http/1.1"], contexts["h2"]
    match name:
        case "ours" | "ours-resumed":
            return Ours(place, contexts["ours"] if name == "ours-resumed" else one)
        case "by-hand":
            return Lean(lambda: ByHand(head(place)), place.port, two)
        case "h2" | "jh2":
            return Lean(lambda: ByMachine(name, head(place)), place.port, two)
        case "httpx-1":
            return Httpx(place, one, http2=False)
        case "httpx-2":
            return Httpx(place, two, http2=True)
        case "pyreqwest-1" | "pyreqwest-2":
            return Pyreqwest(place, http2=name == "pyreqwest-2")
        case _:
            raise ValueError(name)


async def carry_out(client: Client, task: Task) -> Told:
    body = request_body("bench", stream=task.stream)
    ask = client.flow if task.stream else client.whole
    left, wrong, events = iter(range(task.total)), 0, 0

    async def worker() -> None:
        nonlocal wrong, events
        for _ in left:
            status, answer = await ask(body)
            wrong += status != 200 or NEEDLE not in answer
            events += answer.count(b"data: ")

    used, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(task.width)))
    return Told(time.process_time() - used, time.perf_counter() - began, wrong, events)


async def serve(name: str, place: Place) -> None:
    contexts = {"http/1.1": place.context("http/1.1"), "h2": place.context("h2")}
    if name == "ours-resumed":
        from gateway.drivers.upstream.http_pool import tls_context  # noqa: PLC0415

        contexts["ours"] = tls_context(place.cafile)
        acquainted = Ours(place, contexts["ours"])
        await acquainted.get_acquainted()
        await acquainted.aclose()
    print(version(CLIENTS[name].package) if CLIENTS[name].package else "", flush=True)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    kept = client_of(name, place, contexts)
    while line := await reader.readline():
        task = Task(**json.loads(line))
        client = client_of(name, place, contexts) if task.cold else kept
        print(json.dumps(asdict(await carry_out(client, task))), flush=True)
        if task.cold:
            await client.aclose()
    await kept.aclose()


def main() -> None:
    name, port, cafile, packages = sys.argv[1:]
    if CLIENTS[name].package:
        sys.path.insert(0, packages)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(name, Place(int(port), cafile)))


if __name__ == "__main__":
    main()
