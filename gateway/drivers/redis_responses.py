"""Cached answers in Redis, each with a TTL; each tenant's share is bounded in bytes.

All of a tenant is in one slot of a cluster, under {tollgate:cache:<tenant>}:

    <key>     the answer; expires by itself
    ends      sorted set: key -> when it expires, Unix ms
    sizes     hash: key -> its bytes; "" -> their sum

When a tenant's share is full, the first to expire is evicted. It has a connection of its own: a
large answer must not delay the ledger.
"""

import asyncio
from typing import Final

from gateway.core.errors import CacheDown
from gateway.drivers.memory_responses import OVERHEAD_BYTES
from gateway.drivers.redis.servers import open_redis
from gateway.drivers.redis.wire import RedisError, encode

_MAX_WRITES: Final = 64
"""Concurrent writes; further answers are not cached."""

_FIND: Final = "return {redis.call('GET', KEYS[1]) or '', redis.call('PTTL', KEYS[1])}"
_KEEP: Final = """
local entry, ends, sizes = KEYS[1], KEYS[2], KEYS[3]
local space, key, data, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[5])
local ttl, size = tonumber(ARGV[4]), string.len(data) + tonumber(ARGV[6])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function drop(name)
  redis.call('DEL', space .. name)
  redis.call('ZREM', ends, name)
  local was = redis.call('HGET', sizes, name)
  if was then
    redis.call('HDEL', sizes, name)
    redis.call('HINCRBY', sizes, '', -tonumber(was))
  end
end
drop(key)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 100)) do
  drop(name)
end
if size > most then return 0 end
while tonumber(redis.call('HGET', sizes, '') or '0') + size > most do
  local first = redis.call('ZRANGE', ends, 0, 0)[1]
  if first then drop(first) else redis.call('DEL', sizes) end
end
redis.call('SET', entry, data, 'PX', ttl)
redis.call('ZADD', ends, now + ttl, key)
redis.call('HSET', sizes, key, size)
redis.call('HINCRBY', sizes, '', size)
for _, name in ipairs({ends, sizes}) do
  if redis.call('PTTL', name) < ttl then redis.call('PEXPIRE', name, ttl) end
end
return 1
"""


class RedisResponses:
    """For use on one event loop. At most `most_bytes` of each tenant; `timeout_s` bounds each
    command.
    """

    def __init__(
        self, url: str, most_bytes: int, *, timeout_s: float = 0.25, probe_s: float = 1.0
    ) -> None:
        self._max_bytes = most_bytes
        self._timeout = timeout_s
        self._connection = open_redis(url, timeout_s=timeout_s, probe_s=probe_s)
        self._writing: set[asyncio.Task[None]] = set()

    async def find(self, tenant: str, key: str) -> tuple[bytes, float] | None:
        try:
            reply = await self._connection.call(encode("EVAL", _FIND, 1, _key_prefix(tenant) + key))
        except RedisError as error:
            raise CacheDown(f"kept answers cannot be reached in Redis ({error.kind})") from error
        data, left_ms = reply
        return None if left_ms <= 0 else (data, left_ms / 1_000)

    def keep(self, tenant: str, key: str, data: bytes, ttl_s: float) -> None:
        if len(self._writing) >= _MAX_WRITES:
            return
        prefix = _key_prefix(tenant)
        keys = (prefix + key, f"{prefix}ends", f"{prefix}sizes")
        arguments = (
            prefix,
            key,
            data,
            max(round(ttl_s * 1_000), 1),
            self._max_bytes,
            OVERHEAD_BYTES,
        )
        writing = asyncio.create_task(
            self._write(encode("EVAL", _KEEP, len(keys), *keys, *arguments))
        )
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    def reconfigure(self, most_bytes: int) -> None:
        """Use this bound from now on."""
        self._max_bytes = most_bytes

    async def aclose(self) -> None:
        if self._writing:
            await asyncio.wait([*self._writing], timeout=self._timeout)
        for task in [*self._writing]:
            task.cancel()
        await self._connection.aclose()

    async def _write(self, command: bytes) -> None:
        try:
            await self._connection.call(command)
        except RedisError:
            return  # it is not cached: the next request is a miss


def _key_prefix(tenant: str) -> str:
    return f"{{tollgate:cache:{tenant}}}:"
