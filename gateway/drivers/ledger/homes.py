"""What this process knows of the homes in Redis: commands kept ready, and what their data was.

A home's state has an epoch, a random name that its data got when it began, and counts the entries
of its book. Another epoch, or a count that went back, means that what was spent is not all there
any more: a server without its data, or a replica that had not got it yet. Nothing is reserved then
until the state says that it goes on from the epoch that is remembered.
"""

from collections.abc import Awaitable
from functools import cache
from typing import Any, Final, TypeVar

from msgspec import Struct

from gateway.core.accounts import Purse, has_places
from gateway.core.errors import LedgerDown
from gateway.core.events import HoldsExpired, LedgerTook
from gateway.core.ports import Clock, Observer
from gateway.drivers.ledger.commands import HomeCommands, Scripts
from gateway.drivers.ledger.plans import Calendar, Plan, make_plan
from gateway.drivers.redis.servers import Redis
from gateway.drivers.redis.wire import RedisError, encode

_REMEMBERED: Final = 4_096
"""Purses whose commands are kept ready; each user has a purse of its own."""
TIME: Final = encode("TIME")
_T = TypeVar("_T")


class DataLost(RedisError):
    """What a home has spent is not all there any more."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__("data_lost", "the ledger's data is not what it was", sent=sent)


class Settings(Struct, frozen=True):
    """`fresh` is the epoch of data that has none yet, `kept` how many entries a book keeps."""

    ttl_ms: int
    kept: int
    fresh: str
    scripts: Scripts


class Home:
    """`epoch` is "" until the first answer."""

    def __init__(self, name: str, commands: HomeCommands) -> None:
        self.name = name
        self.commands = commands
        self.epoch = ""
        self.seq = 0
        self.lost = False
        """Nothing is reserved until `Homes.look` has found that it goes on."""

    def saw(self, seq: int, before: int) -> None:
        """Take in a count of entries. `before` is what was known when the question was asked."""
        if seq >= self.seq:
            self.seq = seq
        elif seq < before:
            self.lost = True
            raise DataLost(sent=True)


class Ready(Struct, frozen=True):
    """What a purse keeps ready: its plan, and the command to reserve but for what is particular
    to one hold. It is good for one epoch, and `until` then in monotonic seconds.
    """

    plan: Plan
    reserve: bytes
    home: Home
    epoch: str
    until: float
    has_places: bool


class Homes:
    """Asks the ledger's scripts, and keeps what their answers tell of time and data."""

    def __init__(
        self, settings: Settings, connection: Redis, clock: Clock, observe: Observer
    ) -> None:
        self.settings = settings
        self.send = connection.send
        self._connection = connection
        self._clock = clock
        self._observe = observe
        self._ahead = 0.0
        self._calendar = Calendar()
        self._ready: dict[Purse, Ready] = {}
        self.home = cache(self._home)
        self._known: dict[Purse, tuple[Home, bool]] = {}
        """What `whose` has found. What a cache of functools finds takes six times as long."""

    def _home(self, name: str) -> Home:
        settings = self.settings
        return Home(name, HomeCommands(name, settings.scripts, settings.kept))

    def whose(self, purse: Purse) -> tuple[Home, bool]:
        """Whose home a purse's is, and whether any of its calls may take a place."""
        try:
            return self._known[purse]
        except KeyError:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[purse] = (self.home(purse.home), has_places(purse))
            return found

    def now(self) -> float:
        """Unix seconds by the ledger's clock, as far as it is known."""
        return self._clock() + self._ahead

    def is_now(self, unix_seconds: int) -> None:
        ahead = unix_seconds - self._clock()
        if abs(ahead - self._ahead) >= 1:  # plans are for another time, and by less not for long
            self._ready.clear()
        self._ahead = ahead

    def ready(self, purse: Purse, now: float) -> Ready:
        """`now` is in monotonic seconds. Raises ValueError for a budget that cannot be counted,
        KeyError for an unknown zone.
        """
        found = self._ready.get(purse)
        if found is not None and now < found.until and found.epoch == found.home.epoch:
            return found
        if len(self._ready) >= _REMEMBERED:
            self._ready.clear()
        home, settings = self.home(purse.home), self.settings
        plan = self.plan(purse, now + self._ahead)
        head = home.commands.reserve(
            plan, settings.ttl_ms, purse.tenant, home.epoch, settings.fresh
        )
        until = plan.end - self._ahead
        found = Ready(plan, head, home, home.epoch, until, has_places(purse))
        self._ready[purse] = found
        return found

    def plan(self, purse: Purse, at: float) -> Plan:
        return make_plan(purse, self._calendar, at, self.settings.ttl_ms)

    async def note(self, reply: list[Any], home: Home) -> None:
        """What an answer says that is none: another time, or other data. Raises RedisError when
        it does not go on from the data that is remembered.
        """
        verdict = reply[0]
        if verdict == b"when":
            self.is_now(reply[4])
            self._ready.clear()
        elif verdict == b"meet":
            home.epoch = reply[4].decode()
        else:
            home.lost = True
            await self.look(home)

    async def look(self, home: Home) -> None:
        """Look whether a lost home was rebuilt: from data that is remembered, or, where nothing
        is known to have been spent in that, from any.
        """
        reply = await self.run(home.commands.state)
        rebuilt = reply[1] is not None
        epoch, after, seq = ((each or b"").decode() for each in reply)
        if not epoch or not (home.epoch in after.split() or (rebuilt and home.seq == 0)):
            raise DataLost(sent=False)
        home.epoch, home.seq, home.lost = epoch, int(seq or 0), False

    async def ask(self, op: str, home: Home, command: bytes) -> list[Any]:
        """The answer, told to the observer. Raises LedgerDown."""
        return await self.observed(op, self.run_at(home, command))

    async def observed(self, op: str, asked: Awaitable[_T]) -> _T:
        began = self._clock()
        error = None
        try:
            return await asked
        except RedisError as failure:
            error = failure.kind
            raise LedgerDown(f"the ledger is unavailable ({error})") from failure
        finally:
            self._observe(LedgerTook(op, self._clock() - began, error))

    async def run_at(self, home: Home, command: bytes) -> list[Any]:
        reply: list[Any] = await self.run(command)
        if len(reply) > 3 and isinstance(reply[0], bytes) and reply[1]:
            self._observe(HoldsExpired(home.name, reply[1], reply[2]))
        return reply

    async def run(self, command: bytes) -> Any:
        try:
            return await self._connection.call(command)
        except RedisError as error:
            return await self.once_more(command, error)

    async def once_more(self, command: bytes, error: RedisError) -> Any:
        """Its answer, after one that was an error; raised again where nothing can be done."""
        again = self.mended(command, error)
        if again is None:
            raise error
        return await self._connection.call(again)

    def mended(self, command: bytes, error: RedisError) -> bytes | None:
        """What to send in its place."""
        if error.kind == "noscript":
            return self.settings.scripts.whole(command)
        if error.kind == "readonly":
            self._connection.drop()
        return None
