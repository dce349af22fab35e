"""The ledger in Redis against its model, and what it leaves behind: small; tests/long is large."""

from gateway.drivers.embedded_redis import EmbeddedRedis
from tests.ledger_model import run_histories
from tests.ledger_scale import check_what_many_users_leave

pytest_plugins = ("tests.redis_server",)


def test_it_answers_as_the_model_does(own_redis: EmbeddedRedis) -> None:
    run_histories(own_redis, 40)


async def test_many_users_leave_only_their_own_expiring_keys(own_redis: EmbeddedRedis) -> None:
    await check_what_many_users_leave(own_redis.url, 2_000)
