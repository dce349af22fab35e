"""The ledger's promises at full size: `make test-long`. tests/ has each of them small."""

from pathlib import Path

import pytest

from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.ledger_model import run_histories
from tests.ledger_outages import run_outages
from tests.ledger_scale import check_what_many_users_leave
from tests.ledger_swarm import check_swarm
from tests.promises import Reached
from tests.service.test_crash import check_gateways, check_servers

pytest_plugins = ("tests.redis_server",)

HISTORIES, PARTS, USERS = 10_000, 4, 100_000


@pytest.mark.parametrize("part", range(PARTS))
def test_ten_thousand_histories_are_as_the_model_has_them(
    own_redis: EmbeddedRedis, part: int, reached: Reached
) -> None:
    """In parts, so that several processes can share them: `pytest -n 4 -k histories`."""
    run_histories(own_redis, HISTORIES // PARTS, part)
    told = f"{HISTORIES // PARTS:,} histories as the model has them"
    what = "each hold ends once, replays change nothing"
    reached("money", f"{what}, part {part + 1} of {PARTS}", told, "all")


async def test_no_outage_passes_a_cap_or_loses_a_charge(reached: Reached) -> None:
    seen = await run_outages(HISTORIES)
    told = f"{HISTORIES:,} histories, {seen['alone']:,} calls without it, {seen['killed']:,} kills"
    reached("money", "the ledger is away: each call charged once, no cap passed", told, "all")


async def test_a_hundred_thousand_users_leave_only_their_own_keys(
    own_redis: EmbeddedRedis, reached: Reached
) -> None:
    await check_what_many_users_leave(own_redis.url, USERS)
    reached("money", f"{USERS:,} users leave, that expires", "a key for each budget", "only that")


@pytest.mark.parametrize("processes", [1, 2, 8, 32])
async def test_no_cap_is_passed(own_redis: EmbeddedRedis, processes: int, reached: Reached) -> None:
    await check_swarm(own_redis.url, processes, 10_000, reached)


async def test_fifty_gateways_are_killed(
    own_redis: EmbeddedRedis, tenant: str, tmp_path: Path, reached: Reached
) -> None:
    await check_gateways(own_redis, tenant, tmp_path, reached, 50)


async def test_twenty_servers_are_killed(
    own_redis: EmbeddedRedis, tenant: str, tmp_path: Path, reached: Reached
) -> None:
    await check_servers(own_redis, tenant, tmp_path, reached, 20)
