"""What a request costs the ledger's server: one command to reserve, one to settle, and those of one
turn of the loop in one write. `make bench` tells what it costs the client.
"""

import asyncio

from redis import Redis

from gateway.core.accounts import Account, Amounts, Hold, Purse
from gateway.core.catalog import Budget
from gateway.core.money import Nanos
from gateway.drivers.embedded_redis import EmbeddedRedis
from gateway.drivers.redis_ledger import RedisLedger
from tests.promises import Reached

pytest_plugins = ("tests.redis_server",)

AT_ONCE = 32


async def test_a_reserve_and_its_settle_are_a_round_trip_each(
    own_redis: EmbeddedRedis, reached: Reached
) -> None:
    budgets = (Budget(10**12, "day"), Budget(10**9, "month", "tokens"))
    purse = Purse("acme", (Account("tenant", "acme", budgets, "acme"),))
    ledger = RedisLedger(own_redis.url, timeout_s=5)

    async def pair(name: str) -> None:
        hold = await ledger.reserve(purse, name, Amounts(Nanos(10), 10, 1))
        assert isinstance(hold, Hold)
        await ledger.settle(hold, Amounts(Nanos(7), 7))

    with Redis(unix_socket_path=own_redis.url.removeprefix("unix://")) as server:

        def stats() -> tuple[int, int]:
            """Scripts called, and reads from sockets."""
            called = server.info("commandstats")["cmdstat_evalsha"]["calls"]
            return int(called), int(server.info("stats")["total_reads_processed"])

        await pair("warm")
        before = stats()
        await asyncio.gather(*(pair(f"h{number}") for number in range(AT_ONCE)))
        scripts, reads = (now - then for now, then in zip(stats(), before, strict=True))
    await ledger.aclose()
    assert scripts == 2 * AT_ONCE
    reads -= 2  # our own questions
    assert reads <= AT_ONCE // 2
    told = f"{scripts // AT_ONCE} commands, {reads / AT_ONCE:.2f} reads of the server"
    reached("money", f"reserve + settle, {AT_ONCE} in flight: each", told, "2 commands, coalesced")
