"""What happens to a request, in order; metrics and logs are written from these.

Each life begins once, ends in exactly one of Replied, Denied or Dropped, and each Reserved in
it is followed by exactly one Settled. `lawful` checks that, and every test of handle.py asks it.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct

from gateway.core.accounts import Account, Warned
from gateway.core.catalog import Budget
from gateway.core.changes import ConfigRead
from gateway.core.chat import ChatRequest, Completion, Usage
from gateway.core.money import Nanos
from gateway.core.records.record import UsageRecord
from gateway.core.side_events import (
    AlertEnded,
    AuditKind,
    AuditLeft,
    BudgetRead,
    CircuitMoved,
    GuardRead,
    HoldsExpired,
    HoldsRead,
    LedgerTook,
    RetriesRead,
    SinkFailed,
    UsageLost,
    UsageSunk,
)

__all__ = [
    "AlertEnded", "AuditKind", "AuditLeft", "BudgetRead", "CircuitMoved", "ConfigRead", "GuardRead",
    "HoldsExpired", "HoldsRead", "LedgerTook", "RetriesRead", "SinkFailed", "UsageLost",
    "UsageSunk",
]  # fmt: skip

Purpose = Literal[
    "answer",
    "escalation",
    "retry",
    "fallback",
    "vote",
    "arbitration",
    "audit",
    "abandoned",
]
"""Why a call was made; `abandoned` once nobody waits for its answer any more."""


_NO_TAGS: Final[Mapping[str, str]] = {}
_UNKNOWN: Final = Usage()

# Nothing that an event holds refers back to it, so it is in no cycle. Those of every request are
# not tracked by the garbage collector, which saves 0.03 us each.


class About(Struct, frozen=True, gc=False):
    """Whose life it is. `route` is a name from the configuration, or "other"."""

    request_id: str
    tenant: str
    route: str
    stream: bool
    organisation: str = ""
    key: str = ""
    user: str = ""
    tags: Mapping[str, str] = _NO_TAGS
    """As they are recorded: where a tag's values are configured, one of them or "other"."""


class Began(Struct, frozen=True, gc=False):
    """`request` is what was asked, once it was read: for observers that keep contents."""

    about: About
    request: ChatRequest | None = None


class Planned(Struct, frozen=True):
    about: About
    rungs: int
    skipped: int


class Reserved(Struct, frozen=True, gc=False):
    about: About
    hold: str
    amount: Nanos
    left: Nanos | None


class HoldRefused(Struct, frozen=True):
    """The ledger would not hold a call's ceiling."""

    about: About
    scope: str
    meter: str = "usd"


class Judged(Struct, frozen=True, gc=False):
    """An answer was held against its rung's checks; `failed` names those it did not pass."""

    about: About
    model: str
    tier: str
    checks: tuple[str, ...]
    failed: tuple[str, ...]


class Escalated(Struct, frozen=True):
    """A poor answer: on to a better tier."""

    about: About
    from_tier: str
    to_tier: str
    reason: str


class FellBack(Struct, frozen=True):
    """A failed call: on to another candidate. `reason` is the error's kind."""

    about: About
    from_model: str
    to_model: str
    reason: str


class Settled(Struct, frozen=True, gc=False):
    """A call to a provider came to its end, and its hold was replaced by what it cost: `record` is
    what is kept of it, and `why` it was made, where it was not the first.
    """

    about: About
    record: UsageRecord
    why: str = ""


class Replied(Struct, frozen=True, gc=False):
    """`upstream_s` is the part of `seconds` that was spent waiting for providers, `usage` of the
    answer that was given, and `spent` what all calls for it cost, in nano-dollars.
    """

    about: About
    provider: str
    model: str
    tier: str
    reason: str
    seconds: float
    upstream_s: float
    first_token_s: float | None
    usage: Usage = _UNKNOWN
    spent: int = 0
    answer: Completion | None = None
    """As it was given; None when it flowed. Only who keeps words needs it, as Began's `request`."""


class Denied(Struct, frozen=True):
    about: About
    code: str
    status: int
    seconds: float


class Dropped(Struct, frozen=True):
    """The client went away."""

    about: About
    seconds: float


class BudgetWarned(Struct, frozen=True):
    """A budget came to `percent` of its cap: once in a period over all replicas. In shadow mode:
    it would have refused, each time. `spent` is with what is held, in the meter's unit.
    """

    about: About
    account: Account
    budget: Budget
    percent: int
    spent: int = 0
    resets_at: float | None = None
    """When it has room again, in Unix seconds, where that is known."""


def budget_warned(about: About, warned: Warned) -> BudgetWarned:
    """What a hold said, told of its request."""
    account, budget, percent = warned.account, warned.budget, warned.percent
    return BudgetWarned(about, account, budget, percent, warned.spent, warned.resets_at)


class CacheLookup(Struct, frozen=True):
    """A look-up in the response cache: hit, miss, bypass (none was wanted) or error. `saved` is
    what the answer cost when it was made, `to` who made it: provider, model, tier.
    """

    about: About
    outcome: str
    saved: Nanos = Nanos(0)
    to: tuple[str, str, str] | None = None


class AuditBegan(Struct, frozen=True):
    """A life that no client sees. It is lawful as any, and no request."""

    about: About


class AuditEnded(Struct, frozen=True):
    """`outcome`: what it said agreed, differed or was incomparable with what the client was given,
    or was undecided (its votes); or it failed, was refused by a budget, or cancelled.
    """

    about: About
    kind: AuditKind
    outcome: str
    seconds: float


LifeEvent = (
    Began
    | AuditBegan
    | AuditEnded
    | Planned
    | Reserved
    | HoldRefused
    | BudgetWarned
    | Judged
    | Escalated
    | FellBack
    | Settled
    | Replied
    | Denied
    | Dropped
)
Sunk = UsageSunk | UsageLost | SinkFailed
SideEvent = (
    CacheLookup | CircuitMoved | LedgerTook | HoldsExpired | BudgetRead | HoldsRead | AlertEnded
)
Event = LifeEvent | SideEvent | Sunk | AuditLeft | GuardRead | ConfigRead | RetriesRead

_END: Final[Mapping[type, str]] = {Replied: "over", Denied: "over", Dropped: "over"}
_STAY: Final[tuple[type, ...]] = (
    Reserved, HoldRefused, BudgetWarned, Judged, Escalated, FellBack, Settled,
)  # fmt: skip

# state -> event -> next state; the holds still open are counted apart.
LIFE: Final[Mapping[str, Mapping[type, str]]] = {
    "new": {Began: "begun", AuditBegan: "unseen"},
    "begun": {Planned: "planned", **_END},
    "planned": {**dict.fromkeys(_STAY, "planned"), **_END},
    "unseen": {Planned: "audited", AuditEnded: "over"},
    "audited": {**dict.fromkeys(_STAY, "audited"), AuditEnded: "over"},
    "over": {},
}


def lawful(events: Iterable[Event]) -> str | None:
    """None when the events of one life are whole and lawful; otherwise what is wrong."""
    state = "new"
    holds: set[str] = set()
    for event in events:
        following = LIFE[state].get(type(event))
        if following is None:
            return f"{type(event).__name__} in state {state}"
        if isinstance(event, Reserved):
            if event.hold in holds:
                return f"hold {event.hold} reserved twice"
            holds.add(event.hold)
        elif isinstance(event, Settled):
            hold = event.record.attempt
            if hold not in holds:
                return f"hold {hold} settled but not open"
            holds.remove(hold)
        elif following == "over" and holds:
            return f"{len(holds)} holds never settled"
        state = following
    return None if state == "over" else f"ends in state {state}"
