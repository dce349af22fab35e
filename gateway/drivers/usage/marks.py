"""How far each home's book was exported, and which process is exporting it.

One process at a time has a lease on a home, until it expires or is released. If two believe they
have it, both export, and duplicates count once: so no stronger lock is needed.
"""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any, Final, Protocol

from msgspec import Struct

from gateway.drivers.ledger.plans import prefix
from gateway.drivers.redis.wire import encode

_ACQUIRE: Final = """\
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {} end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return redis.call('HMGET', KEYS[2], 'at', 'seq', 'epoch', 'known')
"""
_RELEASE: Final = """\
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""
_LEASE_MS: Final = 60_000
"""Longer than any store takes for a batch."""
HOMES_KEY: Final = "tg:usage:homes"
"""A set of them."""


class Mark(Struct, frozen=True):
    """The last entry that was exported. `at` is "" before the first. Entries up to the number
    `known` were accounted for when the counters were rebuilt, after which numbers go on from there.
    """

    at: str = ""
    seq: int = 0
    epoch: str = ""
    known: int = 0


class Marks(Protocol):
    """Raises what the ledger's connection raises."""

    async def acquire(self, home: str) -> Mark | None:
        """Lease a home until `release`; gives its mark, or None while another process has it."""

    async def save(self, home: str, mark: Mark) -> None:
        """All but `known`."""
        ...

    async def save_known(self, home: str, seq: int) -> None: ...

    async def release(self, home: str) -> None: ...

    async def homes(self) -> frozenset[str]:
        """All that were ever added."""
        ...

    async def add_homes(self, homes: frozenset[str]) -> None: ...


def sink_id(sink: str) -> str:
    """Of a store, by the sink's text."""
    return sha256(sink.encode()).hexdigest()[:12]


class RedisMarks:
    """Stored beside the books, in Redis. `sink` is the store's id, `owner` this process's."""

    def __init__(
        self, call: Callable[[bytes, str | None], Awaitable[Any]], sink: str, owner: str
    ) -> None:
        self._call = call
        self._sink = sink
        self._owner = owner

    async def acquire(self, home: str) -> Mark | None:
        lease, mark = self._keys(home)
        reply = await self._execute("EVAL", _ACQUIRE, 2, lease, mark, self._owner, _LEASE_MS)
        if not reply:
            return None
        at, seq, epoch, known = ((each or b"").decode() for each in reply)
        return Mark(at, int(seq or 0), epoch, int(known or 0))

    async def save(self, home: str, mark: Mark) -> None:
        key = self._keys(home)[1]
        await self._execute("HSET", key, "at", mark.at, "seq", mark.seq, "epoch", mark.epoch)

    async def save_known(self, home: str, seq: int) -> None:
        await self._execute("HSET", self._keys(home)[1], "known", seq)

    async def release(self, home: str) -> None:
        await self._execute("EVAL", _RELEASE, 1, self._keys(home)[0], self._owner)

    async def homes(self) -> frozenset[str]:
        return frozenset(home.decode() for home in await self._execute("SMEMBERS", HOMES_KEY))

    async def add_homes(self, homes: frozenset[str]) -> None:
        if homes:
            await self._execute("SADD", HOMES_KEY, *sorted(homes))

    def _keys(self, home: str) -> tuple[str, str]:
        key = f"{prefix(home)}sunk:{self._sink}"
        return f"{key}:lease", key

    async def _execute(self, *parts: str | int) -> Any:
        return await self._call(encode(*parts), None)


class MemoryMarks:
    """For a ledger in memory, which is not shared."""

    def __init__(self) -> None:
        self._marks: dict[str, Mark] = {}
        self._homes: frozenset[str] = frozenset()

    async def acquire(self, home: str) -> Mark | None:
        return self._marks.get(home, Mark())

    async def save(self, home: str, mark: Mark) -> None:
        self._marks[home] = mark

    async def save_known(self, home: str, seq: int) -> None:
        """Nothing to do: these data end with the process."""

    async def release(self, home: str) -> None:
        """Nothing to do."""

    async def homes(self) -> frozenset[str]:
        return self._homes

    async def add_homes(self, homes: frozenset[str]) -> None:
        self._homes |= homes
