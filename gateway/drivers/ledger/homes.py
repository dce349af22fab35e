"""What this process knows of the homes in Redis: prepared commands, and the state of their data.

A home's state has an epoch, a random name given when its data began, and the number of entries in
its book. Another epoch, or a lower number, means that spending was lost: the server lost its data,
or a replica without the newest took over. Nothing is reserved then until the state says that it
was rebuilt from the remembered epoch.
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

_MAX_CACHED: Final = 4_096
"""Purses with prepared commands; each user has a purse of its own."""
TIME: Final = encode("TIME")
_T = TypeVar("_T")


class DataLost(RedisError):
    """Some of a home's spending was lost."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__("data_lost", "the ledger's data is not what it was", sent=sent)


class Settings(Struct, frozen=True):
    """`fresh` is the epoch for data without one, `max_entries` how many entries a book keeps."""

    ttl_ms: int
    max_entries: int
    fresh: str
    scripts: Scripts


class Home:
    """`epoch` is "" until the first reply."""

    def __init__(self, name: str, commands: HomeCommands) -> None:
        self.name = name
        self.commands = commands
        self.epoch = ""
        self.seq = 0
        self.lost = False
        """Nothing is reserved until `Homes.check_rebuilt` succeeds."""

    def check_seq(self, seq: int, before: int) -> None:
        """Take in a number of entries; `before` is that known when the command was sent. Raises
        DataLost if it went back.
        """
        if seq >= self.seq:
            self.seq = seq
        elif seq < before:
            self.lost = True
            raise DataLost(sent=True)


class PreparedPurse(Struct, frozen=True):
    """A purse's plan, and its reserve command without the parts of a single hold. Valid for one
    epoch, and `until` then, in monotonic seconds.
    """

    plan: Plan
    reserve: bytes
    home: Home
    epoch: str
    until: float
    has_places: bool


class Homes:
    """Runs the ledger's scripts, and tracks the server's clock and the state of its data."""

    def __init__(
        self, settings: Settings, connection: Redis, clock: Clock, observe: Observer
    ) -> None:
        self.settings = settings
        self.send = connection.send
        self._connection = connection
        self._clock = clock
        self._observe = observe
        self._clock_offset = 0.0
        self._calendar = Calendar()
        self._prepared: dict[Purse, PreparedPurse] = {}
        self.home = cache(self._home)
        self._home_by_purse: dict[Purse, tuple[Home, bool]] = {}
        """The cache of `home_of`. functools.cache would take six times as long."""

    def _home(self, name: str) -> Home:
        settings = self.settings
        return Home(name, HomeCommands(name, settings.scripts, settings.max_entries))

    def home_of(self, purse: Purse) -> tuple[Home, bool]:
        """A purse's home, and whether any of its calls may take a place."""
        try:
            return self._home_by_purse[purse]
        except KeyError:
            if len(self._home_by_purse) >= _MAX_CACHED:
                self._home_by_purse.clear()
            entry = self._home_by_purse[purse] = (self.home(purse.home), has_places(purse))
            return entry

    def now(self) -> float:
        """Unix seconds by the ledger's clock, as far as it is known."""
        return self._clock() + self._clock_offset

    def set_clock(self, unix_seconds: int) -> None:
        offset = unix_seconds - self._clock()
        if (
            abs(offset - self._clock_offset) >= 1
        ):  # plans are for another time, and by less not for long
            self._prepared.clear()
        self._clock_offset = offset

    def prepare(self, purse: Purse, now: float) -> PreparedPurse:
        """`now` is in monotonic seconds. Raises ValueError for a budget that cannot be counted,
        KeyError for an unknown zone.
        """
        prepared = self._prepared.get(purse)
        if prepared is not None and now < prepared.until and prepared.epoch == prepared.home.epoch:
            return prepared
        if len(self._prepared) >= _MAX_CACHED:
            self._prepared.clear()
        home, settings = self.home(purse.home), self.settings
        plan = self.plan(purse, now + self._clock_offset)
        head = home.commands.reserve(
            plan, settings.ttl_ms, purse.tenant, home.epoch, settings.fresh
        )
        until = plan.end - self._clock_offset
        prepared = PreparedPurse(plan, head, home, home.epoch, until, has_places(purse))
        self._prepared[purse] = prepared
        return prepared

    def plan(self, purse: Purse, at: float) -> Plan:
        return make_plan(purse, self._calendar, at, self.settings.ttl_ms)

    async def handle_verdict(self, reply: list[Any], home: Home) -> None:
        """Handle a reply without a result: the clock or the epoch differs. Raises RedisError when
        the data does not follow the remembered epoch.
        """
        verdict = reply[0]
        if verdict == b"when":
            self.set_clock(reply[4])
            self._prepared.clear()
        elif verdict == b"meet":
            home.epoch = reply[4].decode()
        else:
            home.lost = True
            await self.check_rebuilt(home)

    async def check_rebuilt(self, home: Home) -> None:
        """Check whether a lost home was rebuilt: from the remembered epoch, or from any if no entry
        is known. Raises DataLost.
        """
        reply = await self.run(home.commands.state)
        rebuilt = reply[1] is not None
        epoch, after, seq = ((each or b"").decode() for each in reply)
        if not epoch or not (home.epoch in after.split() or (rebuilt and home.seq == 0)):
            raise DataLost(sent=False)
        home.epoch, home.seq, home.lost = epoch, int(seq or 0), False

    async def execute(self, op: str, home: Home, command: bytes) -> list[Any]:
        """Run a command, and observe its duration and error. Raises LedgerDown."""
        return await self.observed(op, self.run_at(home, command))

    async def observed(self, op: str, operation: Awaitable[_T]) -> _T:
        began = self._clock()
        error = None
        try:
            return await operation
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
            return await self.retry(command, error)

    async def retry(self, command: bytes, error: RedisError) -> Any:
        """Retry after an error that can be repaired; else raise it again."""
        repaired = self.repaired_command(command, error)
        if repaired is None:
            raise error
        return await self._connection.call(repaired)

    def repaired_command(self, command: bytes, error: RedisError) -> bytes | None:
        """The command to retry with; None if the error cannot be repaired."""
        if error.kind == "noscript":
            return self.settings.scripts.with_source(command)
        if error.kind == "readonly":
            self._connection.drop()
        return None
