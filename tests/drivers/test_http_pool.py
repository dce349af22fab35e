"""Connections to one origin: which is used when, and what becomes of it, on a scripted provider."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable

import pytest

from gateway.core.errors import Broken, Reset, TimedOut, Unreachable, UpstreamError
from gateway.drivers.upstream import http_failures
from tests.drivers.scripted import (
    CHUNKED,
    SOON_S,
    Peer,
    chunk,
    flow,
    pieces,
    pool_to,
    request,
    scripted,
    sized,
    until,
    whole,
)  # fmt: skip
from tests.in_time import in_time

pytestmark = pytest.mark.usefixtures("who_leaves_has_not_worked")

LATE_S = 2.0
"""What a deadline may be late on a busy machine."""


async def told(peer: Peer) -> None:
    """Every request is answered with the number of its connection."""
    while True:
        await peer.hear()
        peer.say(sized(b"%d" % peer.number))


async def once(peer: Peer) -> None:
    """The first request is answered; what comes then is up to whoever calls this."""
    await peer.hear()
    peer.say(sized(b"%d" % peer.number))


# Which connection is used


async def test_one_after_the_other_use_one_connection() -> None:
    async with scripted(told) as provider, pool_to(provider.port) as pool:
        assert [await whole(pool) for _ in range(20)] == [b"0"] * 20
        assert pool.open == 1


async def test_the_last_used_is_used_first() -> None:
    async with scripted(told) as provider, pool_to(provider.port) as pool:
        deadline = time.monotonic() + SOON_S
        first, second, third = [await pool.ask(request(), deadline, whole=True) for _ in range(3)]
        for answer in (first, third, second):
            answer.take()
            pool.release(answer)
        assert [await whole(pool) for _ in range(3)] == [b"1"] * 3
        assert pool.open == 3


async def test_a_warm_pool_has_a_connection_for_the_first() -> None:
    async with scripted(told) as provider, pool_to(provider.port) as pool:
        await pool.warm()
        assert pool.open == 1
        await pool.warm()
        assert [await whole(pool) for _ in range(3)] == [b"0"] * 3
        await pool.warm()
        assert len(provider.peers) == 1


async def test_a_warm_connection_that_was_closed_is_replaced_unseen() -> None:
    async def play(peer: Peer) -> None:
        if peer.number == 0:
            await crosses(peer)
            peer.writer.close()
        else:
            await told(peer)

    async with scripted(play) as provider, pool_to(provider.port) as pool:
        await pool.warm()
        assert await whole(pool) == b"1"


async def test_a_warm_connection_is_closed_when_nobody_asks() -> None:
    async with scripted(Peer.end) as provider, pool_to(provider.port, idle_s=0.05) as pool:
        await pool.warm()
        assert pool.open == 1
        await until(lambda: pool.open == 0)
        await provider.all_left()


async def test_who_cannot_be_warmed_is_asked_all_the_same() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    async with pool_to(port) as pool:
        await pool.warm()
        assert pool.open == 0
        with pytest.raises(Unreachable):
            await whole(pool)


async def test_a_request_is_one_write() -> None:
    heard: list[bytes] = []

    async def play(peer: Peer) -> None:
        heard.append(await peer.reader.read(65536))
        peer.say(sized(b"ok"))

    async with scripted(play) as provider, pool_to(provider.port) as pool:
        await whole(pool, body=b"x" * 1000)
    assert heard == [request(b"x" * 1000)]


# Stale connections


async def crosses(peer: Peer) -> None:
    await peer.reader.readexactly(1)  # the next request crosses with our leaving


@pytest.mark.parametrize(
    ("waits", "how", "worked_s"),
    [
        (crosses, lambda peer: peer.writer.close(), SOON_S),
        (crosses, Peer.reset, SOON_S),
        # However busy it was: it closes an idle connection late, and has not read what we asked.
        (Peer.leave_unread, lambda peer: peer.writer.transport.abort(), 0.0),
        (Peer.leave_unread, Peer.reset, 0.0),
    ],
    ids=["end", "reset", "late end, unread", "late reset, unread"],
)
async def test_a_stale_connection_is_replaced_unseen(
    waits: Callable[[Peer], Awaitable[None]],
    how: Callable[[Peer], object],
    worked_s: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_failures, "WORKED_S", worked_s)

    async def play(peer: Peer) -> None:
        if peer.number == 0:
            await once(peer)
            await waits(peer)
            how(peer)
        else:
            await told(peer)

    async with scripted(play) as provider, pool_to(provider.port) as pool:
        assert [await whole(pool) for _ in range(3)] == [b"0", b"1", b"1"]
        assert len(provider.peers) == 2


@pytest.mark.parametrize("used", [False, True], ids=["new", "used before"])
async def test_who_leaves_after_working_on_an_answer_is_not_asked_again(
    used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a call may be billed: it is not repeated unseen, and costs its prompt."""
    monkeypatch.setattr(http_failures, "WORKED_S", 0.0)

    async def play(peer: Peer) -> None:
        if used:
            await once(peer)
        await peer.hear()

    async with scripted(play) as provider, pool_to(provider.port) as pool:
        if used:
            assert await whole(pool) == b"0"
        with pytest.raises(Broken) as failed:
            await whole(pool)
        assert failed.value.bills == "counted"
        assert len(provider.peers) == 1


async def test_it_is_replaced_only_once() -> None:
    async def play(peer: Peer) -> None:
        if peer.number == 0:
            await once(peer)
        await peer.hear()

    async with scripted(play) as provider, pool_to(provider.port) as pool:
        assert await whole(pool) == b"0"
        with pytest.raises(Reset):
            await whole(pool)
        assert len(provider.peers) == 2


async def test_a_fresh_connection_is_not_replaced() -> None:
    async with scripted(Peer.hear) as provider, pool_to(provider.port) as pool:
        with pytest.raises(Reset):
            await whole(pool)
        assert len(provider.peers) == 1


@pytest.mark.parametrize(
    ("sent", "expected"),
    [(b"H", Reset), (b"HTTP/1.1 200 OK\r\n", Reset), (CHUNKED, Broken), (b"what?", Broken)],
)
async def test_one_that_said_anything_is_not_replaced(
    sent: bytes, expected: type[UpstreamError]
) -> None:
    async def play(peer: Peer) -> None:
        await once(peer)
        await peer.hear()
        peer.say(sent)

    async with scripted(play) as provider, pool_to(provider.port) as pool:
        await whole(pool)
        with pytest.raises(expected):
            await whole(pool)
        assert len(provider.peers) == 1


async def test_one_that_says_nothing_in_time_is_not_replaced() -> None:
    async def play(peer: Peer) -> None:
        await once(peer)
        await peer.end()

    async with scripted(play) as provider, pool_to(provider.port) as pool:
        await whole(pool)
        with pytest.raises(TimedOut):
            await whole(pool, 0.05)
        assert len(provider.peers) == 1


# What is not used again


async def closed_by_length(peer: Peer) -> None:
    await peer.hear()
    peer.say(sized(b"%d" % peer.number, "connection: close"))
    await peer.end()


async def old_http(peer: Peer) -> None:
    await peer.hear()
    peer.say(sized(b"%d" % peer.number, status="HTTP/1.0 200 OK"))
    await peer.end()


async def surplus(peer: Peer) -> None:
    await peer.hear()
    peer.say(sized(b"%d" % peer.number) + sized(b"more"))
    await peer.end()


async def surplus_of_no_sense(peer: Peer) -> None:
    await peer.hear()
    peer.say(sized(b"%d" % peer.number) + b"and so on")
    await peer.end()


async def surplus_of_half_a_head(peer: Peer) -> None:
    await peer.hear()
    peer.say(sized(b"%d" % peer.number) + b"HTTP/1.1 200 OK\r\nx: y\r\n")
    await peer.end()


async def half_closed(peer: Peer) -> None:
    await once(peer)
    peer.writer.write_eof()
    await peer.end()


async def closing(peer: Peer) -> None:
    await once(peer)


Script = Callable[[Peer], Awaitable[object]]


@pytest.mark.parametrize(
    "play",
    [
        closed_by_length,
        old_http,
        surplus,
        surplus_of_no_sense,
        surplus_of_half_a_head,
        half_closed,
        closing,
    ],
)
async def test_what_is_not_used_again(play: Script) -> None:
    async with scripted(play) as provider, pool_to(provider.port) as pool:
        for number in range(3):
            assert await whole(pool) == b"%d" % number
            await until(lambda: pool.open == 0)
        assert len(provider.peers) == 3


async def test_what_is_said_to_an_idle_connection_closes_it() -> None:
    proceed = asyncio.Event()

    async def talkative(peer: Peer) -> None:
        await once(peer)
        await proceed.wait()
        peer.say(sized(b"unasked", status="HTTP/1.1 408 Request Timeout"))
        await peer.end()

    async with scripted(talkative) as provider, pool_to(provider.port) as pool:
        assert await whole(pool) == b"0"
        proceed.set()
        await until(lambda: pool.open == 0)
        assert await whole(pool) == b"1"


async def test_old_http_may_keep_the_connection() -> None:
    async def play(peer: Peer) -> None:
        while True:
            await peer.hear()
            peer.say(sized(b"%d" % peer.number, "connection: keep-alive", status="HTTP/1.0 200 OK"))

    async with scripted(play) as provider, pool_to(provider.port) as pool:
        assert [await whole(pool) for _ in range(3)] == [b"0"] * 3


async def test_one_that_did_not_want_the_whole_request() -> None:
    """What it has not read yet would come before the next request."""

    async def play(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.say(sized(b"%d" % peer.number, status="HTTP/1.1 413 Content Too Large"))
        await peer.writer.drain()
        await gone.wait()

    gone = asyncio.Event()
    async with scripted(play) as provider, pool_to(provider.port) as pool:
        assert await whole(pool, body=b"x" * 30_000_000) == b"0"
        await until(lambda: pool.open == 0)
        gone.set()


async def test_an_idle_connection_is_closed_after_a_while() -> None:
    async with scripted(told) as provider, pool_to(provider.port, idle_s=0.1) as pool:
        deadline = time.monotonic() + SOON_S
        answers = [await pool.ask(request(), deadline, whole=True) for _ in range(3)]
        for answer in answers:
            answer.take()
            pool.release(answer)
        began = time.monotonic()
        assert pool.open == 3
        await in_time(LATE_S, until(lambda: pool.open == 0))
        assert time.monotonic() - began > 0.08
        assert not pool._idle
        await provider.all_left()
        assert await whole(pool) == b"3"


# Connecting


async def test_nobody_listens() -> None:
    async with scripted(told) as provider:
        pass
    async with pool_to(provider.port) as pool:
        with pytest.raises(Unreachable):
            await whole(pool)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 70 + ".example", "-"])
async def test_a_name_that_is_none(host: str) -> None:
    async with pool_to(9, host=host) as pool:
        with pytest.raises(Unreachable):
            await whole(pool)


async def test_every_address_of_a_name_is_tried() -> None:
    """Its first is ::1 on most machines, where nobody listens."""
    async with scripted(told) as provider, pool_to(provider.port, host="localhost") as pool:
        assert await whole(pool) == b"0"


async def test_no_time_to_connect() -> None:
    async with pool_to(9) as pool:
        with pytest.raises(TimedOut):
            await whole(pool, 0.0)


# Leaving


SAYS: dict[str, bytes] = {
    "before a byte": b"",
    "in the head": b"HTTP/1.1 200 OK\r\n",
    "in the body": CHUNKED + chunk(b"some"),
}


@pytest.mark.parametrize("flows", [False, True], ids=["whole", "flowing"])
@pytest.mark.parametrize("at", SAYS)
@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
async def test_a_cancelled_call_closes_its_connection(at: str, flows: bool, used: bool) -> None:
    said = asyncio.Event()

    async def play(peer: Peer) -> None:
        if used and peer.number == 0:
            await once(peer)
        if not used or peer.number == 0:
            await peer.hear()
            peer.say(SAYS[at])
            said.set()
            await peer.end()
        await told(peer)

    async with scripted(play) as provider, pool_to(provider.port) as pool:
        if used:
            await whole(pool)
        call = asyncio.create_task(flow(pool) if flows else whole(pool))
        await said.wait()
        await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: pool.open == 0)
        await asyncio.wait_for(provider.peers[0].left.wait(), SOON_S)


async def test_a_flow_that_is_left_closes_its_connection() -> None:
    async def play(peer: Peer) -> None:
        await peer.hear()
        peer.say(CHUNKED + chunk(b"some"))
        await peer.end()

    async with scripted(play) as provider, pool_to(provider.port) as pool:
        answer = await pool.ask(request(), time.monotonic() + SOON_S, whole=False)
        assert answer.take() == b"some"
        pool.release(answer)  # before its end
        await until(lambda: pool.open == 0)


async def test_closing_tells_whoever_waits() -> None:
    async def play(peer: Peer) -> None:
        await peer.hear()
        if peer.number == 0:
            peer.say(sized(b"ok"))
        elif peer.number == 1:
            peer.say(CHUNKED + chunk(b"some"))
        await peer.end()

    async with scripted(play) as provider, pool_to(provider.port) as pool:
        deadline = time.monotonic() + SOON_S
        rests = await pool.ask(request(), deadline, whole=True)
        flows = await pool.ask(request(), deadline, whole=False)
        waits = asyncio.create_task(whole(pool))
        await until(lambda: pool.open == 3)
        rests.take()
        pool.release(rests)
        await pool.aclose()
        assert pool.open == 0
        assert flows.take() == b"some"
        with pytest.raises(Broken):
            await pieces(flows)
        with pytest.raises(Reset):
            await waits
        with pytest.raises(Unreachable):
            await whole(pool)


async def test_closing_ends_what_is_still_connecting() -> None:
    async with scripted(told) as provider, pool_to(provider.port) as pool:
        call = asyncio.create_task(whole(pool))
        await asyncio.sleep(0)
        await pool.aclose()
        with pytest.raises(UpstreamError):
            await call
        await until(lambda: pool.open == 0)
