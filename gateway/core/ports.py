"""What the life of a request needs of the world. Drivers implement these.

Each port has one contract suite in tests/contracts, run on every implementation.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from gateway.core.catalog import Budget
from gateway.core.chat import ChatRequest, Completion, Delta
from gateway.core.events import Event, HoldsExpired
from gateway.core.money import Nanos
from gateway.core.plan import Candidate

Observer = Callable[[Event], None]
Clock = Callable[[], float]
"""Monotonic seconds."""

Scope = Literal["tenant", "user", "key"]


class Account(Struct, frozen=True, cache_hash=True):
    """A budget-holder that a request spends from; `name` is unique in its tenant and scope."""

    scope: Scope
    name: str
    budgets: tuple[Budget, ...]


class Purse(Struct, frozen=True, cache_hash=True):
    """All the accounts that a request spends from, at once. Periods follow `timezone` (IANA)."""

    tenant: str
    timezone: str
    accounts: tuple[Account, ...]


class Hold(Struct, frozen=True):
    """Money set aside for one call that is not settled yet. `left` is what the tightest budget
    has left beside it; None where there is no budget.
    """

    id: str
    tenant: str
    amount: Nanos
    left: Nanos | None


class Refusal(Struct, frozen=True):
    """Why a hold was refused: the budget that would have been passed, and what it has left.

    `resets_at` is the end of its period, in Unix seconds; None for a budget in total.
    """

    scope: Scope
    account: str
    budget: Budget
    left: Nanos
    resets_at: int | None


class Balance(Struct, frozen=True):
    """One budget in its current period."""

    scope: Scope
    account: str
    budget: Budget
    spent: Nanos
    held: Nanos


class Ledger(Protocol):
    """Raises LedgerDown, and nothing else, from each method; `settle` raises nothing.

    Amounts are at most 9.0 million US dollars, below 2^53 nano-dollars. Whatever else a caller
    gets wrong (a negative amount, an unknown time zone) is a ValueError or KeyError: a bug.
    """

    async def reserve(self, purse: Purse, hold_id: str, amount: Nanos) -> Hold | Refusal:
        """Set `amount` aside in every account of the purse, all or nothing.

        A hold that is not settled within its time to live is charged in full. Reserving again
        under the same id gives the same hold and takes nothing. When this is cancelled or raises,
        whatever it may have set aside is given back in the background.
        """
        ...

    async def settle(self, hold: Hold, actual: Nanos) -> None:
        """Replace the hold by what the call did cost. Settling again changes nothing.

        A settle of a hold that has expired meanwhile corrects what was charged. When the ledger
        cannot be reached it is kept and tried again until it can. Once called it is carried out,
        even when the caller is cancelled while it waits.
        """
        ...

    async def balances(self, purse: Purse) -> tuple[Balance, ...]:
        """Every budget of the purse, in order."""
        ...

    async def open_holds(self, tenant: str) -> int:
        """How many holds of a tenant are neither settled nor expired."""
        ...


class LedgerDriver(Ledger, Protocol):
    """What the composition root needs of a ledger beside what requests need."""

    async def sweep(self, tenants: Iterable[str]) -> list[HoldsExpired]:
        """Charge every hold whose time is over, also of tenants that send nothing any more.

        What was charged is told to the observer as well.
        """
        ...

    async def aclose(self) -> None:
        """Try once more, briefly, to settle what is still owed, then close."""
        ...


class Upstream(Protocol):
    """Calls to providers. Raises UpstreamError, and nothing else."""

    async def send(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> Completion:
        """Make one call and read the whole answer."""
        ...

    def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> AsyncGenerator[Sequence[Delta], None]:
        """Make one call; deltas that arrive together come together, never an empty sequence.

        `timeout_s` bounds the wait for the first ones. Ends normally only when the provider's
        answer is whole. Closing it closes the call.
        """
        ...
