"""What a great many users leave behind in Redis: buckets of their own, which expire."""

import asyncio
from typing import Final

from redis import Redis

from gateway.core.accounts import Account, Amounts, Hold, Purse
from gateway.core.catalog import Budget
from gateway.core.money import Nanos
from gateway.drivers.ledger.redis_ledger import RedisLedger

DAILY: Final = (Budget(1_000, "day"), Budget(100, "minute", "requests", rolling=True))
PLACES: Final = (*DAILY, Budget(2, "total", "at_once"))
KEPT: Final = 1_000


async def check_what_many_users_leave(url: str, users: int) -> None:
    ledger = RedisLedger(url, timeout_s=60, max_entries=KEPT)

    async def one(number: int) -> None:
        user = Account("user", f"user {number}", PLACES, "acme")
        purse = Purse("acme", (Account("tenant", "acme", (Budget(10**15, "month"),)), user))
        hold = await ledger.reserve(purse, f"h{number}", Amounts(Nanos(10), 0, 1), f"l{number}")
        assert isinstance(hold, Hold)
        await ledger.settle(hold, Amounts(Nanos(7)))
        ledger.leave(purse, f"l{number}")

    for start in range(0, users, 200):
        await asyncio.gather(*(one(number) for number in range(start, min(start + 200, users))))
    await ledger.aclose()
    with Redis(unix_socket_path=url.removeprefix("unix://"), decode_responses=True) as server:
        kinds: dict[str, int] = {}
        lasting = []
        for key in server.scan_iter(count=10_000):
            _, _, rest = key.partition("}:")
            kind = rest.split(":")[0]
            kinds[kind] = kinds.get(kind, 0) + 1
            if server.pttl(key) < 0:
                lasting.append(rest)
        # Two buckets a user, one of the tenant; the mark of a settled hold is gone in five minutes.
        assert kinds.pop("h") <= users
        assert kinds == {"b": 2 * users + 1, "state": 1, "usage": 1}
        assert sorted(lasting) == ["state", "usage"]
        assert server.xlen("tg:{acme}:usage") < KEPT + 200
