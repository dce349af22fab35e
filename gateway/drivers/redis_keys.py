"""Keys in Redis: one script per change, and a small read to poll for changes.

All is in one slot of a cluster, under {tollgate:keys}:

    records   hash: id -> "<revision> <JSON of the record>"
    changes   sorted set: id -> the version of its last change; includes removed keys
    version   number of changes so far
    epoch     a random name, drawn with the first change: differs if the data was lost
    used      hash: id, or "tenant/id" -> when a key was last used, in Unix seconds

The keys themselves are not stored, only their digests.
"""

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from gateway.core.errors import KeysDown
from gateway.core.keys import NEVER, Changes, KeyRecord, Version
from gateway.drivers.redis.servers import open_redis
from gateway.drivers.redis.wire import RedisError, encode

_PREFIX: Final = "{tollgate:keys}:"
_RECORDS: Final = _PREFIX + "records"
_CHANGES: Final = _PREFIX + "changes"
_VERSION: Final = _PREFIX + "version"
_EPOCH: Final = _PREFIX + "epoch"
_USED: Final = _PREFIX + "used"
_MOST_CHANGES: Final = 1_000
"""Read one by one; after more changes, all keys are read again."""
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
_GET_VERSION: Final = encode("MGET", _EPOCH, _VERSION)
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
        if version == NEVER:  # a server that lost its data answers the same
            raise KeysDown("the keys in Redis are gone")
        if version[0] == since[0] and version[1] > since[1]:
            changes = await self._changes_since(since)
            if changes is not None:
                return changes
        return await self._all_records(version)

    async def find(self, key_id: str) -> KeyRecord | None:
        return _parse_record(await self._execute("HGET", _RECORDS, key_id))

    async def save(self, record: KeyRecord) -> bool:
        raw = b"%d %b" % (record.revision, _to_json(record))
        command = _change_command(_SAVE, record.id, record.revision, raw)
        try:
            return bool(await self._call(command))
        except KeysDown:  # it may have been saved, and the reply lost: saving again is safe
            return bool(await self._call(command))

    async def remove(self, key_id: str) -> bool:
        command = _change_command(_REMOVE, key_id)
        try:
            return bool(await self._call(command))
        except KeysDown:  # it may have been removed, and the reply lost
            await self._call(command)
            return True

    async def touch(self, used: Mapping[str, float]) -> None:
        arguments = [part for name, at in used.items() for part in (name, f"{at:.0f}")]
        for at in range(0, len(arguments), 2 * _PAGE):
            await self._execute("EVAL", _TOUCH, *_KEYS, *arguments[at : at + 2 * _PAGE])

    async def last_used(self) -> Mapping[str, float]:
        return {name.decode(): at for name, at in (await self._scan(_USED, float)).items()}

    async def aclose(self) -> None:
        await self._connection.aclose()

    async def _version(self) -> Version:
        epoch, number = await self._call(_GET_VERSION)
        return NEVER if epoch is None or number is None else (epoch.decode(), int(number))

    async def _changes_since(self, since: Version) -> Changes | None:
        """The changed keys; None where they are not known any more."""
        reply = await self._execute("EVAL", _SINCE, *_KEYS, since[0], since[1], _MOST_CHANGES)
        if not reply:
            return None
        pairs = zip(reply[1::2], reply[2::2], strict=True)
        by_id = {key_id.decode(): _parse_record(raw) for key_id, raw in pairs}
        records = tuple(record for record in by_id.values() if record is not None)
        gone = tuple(key_id for key_id, record in by_id.items() if record is None)
        return Changes((since[0], reply[0]), records, gone)

    async def _all_records(self, version: Version) -> Changes:
        """All keys, as of the version or later: later changes will be read again."""
        by_id = await self._scan(_RECORDS, _parse_record)
        records = tuple(record for record in by_id.values() if record is not None)
        return Changes(version, records, whole=True)

    async def _scan(self, key: str, read: Callable[[bytes], _T]) -> dict[bytes, _T]:
        """Page by page, so that neither the server nor the event loop is blocked for long."""
        result: dict[bytes, _T] = {}
        cursor = b"0"
        while True:
            cursor, page = await self._execute("HSCAN", key, cursor, "COUNT", _PAGE)
            result.update(zip(page[::2], map(read, page[1::2]), strict=True))
            if cursor == b"0":
                return result

    async def _execute(self, *parts: str | bytes | int) -> Any:
        return await self._call(encode(*parts))

    async def _call(self, command: bytes) -> Any:
        try:
            return await self._connection.call(command)
        except RedisError as error:
            raise KeysDown(f"the keys cannot be reached in Redis ({error.kind})") from error


def _change_command(script: str, *arguments: str | bytes | int) -> bytes:
    """The command of a change. Idempotent."""
    return encode("EVAL", script, *_KEYS, secrets.token_hex(8), _KEPT_CHANGES, *arguments)


def _parse_record(raw: bytes | None) -> KeyRecord | None:
    """A stored record; None if it is missing, or a later version's that we cannot decode."""
    if not raw:
        return None
    try:
        return _decode(raw.partition(b" ")[2])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
