"""A ledger on a test's bench: with a clock to set, and its events in view."""

from typing import Final, Protocol

from gateway.core.events import Event, HoldsExpired
from gateway.core.ports import LedgerDriver
from tests.ledger_time import LedgerTime

TTL_S: Final = 600.0
KEPT: Final = 10_000


class Driver(LedgerDriver, Protocol):
    async def void(self, home: str, hold_id: str) -> None: ...


class Bench:
    """A ledger, the time it goes by, and what it told its observer."""

    longer_s = 0.0
    """A hold may live so much longer than TTL_S."""

    def __init__(self, ledger: Driver, time: LedgerTime, events: list[Event]) -> None:
        self.ledger = ledger
        self.time = time
        self.events = events

    async def wait(self, seconds: float) -> None:
        self.time.move(seconds)

    async def expire(self, tenant: str) -> None:
        """Let the time of all open holds be over."""
        await self.wait(TTL_S + self.longer_s)
        await self.ledger.sweep([tenant])

    def expired(self) -> tuple[int, int]:
        """How many holds expired so far, and how much that charged."""
        told = [event for event in self.events if isinstance(event, HoldsExpired)]
        return sum(event.holds for event in told), sum(event.amount for event in told)
