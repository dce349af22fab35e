"""How far each home's book was written on, and who does so just now.

One process at a time has a home, for as long as it says or until it gives it back. Of two that
believe they have it, both write, and what is written twice counts once: so no more is needed.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from msgspec import Struct

from gateway.drivers.ledger.plans import prefix
from gateway.drivers.redis.wire import encode

_TAKE: Final = """\
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {} end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return redis.call('HMGET', KEYS[2], 'at', 'seq', 'epoch')
"""
_GIVE: Final = """\
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""
_LEASE_MS: Final = 60_000
"""Longer than any store takes for a batch."""
HOMES: Final = "tg:usage:homes"
"""A set of them."""


class Mark(Struct, frozen=True):
    """The last entry that was written on. `at` is "" before the first."""

    at: str = ""
    seq: int = 0
    epoch: str = ""


class Marks(Protocol):
    """Raises what the ledger's connection raises."""

    async def take(self, home: str) -> Mark | None:
        """The home, until it is given back; None while somebody else has it."""

    async def keep(self, home: str, mark: Mark) -> None: ...

    async def give(self, home: str) -> None: ...

    async def homes(self) -> frozenset[str]:
        """All that anybody ever named."""
        ...

    async def name(self, homes: frozenset[str]) -> None: ...


class RedisMarks:
    """Beside the books, in Redis. `sink` names what is written to; `me` is this process."""

    def __init__(
        self, call: Callable[[bytes, str | None], Awaitable[Any]], sink: str, me: str
    ) -> None:
        self._call = call
        self._sink = sink
        self._me = me

    async def take(self, home: str) -> Mark | None:
        lease, mark = self._keys(home)
        reply = await self._ask("EVAL", _TAKE, 2, lease, mark, self._me, _LEASE_MS)
        if not reply:
            return None
        at, seq, epoch = ((each or b"").decode() for each in reply)
        return Mark(at, int(seq or 0), epoch)

    async def keep(self, home: str, mark: Mark) -> None:
        key = self._keys(home)[1]
        await self._ask("HSET", key, "at", mark.at, "seq", mark.seq, "epoch", mark.epoch)

    async def give(self, home: str) -> None:
        await self._ask("EVAL", _GIVE, 1, self._keys(home)[0], self._me)

    async def homes(self) -> frozenset[str]:
        return frozenset(home.decode() for home in await self._ask("SMEMBERS", HOMES))

    async def name(self, homes: frozenset[str]) -> None:
        if homes:
            await self._ask("SADD", HOMES, *sorted(homes))

    def _keys(self, home: str) -> tuple[str, str]:
        key = f"{prefix(home)}sunk:{self._sink}"
        return f"{key}:lease", key

    async def _ask(self, *parts: str | int) -> Any:
        return await self._call(encode(*parts), None)


class MemoryMarks:
    """Of a ledger in memory, which nobody shares."""

    def __init__(self) -> None:
        self._marks: dict[str, Mark] = {}
        self._homes: frozenset[str] = frozenset()

    async def take(self, home: str) -> Mark | None:
        return self._marks.get(home, Mark())

    async def keep(self, home: str, mark: Mark) -> None:
        self._marks[home] = mark

    async def give(self, home: str) -> None:
        """Nobody else wants it."""

    async def homes(self) -> frozenset[str]:
        return self._homes

    async def name(self, homes: frozenset[str]) -> None:
        self._homes |= homes
