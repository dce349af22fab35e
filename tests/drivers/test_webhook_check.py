"""A test runner that answers, hangs, lies, drips, or never ends."""

import asyncio
import json

import pytest

from gateway.core.catalog import Check
from gateway.core.chat import Choice, Completion
from gateway.core.checks.external import NoVerdict
from gateway.core.checks.finding import Finding
from gateway.core.snapshot import Secret
from gateway.drivers.webhook_check import WebhookChecks
from tests.drivers.scripted import SOON_S, Peer, Play, Scripted, scripted, sized
from tests.in_time import in_time

pytestmark = pytest.mark.usefixtures("who_leaves_has_not_worked")

ANSWER = Completion((Choice(text="Paris"),))
SHORT_S = 0.3
LONG_S = 60.0


def check(provider: Scripted, path: str = "/run?key=1") -> Check:
    return Check("webhook", {"url": Secret(f"http://127.0.0.1:{provider.port}{path}")})


async def ask(provider: Scripted, timeout_s: float = SOON_S) -> Finding | None:
    async with WebhookChecks(connect_s=SOON_S) as runner:
        return await runner(check(provider), ANSWER, "r1", timeout_s=timeout_s)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (b'{"pass": true}', None),
        (b'{"pass": false, "findings": ["red"]}', Finding("webhook", "red")),
    ],
)
async def test_a_verdict(told: bytes, found: Finding | None) -> None:
    async def play(peer: Peer) -> None:
        await peer.hear()
        peer.say(sized(told))

    async with scripted(play) as provider:
        assert await ask(provider) == found


@pytest.mark.parametrize(
    ("path", "target"),
    [("/run?key=1", "/run?key=1"), ("", "/"), ("?key=1", "/?key=1"), ("/a/b", "/a/b")],
)
async def test_what_is_sent(path: str, target: str) -> None:
    heard: list[bytes] = []

    async def play(peer: Peer) -> None:
        while True:
            heard.append(await peer.hear())
            peer.say(sized(b'{"pass": true}'))

    async with scripted(play) as provider, WebhookChecks(connect_s=SOON_S) as runner:
        for _ in range(2):
            await runner(check(provider, path), ANSWER, "r1", timeout_s=SOON_S)
        assert len(provider.peers) == 1, "a connection is used again"
    head, _, body = heard[0].partition(b"\r\n\r\n")
    assert head.startswith(f"POST {target} HTTP/1.1\r\n".encode())
    assert b"content-type: application/json" in head
    assert json.loads(body)["request"] == "r1"
    assert b"key" not in body


async def hangs(peer: Peer) -> None:
    await peer.hear()
    await peer.end()


async def drips(peer: Peer) -> None:
    await peer.hear()
    peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n")
    while not peer.writer.is_closing():
        peer.say(b" ")
        await asyncio.sleep(0.01)


async def drips_a_head(peer: Peer) -> None:
    await peer.hear()
    peer.say(b"HTTP/1.1 200 OK\r\nx: ")
    while not peer.writer.is_closing():
        peer.say(b"y")
        await asyncio.sleep(0.01)


async def never_ends(peer: Peer) -> None:
    await peer.hear()
    peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n")
    for _ in range(160):
        peer.say(b"x" * 65_536)
        await peer.writer.drain()


async def refuses(peer: Peer) -> None:
    await peer.hear()
    peer.reset()


async def lies(peer: Peer) -> None:
    await peer.hear()
    peer.say(b"220 smtp.example ESMTP\r\n")


async def moves(peer: Peer) -> None:
    await peer.hear()
    peer.say(b"HTTP/1.1 302 Found\r\nlocation: http://other.example/\r\ncontent-length: 0\r\n\r\n")


@pytest.mark.parametrize(
    ("play", "why", "timeout_s"),
    [
        (hangs, "timed_out", SHORT_S),
        (drips, "timed_out", SHORT_S),
        (drips_a_head, "timed_out", SHORT_S),
        (never_ends, "too_long", LONG_S),
        (refuses, "reset", LONG_S),
        (lies, "broken", LONG_S),
        (moves, "status 302", LONG_S),
    ],
)
async def test_no_verdict_and_in_time(play: Play, why: str, timeout_s: float) -> None:
    async with scripted(play) as provider:
        with pytest.raises(NoVerdict, match=why):
            await in_time(SHORT_S + SOON_S, ask(provider, timeout_s))


async def test_nobody_is_there() -> None:
    async with scripted(hangs) as provider:
        gone = check(provider)
    async with WebhookChecks(connect_s=SOON_S) as runner:
        with pytest.raises(NoVerdict, match="unreachable"):
            await runner(gone, ANSWER, "r1", timeout_s=SOON_S)
