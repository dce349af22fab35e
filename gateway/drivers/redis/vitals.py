"""A Redis server's version and clock, for diagnostics."""

from collections.abc import Callable

from msgspec import Struct

from gateway.drivers.redis.servers import open_redis
from gateway.drivers.redis.wire import encode

_INFO = encode("INFO", "server")
_TIME = encode("TIME")


class Vitals(Struct, frozen=True):
    """`server` is an address. `ahead_s` is how far its clock is ahead of ours, accurate to the
    round trip.
    """

    server: str
    version: str
    ahead_s: float


async def read_vitals(url: str, timeout_s: float, wall: Callable[[], float]) -> tuple[Vitals, ...]:
    """For each server that accepts writes. Raises RedisError when one does not answer."""
    redis = open_redis(url, timeout_s=timeout_s)
    try:
        versions = dict(await redis.everywhere(_INFO))
        began = wall()
        times = dict(await redis.everywhere(_TIME))
        now = (began + wall()) / 2
    finally:
        await redis.aclose()
    return tuple(
        Vitals(server, _version(versions[server]), int(seconds[0]) + int(seconds[1]) / 1e6 - now)
        for server, seconds in times.items()
    )


def _version(info: bytes) -> str:
    lines = dict(line.partition(":")[::2] for line in info.decode("utf-8", "replace").splitlines())
    if "valkey_version" in lines:
        return f"Valkey {lines['valkey_version']}"
    return f"Redis {lines.get('redis_version', 'of an unknown version')}"
