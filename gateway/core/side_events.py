"""Events outside the lives of requests: of circuits, the ledger, records and guards."""

from typing import Literal

from msgspec import Struct

from gateway.core.accounts import Account
from gateway.core.catalog import Budget
from gateway.core.guard import Guard, State
from gateway.core.money import Nanos

AuditKind = Literal["guard", "shadow"]
"""Why a life goes on behind another: see gateway/background."""


class CircuitMoved(Struct, frozen=True):
    """A deployment's circuit is now closed, open or half_open."""

    deployment: str
    state: str


class LedgerTook(Struct, frozen=True, gc=False):
    """A ledger operation. `error` is its kind, or None."""

    op: str
    seconds: float
    error: str | None


class HoldsExpired(Struct, frozen=True):
    """Holds nobody settled were charged in full. `tenant` is its organisation's name where it has
    one: they are counted together.
    """

    tenant: str
    holds: int
    amount: Nanos


class BudgetRead(Struct, frozen=True):
    """Where a budget stands, in its meter's unit."""

    account: Account
    budget: Budget
    spent: int
    held: int


class RetriesRead(Struct, frozen=True):
    """How many retries this process could afford now."""

    left: int


class UsageSunk(Struct, frozen=True):
    """Records of a home were written on to where usage is kept."""

    tenant: str
    records: int


class UsageLost(Struct, frozen=True):
    """A home's book had to drop records before they were written on."""

    tenant: str
    records: int


class SinkFailed(Struct, frozen=True):
    """Where usage is kept took nothing. The records wait in the ledger."""

    kind: str


class HoldsRead(Struct, frozen=True):
    """How many holds of a tenant, or of its organisation, are open."""

    tenant: str
    holds: int


class AlertEnded(Struct, frozen=True):
    """The webhook was told of a budget (`sent`), or was not: `failed` each time it was tried, or
    `dropped` since too many others waited.
    """

    outcome: Literal["sent", "failed", "dropped"]


class AuditLeft(Struct, frozen=True):
    """An answer was not audited, or not shadowed: too many others were under way, or the gateway
    stops. `route` is an AuditPolicy's name: a route, or "route/rule".
    """

    route: str
    kind: AuditKind


class GuardRead(Struct, frozen=True):
    """What the guard of a route has seen of one bucket of requests, on all replicas."""

    route: str
    bucket: str
    state: State
    guard: Guard
