"""Whoever reads the socket, the answer is the same: the hot path, what is not hot, and uvicorn's
own two, as any ASGI server.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import pytest
import pytest_asyncio
import uvicorn

from gateway.web.api import Front
from gateway.web.hot import hot
from gateway.web.plain import plain
from tests.service.running import Running, _Server, running
from tests.web.test_door import CONFIG
from tests.web.test_hot import BODY, PATH, STREAMED, Wire, asks, head

pytestmark = pytest.mark.asyncio(loop_scope="module")

MORE: Final = {"stream": True, "stream_options": {"include_usage": True}}
ITS_OWN: Final = ("date", "x-request-id", "x-gateway-budget-remaining-usd", "content-length")


def said(**fields: Any) -> bytes:
    return asks(json.dumps(json.loads(BODY) | fields).encode())


def chunked(body: bytes, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    begun = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    whole = b"%x%b\r\n%b\r\n" % (len(body), extension, body)
    return begun + whole + b"0\r\n" + trailer + b"\r\n"


def gets(path: bytes, method: bytes = b"GET") -> bytes:
    return head(0, path=path).replace(b"POST", method, 1)


ASKED: Final = {
    "whole": asks(),
    "stream": asks(STREAMED),
    "stream with usage": said(**MORE),
    "judged stream": said(model="auto", **MORE),
    "expect": asks(BODY, b"Expect: 100-continue"),
    "upgrade to nothing": asks(BODY, b"Upgrade: h2c"),
    "another method of a page": gets(b"/livez", b"PUT"),
    "chunked": chunked(BODY, b";a=b", b"x-t: 1\r\n"),
    "chunked, too large": chunked(BODY + b" " * 20_000),
    "failing": said(model="failing"),
    "failing stream": said(model="failing", stream=True),
    "unknown model": said(model="zzz"),
    "wrong key": asks(BODY, b"Authorization: Bearer tg-nobody"),
    "encoded": asks(BODY, b"Content-Encoding: gzip"),
    "too large": asks(BODY + b" " * 20_000),
    "no UTF-8": asks(BODY.replace(b"2+2", b"\xff")),
    "half a surrogate": asks(BODY.replace(b"2+2", rb"\ud800")),
    "beyond all bounds": asks(BODY[:-1] + b', "temperature": 1e400}'),
    "nested": asks(BODY[:-1] + b', "x": ' + b"[" * 99 + b"]" * 99 + b"}"),
    "empty": asks(b""),
    "no length": head(0).replace(b"Content-Length: 0\r\n", b""),
    "query": head(len(BODY), path=PATH + b"?a=1") + BODY,
    "another path": head(len(BODY), path=PATH + b"/") + BODY,
    "another method": gets(PATH),
    "options": gets(PATH, b"OPTIONS"),
    "models": gets(b"/v1/models"),
    "explain": head(len(BODY), path=b"/v1/route/explain") + BODY,
    "headers too large": asks(BODY, *[b"x-%d: %b" % (at, b"1" * 4_000) for at in range(8)]),
}  # fmt: skip


@asynccontextmanager
async def door(front: Front, http: Any) -> AsyncIterator[int]:
    made = uvicorn.Config(
        front, port=0, http=http, lifespan="off", ws="none", log_config=None, server_header=False,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = _Server(made)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service() -> AsyncIterator[Running]:
    async with running(CONFIG, {"NARROW": "sha256:" + "0" * 64}) as served:
        yield served


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def doors(service: Running) -> AsyncIterator[list[int]]:
    front = service.gateway.front
    async with AsyncExitStack() as stack:
        each = (hot(front.door), plain(front.door), "httptools", "h11")
        yield [await stack.enter_async_context(door(front, http)) for http in each]


async def answered(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Twice on one connection; but for what differs from one answer to the next."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    told = []
    try:
        for _ in range(2):
            writer.write(request)
            wire = Wire(reader, writer)
            status, headers, body = await wire.answer()
            if status == 100:
                status, headers, body = await wire.answer()
            for name in ITS_OWN:
                headers.pop(name, None)
            body = re.sub(rb'"(id|created|time)":("[^"]*"|\d+)', b"", body)
            told.append((status, headers, body))
    finally:
        writer.close()
    assert told[0] == told[1]
    return told[0]


@pytest.mark.parametrize("name", ASKED)
async def test_it_is_answered_the_same(service: Running, doors: list[int], name: str) -> None:
    first, *others = [await answered(port, ASKED[name]) for port in doors]
    assert others == [first] * 3
    await service.audit_ours("acme")
