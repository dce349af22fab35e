"""Requests by chance, odd and hostile ones among them: the hot door answers as the plain one does.

All of a connection comes in one read, and all that is asked in it is answered, or refused, in its
order.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from random import Random
from typing import Any, Final, TypeAlias

import pytest
import pytest_asyncio

from gateway.web.hot import hot
from gateway.web.plain import plain
from tests.service.running import KEY, Running, running
from tests.web.test_door import CONFIG
from tests.web.test_hot import BODY, PATH, STREAMED
from tests.web.test_plain import Line

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONNECTIONS: Final = 400
ENDS: Final = b"GET /livez HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n" + b"\0" * 100
"""What ends each connection: the zeros, where a body has taken the rest for its own."""
CHUNKED: Final = b"Transfer-Encoding: chunked"
MINE: Final = b"Authorization: Bearer %b" % KEY.encode()
OTHERS: Final = b"Authorization: Bearer tg-nobody"

METHODS: Final = (*[b"POST"] * 60, b"GET", b"HEAD", b"OPTIONS", b"PUT", b"FOO", b"post", b"CONNECT")
TARGETS: Final = (
    *[PATH] * 60, PATH + b"?a=1", PATH + b"/", PATH + b"#f", PATH + b"%00", PATH + b"\x80",
    b"/" + PATH, b"/v1/chat%2Fcompletions", b"/v1//chat/completions", b"http://x" + PATH,
    b"https://u:p@x:9" + PATH, b"http://x", b"*", b"", b"x:443", b"/%zz", b"/livez", b"/v1/models",
    b"/v1/models/%c3%a9", b"/v1/route/explain",
)  # fmt: skip
VERSIONS: Final = (
    *[b" HTTP/1.1"] * 60, b" HTTP/1.0", b" HTTP/2.0", b" HTTP/1.2", b" http/1.1", b"  HTTP/1.1",
    b"",
)  # fmt: skip
KEYS: Final = (
    *[(MINE,)] * 60, (), (MINE, OTHERS), (OTHERS, MINE), (MINE + b"  ",), (b"Authorization:",),
    (MINE.replace(b"Bearer", b"bEARER"),), (MINE.replace(b": ", b":\t"),), (OTHERS + b"\xff",),
)  # fmt: skip
MORE: Final = (
    b"Content-Type: text/\xff", b"Content-Encoding: gzip", b"Content-Encoding: identity",
    b"x-gateway-tags: a=\xc3\xa9", b"x-gateway-tags: a=1\r\nx-gateway-tags: b=2",
    b"x-gateway-max-cost-usd: \xff", b"x-gateway-\xe9: 1", b"x-gateway-checks: nothing",
    b"Connection: close", b"Connection: Keep-Alive, CLOSE", b"Connection: keep-alive",
    b"Connection: upgrade\r\nUpgrade: h2c", b"Upgrade: x", b"Keep-Alive: 5", b"TE: trailers",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
    b"Expect: 100-continue", b"Expect: nothing", b"Origin: a\r\nAccess-Control-Request-Method: b",
    b"X: a\0b", b"X: a\r\n b", b"X : a", b"X", b": x", b"X\x80: a", b"X: a\rb", b"X: a\nY: b",
    b"X: " + b"y" * 5_000, b"X: " + b"y" * 40_000, b"Content-Length:", b"Transfer-Encoding: x",
)  # fmt: skip
BODIES: Final = (
    *[BODY] * 6, STREAMED, STREAMED, b"{", b"", b"\xff", b"[]", BODY + b" " * 20_000,
    BODY.replace(b"right", b"zzz"), BODY.replace(b"right", b"failing"),
)  # fmt: skip


def sized(chance: Random, body: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """By its length; now and then by one that is none."""
    size = len(body)
    lengths = [*[b"%d"] * 60, b"  %d  ", b"000%d", b"+%d", b"-%d", b"0x%x", b"%d_0", b"%d,0"]
    told = chance.choice(lengths) % chance.choice(
        [*[size] * 30, size + 3, max(size - 3, 0), 10**30]
    )
    line = b"Content-Length: %b" % told
    return chance.choice([*[(line,)] * 40, (line, line), (line, CHUNKED), ()]), body


def chunked(chance: Random, body: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """In one chunk; now and then in one that is none."""
    size = b"%x" % len(body)
    begins = chance.choice([*[b"%b"] * 40, b"%b;a=b", b"000%b", b"0x%b", b"-%b", b"1", b"%b "])
    trailer = chance.choice([*[b""] * 4, b"x: y\r\n", OTHERS + b"\r\n", b"x\r\n"])
    first = b"%b\r\n%b\r\n" % (begins.replace(b"%b", size), body) if body else b""
    lines = chance.choice(
        [*[(CHUNKED,)] * 30, (CHUNKED, CHUNKED), (b"Transfer-Encoding: a, chunked",)]
    )
    whole = first + b"0\r\n" + trailer + b"\r\n"
    return lines, chance.choice([*[whole] * 30, first + b"0", whole.replace(b"\r\n", b"\n")])


def request(chance: Random) -> bytes:
    framed = chance.choice((sized, sized, chunked))
    lines, body = framed(chance, chance.choice(BODIES))
    more = chance.sample(MORE, chance.choice((*[0] * 9, 1, 1, 2)))
    heads = [b"Host: here", *chance.choice(KEYS), *more, *lines]
    if chance.random() < 0.2:
        chance.shuffle(heads)
    ends = chance.choice((*[b"\r\n"] * 90, b"\n"))
    first = chance.choice(METHODS) + b" " + chance.choice(TARGETS) + chance.choice(VERSIONS)
    return first + b"\r\n" + ends.join(heads) + b"\r\n\r\n" + body


def connection(chance: Random) -> bytes:
    requests = [request(chance) for _ in range(chance.choice((1, 1, 2, 3)))]
    between = chance.choice((*[b""] * 12, b"\r\n", b"GARBAGE\r\n\r\n", b"\0"))
    return between.join(requests) + between + ENDS


Answer: TypeAlias = tuple[bytes, list[bytes], bytes]
ITS_OWN: Final = (
    b"date:",
    b"x-request-id:",
    b"x-gateway-budget-remaining-usd:",
    b"content-length:",
)


def answers(heard: bytes) -> list[Answer]:
    """Status, headers in order and body of each; but for what differs from one to the next."""
    found = []
    for each in re.split(rb"HTTP/1\.1 (?=\d{3} )", heard)[1:]:
        head, _, body = each.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        body = re.sub(rb'"(id|created|time)":("[^"]*"|\d+)', b"", body)
        if b"transfer-encoding: chunked" in lines:  # cut as the loop has it
            body = b"".join(re.split(rb"(?:\r\n)?[\da-f]+\r\n", body))
        kept = sorted(line for line in lines if not line.startswith(ITS_OWN))
        found.append((status, kept, body))
    return found


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service() -> AsyncIterator[Running]:
    async with running(CONFIG, {"NARROW": "sha256:" + "0" * 64}) as served:
        yield served


async def all_of(service: Running, door: Any, sent: bytes) -> list[Answer]:
    line = Line(service, door=door)
    line.protocol.data_received(sent)
    async with asyncio.timeout(30):
        while not (line.closed or line.ended):
            await asyncio.sleep(0.001)
    await line.hangs_up()
    return answers(line.heard)


async def test_the_same_bytes_are_answered_the_same(service: Running) -> None:
    chance, statuses = Random(1), Counter[bytes]()  # noqa: S311
    for _ in range(CONNECTIONS):
        sent = connection(chance)
        hot_answers = await all_of(service, hot, sent)
        assert hot_answers == await all_of(service, plain, sent), sent[:3_000]
        statuses.update(status for status, _, _ in hot_answers)
    assert statuses[b"200 OK"] > CONNECTIONS / 4, statuses
    assert len(statuses) > 7, statuses
    await service.audit_ours("acme")
    assert service.gateway.front.door.in_flight.total == 0
