"""What was never sent costs nothing: each way of calling providers says where that was so."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.core.errors import TimedOut, is_unsent
from gateway.core.snapshot import Provider, Secret, Timeouts
from tests.contracts.provided import Provided, hang
from tests.contracts.test_upstream import (
    KEY,
    LONG_S,
    SOON_S,
    TIMEOUT_S,
    UPSTREAMS,
    Bench,
    both,
    unsaid,
)

clients = pytest.mark.parametrize("client", UPSTREAMS)


@asynccontextmanager
async def calling(client: str, provider: Provided, scheme: str) -> AsyncIterator[Bench]:
    """By `https` at who speaks none, so that no connection is ever made."""
    server = await provider.open()
    try:
        at = Provider("p", "openai", f"{scheme}://127.0.0.1:{provider.port}/v1", Secret(KEY))
        async with UPSTREAMS[client]({"p": at}, Timeouts(connect_s=LONG_S)) as upstream:
            yield Bench(upstream, provider)
    finally:
        server.close()


def silent(seen: Callable[[], None]) -> Provided:
    """Listens, and never says a word, not even what TLS wants to hear."""

    class Silent(Provided):
        async def __call__(
            self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            seen()
            await hang(reader, writer)
            writer.close()
            self.left.set()

    return Silent()


@both
@clients
async def test_out_of_time_while_it_connects(client: str, way: str) -> None:
    connected = asyncio.Event()
    provider = silent(connected.set)
    async with calling(client, provider, "https") as bench:
        with pytest.raises(TimedOut) as caught:
            await asyncio.wait_for(bench.get(way, TIMEOUT_S), TIMEOUT_S + SOON_S)
        await asyncio.wait_for(provider.left.wait(), SOON_S)
    assert (caught.value.kind, caught.value.bills) == ("timed_out", "nothing")
    unsaid(caught.value)


@both
@clients
@pytest.mark.parametrize("timeout_s", [0.0, -1.0])
async def test_no_time_at_all(client: str, way: str, timeout_s: float) -> None:
    async with calling(client, Provided(b"", hang), "http") as bench:
        with pytest.raises(TimedOut) as caught:
            await asyncio.wait_for(bench.get(way, timeout_s), SOON_S)
    assert (caught.value.kind, caught.value.bills) == ("timed_out", "nothing")


@both
@clients
async def test_out_of_time_while_it_answers(client: str, way: str) -> None:
    async with calling(client, Provided(b"", hang), "http") as bench:
        with pytest.raises(TimedOut) as caught:
            await asyncio.wait_for(bench.get(way, SOON_S / 10), SOON_S * 2)
        await asyncio.wait_for(bench.provider.left.wait(), SOON_S)
    assert (caught.value.kind, caught.value.bills) == ("timed_out", "prompt")


@both
@clients
@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_cancelled(client: str, way: str, scheme: str) -> None:
    """While it connects, or while it waits for an answer: the reason is what it was."""
    arrived = asyncio.Event()

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await hang(reader, writer)

    provider = silent(arrived.set) if scheme == "https" else Provided(b"", answers)
    async with calling(client, provider, scheme) as bench:
        task = asyncio.ensure_future(bench.get(way))
        await asyncio.wait_for(arrived.wait(), SOON_S)
        task.cancel("a reason")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        await asyncio.wait_for(provider.left.wait(), SOON_S)
    assert caught.value.args == ("a reason",)
    assert is_unsent(caught.value) == (scheme == "https")
