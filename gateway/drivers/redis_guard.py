"""States of guards in Redis, shared by all replicas: one script adds and reads them atomically.

All is in one slot of a cluster, under {tollgate:guard}:

    state:<name>   "<seen> <agreed> <tried> <spent> <audit>"; expires when no longer written
    done:<caller>  the number of a caller's last update, so that a retry is not added twice

The arithmetic is exactly that of Guard.observe: both use doubles.
"""

import secrets
from collections.abc import Mapping
from typing import Final

from gateway.core.errors import LedgerDown
from gateway.core.guard import Growth, Guard
from gateway.drivers.redis.servers import open_redis
from gateway.drivers.redis.wire import RedisError, encode

_PREFIX: Final = "{tollgate:guard}:"
_KEPT_S: Final = 90 * 86_400
_DONE_S: Final = 86_400
_PAGE: Final = 500
"""States per script call, so that other clients do not wait for long."""
_GROW: Final = """
local fresh = tonumber(redis.call('GET', KEYS[1]) or '-1') < tonumber(ARGV[1])
local told = {}
for i = 2, #KEYS do
  local at = 5 * (i - 2) + 3
  local kept = redis.call('GET', KEYS[i])
  local n = {0, 0, 0, 0, 0}
  if kept then
    local place = 0
    for number in string.gmatch(kept, '%S+') do
      place = place + 1
      n[place] = tonumber(number)
    end
  end
  local same, memory = ARGV[at + 1], tonumber(ARGV[at + 5])
  local missed, spent = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local audit = tonumber(ARGV[at + 4])
  if fresh and (#same > 0 or missed > 0 or spent > 0 or audit > 0) then
    for j = 1, #same do
      local fade = math.min(1, memory / (n[1] + 1))
      local one = string.byte(same, j) - 48
      n[1], n[2] = (n[1] + 1) * fade, (n[2] + one) * fade
    end
    n[3], n[4], n[5] = n[3] + #same + missed, n[4] + spent, n[5] + audit
    kept = string.format('%.17g %.17g %.0f %.0f %.0f', n[1], n[2], n[3], n[4], n[5])
    redis.call('SET', KEYS[i], kept, 'EX', ARGV[2])
  end
  told[#told + 1] = kept or ''
end
if fresh then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3]) end
return told
"""


class RedisGuard:
    """For use on one event loop. `timeout_s` bounds each command."""

    def __init__(self, url: str, *, timeout_s: float = 0.25, probe_s: float = 1.0) -> None:
        self._connection = open_redis(url, timeout_s=timeout_s, probe_s=probe_s)
        self._caller = secrets.token_hex(8)

    async def grow(self, number: int, growths: Mapping[str, Growth]) -> Mapping[str, Guard]:
        names = list(growths)
        guards: dict[str, Guard] = {}
        for start in range(0, len(names), _PAGE):
            page_names = names[start : start + _PAGE]
            states = await self._call(self._grow_command(f"{start}", number, page_names, growths))
            guards.update(zip(page_names, map(_parse_state, states), strict=True))
        return guards

    async def aclose(self) -> None:
        await self._connection.aclose()

    def _grow_command(
        self, page: str, number: int, names: list[str], growths: Mapping[str, Growth]
    ) -> bytes:
        keys = [
            f"{_PREFIX}done:{self._caller}:{page}",
            *(f"{_PREFIX}state:{name}" for name in names),
        ]
        fields: list[str | int] = []
        for growth in (growths[name] for name in names):
            same = "".join("1" if each else "0" for each in growth.same)
            fields += [same, growth.missed, growth.spent, growth.audit, growth.memory]
        return encode("EVAL", _GROW, len(keys), *keys, number, _KEPT_S, _DONE_S, *fields)

    async def _call(self, command: bytes) -> list[bytes]:
        try:
            reply: list[bytes] = await self._connection.call(command)
        except RedisError as error:
            raise LedgerDown(f"the guard's states cannot be reached ({error.kind})") from error
        return reply


def _parse_state(raw: bytes) -> Guard:
    if not raw:
        return Guard()
    seen, agreed, tried, spent, audit = raw.split()
    return Guard(float(seen), float(agreed), int(tried), int(spent), int(audit))
