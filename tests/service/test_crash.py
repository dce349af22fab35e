"""kill -9 under load, small: `make test-long` has it at full size."""

from pathlib import Path

from gateway.drivers.redis.embedded import EmbeddedRedis
from tests.promises import Reached
from tests.service.crashes import HOLD_TTL_S, Crash, crash, kill_gateways, kill_server

pytest_plugins = ("tests.redis_server",)

GATEWAYS, SERVERS = 12, 12


async def test_whenever_a_gateway_is_killed_the_books_balance(
    shared_redis: EmbeddedRedis, tenant: str, tmp_path: Path, reached: Reached
) -> None:
    await check_gateways(shared_redis, tenant, tmp_path, reached, GATEWAYS)


async def test_whenever_the_server_is_killed_the_books_balance(
    own_redis: EmbeddedRedis, tenant: str, tmp_path: Path, reached: Reached
) -> None:
    await check_servers(own_redis, tenant, tmp_path, reached, SERVERS)


async def check_gateways(
    server: EmbeddedRedis, tenant: str, folder: Path, reached: Reached, kills: int
) -> None:
    async def hurt(found: Crash) -> None:
        await kill_gateways(found, kills)

    found = await crash(server.url, tenant, folder, hurt)
    # It is no proof unless all of it happened, again and again.
    statuses = found.load.statuses
    assert statuses.keys() == {200, 429, 502}, statuses
    assert min(statuses.values()) > kills, statuses
    assert min(found.load.broken, found.expired) > kills, (found.load.broken, found.expired)
    told = f"drift 0; {found.expired} holds of the dead, gone in {found.drained_s:.1f} s"
    what = f"{kills} kill -9 of gateways, {found.requests} requests"
    reached("money", what, told, f"drift 0; holds 0 in {HOLD_TTL_S} + 5 s")


async def check_servers(
    server: EmbeddedRedis, tenant: str, folder: Path, reached: Reached, kills: int
) -> None:
    async def hurt(found: Crash) -> None:
        await kill_server(found, server, kills)

    found = await crash(server.url, tenant, folder, hurt)
    statuses = found.load.statuses
    assert {200, 503} <= statuses.keys() <= {200, 429, 502, 503}, statuses
    assert min(statuses[200], statuses[503]) > kills, statuses
    told = f"drift 0; no hold open after {found.drained_s:.1f} s"
    what = f"{kills} kill -9 of the server, {found.requests} requests"
    reached("money", what, told, f"drift 0; holds 0 in {HOLD_TTL_S} + 5 s")
