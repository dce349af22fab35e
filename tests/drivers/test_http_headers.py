"""The headers of an answer, found in the bytes that came: the head's own, and no others."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

import pytest

from gateway.drivers.upstream.http_headers import Headers
from tests.drivers.scripted import CHUNKED, SOON_S, Peer, chunk, pool_to, request, scripted, sized

GZIP: Final = "Content-Encoding: gzip"
EARLY: Final = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\nContent-Encoding: br\r\n\r\n"

HEADS: Final[dict[str, tuple[bytes, dict[str, str]]]] = {
    "one header": (sized(b""), {"content-length": "0"}),
    "in capitals": (sized(b"", GZIP.upper()), {"content-encoding": "GZIP", "content-length": "0"}),
    "one without a value": (sized(b"", "x-a:"), {"x-a": "", "content-length": "0"}),
    "one that comes twice": (sized(b"", "x-a: 1", "X-A: 2"), {"x-a": "2", "content-length": "0"}),
    "a body that reads like one": (
        sized(GZIP.encode() + b"\r\n\r\n" + GZIP.encode()),
        {"content-length": "48"},
    ),
    "trailers that do": (
        CHUNKED + chunk(b"hello") + b"0\r\n" + GZIP.encode() + b"\r\n\r\n",
        {"transfer-encoding": "chunked"},
    ),
    "behind hints": (
        EARLY + sized(b"", GZIP),
        {"content-encoding": "gzip", "content-length": "0"},
    ),
    "behind hints that say more": (EARLY + sized(b""), {"content-length": "0"}),
    "behind an empty line": (
        b"\r\n\r\n" + sized(b"", GZIP),
        {"content-encoding": "gzip", "content-length": "0"},
    ),
    "before an answer to no question": (sized(b"") + sized(b"", GZIP), {"content-length": "0"}),
    "of an error": (
        sized(b"{}", "Retry-After: 7", status="HTTP/1.1 429 Slow"),
        {"retry-after": "7", "content-length": "2"},
    ),
    "of old HTTP": (
        sized(b"", GZIP, status="HTTP/1.0 200 OK"),
        {"content-encoding": "gzip", "content-length": "0"},
    ),
}
ASKED: Final = ("content-encoding", "content-length", "retry-after", "link", "x-a", "x-b")


def told(headers: Headers) -> Mapping[str, str]:
    """What is found of each name, once by one and once all together."""
    found = {name: headers[name] for name in ASKED if name in headers}
    assert found == {name: value for name, value in headers.items() if name in ASKED}
    return dict(headers)


@pytest.mark.parametrize("name", HEADS)
def test_what_came_tells_the_headers(name: str) -> None:
    came, expected = HEADS[name]
    assert told(Headers(came)) == expected


@pytest.mark.parametrize("cut", [1, 7, 1000])
@pytest.mark.parametrize("name", HEADS)
async def test_however_it_came(name: str, cut: int) -> None:
    came, expected = HEADS[name]

    async def play(peer: Peer) -> None:
        await peer.hear()
        for at in range(0, len(came), cut):
            peer.say(came[at : at + cut])
            await asyncio.sleep(0)

    async with scripted(play) as provider, pool_to(provider.port) as pool:
        answer = await pool.ask(request(), time.monotonic() + SOON_S, whole=True)
        assert told(answer.headers) == expected
        answer.close()


async def test_who_is_at_rest_keeps_nothing_of_an_answer() -> None:
    async def play(peer: Peer) -> None:
        await peer.hear()
        peer.say(sized(b"secret"))
        await peer.end()

    async with scripted(play) as provider, pool_to(provider.port) as pool:
        answer = await pool.ask(request(), time.monotonic() + SOON_S, whole=True)
        assert (answer.headers.raw, answer.take()) == (sized(b"secret"), b"secret")
        pool.release(answer)
        assert (answer.headers.raw, answer.open) == (b"", True)


def test_nothing_came() -> None:
    assert told(Headers()) == {}
