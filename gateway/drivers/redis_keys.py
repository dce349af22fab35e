"""Keys in Redis: a script a change, a small read to learn that there was one.

All is in one slot of a cluster, under {tollgate:keys}:

    records   hash: id -> "<revision> <JSON of the record>"
    changes   sorted set: id -> the version of its last change; also of those that are gone
    version   how often keys were changed
    epoch     the name of this data, drawn with the first change: other data has another one
    used      hash: id, or "tenant/id" -> when a key was last used, in Unix seconds

A key itself is not in here, only its digest.
"""

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from gateway.core.errors import KeysDown
from gateway.core.keys import NEVER, Changes, KeyRecord, Version
from gateway.drivers.redis.servers import open_redis
from gateway.drivers.redis.wire import RedisError, encode

_SPACE: Final = "{tollgate:keys}:"
_RECORDS: Final = _SPACE + "records"
_CHANGES: Final = _SPACE + "changes"
_VERSION: Final = _SPACE + "version"
_EPOCH: Final = _SPACE + "epoch"
_USED: Final = _SPACE + "used"
_MOST_CHANGES: Final = 1_000
"""At once, one by one: of more, all there is is read anew."""
_KEPT_CHANGES: Final = 10_000
_PAGE: Final = 500

_NOTE: Final = """
local function note(id, epoch)
  redis.call('SET', KEYS[4], epoch, 'NX')
  redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[3]), id)
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -tonumber(ARGV[2]) - 1)
end
"""
_SAVE: Final = (
    _NOTE
    + """
local found = redis.call('HGET', KEYS[1], ARGV[3])
if found == ARGV[5] then return 1 end
local revision = found and tonumber(string.match(found, '^%d+')) or 0
if revision + 1 ~= tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[5])
note(ARGV[3], ARGV[1])
return 1
"""
)
_REMOVE: Final = (
    _NOTE
    + """
if redis.call('HDEL', KEYS[1], ARGV[3]) == 0 then return 0 end
redis.call('HDEL', KEYS[5], ARGV[3])
note(ARGV[3], ARGV[1])
return 1
"""
)
_SINCE: Final = """
local epoch, version = redis.call('GET', KEYS[4]), redis.call('GET', KEYS[3])
local oldest = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
local last, most = tonumber(ARGV[2]), tonumber(ARGV[3])
if epoch ~= ARGV[1] or not oldest or not version then return {} end
if last < tonumber(oldest) or tonumber(version) < last then return {} end
local ids = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[2], '+inf', 'LIMIT', 0, most + 1)
if #ids > most then return {} end
local told = {tonumber(version)}
for _, id in ipairs(ids) do
  told[#told + 1] = id
  told[#told + 1] = redis.call('HGET', KEYS[1], id) or ''
end
return told
"""
_TOUCH: Final = """
for i = 1, #ARGV, 2 do
  local name, at = ARGV[i], ARGV[i + 1]
  local before = tonumber(redis.call('HGET', KEYS[5], name) or '0')
  local known = string.find(name, '/', 1, true) or redis.call('HEXISTS', KEYS[1], name) == 1
  if known and tonumber(at) > before then redis.call('HSET', KEYS[5], name, at) end
end
return 1
"""
_KEYS: Final = (5, _RECORDS, _CHANGES, _VERSION, _EPOCH, _USED)
_T = TypeVar("_T")
_ASK_VERSION: Final = encode("MGET", _EPOCH, _VERSION)
_decode: Final = msgspec.json.Decoder(KeyRecord).decode
_to_json: Final = msgspec.json.Encoder(order="sorted").encode


class RedisKeys:
    """For use on one event loop. `timeout_s` bounds each command."""

    def __init__(self, url: str, *, timeout_s: float = 0.25, probe_s: float = 1.0) -> None:
        self._connection = open_redis(url, timeout_s=timeout_s, probe_s=probe_s)

    async def changes(self, since: Version) -> Changes | None:
        version = await self._version()
        if version == since:
            return None
        if version == NEVER:  # a server that came back with nothing says so, too
            raise KeysDown("the keys in Redis are gone")
        if version[0] == since[0] and version[1] > since[1]:
            some = await self._some(since)
            if some is not None:
                return some
        return await self._whole(version)

    async def find(self, key_id: str) -> KeyRecord | None:
        return _record(await self._ask("HGET", _RECORDS, key_id))

    async def save(self, record: KeyRecord) -> bool:
        kept = b"%d %b" % (record.revision, _to_json(record))
        command = _changing(_SAVE, record.id, record.revision, kept)
        try:
            return bool(await self._call(command))
        except KeysDown:  # perhaps it was saved, and the answer lost: then this says so
            return bool(await self._call(command))

    async def remove(self, key_id: str) -> bool:
        command = _changing(_REMOVE, key_id)
        try:
            return bool(await self._call(command))
        except KeysDown:  # perhaps it was removed, and the answer lost
            await self._call(command)
            return True

    async def touch(self, used: Mapping[str, float]) -> None:
        told = [part for name, at in used.items() for part in (name, f"{at:.0f}")]
        for at in range(0, len(told), 2 * _PAGE):
            await self._ask("EVAL", _TOUCH, *_KEYS, *told[at : at + 2 * _PAGE])

    async def last_used(self) -> Mapping[str, float]:
        return {name.decode(): at for name, at in (await self._scan(_USED, float)).items()}

    async def aclose(self) -> None:
        await self._connection.aclose()

    async def _version(self) -> Version:
        epoch, number = await self._call(_ASK_VERSION)
        return NEVER if epoch is None or number is None else (epoch.decode(), int(number))

    async def _some(self, since: Version) -> Changes | None:
        """What changed, key by key; None where that cannot be told."""
        told = await self._ask("EVAL", _SINCE, *_KEYS, since[0], since[1], _MOST_CHANGES)
        if not told:
            return None
        pairs = zip(told[1::2], told[2::2], strict=True)
        found = {key_id.decode(): _record(kept) for key_id, kept in pairs}
        records = tuple(record for record in found.values() if record is not None)
        gone = tuple(key_id for key_id, record in found.items() if record is None)
        return Changes((since[0], told[0]), records, gone)

    async def _whole(self, version: Version) -> Changes:
        """All there is: as of the version or later, so what is later will be told again."""
        found = await self._scan(_RECORDS, _record)
        records = tuple(record for record in found.values() if record is not None)
        return Changes(version, records, whole=True)

    async def _scan(self, key: str, read: Callable[[bytes], _T]) -> dict[bytes, _T]:
        """A page at a time, each read before the next comes: nobody waits for all of it."""
        found: dict[bytes, _T] = {}
        cursor = b"0"
        while True:
            cursor, page = await self._ask("HSCAN", key, cursor, "COUNT", _PAGE)
            found.update(zip(page[::2], map(read, page[1::2]), strict=True))
            if cursor == b"0":
                return found

    async def _ask(self, *parts: str | bytes | int) -> Any:
        return await self._call(encode(*parts))

    async def _call(self, command: bytes) -> Any:
        try:
            return await self._connection.call(command)
        except RedisError as error:
            raise KeysDown(f"the keys cannot be reached in Redis ({error.kind})") from error


def _changing(script: str, *arguments: str | bytes | int) -> bytes:
    """The command of a change. It does no harm to send it twice."""
    return encode("EVAL", script, *_KEYS, secrets.token_hex(8), _KEPT_CHANGES, *arguments)


def _record(kept: bytes | None) -> KeyRecord | None:
    """A kept record. One that a later version wrote, and we cannot read, is none to us."""
    if not kept:
        return None
    try:
        return _decode(kept.partition(b" ")[2])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
