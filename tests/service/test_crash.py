"""50 times kill -9 to one of three gateways on one ledger, at random moments under load; then the
books must balance to the nano-dollar.

To know what each request must have cost, every request comes as a `user` of its own. So the ledger
has an account for each, expired holds name that account, and the simulator, which is sent the user
too, can bill by it. A request makes its calls one after the other, so at most its last hold can be
left behind. The held amount tells which price class that call was of, and no request calls two
models of one class. So exactly one bill is right for each request:

    spent = the simulator's bill, without the call of a hold that expired, plus what that hold held.
"""

import asyncio
import os
import random
import re
import signal
import sys
from asyncio.subprocess import PIPE
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import redis
from starlette.types import Message, Receive, Scope, Send

from gateway.core.money import PER_USD
from gateway.drivers.embedded_redis import EmbeddedRedis
from gateway.simulator import Bill, BilledCall, Simulator, serve_simulator
from tests.service.processes import loopback, until

pytest_plugins = ("tests.redis_server",)

KILLS = 50
REPLICAS = 3
CLIENTS = 12
HOLD_TTL_S = 4
TIGHT_CAP = 4_000_000

CONFIG = """
redis: {{url: '{redis}', timeout_ms: 2000, hold_ttl_s: {ttl}}}
timeouts: {{answer_s: 3}}
providers:
  one: {{dialect: openai, base_url: '{simulator}/openai/v1', api_key: x}}
  two: {{dialect: anthropic, base_url: '{simulator}/anthropic', api_key: x}}
models:
  right: {{deployments: [{{provider: one, upstream: cheap-right}}], {cheap}}}
  slow: {{deployments: [{{provider: two, upstream: cheap-slow}}], {cheap}}}
  unsure: {{deployments: [{{provider: one, upstream: cheap-unsure}}], {cheap}}}
  breaking: {{deployments: [{{provider: two, upstream: cheap-resetmid}}], {cheap}}}
  failing: {{deployments: [{{provider: one, upstream: cheap-error500}}], {cheap}}}
  better: {{deployments: [{{provider: two, upstream: mid-unsure}}], {mid}}}
  helper: {{deployments: [{{provider: two, upstream: mid-right}}], {mid}}}
  best: {{deployments: [{{provider: one, upstream: smart-right}}], {smart}}}
tiers:
  first: {{models: [right]}}
  waiting: {{models: [slow]}}
  doubtful: {{models: [unsure]}}
  broken: {{models: [breaking]}}
  failing-first: {{models: [failing, helper]}}
  second: {{models: [better]}}
  third: {{models: [best]}}
routes:
  plain: {{tiers: [first], timeout_s: 3}}
  waits: {{tiers: [waiting], timeout_s: 3}}
  climbs: {{tiers: [doubtful, second, third], checks: [confidence], timeout_s: 3}}
  breaks: {{tiers: [broken], timeout_s: 3}}
  aside: {{tiers: [failing-first], timeout_s: 3}}
tenants:
  {wide}:
    keys: [{{id: k, hash: 'sha256:{wide_hash}'}}]
    budgets: [{{usd: 100, per: total}}]
    user_budgets: [{{usd: 1, per: total}}]
  {tight}:
    keys: [{{id: k, hash: 'sha256:{tight_hash}'}}]
    budgets: [{{usd: {tight_usd}, per: total}}]
    user_budgets: [{{usd: 1, per: total}}]
"""
SIZES = "context: 8000, max_output: 100"
ROUTES = ("plain", "waits", "climbs", "breaks", "aside")
WIDE, TIGHT = "tg-wide-0123456789abcdefghijklmnopqrstuvwxyz", "tg-tight-0123456789abcdefghijklmno"

_WHO: ContextVar[str] = ContextVar("who")


class NamedBill(Bill):
    """Also by the user that each call was made for."""

    def __init__(self) -> None:
        super().__init__()
        self.by_user: dict[str, list[BilledCall]] = defaultdict(list)

    def record(self, call: BilledCall) -> None:
        super().record(call)
        self.by_user[_WHO.get()].append(call)


class NamingSimulator(Simulator):
    """Reads the user of each request as it comes in."""

    def __init__(self) -> None:
        super().__init__(pause_s=0.01, slow_s=0.1)
        self.bill: NamedBill = NamedBill()

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""

        async def reading() -> Message:
            nonlocal body
            message = await receive()
            body += message.get("body", b"")
            if found := re.search(rb'"user(?:_id)?": ?"(u\d+)"', body):
                _WHO.set(found[1].decode())
            return message

        await super().app(scope, reading, send)


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
async def fleet_of(config: Path) -> AsyncIterator[Fleet]:
    forking = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.service.forking", str(config), stdin=PIPE, stdout=PIPE
    )
    fleet = Fleet(forking)
    try:
        for _ in range(REPLICAS):
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
            key = self.chance.choice((WIDE, WIDE, TIGHT))
            asked: dict[str, Any] = {
                "model": self.chance.choice(ROUTES),
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
            except httpx.TransportError:
                self.broken += 1
                continue
            self.statuses[response.status_code] += 1
            cost = re.search(rb'"gateway": ?\{"cost_usd":([\d.e-]+)', response.content)
            if cost:
                self.told[user] = int(Decimal(cost[1].decode()) * PER_USD)


@asynccontextmanager
async def under_load(fleet: Fleet, chance: random.Random) -> AsyncIterator[Load]:
    load = Load(fleet, chance)
    async with loopback("http://127.0.0.1") as client:
        tasks = [asyncio.create_task(load.run(client)) for _ in range(CLIENTS)]
        yield load
        load.over = True  # each has its last answer: who hangs up pays for what was on its way
        await asyncio.gather(*tasks)


class Books:
    """The ledger of a tenant as it lies in Redis, read without the ledger's own scripts."""

    def __init__(self, server: "redis.Redis", tenant: str) -> None:
        self._server = server
        self.tenant = tenant
        self._keys = f"tg:{{{tenant}}}:"

    def bucket(self, scope: str, name: str) -> tuple[int, int]:
        """Spent and held."""
        key = f"{self._keys}b:{self.tenant}:{scope}:{name}:usd:total"
        spent, held = self._server.hmget(key, "spent", "held")
        return int(spent or 0), int(held or 0)

    def users(self) -> dict[str, tuple[int, int]]:
        found = self._server.scan_iter(f"{self._keys}b:{self.tenant}:user:*:usd:*", 1000)
        names = [key.split(":")[-3] for key in found]
        return {name: self.bucket("user", name) for name in names}

    def open_holds(self) -> int:
        return int(self._server.zcard(f"{self._keys}holds"))

    def expired(self) -> dict[str, list[int]]:
        """The amounts of holds that expired and were charged, by user."""
        amounts = defaultdict(list)
        for key in self._server.scan_iter(f"{self._keys}h:*", 1000):
            record = str(self._server.get(key))
            found = re.match(r"x (\d+) [\s\S]*:user:(u\d+):usd:", record)
            if found:
                amounts[found[2]].append(int(found[1]))
        return amounts


def price_class(amount: int) -> str:
    """The ceilings of these requests are some $0.00005, $0.0005 and $0.0025."""
    return "cheap" if amount < 150_000 else "mid" if amount < 1_500_000 else "smart"


def owed(calls: list[BilledCall], expired: list[int]) -> int:
    """The one sum that is right for a user; see the top of the file."""
    assert len(expired) <= 1, "two holds of one request were left behind"
    left_behind = [price_class(amount) for amount in expired]
    settled = [call for call in calls if call.model.split("-")[0] not in left_behind]
    assert len(calls) - len(settled) <= 1, "one hold, one call"
    return sum(call.cost for call in settled) + sum(expired)


async def test_whenever_a_gateway_is_killed_the_books_balance(
    shared_redis: EmbeddedRedis, tenant: str, tmp_path: Path
) -> None:
    chance = random.Random(20251121)  # noqa: S311 - not a secret
    wide, tight = f"{tenant}-wide", f"{tenant}-tight"
    simulator = NamingSimulator()
    async with serve_simulator(simulator) as served:
        config = tmp_path / "gateway.yaml"
        config.write_text(
            CONFIG.format(
                redis=shared_redis.url,
                ttl=HOLD_TTL_S,
                simulator=served.base_url,
                cheap=f"{SIZES}, price: {{input: 0.10, output: 0.40}}",
                mid=f"{SIZES}, price: {{input: 1, output: 4}}",
                smart=f"{SIZES}, price: {{input: 5, output: 20}}",
                wide=wide,
                tight=tight,
                wide_hash=sha256(WIDE.encode()).hexdigest(),
                tight_hash=sha256(TIGHT.encode()).hexdigest(),
                tight_usd=TIGHT_CAP / PER_USD,
            )
        )
        with redis.Redis.from_url(shared_redis.url, decode_responses=True) as server:
            both = [Books(server, wide), Books(server, tight)]
            async with fleet_of(config) as fleet:
                async with under_load(fleet, chance) as load:
                    for _ in range(KILLS):
                        await asyncio.sleep(chance.uniform(0.02, 0.2))
                        fleet.kill(chance.choice([*fleet.live]))
                        assert sum(both[1].bucket("tenant", tight)) <= TIGHT_CAP, "spent and held"
                        await fleet.start()
                await simulator.idle()
                # The living find the holds of the dead and charge them.
                async with asyncio.timeout(HOLD_TTL_S + 5):
                    while any(books.open_holds() for books in both):
                        await asyncio.sleep(0.1)
            settle_up(simulator.bill, both, load)
            spent, held = both[1].bucket("tenant", tight)
            assert (spent <= TIGHT_CAP, held) == (True, 0)


def settle_up(bill: NamedBill, both: list[Books], load: Load) -> None:
    expired = {user: amounts for books in both for user, amounts in books.expired().items()}
    in_ledger = {user: bucket for books in both for user, bucket in books.users().items()}
    wrong = {
        user: (bucket, expired.get(user), bill.by_user.get(user))
        for user, bucket in in_ledger.items()
        if bucket != (owed(bill.by_user.get(user, []), expired.get(user, [])), 0)
    }
    assert wrong == {}
    assert bill.by_user.keys() - in_ledger.keys() == set(), "no call is made that was not held"
    mistold = {
        user: (cost, in_ledger[user])
        for user, cost in load.told.items()
        if in_ledger[user] != (cost, 0)
    }
    assert mistold == {}, "what a client was told is what the ledger has"
    for books in both:
        spent = sum(spent for spent, _ in books.users().values())
        assert books.bucket("tenant", books.tenant) == (spent, 0)
    # It is no proof unless all of it happened, again and again.
    assert load.statuses.keys() == {200, 429, 502}, load.statuses
    assert min(load.statuses.values()) > KILLS, load.statuses
    assert min(load.broken, len(expired)) > KILLS, (load.broken, len(expired))
