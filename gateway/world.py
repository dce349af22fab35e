"""Everything outside a request that its life needs, as ports and values."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from gateway.core.health import Health, RetryBudget
from gateway.core.plan import Draw, Ladder
from gateway.core.ports import Clock, Ledger, Observer, Upstream
from gateway.core.snapshot import Timeouts


@dataclass(frozen=True, slots=True)
class World:
    ladders: Mapping[str, Ladder]
    ledger: Ledger
    upstream: Upstream
    health: Health
    retries: RetryBudget
    observe: Observer
    clock: Clock
    wall: Clock
    """Unix seconds, for what is shown and for prices by the hour; never for a decision."""
    sleep: Callable[[float], Awaitable[None]]
    draw: Draw
    new_id: Callable[[], str]
    timeouts: Timeouts
