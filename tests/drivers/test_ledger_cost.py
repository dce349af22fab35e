"""What a request costs the ledger's server: one command to reserve, one to settle, and those of one
turn of the loop in one write. `make bench` tells what it costs the client.
"""

import asyncio

from redis import Redis

from gateway.core.accounts import Account, Amounts, Hold, Purse
from gateway.core.catalog import Budget
from gateway.core.money import Nanos
from gateway.drivers.ledger.commands import SCRIPTS
from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.promises import Reached

pytest_plugins = ("tests.redis_server",)

AT_ONCE = 32
CALLED = 20
"""Commands that the two scripts execute for two budgets; each costs the server 3 us and more."""


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

        def stats() -> tuple[int, int, int]:
            """Scripts called, commands they called, and reads from sockets."""
            calls = {name: each["calls"] for name, each in server.info("commandstats").items()}
            calls.pop("cmdstat_info", None)  # our own questions
            scripts = calls.pop("cmdstat_evalsha")
            reads = int(server.info("stats")["total_reads_processed"])
            return scripts, sum(calls.values()), reads

        await pair("warm")
        before = stats()
        await asyncio.gather(*(pair(f"h{number}") for number in range(AT_ONCE)))
        scripts, called, reads = (now - then for now, then in zip(stats(), before, strict=True))
    await ledger.aclose()
    assert scripts == 2 * AT_ONCE
    assert called == CALLED * AT_ONCE
    reads -= 2  # our own questions
    assert reads <= AT_ONCE // 2
    told = f"{scripts // AT_ONCE} commands, {reads / AT_ONCE:.2f} reads of the server"
    reached("money", f"reserve + settle, {AT_ONCE} in flight: each", told, "2 commands, coalesced")


def test_each_part_of_a_script_stands_where_it_is_included() -> None:
    for load in SCRIPTS.load:
        assert b"-- include" not in load
    whole = b"".join(SCRIPTS.load)
    parts = {name: whole.count(b"local function %b(" % name) for name in (b"enter", b"roll")}
    # Of an expired hold: a reserve, a sweep, a look at balances; then a settle, a void, a charge.
    assert parts == {b"enter": 6, b"roll": 3}
