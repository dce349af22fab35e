"""Load on gateways whose configuration changes, or which are replaced, meanwhile."""

import asyncio
import re
import signal
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from tests.service.processes import loopback, serving
from tests.service.running import KEY

HEADERS = {"authorization": f"Bearer {KEY}"}


@dataclass
class Seen:
    """What came of requests: their statuses, those that broke off, and what each cost, in USD."""

    statuses: Counter[int] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return len(self.broken) + self.statuses.total() - self.statuses[200]


async def ask(client: httpx.AsyncClient, model: str, seen: Seen, *, stream: bool) -> None:
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": "What is 17*23?"}],
        "max_tokens": 100,
        "stream": stream,
    }
    if stream:
        body["stream_options"] = {"include_usage": True}
    try:
        answer = await client.post("/v1/chat/completions", json=body, headers=HEADERS)
    except httpx.TransportError as error:
        seen.broken.append(repr(error))
        return
    seen.statuses[answer.status_code] += 1
    cost = re.search(r'"gateway": ?\{"cost_usd": ?([\d.e-]+)', answer.text)
    if answer.status_code != 200 or cost is None or (stream and "[DONE]" not in answer.text):
        seen.broken.append(answer.text[-300:])
    else:
        seen.costs.append(float(cost[1]))


@asynccontextmanager
async def clients(url: str, model: str, number: int) -> AsyncIterator[Seen]:
    """So many who ask one thing after another, streamed and not, until the end."""
    seen, over = Seen(), asyncio.Event()

    async def run(client: httpx.AsyncClient, stream: bool) -> None:
        while not over.is_set():
            await ask(client, model, seen, stream=stream)

    async with loopback(url) as client:
        running = [asyncio.create_task(run(client, at % 2 == 0)) for at in range(number)]
        try:
            yield seen
        finally:
            over.set()
            await asyncio.gather(*running)


class Balancer:
    """Gives a request to the next of those that say they are ready."""

    def __init__(self) -> None:
        self.all: dict[str, httpx.AsyncClient] = {}
        self.ready: list[str] = []
        self._turn = count()

    def next(self) -> httpx.AsyncClient:
        return self.all[self.ready[next(self._turn) % len(self.ready)]]

    async def look(self) -> None:
        every = [*self.all]
        are = await asyncio.gather(*map(self._is_ready, every))
        self.ready = [url for url, ready in zip(every, are, strict=True) if ready]

    async def _is_ready(self, url: str) -> bool:
        try:
            return (await self.all[url].get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def keep_looking(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(0.1)


@dataclass
class Fleet:
    """Gateways as processes, behind a balancer."""

    config: Path
    balancer: Balancer = field(default_factory=Balancer)
    live: list[tuple[AbstractAsyncContextManager[Any], Process]] = field(default_factory=list)

    async def begin(self) -> None:
        opened = serving(self.config)
        process, url = await opened.__aenter__()
        self.live.append((opened, process))
        self.balancer.all[url] = loopback(url)
        async with asyncio.timeout(30):
            while url not in self.balancer.ready:
                await asyncio.sleep(0.05)

    async def replace_oldest(self) -> None:
        """The new one first."""
        await self.begin()
        opened, process = self.live.pop(0)
        process.terminate()
        assert await process.wait() == 0  # to be told twice would be to end at once
        await opened.__aexit__(None, None, None)

    async def end(self) -> None:
        for opened, process in self.live:
            process.send_signal(signal.SIGINT)  # nobody is to hear of it first
            await process.wait()
            await opened.__aexit__(None, None, None)
        for client in self.balancer.all.values():
            await client.aclose()


@asynccontextmanager
async def so_many_a_second(balancer: Balancer, rate: float, model: str) -> AsyncIterator[Seen]:
    """Whatever becomes of those before. All have ended at the end."""
    seen, stop = Seen(), asyncio.Event()

    async def load() -> None:
        asked: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in count():
            if stop.is_set():
                break
            await asyncio.sleep(max(began + number / rate - loop.time(), 0))
            task = asyncio.create_task(ask(balancer.next(), model, seen, stream=number % 2 == 0))
            asked.add(task)
            task.add_done_callback(asked.discard)
        await asyncio.gather(*asked)

    loading = asyncio.create_task(load())
    try:
        yield seen
    finally:
        stop.set()
        await loading


async def roll(config: Path, replicas: int, rate: float, model: str) -> Seen:
    """Replace each of so many gateways by a new one, under so many requests a second."""
    fleet = Fleet(config)
    looking = asyncio.create_task(fleet.balancer.keep_looking())
    try:
        for _ in range(replicas):
            await fleet.begin()
        async with so_many_a_second(fleet.balancer, rate, model) as seen:
            for _ in range(replicas):
                await fleet.replace_oldest()
    finally:
        looking.cancel()
        await fleet.end()
    return seen
