"""The ledger's promises at full size: `make test-long`. tests/ has each of them small."""

from gateway.drivers.embedded_redis import EmbeddedRedis
from tests.ledger_model import run_histories
from tests.ledger_scale import check_what_many_users_leave

pytest_plugins = ("tests.redis_server",)


def test_ten_thousand_histories_are_as_the_model_has_them(own_redis: EmbeddedRedis) -> None:
    run_histories(own_redis, 10_000)


async def test_a_hundred_thousand_users_leave_only_their_own_keys(own_redis: EmbeddedRedis) -> None:
    await check_what_many_users_leave(own_redis.url, 100_000)
