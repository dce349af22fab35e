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

    def __init__(self, ledger: Driver, time: LedgerTime, events: list[Event]) -> None:
        self.ledger = ledger
        self.time = time
        self.events = events

    async def expire(self, tenant: str) -> None:
        """Let the time of all open holds be over."""
        self.time.move(TTL_S)
        await self.ledger.sweep([tenant])

    def expired(self) -> tuple[int, int]:
        """How many holds expired so far, and how much that charged."""
        told = [event for event in self.events if isinstance(event, HoldsExpired)]
        return sum(event.holds for event in told), sum(event.amount for event in told)
