"""Thousands of exchanges with a provider that breaks at random, and callers that leave at random:
each answer is the one that was asked for, and no connection is left over.
"""

import asyncio
import random
import re
import time
from collections import Counter
from contextlib import suppress
from typing import Final

from gateway.core.errors import UpstreamError
from gateway.drivers.upstream.http_pool import Pool
from tests.drivers.scripted import CHUNKED, Peer, chunk, pieces, pool_to, request, scripted, until

EXCHANGES: Final = 2000
AT_ONCE: Final = 40
SHORT_S: Final = 0.3
UNSIZED: Final = b"HTTP/1.1 200 OK\r\n\r\n"
GARBAGE: Final = b"HTTP/1.1 what is this\r\n\r\n"


def answer_to(asked: bytes, chance: random.Random) -> tuple[bytes, bool]:
    """An answer that repeats the question, framed somehow; whether the connection stays."""
    body = asked * chance.randint(1, 300)
    framing = chance.choice(("length", "length", "chunks", "close", "end", "late"))
    if framing == "chunks":
        size = chance.randint(20, 4000)
        parts = [chunk(body[at : at + size]) for at in range(0, len(body), size)]
        return CHUNKED + b"".join(parts) + chunk(b""), True
    if framing == "end":
        return UNSIZED + body, False
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n" % len(body)
    if framing == "close":
        return head + b"connection: close\r\n\r\n" + body, False
    early = b"HTTP/1.1 103 Early Hints\r\n\r\n" if framing == "late" else b""
    return early + head + b"\r\n" + body, True


class Unreliable:
    """Answers in pieces, and now and then does something else."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.heard: Counter[int] = Counter()
        """Requests, by the connection they came on."""

    async def __call__(self, peer: Peer) -> None:
        stays = True
        while stays:
            asked = (await peer.hear()).split(b"\r\n\r\n")[1]
            self.heard[peer.number] += 1
            sent, stays = answer_to(asked, self.chance)
            ends = self.chance.choice(("", "", "", "", "close", "reset", "garbage", "hang", "more"))
            if ends == "close" and sent.startswith(UNSIZED):
                ends = ""  # that would be its end
            if ends in ("close", "reset", "garbage", "hang"):
                sent = sent[: self.chance.randint(0, len(sent))]
            if ends in ("garbage", "more"):
                sent += GARBAGE
            await self.say(peer, sent)
            if ends == "hang":
                await peer.end()
            elif ends == "reset":
                peer.reset()
            stays = stays and ends in ("", "more")

    async def say(self, peer: Peer, sent: bytes) -> None:
        while sent:
            some = self.chance.randint(1, 9000)
            peer.say(sent[:some])
            sent = sent[some:]
            await asyncio.sleep(0)


async def exchange(pool: Pool, number: int, chance: random.Random) -> str:
    """One call; what became of it."""
    asked = b"question %d;" % number
    how = chance.choice(("whole", "whole", "flow", "flow", "left", "cancelled"))
    deadline = time.monotonic() + SHORT_S
    try:
        if how == "cancelled":
            async with asyncio.timeout(chance.random() * 0.01):
                how = "whole"
                body = await one(pool, asked, deadline, how)
        else:
            body = await one(pool, asked, deadline, how)
    except UpstreamError as error:
        return error.kind
    except TimeoutError:
        return "cancelled"
    assert set(re.findall(rb"question \d+;", body)) <= {asked}, f"{number}: another's answer"
    if b"H" in body:
        return "garbled"  # within the length that was told, that is no fault of HTTP
    assert len(body) % len(asked) == 0, f"{number}: a part of an answer"
    return how


async def one(pool: Pool, asked: bytes, deadline: float, how: str) -> bytes:
    answer = await pool.ask(request(asked), deadline, whole=how == "whole")
    if how == "left":
        pool.release(answer)
        return b""
    try:
        body = b"".join(await pieces(answer, SHORT_S))
    except BaseException:
        answer.close()
        raise
    pool.release(answer)
    return body


async def test_nothing_is_left_over() -> None:
    chance = random.Random(1)  # noqa: S311
    provider, numbers = Unreliable(chance), iter(range(EXCHANGES))
    outcomes: dict[str, int] = {}
    async with scripted(provider) as listening, pool_to(listening.port) as pool:

        async def caller() -> None:
            for number in numbers:
                became = await exchange(pool, number, chance)
                outcomes[became] = outcomes.get(became, 0) + 1

        await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
        assert sum(outcomes.values()) == EXCHANGES
        expected = {"whole", "flow", "left", "cancelled", "garbled", "reset", "broken", "timed_out"}
        assert outcomes.keys() == expected, outcomes
        assert outcomes["whole"] + outcomes["flow"] > EXCHANGES / 4, outcomes
        await until(lambda: pool.open == len(pool._idle))
        assert provider.heard.total() > EXCHANGES / 2
        again = provider.heard.total() - len(provider.heard)
        assert again > EXCHANGES / 20, "next to no connection was used twice"
        with suppress(UpstreamError):
            await exchange(pool, EXCHANGES, chance)
        await pool.aclose()
        assert pool.open == 0
        await listening.all_left()
    assert len(asyncio.all_tasks()) == 1
