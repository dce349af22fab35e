"""Between a ledger and its server: what it keeps, it delivers when the sender is long gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from gateway.drivers.redis.embedded import EmbeddedRedis


class Relay:
    def __init__(self, server: EmbeddedRedis, path: Path) -> None:
        self.url = f"unix://{quote(str(path))}"
        self._server = unquote(server.url.removeprefix("unix://"))
        self._path = path
        self._keeps = False
        self._kept: list[tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(self._one, self._path)
        try:
            yield
        finally:
            server.close()
            if self._tasks:
                await asyncio.wait(self._tasks)

    def keep_one(self) -> None:
        """What comes next is kept, and its sender hung up on."""
        self._keeps = True

    async def deliver(self) -> None:
        """And wait until it was done."""
        for answers, server, data in self._kept:
            server.write(data)
            assert await answers.read(1)
            server.close()
        assert self._kept

    async def _one(self, asked: asyncio.StreamReader, sender: asyncio.StreamWriter) -> None:
        answers, server = await asyncio.open_unix_connection(self._server)
        going = asyncio.create_task(self._back(answers, sender))
        self._tasks.add(going)
        going.add_done_callback(self._tasks.discard)
        while data := await asked.read(1 << 16):
            if self._keeps:
                self._keeps = False
                going.cancel()
                await asyncio.wait([going])
                self._kept.append((answers, server, data))
                break
            server.write(data)
        else:
            server.close()
        sender.close()

    async def _back(self, answers: asyncio.StreamReader, sender: asyncio.StreamWriter) -> None:
        while data := await answers.read(1 << 16):
            sender.write(data)
