"""Many processes on one ledger, all of them at its caps: `python -m tests.ledger_swarm` is one.

Each sends requests, 32 at a time, whose ceilings bound their bills. Together they want more than
each cap has, so near every cap they compete for what is left.
"""

import asyncio
import itertools
import json
import random
import sys
import time
from asyncio.subprocess import PIPE
from typing import Any, Final

import uvloop

from gateway.core.accounts import Account, Amounts, Balance, Hold, Purse
from gateway.core.catalog import Budget
from gateway.core.money import Nanos
from gateway.core.ports import LedgerDriver
from gateway.core.snapshot import Leasing
from gateway.drivers.ledger.leased_ledger import LeasedLedger
from gateway.drivers.ledger.redis_ledger import RedisLedger
from tests.promises import Reached

HOME: Final = "swarm"
USERS: Final = 4
AT_ONCE: Final = 32
MOST: Final = 1_000_000
PATIENT_S: Final = 60.0
LEASING: Final = Leasing(nanos=1_000 * MOST, calls_per_s=5, share=10)


def purse(user: int, processes: int, each: int, *, leased: bool = False) -> Purse:
    """Caps of about half of what all will cost, and nearly room for all at once."""
    requests = processes * each
    usd, tokens = Budget(requests * MOST // 8, "total"), Budget(requests * 40, "total", "tokens")
    own = Budget(requests * MOST // (7 * USERS), "total")
    places = Budget((AT_ONCE - 2) * processes, "total", "at_once")
    # Places cannot be held ahead.
    tenant = Account("tenant", HOME, (usd, tokens) if leased else (usd, tokens, places), HOME)
    return Purse(HOME, (tenant, Account("user", f"user {user}", (own,), HOME)))


async def one_of_many(
    url: str, name: str, processes: int, requests: int, *, leased: bool
) -> dict[str, int]:
    """What this process was held, refused and charged."""
    chance = random.Random(name)  # noqa: S311 - not a secret
    redis = RedisLedger(url, timeout_s=PATIENT_S)
    ledger: LedgerDriver = redis
    if leased:
        ids = (f"lease/{name}/{number}" for number in itertools.count())
        ledger = LeasedLedger(redis, LEASING, clock=time.monotonic, new_id=lambda: next(ids))
    told = {"held": 0, "refused": 0, "spent": 0, "tokens": 0, "leased": 0}
    numbers = iter(range(requests))

    async def client() -> None:
        for number in numbers:
            wallet = purse(chance.randrange(USERS), processes, requests, leased=leased)
            ceiling = Amounts(Nanos(chance.randrange(1, MOST)), chance.randrange(1, 200), 1)
            life = f"{name}/{number}"
            hold = await ledger.reserve(wallet, life, ceiling, life)
            if isinstance(hold, Hold):
                await asyncio.sleep(0)
                cost = Amounts(
                    Nanos(chance.randint(0, ceiling.nanos)), chance.randint(0, ceiling.tokens)
                )
                await ledger.settle(hold, cost)
                told["held"] += 1
                told["spent"] += cost.nanos
                told["tokens"] += cost.tokens
            else:
                told["refused"] += 1
            ledger.leave(wallet, life)

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    if isinstance(ledger, LeasedLedger):
        told["leased"] = ledger.served
    await ledger.aclose()
    return told


async def check_swarm(
    url: str, processes: int, requests: int, reached: Reached, *, leased: bool = False
) -> None:
    """So many processes with so many requests each: no cap is ever passed, and what was charged is
    what they say.
    """
    total = processes * requests
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.ledger_swarm", url, f"p{number}", str(processes),
            str(requests), *(["leased"] if leased else []), stdout=PIPE,
        )
        for number in range(processes)
    ]  # fmt: skip
    ledger = RedisLedger(url, timeout_s=PATIENT_S)
    wallets = [purse(user, processes, requests, leased=leased) for user in range(USERS)]
    over, looks = 0, 0
    ending = asyncio.gather(*(each.communicate() for each in started))
    while not ending.done():
        for wallet in wallets:
            over = max(over, *map(beyond, await ledger.balances(wallet)))
        looks += 1
        await asyncio.wait([ending], timeout=0.02)
    told = [json.loads(out) for out, _ in await ending]
    assert [each.returncode for each in started] == [0] * processes
    rows = [await ledger.balances(wallet) for wallet in wallets]
    await ledger.aclose()
    (usd, tokens, *places), users = rows[0][:-1], [row[-1] for row in rows]
    over = max(over, *(beyond(each) for row in rows for each in row))
    assert over == 0, f"{over} over a cap, of {looks} looks"
    assert [each.held for each in (usd, tokens, *places)] == [0] * (2 + len(places))
    assert (usd.spent, tokens.spent) == (summed(told, "spent"), summed(told, "tokens"))
    assert sum(user.spent for user in users) == usd.spent
    held, refused = summed(told, "held"), summed(told, "refused")
    assert min(held, refused) > total // 5, f"the caps are to be tried: {held}, {refused}"
    what = f"{processes} processes x {requests:,} requests: over a hard cap"
    if leased:
        assert summed(told, "leased") > held // 50, "leases are hardly tried"
        what = f"the same, {summed(told, 'leased'):,} of {held:,} calls leased"
    reached("money", what, f"{over} nano-dollars ({held:,} held, {refused:,} refused)", "0")


def beyond(balance: Balance) -> int:
    return max(balance.spent + balance.held - balance.budget.cap, 0)


def summed(told: list[dict[str, Any]], what: str) -> int:
    return sum(int(each[what]) for each in told)


if __name__ == "__main__":
    url, name, processes, requests, *more = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        mine = one_of_many(url, name, int(processes), int(requests), leased=more == ["leased"])
        print(json.dumps(runner.run(mine)))
