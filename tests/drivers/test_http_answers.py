"""How answers are framed, compressed, cut and overdone, and what is made of each."""

import asyncio
import gzip
import time
import zlib
from typing import Final

import pytest

from gateway.core.errors import Broken, Reset, TimedOut, UpstreamError
from gateway.drivers.upstream.http_coding import CONTENT_ENCODING, decoder_for
from gateway.drivers.upstream.http_connection import HIGH_WATER, MAX_HEAD
from gateway.drivers.upstream.http_failures import MAX_ANSWER
from gateway.drivers.upstream.http_headers import Headers
from tests.drivers.scripted import (
    CHUNKED,
    SOON_S,
    Peer,
    Play,
    chunk,
    flow,
    pieces,
    pool_to,
    request,
    scripted,
    sized,
    until,
    whole,
)
from tests.in_time import in_time

pytestmark = pytest.mark.usefixtures("who_leaves_has_not_worked")

OK: Final = b"HTTP/1.1 200 OK\r\n"
UNSIZED: Final = OK + b"content-type: x\r\n\r\n"

ways = pytest.mark.parametrize("way", ["whole", "flowing"])


def says(data: bytes, cut: int = 0) -> Play:
    """Answers once, in pieces of `cut` bytes, and closes."""

    async def play(peer: Peer) -> None:
        await peer.hear()
        for at in range(0, len(data), cut or len(data)):
            peer.say(data[at : at + (cut or len(data))])
            if cut:
                await asyncio.sleep(0)

    return play


async def got(data: bytes, way: str, cut: int = 0) -> bytes:
    async with scripted(says(data, cut)) as provider, pool_to(provider.port) as pool:
        if way == "whole":
            return await whole(pool)
        answer, found = await flow(pool)
        pool.release(answer)
        return b"".join(found)


GOOD: Final[dict[str, tuple[bytes, bytes]]] = {
    "by its length": (sized(b"hello"), b"hello"),
    "empty": (sized(b""), b""),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "in chunks": (CHUNKED + chunk(b"hel") + chunk(b"lo") + chunk(b""), b"hello"),
    "in chunks with a trailer": (CHUNKED + chunk(b"hello") + b"0\r\nx: y\r\n\r\n", b"hello"),
    "until the end": (UNSIZED + b"hello", b"hello"),
    "until the end, nothing": (UNSIZED, b""),
    "old": (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
    "after 100 and 103": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
        + sized(b"hello"),
        b"hello",
    ),
    "and an empty line": (sized(b"hello") + b"\r\n", b"hello"),
    "a header without a value": (sized(b"hello", "x-nothing:"), b"hello"),
}


@ways
@pytest.mark.parametrize("cut", [0, 1])
@pytest.mark.parametrize("name", GOOD)
async def test_what_is_an_answer(name: str, way: str, cut: int) -> None:
    sent, expected = GOOD[name]
    assert await got(sent, way, cut) == expected


BAD: Final[dict[str, tuple[bytes, type[UpstreamError]]]] = {
    "nothing": (b"", Reset),
    "half a head": (OK, Reset),
    "only a head": (sized(b"")[:-5] + b": 5\r\n\r\n", Broken),
    "100 alone": (b"HTTP/1.1 100 Continue\r\n\r\n", Reset),
    "too short": (sized(b"hello")[:-1], Broken),
    "a cut chunk": (CHUNKED + chunk(b"hello")[:-3], Broken),
    "no last chunk": (CHUNKED + chunk(b"hello"), Broken),
    "no end after the last chunk": (CHUNKED + chunk(b"hello") + b"0\r\n", Broken),
    "two lengths": (OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab", Broken),
    "length and chunks": (CHUNKED.replace(b"\r\n", b"\r\ncontent-length: 9\r\n", 1), Broken),
    "a length that is none": (OK + b"content-length: -1\r\n\r\n", Broken),
    "a chunk's length that is none": (CHUNKED + b"zz\r\n", Broken),
    "another protocol": (OK.replace(b"200", b"101") + b"upgrade: x\r\n\r\n", Broken),
    "no status": (b"HTTP/1.1 000 None\r\ncontent-length: 1\r\n\r\nx", Broken),
    "no status, then one": (
        (
            b"HTTP/1.1 099 None\r\nretry-after: 5\r\ncontent-length: 1\r\n\r\nx"
            b"HTTP/1.1 429 Slow\r\ncontent-length: 0\r\n\r\n"
        ),
        Broken,
    ),
    "another protocol, unsaid": (b"HTTP/1.1 101 Switching\r\n\r\n", Broken),
    "HTTP/2": (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", Broken),
    "HTTP/0.9": (b"hello", Broken),
    "a name with a space": (OK + b"a b: c\r\ncontent-length: 0\r\n\r\n", Broken),
    "a NUL in a header": (OK + b"a: \x00\r\ncontent-length: 0\r\n\r\n", Broken),
}  # fmt: skip


@ways
@pytest.mark.parametrize("cut", [0, 1])
@pytest.mark.parametrize("name", BAD)
async def test_what_is_none(name: str, way: str, cut: int) -> None:
    sent, expected = BAD[name]
    with pytest.raises(UpstreamError) as caught:
        await got(sent, way, cut)
    assert type(caught.value) is expected


@ways
@pytest.mark.parametrize("then", [b"zz\r\n", b"9\r\nab", b""])
async def test_of_an_error_all_need_not_come(way: str, then: bytes) -> None:
    data = CHUNKED.replace(b"200 OK", b"429 Slow Down") + chunk(b"hello") + then
    assert (await got(data, way)).startswith(b"hello")


async def test_a_reset_is_no_end_of_an_answer() -> None:
    async def play(peer: Peer) -> None:
        await peer.hear()
        peer.say(UNSIZED + b"hel")
        await peer.writer.drain()
        await read.wait()
        peer.reset()

    read = asyncio.Event()
    async with scripted(play) as provider, pool_to(provider.port) as pool:
        answer = await pool.ask(request(), time.monotonic() + SOON_S, whole=False)
        assert answer.take() == b"hel"
        read.set()
        with pytest.raises(Broken):
            await pieces(answer)


async def test_what_came_before_a_break_is_given_first() -> None:
    sent = CHUNKED + chunk(b"one") + chunk(b"two") + b"garbage"
    async with scripted(says(sent)) as provider, pool_to(provider.port) as pool:
        answer = await pool.ask(request(), time.monotonic() + SOON_S, whole=False)
        assert answer.take() == b"onetwo"
        with pytest.raises(Broken):
            await pieces(answer)


async def test_headers_and_status_are_told_and_trailers_are_not() -> None:
    sent = (
        b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nX-A: 1\r\nx-a: \xe92\r\n"
        b"transfer-encoding: chunked\r\n\r\n0\r\nretry-after: 9\r\n\r\n"
    )
    async with scripted(says(sent)) as provider, pool_to(provider.port) as pool:
        answer = await pool.ask(request(), time.monotonic() + SOON_S, whole=True)
        assert answer.status == 429
        told = {"retry-after": "7", "x-a": "é2", "transfer-encoding": "chunked"}
        assert dict(answer.headers) == told
        assert answer.headers.get("x-b", "none") == "none"
        assert "x-€" not in answer.headers
        answer.close()


async def test_a_head_has_nothing_of_the_one_before() -> None:
    async def play(peer: Peer) -> None:
        await peer.hear()
        peer.say(CHUNKED[:-2] + b"x-first: 1\r\n\r\n0\r\nx-trailer: 2\r\n\r\n")
        await peer.hear()
        peer.say(sized(b"", "x-second: 3"))

    async with scripted(play) as provider, pool_to(provider.port) as pool:
        told: list[dict[str, str]] = []
        for _ in range(2):
            answer = await pool.ask(request(), time.monotonic() + SOON_S, whole=True)
            told.append(dict(answer.headers))
            pool.release(answer)
        assert told[0].keys() == {"transfer-encoding", "x-first"}
        assert told[1].keys() == {"content-length", "x-second"}
        assert len(provider.peers) == 1


# Too much


def endless(head: bytes, block: bytes) -> Play:
    """Pours until the client has left."""

    async def play(peer: Peer) -> None:
        await peer.hear()
        peer.say(head)
        while True:
            peer.say(block)
            await peer.writer.drain()

    return play


@ways
@pytest.mark.parametrize(
    ("head", "block"),
    [
        (OK + b"x: ", b"y" * 1000),
        (OK, b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 30),
        (OK + b"x: " + b"y" * 2 * MAX_HEAD + b"\r\n\r\n", b" " * 1000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 ", b"O" * 1000),
        (CHUNKED + chunk(b"x") + b"0\r\nx: ", b"y" * 1000),
        (CHUNKED + chunk(b"x") + b"1;", b"y" * 1000),
    ],
    ids=["a header", "headers", "a head at once", "100", "a reason", "a trailer", "an extension"],
)
async def test_what_is_no_body_is_bounded(head: bytes, block: bytes, way: str) -> None:
    async with scripted(endless(head, block)) as provider, pool_to(provider.port) as pool:
        with pytest.raises(Broken):
            await (whole(pool) if way == "whole" else flow(pool))
        await until(lambda: pool.open == 0)


@ways
async def test_a_head_that_comes_with_its_body_is_bounded(way: str) -> None:
    assert await got(sized(b"hello", "x: " + "y" * (MAX_HEAD - 100)), way) == b"hello"
    with pytest.raises(Broken):
        await got(sized(b"hello", "x: " + "y" * MAX_HEAD), way)


async def test_lines_between_the_chunks_count_from_one_part_of_the_body_to_the_next() -> None:
    line = b"1;" + b"e" * 1000 + b"\r\n"

    async def play(peer: Peer) -> None:
        await peer.hear()
        peer.say(CHUNKED)
        for _ in range(2 * MAX_HEAD // len(line)):
            peer.say(line)
            await asyncio.sleep(0.001)
            peer.say(b"x\r\n")
            await asyncio.sleep(0.001)
        peer.say(chunk(b""))

    async with scripted(play) as provider, pool_to(provider.port) as pool:
        answer, found = await flow(pool)
        pool.release(answer)
    assert b"".join(found) == b"x" * (2 * MAX_HEAD // len(line))


async def test_a_flow_that_is_read_whole_after_all() -> None:
    sent = sized(b"x" * 20 * HIGH_WATER, status="HTTP/1.1 500 Oops")
    async with scripted(says(sent)) as provider, pool_to(provider.port) as pool:
        answer = await pool.ask(request(), time.monotonic() + SOON_S, whole=False)
        await until(lambda: answer._paused)
        await answer.collect(time.monotonic() + SOON_S)
        assert (answer.status, len(answer.take())) == (500, 20 * HIGH_WATER)
        pool.release(answer)


async def test_a_flow_may_be_longer_than_an_answer_read_whole() -> None:
    block, times = b"x" * 2**20, MAX_ANSWER // 2**20 + 2

    async def play(peer: Peer) -> None:
        await peer.hear()
        peer.say(CHUNKED)
        for _ in range(times):
            peer.say(chunk(block))
            await peer.writer.drain()
        peer.say(chunk(b""))

    async with scripted(play) as provider, pool_to(provider.port) as pool:
        answer, found = await flow(pool, 60)
        pool.release(answer)
        assert sum(map(len, found)) == times * len(block)
        with pytest.raises(Broken, match="64 MiB"):
            await whole(pool, 60)


async def test_a_slow_reader_holds_the_provider_back() -> None:
    block, times = bytes(range(256)) * 256, 512
    sent = 0

    async def play(peer: Peer) -> None:
        nonlocal sent
        await peer.hear()
        peer.say(CHUNKED)
        for _ in range(times):
            peer.say(chunk(block))
            await peer.writer.drain()
            sent += len(block)
        peer.say(chunk(b""))

    async with scripted(play) as provider, pool_to(provider.port) as pool:
        answer = await pool.ask(request(), time.monotonic() + SOON_S, whole=False)
        await until(lambda: answer._paused)
        before = -1
        while before != sent:  # until nothing moves any more
            before = sent
            await asyncio.sleep(0.1)
        assert sent < times * len(block) / 2, "the provider was not held back"
        first = answer.take()
        assert HIGH_WATER < len(first) < HIGH_WATER + 2**20
        assert first + b"".join(await pieces(answer)) == block * times
        pool.release(answer)
        assert await whole(pool) == block * times, "the connection reads on"
        assert len(provider.peers) == 2  # our script ends after one answer


async def test_who_reads_slowly_is_no_slow_provider() -> None:
    """A deadline counts while we wait, not while nobody asks for more."""

    async def play(peer: Peer) -> None:
        await peer.hear()
        peer.say(CHUNKED + chunk(b"one"))
        await peer.writer.drain()
        await proceed.wait()
        peer.say(chunk(b"two") + chunk(b""))

    proceed = asyncio.Event()
    async with scripted(play) as provider, pool_to(provider.port) as pool:
        answer = await pool.ask(request(), time.monotonic() + SOON_S, whole=False)
        assert answer.take() == b"one"
        answer.deadline = time.monotonic() + 0.05
        pool._wheel.watch(answer)
        await asyncio.sleep(0.2)
        assert answer.deadline > time.monotonic() + 0.05, "the deadline was over"
        proceed.set()
        assert await pieces(answer) == [b"two"]


async def test_waiting_between_pieces_is_bounded() -> None:
    async def play(peer: Peer) -> None:
        await peer.hear()
        peer.say(CHUNKED + chunk(b"one"))
        await peer.end()

    async with scripted(play) as provider, pool_to(provider.port) as pool:
        answer = await pool.ask(request(), time.monotonic() + SOON_S, whole=False)
        assert answer.take() == b"one"
        began = time.monotonic()
        with pytest.raises(TimedOut):
            await in_time(0.1 + SOON_S / 10, pieces(answer, 0.1))
        assert time.monotonic() - began >= 0.1
        await until(lambda: pool.open == 0)


async def test_what_came_together_is_taken_together() -> None:
    sent = CHUNKED + b"".join(chunk(b"%d" % number) for number in range(5)) + chunk(b"")
    async with scripted(says(sent)) as provider, pool_to(provider.port) as pool:
        answer, found = await flow(pool)
        pool.release(answer)
    assert found == [b"01234"]


# Compressed


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def said(coding: str) -> Headers:
    return Headers(b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\n\r\n" % coding.encode())


TEXT: Final = b"the same words, " * 500


@pytest.mark.parametrize("cut", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(TEXT, mtime=0)),
        (" X-GZIP", gzip.compress(TEXT, mtime=0)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("identity", TEXT),
        ("", TEXT),
        ("gzip", b""),
    ],
)
def test_compressed_answers(coding: str, packed: bytes, cut: int) -> None:
    reader = decoder_for(said(coding).find(CONTENT_ENCODING))
    found = [reader.feed(packed[at : at + cut]) for at in range(0, len(packed), cut)]
    reader.finish()
    assert b"".join(found) == (TEXT if packed else b"")


@pytest.mark.parametrize(
    ("coding", "packed", "why"),
    [
        ("br", b"x", "not asked for"),
        ("gzip, gzip", b"x", "not asked for"),
        ("gzip", TEXT, "broke off"),
        ("deflate", TEXT, "broke off"),
        ("gzip", gzip.compress(TEXT, mtime=0)[:-1], "broke off"),
        ("gzip", gzip.compress(TEXT, mtime=0) + b"more", "broke off"),
        ("gzip", gzip.compress(bytes(MAX_ANSWER + 1), 1, mtime=0), "64 MiB"),
    ],
    ids=["br", "twice", "no gzip", "no deflate", "cut", "surplus", "a bomb"],
)
def test_compressed_answers_that_are_none(coding: str, packed: bytes, why: str) -> None:
    with pytest.raises(Broken, match=why):  # noqa: PT012 - any of the three may tell
        reader = decoder_for(said(coding).find(CONTENT_ENCODING))
        reader.feed(packed)
        reader.finish()
