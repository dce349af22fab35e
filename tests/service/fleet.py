"""Gateways in processes of their own, any of which may be killed, and clients that ask them."""

import asyncio
import os
import random
import re
import signal
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from gateway.core.money import PER_USD
from tests.service.processes import loopback, until

CLIENTS = 12


class Fleet:
    """Gateways in processes of their own, any of which may be killed."""

    def __init__(self, forking: asyncio.subprocess.Process) -> None:
        self._forking = forking
        self.live: dict[int, str] = {}
        """Addresses by pid."""

    async def start(self) -> None:
        assert self._forking.stdin
        assert self._forking.stdout
        self._forking.stdin.write(b"\n")
        told = (await self._forking.stdout.readline()).split()
        self.live[int(told[0])] = told[1].decode()

    def kill(self, pid: int) -> None:
        del self.live[pid]
        os.kill(pid, signal.SIGKILL)


@asynccontextmanager
async def fleet_of(config: Path, replicas: int) -> AsyncIterator[Fleet]:
    forking = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.service.forking", str(config), stdin=PIPE, stdout=PIPE
    )
    fleet = Fleet(forking)
    try:
        for _ in range(replicas):
            await fleet.start()
        yield fleet
        for pid in fleet.live:
            os.kill(pid, signal.SIGTERM)
        await until("told to stop", 5, *fleet.live)
        fleet.live.clear()
    finally:
        for pid in [*fleet.live]:
            fleet.kill(pid)
        await forking.communicate(b"")


@dataclass
class Load:
    """Clients that ask one thing after another, of any gateway that lives."""

    fleet: Fleet
    chance: random.Random
    models: Sequence[str]
    keys: Sequence[str]
    users: Iterator[int] = field(default_factory=count)
    statuses: Counter[int] = field(default_factory=Counter)
    told: dict[str, int] = field(default_factory=dict)
    """What an answer that came whole said it cost, by user."""
    broken: int = 0
    over: bool = False

    async def run(self, client: httpx.AsyncClient) -> None:
        while not self.over:
            url = self.chance.choice([*self.fleet.live.values()])
            user = f"u{next(self.users):06d}"
            key = self.chance.choice(self.keys)
            asked: dict[str, Any] = {
                "model": self.chance.choice(self.models),
                "user": user,
                "messages": [{"role": "user", "content": "What is 17*23?"}],
                "max_tokens": 100,
                "stream": self.chance.random() < 0.5,
            }
            if asked["stream"]:
                asked["stream_options"] = {"include_usage": True}
            try:
                response = await client.post(
                    f"{url}/v1/chat/completions",
                    json=asked,
                    headers={"authorization": f"Bearer {key}"},
                )
            except (httpx.TransportError, AttributeError) as error:
                # anyio asks a connection whose server was killed as it was made for its socket.
                if isinstance(error, AttributeError) and "getpeername" not in str(error):
                    raise
                self.broken += 1
                continue
            self.statuses[response.status_code] += 1
            cost = re.search(rb'"gateway": ?\{"cost_usd":([\d.e-]+)', response.content)
            if cost:
                self.told[user] = int(Decimal(cost[1].decode()) * PER_USD)


@asynccontextmanager
async def under_load(
    fleet: Fleet, chance: random.Random, models: Sequence[str], keys: Sequence[str]
) -> AsyncIterator[Load]:
    load = Load(fleet, chance, models, keys)
    async with loopback("http://127.0.0.1") as client:
        tasks = [asyncio.create_task(load.run(client)) for _ in range(CLIENTS)]
        try:
            yield load
        finally:
            load.over = True  # each has its last answer: who hangs up pays for what was on its way
            await asyncio.gather(*tasks)
