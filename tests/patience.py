"""Limits that strike only where they are tested: a machine may stand still for more than a second.

Whoever asks Redis has long for all that is no part of a test, and short once its server hangs.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from gateway.drivers.ledger.redis_ledger import RedisLedger
from gateway.drivers.redis.cluster import RedisCluster
from gateway.drivers.redis.connection import RedisConnection
from gateway.drivers.redis.servers import Redis

PATIENT_S: Final = 30.0
"""For what nobody withholds."""
SOON_S: Final = 10.0
"""For what is not waited for: what would be, with PATIENT_S, takes three times as long."""


def limit(redis: Redis | RedisLedger, seconds: float) -> None:
    """Nothing that is asked of it may take longer from now on, whatever it was opened with."""
    if isinstance(redis, RedisLedger):
        redis = redis._connection
    nodes: Iterable[Redis] = [redis]
    if isinstance(redis, RedisCluster):
        redis._timeout = seconds
        nodes = redis._nodes.values()
    for node in nodes:
        each = getattr(node, "_connection", node)  # of one that sentinels know
        assert isinstance(each, RedisConnection)
        each._timeout = seconds
        wire = each._wire
        if wire is None:
            continue
        wire._timeout = seconds
        last = wire._loop.time() + seconds
        for until, _ in wire._pending:
            until[0] = min(until[0], last)
        if wire._timer is not None:  # it may be far off, set by what was answered since
            first = min(wire._timer.when(), last)
            wire._timer.cancel()
            wire._timer = wire._loop.call_at(first, wire._watch)


async def back(ledger: RedisLedger) -> None:
    """Its server is found again. What is asked from now on may take long."""
    async with asyncio.timeout(PATIENT_S):
        while not ledger._connection.is_open:
            await asyncio.sleep(0.01)
    limit(ledger, PATIENT_S)
