"""Everything outside a request that its life needs, as ports and values."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.core.accounts import Purse
from gateway.core.catalog import Check, Tactic, Tenant
from gateway.core.chat import ChatRequest, Completion
from gateway.core.checks.external import NoVerdict
from gateway.core.checks.finding import Finding
from gateway.core.events import About
from gateway.core.features import Features
from gateway.core.health import Health, RetryBudget
from gateway.core.ladder import Ladder
from gateway.core.observers import Handlers, handlers_of
from gateway.core.pace import LatencyTracker
from gateway.core.plan import Candidate, Draw, Plan
from gateway.core.plans import Plans
from gateway.core.ports import Clock, Ledger, Observer, Responses, Runner, Upstream
from gateway.core.prompt_caches import Warmth
from gateway.core.records.record import UsageRecord
from gateway.core.snapshot import Timeouts
from gateway.core.strategy import Answer
from gateway.core.tab import Tab
from gateway.core.token_factors import Factors


async def _not_known(_: ChatRequest) -> int | None:
    return None


async def _no_runner(
    check: Check, answer: Completion, request_id: str, *, timeout_s: float
) -> Finding | None:
    raise NoVerdict("not_configured")


class LifeContext(Protocol):
    """A Life, as its calls see it."""

    world: "World"
    tenant: Tenant
    purse: Purse
    request: ChatRequest
    about: About
    began: float
    """In monotonic seconds."""
    features: Features
    """Of the request, once it is read."""
    tab: Tab

    def end(self, candidate: Candidate | None, error: BaseException | None, why: str = ...) -> None:
        """The life has ended: by an answer of `candidate`, kept because of `why`, or an error."""
        ...


class Auditor(Protocol):
    """Audits the answer of one life."""

    def steer(self, plan: Plan, chosen: Tactic) -> tuple[Plan, Tactic]:
        """Who is to answer, and how: a guard may leave the cheap ones out."""
        ...

    async def observe(self, answer: Answer) -> Answer:
        """The answer that is given, to be given on."""
        ...

    def finished(self, candidate: Candidate, why: str) -> None:
        """The answer was given whole: audits begin."""
        ...


class Audits(Protocol):
    """What goes on behind the answers; see the room of that name."""

    def attend(self, life: LifeContext, ladder: Ladder) -> Auditor: ...

    def foresee(
        self, request: ChatRequest, ladder: Ladder, plan: Plan
    ) -> tuple[Ladder, Plan, Mapping[str, Any] | None]:
        """Who would answer, without a draw, and what is known of the guard, as JSON values."""
        ...


def _unnoted(_: UsageRecord) -> None:
    pass


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
    record_cache_hit: Callable[[UsageRecord], None] = _unnoted
    """Told of each answer that was kept and is given again, for usage reports."""
    audits: Audits | None = None
    factors: Factors = field(default_factory=Factors)
    plans: Plans = field(default_factory=Plans)
    pace: LatencyTracker = field(default_factory=LatencyTracker)
    warmth: Warmth = field(default_factory=Warmth)
    emit: Handlers = field(init=False)
    """What `observe` does with each type of event: a request tells of six."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "emit", handlers_of(self.observe))
