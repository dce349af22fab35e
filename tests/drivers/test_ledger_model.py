"""The ledger in Redis against its model, and what it leaves behind: small; tests/long is large."""

from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.ledger_model import run_histories
from tests.ledger_scale import check_what_many_users_leave
from tests.promises import Reached

pytest_plugins = ("tests.redis_server",)

HISTORIES, USERS = 40, 2_000


def test_it_answers_as_the_model_does(own_redis: EmbeddedRedis, reached: Reached) -> None:
    run_histories(own_redis, HISTORIES)
    told = f"{HISTORIES:,} histories as the model has them"
    reached("money", "each hold ends once, replays change nothing", told, "all")


async def test_many_users_leave_only_their_own_expiring_keys(
    own_redis: EmbeddedRedis, reached: Reached
) -> None:
    await check_what_many_users_leave(own_redis.url, USERS)
    reached("money", f"{USERS:,} users leave, that expires", "a key for each budget", "only that")
