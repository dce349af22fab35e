"""Everything outside a request that its life needs, as ports and values."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.core.catalog import Check
from gateway.core.chat import ChatRequest, Completion
from gateway.core.checks.asked import NoVerdict
from gateway.core.checks.finding import Finding
from gateway.core.factors import Factors
from gateway.core.health import Health, RetryBudget
from gateway.core.ladder import Ladder
from gateway.core.pace import Pace
from gateway.core.plan import Draw
from gateway.core.ports import Clock, Ledger, Observer, Responses, Runner, Upstream
from gateway.core.snapshot import Timeouts
from gateway.core.warmth import Warmth


async def _not_known(_: ChatRequest) -> int | None:
    return None


async def _no_runner(
    check: Check, answer: Completion, request_id: str, *, timeout_s: float
) -> Finding | None:
    raise NoVerdict("not_configured")


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
    sleep: Callable[[float], Coroutine[Any, Any, None]]
    draw: Draw
    new_id: Callable[[], str]
    timeouts: Timeouts
    exact_tokens: Callable[[ChatRequest], Awaitable[int | None]] = _not_known
    """Asked only where a decision depends on it."""
    runner: Runner = _no_runner
    """Asked by `webhook` checks."""
    responses: Responses | None = None
    """Where routes keep answers; None where none does."""
    factors: Factors = field(default_factory=Factors)
    pace: Pace = field(default_factory=Pace)
    warmth: Warmth = field(default_factory=Warmth)
