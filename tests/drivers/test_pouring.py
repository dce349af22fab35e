"""A flowing answer that is poured: a sink that fails, one that is full, and when it is let go."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import pytest

from gateway.core.chat import Delta
from gateway.core.errors import Broken
from gateway.core.flow import Deltas
from gateway.core.snapshot import Provider, Secret, Timeouts
from gateway.drivers.upstream import http_failures
from gateway.drivers.upstream.pool_upstream import PoolUpstream
from tests.contracts.provided import SSE, Provided, chunk
from tests.contracts.test_upstream import CANDIDATE, EVENT, KEY, LAST, asked
from tests.in_time import in_time

SOON_S = 20.0
LONG_S = 60.0


@dataclass
class Poured:
    """A stream whose first event has come; its provider says more when it is told to."""

    deltas: Deltas
    says: "asyncio.Queue[bytes]"
    provider: Provided
    upstream: PoolUpstream


@asynccontextmanager
async def flowing() -> AsyncIterator[Poured]:
    says: asyncio.Queue[bytes] = asyncio.Queue()

    async def more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await says.get():
            writer.write(piece)
        await reader.read()

    provider = Provided(SSE + chunk(EVENT), more)
    server = await provider.open()
    at = Provider("p", "openai", f"http://127.0.0.1:{provider.port}/v1", Secret(KEY))
    async with (
        PoolUpstream({"p": at}, Timeouts(connect_s=LONG_S, idle_s=LONG_S)) as upstream,
        aclosing(upstream.stream(CANDIDATE, asked(), timeout_s=LONG_S)) as deltas,
    ):
        assert len(await anext(deltas)) == 1
        yield Poured(deltas, says, provider, upstream)
    says.put_nowait(b"")
    await in_time(SOON_S, provider.left.wait())
    server.close()


async def test_what_a_sink_raises_is_raised_to_who_sent_it() -> None:
    async with flowing() as poured:

        def fails(_: Sequence[Delta]) -> bool:
            raise ZeroDivisionError

        poured.says.put_nowait(chunk(EVENT))
        with pytest.raises(ZeroDivisionError):
            await in_time(SOON_S, poured.deltas.asend(fails))
        poured.says.put_nowait(b"")
        await in_time(SOON_S, poured.provider.left.wait())
        assert poured.upstream.open == 0, "an answer that nobody reads is hung up"


async def test_who_is_full_gets_nothing_until_it_asks() -> None:
    heard: list[str] = []

    def full(some: Sequence[Delta]) -> bool:
        heard.extend(choice.text for delta in some for choice in delta.choices)
        return False

    async with flowing() as poured:
        poured.says.put_nowait(chunk(EVENT))
        assert await in_time(SOON_S, poured.deltas.asend(full)) == ()
        assert heard == ["hello"]
        poured.says.put_nowait(chunk(EVENT) + chunk(LAST) + chunk(b""))
        while poured.says.qsize():
            await asyncio.sleep(0)
        assert heard == ["hello"]
        rest = [each async for some in poured.deltas for each in some]
        assert [choice.text for delta in rest for choice in delta.choices] == ["hello", ""]
        assert heard == ["hello"], "who asks without a sink is given what comes"


async def test_closing_it_while_it_pours_hangs_up() -> None:
    heard = asyncio.Event()

    def hears(_: Sequence[Delta]) -> bool:
        heard.set()
        return True

    async with flowing() as poured:
        pouring = asyncio.ensure_future(poured.deltas.asend(hears))
        poured.says.put_nowait(chunk(EVENT))
        await in_time(SOON_S, heard.wait())
        pouring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pouring
        assert poured.upstream.open == 0


@pytest.mark.parametrize("way", ["poured", "asked for"])
async def test_an_answer_whose_events_are_all_alike_ends_somewhere(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_failures, "MAX_ANSWER", 20 * len(EVENT))
    heard = 1  # the first event

    async with flowing() as poured:

        def more(_: Sequence[Delta]) -> bool:
            nonlocal heard
            heard += 1
            poured.says.put_nowait(chunk(EVENT))
            return True

        async def listen() -> None:
            while True:
                more(await poured.deltas.asend(more if way == "poured" else None))

        poured.says.put_nowait(chunk(EVENT))
        with pytest.raises(Broken, match="64 MiB"):
            await in_time(SOON_S, listen())
    assert heard == 20, "each came alone, and the next would be beyond"
