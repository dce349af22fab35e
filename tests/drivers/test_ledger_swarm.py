"""However many processes share a ledger, no hard cap is passed; `make test-long` has it big."""

import pytest

from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.ledger_swarm import check_swarm
from tests.promises import Reached

pytest_plugins = ("tests.redis_server",)


@pytest.mark.parametrize("processes", [1, 2, 8])
async def test_no_cap_is_passed(own_redis: EmbeddedRedis, processes: int, reached: Reached) -> None:
    await check_swarm(own_redis.url, processes, 300, reached)


async def test_no_cap_is_passed_with_leases(own_redis: EmbeddedRedis, reached: Reached) -> None:
    await check_swarm(own_redis.url, 8, 300, reached, leased=True)
