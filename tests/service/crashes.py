"""kill -9 to gateways on one ledger, or to its server, at random moments under load; then the books
must balance to the nano-dollar.

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
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import redis
from starlette.types import Message, Receive, Scope, Send

from gateway.core.money import PER_USD
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.simulator import Bill, BilledCall, Simulator, serve_simulator
from tests.service.fleet import Fleet, Load, fleet_of, under_load

REPLICAS = 3
HOLD_TTL_S = 9
TIGHT_CAP = 4_000_000

CONFIG = """
redis: {{url: '{redis}', timeout_ms: 5000, hold_ttl_s: {ttl}, data_dir: '{data}'}}
timeouts: {{answer_s: 8}}
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
  plain: {{tiers: [first], timeout_s: 8}}
  waits: {{tiers: [waiting], timeout_s: 8}}
  climbs: {{tiers: [doubtful, second, third], checks: [confidence], timeout_s: 8}}
  breaks: {{tiers: [broken], timeout_s: 8}}
  aside: {{tiers: [failing-first], timeout_s: 8}}
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


def write_config(folder: Path, url: str, simulator: str, tenant: str) -> Path:
    config = folder / "gateway.yaml"
    config.write_text(
        CONFIG.format(
            redis=url,
            data=folder / "data",
            ttl=HOLD_TTL_S,
            simulator=simulator,
            cheap=f"{SIZES}, price: {{input: 0.10, output: 0.40}}",
            mid=f"{SIZES}, price: {{input: 1, output: 4}}",
            smart=f"{SIZES}, price: {{input: 5, output: 20}}",
            wide=f"{tenant}-wide",
            tight=f"{tenant}-tight",
            wide_hash=sha256(WIDE.encode()).hexdigest(),
            tight_hash=sha256(TIGHT.encode()).hexdigest(),
            tight_usd=TIGHT_CAP / PER_USD,
        )
    )
    return config


@dataclass
class Crash:
    """Three gateways under load, to be hurt; and what is then found in the books."""

    fleet: Fleet
    load: Load
    both: list[Books]
    chance: random.Random
    drained_s: float = 0.0
    """How long it took until no hold was open any more."""
    expired: int = 0
    requests: int = 0

    def check_cap(self) -> None:
        tight = self.both[1]
        assert sum(tight.bucket("tenant", tight.tenant)) <= TIGHT_CAP, "spent and held"


Hurts = Callable[[Crash], Awaitable[None]]


async def crash(url: str, tenant: str, folder: Path, hurt: Hurts) -> Crash:
    """What is found after `hurt` is over. Raises AssertionError where the books do not balance."""
    chance = random.Random(20251121)  # noqa: S311 - not a secret
    simulator = NamingSimulator()
    async with serve_simulator(simulator) as served:
        config = write_config(folder, url, served.base_url, tenant)
        with redis.Redis.from_url(url, decode_responses=True) as server:
            both = [Books(server, f"{tenant}-wide"), Books(server, f"{tenant}-tight")]
            async with fleet_of(config, REPLICAS) as fleet:
                async with under_load(fleet, chance, ROUTES, (WIDE, WIDE, TIGHT)) as load:
                    found = Crash(fleet, load, both, chance)
                    await hurt(found)
                await simulator.idle()
                # The living find the holds of the dead and charge them.
                began = time.monotonic()
                async with asyncio.timeout(HOLD_TTL_S + 5):
                    while any(books.open_holds() for books in both):
                        await asyncio.sleep(0.1)
                found.drained_s = time.monotonic() - began
            settle_up(simulator.bill, found)
            spent, held = both[1].bucket("tenant", both[1].tenant)
            assert (spent <= TIGHT_CAP, held) == (True, 0)
    return found


def settle_up(bill: NamedBill, found: Crash) -> None:
    both, load = found.both, found.load
    expired = {user: amounts for books in both for user, amounts in books.expired().items()}
    in_ledger = {user: bucket for books in both for user, bucket in books.users().items()}
    wrong = {
        user: (bucket, expired.get(user), bill.by_user.get(user))
        for user, bucket in in_ledger.items()
        if bucket != (owed(bill.by_user.get(user, []), expired.get(user, [])), 0)
    }
    assert not wrong, wrong
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
    found.expired, found.requests = len(expired), sum(load.statuses.values())


async def kill_gateways(found: Crash, kills: int) -> None:
    for _ in range(kills):
        await asyncio.sleep(found.chance.uniform(0.02, 0.2))
        found.fleet.kill(found.chance.choice([*found.fleet.live]))
        found.check_cap()
        await found.fleet.start()


async def kill_server(found: Crash, server: EmbeddedRedis, kills: int) -> None:
    """Each comes after the gateways have answered again, and is mended at once."""
    for _ in range(kills):
        answered = found.load.statuses[200] + 10
        async with asyncio.timeout(20):
            while found.load.statuses[200] < answered:
                await asyncio.sleep(0.01)
        await asyncio.sleep(found.chance.uniform(0, 0.2))
        assert server.pid
        os.kill(server.pid, signal.SIGKILL)
        await asyncio.to_thread(server.start)
        found.check_cap()
